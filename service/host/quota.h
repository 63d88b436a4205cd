/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who pays for what: every allocation that a caller causes carries a Charge against that caller's uid. */
#pragma once

#include "basic/error.h"

#include <stdint.h>
#include <sys/types.h>

typedef struct Quota Quota;
typedef struct QuotaUser QuotaUser;

typedef enum QuotaResource {
        QUOTA_REQUESTS,      /* Sends in flight or waiting */
        QUOTA_BYTES,         /* params of Sends that wait for a plugin to start */
        QUOTA_SESSIONS,      /* loaded */
        QUOTA_SUBSCRIPTIONS, /* methods subscribed to, an empty list counting as one */
        QUOTA_CONNECTIONS,   /* direct ones */
        _QUOTA_MAX,
} QuotaResource;

typedef struct Charge {
        QuotaUser *user; /* NULL: nothing charged */
        QuotaResource resource;
        uint64_t amount;
} Charge;

Quota *quota_new(void);
Quota *quota_free(Quota *quota);

uint64_t quota_limit(const Quota *quota, QuotaResource resource);
const char *quota_resource_name(QuotaResource resource); /* "requests", as in Host.Limits */

/* Fills *charge, which must be empty, or fails with LimitsExceeded that names the resource, the limit and the uid. */
int quota_charge(Quota *quota, uid_t uid, QuotaResource resource, uint64_t amount, Charge *charge, PlugindError *error);
void charge_release(Charge *charge);
