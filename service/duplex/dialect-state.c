/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "duplex/dialect-state.h"

/* How much longer than its text a JSON string can be: \u0001, and the quotes. */
#define ENCODED_MAX(size) (6 * (size) + 2)

static void separate(GString *json) {
        char last = json->len > 0 ? json->str[json->len - 1] : '{';

        if (last != '{' && last != '[')
                g_string_append_c(json, ',');
}

void dialect_state_key(GString *json, const char *key) {
        separate(json);
        json_append_string(json, key, strlen(key));
        g_string_append_c(json, ':');
}

void dialect_state_json(GString *json, const char *key, const char *value) {
        dialect_state_key(json, key);
        g_string_append(json, value);
}

void dialect_state_text(GString *json, const char *key, const char *text) {
        separate(json);
        dialect_append_text(json, key, text);
}

void dialect_state_element(GString *json, const char *text) {
        separate(json);
        json_append_string(json, text, strlen(text));
}

int dialect_state_open(JsonRange state, JsonRange *ret) {
        JsonFault fault;

        if (!state.data || json_check(state, ret, &fault) < 0 || json_type(*ret) != JSON_OBJECT)
                return -EBADMSG;
        return 0;
}

int dialect_state_member(JsonRange object, const char *key, JsonType type, JsonRange *ret) {
        JsonRange found;

        *ret = (JsonRange){};
        if (!dialect_member(object, key, &found))
                return 0;
        if (json_type(found) != type)
                return -EBADMSG;
        *ret = found;
        return 0;
}

int dialect_state_flag(JsonRange object, const char *key, bool *ret) {
        JsonRange found;
        JsonType type = dialect_member(object, key, &found) ? json_type(found) : JSON_FALSE;

        if (type != JSON_TRUE && type != JSON_FALSE)
                return -EBADMSG;
        *ret = type == JSON_TRUE;
        return 0;
}

int dialect_state_object(JsonRange object, const char *key, char **ret) {
        JsonRange found;
        int r = dialect_state_member(object, key, JSON_OBJECT, &found);

        if (r >= 0)
                *ret = found.data ? dialect_dup(found) : NULL;
        return r;
}

/* NULL if STRING is no string, no text, or longer than MAX. */
static char *read_text(JsonRange string, size_t max) {
        g_autofree char *text = NULL;

        if (json_type(string) != JSON_STRING || string.size > ENCODED_MAX(max))
                return NULL;
        text = json_string_decode(string);
        return text && strlen(text) <= max ? g_steal_pointer(&text) : NULL;
}

int dialect_state_uris(JsonRange array, size_t max, GHashTable **ret) {
        g_autoptr(GHashTable) uris = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        JsonRange value;
        size_t cursor = 0;

        while (array.data && json_next(array, &cursor, NULL, &value)) {
                char *uri = read_text(value, DIALECT_URI_MAX);

                if (!uri)
                        return -EBADMSG;
                g_hash_table_add(uris, uri);
                if (g_hash_table_size(uris) > max)
                        return -EBADMSG;
        }
        *ret = g_steal_pointer(&uris);
        return 0;
}

int dialect_state_caller(Dialect *d, JsonRange name, Caller **ret) {
        g_autofree char *text = read_text(name, DIALECT_NAME_MAX);

        if (!text)
                return -EBADMSG;
        *ret = d->peer->find_caller ? d->peer->find_caller(d->userdata, text) : NULL;
        return 0;
}
