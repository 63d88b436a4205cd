/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/bus-callers.h"

#include "basic/log.h"
#include "bus/call.h"

#include <errno.h>

typedef struct Sender Sender;

struct Callers {
        Connection *connection;
        GHashTable *senders;   /* by unique name; NULL on a direct connection */
        Sender *direct;        /* NULL on a bus */
        const char *vanishing; /* the name of who is just being freed */
        bool all_vanish;
        unsigned n_asking; /* senders */
};

struct Sender {
        Callers *callers;
        char *name;
        Caller *caller;      /* NULL: not known yet */
        sd_bus_slot *asking; /* who it is */
        GQueue held;         /* of sd_bus_message */
        size_t held_size;
        bool earlier; /* the daemon before knew it */
};

static void message_unref(void *message) {
        sd_bus_message_unref(message);
}

static void sender_asked(Sender *sender) {
        if (sender->asking)
                sender->callers->n_asking--;
        sender->asking = sd_bus_slot_unref(sender->asking);
}

static void sender_free(void *data) {
        Sender *sender = data;

        sender_asked(sender);
        g_queue_clear_full(&sender->held, message_unref);
        caller_free(sender->caller);
        g_free(sender->name);
        g_free(sender);
}

static Sender *sender_new(Callers *callers, const char *name) {
        Sender *sender = g_new0(Sender, 1);

        sender->callers = callers;
        sender->name = g_strdup(name);
        g_queue_init(&sender->held);
        return sender;
}

static void callers_forget(Callers *callers, const char *name) {
        callers->vanishing = name;
        g_hash_table_remove(callers->senders, name);
        callers->vanishing = NULL;
}

bool callers_hold(const Callers *callers) {
        return callers->n_asking > 0;
}

bool callers_vanishing(const Callers *callers, const char *name) {
        return callers->all_vanish || (name && !g_strcmp0(callers->vanishing, name));
}

Connection *caller_connection(const Caller *caller) {
        const Sender *sender = caller->userdata;

        return sender->callers->connection;
}

/* Bytes of strings and arrays from the current place of MESSAGE to the end of the container: what dwarfs the rest. */
static int measure(sd_bus_message *message, size_t *bytes) {
        const char *contents;
        char type;
        int r;

        while ((r = sd_bus_message_peek_type(message, &type, &contents)) > 0) {
                const void *data;
                size_t size;

                if (strchr("sog", type)) {
                        const char *string;

                        r = sd_bus_message_read_basic(message, type, &string);
                        *bytes += r > 0 ? strlen(string) : 0;
                } else if (type == 'a' && g_str_equal(contents, "y")) {
                        r = sd_bus_message_read_array(message, 'y', &data, &size);
                        *bytes += r > 0 ? size : 0;
                } else if (strchr("avre", type)) {
                        r = sd_bus_message_enter_container(message, type, contents);
                        if (r > 0)
                                r = measure(message, bytes);
                        if (r >= 0)
                                r = sd_bus_message_exit_container(message);
                } else {
                        *bytes += sizeof(uint64_t);
                        r = sd_bus_message_skip(message, (char[]){ type, 0 });
                }
                if (r < 0)
                        return r;
        }
        return r;
}

static int message_size(sd_bus_message *message, size_t *ret) {
        int r = measure(message, ret);

        if (r < 0)
                return r;
        return sd_bus_message_rewind(message, true);
}

static void refuse_held(Sender *sender, const PlugindError *error) {
        sd_bus_message *message;

        while ((message = g_queue_pop_head(&sender->held))) {
                call_refuse(message, error);
                sd_bus_message_unref(message);
        }
}

static int credentials_read(sd_bus_message *reply, uid_t *ret) {
        const char *key;
        bool found = false;
        int r = sd_bus_message_enter_container(reply, 'a', "{sv}");

        while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
                uint32_t uid;

                r = sd_bus_message_read_basic(reply, 's', &key);
                if (r >= 0 && g_str_equal(key, "UnixUserID")) {
                        r = sd_bus_message_read(reply, "v", "u", &uid);
                        if (r >= 0)
                                *ret = uid;
                        found = r >= 0;
                } else if (r >= 0)
                        r = sd_bus_message_skip(reply, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(reply);
        }
        return r < 0 ? r : found ? 0 : -ENODATA;
}

static int credentials_known(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Sender *sender = userdata;
        Callers *callers = sender->callers;
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        sd_bus_message *message;
        uid_t uid = (uid_t) -1;
        int r;

        sender_asked(sender);
        r = e ? -sd_bus_message_get_errno(reply) : credentials_read(reply, &uid);
        if (r >= 0)
                r = caller_new(sender->name, uid, sender, &sender->caller);
        if (r < 0) {
                if (!e || !sd_bus_error_has_name(e, SD_BUS_ERROR_NAME_HAS_NO_OWNER))
                        plugind_error_set(&error, PLUGIND_ERROR_ACCESS_DENIED, "the bus does not say who %s is: %s", sender->name,
                                          e && e->message ? e->message : g_strerror(-r));
                if (error.code != PLUGIND_ERROR_NONE)
                        refuse_held(sender, &error);
                callers_forget(callers, sender->name);
                return 0;
        }
        sender->held_size = 0;
        while ((message = g_queue_pop_head(&sender->held))) {
                call_dispatch(callers->connection, message);
                sd_bus_message_unref(message);
        }
        return 0;
}

static int sender_ask(Sender *sender) {
        int r = sd_bus_call_method_async(sender->callers->connection->sd_bus, &sender->asking, "org.freedesktop.DBus",
                                         "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionCredentials", credentials_known,
                                         sender, "s", sender->name);

        if (r >= 0)
                sender->callers->n_asking++;
        return r;
}

static int sender_hold(Sender *sender, sd_bus_message *message, PlugindError *error) {
        size_t size = CALLER_HELD_OVERHEAD;
        int r = message_size(message, &size);

        if (r < 0)
                return r;
        if (size > CALLER_HELD_MAX - sender->held_size)
                return plugind_error_set(error, PLUGIND_ERROR_LIMITS_EXCEEDED,
                                         "%s sends too much before the bus has told who it is: expected at most %u bytes", sender->name,
                                         CALLER_HELD_MAX);
        sender->held_size += size;
        g_queue_push_tail(&sender->held, sd_bus_message_ref(message));
        return 0;
}

int callers_admit(Callers *callers, sd_bus_message *message, bool anybody, Caller **ret, PlugindError *error) {
        const char *name = callers->direct ? callers->direct->name : sd_bus_message_get_sender(message);
        Sender *sender = callers->direct ?: name ? g_hash_table_lookup(callers->senders, name) : NULL;
        int r;

        if (sender && sender->caller) {
                *ret = sender->caller;
                return 1;
        }
        if (!sender && anybody) {
                *ret = NULL;
                return 1;
        }
        if (!name)
                return plugind_error_set(error, PLUGIND_ERROR_ACCESS_DENIED, "a message without a sender");
        if (!sender) {
                sender = sender_new(callers, name);
                g_hash_table_insert(callers->senders, sender->name, sender);
                r = sender_ask(sender);
                if (r < 0) {
                        callers_forget(callers, name);
                        return r;
                }
        }
        return sender_hold(sender, message, error);
}

Caller *callers_find(Callers *callers, const char *name, uid_t uid) {
        Sender *sender = g_hash_table_lookup(callers->senders, name);

        if (!sender) {
                sender = sender_new(callers, name);
                sender->earlier = true;
                g_hash_table_insert(callers->senders, sender->name, sender);
                (void) caller_new(name, uid, sender, &sender->caller);
        }
        return sender->caller;
}

void callers_forget_absent(Callers *callers, char *const *present) {
        g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
        g_autoptr(GPtrArray) absent = g_ptr_array_new();
        GHashTableIter iter;
        void *value;

        for (; present && *present; present++)
                g_hash_table_add(names, *present);
        g_hash_table_iter_init(&iter, callers->senders);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                const Sender *sender = value;

                if (sender->earlier && !g_hash_table_contains(names, sender->name))
                        g_ptr_array_add(absent, sender->name);
        }
        for (unsigned i = 0; i < absent->len; i++)
                callers_forget(callers, absent->pdata[i]);
}

static int name_vanished(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Callers *callers = userdata;
        const char *name;
        int r = sd_bus_message_read(message, "s", &name);

        if (r < 0)
                return r;
        callers_forget(callers, name);
        return 0;
}

int callers_new(Connection *connection, Callers **ret) {
        Callers *callers = g_new0(Callers, 1);
        int r;

        callers->connection = connection;
        callers->senders = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, sender_free);
        r = sd_bus_add_match(connection->sd_bus, NULL,
                             "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                             "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg2=''",
                             name_vanished, callers);
        if (r < 0) {
                callers_free(callers);
                return r;
        }
        *ret = callers;
        return 0;
}

int callers_new_direct(Connection *connection, const char *name, uid_t uid, Callers **ret) {
        Callers *callers = g_new0(Callers, 1);
        int r;

        callers->connection = connection;
        callers->direct = sender_new(callers, name);
        r = caller_new(name, uid, callers->direct, &callers->direct->caller);
        if (r < 0) {
                callers_free(callers);
                return r;
        }
        *ret = callers;
        return 0;
}

Callers *callers_free(Callers *callers) {
        if (!callers)
                return NULL;
        callers->all_vanish = true;
        if (callers->direct)
                sender_free(callers->direct);
        else
                g_hash_table_unref(callers->senders);
        g_free(callers);
        return NULL;
}
