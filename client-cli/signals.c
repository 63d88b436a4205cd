/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "signals.h"

#include "bus-json.h"
#include "json-text.h"
#include "terminal.h"
#include "text.h"

#include <string.h>

#define ARGUMENTS_MAX 3

/* Names of the arguments, in order; an argument called "id" is the session's, one in JSON is put in as it is. */
static const struct {
        const char *member, *arguments[ARGUMENTS_MAX + 1];
        size_t json_argument; /* its index plus one */
} known[] = {
        { "StateChanged", { "new", "old", "reason" }, 0 },        { "Ended", { "reason", "status" }, 0 },
        { "Notification", { "request", "method", "params" }, 3 }, { "SessionNew", { "id", "path" }, 0 },
        { "SessionRemoved", { "id", "path", "reason" }, 0 },
};

static size_t find_known(const char *member) {
        size_t i = 0;

        while (i < G_N_ELEMENTS(known) && g_strcmp0(known[i].member, member) != 0)
                i++;
        return i;
}

static JsonArray *read_arguments(sd_bus_message *signal) {
        g_autoptr(JsonArray) arguments = json_array_new();

        if (sd_bus_message_rewind(signal, true) < 0)
                return NULL;
        while (sd_bus_message_at_end(signal, true) == 0) {
                g_autoptr(JsonNode) argument = NULL;

                if (bus_read_json(signal, &argument) < 0)
                        return NULL;
                json_array_add_element(arguments, g_steal_pointer(&argument));
        }
        return g_steal_pointer(&arguments);
}

static const char *argument_string(JsonArray *arguments, guint i) {
        JsonNode *node = i < json_array_get_length(arguments) ? json_array_get_element(arguments, i) : NULL;

        return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node) : "";
}

static gint64 argument_int(JsonArray *arguments, guint i) {
        JsonNode *node = i < json_array_get_length(arguments) ? json_array_get_element(arguments, i) : NULL;

        return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_INT64 ? json_node_get_int(node) : 0;
}

char *notification_to_text(const char *method, const char *params) {
        g_autofree char *safe = text_safe(method, strlen(method), TEXT_KEEP_NOTHING);
        g_autoptr(GString) out = g_string_new(safe);

        if (*params) {
                g_string_append_c(out, ' ');
                json_text_append(out, params, strlen(params), false, 0);
        }
        return g_string_free(g_steal_pointer(&out), false);
}

/* What stands behind the signal's name. */
static char *details(const char *member, JsonArray *arguments) {
        if (strcmp(member, "StateChanged") == 0)
                return g_strdup_printf("%s -> %s (%s)", argument_string(arguments, 1), argument_string(arguments, 0),
                                       argument_string(arguments, 2));
        if (strcmp(member, "Ended") == 0) {
                const char *reason = argument_string(arguments, 0);
                const char *what = strcmp(reason, "exited") == 0 ? "status" : strcmp(reason, "killed") == 0 ? "signal" : NULL;
                return what ? g_strdup_printf("%s, %s %" PRIi64, reason, what, argument_int(arguments, 1)) : g_strdup(reason);
        }
        if (strcmp(member, "Notification") == 0) {
                const char *request = argument_string(arguments, 0);
                g_autofree char *text = notification_to_text(argument_string(arguments, 1), argument_string(arguments, 2));
                return g_strconcat(*request ? "[" : "", request, *request ? "] " : "", text, NULL);
        }
        if (strcmp(member, "SessionNew") == 0)
                return g_strdup("");
        if (strcmp(member, "SessionRemoved") == 0)
                return g_strdup_printf("(%s)", argument_string(arguments, 2));

        g_autoptr(JsonNode) node = json_node_alloc();
        json_node_set_array(json_node_init(node, JSON_NODE_ARRAY), arguments);
        return json_to_string(node, false);
}

char *signal_to_text(sd_bus_message *signal, const char *id, uint64_t realtime_usec) {
        const char *member = sd_bus_message_get_member(signal);
        g_autoptr(JsonArray) arguments = read_arguments(signal);

        if (!arguments)
                return NULL;
        g_autofree char *time = text_timestamp_log(realtime_usec), *behind = details(member, arguments);
        g_autofree char *text = g_strdup_printf("%s %s%s%s", id, member, *behind ? " " : "", behind);
        g_autofree char *safe = text_safe(text, strlen(text), TEXT_KEEP_NOTHING);

        return g_strdup_printf("%s%s.%03u%s %s", terminal_colour(ANSI_GREY), time, (unsigned) (realtime_usec / 1000 % 1000),
                               terminal_colour(ANSI_NORMAL), safe);
}

static void append_member(GString *out, const char *name, JsonNode *value) {
        g_autofree char *text = json_to_string(value, false);

        g_string_append_printf(out, ",\"%s\":", name);
        json_text_append(out, text, strlen(text), false, 0);
}

static void append_string(GString *out, const char *name, const char *value) {
        g_autoptr(JsonNode) node = json_node_init_string(json_node_alloc(), value);

        append_member(out, name, node);
}

static void append_unknown(GString *out, JsonArray *arguments) {
        g_autoptr(JsonNode) node = json_node_init_array(json_node_alloc(), arguments);

        append_member(out, "arguments", node);
}

/* Text, not a tree: the params of a notification stay what the plugin wrote. */
static void append_json_argument(GString *out, const char *name, const char *json) {
        g_string_append_printf(out, ",\"%s\":", name);
        if (*json)
                json_text_append(out, json, strlen(json), false, 0);
        else
                g_string_append(out, "null");
}

char *signal_to_json(sd_bus_message *signal, const char *id, uint64_t realtime_usec) {
        const char *member = sd_bus_message_get_member(signal);
        g_autoptr(JsonArray) arguments = read_arguments(signal);
        size_t k = find_known(member);

        if (!arguments)
                return NULL;
        g_autoptr(GString) out = g_string_new(NULL);
        g_string_append_printf(out, "{\"time\":%" PRIu64, realtime_usec);
        append_string(out, "session", id);
        append_string(out, "signal", member);

        if (k == G_N_ELEMENTS(known))
                append_unknown(out, arguments);
        else
                for (guint i = 0; i < json_array_get_length(arguments) && known[k].arguments[i]; i++) {
                        if (i + 1 == known[k].json_argument)
                                append_json_argument(out, known[k].arguments[i], argument_string(arguments, i));
                        else if (strcmp(known[k].arguments[i], "id") != 0)
                                append_member(out, known[k].arguments[i], json_array_get_element(arguments, i));
                }
        g_string_append_c(out, '}');
        return g_string_free(g_steal_pointer(&out), false);
}
