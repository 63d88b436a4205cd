/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

double now_usec(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double) t.tv_sec * 1e6 + (double) t.tv_nsec / 1e3;
}

unsigned scaled(const Options *options, unsigned count, unsigned at_least) {
        return MAX((unsigned) (options->effort * count), at_least);
}

void series_add(Series *series, double value) {
        series->values = g_renew(double, series->values, series->count + 1);
        series->values[series->count++] = value;
}

static int compare(const void *a, const void *b) {
        const double *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

double series_median(const Series *series) {
        g_autofree double *sorted = g_memdup2(series->values, series->count * sizeof(double));
        unsigned half = series->count / 2;

        g_assert(series->count > 0);
        qsort(sorted, series->count, sizeof(double), compare);
        return series->count % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

void series_clear(Series *series) {
        g_clear_pointer(&series->values, g_free);
        series->count = 0;
}

void table_begin(const char *title, const char *compared_with, const char *measured) {
        printf("\n### %s\n\n", title);
        printf("| | %s | %s | ratio (its range) | goal | |\n", compared_with, measured);
        puts("|---|---:|---:|---:|---:|---|");
        fflush(stdout);
}

static void print_goal(const Row *row, double reached) {
        bool met = row->more_is_better ? reached >= row->goal : reached <= row->goal;

        if (row->goal > 0)
                printf(" %s %g | %s |\n", row->more_is_better ? ">=" : "<=", row->goal, met ? "reached" : "missed");
        else
                puts(" | |");
        fflush(stdout);
}

static void print_value(double value, const char *unit) {
        printf(" %.*f%s%s |", value < 100 ? 2 : value < 1000 ? 1 : 0, value, *unit ? " " : "", unit);
}

static void print_comparison(const Row *row, Series *compared, Series *measured, bool absolute) {
        double median = series_median(measured), low = G_MAXDOUBLE, high = 0;
        Series ratios = {};

        g_assert(compared->count == measured->count);
        for (unsigned i = 0; i < measured->count; i++) {
                double ratio = measured->values[i] / compared->values[i];

                series_add(&ratios, ratio);
                low = MIN(low, ratio);
                high = MAX(high, ratio);
        }
        printf("| %s |", row->what);
        print_value(series_median(compared), row->unit);
        print_value(median, row->unit);
        printf(" %.2f", series_median(&ratios));
        if (ratios.count > 1)
                printf(" (%.2f to %.2f)", low, high);
        printf(" |");
        print_goal(row, absolute ? median : series_median(&ratios));
        series_clear(&ratios);
        series_clear(compared);
        series_clear(measured);
}

void table_compare(const Row *row, Series *compared, Series *measured) {
        print_comparison(row, compared, measured, false);
}

void table_absolute(const Row *row, Series *compared, Series *measured) {
        print_comparison(row, compared, measured, true);
}

void table_figure(const Row *row, Series *measured) {
        printf("| %s | |", row->what);
        print_value(series_median(measured), row->unit);
        printf(" |");
        print_goal(row, series_median(measured));
        series_clear(measured);
}
