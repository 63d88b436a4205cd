/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* list */
#include "verb-list.h"
#include "bus-client.h"
#include "state.h"
#include "table.h"
#include "terminal.h"

/* Columns of the table, members of the JSON objects, and what ListSessions calls them. */
static const char *const headers[] = { "ID", "STATE", "DESIRED", "RUNTIME", "DIALECT", "PID", "DESCRIPTION" };
static const struct {
        const char *json, *key;
} members[] = {
        { "id", "id" },
        { "path", "path" },
        { "name", "name" },
        { "description", "description" },
        { "type", "type" },
        { "dialect", "dialect" },
        { "runtime", "runtime" },
        { "state", "reported-state" },
        { "desired", "desired-state" },
        { "stateChangedAt", "state-changed-at" },
        { "pid", "main-pid" },
        { "restarts", "restarts" },
        { "error", "error-message" },
};

JsonNode *sessions_to_json(JsonArray *sessions) {
        JsonArray *list = json_array_new();
        JsonNode *node = json_node_alloc();

        for (guint i = 0; i < json_array_get_length(sessions); i++) {
                JsonObject *session = json_array_get_object_element(sessions, i), *object = json_object_new();

                for (size_t j = 0; j < G_N_ELEMENTS(members); j++)
                        if (json_object_has_member(session, members[j].key))
                                json_object_set_member(object, members[j].json, json_object_dup_member(session, members[j].key));
                if (dict_uint(session, "main-pid") == 0)
                        json_object_set_null_member(object, "pid");
                json_array_add_object_element(list, object);
        }
        json_node_init_array(node, list);
        json_array_unref(list);
        return node;
}

static void add_row(Table *table, JsonObject *session) {
        const char *state = dict_string(session, "reported-state"), *description = dict_string(session, "description");
        g_autofree char *pid = dict_uint(session, "main-pid") > 0 ? g_strdup_printf("%" PRIu64, dict_uint(session, "main-pid")) : NULL;

        table_add(table, dict_string(session, "id"), NULL);
        table_add(table, state, state_colour(state));
        table_add(table, dict_string(session, "desired-state"), NULL);
        table_add(table, dict_string(session, "runtime"), NULL);
        table_add(table, dict_string(session, "dialect"), NULL);
        table_add(table, pid, NULL);
        table_add(table, *description ? description : dict_string(session, "name"), NULL);
}

static void print_table(const Ctl *ctl, JsonArray *sessions) {
        g_autoptr(Table) table = table_new(headers, G_N_ELEMENTS(headers));
        g_autoptr(GString) out = g_string_new(NULL);
        TableStyle style = {
                .width = ctl->full ? SIZE_MAX : terminal_width(),
                .header = !ctl->no_legend && json_array_get_length(sessions) > 0,
                .colours = terminal_colours(),
        };

        table_align_right(table, 5);
        for (guint i = 0; i < json_array_get_length(sessions); i++)
                add_row(table, json_array_get_object_element(sessions, i));
        table_print(table, &style, out);
        if (!ctl->no_legend && table_rows(table) == 0)
                g_string_append(out, "No sessions are loaded.\n");
        else if (!ctl->no_legend)
                g_string_append_printf(out, "\n%zu session%s loaded.\n", table_rows(table), table_rows(table) == 1 ? "" : "s");
        fputs(out->str, stdout);
}

int verb_list(Ctl *ctl, char **args) {
        g_autoptr(JsonArray) sessions = NULL;
        int r = ctl_list_sessions(ctl, &sessions);

        if (r != EXIT_OK)
                return r;
        if (ctl->json == JSON_OFF) {
                ctl_pager(ctl);
                print_table(ctl, sessions);
                return EXIT_OK;
        }
        g_autoptr(JsonNode) node = sessions_to_json(sessions);
        print_json(ctl, node);
        return EXIT_OK;
}
