/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "table.h"

#include "terminal.h"
#include "text.h"

#include <string.h>

typedef struct Cell {
        char *text;
        size_t width;
        const char *colour;
} Cell;

struct Table {
        size_t n_columns;
        bool *right;
        GArray *cells; /* of Cell; the first row is the header */
};

static void cell_clear(void *p) {
        Cell *cell = p;

        g_free(cell->text);
}

Table *table_new(const char *const *headers, size_t n_columns) {
        Table *table = g_new(Table, 1);

        *table = (Table){
                .n_columns = n_columns,
                .right = g_new0(bool, n_columns),
                .cells = g_array_new(false, false, sizeof(Cell)),
        };
        g_array_set_clear_func(table->cells, cell_clear);
        for (size_t i = 0; i < n_columns; i++)
                table_add(table, headers[i], NULL);
        return table;
}

Table *table_free(Table *table) {
        if (!table)
                return NULL;
        g_array_unref(table->cells);
        g_free(table->right);
        g_free(table);
        return NULL;
}

void table_align_right(Table *table, size_t column) {
        g_assert(column < table->n_columns);
        table->right[column] = true;
}

void table_add(Table *table, const char *text, const char *colour) {
        Cell cell = { .colour = colour };

        cell.text = text && *text ? text_safe(text, strlen(text), TEXT_KEEP_NOTHING) : g_strdup("-");
        cell.width = text_width(cell.text);
        g_array_append_val(table->cells, cell);
}

size_t table_rows(const Table *table) {
        return table->cells->len / table->n_columns - 1;
}

static const Cell *table_cell(const Table *table, size_t row, size_t column) {
        return &g_array_index(table->cells, Cell, row * table->n_columns + column);
}

static size_t total_width(const size_t *widths, size_t n) {
        size_t total = n - 1; /* the spaces between */

        for (size_t i = 0; i < n; i++)
                total += widths[i];
        return total;
}

/* Takes the room that is missing from the last column, which is prose, then from whatever is widest; none becomes narrower than its header. */
static void shrink(const Table *table, size_t *widths, size_t available) {
        size_t last = table->n_columns - 1;

        for (size_t total = total_width(widths, table->n_columns); total > available; total--) {
                size_t victim = last;

                if (widths[last] <= table_cell(table, 0, last)->width) {
                        victim = SIZE_MAX;
                        for (size_t i = 0; i < last; i++)
                                if (widths[i] > table_cell(table, 0, i)->width && (victim == SIZE_MAX || widths[i] > widths[victim]))
                                        victim = i;
                }
                if (victim == SIZE_MAX)
                        return;
                widths[victim]--;
        }
}

static size_t *column_widths(const Table *table, const TableStyle *style) {
        size_t *widths = g_new0(size_t, table->n_columns);

        for (size_t row = style->header ? 0 : 1; row <= table_rows(table); row++)
                for (size_t i = 0; i < table->n_columns; i++)
                        widths[i] = MAX(widths[i], table_cell(table, row, i)->width);
        if (style->width != SIZE_MAX)
                shrink(table, widths, style->width);
        return widths;
}

static void append_padding(GString *out, size_t n) {
        while (n-- > 0)
                g_string_append_c(out, ' ');
}

static void print_cell(const Table *table, const TableStyle *style, size_t row, size_t column, size_t width, GString *out) {
        const Cell *cell = table_cell(table, row, column);
        g_autofree char *text = text_ellipsize(cell->text, width);
        size_t padding = width - MIN(width, text_width(text));
        const char *colour = !style->colours ? NULL : row == 0 ? ANSI_UNDERLINE : cell->colour;
        bool last = column == table->n_columns - 1;

        if (column > 0)
                g_string_append_c(out, ' ');
        if (colour && row == 0) /* the line under a header spans its column */
                g_string_append(out, colour);
        if (table->right[column])
                append_padding(out, padding);
        if (colour && row > 0)
                g_string_append(out, colour);
        g_string_append(out, text);
        if (colour && row > 0)
                g_string_append(out, ANSI_NORMAL);
        if (!table->right[column] && (!last || (colour && row == 0)))
                append_padding(out, padding);
        if (colour && row == 0)
                g_string_append(out, ANSI_NORMAL);
}

void table_print(const Table *table, const TableStyle *style, GString *out) {
        g_autofree size_t *widths = column_widths(table, style);

        g_assert(table->cells->len % table->n_columns == 0);
        for (size_t row = style->header ? 0 : 1; row <= table_rows(table); row++) {
                for (size_t i = 0; i < table->n_columns; i++)
                        print_cell(table, style, row, i, widths[i], out);
                g_string_append_c(out, '\n');
        }
}
