/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Walks over the members of the one object; each member's value is scanned once, where it lies. */
#include "duplex/jsonrpc.h"

#include <errno.h>
#include <limits.h>

typedef enum Member {
        MEMBER_JSONRPC,
        MEMBER_ID,
        MEMBER_METHOD,
        MEMBER_PARAMS,
        MEMBER_RESULT,
        MEMBER_ERROR,
        _MEMBER_MAX,
} Member;

static const char *const member_names[_MEMBER_MAX] = { "jsonrpc", "id", "method", "params", "result", "error" };
static const size_t member_sizes[_MEMBER_MAX] = { 7, 2, 6, 6, 6, 5 };

typedef struct Parse {
        JsonRange text;
        size_t position;
        JsonFault *fault;
        bool seen[_MEMBER_MAX]; /* the key was there; its value may turn out to be wrong */
        JsonRange values[_MEMBER_MAX];
} Parse;

static int refuse(Parse *parse, const char *at, const char *what) {
        if (parse->fault)
                *parse->fault = (JsonFault){ (size_t) (at - parse->text.data), what };
        return -EBADMSG;
}

/* White space is skipped; NUL at the end of the text. */
static char next_byte(Parse *parse) {
        for (; parse->position < parse->text.size; parse->position++) {
                char byte = parse->text.data[parse->position];

                if (byte != ' ' && byte != '\n' && byte != '\r' && byte != '\t')
                        return byte;
        }
        return 0;
}

static Member member_of(JsonRange key) {
        for (Member m = 0; m < _MEMBER_MAX; m++)
                if (key.size == member_sizes[m] + 2 && memcmp(key.data + 1, member_names[m], member_sizes[m]) == 0)
                        return m;
        if (memchr(key.data, '\\', key.size))
                for (Member m = 0; m < _MEMBER_MAX; m++)
                        if (json_string_equals(key, member_names[m]))
                                return m;
        return _MEMBER_MAX;
}

/* NULL, or why VALUE cannot be the value of MEMBER. */
static const char *member_fault(Member member, JsonRange value) {
        JsonType type = json_type(value);
        JsonRange part;

        switch (member) {
        case MEMBER_JSONRPC:
                return json_string_equals(value, "2.0") ? NULL : "a version of \"jsonrpc\" other than \"2.0\"";
        case MEMBER_ID:
                return type == JSON_STRING || type == JSON_NUMBER || type == JSON_NULL_VALUE ? NULL
                                                                                             : "\"id\" is neither string, number nor null";
        case MEMBER_METHOD:
                return type == JSON_STRING ? NULL : "\"method\" is no string";
        case MEMBER_PARAMS:
                return type == JSON_OBJECT || type == JSON_ARRAY || type == JSON_NULL_VALUE ? NULL
                                                                                            : "\"params\" is neither object nor array";
        case MEMBER_ERROR:
                if (type != JSON_OBJECT)
                        return "\"error\" is no object";
                if (!json_find(value, "code", &part) || json_type(part) != JSON_NUMBER)
                        return "\"error\" has no \"code\" that is a number";
                if (!json_find(value, "message", &part) || json_type(part) != JSON_STRING)
                        return "\"error\" has no \"message\" that is a string";
                return NULL;
        default:
                return NULL;
        }
}

/* Key, colon and value. */
static int parse_member(Parse *parse) {
        const char *what;
        JsonRange key, value;
        Member member;
        int r;

        if (next_byte(parse) != '"')
                return refuse(parse, parse->text.data + parse->position, "a key in double quotes is expected");
        r = json_scan_value(parse->text, &parse->position, &key, parse->fault);
        if (r < 0)
                return r;
        if (next_byte(parse) != ':')
                return refuse(parse, parse->text.data + parse->position, "a colon is expected behind a key");
        parse->position++;
        member = member_of(key);
        if (member < _MEMBER_MAX) {
                if (parse->seen[member])
                        return refuse(parse, key.data, "a member of the message appears twice");
                parse->seen[member] = true;
        }
        r = json_scan_value(parse->text, &parse->position, &value, parse->fault);
        if (r < 0 || member == _MEMBER_MAX)
                return r;
        what = member_fault(member, value);
        if (what)
                return refuse(parse, value.data, what);
        /* Null params, as some servers send them, are none. */
        if (member != MEMBER_PARAMS || json_type(value) != JSON_NULL_VALUE)
                parse->values[member] = value;
        return 0;
}

static int parse_object(Parse *parse, JsonRange *whole) {
        size_t start;
        int r;

        if (next_byte(parse) != '{')
                return json_check(parse->text, NULL, parse->fault)
                               ?: refuse(parse, parse->text.data + parse->position, "a message is an object");
        start = parse->position++;
        if (next_byte(parse) != '}')
                for (;;) {
                        r = parse_member(parse);
                        if (r < 0)
                                return r;
                        if (next_byte(parse) != ',')
                                break;
                        parse->position++;
                }
        if (next_byte(parse) != '}')
                return refuse(parse, parse->text.data + parse->position,
                              parse->position < parse->text.size ? "a comma or } is expected" : "the text ends inside an object");
        parse->position++;
        *whole = (JsonRange){ parse->text.data + start, parse->position - start };
        next_byte(parse);
        if (parse->position < parse->text.size)
                return refuse(parse, parse->text.data + parse->position, "something behind the message");
        return 0;
}

/* Which members go together. */
static const char *shape_fault(const Parse *parse) {
        const bool *seen = parse->seen;

        if (seen[MEMBER_METHOD])
                return seen[MEMBER_RESULT] || seen[MEMBER_ERROR] ? "a \"method\" together with a \"result\" or \"error\"" : NULL;
        if (seen[MEMBER_PARAMS])
                return "\"params\" without a \"method\"";
        if (seen[MEMBER_RESULT] && seen[MEMBER_ERROR])
                return "both \"result\" and \"error\"";
        if (!seen[MEMBER_RESULT] && !seen[MEMBER_ERROR])
                return "neither \"method\" nor \"result\" nor \"error\"";
        if (!seen[MEMBER_ID])
                return "an answer without \"id\"";
        if (seen[MEMBER_RESULT] && json_type(parse->values[MEMBER_ID]) == JSON_NULL_VALUE)
                return "a \"result\" whose \"id\" is null";
        return NULL;
}

/* Also for a message with a fault: what it was about to be. */
static JsonRpcKind kind_of(const bool *seen) {
        if (seen[MEMBER_METHOD] || seen[MEMBER_PARAMS])
                return seen[MEMBER_ID] ? JSONRPC_REQUEST : JSONRPC_NOTIFICATION;
        return seen[MEMBER_ERROR] ? JSONRPC_ERROR : JSONRPC_RESULT;
}

int jsonrpc_parse(JsonRange text, JsonRpcMessage *ret, JsonFault *fault) {
        Parse parse = { .text = { text.data ?: "", text.size }, .fault = fault };
        JsonRange whole = {};
        const char *what;
        int r = parse_object(&parse, &whole);

        *ret = (JsonRpcMessage){
                .kind = kind_of(parse.seen),
                .whole = whole,
                .id = parse.values[MEMBER_ID],
                .method = parse.values[MEMBER_METHOD],
                .params = parse.values[MEMBER_PARAMS],
                .result = parse.values[MEMBER_RESULT],
                .error = parse.values[MEMBER_ERROR],
        };
        if (r < 0)
                return r;
        what = shape_fault(&parse);
        return what ? refuse(&parse, whole.data, what) : 0;
}

void jsonrpc_error_get(JsonRange error, int *code, char **message) {
        JsonRange value;
        uint64_t number;

        *code = JSONRPC_INTERNAL_ERROR;
        if (json_find(error, "code", &value)) {
                bool negative = value.data[0] == '-';

                if (json_get_uint64((JsonRange){ value.data + negative, value.size - negative }, &number) && number <= INT_MAX)
                        *code = negative ? -(int) number : (int) number;
        }
        *message = json_find(error, "message", &value) ? json_string_decode(value) : NULL;
        if (!*message)
                *message = g_strdup("(an error without a message)");
}
