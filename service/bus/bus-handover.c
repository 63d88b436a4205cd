/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From one daemon to the next: who calls, and what all have still to be told.
 *
 * Signals that are sent once the name is released pass by those who listen to that name. So the next daemon sends them, once it has it.
 */
#include "basic/log.h"
#include "bus/connection.h"
#include "bus/direct.h"
#include "store/store.h"

#include <errno.h>
#include <string.h>

#define KEY_BUS "bus"
#define KEY_OWED "owed"

/* The message bus; NULL if there is none. */
static Connection *message_bus(const Bus *bus) {
        list_foreach(node, &bus->connections) {
                Connection *connection = list_entry(node, Connection, connections);

                if (!connection->direct)
                        return connection;
        }
        return NULL;
}

Caller *bus_find_caller(const char *name, uid_t uid, void *userdata) {
        Connection *connection = message_bus(userdata);

        g_assert(connection);
        return callers_find(connection->callers, name, uid);
}

/* Which bus this is: unique names of another one are somebody else's. Newly allocated. */
static int get_bus_id(sd_bus *sd_bus, char **ret) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = NULL;
        const char *id;
        int r = sd_bus_call_method(sd_bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId", NULL, &reply,
                                   "");

        if (r >= 0)
                r = sd_bus_message_read_basic(reply, 's', &id);
        if (r >= 0)
                *ret = g_strdup(id);
        return r;
}

static bool store_has(Store *store, const char *key, const char *text) {
        size_t size = 0;
        const char *found = store_get(store, key, &size);

        return found && size == strlen(text) && memcmp(found, text, size) == 0;
}

int bus_forget_absent(Bus *bus) {
        Connection *connection = message_bus(bus);
        Store *store = bus->config.store;
        g_autofree char *id = NULL;
        char **names = NULL;
        int r = 0;

        if (!connection || !store)
                return 0;
        r = get_bus_id(connection->sd_bus, &id);
        if (r >= 0 && store_has(store, KEY_BUS, id))
                r = sd_bus_list_names(connection->sd_bus, &names, NULL);
        if (r < 0) {
                errno = -r;
                log_warning("The bus does not say who is on it, so nobody is known from before: %m");
        }
        callers_forget_absent(connection->callers, names);
        g_strfreev(names);
        /* Not before: the callers of that other bus must not be taken for those of this one. */
        host_flush(bus->host);
        if (id)
                store_set(store, KEY_BUS, id, strlen(id));
        else
                store_remove(store, KEY_BUS);
        return r;
}

void bus_hold(Bus *bus) {
        signal_queue_hold(bus->signals);
        bus->held = true;
        if (bus->direct)
                direct_hold(bus->direct);
}

bool bus_store_owed(Bus *bus) {
        g_autofree char *owed = signal_queue_owed(bus->signals);

        if (owed && bus->config.store)
                store_set(bus->config.store, KEY_OWED, owed, strlen(owed));
        return owed;
}

void bus_start_signals(Bus *bus) {
        size_t size = 0;
        const char *text = bus->config.store ? store_get(bus->config.store, KEY_OWED, &size) : NULL;

        if (text)
                signal_queue_owe(bus->signals, text, size);
        signal_queue_hooks(bus->signals, &bus->hooks);
        host_set_hooks(bus->host, &bus->hooks);
}

void bus_pay(Bus *bus) {
        bus->held = false;
        signal_queue_pay(bus->signals);
        if (bus->config.store)
                store_remove(bus->config.store, KEY_OWED);
}
