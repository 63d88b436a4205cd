/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What every subject needs: the clock, rounds of figures, and the table.
 *
 * A figure means little on a machine that one shares, a ratio does: both sides are measured in the same rounds, one after the
 * other in short turns, on the same core, and what is printed is the median over the rounds.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct Options {
        unsigned rounds;
        double effort;       /* 1: as documented; less: fewer repetitions within a round */
        const char *profile; /* the folder to keep callgrind's files in; NULL: not kept */
} Options;

/* Everything that goes wrong here ends the program: a benchmark that goes on has measured something else. */
#define fail(...) g_error(__VA_ARGS__)
#define must(expression)                                                                                                                   \
        ({                                                                                                                                 \
                int must_r = (int) (expression);                                                                                           \
                if (must_r < 0)                                                                                                            \
                        fail("%s:%i: %s: %s", __FILE__, __LINE__, #expression, g_strerror(-must_r));                                       \
                must_r;                                                                                                                    \
        })

double now_usec(void);
/* COUNT as asked for with full effort, but at least AT_LEAST. */
unsigned scaled(const Options *options, unsigned count, unsigned at_least);

/* Figures, one for each round or repetition. */
typedef struct Series {
        double *values;
        unsigned count;
} Series;

void series_add(Series *series, double value);
double series_median(const Series *series);
void series_clear(Series *series);

/* A row of the table: what, the one compared with, plugind, and their ratio with its range over the rounds. */
typedef struct Row {
        const char *what, *unit;
        double goal;         /* of the ratio; 0: none */
        bool more_is_better; /* as throughput */
} Row;

void table_begin(const char *title, const char *compared_with, const char *measured);
/* The medians of two series of equal length, and of the ratios of their rounds; both are emptied. */
void table_compare(const Row *row, Series *compared, Series *measured);
/* The same where the goal is of what was measured, not of the ratio. */
void table_absolute(const Row *row, Series *compared, Series *measured);
/* One figure, its goal being of the figure itself; the series is emptied. */
void table_figure(const Row *row, Series *measured);

/* The subjects. */
void bench_send(const Options *options);
void bench_spawn(const Options *options);
void bench_units(const Options *options);
void bench_restart(const Options *options);
void bench_sessions(const Options *options);
void bench_cost(const Options *options);
