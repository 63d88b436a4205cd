/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads the value of each kind of key. What is found is shown in errors, except where it may be a secret (env).
 * The document went through json_parse_tree(): every string in it is text. */
#include "host/manifest-reader.h"

#include "basic/deadline.h"

#include <errno.h>
#include <math.h>

void *manifest_place(ManifestReader *reader, const ManifestKey *key) {
        return (char *) reader->manifest + key->offset;
}

int manifest_wrong_type(ManifestReader *reader, JsonRange value, const char *expected) {
        g_autofree char *found = manifest_describe(value);

        return manifest_fault(reader, found, "%s", expected);
}

/* A JSON string of MIN to MAX bytes, newly allocated; NULL: the error is set. SECRET: not shown in errors. */
static char *read_text(ManifestReader *reader, JsonRange value, double min, double max, bool secret) {
        g_autofree char *text = NULL, *found = NULL;
        size_t size;

        if (json_type(value) != JSON_STRING) {
                found = secret ? g_strdup("a value that is no string") : manifest_describe(value);
                manifest_fault(reader, found, "a string");
                return NULL;
        }
        text = json_string_decode(value);
        size = strlen(text);
        if (size >= (size_t) min && size <= (size_t) max)
                return g_steal_pointer(&text);
        found = g_strdup_printf("%zu bytes", size);
        if (size == 0)
                manifest_fault(reader, "\"\"", "text that is not empty");
        else
                manifest_fault(reader, found, "at most %zu", (size_t) max);
        return NULL;
}

int manifest_expand(const char *text, const char *instance, GString *out, char sequence[3]) {
        for (const char *p = text; *p; p++) {
                if (*p != '%')
                        g_string_append_c(out, *p);
                else if (p[1] == '%') {
                        g_string_append_c(out, '%');
                        p++;
                } else if (p[1] == 'i' && instance) {
                        g_string_append(out, instance);
                        p++;
                } else {
                        memcpy(sequence, (const char[]){ '%', p[1], '\0' }, 3);
                        return -EBADMSG;
                }
        }
        return 0;
}

static int wrong_sequence(ManifestReader *reader, const char *sequence) {
        g_autofree char *shown = json_quote(sequence, strlen(sequence)), *found = g_strdup_printf("\"%s\"", shown);

        if (strcmp(sequence, "%i") == 0)
                return manifest_fault(reader, found,
                                      "it in the manifest of a template (\"NAME@.json\") alone, or \"%%%%\" for a percent sign");
        return manifest_fault(reader, found, "\"%%i\" (the instance of a template) or \"%%%%\" (a percent sign)");
}

/* All texts of one manifest together are bounded: a %i of two bytes may become many. */
static int spend(ManifestReader *reader, size_t size) {
        if (size > reader->budget)
                return manifest_fault(reader, "too many long texts", "at most %d bytes of them after %%i is replaced", MANIFEST_SIZE_MAX);
        reader->budget -= size;
        return 0;
}

/* read_text() with %i and %% replaced. */
char *manifest_take_text(ManifestReader *reader, JsonRange value, double min, double max, bool secret) {
        g_autofree char *text = read_text(reader, value, min, max, secret), *found = NULL;
        g_autoptr(GString) out = g_string_new(NULL);
        char sequence[3];

        if (!text)
                return NULL;
        if (manifest_expand(text, reader->instance, out, sequence) < 0) {
                wrong_sequence(reader, sequence);
                return NULL;
        }
        if (spend(reader, out->len) < 0)
                return NULL;
        if (out->len >= (size_t) min && out->len <= (size_t) max)
                return g_strndup(out->str, out->len);
        found = g_strdup_printf("%zu bytes after %%i is replaced", out->len);
        manifest_fault(reader, found, "%zu to %zu", (size_t) min, (size_t) max);
        return NULL;
}

int manifest_read_version(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        g_autofree char *number = json_type(value) == JSON_NUMBER ? g_strndup(value.data, value.size) : NULL;

        return number && g_ascii_strtod(number, NULL) == 1 ? 0 : manifest_wrong_type(reader, value, "1, the only version there is");
}

/* The manifest of a template may name the template. */
static bool id_fits(const char *given, const char *wanted) {
        const char *at = strchr(wanted, '@');
        size_t stem = at ? (size_t) (at + 1 - wanted) : 0;

        return strcmp(given, wanted) == 0 || (stem > 0 && strlen(given) == stem && strncmp(given, wanted, stem) == 0);
}

int manifest_read_id(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        g_autofree char *id = json_type(value) == JSON_STRING ? json_string_decode(value) : NULL;

        if (!id || !plugin_id_valid(id))
                return manifest_wrong_type(reader, value, "an id: " PLUGIN_ID_RULE);
        if (!reader->id)
                reader->manifest->id = g_steal_pointer(&id);
        else if (!id_fits(id, reader->id)) {
                g_autofree char *found = manifest_describe(value);

                return manifest_fault(reader, found, "\"%s\", as the file name says", reader->id);
        }
        return 0;
}

int manifest_read_type(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        int r = manifest_read_choice(reader, key, value);

        if (r == 0 && reader->manifest->type == MANIFEST_EXTERNAL) {
                reader->manifest->activation = ACTIVATION_MANUAL;
                reader->manifest->timeouts.idle_usec = USEC_INFINITY;
        }
        return r;
}

int manifest_read_dialect(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        g_autofree char *name = json_type(value) == JSON_STRING ? json_string_decode(value) : NULL;
        const DialectOps *dialect = name ? dialect_find(name) : NULL;
        Manifest *manifest = reader->manifest;

        if (!dialect) {
                g_autoptr(GString) names = g_string_new(NULL);

                manifest_append_choices(names, dialect_names());
                return manifest_wrong_type(reader, value, names->str);
        }
        manifest->dialect = dialect;
        manifest->framing = dialect->framing;
        if (!dialect->has_ping)
                manifest->health.interval_usec = USEC_INFINITY;
        return 0;
}

static bool has_control_character(const char *text) {
        for (const char *p = text; *p; p = g_utf8_next_char(p))
                if (g_unichar_iscntrl(g_utf8_get_char(p)))
                        return true;
        return false;
}

/* Text that is shown to people, one line in a table. */
int manifest_read_label(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        char *text = read_text(reader, value, key->min, key->max, false);
        char **target = manifest_place(reader, key);

        *target = text;
        if (!text)
                return -EBADMSG;
        if (has_control_character(text))
                return manifest_wrong_type(reader, value, "text without control characters");
        return spend(reader, strlen(text));
}

int manifest_read_command(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        g_autofree char *command = manifest_take_text(reader, value, key->min, key->max, false), *found = NULL, *why = NULL;

        if (!command)
                return -EBADMSG;
        reader->manifest->command = reader->command ? g_strdup(reader->command) : manifest_find_command(command, &why);
        if (reader->manifest->command)
                return 0;
        found = manifest_describe(value);
        return manifest_fault(reader, found, "%s", why);
}

int manifest_take_list(ManifestReader *reader, JsonRange value, const ManifestList *list, char ***ret) {
        g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
        JsonRange item;
        size_t cursor = 0;

        if (json_type(value) != JSON_ARRAY)
                return manifest_wrong_type(reader, value, "a list of strings");
        while (json_next(value, &cursor, NULL, &item)) {
                size_t outer = reader->path->len;
                char *text;
                int r;

                if (texts->len >= list->items_max)
                        return manifest_fault(reader, "a longer list", "at most %u items", list->items_max);
                g_string_append_printf(reader->path, "[%u]", texts->len);
                text = manifest_take_text(reader, item, list->min, list->max, false);
                if (!text)
                        return -EBADMSG;
                g_ptr_array_add(texts, text);
                r = list->check ? list->check(reader, item, text, list) : 0;
                if (r < 0)
                        return r;
                g_string_truncate(reader->path, outer);
        }
        if (texts->len == 0)
                return 0;
        g_ptr_array_add(texts, NULL);
        *ret = (char **) g_ptr_array_free(g_steal_pointer(&texts), FALSE);
        return 0;
}

int manifest_read_args(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        return manifest_take_list(reader, value, &(ManifestList){ .items_max = MANIFEST_LIST_MAX, .max = key->max },
                                  &reader->manifest->args);
}

static bool env_name_valid(const char *name) {
        if (!g_ascii_isalpha(name[0]) && name[0] != '_')
                return false;
        for (const char *p = name; *p; p++)
                if (!g_ascii_isalnum(*p) && *p != '_')
                        return false;
        return strlen(name) <= 256;
}

static int read_variable(ManifestReader *reader, const ManifestKey *key, JsonRange name, JsonRange value, char **ret) {
        g_autofree char *variable = json_string_decode(name), *text = NULL;
        size_t outer;

        if (!env_name_valid(variable)) {
                g_autofree char *found = json_quote(name.data, name.size);

                return manifest_fault(reader, found, "names of variables: letters, digits and \"_\", no digit first, at most 256 bytes");
        }
        outer = manifest_enter(reader, variable, strlen(variable));
        if (g_str_has_prefix(variable, "PLUGIND_"))
                return manifest_fault(reader, "a reserved name", "one that does not begin with PLUGIND_");
        text = manifest_take_text(reader, value, 0, key->max - strlen(variable) - 1, true);
        if (!text)
                return -EBADMSG;
        g_string_truncate(reader->path, outer);
        *ret = g_strdup_printf("%s=%s", variable, text);
        return 0;
}

int manifest_read_env(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        g_autoptr(GPtrArray) env = g_ptr_array_new_with_free_func(g_free);
        JsonRange name, item;
        size_t cursor = 0;

        if (json_type(value) != JSON_OBJECT)
                return manifest_wrong_type(reader, value, "an object of strings");
        while (json_next(value, &cursor, &name, &item)) {
                char *variable = NULL;
                int r;

                if (env->len >= MANIFEST_LIST_MAX)
                        return manifest_fault(reader, "more variables", "at most %d", MANIFEST_LIST_MAX);
                r = read_variable(reader, key, name, item, &variable);
                if (r < 0)
                        return r;
                g_ptr_array_add(env, variable);
        }
        if (env->len == 0)
                return 0;
        g_ptr_array_add(env, NULL);
        reader->manifest->env = (char **) g_ptr_array_free(g_steal_pointer(&env), FALSE);
        return 0;
}

int manifest_read_cwd(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        char *cwd = manifest_take_text(reader, value, key->min, key->max, false);

        reader->manifest->cwd = cwd;
        if (!cwd)
                return -EBADMSG;
        return cwd[0] == '/' ? 0 : manifest_wrong_type(reader, value, "an absolute path");
}

static int find_choice(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        g_autoptr(GString) names = NULL;

        for (int i = 0; json_type(value) == JSON_STRING && key->choices[i]; i++)
                if (json_string_equals(value, key->choices[i]))
                        return i;
        names = g_string_new(NULL);
        manifest_append_choices(names, key->choices);
        if (key->members)
                g_string_append(names, ", or an object");
        return manifest_wrong_type(reader, value, names->str);
}

int manifest_read_choice(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        int choice = find_choice(reader, key, value);

        if (choice < 0)
                return choice;
        memcpy(manifest_place(reader, key), &choice, sizeof choice);
        return 0;
}

/* Kept by name, not by number. */
int manifest_read_choice_name(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        int choice = find_choice(reader, key, value);
        char **target = manifest_place(reader, key);

        if (choice < 0)
                return choice;
        *target = g_strdup(key->choices[choice]);
        return 0;
}

static bool number_in_range(const ManifestKey *key, JsonRange value, double *ret) {
        g_autofree char *text = json_type(value) == JSON_NUMBER ? g_strndup(value.data, value.size) : NULL;

        if (!text)
                return false;
        *ret = g_ascii_strtod(text, NULL);
        return *ret >= key->min && *ret <= key->max;
}

static int read_seconds(ManifestReader *reader, const ManifestKey *key, JsonRange value, bool zero_is_never) {
        uint64_t *target = manifest_place(reader, key);
        double seconds;

        if (!number_in_range(key, value, &seconds)) {
                g_autofree char *found = manifest_describe(value);

                return manifest_fault(reader, found, "a number of seconds, %.15g%s to %.15g", key->min, zero_is_never ? " (never)" : "",
                                      key->max);
        }
        if (seconds > 0)
                *target = MAX((uint64_t) llround(seconds * USEC_PER_SEC), 1);
        else
                *target = zero_is_never ? USEC_INFINITY : 0;
        return 0;
}

int manifest_read_seconds(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        return read_seconds(reader, key, value, false);
}

int manifest_read_timeout(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        return read_seconds(reader, key, value, true);
}

int manifest_take_whole_number(ManifestReader *reader, const ManifestKey *key, JsonRange value, int *ret) {
        double number;

        if (!number_in_range(key, value, &number) || number != floor(number)) {
                g_autofree char *found = manifest_describe(value);

                return manifest_fault(reader, found, "a whole number, %.15g to %.15g", key->min, key->max);
        }
        *ret = (int) number;
        return 0;
}

int manifest_read_count(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        unsigned *target = manifest_place(reader, key);
        int number, r;

        r = manifest_take_whole_number(reader, key, value, &number);
        if (r == 0)
                *target = (unsigned) number;
        return r;
}

int manifest_read_object(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        if (json_type(value) != JSON_OBJECT)
                return manifest_wrong_type(reader, value, "an object");
        return manifest_read_members(reader, key->members, value);
}

int manifest_read_restart(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        Manifest *manifest = reader->manifest;
        JsonRange given;
        int r;

        if (json_type(value) != JSON_OBJECT)
                return manifest_read_choice(reader, key, value);
        r = manifest_read_members(reader, key->members, value);
        if (r < 0 || manifest->restart.max_delay_usec >= manifest->restart.delay_usec)
                return r;
        if (json_find(value, "maxDelay", &given)) {
                manifest_enter(reader, "maxDelay", strlen("maxDelay"));
                return manifest_wrong_type(reader, given, "no less than restart.delay");
        }
        manifest->restart.max_delay_usec = manifest->restart.delay_usec;
        return 0;
}

int manifest_read_prevent_exit(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        g_autoptr(GArray) statuses = g_array_new(FALSE, FALSE, sizeof(int));
        JsonRange item;
        size_t cursor = 0;

        if (json_type(value) != JSON_ARRAY)
                return manifest_wrong_type(reader, value, "a list of exit statuses");
        while (json_next(value, &cursor, NULL, &item)) {
                size_t outer = reader->path->len;
                int status, r;

                if (statuses->len > key->max)
                        return manifest_fault(reader, "a longer list", "at most %d items", (int) key->max + 1);
                g_string_append_printf(reader->path, "[%u]", statuses->len);
                r = manifest_take_whole_number(reader, key, item, &status);
                if (r < 0)
                        return r;
                g_array_append_val(statuses, status);
                g_string_truncate(reader->path, outer);
        }
        reader->manifest->restart.n_prevent_exit = statuses->len;
        reader->manifest->restart.prevent_exit = statuses->len > 0 ? (int *) g_array_steal(statuses, NULL) : NULL;
        return 0;
}

int manifest_read_health(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        Manifest *manifest = reader->manifest;

        if (json_type(value) == JSON_FALSE) {
                manifest->health.interval_usec = USEC_INFINITY;
                return 0;
        }
        if (json_type(value) != JSON_OBJECT)
                return manifest_wrong_type(reader, value, "false or an object");
        if (!manifest->dialect->has_ping)
                return manifest_fault(reader, "an object", "false or nothing: dialect \"%s\" has no ping", manifest->dialect->name);
        return manifest_read_members(reader, key->members, value);
}

/* Bytes of the string token at TEXT, with its quotes. */
static size_t string_token_size(const char *text) {
        size_t size = 1;

        while (text[size] != '"')
                size += text[size] == '\\' ? 2 : 1;
        return size + 1;
}

static bool is_member_name(JsonRange object, size_t end) {
        while (end < object.size && strchr(" \t\r\n", object.data[end]))
                end++;
        return end < object.size && object.data[end] == ':';
}

static int expand_string(ManifestReader *reader, JsonRange token, GString *out) {
        g_autofree char *text = json_string_decode(token);
        g_autoptr(GString) expanded = NULL;
        char sequence[3];

        if (!strchr(text, '%')) {
                g_string_append_len(out, token.data, (gssize) token.size);
                return 0;
        }
        expanded = g_string_sized_new(token.size);
        if (manifest_expand(text, reader->instance, expanded, sequence) < 0)
                return wrong_sequence(reader, sequence);
        json_append_string(out, expanded->str, expanded->len);
        return spend(reader, expanded->len);
}

/* Token by token instead of through a tree: numbers stay as they were written, and depth costs nothing. */
static int expand_configuration(ManifestReader *reader, JsonRange object, GString *out) {
        for (size_t i = 0; i < object.size;) {
                JsonRange token = { object.data + i, 1 };
                int r = 0;

                if (object.data[i] == '"')
                        token.size = string_token_size(object.data + i);
                i += token.size;
                if (token.size > 1 && !is_member_name(object, i))
                        r = expand_string(reader, token, out);
                else
                        g_string_append_len(out, token.data, (gssize) token.size);
                if (r < 0)
                        return r;
        }
        return 0;
}

int manifest_read_configuration(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        g_autoptr(GString) out = NULL;
        JsonRange name, member;
        size_t cursor = 0;
        int r;

        if (json_type(value) != JSON_OBJECT)
                return manifest_wrong_type(reader, value, "an object");
        if (!json_next(value, &cursor, &name, &member))
                return 0;
        out = g_string_sized_new(value.size);
        r = expand_configuration(reader, value, out);
        if (r < 0)
                return r;
        json_copy_one_line(out->str, (JsonRange){ out->str, out->len });
        reader->manifest->configuration = g_strndup(out->str, out->len);
        return 0;
}

static bool uri_valid(const char *uri) {
        size_t scheme = strspn(uri, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "+.-");

        if (!g_ascii_isalpha(uri[0]) || uri[scheme] != ':' || uri[scheme + 1] == '\0')
                return false;
        for (const char *p = uri; *p; p++)
                if (*p == '%' && (!g_ascii_isxdigit(p[1]) || !g_ascii_isxdigit(p[2])))
                        return false;
        return true;
}

/* Percent signs are the URI's own here: nothing is expanded. */
int manifest_read_uri(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        g_autofree char *uri = read_text(reader, value, 0, key->max, false);
        char **target = manifest_place(reader, key);

        if (!uri)
                return -EBADMSG;
        if (!uri_valid(uri))
                return manifest_wrong_type(reader, value, "a URI such as \"file:///srv/project\"");
        *target = g_steal_pointer(&uri);
        return 0;
}

int manifest_read_json(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        char **target = manifest_place(reader, key);

        *target = g_malloc(value.size + 1);
        (*target)[json_copy_one_line(*target, value)] = '\0';
        return 0;
}

int manifest_read_nothing(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        return 0;
}
