/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the dialects share of DialectOps.save and .restore: writing a JSON object member by member, and reading one with distrust. */
#pragma once

#include "duplex/dialect-common.h"

/* Longest name of a caller: the bus allows no longer ones. */
#define DIALECT_NAME_MAX 255

/* These put a comma where one is due; `{`, `[` and what closes them are the caller's to write. */
void dialect_state_key(GString *json, const char *key);
void dialect_state_json(GString *json, const char *key, const char *value);
void dialect_state_text(GString *json, const char *key, const char *text);
void dialect_state_element(GString *json, const char *text);

/* The members of OBJECT. What is absent is false, or an absent range; what is of another type is -EBADMSG. */
int dialect_state_open(JsonRange state, JsonRange *ret);
int dialect_state_member(JsonRange object, const char *key, JsonType type, JsonRange *ret);
int dialect_state_flag(JsonRange object, const char *key, bool *ret);

/* Member KEY as JSON of its own, newly allocated; NULL if it is absent. */
int dialect_state_object(JsonRange object, const char *key, char **ret);

/* The set of URIs, decoded, that ARRAY lists (absent: none), at most MAX of them; the caller's to unref. */
int dialect_state_uris(JsonRange array, size_t max, GHashTable **ret);

/* *ret is NULL if nobody knows the caller NAME (a JSON string). */
int dialect_state_caller(Dialect *d, JsonRange name, Caller **ret);
