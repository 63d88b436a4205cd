/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/quota.h"

#include <glib.h>
#include <inttypes.h>

struct QuotaUser {
        Quota *quota;
        uid_t uid;
        uint64_t used[_QUOTA_MAX];
};

struct Quota {
        GHashTable *users; /* uid -> QuotaUser, only those who have something charged */
};

/* Room for a thousand callers of one uid with tens of requests each; 10,000 sessions are what the daemon is measured with. */
static const struct {
        const char *name;
        uint64_t limit;
} resources[_QUOTA_MAX] = {
        [QUOTA_REQUESTS] = { "requests", 65536 },     [QUOTA_BYTES] = { "waiting-bytes", UINT64_C(256) * 1024 * 1024 },
        [QUOTA_SESSIONS] = { "sessions", 16384 },     [QUOTA_SUBSCRIPTIONS] = { "subscriptions", 65536 },
        [QUOTA_CONNECTIONS] = { "connections", 256 },
};

Quota *quota_new(void) {
        Quota *quota = g_new0(Quota, 1);

        quota->users = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        return quota;
}

Quota *quota_free(Quota *quota) {
        if (!quota)
                return NULL;
        g_assert(g_hash_table_size(quota->users) == 0); /* every charge is released before */
        g_hash_table_unref(quota->users);
        g_free(quota);
        return NULL;
}

uint64_t quota_limit(const Quota *quota, QuotaResource resource) {
        return resources[resource].limit;
}

const char *quota_resource_name(QuotaResource resource) {
        return resources[resource].name;
}

int quota_charge(Quota *quota, uid_t uid, QuotaResource resource, uint64_t amount, Charge *charge, PlugindError *error) {
        QuotaUser *user = g_hash_table_lookup(quota->users, GUINT_TO_POINTER(uid));
        uint64_t used = user ? user->used[resource] : 0;

        g_assert(!charge->user);
        if (amount > resources[resource].limit - used)
                return plugind_error_set(error, PLUGIND_ERROR_LIMITS_EXCEEDED,
                                         "user %u has %" PRIu64 " of at most %" PRIu64 " %s, %" PRIu64 " more are too many", uid, used,
                                         resources[resource].limit, resources[resource].name, amount);
        if (amount == 0)
                return 0;
        if (!user) {
                user = g_new0(QuotaUser, 1);
                user->quota = quota;
                user->uid = uid;
                g_hash_table_insert(quota->users, GUINT_TO_POINTER(uid), user);
        }
        user->used[resource] += amount;
        *charge = (Charge){ .user = user, .resource = resource, .amount = amount };
        return 0;
}

void charge_release(Charge *charge) {
        QuotaUser *user = charge->user;

        if (!user)
                return;
        g_assert(user->used[charge->resource] >= charge->amount);
        user->used[charge->resource] -= charge->amount;
        *charge = (Charge){};
        for (unsigned i = 0; i < _QUOTA_MAX; i++)
                if (user->used[i] > 0)
                        return;
        g_hash_table_remove(user->quota->users, GUINT_TO_POINTER(user->uid));
}
