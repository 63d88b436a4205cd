/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plugin-json.h"

#include "basic/json.h"

static bool find(const char *json, const char *key, JsonRange *ret) {
        JsonRange value;

        return json && json_check(JSON_RANGE(json), &value, NULL) >= 0 && json_type(value) == JSON_OBJECT && json_find(value, key, ret);
}

char *plugin_json_member(const char *json, const char *key) {
        JsonRange value;

        return find(json, key, &value) ? g_strndup(value.data, value.size) : NULL;
}

char *plugin_json_string(const char *json, const char *key) {
        JsonRange value;

        return find(json, key, &value) ? json_string_decode(value) : NULL;
}

bool plugin_json_integer(const char *json, const char *key, int64_t *ret) {
        JsonRange value;
        uint64_t magnitude;
        bool negative;

        if (!find(json, key, &value))
                return false;
        negative = value.data[0] == '-';
        if (negative)
                value = (JsonRange){ value.data + 1, value.size - 1 };
        if (!json_get_uint64(value, &magnitude) || magnitude > (uint64_t) INT64_MAX)
                return false;
        *ret = negative ? -(int64_t) magnitude : (int64_t) magnitude;
        return true;
}

char *plugin_json_quote(const char *text) {
        GString *quoted = g_string_new(NULL);

        json_append_string(quoted, text, strlen(text));
        return g_string_free(quoted, FALSE);
}
