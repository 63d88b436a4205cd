/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One pending request to a plugin: of a caller (Send) or of the host itself (greeting, ping). */
#pragma once

#include "basic/deadline.h"
#include "basic/error.h"
#include "basic/json.h"
#include "basic/list.h"
#include "duplex/dialect.h"
#include "host/quota.h"

typedef struct Request Request;
typedef struct Session Session;
typedef struct Caller Caller;

/* The answer to a Send. Exactly one of the two: `error.code` is 0 and `json` is the result (with `envelope`: the whole response, errors
 * too), or `error` is set. */
typedef struct Answer {
        JsonRange json;
        PlugindError error;
} Answer;

/* Called exactly once for each request that session_send() accepted, perhaps before it returns. Ranges are gone afterwards. */
typedef void (*RequestAnswered)(const Answer *answer, void *userdata);

typedef struct SendOptions {
        const char *id;        /* the caller's own id as JSON text ("\"x\"" or "7"); NULL: none */
        uint64_t timeout_usec; /* 0: the manifest's timeouts.request; USEC_INFINITY: none */
        bool envelope;
} SendOptions;

struct Request {
        uint64_t id; /* on the duplex; 0 while waiting for the plugin to be active */
        Session *session;
        ListNode by_session; /* in Session.pending or .waiting */

        /* of a caller */
        Caller *caller; /* NULL: the host's own, or the caller has gone */
        ListNode by_caller;
        RequestAnswered answered;
        void (*handed_on)(const PlugindError *error, void *userdata); /* of a notification that waits; may be NULL */
        void *userdata;
        char *caller_id;       /* JSON text or NULL */
        char *method, *params; /* kept only while waiting, and for endless ones; NUL-terminated */
        bool envelope, tracked, endless;
        Charge charge, bytes;

        /* of the host */
        DialectAnswered dialect_answered; /* with `userdata` */

        Deadline deadline;
        uint64_t timeout_usec; /* for the message of RequestTimedOut */
        uint64_t called_at;    /* CLOCK_MONOTONIC, as the loop has it */
};
