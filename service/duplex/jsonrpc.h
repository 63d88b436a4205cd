/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One JSON-RPC 2.0 message, found in place by one strict pass over its bytes. */
#pragma once

#include "basic/json.h"

typedef enum JsonRpcKind {
        JSONRPC_REQUEST,      /* method and id */
        JSONRPC_NOTIFICATION, /* method, no id */
        JSONRPC_RESULT,       /* id and result */
        JSONRPC_ERROR,        /* id and error (an object with code and message) */
} JsonRpcKind;

typedef struct JsonRpcMessage {
        JsonRpcKind kind;
        JsonRange whole;  /* the object, without white space around it */
        JsonRange id;     /* raw: 7, "abc", null; absent in notifications */
        JsonRange method; /* raw JSON string with its quotes */
        JsonRange params;
        JsonRange result;
        JsonRange error;
} JsonRpcMessage;

/* Codes of the JSON-RPC specification, section 5.1. */
#define JSONRPC_PARSE_ERROR (-32700)
#define JSONRPC_INVALID_REQUEST (-32600)
#define JSONRPC_METHOD_NOT_FOUND (-32601)
#define JSONRPC_INVALID_PARAMS (-32602)
#define JSONRPC_INTERNAL_ERROR (-32603)

/* `params` that is null counts as absent. Members that JSON-RPC does not know are checked and ignored.
 *
 * Parses one message: 0, or -EBADMSG with *fault: it is no JSON, no object, has members of the wrong type, has both or neither of
 * result and error, an unknown "jsonrpc" version, a key twice ... "jsonrpc" itself may be missing (some servers omit it).
 * Also on failure, what was found before the fault is in *ret (so that the one request it was meant for can be failed);
 * ranges that were not found are absent, and kind is what the message was about to be, by the keys it has. */
int jsonrpc_parse(JsonRange text, JsonRpcMessage *ret, JsonFault *fault);

/* code and message of an error object. *code is JSONRPC_INTERNAL_ERROR when out of int range; *message is decoded, newly allocated, never NULL. */
void jsonrpc_error_get(JsonRange error, int *code, char **message);
