/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the dialects share: reading a plugin's answers with distrust, and changing a few bytes of somebody's params. */
#pragma once

#include "duplex/dialect.h"

#include <errno.h>
#include <inttypes.h>
#include <syslog.h>

/* Bounds of what one caller can make a dialect remember; past them a message is refused with LimitsExceeded. */
#define DIALECT_URI_MAX 8192
#define DIALECT_TOKEN_MAX 1024
#define DIALECT_SUBSCRIPTIONS_MAX 1024 /* per caller */
#define DIALECT_DOCUMENTS_MAX 4096     /* per caller */

/* A plugin's answer to the greeting is kept for callers who greet it themselves, and with all else that is handed over, up to what a
 * Send carries. */
#define DIALECT_GREETING_MAX (1024 * 1024)

/* json_find() for a value of any type: false if it is no object or absent. */
bool dialect_member(JsonRange object, const char *key, JsonRange *ret);

/*
 * Reads member KEY of OBJECT, which stands at WHERE ("serverInfo", "" for the top) in the answer to METHOD. Absent and not REQUIRED: 0 with
 * *ret absent. Fails with a ProtocolError: `the answer to "initialize": serverInfo.name: found 7, expected a string`.
 */
int dialect_answer_member(const char *method, const char *where, JsonRange object, const char *key, JsonType type, bool required,
                          JsonRange *ret, PlugindError *error);
int dialect_answer_object(const char *method, JsonRange answer, PlugindError *error);

/* Every element of the array ARRAY is a string. */
int dialect_answer_strings(const char *method, const char *where, JsonRange array, PlugindError *error);

/* Name and version out of {name, version} at WHERE, decoded and cut to what a list can show; NULL where there is none. */
int dialect_answer_identity(const char *method, const char *where, JsonRange object, bool required, char **name, char **version,
                            PlugindError *error);

/* Reports that a request of the greeting failed. A lost connection is not reported: the session knows. */
void dialect_greeting_error(Dialect *d, const char *method, const PlugindError *error);

/* Newly allocated; NULL if ANSWER is larger than DIALECT_GREETING_MAX. */
char *dialect_keep_greeting(JsonRange answer);
/* What a caller's greeting METHOD is answered; KEPT: as dialect_keep_greeting() has returned it. */
DialectVerdict dialect_answer_greeting(DialectOutgoing *message, const char *kept);

/* The request or notification cannot even be queued. */
void dialect_greeting_unsent(Dialect *d, const char *method, int r);

DialectVerdict dialect_refuse(DialectOutgoing *message, PlugindErrorCode code, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* The host has said it already: nothing is sent. */
DialectVerdict dialect_swallow(DialectOutgoing *message);

/* Methods that belong to the host alone, and what a caller uses instead. */
typedef struct DialectReserved {
        const char *method;
        const char *instead; /* completes `"shutdown" is said by the host alone: ` */
} DialectReserved;

/* The entry of METHOD in RESERVED (which ends with a NULL method), or NULL. */
const DialectReserved *dialect_reserved(const DialectReserved *reserved, const char *method);
DialectVerdict dialect_refuse_reserved(DialectOutgoing *message, const DialectReserved *reserved);

/* What save() would say is another text now. */
void dialect_changed(Dialect *d);

/* The name of CALLER, or NULL. */
const char *dialect_caller_name(Dialect *d, Caller *caller);

/* Bytes of WHOLE with PART (which lies within it) replaced by TEXT. */
GString *dialect_replace(JsonRange whole, JsonRange part, const char *text, size_t size);

/* ,"KEY":"VALUE" without the comma. */
void dialect_append_text(GString *out, const char *key, const char *value);

char *dialect_dup(JsonRange range);

static inline JsonRange dialect_range(const GString *string) {
        return (JsonRange){ string->str, string->len };
}
