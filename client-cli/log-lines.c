/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log-lines.h"

#include "bus-client.h"
#include "terminal.h"
#include "text.h"

#include <string.h>
#include <syslog.h>

void log_line_clear(LogLine *line) {
        g_free(line->identifier);
        g_free(line->text);
        *line = (LogLine){};
}

static void clear_element(void *line) {
        log_line_clear(line);
}

static int read_line(sd_bus_message *m, LogLine *ret) {
        const char *text;
        uint8_t priority;
        uint64_t usec;
        int r = sd_bus_message_enter_container(m, SD_BUS_TYPE_STRUCT, "tysa{sv}");

        if (r <= 0)
                return r;
        r = sd_bus_message_read(m, "tys", &usec, &priority, &text);
        if (r >= 0)
                r = sd_bus_message_skip(m, "a{sv}");
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;
        *ret = (LogLine){ .realtime_usec = usec, .priority = priority, .text = g_strdup(text) };
        return 1;
}

static int read_lines(sd_bus_message *m, GArray *lines) {
        LogLine line;
        int r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "(tysa{sv})");

        if (r < 0)
                return r;
        while ((r = read_line(m, &line)) > 0)
                g_array_append_val(lines, line);
        return r;
}

int session_get_log_lines(Ctl *ctl, const char *id, bool quietly, GArray **ret) {
        g_autoptr(sd_bus_message) message = NULL, reply = NULL;
        g_autoptr(GArray) lines = g_array_new(false, false, sizeof(LogLine));
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autofree char *path = session_to_path(id);

        g_array_set_clear_func(lines, clear_element);
        int status = path ? ctl_new_call(ctl, path, SESSION_INTERFACE, "GetLogLines", &message) : EXIT_NO_SUCH;
        if (status != EXIT_OK)
                return status;

        int r = append_options(message, NULL);
        if (r >= 0)
                r = ctl_ask(ctl, message, CALL_QUICK, &error, &reply);
        if (r >= 0)
                r = read_lines(reply, lines);
        if (r < 0 && !quietly)
                return ctl_report(ctl, id, &error, r);
        *ret = g_steal_pointer(&lines);
        return EXIT_OK;
}

void log_line_parse(const char *text, LogLine *ret) {
        const char *space = strchr(text, ' ');
        g_autofree char *stamp = space ? g_strndup(text, (size_t) (space - text)) : NULL;
        g_autoptr(GDateTime) time = stamp ? g_date_time_new_from_iso8601(stamp, NULL) : NULL;
        bool known = time && space[1] == '<' && space[2] >= '0' && space[2] <= '7' && g_str_has_prefix(space + 3, "> ");

        *ret = (LogLine){ .priority = known ? space[2] - '0' : LOG_INFO, .text = g_strdup(known ? space + 5 : text) };
        if (known && g_date_time_to_unix(time) >= 0)
                ret->realtime_usec = (uint64_t) g_date_time_to_unix(time) * USEC_PER_SEC + (uint64_t) g_date_time_get_microsecond(time);
}

JsonObject *log_line_to_json(const char *id, const LogLine *line) {
        JsonObject *object = json_object_new();
        g_autofree char *text = g_utf8_make_valid(line->text, -1);

        if (line->realtime_usec > 0)
                json_object_set_int_member(object, "time", (gint64) line->realtime_usec);
        else
                json_object_set_null_member(object, "time");
        json_object_set_string_member(object, "session", id);
        json_object_set_int_member(object, "priority", line->priority);
        json_object_set_string_member(object, "identifier", line->identifier ?: id);
        json_object_set_string_member(object, "text", text);
        return object;
}

/* Errors stand out, what is of less than usual importance stands back. */
static const char *priority_colour(int priority) {
        return priority <= LOG_ERR       ? ANSI_RED
               : priority == LOG_WARNING ? ANSI_YELLOW
               : priority == LOG_NOTICE  ? ANSI_BOLD
               : priority == LOG_DEBUG   ? ANSI_GREY
                                         : NULL;
}

static void print_line_text(const char *id, const LogLine *line, size_t width) {
        g_autofree char *time = line->realtime_usec > 0 ? text_timestamp_log(line->realtime_usec) : NULL;
        g_autofree char *identifier = text_safe(line->identifier ?: id, strlen(line->identifier ?: id), TEXT_KEEP_NOTHING);
        g_autofree char *safe = text_safe(line->text, strlen(line->text), width == SIZE_MAX ? TEXT_KEEP_TABS : TEXT_KEEP_NOTHING);
        g_autofree char *prefix = g_strdup_printf("%s%s%s: ", time ?: "", time ? " " : "", identifier);
        size_t taken = text_width(prefix);
        g_autofree char *text = width == SIZE_MAX ? g_strdup(safe) : text_ellipsize(safe, width > taken ? width - taken : 1);
        const char *colour = terminal_colour(priority_colour(line->priority));

        printf("%s%s%s%s\n", prefix, colour, text, *colour ? ANSI_NORMAL : "");
}

void log_line_print(const Ctl *ctl, const char *id, const LogLine *line, size_t width) {
        if (ctl->json == JSON_OFF) {
                print_line_text(id, line, width);
                return;
        }
        g_autoptr(JsonNode) node = json_node_alloc();
        json_node_take_object(json_node_init(node, JSON_NODE_OBJECT), log_line_to_json(id, line));
        print_json(ctl, node);
}
