/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include "runtime/log-sink.h"

#include "basic/log.h"
#include "runtime/log-file.h"

#include <errno.h>
#include <stdatomic.h>
#include <systemd/sd-journal.h>
#include <time.h>

#define READ_SIZE (64 * 1024)        /* per wake-up, so that one flood does not keep the loop from others */
#define QUEUED_MAX (4 * 1024 * 1024) /* bytes that wait for the worker, of all plugins together */
#define USEC_PER_SECOND UINT64_C(1000000)

/* Freed when the last batch has been written, maybe by the worker. What follows the first blank line is for the loop's thread. */
struct LogSink {
        char *directory; /* NULL: journal */
        atomic_size_t queued;
        atomic_bool failing; /* the last write failed, and that was told */

        sd_event *event;
        Worker *worker;
        char buffer[READ_SIZE];
};

typedef struct LogRecord {
        uint64_t realtime_usec;
        int priority;
        size_t text; /* offset */
} LogRecord;

struct LogBatch {
        LogSink *sink;
        char *session;
        pid_t pid; /* 0: not known */
        GArray *records;
        GString *texts; /* each with its NUL */
        size_t charged;
};

static void sink_clear(gpointer data) {
        g_free(((LogSink *) data)->directory);
}

int log_sink_new(sd_event *event, Worker *worker, const char *log_dir, bool use_journal, LogSink **ret) {
        LogSink *sink;

        if (!use_journal && !log_dir)
                return -EINVAL;
        sink = g_atomic_rc_box_new0(LogSink);
        sink->directory = use_journal ? NULL : g_strdup(log_dir);
        sink->event = sd_event_ref(event);
        sink->worker = worker;
        *ret = sink;
        return 0;
}

LogSink *log_sink_free(LogSink *sink) {
        if (!sink)
                return NULL;
        sink->event = sd_event_unref(sink->event);
        g_atomic_rc_box_release_full(sink, sink_clear);
        return NULL;
}

bool log_sink_is_journal(const LogSink *sink) {
        return !sink->directory;
}

static char *file_name(const char *session) {
        return g_strconcat(session, ".log", NULL);
}

char *log_sink_file(const LogSink *sink, const char *session) {
        g_autofree char *name = file_name(session);

        return sink->directory ? g_build_filename(sink->directory, name, NULL) : NULL;
}

sd_event *log_sink_event(LogSink *sink) {
        return sink->event;
}

char *log_sink_buffer(LogSink *sink, size_t *size) {
        *size = sizeof(sink->buffer);
        return sink->buffer;
}

/* Batches */

static LogBatch *batch_free(LogBatch *batch) {
        g_atomic_rc_box_release_full(batch->sink, sink_clear);
        g_array_unref(batch->records);
        g_string_free(batch->texts, TRUE);
        g_free(batch->session);
        g_free(batch);
        return NULL;
}

LogBatch *log_batch_new(LogSink *sink, const char *session, pid_t pid) {
        LogBatch *batch = g_new(LogBatch, 1);

        *batch = (LogBatch){
                .sink = g_atomic_rc_box_acquire(sink),
                .session = g_strdup(session),
                .pid = pid,
                .records = g_array_new(FALSE, FALSE, sizeof(LogRecord)),
                .texts = g_string_new(NULL),
        };
        return batch;
}

void log_batch_add(LogBatch *batch, uint64_t realtime_usec, int priority, const char *text) {
        LogRecord record = { realtime_usec, priority, batch->texts->len };

        g_array_append_val(batch->records, record);
        g_string_append_len(batch->texts, text, (gssize) strlen(text) + 1);
}

size_t log_batch_lines(const LogBatch *batch) {
        return batch->records->len;
}

size_t log_batch_size(const LogBatch *batch) {
        return sizeof(*batch) + batch->texts->len + batch->records->len * sizeof(LogRecord);
}

/* Writing: in the worker thread */

static void write_journal(LogBatch *batch) {
        g_autofree char *identifier = g_strconcat("SYSLOG_IDENTIFIER=", batch->session, NULL);
        g_autofree char *session = g_strconcat("PLUGIND_SESSION=", batch->session, NULL);
        g_autofree char *pid = batch->pid > 0 ? g_strdup_printf("SYSLOG_PID=%i", batch->pid) : NULL;

        for (guint i = 0; i < batch->records->len; i++) {
                const LogRecord *record = &g_array_index(batch->records, LogRecord, i);
                g_autofree char *message = g_strconcat("MESSAGE=", batch->texts->str + record->text, NULL);
                char priority[] = { 'P', 'R', 'I', 'O', 'R', 'I', 'T', 'Y', '=', (char) ('0' + record->priority), '\0' };
                const struct iovec fields[] = {
                        { message, strlen(message) }, { priority, strlen(priority) }, { identifier, strlen(identifier) },
                        { session, strlen(session) }, { pid, pid ? strlen(pid) : 0 },
                };

                (void) sd_journal_sendv(fields, pid ? 5 : 4);
        }
}

static void append_line(GString *lines, const LogRecord *record, const char *text) {
        time_t seconds = (time_t) (record->realtime_usec / USEC_PER_SECOND);
        char date[sizeof("9999-12-31T23:59:59")];
        struct tm tm;

        gmtime_r(&seconds, &tm);
        strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
        g_string_append_printf(lines, "%s.%06uZ <%i> %s\n", date, (unsigned) (record->realtime_usec % USEC_PER_SECOND), record->priority,
                               text);
}

static void write_file(LogBatch *batch) {
        g_autoptr(GString) lines = g_string_sized_new(batch->texts->len + batch->records->len * 34);
        g_autofree char *name = file_name(batch->session);
        LogSink *sink = batch->sink;
        int r;

        for (guint i = 0; i < batch->records->len; i++) {
                const LogRecord *record = &g_array_index(batch->records, LogRecord, i);

                append_line(lines, record, batch->texts->str + record->text);
        }
        r = log_file_append(sink->directory, name, lines->str, lines->len);
        if (r < 0 && !atomic_exchange(&sink->failing, true))
                log_warning("cannot write %s/%s: %s; lines of plugins are lost until this is mended", sink->directory, name,
                            g_strerror(-r));
        else if (r == 0)
                atomic_store(&sink->failing, false);
}

static void batch_write(void *data) {
        LogBatch *batch = data;

        if (log_sink_is_journal(batch->sink))
                write_journal(batch);
        else
                write_file(batch);
        atomic_fetch_sub(&batch->sink->queued, batch->charged);
        batch_free(batch);
}

bool log_batch_send(LogBatch *batch) {
        LogSink *sink = batch->sink;

        batch->charged = log_batch_size(batch);
        if (atomic_load(&sink->queued) + batch->charged > QUEUED_MAX) {
                batch_free(batch);
                return false;
        }
        atomic_fetch_add(&sink->queued, batch->charged);
        worker_push(sink->worker, batch_write, batch);
        return true;
}
