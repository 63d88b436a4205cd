/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the bytes that a plugin writes to lines that may be shown to anyone: bounded, valid UTF-8, without control characters (a
 * terminal obeys them), and not more of them than the rate allows. The rate is journald's own: it would drop the rest anyway, but of
 * all plugins at once, since to it they are one service.
 */
#include "runtime/plugin-log.h"

#include "basic/list.h"
#include "runtime/log-sink.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define LINE_SIZE_MAX 8192 /* longer ones are split */
#define RATE_PERIOD_USEC (30 * UINT64_C(1000000))
#define RATE_LINES 10000
#define RATE_BYTES (10 * 1000 * 1000)
#define BATCH_SIZE_MAX (256 * 1024)
#define SPLIT_MARK "\xe2\x80\xa6" /* an ellipsis */

struct PluginLog {
        LogSink *sink;
        char *session;
        pid_t pid;
        List inputs;

        PluginLogLine kept[PLUGIN_LOG_KEPT];
        size_t n_kept;

        LogBatch *batch;        /* NULL: nothing to be sent */
        sd_event_source *flush; /* sends it at the end of this turn of the loop */

        uint64_t period_end; /* CLOCK_MONOTONIC */
        size_t period_lines, period_bytes;
        uint64_t dropped;
        sd_event_source *report; /* tells of what was dropped, when the period ends */
};

/* One run's stderr. */
typedef struct LogInput {
        PluginLog *log;
        ListNode inputs;
        int fd;
        sd_event_source *source;
        GString *partial; /* a line whose end has not come yet */
        int priority;     /* of the line that PARTIAL continues */
        bool continued;
} LogInput;

static uint64_t now_usec(PluginLog *log, clockid_t clock) {
        uint64_t usec = 0;

        (void) sd_event_now(log_sink_event(log->sink), clock, &usec);
        return usec;
}

static int on_report(sd_event_source *source, uint64_t usec, void *userdata);

/* Counted, and told of when the period ends, even if no other line comes. */
static void drop(PluginLog *log, size_t lines) {
        bool first = log->dropped == 0;

        log->dropped += lines;
        if (!first)
                return;
        if (!log->report)
                (void) sd_event_add_time(log_sink_event(log->sink), &log->report, CLOCK_MONOTONIC, log->period_end, 0, on_report, log);
        else if (sd_event_source_set_time(log->report, log->period_end) >= 0)
                (void) sd_event_source_set_enabled(log->report, SD_EVENT_ONESHOT);
}

static void flush(PluginLog *log) {
        size_t lines;

        if (!log->batch)
                return;
        lines = log_batch_lines(log->batch);
        if (!log_batch_send(g_steal_pointer(&log->batch)))
                drop(log, lines);
}

static int on_flush(sd_event_source *source, void *userdata) {
        flush(userdata);
        return 0;
}

static void request_flush(PluginLog *log) {
        if (log_batch_size(log->batch) >= BATCH_SIZE_MAX || sd_event_source_set_enabled(log->flush, SD_EVENT_ONESHOT) < 0)
                flush(log);
}

static void keep(PluginLog *log, uint64_t realtime_usec, int priority, const char *text) {
        if (log->n_kept == PLUGIN_LOG_KEPT) {
                g_free(log->kept[0].text);
                memmove(log->kept, log->kept + 1, --log->n_kept * sizeof(log->kept[0]));
        }
        log->kept[log->n_kept++] = (PluginLogLine){ realtime_usec, priority, g_strdup(text) };
}

static void pass_on(PluginLog *log, int priority, const char *text) {
        uint64_t usec = now_usec(log, CLOCK_REALTIME);

        keep(log, usec, priority, text);
        if (!log->batch)
                log->batch = log_batch_new(log->sink, log->session, log->pid);
        log_batch_add(log->batch, usec, priority, text);
        request_flush(log);
}

/* The rate */

static void report_dropped(PluginLog *log) {
        char text[64];

        if (log->dropped == 0)
                return;
        snprintf(text, sizeof(text), "%" G_GUINT64_FORMAT " lines were dropped", log->dropped);
        log->dropped = 0;
        pass_on(log, LOG_WARNING, text);
}

static void begin_period(PluginLog *log, uint64_t now) {
        log->period_end = now + RATE_PERIOD_USEC;
        log->period_lines = log->period_bytes = 0;
        report_dropped(log);
}

static int on_report(sd_event_source *source, uint64_t usec, void *userdata) {
        PluginLog *log = userdata;
        uint64_t now = now_usec(log, CLOCK_MONOTONIC);

        if (now >= log->period_end)
                begin_period(log, now);
        return 0;
}

/* True if a line of SIZE bytes may pass. */
static bool within_rate(PluginLog *log, size_t size) {
        uint64_t now = now_usec(log, CLOCK_MONOTONIC);

        if (now >= log->period_end)
                begin_period(log, now);
        if (log->period_lines >= RATE_LINES || log->period_bytes + size > RATE_BYTES) {
                drop(log, 1);
                return false;
        }
        log->period_lines++;
        log->period_bytes += size;
        return true;
}

/* Lines */

/* Appends what is at DATA so that it can be shown: some plain characters or one that is not. Returns how many bytes it took. */
static size_t append_character(GString *out, const char *data, size_t size) {
        size_t length = 0;
        gunichar c;

        while (length < MIN(size, 64) && data[length] >= 0x20 && data[length] < 0x7f)
                length++;
        if (length > 0) {
                g_string_append_len(out, data, (gssize) length);
                return length;
        }
        c = *data ? g_utf8_get_char_validated(data, (gssize) size) : 0;
        if (c == (gunichar) -1 || c == (gunichar) -2) {
                g_string_append(out, "\xef\xbf\xbd");
                return 1;
        }
        length = c == 0 ? 1 : (size_t) (g_utf8_next_char(data) - data);
        if (c != '\t' && (c < 0x20 || (c >= 0x7f && c < 0xa0)))
                g_string_append_printf(out, "\\x%02x", c);
        else
                g_string_append_len(out, data, (gssize) length);
        return length;
}

void plugin_log_append_text(GString *out, const char *data, size_t size) {
        while (size > 0) {
                size_t n = append_character(out, data, size);

                data += n;
                size -= n;
        }
}

/* CONTINUED: it goes on from an earlier piece. CONTINUES: another follows. */
static void add_text(PluginLog *log, int priority, const char *data, size_t size, bool continued, bool continues) {
        g_autoptr(GString) text = g_string_new(continued ? SPLIT_MARK : NULL);

        while (size > 0) {
                size_t n = append_character(text, data, size);

                data += n;
                size -= n;
                if (text->len >= LINE_SIZE_MAX && size > 0) { /* escaping has made it longer */
                        g_string_append(text, SPLIT_MARK);
                        pass_on(log, priority, text->str);
                        g_string_assign(text, SPLIT_MARK);
                }
        }
        if (continues)
                g_string_append(text, SPLIT_MARK);
        pass_on(log, priority, text->str);
}

static bool is_level_prefix(const char *data, size_t size) {
        return size >= 3 && data[0] == '<' && data[1] >= '0' && data[1] <= '7' && data[2] == '>';
}

/* A line, or a piece of one, without its end. */
static void add_piece(LogInput *input, const char *data, size_t size, bool continues) {
        bool continued = input->continued;

        input->continued = continues;
        if (!continues && size > 0 && data[size - 1] == '\r')
                size--;
        if (!continued) {
                input->priority = LOG_INFO;
                if (is_level_prefix(data, size)) {
                        input->priority = data[1] - '0';
                        data += 3;
                        size -= 3;
                }
        }
        if (size > 0 && within_rate(input->log, size))
                add_text(input->log, input->priority, data, size, continued, continues);
}

/* How much of a too long line to take: not half a character. */
static size_t whole_characters(const char *data, size_t size) {
        size_t n = size;

        while (n > 0 && size - n < 3 && ((unsigned char) data[n - 1] & 0xc0) == 0x80)
                n--;
        if (n > 0 && (unsigned char) data[n - 1] >= 0xc0 &&
            g_utf8_get_char_validated(data + n - 1, (gssize) (size - n + 1)) == (gunichar) -2)
                return n - 1;
        return size;
}

/* In a flood that is past the rate, lines need not be looked at one by one. Returns how many bytes are done with. */
static size_t skip_lines(LogInput *input, const char *data, size_t size) {
        PluginLog *log = input->log;
        const char *end = memrchr(data, '\n', size);
        size_t lines = 0, n = end ? (size_t) (end - data) + 1 : 0;

        if (n == 0 || now_usec(log, CLOCK_MONOTONIC) >= log->period_end ||
            (log->period_lines < RATE_LINES && log->period_bytes < RATE_BYTES))
                return 0;
        for (size_t i = 0; i < n; i++)
                lines += data[i] == '\n';
        drop(log, lines);
        g_string_truncate(input->partial, 0);
        input->continued = false;
        return n;
}

static void add_bytes(LogInput *input, const char *data, size_t size) {
        size_t skipped = skip_lines(input, data, size);

        data += skipped;
        size -= skipped;
        while (size > 0) {
                const char *end = memchr(data, '\n', size);
                size_t n = end ? (size_t) (end - data) : size;
                size_t room = LINE_SIZE_MAX - input->partial->len, taken;

                if (n > room) {
                        g_string_append_len(input->partial, data, (gssize) room);
                        taken = whole_characters(input->partial->str, LINE_SIZE_MAX);
                        add_piece(input, input->partial->str, taken, true);
                        g_string_erase(input->partial, 0, (gssize) taken);
                        data += room;
                        size -= room;
                        continue;
                }
                if (!end) {
                        g_string_append_len(input->partial, data, (gssize) n);
                        return;
                }
                if (input->partial->len > 0) {
                        g_string_append_len(input->partial, data, (gssize) n);
                        add_piece(input, input->partial->str, input->partial->len, false);
                        g_string_truncate(input->partial, 0);
                } else
                        add_piece(input, data, n, false);
                data = end + 1;
                size -= n + 1;
        }
}

/* Reading */

static void input_free(LogInput *input) {
        if (input->partial->len > 0 || input->continued)
                add_piece(input, input->partial->str, input->partial->len, false);
        list_unlink(&input->inputs);
        sd_event_source_disable_unref(input->source);
        close(input->fd);
        g_string_free(input->partial, TRUE);
        g_free(input);
}

/* False at the end. */
static bool input_read(LogInput *input) {
        size_t size;
        char *buffer = log_sink_buffer(input->log->sink, &size);
        ssize_t n = read(input->fd, buffer, size);

        if (n < 0)
                return errno == EAGAIN || errno == EINTR;
        add_bytes(input, buffer, (size_t) n);
        return n > 0;
}

static int on_input(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        LogInput *input = userdata;

        if (!input_read(input))
                input_free(input);
        return 0;
}

int plugin_log_attach(PluginLog *log, int fd) {
        LogInput *input;
        int flags, r;

        flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
                r = -errno;
                close(fd);
                return r;
        }
        input = g_new(LogInput, 1);
        *input = (LogInput){ .log = log, .fd = fd, .partial = g_string_sized_new(0) };
        list_append(&log->inputs, &input->inputs);
        r = sd_event_add_io(log_sink_event(log->sink), &input->source, fd, EPOLLIN, on_input, input);
        if (r < 0)
                input_free(input);
        return r < 0 ? r : 0;
}

/* The log */

int plugin_log_new(LogSink *sink, const char *session, PluginLog **ret) {
        PluginLog *log;
        int r;

        if (!*session || strchr(session, '/'))
                return -EINVAL; /* no name of a file */
        log = g_new0(PluginLog, 1);
        log->sink = sink;
        log->session = g_strdup(session);
        list_init(&log->inputs);
        r = sd_event_add_defer(log_sink_event(sink), &log->flush, on_flush, log);
        if (r >= 0)
                r = sd_event_source_set_enabled(log->flush, SD_EVENT_OFF);
        if (r < 0) {
                plugin_log_free(log);
                return r;
        }
        *ret = log;
        return 0;
}

PluginLog *plugin_log_free(PluginLog *log) {
        if (!log)
                return NULL;
        list_foreach(node, &log->inputs) {
                LogInput *input = list_entry(node, LogInput, inputs);

                (void) input_read(input); /* its last words */
                input_free(input);
        }
        report_dropped(log);
        flush(log);
        sd_event_source_disable_unref(log->flush);
        sd_event_source_disable_unref(log->report);
        for (size_t i = 0; i < log->n_kept; i++)
                g_free(log->kept[i].text);
        g_free(log->session);
        g_free(log);
        return NULL;
}

void plugin_log_set_pid(PluginLog *log, pid_t pid) {
        flush(log);
        log->pid = pid;
}

void plugin_log_add(PluginLog *log, int priority, const char *format, ...) {
        g_autofree char *text = NULL;
        size_t size;
        va_list args;

        va_start(args, format);
        text = g_strdup_vprintf(format, args);
        va_end(args);
        size = MIN(strlen(text), LINE_SIZE_MAX);
        if (size > 0 && within_rate(log, size))
                add_text(log, LOG_PRI(priority), text, size, false, false);
}

const PluginLogLine *plugin_log_lines(PluginLog *log, size_t *n) {
        *n = log->n_kept;
        return log->kept;
}
