/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/signal-queue.h"

#include "basic/log.h"
#include "bus/connection.h"
#include "bus/direct.h"
#include "bus/owed.h"

#include <errno.h>

/* Of a direct connection: above one of the first two plugins are not read; below the third they are again. */
#define UNREAD_MESSAGES_MAX 512
#define UNREAD_BYTES_MAX (16 * 1024 * 1024)
#define UNREAD_MESSAGES_FEW 64

struct SignalQueue {
        Bus *bus;
        GHashTable *changed; /* path -> bits of SessionProperty */
        Owed *owed;          /* what came up while held */
        sd_event_source *flush, *turn;
        bool congested;
        bool held; /* nothing is told to all: it is owed */
};

static const struct {
        uint32_t bit;
        const char *name;
} property_names[] = {
        { SESSION_PROPERTY_NAME, "Name" },
        { SESSION_PROPERTY_VERSION, "Version" },
        { SESSION_PROPERTY_DESCRIPTION, "Description" },
        { SESSION_PROPERTY_TYPE, "Type" },
        { SESSION_PROPERTY_DIALECT, "Dialect" },
        { SESSION_PROPERTY_MANIFEST, "Manifest" },
        { SESSION_PROPERTY_SUPERVISED, "Supervised" },
        { SESSION_PROPERTY_DESIRED_STATE, "DesiredState" },
        { SESSION_PROPERTY_REPORTED_STATE, "ReportedState" },
        { SESSION_PROPERTY_ERROR, "ErrorMessage" },
        { SESSION_PROPERTY_ERROR, "ErrorDetails" },
        { SESSION_PROPERTY_STARTED_AT, "StartedAt" },
        { SESSION_PROPERTY_STATE_CHANGED_AT, "StateChangedAt" },
        { SESSION_PROPERTY_MAIN_PID, "MainPID" },
        { SESSION_PROPERTY_RESTARTS, "Restarts" },
        { SESSION_PROPERTY_UNIT, "Unit" },
        { SESSION_PROPERTY_GREETING, "Greeting" },
};

#define connections_foreach(connection, queue)                                                                                             \
        list_foreach(node, &(queue)->bus->connections)                                                                                     \
                for (Connection *connection = list_entry(node, Connection, connections); connection; connection = NULL)

/* Those that want what is told to all. */
#define hearers_foreach(connection, queue) connections_foreach(connection, queue) if (connection_hears(connection))

static void check(int r, const char *what, const char *path) {
        if (r < 0) {
                errno = -r;
                log_warning("Cannot send %s of %s: %m", what, path);
        }
}

static void emit_changed(SignalQueue *queue, const char *path, uint32_t bits) {
        char *names[G_N_ELEMENTS(property_names) + 1] = {};
        size_t n = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(property_names); i++)
                if (bits & property_names[i].bit)
                        names[n++] = (char *) property_names[i].name;
        hearers_foreach(connection, queue) {
                check(sd_bus_emit_properties_changed_strv(connection->sd_bus, path, SESSION_INTERFACE, names), "PropertiesChanged", path);
                signal_queue_sent(queue, connection, 0);
        }
}

void signal_queue_flush(SignalQueue *queue, const char *path) {
        void *bits;

        if (queue->held || g_hash_table_size(queue->changed) == 0 || !g_hash_table_lookup_extended(queue->changed, path, NULL, &bits))
                return;
        emit_changed(queue, path, GPOINTER_TO_UINT(bits));
        g_hash_table_remove(queue->changed, path);
}

static int on_flush(sd_event_source *source, void *userdata) {
        SignalQueue *queue = userdata;
        GHashTableIter iter;
        void *path, *bits;

        if (queue->held) /* and may be killed before it is told */
                (void) bus_store_owed(queue->bus);
        if (queue->held || queue->congested)
                return 0;
        g_hash_table_iter_init(&iter, queue->changed);
        while (!queue->congested && g_hash_table_iter_next(&iter, &path, &bits)) {
                emit_changed(queue, path, GPOINTER_TO_UINT(bits));
                g_hash_table_iter_remove(&iter);
        }
        return 0;
}

/* Whether plugins wait for it; they have done so before, or have not. */
static bool clogged(Connection *connection, size_t size, bool before) {
        uint64_t messages = connection_unwritten(connection, size);

        if (!connection_counts(connection))
                return false;
        if (!connection->direct)
                return messages > 0;
        return messages > (before ? UNREAD_MESSAGES_FEW : UNREAD_MESSAGES_MAX) || connection->unwritten > UNREAD_BYTES_MAX;
}

static bool drained(SignalQueue *queue) {
        connections_foreach(connection, queue) if (clogged(connection, 0, true)) return false;
        return true;
}

/* A post source runs after whatever else has run, sd-bus' own writing too. */
static int on_turn(sd_event_source *source, void *userdata) {
        SignalQueue *queue = userdata;

        if (!queue->congested || !drained(queue))
                return 0;
        queue->congested = false;
        (void) sd_event_source_set_enabled(queue->turn, SD_EVENT_OFF);
        if (!queue->held)
                (void) sd_event_source_set_enabled(queue->flush, SD_EVENT_ONESHOT);
        if (queue->bus->host)
                host_pause(queue->bus->host, false);
        return 0;
}

void signal_queue_sent(SignalQueue *queue, Connection *connection, size_t size) {
        bool clog = clogged(connection, size, false);

        if (connection->direct)
                direct_sent(connection->direct);
        if (!clog || queue->congested)
                return;
        queue->congested = true;
        log_debug("%s is slow: %" G_GUINT64_FORMAT " messages wait; plugins are not heard until it has taken them",
                  connection->direct ? "A direct connection" : "The bus", connection->queued);
        (void) sd_event_source_set_enabled(queue->turn, SD_EVENT_ON);
        if (queue->bus->host)
                host_pause(queue->bus->host, true);
}

/* Something is owed that the store does not know of. */
static void owes(SignalQueue *queue) {
        (void) sd_event_source_set_enabled(queue->flush, SD_EVENT_ONESHOT);
}

static void properties_changed(Session *session, uint32_t properties, void *userdata) {
        SignalQueue *queue = userdata;
        g_autofree char *path = session_path(session);
        uint32_t bits = GPOINTER_TO_UINT(g_hash_table_lookup(queue->changed, path)) | properties;

        g_hash_table_insert(queue->changed, g_steal_pointer(&path), GUINT_TO_POINTER(bits));
        if (!queue->congested)
                (void) sd_event_source_set_enabled(queue->flush, SD_EVENT_ONESHOT);
}

static void emit_session_new(SignalQueue *queue, const char *id, const char *path) {
        hearers_foreach(connection, queue) {
                check(sd_bus_emit_object_added(connection->sd_bus, path), "InterfacesAdded", path);
                check(sd_bus_emit_signal(connection->sd_bus, HOST_PATH, HOST_INTERFACE, "SessionNew", "so", id, path), "SessionNew", path);
                signal_queue_sent(queue, connection, 0);
        }
}

static void session_new(Session *session, void *userdata) {
        SignalQueue *queue = userdata;
        g_autofree char *path = session_path(session);

        if (queue->held) {
                owed_add(queue->owed, "SessionNew", session->id, NULL);
                owes(queue);
                return;
        }
        host_flush(queue->bus->host);
        emit_session_new(queue, session->id, path);
}

/* By their names, since an object that is gone has none. */
static int emit_interfaces_removed(sd_bus *sd_bus, const char *path) {
        return sd_bus_emit_interfaces_removed(sd_bus, path, SESSION_INTERFACE, "org.freedesktop.DBus.Peer",
                                              "org.freedesktop.DBus.Introspectable", "org.freedesktop.DBus.Properties", NULL);
}

static void emit_session_removed(SignalQueue *queue, const char *id, const char *path, const char *reason) {
        hearers_foreach(connection, queue) {
                check(sd_bus_emit_signal(connection->sd_bus, HOST_PATH, HOST_INTERFACE, "SessionRemoved", "sos", id, path, reason),
                      "SessionRemoved", path);
                check(emit_interfaces_removed(connection->sd_bus, path), "InterfacesRemoved", path);
                signal_queue_sent(queue, connection, 0);
        }
}

static void session_removed(Session *session, const char *reason, void *userdata) {
        SignalQueue *queue = userdata;
        g_autofree char *path = session_path(session);

        if (queue->held) {
                g_hash_table_remove(queue->changed, path);
                owed_add(queue->owed, "SessionRemoved", session->id, reason, NULL);
                owes(queue);
                return;
        }
        signal_queue_flush(queue, path);
        emit_session_removed(queue, session->id, path, reason);
}

static void emit_state_changed(SignalQueue *queue, const char *path, const char *new_state, const char *old_state, const char *reason) {
        hearers_foreach(connection, queue) {
                check(sd_bus_emit_signal(connection->sd_bus, path, SESSION_INTERFACE, "StateChanged", "sss", new_state, old_state, reason),
                      "StateChanged", path);
                signal_queue_sent(queue, connection, 0);
        }
}

static void state_changed(Session *session, const char *new_state, const char *old_state, const char *reason, void *userdata) {
        SignalQueue *queue = userdata;
        g_autofree char *path = session_path(session);

        if (queue->held) {
                owed_add(queue->owed, "StateChanged", session->id, new_state, old_state, reason, NULL);
                owes(queue);
        } else
                emit_state_changed(queue, path, new_state, old_state, reason);
}

static void emit_ended(SignalQueue *queue, const char *path, const char *reason, int32_t status) {
        hearers_foreach(connection, queue) {
                check(sd_bus_emit_signal(connection->sd_bus, path, SESSION_INTERFACE, "Ended", "si", reason, status), "Ended", path);
                signal_queue_sent(queue, connection, 0);
        }
}

static void ended(Session *session, const char *reason, int status, void *userdata) {
        SignalQueue *queue = userdata;
        g_autofree char *path = session_path(session);
        g_autofree char *number = NULL;

        if (queue->held) {
                number = g_strdup_printf("%i", status);
                owed_add(queue->owed, "Ended", session->id, reason, number, NULL);
                owes(queue);
        } else
                emit_ended(queue, path, reason, status);
}

static int notify(Connection *connection, const char *path, const Caller *caller, const char *request, const char *method,
                  JsonRange params) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *signal = NULL;
        char *space;
        int r = sd_bus_message_new_signal(connection->sd_bus, &signal, path, SESSION_INTERFACE, "Notification");

        if (r < 0)
                return r;
        r = sd_bus_message_set_destination(signal, caller->name);
        if (r < 0)
                return r;
        r = sd_bus_message_append(signal, "ss", request, method);
        if (r < 0)
                return r;
        r = sd_bus_message_append_string_space(signal, params.size, &space);
        if (r < 0)
                return r;
        if (params.size > 0)
                memcpy(space, params.data, params.size);
        return sd_bus_send(connection->sd_bus, signal, NULL);
}

static void notification(Session *session, Caller *caller, const char *request, const char *method, JsonRange params, void *userdata) {
        SignalQueue *queue = userdata;
        Connection *connection = caller_connection(caller);
        g_autofree char *path = session_path(session);

        check(notify(connection, path, caller, request, method, params), "Notification", path);
        signal_queue_sent(queue, connection, params.size);
}

/* -- what is owed -- */

void signal_queue_hold(SignalQueue *queue) {
        (void) on_flush(NULL, queue);
        queue->held = true;
        (void) sd_event_source_set_enabled(queue->flush, SD_EVENT_OFF);
}

void signal_queue_owe(SignalQueue *queue, const char *text, size_t size) {
        owed_read(queue->owed, text, size);
}

static void owe_changed(SignalQueue *queue, const char *path, uint32_t bits) {
        const Session *session = session_at(queue->bus, path);
        const char *names[G_N_ELEMENTS(property_names) + 1] = {};
        size_t n = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(property_names); i++)
                if (bits & property_names[i].bit)
                        names[n++] = property_names[i].name;
        if (session)
                owed_addv(queue->owed, "PropertiesChanged", session->id, names);
}

char *signal_queue_owed(SignalQueue *queue) {
        GHashTableIter iter;
        void *path, *bits;

        g_hash_table_iter_init(&iter, queue->changed);
        while (g_hash_table_iter_next(&iter, &path, &bits)) {
                owe_changed(queue, path, GPOINTER_TO_UINT(bits));
                g_hash_table_iter_remove(&iter);
        }
        return owed_is_empty(queue->owed) ? NULL : owed_write(queue->owed);
}

static uint32_t property_bits(char *const *names) {
        uint32_t bits = 0;

        for (; *names; names++)
                for (size_t i = 0; i < G_N_ELEMENTS(property_names); i++)
                        if (g_str_equal(*names, property_names[i].name))
                                bits |= property_names[i].bit;
        return bits;
}

static bool is_number(const char *text, int32_t *ret) {
        gint64 number;

        if (!g_ascii_string_to_signed(text, 10, INT32_MIN, INT32_MAX, &number, NULL))
                return false;
        *ret = (int32_t) number;
        return true;
}

/* Of a session that is gone only its end is still told. */
static bool pay(const char *member, const char *id, char *const *arguments, void *userdata) {
        SignalQueue *queue = userdata;
        size_t n = g_strv_length((char **) arguments);
        Session *session = plugin_id_valid(id) ? host_find(queue->bus->host, id) : NULL;
        g_autofree char *path = NULL;
        int32_t status = 0;

        if (!plugin_id_valid(id) || sd_bus_path_encode(SESSION_PREFIX, id, &path) < 0)
                return false;
        if (g_str_equal(member, "SessionRemoved") && n == 1)
                emit_session_removed(queue, id, path, arguments[0]);
        else if (g_str_equal(member, "SessionNew") && n == 0) {
                if (session)
                        emit_session_new(queue, id, path);
        } else if (g_str_equal(member, "StateChanged") && n == 3) {
                if (session)
                        emit_state_changed(queue, path, arguments[0], arguments[1], arguments[2]);
        } else if (g_str_equal(member, "Ended") && n == 2 && is_number(arguments[1], &status)) {
                if (session)
                        emit_ended(queue, path, arguments[0], status);
        } else if (g_str_equal(member, "PropertiesChanged")) {
                if (session)
                        properties_changed(session, property_bits(arguments), queue);
        } else
                return false;
        return true;
}

void signal_queue_pay(SignalQueue *queue) {
        queue->held = false;
        owed_pay(queue->owed, pay, queue);
        if (g_hash_table_size(queue->changed) > 0 && !queue->congested)
                (void) sd_event_source_set_enabled(queue->flush, SD_EVENT_ONESHOT);
        host_pause(queue->bus->host, queue->congested);
}

void signal_queue_hooks(SignalQueue *queue, Hooks *hooks) {
        *hooks = (Hooks){
                .session_new = session_new,
                .session_removed = session_removed,
                .state_changed = state_changed,
                .ended = ended,
                .notification = notification,
                .properties_changed = properties_changed,
                .userdata = queue,
        };
}

int signal_queue_new(Bus *bus, SignalQueue **ret) {
        SignalQueue *queue = g_new0(SignalQueue, 1);
        int r;

        queue->bus = bus;
        queue->changed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        queue->owed = owed_new();
        r = sd_event_add_defer(bus->config.event, &queue->flush, on_flush, queue);
        if (r >= 0)
                r = sd_event_source_set_enabled(queue->flush, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_post(bus->config.event, &queue->turn, on_turn, queue);
        if (r >= 0)
                r = sd_event_source_set_enabled(queue->turn, SD_EVENT_OFF);
        if (r < 0) {
                signal_queue_free(queue);
                return r;
        }
        *ret = queue;
        return 0;
}

SignalQueue *signal_queue_free(SignalQueue *queue) {
        if (!queue)
                return NULL;
        sd_event_source_disable_unref(queue->flush);
        sd_event_source_disable_unref(queue->turn);
        g_hash_table_unref(queue->changed);
        owed_free(queue->owed);
        g_free(queue);
        return NULL;
}
