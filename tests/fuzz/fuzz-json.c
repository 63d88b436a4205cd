/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Our scanner against json-glib: both take the same texts, but for the leniencies of json-glib named below; and what both take, they
 * understand in the same way. An unknown difference is a complaint.
 */
#include "fuzz.h"

#include "basic/json.h"

/* What json-glib (1.6 and later) takes and RFC 8259 does not: what we said (NULL: anything), and what stands BACK bytes before the place
 * of which we said it (NULL: anything). */
static const struct {
        const char *what;
        size_t back;
        const char *there, *name;
} leniencies[] = {
        { NULL, 0, "/", "a comment, in some versions also one without its first asterisk" },
        { NULL, 0, "'", "single quotes" },
        { NULL, 0, "$", "hexadecimal as in Pascal" },
        { NULL, 0, "var", "an assignment" },
        { NULL, 0, ".", "a number that begins with its decimal point" },
        { NULL, 1, "0x", "hexadecimal" },
        { NULL, 1, "0X", "hexadecimal" },
        { NULL, 1, "0b", "binary" },
        { NULL, 1, "0B", "binary" },
        { "a byte order mark", 0, NULL, "a byte order mark" },
        { "a number with a leading zero", 0, NULL, "octal" },
        { "a decimal point without digits behind it", 0, NULL, "a number that ends with its decimal point" },
        { "a minus sign without digits", 0, NULL, "white space behind a minus sign" },
        { "a raw control character in a string", 0, NULL, "control characters in strings" },
        { "an unknown escape in a string", 0, NULL, "escapes as in C" },
        { "\\u is not followed by four hexadecimal digits", 0, NULL, "\\u with fewer digits" },
        { "something behind the value", 0, "{", "several objects" },
        { "something behind the value", 0, "[", "several arrays" },
};

static bool stands_at(JsonRange text, size_t offset, const char *what) {
        return text.size - offset >= strlen(what) && memcmp(text.data + offset, what, strlen(what)) == 0;
}

/* A surrogate escape: where it has no partner, json-glib reads on blindly, past the closing quote as well. */
static bool has_surrogate(JsonRange text) {
        for (size_t i = 0; i + 4 <= text.size; i++)
                if (text.data[i] == '\\' && text.data[i + 1] == 'u' && (text.data[i + 2] | 0x20) == 'd' &&
                    strchr("89abcdefABCDEF", text.data[i + 3]))
                        return true;
        return false;
}

static bool is_leniency(JsonRange text, const JsonFault *fault) {
        for (size_t i = 0; i < G_N_ELEMENTS(leniencies); i++)
                if ((!leniencies[i].what || strcmp(leniencies[i].what, fault->what) == 0) && fault->offset >= leniencies[i].back &&
                    (!leniencies[i].there || stands_at(text, fault->offset - leniencies[i].back, leniencies[i].there)))
                        return true;
        return false;
}

/* RANGE and NODE are the same value. */
static bool same(JsonRange range, JsonNode *node) {
        JsonRange key, value;
        size_t cursor = 0;
        unsigned count = 0;

        switch (json_type(range)) {
        case JSON_OBJECT:
                if (!JSON_NODE_HOLDS_OBJECT(node))
                        return false;
                for (; json_next(range, &cursor, &key, &value); count++) {
                        g_autofree char *name = json_string_decode(key);
                        JsonRange found;

                        if (!json_string_equals(key, name) || !json_find(range, name, &found) || found.data != value.data ||
                            !json_object_has_member(json_node_get_object(node), name) ||
                            !same(value, json_object_get_member(json_node_get_object(node), name)))
                                return false;
                }
                return count == json_object_get_size(json_node_get_object(node));
        case JSON_ARRAY:
                if (!JSON_NODE_HOLDS_ARRAY(node))
                        return false;
                for (; json_next(range, &cursor, NULL, &value); count++)
                        if (count >= json_array_get_length(json_node_get_array(node)) ||
                            !same(value, json_array_get_element(json_node_get_array(node), count)))
                                return false;
                return count == json_array_get_length(json_node_get_array(node));
        case JSON_STRING:
                return json_node_get_value_type(node) == G_TYPE_STRING && json_string_equals(range, json_node_get_string(node));
        case JSON_NUMBER: {
                g_autofree char *digits = g_strndup(range.data, range.size);
                uint64_t number;

                if (json_get_uint64(range, &number) && (int64_t) number != json_node_get_int(node))
                        return false;
                return strpbrk(digits, ".eE") ? json_node_get_double(node) == g_ascii_strtod(digits, NULL)
                                              : json_node_get_int(node) == g_ascii_strtoll(digits, NULL, 10);
        }
        case JSON_TRUE:
        case JSON_FALSE:
                return json_node_get_value_type(node) == G_TYPE_BOOLEAN && json_node_get_boolean(node) == (json_type(range) == JSON_TRUE);
        case JSON_NULL_VALUE:
                return JSON_NODE_HOLDS_NULL(node);
        default:
                return false;
        }
}

/* VALUE is what json_check() took. */
static char *look_at_accepted(JsonRange value) {
        g_autofree char *message = NULL, *copy = g_malloc(value.size + 1);
        g_autoptr(JsonNode) node = NULL;

        copy[json_copy_one_line(copy, value)] = 0;
        if (strpbrk(copy, "\r\n") || json_check((JsonRange){ copy, value.size }, NULL, NULL) < 0)
                return g_strdup("the copy in one line is not the same value in one line");
        if (json_parse_tree(value, &node, &message) >= 0)
                return same(value, node) ? NULL : g_strdup("json-glib understood something else");
        /* What json_parse_tree() refuses in addition is told by itself; json-glib refuses nothing more. */
        return g_str_has_prefix(message, "line 1, column 1: <data>:") ? g_strdup_printf("json-glib refuses what we take: %s", message)
                                                                      : NULL;
}

static bool is_blank(JsonRange text) {
        for (size_t i = 0; i < text.size; i++)
                if (!strchr(" \t\r\n", text.data[i]) || text.data[i] == 0)
                        return false;
        return true;
}

char *fuzz_json(const uint8_t *data, size_t size) {
        g_autofree char *exact = g_memdup2(data, size); /* so that ASan sees a byte too many */
        JsonRange text = { exact, size }, value = {};
        g_autoptr(JsonParser) parser = NULL;
        JsonFault fault = {};

        if (json_check(text, &value, &fault) >= 0)
                return look_at_accepted(value);
        if (!fault.what || fault.offset > size)
                return g_strdup("a fault without a place");
        parser = json_parser_new();
        if (is_blank(text) || !json_parser_load_from_data(parser, exact ?: "", (gssize) size, NULL))
                return NULL; /* no text at all is a leniency as well */
        return has_surrogate(text) || is_leniency(text, &fault)
                       ? NULL
                       : g_strdup_printf("json-glib takes what we refuse at %zu: %s", fault.offset, fault.what);
}
