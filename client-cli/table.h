/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Columns as systemctl prints them: as wide as needed, and on a terminal no wider than it. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct Table Table;

typedef struct TableStyle {
        size_t width; /* of the terminal; SIZE_MAX: as wide as needed */
        bool header;
        bool colours;
} TableStyle;

/* N_COLUMNS headers, which must stay. */
Table *table_new(const char *const *headers, size_t n_columns);
Table *table_free(Table *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Table, table_free)

void table_align_right(Table *table, size_t column);

/* The next cell, left to right, row after row. TEXT is escaped (text_safe) and copied; NULL or empty becomes "-". COLOUR is an escape
 * sequence that must stay, or NULL. */
void table_add(Table *table, const char *text, const char *colour);

size_t table_rows(const Table *table);

void table_print(const Table *table, const TableStyle *style, GString *out);
