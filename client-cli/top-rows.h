/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rows of `top`: rates between two looks, in order, as text or JSON. */
#pragma once

#include "figures.h"

typedef enum TopOrder {
        TOP_BY_NAME,
        TOP_BY_CPU,
        TOP_BY_MEMORY,
        TOP_BY_TASKS,
        TOP_BY_RESTARTS,
        TOP_BY_IN_FLIGHT,
        TOP_BY_CALLS,
        TOP_BY_P99,
        _TOP_ORDER_MAX,
} TopOrder;

/* As --order= takes them ("cpu"), and keys ('c'); _TOP_ORDER_MAX: there is none. */
TopOrder top_order_from_string(const char *name);
TopOrder top_order_from_key(int key);

/* One look: when (CLOCK_MONOTONIC), and a GPtrArray of Figures. */
typedef struct TopLook {
        uint64_t usec;
        GPtrArray *figures;
} TopLook;

typedef struct TopRow {
        const Figures *figures;
        double cpu_percent;      /* of one CPU; below 0: not known */
        double calls_per_second; /* below 0: not known yet */
        uint64_t p99_usec;       /* of Sends in between; 0: there were none */
} TopRow;

/* A GArray of TopRow that point into NOW. BEFORE NULL: rates are not known yet. */
GArray *top_rows(const TopLook *before, const TopLook *now, TopOrder order);

typedef struct TopStyle {
        size_t width; /* SIZE_MAX: as wide as needed */
        bool colours;
        TopOrder order; /* marked in the header */
} TopStyle;

/* How wide the first column is for these ROWS. */
size_t top_id_width(const GArray *rows, const TopStyle *style);
/* Lines without an end. */
void top_append_header(GString *out, size_t id_width, const TopStyle *style);
void top_append_row(GString *out, const TopRow *row, size_t id_width, const TopStyle *style);
/* "5 sessions, 4 active  1240 calls/s  CPU 12.5%  memory 45.2M" */
char *top_summary(const GArray *rows);

JsonNode *top_to_json(const GArray *rows);
