/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "top-rows.h"

#include "state.h"
#include "terminal.h"
#include "text.h"

#include <string.h>

#define ID_WIDTH_MIN 8
#define NSEC_PER_USEC 1000.0

static const struct {
        const char *name;
        int key;
} orders[_TOP_ORDER_MAX] = {
        [TOP_BY_NAME] = { "name", 'n' },   [TOP_BY_CPU] = { "cpu", 'c' },           [TOP_BY_MEMORY] = { "memory", 'm' },
        [TOP_BY_TASKS] = { "tasks", 't' }, [TOP_BY_RESTARTS] = { "restarts", 'r' }, [TOP_BY_IN_FLIGHT] = { "in-flight", 'i' },
        [TOP_BY_CALLS] = { "calls", 's' }, [TOP_BY_P99] = { "p99", 'p' },
};

TopOrder top_order_from_string(const char *name) {
        TopOrder order = 0;

        while (order < _TOP_ORDER_MAX && strcmp(orders[order].name, name) != 0)
                order++;
        return order;
}

TopOrder top_order_from_key(int key) {
        TopOrder order = 0;

        while (order < _TOP_ORDER_MAX && orders[order].key != key)
                order++;
        return order;
}

/* -- rates -- */

/* Time that was used since. A process that was not there before has used all of its in between. */
static double cpu_percent(const Usage *before, const Usage *now, uint64_t elapsed_usec) {
        uint64_t used = 0;

        if (now->cpu_nsec == USAGE_UNKNOWN)
                return -1;
        if (before && before->pid == now->pid && strcmp(before->unit, now->unit) == 0)
                used = before->cpu_nsec;
        if (used == USAGE_UNKNOWN || used > now->cpu_nsec)
                return -1;
        return (double) (now->cpu_nsec - used) / NSEC_PER_USEC / (double) elapsed_usec * 100;
}

static TopRow row_between(const Figures *before, const Figures *now, uint64_t elapsed_usec) {
        uint64_t calls = before ? figures_calls(before) : 0;

        if (calls > figures_calls(now)) /* it was loaded anew */
                calls = 0;
        return (TopRow){
                .figures = now,
                .cpu_percent = cpu_percent(before ? &before->usage : NULL, &now->usage, elapsed_usec),
                .calls_per_second = (double) (figures_calls(now) - calls) * (double) USEC_PER_SEC / (double) elapsed_usec,
                .p99_usec = figures_latency(before, now, 0.99),
        };
}

static int compare(double a, double b) {
        return (a > b) - (a < b);
}

static double known(uint64_t value) {
        return value == USAGE_UNKNOWN ? -1 : (double) value;
}

static double sort_key(const TopRow *row, TopOrder order) {
        switch (order) {
        case TOP_BY_CPU:
                return row->cpu_percent;
        case TOP_BY_MEMORY:
                return known(row->figures->usage.memory);
        case TOP_BY_TASKS:
                return known(row->figures->usage.tasks);
        case TOP_BY_RESTARTS:
                return (double) row->figures->restarts;
        case TOP_BY_IN_FLIGHT:
                return (double) row->figures->in_flight;
        case TOP_BY_CALLS:
                return row->calls_per_second;
        case TOP_BY_P99:
                return (double) row->p99_usec;
        default:
                return 0;
        }
}

/* The most first; the same by name, so that rows stay where they are. */
static int compare_rows(const void *a, const void *b, void *userdata) {
        const TopRow *x = a, *y = b;
        TopOrder order = *(TopOrder *) userdata;
        int r = compare(sort_key(y, order), sort_key(x, order));

        return r != 0 ? r : strcmp(x->figures->id, y->figures->id);
}

GArray *top_rows(const TopLook *before, const TopLook *now, TopOrder order) {
        GArray *rows = g_array_new(false, false, sizeof(TopRow));
        g_autoptr(GHashTable) old = g_hash_table_new(g_str_hash, g_str_equal);

        for (guint i = 0; before && i < before->figures->len; i++) {
                Figures *figures = before->figures->pdata[i];
                g_hash_table_insert(old, figures->id, figures);
        }
        for (guint i = 0; i < now->figures->len; i++) {
                const Figures *figures = now->figures->pdata[i];
                TopRow row = { .figures = figures, .cpu_percent = -1, .calls_per_second = -1 };

                if (before && now->usec > before->usec)
                        row = row_between(g_hash_table_lookup(old, figures->id), figures, now->usec - before->usec);
                g_array_append_val(rows, row);
        }
        g_array_sort_with_data(rows, compare_rows, &order);
        return rows;
}

/* -- text -- */

typedef char *(*CellText)(const TopRow *row);

static char *cell_state(const TopRow *row) {
        return g_strdup(row->figures->state);
}

static char *cell_memory(const TopRow *row) {
        return row->figures->usage.memory == USAGE_UNKNOWN ? NULL : text_bytes(row->figures->usage.memory);
}

static char *cell_cpu(const TopRow *row) {
        return row->cpu_percent < 0 ? NULL : g_strdup_printf("%.1f", row->cpu_percent);
}

static char *cell_tasks(const TopRow *row) {
        return row->figures->usage.tasks == USAGE_UNKNOWN ? NULL : g_strdup_printf("%" PRIu64, row->figures->usage.tasks);
}

static char *cell_restarts(const TopRow *row) {
        return g_strdup_printf("%" PRIu64, row->figures->restarts);
}

static char *cell_in_flight(const TopRow *row) {
        return g_strdup_printf("%" PRIu64, row->figures->in_flight);
}

static char *cell_calls(const TopRow *row) {
        return row->calls_per_second < 0 ? NULL : g_strdup_printf("%.*f", row->calls_per_second < 1000 ? 1 : 0, row->calls_per_second);
}

static char *cell_p99(const TopRow *row) {
        return row->p99_usec == 0 ? NULL : text_latency(row->p99_usec);
}

/* Widths are fixed, so that nothing jumps from one look to the next. What is too narrow for all does without the first to be LEFT_OUT. */
static const struct {
        const char *header;
        size_t width;
        CellText text;
        TopOrder order;
        int left_out;
        bool left;
} columns[] = {
        { "STATE", 10, cell_state, _TOP_ORDER_MAX, 1, true },
        { "MEMORY", 7, cell_memory, TOP_BY_MEMORY, 6, false },
        { "CPU%", 6, cell_cpu, TOP_BY_CPU, 7, false },
        { "TASKS", 5, cell_tasks, TOP_BY_TASKS, 3, false },
        { "RESTARTS", 8, cell_restarts, TOP_BY_RESTARTS, 2, false },
        { "IN FLIGHT", 9, cell_in_flight, TOP_BY_IN_FLIGHT, 4, false },
        { "CALLS/S", 8, cell_calls, TOP_BY_CALLS, 8, false },
        { "P99", 6, cell_p99, TOP_BY_P99, 5, false },
};
#define N_COLUMNS G_N_ELEMENTS(columns)

/* A bit for each column that fits beside an id of some characters. */
static unsigned fitting_columns(const TopStyle *style, size_t *ret_taken) {
        unsigned fitting = (1u << N_COLUMNS) - 1;
        size_t taken = 2; /* the dot */

        for (size_t i = 0; i < N_COLUMNS; i++)
                taken += columns[i].width + 1;
        for (int victim = 1; victim <= (int) N_COLUMNS && style->width != SIZE_MAX && taken + ID_WIDTH_MIN > style->width; victim++)
                for (size_t i = 0; i < N_COLUMNS; i++)
                        if (columns[i].left_out == victim) {
                                fitting &= ~(1u << i);
                                taken -= columns[i].width + 1;
                        }
        *ret_taken = taken;
        return fitting;
}

size_t top_id_width(const GArray *rows, const TopStyle *style) {
        size_t width = ID_WIDTH_MIN, taken;

        (void) fitting_columns(style, &taken);
        for (guint i = 0; i < rows->len; i++)
                width = MAX(width, text_width(g_array_index(rows, TopRow, i).figures->id));
        if (style->width == SIZE_MAX)
                return width;
        return MIN(width, style->width > taken ? style->width - taken : 1);
}

static void append_padded(GString *out, const char *text, size_t width, bool left) {
        g_autofree char *safe = text_safe(text, strlen(text), TEXT_KEEP_NOTHING), *cut = text_ellipsize(safe, width);
        int padding = (int) (width - MIN(width, text_width(cut)));

        g_string_append_printf(out, "%*s%s%*s", left ? 0 : padding, "", cut, left ? padding : 0, "");
}

static const char *colour_of(const TopStyle *style, const char *colour) {
        return style->colours && colour ? colour : "";
}

void top_append_header(GString *out, size_t id_width, const TopStyle *style) {
        const char *plain = colour_of(style, ANSI_UNDERLINE), *marked = colour_of(style, ANSI_UNDERLINE ANSI_BOLD),
                   *normal = colour_of(style, ANSI_NORMAL);
        size_t taken;
        unsigned fitting = fitting_columns(style, &taken);

        g_string_append_printf(out, "%s  ", style->order == TOP_BY_NAME ? marked : plain);
        append_padded(out, "ID", id_width, true);
        g_string_append(out, normal);
        for (size_t i = 0; i < N_COLUMNS; i++) {
                if (!(fitting & 1u << i))
                        continue;
                g_string_append_printf(out, "%s ", columns[i].order == style->order ? marked : plain);
                append_padded(out, columns[i].header, columns[i].width, columns[i].left);
                g_string_append(out, normal);
        }
}

/* What stands out: a state that is none to be in, a column that is sorted by. */
static const char *cell_colour(const TopRow *row, size_t column, const TopStyle *style) {
        if (columns[column].text == cell_state)
                return colour_of(style, state_colour(row->figures->state));
        if (columns[column].text == cell_restarts && row->figures->restarts > 0)
                return colour_of(style, ANSI_YELLOW);
        return colour_of(style, columns[column].order == style->order ? ANSI_BOLD : NULL);
}

void top_append_row(GString *out, const TopRow *row, size_t id_width, const TopStyle *style) {
        const char *dot_colour = colour_of(style, state_colour(row->figures->state));
        size_t taken;
        unsigned fitting = fitting_columns(style, &taken);

        g_string_append_printf(out, "%s%s%s ", dot_colour, state_dot(row->figures->state), *dot_colour ? ANSI_NORMAL : "");
        append_padded(out, row->figures->id, id_width, true);
        for (size_t i = 0; i < N_COLUMNS; i++) {
                g_autofree char *text = fitting & 1u << i ? columns[i].text(row) : NULL;
                const char *colour = cell_colour(row, i, style);

                if (!(fitting & 1u << i))
                        continue;
                g_string_append_printf(out, " %s", colour);
                append_padded(out, text ?: "-", columns[i].width, columns[i].left);
                g_string_append(out, *colour ? ANSI_NORMAL : "");
        }
}

char *top_summary(const GArray *rows) {
        GString *out = g_string_new(NULL);
        double cpu = 0, calls = 0;
        uint64_t memory = 0;
        guint active = 0, errored = 0;
        bool rates = false;

        for (guint i = 0; i < rows->len; i++) {
                const TopRow *row = &g_array_index(rows, TopRow, i);

                active += strcmp(row->figures->state, "active") == 0;
                errored += strcmp(row->figures->state, "errored") == 0;
                memory += row->figures->usage.memory == USAGE_UNKNOWN ? 0 : row->figures->usage.memory;
                cpu += MAX(row->cpu_percent, 0);
                calls += MAX(row->calls_per_second, 0);
                rates = rates || row->calls_per_second >= 0;
        }
        g_autofree char *bytes = text_bytes(memory);
        g_string_append_printf(out, "%u session%s, %u active", rows->len, rows->len == 1 ? "" : "s", active);
        if (errored > 0)
                g_string_append_printf(out, ", %u errored", errored);
        g_string_append_printf(out, "  memory %s", bytes);
        if (rates)
                g_string_append_printf(out, "  CPU %.1f%%  %.*f calls/s", cpu, calls < 1000 ? 1 : 0, calls);
        return g_string_free(out, false);
}

/* -- JSON -- */

static void set_number(JsonObject *object, const char *name, uint64_t value) {
        if (value == USAGE_UNKNOWN)
                json_object_set_null_member(object, name);
        else
                json_object_set_int_member(object, name, (gint64) value);
}

static void set_rate(JsonObject *object, const char *name, double value) {
        if (value < 0)
                json_object_set_null_member(object, name);
        else
                json_object_set_double_member(object, name, (double) (int64_t) (value * 10 + 0.5) / 10);
}

static JsonObject *row_to_json(const TopRow *row) {
        JsonObject *object = json_object_new();
        const Figures *figures = row->figures;

        json_object_set_string_member(object, "id", figures->id);
        json_object_set_string_member(object, "state", figures->state);
        set_number(object, "pid", figures->usage.pid > 0 ? (uint64_t) figures->usage.pid : USAGE_UNKNOWN);
        json_object_set_string_member(object, "unit", figures->unit);
        set_number(object, "memory", figures->usage.memory);
        set_rate(object, "cpuPercent", row->cpu_percent);
        set_number(object, "cpuUsageNSec", figures->usage.cpu_nsec);
        set_number(object, "tasks", figures->usage.tasks);
        set_number(object, "restarts", figures->restarts);
        set_number(object, "inFlight", figures->in_flight);
        set_number(object, "answered", figures->answered);
        set_number(object, "pluginErrors", figures->plugin_errors);
        set_number(object, "failed", figures->failed);
        set_rate(object, "callsPerSecond", row->calls_per_second);
        set_number(object, "p99", row->p99_usec > 0 ? row->p99_usec : USAGE_UNKNOWN);
        return object;
}

JsonNode *top_to_json(const GArray *rows) {
        JsonArray *list = json_array_new();
        JsonNode *node = json_node_init_array(json_node_alloc(), list);

        for (guint i = 0; i < rows->len; i++)
                json_array_add_object_element(list, row_to_json(&g_array_index(rows, TopRow, i)));
        json_array_unref(list);
        return node;
}
