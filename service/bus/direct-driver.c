/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The interface of a message bus on a direct connection. Libraries that connect to an address say Hello, add matches and ask who owns a name
 * before they do anything else. On this bus there are three: org.freedesktop.DBus, plugind and the caller.
 */
#include "bus/direct-peer.h"

#include <errno.h>
#include <unistd.h>

#define DRIVER_NAME "org.freedesktop.DBus"
#define DRIVER_PATH "/org/freedesktop/DBus"
#define MATCHES_MAX 1024
#define RULE_BYTES_MAX 1024
#define START_REPLY_ALREADY_RUNNING 2

/* Whoever owns NAME; NULL if nobody does. */
static const char *owner_of(const DirectPeer *peer, const char *name) {
        if (g_str_equal(name, BUS_NAME) || g_str_equal(name, DIRECT_NAME))
                return DIRECT_NAME;
        if (g_str_equal(name, DRIVER_NAME))
                return DRIVER_NAME;
        return g_str_equal(name, peer->name) ? peer->name : NULL;
}

static int read_owner(const DirectPeer *peer, sd_bus_message *message, const char **ret, sd_bus_error *error) {
        const char *name;
        int r = sd_bus_message_read_basic(message, 's', &name);

        if (r < 0)
                return r;
        *ret = owner_of(peer, name);
        if (!*ret)
                return sd_bus_error_setf(error, SD_BUS_ERROR_NAME_HAS_NO_OWNER, "Only plugind is on this connection, not %s", name);
        return 0;
}

static int method_hello(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const DirectPeer *peer = userdata;

        return sd_bus_reply_method_return(message, "s", peer->name);
}

static int method_add_match(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        DirectPeer *peer = userdata;
        const char *rule;
        int r = sd_bus_message_read_basic(message, 's', &rule);

        if (r < 0)
                return r;
        if (peer->n_matches >= MATCHES_MAX || strlen(rule) > RULE_BYTES_MAX)
                return sd_bus_error_setf(error, SD_BUS_ERROR_LIMITS_EXCEEDED, "At most %i matches of %i bytes are kept", MATCHES_MAX,
                                         RULE_BYTES_MAX);
        peer->n_matches++;
        g_hash_table_insert(peer->matches, g_strdup(rule),
                            GUINT_TO_POINTER(GPOINTER_TO_UINT(g_hash_table_lookup(peer->matches, rule)) + 1));
        return sd_bus_reply_method_return(message, "");
}

static int method_remove_match(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        DirectPeer *peer = userdata;
        const char *rule;
        unsigned n;
        int r = sd_bus_message_read_basic(message, 's', &rule);

        if (r < 0)
                return r;
        n = GPOINTER_TO_UINT(g_hash_table_lookup(peer->matches, rule));
        if (n == 0)
                return sd_bus_error_setf(error, SD_BUS_ERROR_MATCH_RULE_NOT_FOUND, "There is no such match: %s", rule);
        peer->n_matches--;
        if (n > 1)
                g_hash_table_insert(peer->matches, g_strdup(rule), GUINT_TO_POINTER(n - 1));
        else
                g_hash_table_remove(peer->matches, rule);
        return sd_bus_reply_method_return(message, "");
}

static int method_get_name_owner(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *owner;
        int r = read_owner(userdata, message, &owner, error);

        return r < 0 ? r : sd_bus_reply_method_return(message, "s", owner);
}

static int method_name_has_owner(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *name;
        int r = sd_bus_message_read_basic(message, 's', &name);

        return r < 0 ? r : sd_bus_reply_method_return(message, "b", owner_of(userdata, name) != NULL);
}

static int method_list_names(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const DirectPeer *peer = userdata;

        return sd_bus_reply_method_return(message, "as", 4, DRIVER_NAME, BUS_NAME, DIRECT_NAME, peer->name);
}

static int method_list_activatable_names(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return sd_bus_reply_method_return(message, "as", 2, DRIVER_NAME, BUS_NAME);
}

static int method_list_queued_owners(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *owner;
        int r = read_owner(userdata, message, &owner, error);

        return r < 0 ? r : sd_bus_reply_method_return(message, "as", 1, owner);
}

static int method_start_service(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *owner;
        int r = read_owner(userdata, message, &owner, error);

        return r < 0 ? r : sd_bus_reply_method_return(message, "u", START_REPLY_ALREADY_RUNNING);
}

static bool is_peer(const DirectPeer *peer, const char *owner) {
        return g_str_equal(owner, peer->name);
}

static uint32_t uid_of(const DirectPeer *peer, const char *owner) {
        return is_peer(peer, owner) ? peer->uid : geteuid();
}

static uint32_t pid_of(const DirectPeer *peer, const char *owner) {
        return (uint32_t) (is_peer(peer, owner) ? peer->pid : getpid());
}

static int method_get_unix_user(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *owner;
        int r = read_owner(userdata, message, &owner, error);

        return r < 0 ? r : sd_bus_reply_method_return(message, "u", uid_of(userdata, owner));
}

static int method_get_unix_process_id(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *owner;
        int r = read_owner(userdata, message, &owner, error);

        return r < 0 ? r : sd_bus_reply_method_return(message, "u", pid_of(userdata, owner));
}

static int method_get_credentials(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *owner;
        int r = read_owner(userdata, message, &owner, error);

        if (r < 0)
                return r;
        return sd_bus_reply_method_return(message, "a{sv}", 2, "UnixUserID", "u", uid_of(userdata, owner), "ProcessID", "u",
                                          pid_of(userdata, owner));
}

static int method_get_id(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        char text[SD_ID128_STRING_MAX];
        sd_id128_t id;
        int r = sd_bus_get_bus_id(sd_bus_message_get_bus(message), &id);

        return r < 0 ? r : sd_bus_reply_method_return(message, "s", sd_id128_to_string(id, text));
}

#define METHOD(member, in, in_names, out, out_names, handler)                                                                              \
        SD_BUS_METHOD_WITH_NAMES(member, in, in_names, out, out_names, handler, SD_BUS_VTABLE_UNPRIVILEGED)

/* clang-format off */
static const sd_bus_vtable driver_vtable[] = {
        SD_BUS_VTABLE_START(0),
        METHOD("Hello", "", , "s", SD_BUS_PARAM(unique_name), method_hello),
        METHOD("AddMatch", "s", SD_BUS_PARAM(rule), "", , method_add_match),
        METHOD("RemoveMatch", "s", SD_BUS_PARAM(rule), "", , method_remove_match),
        METHOD("GetNameOwner", "s", SD_BUS_PARAM(name), "s", SD_BUS_PARAM(unique_name), method_get_name_owner),
        METHOD("NameHasOwner", "s", SD_BUS_PARAM(name), "b", SD_BUS_PARAM(has_owner), method_name_has_owner),
        METHOD("ListNames", "", , "as", SD_BUS_PARAM(names), method_list_names),
        METHOD("ListActivatableNames", "", , "as", SD_BUS_PARAM(names), method_list_activatable_names),
        METHOD("ListQueuedOwners", "s", SD_BUS_PARAM(name), "as", SD_BUS_PARAM(unique_names), method_list_queued_owners),
        METHOD("StartServiceByName", "su", SD_BUS_PARAM(name) SD_BUS_PARAM(flags), "u", SD_BUS_PARAM(result), method_start_service),
        METHOD("GetConnectionUnixUser", "s", SD_BUS_PARAM(name), "u", SD_BUS_PARAM(uid), method_get_unix_user),
        METHOD("GetConnectionUnixProcessID", "s", SD_BUS_PARAM(name), "u", SD_BUS_PARAM(pid), method_get_unix_process_id),
        METHOD("GetConnectionCredentials", "s", SD_BUS_PARAM(name), "a{sv}", SD_BUS_PARAM(credentials), method_get_credentials),
        METHOD("GetId", "", , "s", SD_BUS_PARAM(id), method_get_id),
        SD_BUS_VTABLE_END
};
/* clang-format on */

int direct_driver_add(DirectPeer *peer) {
        return sd_bus_add_object_vtable(peer->connection->sd_bus, NULL, DRIVER_PATH, DRIVER_NAME, driver_vtable, peer);
}
