/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "duplex/dialect-common.h"

/* Longest name or version of a plugin that is kept, in characters. */
#define IDENTITY_MAX 256

static const char *const type_names[] = {
        [JSON_NONE] = "a value",    [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_NUMBER] = "a number", [JSON_TRUE] = "true",        [JSON_FALSE] = "false",    [JSON_NULL_VALUE] = "null",
};

bool dialect_member(JsonRange object, const char *key, JsonRange *ret) {
        return object.data && json_type(object) == JSON_OBJECT && json_find(object, key, ret);
}

static int unexpected(const char *method, const char *where, const char *key, JsonRange found, JsonType expected, PlugindError *error) {
        g_autofree char *quoted = found.data ? json_quote(found.data, found.size) : g_strdup("nothing");

        return plugind_error_set(error, PLUGIND_ERROR_PROTOCOL_ERROR, "the answer to \"%s\": %s%s%s%sfound %s, expected %s", method, where,
                                 *where && *key ? "." : "", key, *where || *key ? ": " : "", quoted, type_names[expected]);
}

int dialect_answer_member(const char *method, const char *where, JsonRange object, const char *key, JsonType type, bool required,
                          JsonRange *ret, PlugindError *error) {
        JsonRange found = {};

        if (!dialect_member(object, key, &found)) {
                if (required)
                        return unexpected(method, where, key, (JsonRange){}, type, error);
        } else if (json_type(found) != type)
                return unexpected(method, where, key, found, type, error);
        *ret = found;
        return 0;
}

int dialect_answer_object(const char *method, JsonRange answer, PlugindError *error) {
        return json_type(answer) == JSON_OBJECT ? 0 : unexpected(method, "", "", answer, JSON_OBJECT, error);
}

int dialect_answer_strings(const char *method, const char *where, JsonRange array, PlugindError *error) {
        JsonRange value;
        size_t cursor = 0;

        for (unsigned i = 0; json_next(array, &cursor, NULL, &value); i++)
                if (json_type(value) != JSON_STRING) {
                        g_autofree char *place = g_strdup_printf("%s[%u]", where, i);

                        return unexpected(method, place, "", value, JSON_STRING, error);
                }
        return 0;
}

static char *decode_identity(JsonRange string) {
        g_autofree char *text = string.data ? json_string_decode(string) : NULL;

        if (!text || g_utf8_strlen(text, -1) <= IDENTITY_MAX)
                return g_steal_pointer(&text);
        return g_utf8_substring(text, 0, IDENTITY_MAX);
}

int dialect_answer_identity(const char *method, const char *where, JsonRange object, bool required, char **name, char **version,
                            PlugindError *error) {
        JsonRange name_range, version_range;
        int r;

        r = dialect_answer_member(method, where, object, "name", JSON_STRING, required, &name_range, error);
        if (r < 0)
                return r;
        r = dialect_answer_member(method, where, object, "version", JSON_STRING, false, &version_range, error);
        if (r < 0)
                return r;
        *name = decode_identity(name_range);
        *version = decode_identity(version_range);
        return 0;
}

void dialect_greeting_error(Dialect *d, const char *method, const PlugindError *error) {
        _cleanup_error_ PlugindError refused = PLUGIND_ERROR_INIT;

        if (error->code == PLUGIND_ERROR_CONNECTION_LOST)
                return;
        plugind_error_set(&refused, error->code, "the plugin did not accept \"%s\": %s", method, error->message);
        d->peer->greeting_failed(d->userdata, &refused);
}

void dialect_greeting_unsent(Dialect *d, const char *method, int r) {
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;

        if (r == -ENOTCONN) /* the session is about to say disconnected() */
                return;
        plugind_error_set(&error, PLUGIND_ERROR_FAILED, "cannot send \"%s\" to the plugin: %s", method, g_strerror(-r));
        d->peer->greeting_failed(d->userdata, &error);
}

DialectVerdict dialect_refuse(DialectOutgoing *message, PlugindErrorCode code, const char *format, ...) {
        g_autofree char *text = NULL;
        va_list args;

        va_start(args, format);
        text = g_strdup_vprintf(format, args);
        va_end(args);
        plugind_error_set(&message->error, code, "%s", text);
        return DIALECT_REFUSE;
}

char *dialect_keep_greeting(JsonRange answer) {
        return answer.size <= DIALECT_GREETING_MAX ? dialect_dup(answer) : NULL;
}

DialectVerdict dialect_answer_greeting(DialectOutgoing *message, const char *kept) {
        if (!kept)
                return dialect_refuse(message, PLUGIND_ERROR_LIMITS_EXCEEDED, "what the server answers to \"%s\" has more than %d bytes",
                                      message->method, DIALECT_GREETING_MAX);
        message->answer = g_string_new(kept);
        return DIALECT_ANSWER;
}

DialectVerdict dialect_swallow(DialectOutgoing *message) {
        if (message->id > 0)
                message->answer = g_string_new("null");
        return DIALECT_ANSWER;
}

const DialectReserved *dialect_reserved(const DialectReserved *reserved, const char *method) {
        for (; reserved->method; reserved++)
                if (g_str_equal(reserved->method, method))
                        return reserved;
        return NULL;
}

DialectVerdict dialect_refuse_reserved(DialectOutgoing *message, const DialectReserved *reserved) {
        return dialect_refuse(message, PLUGIND_ERROR_NOT_SUPPORTED, "\"%s\" is said by the host alone: %s", message->method,
                              reserved->instead);
}

void dialect_changed(Dialect *d) {
        if (d->peer->changed)
                d->peer->changed(d->userdata);
}

const char *dialect_caller_name(Dialect *d, Caller *caller) {
        return d->peer->caller_name ? d->peer->caller_name(d->userdata, caller) : NULL;
}

GString *dialect_replace(JsonRange whole, JsonRange part, const char *text, size_t size) {
        size_t before = (size_t) (part.data - whole.data);
        GString *out = g_string_sized_new(whole.size - part.size + size + 1);

        g_string_append_len(out, whole.data, (gssize) before);
        g_string_append_len(out, text, (gssize) size);
        g_string_append_len(out, part.data + part.size, (gssize) (whole.size - before - part.size));
        return out;
}

void dialect_append_text(GString *out, const char *key, const char *value) {
        json_append_string(out, key, strlen(key));
        g_string_append_c(out, ':');
        json_append_string(out, value, strlen(value));
}

char *dialect_dup(JsonRange range) {
        return g_strndup(range.data, range.size);
}
