/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/bus.h"

#include "basic/log.h"
#include "bus/connection.h"
#include "bus/direct.h"

#include <errno.h>
#include <glib.h>

Connection *connection_current(sd_bus *sd_bus) {
        return sd_bus_slot_get_userdata(sd_bus_get_current_slot(sd_bus));
}

char *session_path(const Session *session) {
        char *path = NULL;

        (void) sd_bus_path_encode(SESSION_PREFIX, session->id, &path);
        return path;
}

Session *session_at(Bus *bus, const char *path) {
        const char *label = g_str_has_prefix(path, SESSION_PREFIX "/") ? path + strlen(SESSION_PREFIX "/") : NULL;
        g_autofree char *id = NULL;

        if (!bus->host || !label)
                return NULL;
        if (!strpbrk(label, "_/")) /* nothing is escaped, as in most: this is done for every call */
                return host_find(bus->host, label);
        return sd_bus_path_decode(path, SESSION_PREFIX, &id) > 0 ? host_find(bus->host, id) : NULL;
}

static int session_find(sd_bus *sd_bus, const char *path, const char *interface, void *userdata, void **ret, sd_bus_error *error) {
        Connection *connection = userdata;
        Session *session = session_at(connection->bus, path);

        if (!session)
                return 0;
        *ret = session;
        return 1;
}

typedef struct Paths {
        char **paths;
        size_t n;
} Paths;

static void paths_add(Session *session, void *userdata) {
        Paths *paths = userdata;
        char *path = session_path(session);

        if (path)
                paths->paths[paths->n++] = path;
}

/* sd-bus frees the paths with free(), which is what g_new() takes from. */
static int session_enumerate(sd_bus *sd_bus, const char *prefix, void *userdata, char ***ret, sd_bus_error *error) {
        Connection *connection = userdata;
        Paths paths = {};

        if (!connection->bus->host)
                return 0;
        paths.paths = g_new0(char *, host_n_sessions(connection->bus->host) + 1);
        host_foreach(connection->bus->host, paths_add, &paths);
        *ret = paths.paths;
        return 0;
}

/* Of a queue that shrinks those that are left are taken for as large as the rest: a slow reader is not charged for what it has read. */
uint64_t connection_unwritten(Connection *connection, size_t size) {
        uint64_t messages = 0;

        (void) sd_bus_get_n_queued_write(connection->sd_bus, &messages);
        if (messages < connection->queued)
                connection->unwritten = (size_t) (connection->unwritten * messages / connection->queued);
        connection->unwritten = messages == 0 ? 0 : connection->unwritten + size;
        connection->queued = messages;
        return messages;
}

Connection *connection_ref(Connection *connection) {
        connection->n_ref++;
        return connection;
}

Connection *connection_unref(Connection *connection) {
        if (!connection || --connection->n_ref > 0)
                return NULL;
        connection_end(connection);
        sd_bus_unref(connection->sd_bus);
        g_free(connection);
        return NULL;
}

void connection_end(Connection *connection) {
        connection->ended = true;
        list_unlink(&connection->connections);
        connection->callers = callers_free(connection->callers);
}

int connection_new(Bus *bus, sd_bus *sd_bus, Connection **ret) {
        g_autoptr(Connection) connection = g_new0(Connection, 1);
        int r;

        connection->n_ref = 1;
        connection->bus = bus;
        connection->sd_bus = sd_bus_ref(sd_bus);
        r = sd_bus_add_object_vtable(sd_bus, NULL, HOST_PATH, HOST_INTERFACE, host_vtable, connection);
        if (r < 0)
                return r;
        r = sd_bus_add_fallback_vtable(sd_bus, NULL, SESSION_PREFIX, SESSION_INTERFACE, session_vtable, session_find, connection);
        if (r < 0)
                return r;
        r = sd_bus_add_node_enumerator(sd_bus, NULL, SESSION_PREFIX, session_enumerate, connection);
        if (r < 0)
                return r;
        r = sd_bus_add_object_manager(sd_bus, NULL, HOST_PATH);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&connection);
        return 0;
}

int bus_serve(Bus *bus, sd_bus *sd_bus) {
        g_autoptr(Connection) connection = NULL;
        int r = connection_new(bus, sd_bus, &connection);

        if (r >= 0)
                r = callers_new(connection, &connection->callers);
        if (r < 0)
                return r;
        list_append(&bus->connections, &g_steal_pointer(&connection)->connections);
        return 0;
}

int bus_new(const BusConfig *config, Bus **ret) {
        Bus *bus = g_new0(Bus, 1);
        int r;

        bus->config = *config;
        bus->host = config->host;
        bus->started_at = (uint64_t) g_get_real_time();
        list_init(&bus->connections);
        r = signal_queue_new(bus, &bus->signals);
        if (r < 0) {
                bus_free(bus);
                return r;
        }
        *ret = bus;
        return 0;
}

void bus_close(Bus *bus) {
        static const Hooks none = {};

        if (!bus || !bus->host)
                return;
        host_set_hooks(bus->host, &none);
        bus->direct = direct_free(bus->direct);
        list_foreach(node, &bus->connections) {
                Connection *connection = list_entry(node, Connection, connections);

                connection->callers = callers_free(connection->callers);
        }
        bus->host = NULL;
}

Bus *bus_free(Bus *bus) {
        if (!bus)
                return NULL;
        bus_close(bus);
        sd_event_source_disable_unref(bus->draining);
        list_foreach(node, &bus->connections)
                connection_unref(list_entry(node, Connection, connections));
        signal_queue_free(bus->signals);
        g_free(bus);
        return NULL;
}

bool bus_busy(const Bus *bus) {
        list_foreach(node, &bus->connections) {
                const Connection *connection = list_entry(node, Connection, connections);

                if (connection->direct || (connection->callers && callers_hold(connection->callers)))
                        return true;
        }
        return false;
}

int bus_listen(Bus *bus, int fd) {
        int r = bus->direct ? 0 : direct_new(bus, &bus->direct);

        return r < 0 ? r : direct_listen(bus->direct, fd);
}

void bus_stop_listening(Bus *bus) {
        if (bus->direct)
                direct_stop_listening(bus->direct);
}

/* All is done that was asked for, and written: but for those who do not read. */
static bool all_answered(const Bus *bus) {
        if (bus->n_kept > 0)
                return false;
        list_foreach(node, &bus->connections) {
                const Connection *connection = list_entry(node, Connection, connections);
                uint64_t queued = 0;

                if (connection->callers && callers_hold(connection->callers))
                        return false;
                (void) sd_bus_get_n_queued_write(connection->sd_bus, &queued);
                if (queued > 0 && connection_counts(connection))
                        return false;
        }
        return true;
}

/* A post source runs after whatever else has run, sd-bus' own writing too. */
static int on_turn(sd_event_source *source, void *userdata) {
        Bus *bus = userdata;

        if (!all_answered(bus))
                return 0;
        bus->draining = sd_event_source_disable_unref(bus->draining);
        bus->drained(bus->drained_userdata);
        return 0;
}

/* Run once at once, lest nothing else happens. */
static int on_defer(sd_event_source *source, void *userdata) {
        return 0;
}

void bus_when_drained(Bus *bus, void (*drained)(void *userdata), void *userdata) {
        sd_event_source *turn = NULL;
        int r;

        bus->draining = sd_event_source_disable_unref(bus->draining);
        bus->drained = drained;
        bus->drained_userdata = userdata;
        r = sd_event_add_post(bus->config.event, &bus->draining, on_turn, bus);
        if (r >= 0)
                r = sd_event_add_defer(bus->config.event, &turn, on_defer, NULL);
        if (r >= 0)
                r = sd_event_source_set_floating(turn, true);
        sd_event_source_unref(turn);
        if (r < 0) {
                errno = -r;
                log_error("Cannot wait for the bus to take what was sent: %m");
                bus->draining = sd_event_source_disable_unref(bus->draining);
                drained(userdata);
        }
}
