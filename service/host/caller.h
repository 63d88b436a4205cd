/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Somebody who talks to the host: on a bus, one connection of it. bus/bus-callers.c makes them and says when they have vanished; all that
 * a caller holds (pending requests, subscriptions, binds, documents) is linked from here and ends then.
 */
#pragma once

#include "basic/list.h"

#include <sys/types.h>

typedef struct Caller Caller;

struct Caller {
        char *name; /* for messages and logs: ":1.42" */
        uid_t uid;
        List requests;    /* of Request.by_caller */
        List attachments; /* of Attachment.by_caller */
        void *userdata;   /* of whoever made it */
};

int caller_new(const char *name, uid_t uid, void *userdata, Caller **ret);
/* Ends all that the caller holds, then frees it. The callbacks of its pending requests are called with Cancelled. */
Caller *caller_free(Caller *caller);
