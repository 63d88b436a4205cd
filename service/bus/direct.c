/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/direct.h"

#include "basic/log.h"
#include "bus/direct-peer.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Messages that one connection may have processed before others have their turn. */
#define MESSAGES_PER_TURN 16
#define ACCEPTS_PER_TURN 32
/* With more unread than this a peer is not read; who may only look has less. */
#define UNREAD_MESSAGES_MAX 512
#define UNREAD_BYTES_MAX (16 * 1024 * 1024)
#define UNREAD_BYTES_STRANGER_MAX (1024 * 1024)
/* With so many, signals most of them, somebody who may only look is disconnected at once. */
#define UNREAD_MESSAGES_STRANGER_END 8192
/* In the kernel; sd-bus asks for 8 MiB. */
#define SEND_BUFFER_BYTES (256 * 1024)
/* When there is no descriptor or no memory for a connection. */
#define ACCEPT_AGAIN_USEC USEC_PER_SEC

struct Direct {
        Bus *bus;
        sd_id128_t id;
        GPtrArray *listening; /* of sd_event_source */
        Deadline accept_again;
        uint64_t last_name;
        unsigned n_peers, n_strangers;
};

static const struct {
        uint64_t usec;
        const char *complaint;
} waiting_table[_WAITING_MAX] = {
        [WAITING_FIRST_MESSAGE] = { 5 * USEC_PER_SEC, "does not say a word" },
        [WAITING_WHOLE_MESSAGE] = { 10 * USEC_PER_SEC, "has sent half a message" },
        [WAITING_READ] = { 10 * USEC_PER_SEC, "does not read what it is sent" },
};

static Deadlines *direct_deadlines(const Direct *direct) {
        return direct->bus->config.deadlines;
}

/* -- one connection -- */

static void peer_wait(DirectPeer *peer, Waiting waiting) {
        if (waiting == peer->waiting)
                return;
        peer->waiting = waiting;
        if (waiting == WAITING_NOT)
                deadline_disarm(direct_deadlines(peer->direct), &peer->deadline);
        else
                deadline_arm(direct_deadlines(peer->direct), &peer->deadline, waiting_table[waiting].usec);
}

/* Not from within sd_bus_process(). */
static void peer_end(DirectPeer *peer) {
        peer_wait(peer, WAITING_NOT);
        sd_event_source_disable_unref(peer->io);
        sd_event_source_disable_unref(peer->more);
        peer->direct->n_peers--;
        peer->direct->n_strangers -= !peer->trusted;
        charge_release(&peer->charge);
        if (peer->connection) {
                connection_end(peer->connection);
                sd_bus_close(peer->connection->sd_bus);
                peer->connection->direct = NULL;
                connection_unref(peer->connection);
        }
        g_hash_table_unref(peer->matches);
        g_free(peer->name);
        g_free(peer);
}

static uint64_t peer_unread(const DirectPeer *peer) {
        return connection_unwritten(peer->connection, 0);
}

/* Listens for what it is to hear now. */
static void peer_watch(DirectPeer *peer) {
        uint64_t unread = peer_unread(peer);
        int events = sd_bus_get_events(peer->connection->sd_bus);

        if (unread == 0)
                peer->full = false;
        else if (unread > UNREAD_MESSAGES_MAX ||
                 peer->connection->unwritten > (peer->trusted ? UNREAD_BYTES_MAX : UNREAD_BYTES_STRANGER_MAX))
                peer->full = true;
        if (!peer->trusted && unread > UNREAD_MESSAGES_STRANGER_END)
                peer->doomed = true;
        if (peer->full)
                peer_wait(peer, WAITING_READ);
        if (peer->doomed || sd_bus_is_open(peer->connection->sd_bus) <= 0)
                (void) sd_event_source_set_enabled(peer->more, SD_EVENT_ONESHOT);
        if (peer->full || peer->direct->bus->held)
                events &= ~EPOLLIN;
        (void) sd_event_source_set_io_events(peer->io, (uint32_t) (events < 0 ? 0 : events));
}

bool connection_hears(const Connection *connection) {
        return !connection->direct || connection->direct->plain || connection->direct->n_matches > 0;
}

bool connection_counts(const Connection *connection) {
        return !connection->direct || connection->direct->trusted;
}

void direct_sent(DirectPeer *peer) {
        peer_watch(peer);
}

/* Bytes that have come and were not read. */
static int peer_behind(const DirectPeer *peer) {
        int behind = 0;

        (void) ioctl(sd_bus_get_fd(peer->connection->sd_bus), FIONREAD, &behind);
        return behind;
}

/* While held: there is nothing left that it has asked for and we have read. */
static bool peer_rests(const DirectPeer *peer) {
        uint64_t read = 0;

        if (!peer->direct->bus->held)
                return false;
        (void) sd_bus_get_n_queued_read(peer->connection->sd_bus, &read);
        return read == 0;
}

/* What time is running for after a turn in which all was processed that had come. */
static Waiting peer_waits_for(const DirectPeer *peer, bool half) {
        if (!peer->greeted)
                return WAITING_FIRST_MESSAGE;
        if (peer->waiting == WAITING_READ && peer_unread(peer) > 0)
                return WAITING_READ;
        return half ? WAITING_WHOLE_MESSAGE : WAITING_NOT;
}

/* Who moves on, however slowly, has all the time again. */
static void peer_wait_on(DirectPeer *peer, bool half, bool message_came) {
        Waiting waiting = peer_waits_for(peer, half);
        uint64_t unread = peer_unread(peer);

        if (waiting == WAITING_READ ? unread < peer->unread : message_came)
                peer_wait(peer, WAITING_NOT);
        peer_wait(peer, waiting);
        peer->unread = unread;
}

/*
 * Processes what there is, fairly; sd-bus writes before it reads. It reads a message to its end and not a byte beyond, but for what came with
 * the handshake: so when nothing is behind a message it is not asked again, and whatever it reads without coming to an end is half a message.
 */
static void peer_turn(DirectPeer *peer, bool readable) {
        sd_bus *sd_bus = peer->connection->sd_bus;
        bool first = !peer->greeted, half = peer->half;
        unsigned n_messages = peer->n_messages;
        int r, n = 0;

        readable = readable && peer_behind(peer) > 0; /* what was behind may have been read in another turn since */
        do {
                bool reads = first ? peer_behind(peer) > 0 : readable;
                unsigned before = peer->n_messages;
                bool whole;

                r = sd_bus_process(sd_bus, NULL);
                whole = peer->n_messages != before;
                half = whole ? false : half || reads;
                if (r > 0 && whole && !first && peer_behind(peer) == 0)
                        r = 0;
        } while (r > 0 && !peer->full && !peer->doomed && !peer_rests(peer) && ++n < MESSAGES_PER_TURN);
        if (r < 0 || sd_bus_is_open(sd_bus) <= 0 || peer->doomed) {
                peer_end(peer);
                return;
        }
        peer->half = half;
        if (r > 0 && !peer_rests(peer))
                (void) sd_event_source_set_enabled(peer->more, SD_EVENT_ONESHOT);
        if (r == 0 || peer->waiting == WAITING_READ)
                peer_wait_on(peer, half, peer->n_messages != n_messages);
        peer_watch(peer);
}

static int peer_on_io(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        peer_turn(userdata, events & EPOLLIN);
        return 0;
}

static int peer_on_more(sd_event_source *source, void *userdata) {
        DirectPeer *peer = userdata;

        if (peer->doomed) {
                log_info("User %u on connection %s does not read what it is sent: disconnected", (unsigned) peer->uid, peer->name);
                peer_end(peer);
        } else if ((!peer->full && !peer_rests(peer)) || sd_bus_is_open(peer->connection->sd_bus) <= 0)
                peer_turn(peer, true);
        return 0;
}

static void peer_expired(Deadline *d) {
        DirectPeer *peer = (DirectPeer *) (void *) ((char *) d - offsetof(DirectPeer, deadline));

        log_info("User %u on connection %s %s: disconnected", (unsigned) peer->uid, peer->name, waiting_table[peer->waiting].complaint);
        peer_end(peer);
}

static void add_greeting(Session *session, void *userdata) {
        size_t *size = userdata;

        *size += session->greeting ? strlen(session->greeting) : 0;
}

/* What sd-bus answers by itself goes by unseen: about so much. */
static size_t guess_answer(const DirectPeer *peer, sd_bus_message *message) {
        Host *host = peer->direct->bus->host;
        size_t size = 1024;
        Session *session;

        if (!host)
                return size;
        if (sd_bus_message_is_method_call(message, "org.freedesktop.DBus.ObjectManager", NULL) > 0) {
                size += (size_t) host_n_sessions(host) * 2048;
                host_foreach(host, add_greeting, &size);
        } else if (sd_bus_message_is_method_call(message, "org.freedesktop.DBus.Properties", NULL) > 0) {
                session = session_at(peer->direct->bus, sd_bus_message_get_path(message));
                if (session)
                        add_greeting(session, &size);
        } else if (sd_bus_message_is_method_call(message, "org.freedesktop.DBus.Introspectable", NULL) > 0)
                size += (size_t) host_n_sessions(host) * 64;
        return size;
}

/* Sees every message before it is dispatched. */
static int peer_on_message(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        DirectPeer *peer = userdata;

        peer->n_messages++;
        if (!peer->greeted) {
                peer->greeted = true;
                peer->plain = sd_bus_message_is_method_call(message, "org.freedesktop.DBus", "Hello") <= 0;
        }
        peer->connection->unwritten += guess_answer(peer, message);
        peer_watch(peer);
        return 0;
}

/* FD is sd-bus' from here on, also on failure. */
static int peer_new_bus(DirectPeer *peer, int fd, sd_bus **ret) {
        __attribute__((cleanup(sd_bus_unrefp))) sd_bus *sd_bus = NULL;
        int r = sd_bus_new(&sd_bus);

        if (r < 0) {
                close(fd);
                return r;
        }
        r = sd_bus_set_fd(sd_bus, fd, fd);
        if (r < 0) {
                close(fd);
                return r;
        }
        r = sd_bus_set_server(sd_bus, true, peer->direct->id);
        if (r >= 0)
                r = sd_bus_set_sender(sd_bus, DIRECT_NAME);
        if (r >= 0) /* sd-bus bounds not how many come with half a message, and none of what a stranger may call takes one */
                r = sd_bus_negotiate_fds(sd_bus, peer->trusted);
        if (r >= 0)
                r = sd_bus_add_filter(sd_bus, NULL, peer_on_message, peer);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&sd_bus);
        return 0;
}

static int peer_serve(DirectPeer *peer, int fd) {
        __attribute__((cleanup(sd_bus_unrefp))) sd_bus *sd_bus = NULL;
        Bus *bus = peer->direct->bus;
        int r = peer_new_bus(peer, fd, &sd_bus);

        if (r >= 0)
                r = connection_new(bus, sd_bus, &peer->connection);
        if (r < 0)
                return r;
        peer->connection->direct = peer;
        r = callers_new_direct(peer->connection, peer->name, peer->uid, &peer->connection->callers);
        if (r >= 0)
                r = direct_driver_add(peer);
        if (r >= 0)
                r = sd_bus_start(sd_bus);
        if (r >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){ SEND_BUFFER_BYTES }, sizeof(int)) < 0)
                r = -errno;
        if (r >= 0)
                r = sd_event_add_io(bus->config.event, &peer->io, fd, EPOLLIN, peer_on_io, peer);
        if (r >= 0)
                r = sd_event_add_defer(bus->config.event, &peer->more, peer_on_more, peer);
        if (r >= 0)
                r = sd_event_source_set_enabled(peer->more, SD_EVENT_OFF);
        if (r < 0)
                return r;
        list_append(&bus->connections, &peer->connection->connections);
        peer_wait(peer, WAITING_FIRST_MESSAGE);
        peer_watch(peer);
        return 0;
}

/* -- the sockets -- */

static unsigned direct_count(const Direct *direct, uid_t uid) {
        unsigned n = 0;

        list_foreach(node, &direct->bus->connections) {
                const Connection *connection = list_entry(node, Connection, connections);

                n += connection->direct && connection->direct->uid == uid;
        }
        return n;
}

static int direct_refuse(const Direct *direct, uid_t uid, bool trusted, Charge *charge, PlugindError *error) {
        if (direct->n_peers >= DIRECT_MAX)
                return plugind_error_set(error, PLUGIND_ERROR_LIMITS_EXCEEDED, "there are %u direct connections already", direct->n_peers);
        if (!trusted && direct->n_strangers >= DIRECT_STRANGERS_MAX)
                return plugind_error_set(error, PLUGIND_ERROR_LIMITS_EXCEEDED, "there are %u direct connections of ordinary users already",
                                         direct->n_strangers);
        if (!trusted && direct_count(direct, uid) >= DIRECT_STRANGER_MAX)
                return plugind_error_set(error, PLUGIND_ERROR_LIMITS_EXCEEDED, "there are %u direct connections of that user already",
                                         DIRECT_STRANGER_MAX);
        return quota_charge(host_quota(direct->bus->host), uid, QUOTA_CONNECTIONS, 1, charge, error);
}

/* FD is taken. */
static void direct_admit(Direct *direct, int fd) {
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;
        struct ucred ucred = {};
        socklen_t size = sizeof(ucred);
        Charge charge = {};
        DirectPeer *peer;
        bool trusted;
        int r;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ucred, &size) < 0) {
                close(fd);
                return;
        }
        trusted = ucred.uid == direct->bus->config.allowed;
        if (direct_refuse(direct, ucred.uid, trusted, &charge, &error) < 0) {
                log_debug("A direct connection of user %u is refused: %s", (unsigned) ucred.uid, error.message);
                close(fd);
                return;
        }
        peer = g_new0(DirectPeer, 1);
        *peer = (DirectPeer){ .direct = direct, .uid = ucred.uid, .pid = ucred.pid, .trusted = trusted, .charge = charge };
        peer->name = g_strdup_printf(":direct.%" G_GUINT64_FORMAT, ++direct->last_name);
        peer->matches = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        peer->deadline.expired = peer_expired;
        direct->n_peers++;
        direct->n_strangers += !trusted;
        r = peer_serve(peer, fd);
        if (r < 0) {
                errno = -r;
                log_warning("Cannot serve a direct connection of user %u: %m", (unsigned) ucred.uid);
                peer_end(peer);
        }
}

static void direct_set_listening(Direct *direct, bool listening) {
        for (unsigned i = 0; i < direct->listening->len; i++)
                (void) sd_event_source_set_enabled(direct->listening->pdata[i], listening ? SD_EVENT_ON : SD_EVENT_OFF);
}

static void direct_accept_again(Deadline *d) {
        direct_set_listening((Direct *) (void *) ((char *) d - offsetof(Direct, accept_again)), true);
}

static int direct_on_connection(sd_event_source *source, int listening, uint32_t events, void *userdata) {
        Direct *direct = userdata;

        for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
                int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

                if (fd >= 0)
                        direct_admit(direct, fd);
                else if (errno == EAGAIN)
                        break;
                else if (errno != EINTR && errno != ECONNABORTED) {
                        log_warning("Cannot accept a direct connection, trying again in a second: %m");
                        direct_set_listening(direct, false);
                        deadline_arm(direct_deadlines(direct), &direct->accept_again, ACCEPT_AGAIN_USEC);
                        break;
                }
        }
        return 0;
}

static void source_free(void *source) {
        sd_event_source_disable_unref(source);
}

int direct_listen(Direct *direct, int fd) {
        sd_event_source *source = NULL;
        int flags = fcntl(fd, F_GETFL), r;

        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
                return -errno;
        r = sd_event_add_io(direct->bus->config.event, &source, fd, EPOLLIN, direct_on_connection, direct);
        if (r < 0)
                return r;
        (void) sd_event_source_set_io_fd_own(source, true);
        g_ptr_array_add(direct->listening, source);
        return 0;
}

void direct_stop_listening(Direct *direct) {
        deadline_disarm(direct_deadlines(direct), &direct->accept_again);
        direct_set_listening(direct, false);
}

void direct_hold(Direct *direct) {
        list_foreach(node, &direct->bus->connections) {
                Connection *connection = list_entry(node, Connection, connections);

                if (connection->direct)
                        peer_watch(connection->direct);
        }
}

int direct_new(Bus *bus, Direct **ret) {
        Direct *direct;
        sd_id128_t id;
        int r = sd_id128_randomize(&id);

        if (r < 0)
                return r;
        direct = g_new0(Direct, 1);
        direct->bus = bus;
        direct->id = id;
        direct->listening = g_ptr_array_new_with_free_func(source_free);
        direct->accept_again.expired = direct_accept_again;
        *ret = direct;
        return 0;
}

Direct *direct_free(Direct *direct) {
        if (!direct)
                return NULL;
        list_foreach(node, &direct->bus->connections) {
                Connection *connection = list_entry(node, Connection, connections);

                if (connection->direct)
                        peer_end(connection->direct);
        }
        direct_stop_listening(direct);
        g_ptr_array_unref(direct->listening);
        g_free(direct);
        return NULL;
}
