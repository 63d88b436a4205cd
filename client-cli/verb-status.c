/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* status */
#include "bus-client.h"
#include "daemon-line.h"
#include "figures.h"
#include "greeting.h"
#include "log-lines.h"
#include "process.h"
#include "state.h"
#include "table.h"
#include "terminal.h"
#include "text.h"
#include "verb-list.h"

#include <string.h>

#define STATUS_LINES 10
#define LABEL_WIDTH 11

/* All there is to be said of a session. */
typedef struct Status {
        const char *id;
        JsonObject *session, *host; /* properties; HOST is not owned. NULL: not known */
        Usage usage;
        Figures *figures; /* NULL: not known */
        GArray *lines;
} Status;

static void status_clear(Status *status) {
        g_clear_pointer(&status->session, json_object_unref);
        g_clear_pointer(&status->figures, figures_free);
        g_clear_pointer(&status->lines, g_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Status, status_clear)

static void field(const char *label, const char *value) {
        g_autofree char *safe = text_safe(value, strlen(value), TEXT_KEEP_NOTHING);

        printf("%*s: %s\n", LABEL_WIDTH, label, safe);
}

static void __attribute__((format(printf, 2, 3))) fieldf(const char *label, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        g_autofree char *value = g_strdup_vprintf(format, ap);
        va_end(ap);
        field(label, value);
}

static void print_title(JsonObject *session, const char *id) {
        const char *state = dict_string(session, "ReportedState"), *description = dict_string(session, "Description"),
                   *name = dict_string(session, "Name"), *colour = terminal_colour(state_colour(state));
        const char *title = *description ? description : name;
        g_autofree char *line = g_strconcat(id, *title ? " - " : "", title, NULL);
        g_autofree char *safe = text_safe(line, strlen(line), TEXT_KEEP_NOTHING);

        printf("%s%s%s %s\n", colour, state_dot(state), *colour ? ANSI_NORMAL : "", safe);
}

static void print_loaded(JsonObject *session) {
        const char *manifest = dict_string(session, "Manifest"), *type = dict_string(session, "Type");

        fieldf("Loaded", "loaded (%s%s%s)", *manifest ? manifest : "manifest given inline", strcmp(type, "external") == 0 ? "; " : "",
               strcmp(type, "external") == 0 ? type : "");
}

static void print_active(JsonObject *session) {
        const char *state = dict_string(session, "ReportedState"), *colour = terminal_colour(state_colour(state));
        uint64_t since = dict_uint(session, "StateChangedAt");
        g_autofree char *safe = text_safe(state, strlen(state), TEXT_KEEP_NOTHING);

        printf("%*s: %s%s%s", LABEL_WIDTH, "Active", colour, safe, *colour ? ANSI_NORMAL : "");
        if (since > 0) {
                g_autofree char *time = text_timestamp(since), *ago = text_ago(since, (uint64_t) g_get_real_time());
                printf(" since %s; %s", time, ago);
        }
        putchar('\n');
}

static void print_dialect(JsonObject *session) {
        const char *name = dict_string(session, "Name"), *version = dict_string(session, "Version");
        Greeting greeting;

        greeting_parse(dict_string(session, "Greeting"), &greeting);
        fieldf("Dialect", "%s%s%s", dict_string(session, "Dialect"), greeting.protocol ? " " : "", greeting.protocol ?: "");
        if (greeting.server)
                field("Server", greeting.server);
        else if (*name || *version)
                fieldf("Server", "%s%s%s", name, *name && *version ? " " : "", version);
        greeting_clear(&greeting);
}

/* Unknown figures are left out. */
static void print_usage(const Usage *usage) {
        g_autofree char *memory = text_bytes(usage->memory), *cpu = text_timespan(usage->cpu_nsec / 1000000 * 1000);

        if (usage->tasks != USAGE_UNKNOWN)
                fieldf("Tasks", "%" PRIu64, usage->tasks);
        if (usage->memory != USAGE_UNKNOWN)
                field("Memory", memory);
        if (usage->cpu_nsec != USAGE_UNKNOWN)
                field("CPU", cpu);
}

static void print_process(const Ctl *ctl, const Usage *usage) {
        g_autofree char *name = usage->pid > 0 && ctl_local(ctl) ? process_name(usage->pid) : NULL;

        if (usage->pid > 0)
                fieldf("Main PID", "%d%s%s%s", (int) usage->pid, name ? " (" : "", name ?: "", name ? ")" : "");
        if (*usage->unit)
                field("Unit", usage->unit);
        print_usage(usage);
}

static void print_requests(const Figures *figures) {
        g_autofree char *p50 = NULL, *p99 = NULL;

        if (!figures || figures_calls(figures) + figures->in_flight == 0)
                return;
        p50 = text_latency(figures_latency(NULL, figures, 0.5));
        p99 = text_latency(figures_latency(NULL, figures, 0.99));
        g_autoptr(GString) line = g_string_new(NULL);
        g_string_append_printf(line, "%" PRIu64 " answered", figures->answered + figures->plugin_errors);
        if (figures->plugin_errors > 0)
                g_string_append_printf(line, " (%" PRIu64 " with an error)", figures->plugin_errors);
        if (figures->failed > 0)
                g_string_append_printf(line, ", %" PRIu64 " failed", figures->failed);
        if (figures->in_flight > 0)
                g_string_append_printf(line, ", %" PRIu64 " in flight", figures->in_flight);
        if (figures_latency(NULL, figures, 0.5) > 0)
                g_string_append_printf(line, "; half within %s, 99%% within %s", p50, p99);
        field("Requests", line->str);
}

static void print_error(JsonObject *session) {
        JsonNode *details = json_object_get_member(session, "ErrorDetails");
        const char *message = dict_string(session, "ErrorMessage");
        g_autoptr(GString) line = g_string_new(NULL);
        JsonObjectIter iter;
        const char *key;
        JsonNode *value;

        if (!*message)
                return;
        fieldf("Error", "%s", message);
        if (!details || !JSON_NODE_HOLDS_OBJECT(details))
                return;
        json_object_iter_init(&iter, json_node_get_object(details));
        while (json_object_iter_next(&iter, &key, &value)) {
                g_autofree char *text = JSON_NODE_HOLDS_VALUE(value) && json_node_get_value_type(value) == G_TYPE_STRING
                                                ? json_node_dup_string(value)
                                                : json_to_string(value, false);
                g_string_append_printf(line, "%s%s=%s", line->len > 0 ? " " : "", key, text);
        }
        if (line->len > 0) {
                g_autofree char *safe = text_safe(line->str, line->len, TEXT_KEEP_NOTHING);
                printf("%*s  %s\n", LABEL_WIDTH, "", safe);
        }
}

static void print_log(const Ctl *ctl, const char *id, GArray *lines) {
        guint wanted = ctl->lines >= 0 ? (guint) ctl->lines : STATUS_LINES;
        guint first = lines->len > wanted ? lines->len - wanted : 0;

        if (first < lines->len)
                putchar('\n');
        for (guint i = first; i < lines->len; i++)
                log_line_print(ctl, id, &g_array_index(lines, LogLine, i), ctl->full ? SIZE_MAX : terminal_width());
}

/* HOST: of Host's properties, NULL: not known. */
static void print_daemon(JsonObject *host, JsonObject *session) {
        g_autofree char *line = daemon_line(host, session, (uint64_t) g_get_real_time());

        if (line)
                field("Daemon", line);
}

static void print_session(const Ctl *ctl, const Status *status) {
        print_title(status->session, status->id);
        print_loaded(status->session);
        print_active(status->session);
        field("Desired", dict_string(status->session, "DesiredState"));
        if (dict_uint(status->session, "Restarts") > 0)
                fieldf("Restarts", "%" PRIu64, dict_uint(status->session, "Restarts"));
        print_daemon(status->host, status->session);
        print_dialect(status->session);
        print_process(ctl, &status->usage);
        print_requests(status->figures);
        print_error(status->session);
        print_log(ctl, status->id, status->lines);
}

static void add_figure(JsonObject *session, const char *name, uint64_t value) {
        if (value != USAGE_UNKNOWN)
                json_object_set_int_member(session, name, (gint64) value);
}

static void add_json(JsonArray *list, const Status *status) {
        JsonArray *log = json_array_new();

        for (guint i = 0; i < status->lines->len; i++)
                json_array_add_object_element(log, log_line_to_json(status->id, &g_array_index(status->lines, LogLine, i)));
        json_object_set_array_member(status->session, "LogLines", log);
        add_figure(status->session, "MemoryBytes", status->usage.memory);
        add_figure(status->session, "Tasks", status->usage.tasks);
        add_figure(status->session, "CPUUsageNSec", status->usage.cpu_nsec);
        json_array_add_object_element(list, json_object_ref(status->session));
}

/* LIST: NULL prints text. HOST is asked for when the first text is printed. */
static int status_of_session(Ctl *ctl, const char *id, JsonObject **host, JsonArray *list) {
        g_auto(Status) status = { .id = id };
        int r = session_get_properties(ctl, id, &status.session);

        if (r == EXIT_OK)
                r = session_get_log_lines(ctl, id, true, &status.lines);
        if (r != EXIT_OK)
                return r;
        status.usage = (Usage){ .unit = dict_string(status.session, "Unit"), .pid = (pid_t) dict_uint(status.session, "MainPID") };
        usage_get(ctl, &status.usage);
        if (list)
                add_json(list, &status);
        else {
                bool first = !*host;

                if (first && (r = ctl_get_properties(ctl, HOST_PATH, HOST_INTERFACE, NULL, host)) != EXIT_OK)
                        return r;
                status.host = *host;
                status.figures = figures_get(ctl, id);
                ctl_pager(ctl);
                if (!first)
                        putchar('\n');
                print_session(ctl, &status);
        }
        return state_is_down(dict_string(status.session, "ReportedState")) ? EXIT_NOT_ACTIVE : EXIT_OK;
}

static int status_of_sessions(Ctl *ctl, char **ids) {
        g_autoptr(JsonNode) node = json_node_alloc();
        g_autoptr(JsonObject) host = NULL;
        JsonArray *list = json_array_new();
        int status = EXIT_OK;

        json_node_take_array(json_node_init(node, JSON_NODE_ARRAY), list);
        for (size_t i = 0; ids[i]; i++) {
                int r = status_of_session(ctl, ids[i], &host, ctl->json != JSON_OFF ? list : NULL);
                if (status == EXIT_OK)
                        status = r;
        }
        if (ctl->json != JSON_OFF)
                print_json(ctl, node);
        return status;
}

/* "3 loaded: 2 active, 1 errored" */
static char *count_states(JsonArray *sessions, const char **ret_worst) {
        static const char *const states[] = { "active", "starting", "connecting", "restarting", "stopping", "inactive", "errored" };
        guint counts[G_N_ELEMENTS(states)] = {}, n = json_array_get_length(sessions);
        GString *out = g_string_new(NULL);

        for (guint i = 0; i < n; i++)
                for (size_t j = 0; j < G_N_ELEMENTS(states); j++)
                        if (strcmp(dict_string(json_array_get_object_element(sessions, i), "reported-state"), states[j]) == 0)
                                counts[j]++;

        g_string_append_printf(out, "%u loaded", n);
        *ret_worst = "active"; /* the host itself is up */
        for (size_t j = 0, shown = 0; j < G_N_ELEMENTS(states); j++)
                if (counts[j] > 0) {
                        g_string_append_printf(out, "%s%u %s", shown++ > 0 ? ", " : ": ", counts[j], states[j]);
                        if (strcmp(states[j], "errored") == 0)
                                *ret_worst = "errored";
                }
        return g_string_free(out, false);
}

static char *join_strings(JsonNode *node) {
        GString *out = g_string_new(NULL);

        if (node && JSON_NODE_HOLDS_ARRAY(node))
                for (guint i = 0; i < json_array_get_length(json_node_get_array(node)); i++)
                        g_string_append_printf(out, "%s%s", i > 0 ? " " : "",
                                               json_array_get_string_element(json_node_get_array(node), i) ?: "");
        return g_string_free(out, false);
}

static void print_briefly(const Ctl *ctl, JsonArray *sessions) {
        static const char *const headers[] = { "", "ID", "STATE", "SINCE", "" };
        g_autoptr(Table) table = table_new(headers, G_N_ELEMENTS(headers));
        g_autoptr(GString) out = g_string_new(NULL);
        TableStyle style = { .width = ctl->full ? SIZE_MAX : terminal_width(), .colours = terminal_colours() };

        for (guint i = 0; i < json_array_get_length(sessions); i++) {
                JsonObject *session = json_array_get_object_element(sessions, i);
                const char *state = dict_string(session, "reported-state"), *error = dict_string(session, "error-message"),
                           *description = dict_string(session, "description");
                uint64_t since = dict_uint(session, "state-changed-at");
                g_autofree char *ago = since > 0 ? text_ago(since, (uint64_t) g_get_real_time()) : NULL;

                table_add(table, state_dot(state), state_colour(state));
                table_add(table, dict_string(session, "id"), NULL);
                table_add(table, state, state_colour(state));
                table_add(table, ago, NULL);
                table_add(table, *error ? error : *description ? description : dict_string(session, "name"), NULL);
        }
        table_print(table, &style, out);
        printf("%s%s", table_rows(table) > 0 ? "\n" : "", out->str);
}

static void print_host(const Ctl *ctl, JsonObject *host, JsonArray *sessions) {
        const char *worst;
        g_autofree char *counts = count_states(sessions, &worst), *features = join_strings(json_object_get_member(host, "Features"));
        g_autofree char *version = text_safe(dict_string(host, "Version"), strlen(dict_string(host, "Version")), TEXT_KEEP_NOTHING);
        const char *colour = terminal_colour(state_colour(worst)), *where = ctl->host ?: ctl->machine;

        printf("%s%s%s plugind %s on the %s bus%s%s\n", colour, text_utf8_locale() ? "●" : "*", *colour ? ANSI_NORMAL : "", version,
               ctl->user ? "session" : "system", where ? " of " : "", where ?: "");
        print_daemon(host, NULL);
        field("Sessions", counts);
        field("Runtime", dict_string(host, "RuntimeProvider"));
        if (*features)
                field("Features", features);
        print_briefly(ctl, sessions);
}

static int status_of_host(Ctl *ctl) {
        g_autoptr(JsonObject) host = NULL;
        g_autoptr(JsonArray) sessions = NULL;
        int r = ctl_get_properties(ctl, HOST_PATH, HOST_INTERFACE, NULL, &host);

        if (r == EXIT_OK)
                r = ctl_list_sessions(ctl, &sessions);
        if (r != EXIT_OK)
                return r;
        if (ctl->json == JSON_OFF) {
                ctl_pager(ctl);
                print_host(ctl, host, sessions);
                return EXIT_OK;
        }
        g_autoptr(JsonNode) node = json_node_alloc();
        JsonObject *both = json_object_new();
        json_object_set_object_member(both, "host", json_object_ref(host));
        json_object_set_member(both, "sessions", sessions_to_json(sessions));
        json_node_take_object(json_node_init(node, JSON_NODE_OBJECT), both);
        print_json(ctl, node);
        return EXIT_OK;
}

int verb_status(Ctl *ctl, char **args) {
        return args[0] ? status_of_sessions(ctl, args) : status_of_host(ctl);
}
