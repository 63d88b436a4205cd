/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Documents that people write (manifests, configuration) as json-glib trees. json-glib alone is not strict: it takes
 * comments and more, lets the last of two equal keys win, cuts strings at \u0000, and wraps large integers around.
 */
#include "basic/json.h"

#include <errno.h>
#include <math.h>

/* One of them for each open container: the keys seen so far, NULL for an array. */
static void keys_free(void *keys) {
        if (keys)
                g_hash_table_unref(keys);
}

static int fail_at(JsonRange text, size_t offset, char **message, const char *format, ...) G_GNUC_PRINTF(4, 5);

static int fail_at(JsonRange text, size_t offset, char **message, const char *format, ...) {
        g_autofree char *what = NULL;
        size_t line = 1, column = 1;
        va_list ap;

        if (!message)
                return -EBADMSG;
        for (size_t i = 0; i < MIN(offset, text.size); i++)
                if (text.data[i] == '\n') {
                        line++;
                        column = 1;
                } else if (((unsigned char) text.data[i] & 0xc0) != 0x80)
                        column++;
        va_start(ap, format);
        what = g_strdup_vprintf(format, ap);
        va_end(ap);
        *message = g_strdup_printf("line %zu, column %zu: %s", line, column, what);
        return -EBADMSG;
}

/* KEYS: those of the object whose key STRING is; NULL: it is no key. */
static int check_string(JsonRange text, JsonRange string, GHashTable *keys, char **message) {
        size_t offset = (size_t) (string.data - text.data);
        g_autofree char *decoded = NULL, *quoted = NULL;

        if (!json_string_is_text(string))
                return fail_at(text, offset, message, "a string with \\u0000 or half of a surrogate pair");
        if (!keys)
                return 0;
        decoded = json_string_decode(string);
        if (g_hash_table_contains(keys, decoded)) {
                quoted = json_quote(decoded, strlen(decoded));
                return fail_at(text, offset, message, "the key \"%s\" appears twice", quoted);
        }
        g_hash_table_add(keys, g_steal_pointer(&decoded));
        return 0;
}

static int check_number(JsonRange text, JsonRange number, char **message) {
        size_t offset = (size_t) (number.data - text.data);
        g_autofree char *digits = g_strndup(number.data, number.size);

        if (strpbrk(digits, ".eE")) {
                if (isinf(g_ascii_strtod(digits, NULL)))
                        return fail_at(text, offset, message, "a number too large for a double");
        } else if (!g_ascii_string_to_signed(digits, 10, INT64_MIN, INT64_MAX, NULL, NULL))
                return fail_at(text, offset, message, "an integer too large for 64 bits");
        return 0;
}

/* The scalar at *POSITION. TEXT has been checked, so a string with a colon behind it is a key of the innermost object. */
static int check_scalar(JsonRange text, size_t *position, GPtrArray *open, char **message) {
        JsonRange value;
        size_t behind;
        bool is_key;

        json_scan_value(text, position, &value, NULL);
        if (json_type(value) == JSON_NUMBER)
                return check_number(text, value, message);
        if (json_type(value) != JSON_STRING)
                return 0;
        for (behind = *position; behind < text.size && strchr(" \t\r\n", text.data[behind]);)
                behind++;
        is_key = behind < text.size && text.data[behind] == ':';
        return check_string(text, value, is_key ? open->pdata[open->len - 1] : NULL, message);
}

/* TEXT has been checked, so brackets match. */
static int check_scalars(JsonRange text, char **message) {
        g_autoptr(GPtrArray) open = g_ptr_array_new_with_free_func(keys_free);
        size_t i = 0;
        int r;

        while (i < text.size)
                switch (text.data[i]) {
                case '{':
                        g_ptr_array_add(open, g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL));
                        i++;
                        break;
                case '[':
                        g_ptr_array_add(open, NULL);
                        i++;
                        break;
                case '}':
                case ']':
                        g_ptr_array_remove_index(open, open->len - 1);
                        i++;
                        break;
                case ' ':
                case '\t':
                case '\r':
                case '\n':
                case ',':
                case ':':
                        i++;
                        break;
                default:
                        r = check_scalar(text, &i, open, message);
                        if (r < 0)
                                return r;
                }
        return 0;
}

int json_parse_tree(JsonRange text, JsonNode **ret, char **message) {
        g_autoptr(JsonParser) parser = NULL;
        g_autoptr(GError) error = NULL;
        JsonRange value;
        JsonFault fault;

        if (json_check(text, &value, &fault) < 0)
                return fail_at(text, fault.offset, message, "%s", fault.what);
        if (check_scalars(text, message) < 0)
                return -EBADMSG;
        parser = json_parser_new_immutable();
        if (!json_parser_load_from_data(parser, value.data, (gssize) value.size, &error))
                return fail_at(text, 0, message, "%s", error->message);
        *ret = json_parser_steal_root(parser);
        return 0;
}
