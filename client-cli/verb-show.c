/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* show, cat */
#include "bus-client.h"
#include "json-text.h"
#include "terminal.h"
#include "text.h"

#include <string.h>

/* As systemctl: yes and no, lists of words with spaces, the rest as JSON. */
static char *value_to_text(JsonNode *value) {
        if (JSON_NODE_HOLDS_VALUE(value) && json_node_get_value_type(value) == G_TYPE_STRING)
                return json_node_dup_string(value);
        if (JSON_NODE_HOLDS_VALUE(value) && json_node_get_value_type(value) == G_TYPE_BOOLEAN)
                return g_strdup(json_node_get_boolean(value) ? "yes" : "no");
        if (!JSON_NODE_HOLDS_ARRAY(value))
                return json_to_string(value, false);

        GString *out = g_string_new(NULL);
        JsonArray *array = json_node_get_array(value);
        for (guint i = 0; i < json_array_get_length(array); i++) {
                g_autofree char *element = value_to_text(json_array_get_element(array, i));
                g_string_append_printf(out, "%s%s", i > 0 ? " " : "", element);
        }
        return g_string_free(out, false);
}

static void print_property(const Ctl *ctl, const char *name, JsonNode *value) {
        g_autofree char *text = value_to_text(value);
        g_autofree char *safe = text_safe(text, strlen(text), TEXT_KEEP_NOTHING);

        if (ctl->value)
                printf("%s\n", safe);
        else
                printf("%s=%s\n", name, safe);
}

/* Takes what -p did not name out of PROPERTIES; fails for a name that is not there. */
static int select_properties(const Ctl *ctl, const char *subject, JsonObject **properties) {
        g_autoptr(JsonObject) selected = json_object_new();

        if (!ctl->properties)
                return EXIT_OK;
        for (guint i = 0; i < ctl->properties->len; i++) {
                const char *name = ctl->properties->pdata[i];

                if (!json_object_has_member(*properties, name)) {
                        complain("%s has no property \"%s\"", subject, name);
                        return EXIT_FAILED;
                }
                json_object_set_member(selected, name, json_object_dup_member(*properties, name));
        }
        json_object_unref(*properties);
        *properties = g_steal_pointer(&selected);
        return EXIT_OK;
}

static void print_properties(const Ctl *ctl, JsonObject *properties) {
        g_autoptr(GList) names = json_object_get_members(properties);

        if (ctl->json == JSON_OFF) {
                for (GList *l = names; l; l = l->next)
                        print_property(ctl, l->data, json_object_get_member(properties, l->data));
                return;
        }
        g_autoptr(JsonNode) node = json_node_alloc();
        json_node_set_object(json_node_init(node, JSON_NODE_OBJECT), properties);
        print_json(ctl, node);
}

/* ID NULL: the host. */
static int show(Ctl *ctl, const char *id, bool first) {
        g_autoptr(JsonObject) properties = NULL;
        int r = id ? session_get_properties(ctl, id, &properties) : ctl_get_properties(ctl, HOST_PATH, HOST_INTERFACE, NULL, &properties);

        if (r == EXIT_OK)
                r = select_properties(ctl, id ?: "the host", &properties);
        if (r != EXIT_OK)
                return r;
        ctl_pager(ctl);
        if (!first && ctl->json == JSON_OFF)
                putchar('\n');
        print_properties(ctl, properties);
        return EXIT_OK;
}

int verb_show(Ctl *ctl, char **args) {
        int status = EXIT_OK;

        if (!args[0])
                return show(ctl, NULL, true);
        for (size_t i = 0; args[i]; i++) {
                int r = show(ctl, args[i], i == 0);
                if (status == EXIT_OK)
                        status = r;
        }
        return status;
}

/* What is no JSON is shown all the same: cat is how one finds out. */
static void print_file(const char *path, const char *text, size_t size) {
        g_autofree char *safe_path = text_safe(path, strlen(path), TEXT_KEEP_NOTHING);
        g_autofree char *safe = text_safe(text, size, TEXT_KEEP_TABS | TEXT_KEEP_NEWLINES);
        const char *colour = terminal_colour(ANSI_GREY);

        printf("%s# %s%s\n%s", colour, safe_path, *colour ? ANSI_NORMAL : "", safe);
        if (size == 0 || text[size - 1] != '\n')
                putchar('\n');
}

static int cat(Ctl *ctl, const char *id, bool first) {
        g_autoptr(JsonObject) properties = NULL;
        g_autoptr(GError) error = NULL;
        g_autofree char *text = NULL;
        gsize size;
        int r = session_get_properties(ctl, id, &properties);

        if (r != EXIT_OK)
                return r;
        const char *path = dict_string(properties, "Manifest");
        if (!*path) {
                complain("%s: its manifest was given inline, there is no file of it", id);
                return EXIT_FAILED;
        }
        if (!g_file_get_contents(path, &text, &size, &error)) {
                complain("%s: %s", id, error->message);
                return EXIT_FAILED;
        }
        ctl_pager(ctl);
        if (!first)
                putchar('\n');
        print_file(path, text, size);
        return EXIT_OK;
}

int verb_cat(Ctl *ctl, char **args) {
        int status = EXIT_OK;

        if (!ctl_local(ctl)) {
                complain("cat reads files of this machine; it cannot be used with -H or -M");
                return EXIT_FAILED;
        }
        for (size_t i = 0; args[i]; i++) {
                int r = cat(ctl, args[i], i == 0);
                if (status == EXIT_OK)
                        status = r;
        }
        return status;
}
