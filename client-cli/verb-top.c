/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* top: looks again and again, on a screen of its own or, with -b or no terminal, one look after the other */
#include "bus-client.h"
#include "figures.h"
#include "screen.h"
#include "terminal.h"
#include "text.h"
#include "top-rows.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define DELAY_DEFAULT_USEC USEC_PER_SEC
#define DELAY_MIN_USEC (USEC_PER_SEC / 10)
#define DELAY_MAX_USEC (60 * USEC_PER_SEC)
#define FIRST_DELAY_USEC (USEC_PER_SEC / 4) /* a screen without rates is of little use */
#define LINES_AROUND 4                      /* title, a blank one, header, keys */

typedef struct Top {
        Ctl *ctl;
        sd_event *event;
        sd_event_source *timer;
        bool interactive, looking;
        TopOrder order;
        uint64_t delay_usec;
        unsigned n_looks, n_shown;

        GPtrArray *coming; /* of Figures, of the look that is under way */
        GPtrArray *usages;
        UsageQuery *query;
        TopLook before, now; /* .figures NULL: not yet */

        size_t scroll;
        char *trouble; /* why there is no newer look; NULL: all is well */
        int status;
} Top;

static int leave(Top *top, int status) {
        top->status = status;
        return sd_event_exit(top->event, 0);
}

static const TopLook *look_before(const Top *top) {
        return top->before.figures ? &top->before : NULL;
}

/* -- the screen -- */

static void append_line(GString *out, const char *colour, const char *text, size_t width) {
        g_autofree char *safe = text_safe(text, strlen(text), TEXT_KEEP_NOTHING), *cut = text_ellipsize(safe, width);
        const char *start = terminal_colour(colour);

        g_string_append_printf(out, "%s%s%s\n", start, cut, *start ? ANSI_NORMAL : "");
}

static void append_title(const Top *top, GString *out, const GArray *rows, size_t width) {
        g_autofree char *self = ctl_self(top->ctl), *summary = top_summary(rows);
        g_autofree char *delay = text_timespan(top->delay_usec), *text = NULL;
        char now[16] = "";
        time_t seconds = time(NULL);
        struct tm tm;

        if (localtime_r(&seconds, &tm))
                (void) strftime(now, sizeof(now), "%H:%M:%S", &tm);
        text = g_strdup_printf("%s top - %s every %s  %s", self, now, delay, top->trouble ?: summary);
        append_line(out, top->trouble ? ANSI_RED : ANSI_BOLD, text, width);
}

/* In 80 columns. */
#define KEYS "[q]uit  sort: [n]ame [c]pu [m]emory [t]asks [r]estarts [i]n flight call[s] [p]99"

static void draw(Top *top) {
        g_autoptr(GString) out = g_string_new(NULL);
        g_autoptr(GArray) rows = NULL;
        size_t width, height, id_width, room;

        if (!top->now.figures)
                return;
        (void) screen_size(&width, &height);
        TopStyle style = { .width = width, .colours = terminal_colours(), .order = top->order };
        rows = top_rows(look_before(top), &top->now, top->order);
        room = height > LINES_AROUND ? height - LINES_AROUND : 1;
        top->scroll = MIN(top->scroll, rows->len > room ? rows->len - room : 0);
        id_width = top_id_width(rows, &style);

        append_title(top, out, rows, width);
        g_string_append_c(out, '\n');
        top_append_header(out, id_width, &style);
        g_string_append_c(out, '\n');
        for (size_t i = 0; i < room; i++) {
                if (top->scroll + i < rows->len)
                        top_append_row(out, &g_array_index(rows, TopRow, top->scroll + i), id_width, &style);
                g_string_append_c(out, '\n');
        }
        append_line(out, ANSI_GREY, KEYS, width);
        screen_draw(out);
}

/* -- one after the other -- */

static void print_rows(const Top *top, const GArray *rows) {
        g_autoptr(GString) out = g_string_new(NULL);
        TopStyle style = {
                .width = top->ctl->full ? SIZE_MAX : terminal_width(),
                .colours = terminal_colours(),
                .order = top->order,
        };
        size_t id_width = top_id_width(rows, &style);

        if (top->n_shown > 0)
                g_string_append_c(out, '\n');
        if (!top->ctl->no_legend) {
                top_append_header(out, id_width, &style);
                g_string_append_c(out, '\n');
        }
        for (guint i = 0; i < rows->len; i++) {
                top_append_row(out, &g_array_index(rows, TopRow, i), id_width, &style);
                g_string_append_c(out, '\n');
        }
        fputs(out->str, stdout);
}

static void print(Top *top) {
        g_autoptr(GArray) rows = top_rows(look_before(top), &top->now, top->order);

        if (top->ctl->json == JSON_OFF)
                print_rows(top, rows);
        else {
                g_autoptr(JsonNode) node = top_to_json(rows);
                print_json(top->ctl, node);
        }
        fflush(stdout);
}

/* -- looking -- */

static uint64_t now_usec(const Top *top) {
        uint64_t usec = 0;

        (void) sd_event_now(top->event, CLOCK_MONOTONIC, &usec);
        return usec;
}

static int look_again(Top *top) {
        uint64_t delay = top->interactive && top->n_looks < 2 ? MIN(FIRST_DELAY_USEC, top->delay_usec) : top->delay_usec;
        int r = sd_event_source_set_time_relative(top->timer, delay);

        return r < 0 ? r : sd_event_source_set_enabled(top->timer, SD_EVENT_ONESHOT);
}

/* Whoever looks at a screen may wait for plugind to come back. */
static void look_failed(Top *top, const sd_bus_error *error, int r) {
        g_clear_pointer(&top->coming, g_ptr_array_unref);
        top->looking = false;
        if (!top->interactive || !top->now.figures || sd_bus_is_open(top->ctl->bus) <= 0) {
                screen_close();
                (void) leave(top, ctl_report(top->ctl, NULL, error, r));
                return;
        }
        g_free(top->trouble);
        top->trouble = g_strdup(sd_bus_error_has_names(error, SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER)
                                        ? "plugind is not running"
                                        : error->message ?: g_strerror(-r));
        draw(top);
        (void) look_again(top);
}

static void look_done(void *userdata) {
        Top *top = userdata;
        unsigned wanted = top->ctl->iterations;

        if (top->before.figures)
                g_ptr_array_unref(top->before.figures);
        top->before = top->now;
        top->now = (TopLook){ now_usec(top), g_steal_pointer(&top->coming) };
        top->n_looks++;
        top->looking = false;
        g_clear_pointer(&top->trouble, g_free);
        if (top->interactive)
                draw(top);
        else if (look_before(top))
                print(top);
        if (top->interactive || look_before(top))
                top->n_shown++;
        if (wanted > 0 && top->n_shown >= wanted)
                (void) leave(top, EXIT_OK);
        else
                (void) look_again(top);
}

static int on_statistics(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Top *top = userdata;
        int r;

        if (sd_bus_message_is_method_error(reply, NULL)) {
                look_failed(top, sd_bus_message_get_error(reply), -sd_bus_message_get_errno(reply));
                return 0;
        }
        r = figures_read(reply, &top->coming);
        if (r < 0) {
                look_failed(top, &SD_BUS_ERROR_NULL, r);
                return 0;
        }
        g_ptr_array_set_size(top->usages, 0);
        for (guint i = 0; i < top->coming->len; i++) {
                Figures *figures = top->coming->pdata[i];
                g_ptr_array_add(top->usages, &figures->usage);
        }
        top->query = usage_ask(top->ctl, top->usages, look_done, top);
        return 0;
}

/* Only the first look starts a plugind that is not there: it leaves when it has nothing to do, and shall not be brought back for that. */
static int look(Top *top) {
        g_autoptr(sd_bus_message) message = NULL;
        int status, r;

        if (top->looking)
                return EXIT_OK;
        top->query = usage_query_free(top->query);
        status = ctl_new_call(top->ctl, HOST_PATH, HOST_INTERFACE, "GetStatistics", &message);
        if (status != EXIT_OK)
                return status;
        r = figures_options(message, NULL);
        if (r >= 0)
                r = sd_bus_message_set_auto_start(message, top->n_looks == 0);
        if (r >= 0)
                r = sd_bus_call_async(top->ctl->bus, NULL, message, on_statistics, top, ctl_timeout(top->ctl, CALL_QUICK));
        if (r < 0)
                return ctl_report(top->ctl, NULL, NULL, r);
        top->looking = true;
        return EXIT_OK;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Top *top = userdata;
        int status = look(top);

        if (status == EXIT_OK)
                return 0;
        screen_close();
        return leave(top, status);
}

/* -- keys and signals -- */

static void scroll(Top *top, int64_t lines) {
        int64_t to = (int64_t) top->scroll + lines;

        top->scroll = to < 0 ? 0 : (size_t) to; /* draw() knows where the end is */
}

static void on_key(Top *top, int key) {
        size_t width, height;

        (void) screen_size(&width, &height);
        if (top_order_from_key(key) != _TOP_ORDER_MAX)
                top->order = top_order_from_key(key);
        else if (key == 'q')
                (void) leave(top, EXIT_OK);
        else if (key == '+')
                top->delay_usec = MIN(top->delay_usec < USEC_PER_SEC ? top->delay_usec * 2 : top->delay_usec + USEC_PER_SEC,
                                      DELAY_MAX_USEC);
        else if (key == '-')
                top->delay_usec = MAX(top->delay_usec > USEC_PER_SEC ? top->delay_usec - USEC_PER_SEC : top->delay_usec / 2,
                                      DELAY_MIN_USEC);
        else if (key == ' ')
                (void) on_timer(NULL, 0, top);
        else if (key == KEY_UP || key == KEY_DOWN)
                scroll(top, key == KEY_UP ? -1 : 1);
        else if (key == KEY_PAGE_UP || key == KEY_PAGE_DOWN)
                scroll(top, key == KEY_PAGE_UP ? -(int64_t) height : (int64_t) height);
        else if (key == KEY_HOME || key == KEY_END)
                scroll(top, key == KEY_HOME ? INT32_MIN : INT32_MAX);
}

static int on_input(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Top *top = userdata;
        char buffer[256];
        const char *data = buffer;
        ssize_t n = read(fd, buffer, sizeof(buffer));

        if (n <= 0) /* nobody is there any more */
                return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : leave(top, EXIT_OK);
        for (size_t size = (size_t) n; size > 0;)
                on_key(top, screen_key(&data, &size));
        draw(top);
        return 0;
}

static int on_interrupt(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
        return leave(userdata, EXIT_OK);
}

static int on_resize(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
        draw(userdata);
        return 0;
}

/* Ctrl-Z: the shell gets its screen back meanwhile. */
static int on_suspend(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
        screen_close();
        (void) raise(SIGSTOP);
        (void) screen_open();
        draw(userdata);
        return 0;
}

static int open_screen(Top *top) {
        int r = screen_open();

        if (r >= 0)
                r = sd_event_add_signal(top->event, NULL, SIGWINCH | SD_EVENT_SIGNAL_PROCMASK, on_resize, top);
        if (r >= 0)
                r = sd_event_add_signal(top->event, NULL, SIGTSTP | SD_EVENT_SIGNAL_PROCMASK, on_suspend, top);
        if (r >= 0 && screen_hears())
                r = sd_event_add_io(top->event, NULL, STDIN_FILENO, EPOLLIN, on_input, top);
        return r;
}

/* -- all of it -- */

static int run(Top *top) {
        int status = ctl_connect(top->ctl), r;

        if (status == EXIT_OK)
                status = ctl_new_event(top->ctl, on_interrupt, top, &top->event);
        if (status != EXIT_OK)
                return status;
        r = sd_event_add_time(top->event, &top->timer, CLOCK_MONOTONIC, 0, 1, on_timer, top); /* at once */
        if (r >= 0 && top->interactive)
                r = open_screen(top);
        if (r >= 0)
                r = sd_event_loop(top->event);
        screen_close();
        return r < 0 ? ctl_report(top->ctl, NULL, NULL, r) : top->status;
}

int verb_top(Ctl *ctl, char **args) {
        bool interactive = !ctl->batch && ctl->json == JSON_OFF && terminal_is_stdout();
        Top top = {
                .ctl = ctl,
                .interactive = interactive,
                .order = ctl->order ? top_order_from_string(ctl->order) : TOP_BY_CPU,
                .delay_usec = ctl->delay_usec > 0 ? ctl->delay_usec : DELAY_DEFAULT_USEC,
                .usages = g_ptr_array_new(),
                .status = EXIT_FAILED,
        };

        if (ctl->iterations == ITERATIONS_DEFAULT && ctl->lines >= 0) /* -n */
                ctl->iterations = (unsigned) ctl->lines;
        if (ctl->iterations == ITERATIONS_DEFAULT) /* what nobody watches ends */
                ctl->iterations = terminal_is_stdout() ? 0 : 1;
        int status = run(&top);
        ctl->bus = sd_bus_close_unref(ctl->bus); /* nothing is answered any more */
        usage_query_free(top.query);
        g_ptr_array_unref(top.usages);
        for (TopLook *look = &top.before; look; look = look == &top.before ? &top.now : NULL)
                if (look->figures)
                        g_ptr_array_unref(look->figures);
        if (top.coming)
                g_ptr_array_unref(top.coming);
        sd_event_source_unref(top.timer);
        sd_event_unref(top.event);
        g_free(top.trouble);
        return status;
}
