/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text comes from manifests and plugind and goes into XML: nothing is appended that append_text() has not escaped, or that is not a word of
 * our own.
 */
#include "plot.h"

#include "text.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#define USEC_PER_SEC UINT64_C(1000000)
#define USEC_PER_MSEC UINT64_C(1000)
#define MINUTE (60 * USEC_PER_SEC)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

/* Lengths in pixels. */
#define MARGIN 24.0
#define BARS_WIDTH 900.0
#define RESULT_WIDTH 190.0
#define HEADER_HEIGHT 96.0
#define AXIS_HEIGHT 26.0
#define ROW_HEIGHT 30.0
#define BAR_HEIGHT 12.0
#define FOOTER_HEIGHT 30.0
#define ID_CHARACTERS_MAX 32
#define CHARACTER_WIDTH 8.2 /* of an id; a guess on the safe side */
#define WORD_WIDTH 6.2      /* of a letter in a bar */
#define MARK_RADIUS 5.5
#define MARKS_APART 13.0 /* what is nearer becomes one mark with a count */
#define BAR_WIDTH_MIN 1.5
#define SPAN_MIN USEC_PER_SEC

typedef struct Plot {
        GString *out;
        const PlotRange *range;
        uint64_t from, until;
        double left, width, height; /* left: of the bars; width and height: of all */
        size_t n_rows;
} Plot;

static const struct {
        const char *name, *colour;
} states[] = {
        { "starting", "#9cc3f5" }, { "connecting", "#5b93e0" }, { "active", "#3aa76d" },
        { "stopping", "#eec14f" }, { "restarting", "#ef8f3a" }, { "errored", "#d8453e" },
};

/* -- sessions -- */

static void change_clear(void *p) {
        PlotChange *change = p;

        g_free(change->new_state);
        g_free(change->old_state);
        g_free(change->reason);
}

PlotSession *plot_session_new(const char *id) {
        PlotSession *session = g_new(PlotSession, 1);

        *session = (PlotSession){ .id = g_strdup(id), .changes = g_array_new(false, false, sizeof(PlotChange)) };
        g_array_set_clear_func(session->changes, change_clear);
        return session;
}

PlotSession *plot_session_free(PlotSession *session) {
        if (!session)
                return NULL;
        g_array_unref(session->changes);
        g_free(session->id);
        g_free(session);
        return NULL;
}

void plot_session_add(PlotSession *session, const PlotChange *change) {
        PlotChange copy = *change;

        copy.new_state = g_strdup(change->new_state);
        copy.old_state = g_strdup(change->old_state);
        copy.reason = g_strdup(change->reason);
        g_array_append_val(session->changes, copy);
}

static const PlotChange *session_change(const PlotSession *session, guint i) {
        return &g_array_index(session->changes, PlotChange, i);
}

static bool is_state(const char *state, const char *name) {
        return strcmp(state, name) == 0;
}

/* It failed: a process ended that should not have, or did not come to be. On the way from `restarting` to `errored` it has been told. */
static bool is_failure(const PlotChange *change) {
        return is_state(change->new_state, "restarting") ||
               (is_state(change->new_state, "errored") && !is_state(change->old_state, "restarting")) ||
               (is_state(change->new_state, "connecting") && is_state(change->old_state, "active"));
}

static bool is_restart(const PlotChange *change) {
        return is_state(change->new_state, "starting") && strcmp(change->reason, "restart") == 0;
}

/* -- pieces of SVG -- */

static void append_text(GString *out, const char *text) {
        g_autofree char *safe = text_safe(text, strlen(text), TEXT_KEEP_NOTHING), *escaped = g_markup_escape_text(safe, -1);

        g_string_append(out, escaped);
}

/* With a dot, whatever the locale says. */
static void append_number(GString *out, const char *name, double value) {
        char buffer[G_ASCII_DTOSTR_BUF_SIZE];

        g_string_append_printf(out, " %s=\"%s\"", name, g_ascii_formatd(buffer, sizeof(buffer), "%.1f", value));
}

static void append_rect(GString *out, const char *class, double x, double y, double width, double height, double radius) {
        g_string_append_printf(out, "<rect class=\"%s\"", class);
        append_number(out, "x", x);
        append_number(out, "y", y);
        append_number(out, "width", width);
        append_number(out, "height", height);
        if (radius > 0)
                append_number(out, "rx", radius);
}

static void append_line(GString *out, const char *class, double x1, double y1, double x2, double y2) {
        g_string_append_printf(out, "<line class=\"%s\"", class);
        append_number(out, "x1", x1);
        append_number(out, "y1", y1);
        append_number(out, "x2", x2);
        append_number(out, "y2", y2);
        g_string_append(out, "/>\n");
}

static void append_words(GString *out, const char *class, double x, double y, const char *text) {
        g_string_append_printf(out, "<text class=\"%s\"", class);
        append_number(out, "x", x);
        append_number(out, "y", y);
        g_string_append_c(out, '>');
        append_text(out, text);
        g_string_append(out, "</text>\n");
}

static void append_title(GString *out, const char *text) {
        g_string_append(out, "<title>");
        append_text(out, text);
        g_string_append(out, "</title>");
}

/* -- time -- */

static double plot_x(const Plot *plot, uint64_t usec) {
        usec = CLAMP(usec, plot->from, plot->until);
        return plot->left + BARS_WIDTH * (double) (usec - plot->from) / (double) (plot->until - plot->from);
}

uint64_t plot_step(uint64_t span_usec, unsigned n_max) {
        static const uint64_t steps[] = {
                USEC_PER_MSEC,
                2 * USEC_PER_MSEC,
                5 * USEC_PER_MSEC,
                10 * USEC_PER_MSEC,
                20 * USEC_PER_MSEC,
                50 * USEC_PER_MSEC,
                100 * USEC_PER_MSEC,
                200 * USEC_PER_MSEC,
                500 * USEC_PER_MSEC,
                USEC_PER_SEC,
                2 * USEC_PER_SEC,
                5 * USEC_PER_SEC,
                10 * USEC_PER_SEC,
                15 * USEC_PER_SEC,
                30 * USEC_PER_SEC,
                MINUTE,
                2 * MINUTE,
                5 * MINUTE,
                10 * MINUTE,
                15 * MINUTE,
                30 * MINUTE,
                HOUR,
                2 * HOUR,
                3 * HOUR,
                6 * HOUR,
                12 * HOUR,
                DAY,
                2 * DAY,
                7 * DAY,
                14 * DAY,
                28 * DAY,
                91 * DAY,
                365 * DAY,
        };

        for (size_t i = 0; i < G_N_ELEMENTS(steps); i++)
                if (span_usec / steps[i] <= n_max)
                        return steps[i];
        return span_usec / n_max / (365 * DAY) * (365 * DAY) + 365 * DAY;
}

static void local_time(uint64_t usec, struct tm *ret) {
        time_t seconds = (time_t) (usec / USEC_PER_SEC);

        if (!localtime_r(&seconds, ret))
                *ret = (struct tm){};
}

/* As much as tells one tick from the next: a day, hours and minutes, seconds, parts of one. */
static char *tick_label(uint64_t usec, uint64_t step) {
        char text[64] = "";
        struct tm tm;

        local_time(usec, &tm);
        if (step >= DAY || (tm.tm_hour == 0 && tm.tm_min == 0 && tm.tm_sec == 0 && step >= MINUTE))
                (void) strftime(text, sizeof(text), "%b %e", &tm);
        else
                (void) strftime(text, sizeof(text), step >= MINUTE ? "%H:%M" : "%H:%M:%S", &tm);
        if (step < USEC_PER_SEC)
                return g_strdup_printf("%s.%03u", text, (unsigned) (usec % USEC_PER_SEC / USEC_PER_MSEC));
        return g_strdup(text);
}

/* Ticks stand where local clocks show a multiple of the step. */
static void append_axis(const Plot *plot, double top, double bottom, bool below) {
        uint64_t step = plot_step(plot->until - plot->from, 10), offset;
        struct tm tm;

        local_time(plot->from, &tm);
        offset = (uint64_t) (tm.tm_gmtoff + (long) (2 * DAY / USEC_PER_SEC)) * USEC_PER_SEC;
        for (uint64_t usec = (plot->from + offset + step - 1) / step * step - offset; usec <= plot->until; usec += step) {
                g_autofree char *label = tick_label(usec, step);
                double x = plot_x(plot, usec);

                append_line(plot->out, "grid", x, top, x, bottom);
                append_words(plot->out, "tick", x, top - 8, label);
                if (below)
                        append_words(plot->out, "tick", x, bottom + 16, label);
        }
}

static char *duration(uint64_t usec) {
        if (usec >= MINUTE) /* nobody reads "1h 2min 3s 4ms 5us" */
                return text_timespan(usec >= DAY    ? usec / HOUR * HOUR
                                     : usec >= HOUR ? usec / MINUTE * MINUTE
                                                    : usec / USEC_PER_SEC * USEC_PER_SEC);
        if (usec >= 10 * USEC_PER_SEC)
                return text_timespan(usec / USEC_PER_SEC * USEC_PER_SEC);
        return text_latency(usec);
}

/* -- a session -- */

static char *change_text(const PlotChange *change) {
        g_autofree char *when = text_timestamp(change->usec);
        GString *out = g_string_new(NULL);

        g_string_append_printf(out, "%s\n%s -> %s (%s", when, change->old_state, change->new_state, change->reason);
        if (change->signal > 0)
                g_string_append_printf(out, ", signal %d", change->signal);
        else if (change->exit_status >= 0)
                g_string_append_printf(out, ", exit status %d", change->exit_status);
        g_string_append_c(out, ')');
        return g_string_free(out, false);
}

/* What is inactive is a line that was drawn before, what is unknown is shown as that. FADED: when it began is not known any more. */
static void append_bar(const Plot *plot, const char *state, uint64_t from, uint64_t until, double middle, const char *title, bool faded) {
        double x = plot_x(plot, from), width = plot_x(plot, until) - x;
        g_autofree char *lasted = duration(until - from), *words = NULL, *hover = NULL;
        const char *known = NULL;

        if (until < plot->from || is_state(state, "inactive"))
                return;
        for (size_t i = 0; i < G_N_ELEMENTS(states); i++)
                if (is_state(state, states[i].name))
                        known = states[i].name;
        append_rect(plot->out, known ?: "unknown", x, middle - BAR_HEIGHT / 2, MAX(width, BAR_WIDTH_MIN), BAR_HEIGHT, width > 6 ? 2.5 : 0);
        g_string_append_printf(plot->out, "%s>", faded ? " opacity=\"0.4\"" : "");
        hover = g_strdup_printf("%s for %s\n%s", state, lasted, title);
        append_title(plot->out, hover);
        g_string_append(plot->out, "</rect>\n");

        words = g_strdup_printf("%s %s", state, lasted);
        if (!faded && width > (double) strlen(words) * WORD_WIDTH + 18)
                append_words(plot->out, is_state(state, "starting") || is_state(state, "stopping") ? "dark word" : "word", x + 6,
                             middle + 3.6, words);
        else if (!faded && width > (double) strlen(lasted) * WORD_WIDTH + 18)
                append_words(plot->out, "word", x + 9, middle + 3.6, lasted);
}

/* The longest first, so that what lasted a moment lies on top. */
static void append_bars(const Plot *plot, const PlotSession *session, double middle) {
        guint n = session->changes->len;
        const PlotChange *first = session_change(session, 0);

        append_bar(plot, first->old_state, plot->from, first->usec, middle, "what was before is not known any more", true);
        for (int brief = 0; brief < 2; brief++)
                for (guint i = 0; i < n; i++) {
                        const PlotChange *change = session_change(session, i);
                        uint64_t until = i + 1 < n ? session_change(session, i + 1)->usec : plot->until;
                        g_autofree char *title = change_text(change);
                        uint64_t from = MAX(change->usec, plot->from);

                        if (until >= from && (plot_x(plot, until) - plot_x(plot, from) < BAR_WIDTH_MIN) == (brief == 1))
                                append_bar(plot, change->new_state, from, until, middle, title, false);
                }
}

static void append_mark(const Plot *plot, const char *class, double x, double y, unsigned count, const char *title) {
        GString *out = plot->out;
        bool crash = strcmp(class, "crash") == 0;
        char number[16];

        g_string_append_printf(out, "<g class=\"%s\"><circle", class);
        append_number(out, "cx", x);
        append_number(out, "cy", y);
        append_number(out, "r", count > 1 ? MARK_RADIUS + 1.5 : MARK_RADIUS);
        g_string_append_c(out, '>');
        append_title(out, title);
        g_string_append(out, "</circle>");
        if (count > 1) {
                g_snprintf(number, sizeof(number), "%u", count);
                append_words(out, "count", x, y + 3.2, number);
        } else if (crash) {
                append_line(out, "sign", x - 2.2, y - 2.2, x + 2.2, y + 2.2);
                append_line(out, "sign", x - 2.2, y + 2.2, x + 2.2, y - 2.2);
        } else {
                append_line(out, "sign", x - 1.2, y - 2.4, x + 1.6, y);
                append_line(out, "sign", x - 1.2, y + 2.4, x + 1.6, y);
        }
        g_string_append(out, "</g>\n");
}

/* Those that would lie on each other are one with a number. */
static void append_marks(const Plot *plot, const PlotSession *session, const char *class, bool (*wanted)(const PlotChange *), double y) {
        g_autoptr(GString) title = g_string_new(NULL);
        double first = 0, last = 0;
        unsigned count = 0;

        for (guint i = 0; i <= session->changes->len; i++) {
                const PlotChange *change = i < session->changes->len ? session_change(session, i) : NULL;
                g_autofree char *text = NULL;
                double x;

                if (change && (!wanted(change) || change->usec < plot->from))
                        continue;
                x = change ? plot_x(plot, change->usec) : 0;
                if (count > 0 && (!change || x - last > MARKS_APART)) {
                        append_mark(plot, class, (first + last) / 2, y, count, title->str);
                        g_string_truncate(title, 0);
                        count = 0;
                }
                if (!change)
                        break;
                text = change_text(change);
                g_string_append_printf(title, "%s%s", title->len > 0 ? "\n" : "", text);
                first = count++ == 0 ? x : first;
                last = x;
        }
}

static unsigned count_changes(const PlotSession *session, bool (*wanted)(const PlotChange *), uint64_t from) {
        unsigned n = 0;

        for (guint i = 0; i < session->changes->len; i++)
                n += wanted(session_change(session, i)) && session_change(session, i)->usec >= from;
        return n;
}

static const char *plural(unsigned n) {
        return n == 1 ? "" : "s";
}

/* How it is now, and what it took. */
static void append_result(const Plot *plot, const PlotSession *session, const char *state, double middle) {
        unsigned failures = count_changes(session, is_failure, plot->from), restarts = count_changes(session, is_restart, plot->from);
        double x = plot->left + BARS_WIDTH + 14;
        g_autoptr(GString) words = g_string_new(state);
        const char *known = "inactive";

        for (size_t i = 0; i < G_N_ELEMENTS(states); i++)
                if (is_state(state, states[i].name))
                        known = states[i].name;
        if (failures > 0)
                g_string_append_printf(words, ", %u failure%s", failures, plural(failures));
        if (restarts > 0)
                g_string_append_printf(words, ", %u restart%s", restarts, plural(restarts));
        append_rect(plot->out, known, x, middle - 4, 8, 8, 4);
        g_string_append(plot->out, "/>\n");
        append_words(plot->out, "result", x + 14, middle + 4, words->str);
}

static void append_session(const Plot *plot, const PlotSession *session, double top) {
        double middle = top + ROW_HEIGHT / 2;
        guint n = session->changes->len;
        g_autofree char *id = g_utf8_make_valid(session->id, -1), *cut = text_ellipsize(id, ID_CHARACTERS_MAX);

        append_words(plot->out, "id", plot->left - 14, middle + 4.2, cut);
        append_line(plot->out, "idle", plot->left, middle, plot->left + BARS_WIDTH, middle);
        if (n > 0) {
                append_bars(plot, session, middle);
                append_marks(plot, session, "restart", is_restart, middle + BAR_HEIGHT / 2 + 1);
                append_marks(plot, session, "crash", is_failure, middle - BAR_HEIGHT / 2 - 1);
        }
        append_result(plot, session, n > 0 ? session_change(session, n - 1)->new_state : "inactive", middle);
}

/* -- all of it -- */

static const char style[] =
        "<style>\n"
        "text { font-family: \"Cantarell\", \"Noto Sans\", \"DejaVu Sans\", \"Helvetica\", sans-serif; fill: #2b3038; }\n"
        ".page { fill: #ffffff; }\n"
        ".title { font-size: 19px; font-weight: bold; }\n"
        ".subtitle { font-size: 12px; fill: #68717d; }\n"
        ".legend { font-size: 11px; fill: #4a525d; }\n"
        ".tick { font-size: 10.5px; fill: #68717d; text-anchor: middle; }\n"
        ".id { font-size: 12px; font-weight: bold; text-anchor: end; }\n"
        ".result { font-size: 11px; fill: #4a525d; }\n"
        ".word { font-size: 10px; fill: #ffffff; }\n"
        ".dark { fill: #3a3f47; }\n"
        ".count { font-size: 9px; font-weight: bold; fill: #ffffff; text-anchor: middle; }\n"
        ".row { fill: #f5f7f9; }\n"
        ".grid { stroke: #dde2e8; stroke-width: 1; }\n"
        ".now { stroke: #9aa4b1; stroke-width: 1; stroke-dasharray: 3 3; }\n"
        ".idle { stroke: #c9d0d8; stroke-width: 1.5; }\n"
        ".crash circle { fill: #c62f28; stroke: #ffffff; stroke-width: 1.2; }\n"
        ".restart circle { fill: #4a525d; stroke: #ffffff; stroke-width: 1.2; }\n"
        ".sign { stroke: #ffffff; stroke-width: 1.5; stroke-linecap: round; }\n"
        ".inactive { fill: #c9d0d8; }\n"
        ".unknown { fill: #a58bd0; }\n";

static void append_legend(const Plot *plot, double y) {
        double x = MARGIN;

        for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
                append_rect(plot->out, states[i].name, x, y - 9, 18, 10, 2.5);
                g_string_append(plot->out, "/>\n");
                append_words(plot->out, "legend", x + 24, y, states[i].name);
                x += 24 + (double) strlen(states[i].name) * 6.3 + 20;
        }
        append_line(plot->out, "idle", x, y - 4, x + 18, y - 4);
        append_words(plot->out, "legend", x + 24, y, "inactive");
        x += 24 + 8 * 6.3 + 20;
        append_mark(plot, "crash", x + 6, y - 4, 1, "failure");
        append_words(plot->out, "legend", x + 18, y, "failure");
        x += 18 + 7 * 6.3 + 20;
        append_mark(plot, "restart", x + 6, y - 4, 1, "restart");
        append_words(plot->out, "legend", x + 18, y, "restart");
}

static void append_head(const Plot *plot, const char *where) {
        g_autofree char *from = text_timestamp(plot->from), *until = text_timestamp(plot->range->until_usec),
                        *span = duration(plot->range->until_usec - plot->from), *line = NULL, *title = NULL;
        GString *out = plot->out;

        g_string_append(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" version=\"1.1\"");
        append_number(out, "width", plot->width);
        append_number(out, "height", plot->height);
        g_string_append_printf(out, " viewBox=\"0 0 %d %d\">\n", (int) plot->width, (int) plot->height);
        title = g_strdup_printf("Plugins of %s", where);
        append_title(out, title);
        g_string_append_printf(out, "\n%s", style);
        for (size_t i = 0; i < G_N_ELEMENTS(states); i++)
                g_string_append_printf(out, ".%s { fill: %s; }\n", states[i].name, states[i].colour);
        g_string_append(out, "</style>\n");
        append_rect(out, "page", 0, 0, plot->width, plot->height, 0);
        g_string_append(out, "/>\n");
        append_words(out, "title", MARGIN, 36, title);
        line = g_strdup_printf("%s to %s (%s)", from, until, span);
        append_words(out, "subtitle", MARGIN, 56, line);
        append_legend(plot, 82);
}

/* What changed first is on top; what never did, below. */
static int compare_sessions(const void *a, const void *b) {
        const PlotSession *x = *(PlotSession *const *) a, *y = *(PlotSession *const *) b;
        uint64_t first = x->changes->len > 0 ? session_change(x, 0)->usec : UINT64_MAX,
                 second = y->changes->len > 0 ? session_change(y, 0)->usec : UINT64_MAX;

        return first != second ? (first > second) - (first < second) : strcmp(x->id, y->id);
}

static void find_range(Plot *plot, GPtrArray *sessions) {
        uint64_t first = plot->range->until_usec, last = plot->range->until_usec;
        size_t characters = 8;

        for (guint i = 0; i < sessions->len; i++) {
                const PlotSession *session = sessions->pdata[i];
                guint n = session->changes->len;

                characters = MAX(characters, MIN(text_width(session->id), ID_CHARACTERS_MAX));
                if (n > 0) {
                        first = MIN(first, session_change(session, 0)->usec);
                        last = MAX(last, session_change(session, n - 1)->usec); /* of a machine whose clock is ahead */
                }
        }
        plot->from = MIN(plot->range->since_usec > 0 ? plot->range->since_usec : first, last);
        plot->until = MAX(last, plot->from + SPAN_MIN);
        if (plot->range->since_usec == 0) /* so that what came first does not stick to the edge */
                plot->from -= MIN((plot->until - plot->from) / 100, plot->from);
        plot->left = MARGIN + (double) characters * CHARACTER_WIDTH + 14;
        plot->width = plot->left + BARS_WIDTH + RESULT_WIDTH + MARGIN;
        plot->height = HEADER_HEIGHT + AXIS_HEIGHT + (double) sessions->len * ROW_HEIGHT + FOOTER_HEIGHT;
}

static void append_foot(const Plot *plot, unsigned n_left_out, double y) {
        g_autofree char *text = NULL;

        if (n_left_out > 0) {
                text = g_strdup_printf("%u session%s that never ran %s left out.", n_left_out, plural(n_left_out),
                                       n_left_out == 1 ? "is" : "are");
                append_words(plot->out, "subtitle", MARGIN, y, text);
        }
}

void plot_append(GString *out, GPtrArray *sessions, const PlotRange *range, const char *where, unsigned n_left_out) {
        double top = HEADER_HEIGHT + AXIS_HEIGHT, bottom = top + (double) sessions->len * ROW_HEIGHT;
        Plot plot = { .out = out, .range = range, .n_rows = sessions->len };
        bool below = sessions->len > 12;

        g_ptr_array_sort(sessions, compare_sessions);
        find_range(&plot, sessions);
        if (below)
                plot.height += AXIS_HEIGHT;
        append_head(&plot, where);
        for (guint i = 0; i < sessions->len; i += 2) {
                append_rect(out, "row", MARGIN - 8, top + i * ROW_HEIGHT, plot.width - 2 * MARGIN + 16, ROW_HEIGHT, 4);
                g_string_append(out, "/>\n");
        }
        append_axis(&plot, top, bottom, below);
        append_line(out, "now", plot_x(&plot, range->until_usec), top, plot_x(&plot, range->until_usec), bottom);
        for (guint i = 0; i < sessions->len; i++)
                append_session(&plot, sessions->pdata[i], top + i * ROW_HEIGHT);
        append_foot(&plot, n_left_out, plot.height - 12);
        g_string_append(out, "</svg>\n");
}
