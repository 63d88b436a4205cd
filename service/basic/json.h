/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The strict JSON scanner (RFC 8259, UTF-8) of the hot path: checks text, finds byte ranges in it, builds
 * nothing. Reading a document into a tree is json-glib's job (see json_parse_tree).
 */
#pragma once

#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Deeper nesting is refused: json-glib, node and python recurse. Python's json gives up at 1,000. */
#define JSON_DEPTH_MAX 512
/* So much more has a text of our own around what may be as deep as that. */
#define JSON_DEPTH_AROUND 64

/* Bytes inside somebody else's buffer; data NULL: absent. Not NUL-terminated. */
typedef struct JsonRange {
        const char *data;
        size_t size;
} JsonRange;

#define JSON_RANGE(string) ((JsonRange){ (string), strlen(string) })

typedef enum JsonType {
        JSON_NONE,
        JSON_OBJECT,
        JSON_ARRAY,
        JSON_STRING,
        JSON_NUMBER,
        JSON_TRUE,
        JSON_FALSE,
        JSON_NULL_VALUE,
} JsonType;

/* Where and why a text is no JSON. */
typedef struct JsonFault {
        size_t offset;    /* of the first byte that is wrong */
        const char *what; /* static: "a raw control character in a string", ... */
} JsonFault;

/* Checks that TEXT is exactly one JSON value with optional white space around it: 0 or -EBADMSG (and *fault).
 * *ret (may be NULL) is the value without that white space. */
int json_check(JsonRange text, JsonRange *ret, JsonFault *fault);
/* The same for a text that we have written ourselves, JSON_DEPTH_AROUND levels deeper. */
int json_check_around(JsonRange text, JsonRange *ret, JsonFault *fault);

/* Scans the value that begins at TEXT.data + *POSITION (white space before it is skipped), checking it whole, and
 * moves *POSITION behind it. */
int json_scan_value(JsonRange text, size_t *position, JsonRange *ret, JsonFault *fault);

JsonType json_type(JsonRange value); /* by its first byte */

/* The next functions take values that json_check() accepted. */

/* Finds KEY (compared after decoding escapes) among the members of OBJECT; the first one of that name. */
bool json_find(JsonRange object, const char *key, JsonRange *ret);

/* Steps over members of an object or elements of an array; *CURSOR starts at 0. KEY is the string with its quotes
 * (absent for arrays; NULL when not wanted). False at the end. */
bool json_next(JsonRange container, size_t *cursor, JsonRange *key, JsonRange *value);

/* True if STRING (a JSON string, with its quotes) decodes to TEXT. */
bool json_string_equals(JsonRange string, const char *text);

/* Decodes a JSON string into newly allocated UTF-8; NULL if it is no string or contains \u0000. Lone surrogates
 * become U+FFFD. */
char *json_string_decode(JsonRange string);

/* False if STRING contains \u0000 or half of a surrogate pair: legal JSON, but no text. */
bool json_string_is_text(JsonRange string);

/* A non-negative integer without fraction or exponent up to UINT64_MAX, else false. */
bool json_get_uint64(JsonRange value, uint64_t *ret);

/* Appends TEXT to OUT as a JSON string with quotes. Bytes that are not UTF-8 become U+FFFD. */
void json_append_string(GString *out, const char *text, size_t size);

/* Copies a checked VALUE to TARGET (of at least VALUE.size bytes), turning raw line feeds and carriage returns, which can
 * only stand between tokens, into spaces: one message stays one line. Returns VALUE.size. */
size_t json_copy_one_line(char *target, JsonRange value);

/* json_check(), then what json-glib would take and change in silence is refused: duplicate keys, strings that are no text, numbers
 * too large for a gint64 or a double. Then json-glib. On failure -EBADMSG with *message (newly allocated):
 * "line 3, column 7: ..." */
int json_parse_tree(JsonRange text, JsonNode **ret, char **message);

/* What a person is shown of untrusted bytes: the first 80, with control bytes and non-UTF-8 escaped as \xNN, "..." if more
 * follows. Newly allocated. */
char *json_quote(const char *data, size_t size);
