/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/journal-tail.h"

#include "basic/journal.h"
#include "basic/list.h"

#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define READINGS_MAX 32
#define TIMEOUT_USEC (5 * USEC_PER_SEC)
#define TEXT_MAX 8192

/* Between the loop and the worker; goes with the last reading that the worker has. */
typedef struct Exchange {
        pthread_mutex_t mutex;
        List finished; /* Reading.finished, under the mutex */
        bool closed;   /* under the mutex: nobody waits for readings any more */
        int wake;      /* eventfd */
} Exchange;

struct JournalTail {
        JournalTailConfig config;
        Exchange *exchange;
        sd_event_source *source;
        List readings;
        unsigned n_readings; /* that the worker has, also those nobody waits for any more */
};

/* One question. What follows the blank line is the loop's, the rest the worker's until it has finished. */
typedef struct Reading {
        Exchange *exchange;
        ListNode finished;
        char *session;
        uid_t uid;
        bool user;
        PluginLogLine lines[PLUGIN_LOG_KEPT];
        size_t n;
        int r;

        JournalTail *tail;
        ListNode readings;
        Deadline deadline;
        JournalTailDone done; /* NULL: it has been answered */
        void *userdata;
} Reading;

static void exchange_clear(void *data) {
        Exchange *exchange = data;

        close(exchange->wake);
        pthread_mutex_destroy(&exchange->mutex);
}

static void exchange_unref(Exchange *exchange) {
        g_atomic_rc_box_release_full(exchange, exchange_clear);
}

static void reading_free(Reading *reading) {
        for (size_t i = 0; i < reading->n; i++)
                g_free(reading->lines[i].text);
        exchange_unref(reading->exchange);
        g_free(reading->session);
        g_free(reading);
}

/* -- in the worker -- */

static void take_entry(Reading *reading, const JournalEntry *entry) {
        g_autoptr(GString) text = g_string_new(NULL);

        if (reading->n == PLUGIN_LOG_KEPT) { /* more have come meanwhile */
                g_free(reading->lines[0].text);
                memmove(reading->lines, reading->lines + 1, --reading->n * sizeof(reading->lines[0]));
        }
        plugin_log_append_text(text, entry->text, strnlen(entry->text, TEXT_MAX));
        reading->lines[reading->n++] = (PluginLogLine){ entry->realtime_usec, entry->priority,
                                                        g_string_free(g_steal_pointer(&text), FALSE) };
}

static int read_lines(Reading *reading) {
        sd_journal *journal = NULL;
        JournalEntry entry;
        int r = journal_open(reading->session, reading->uid, reading->user, &journal);

        if (r >= 0)
                r = journal_seek_last(journal, PLUGIN_LOG_KEPT);
        for (int i = 0; r >= 0 && i < 10 * PLUGIN_LOG_KEPT && (r = journal_next(journal, &entry)) > 0; i++) {
                take_entry(reading, &entry);
                journal_entry_clear(&entry);
        }
        sd_journal_close(journal);
        return r < 0 ? r : 0;
}

static void reading_run(void *data) {
        const uint64_t one = 1;
        Reading *reading = data;
        Exchange *exchange = reading->exchange;
        bool closed;

        reading->r = read_lines(reading);
        pthread_mutex_lock(&exchange->mutex);
        closed = exchange->closed;
        if (!closed) {
                list_append(&exchange->finished, &reading->finished);
                if (write(exchange->wake, &one, sizeof(one)) < 0)
                        closed = false; /* it is awake already */
        }
        pthread_mutex_unlock(&exchange->mutex);
        if (closed)
                reading_free(reading);
}

/* -- in the loop -- */

static void reading_answer(Reading *reading, const PlugindError *error) {
        JournalTailDone done = reading->done;

        if (!done)
                return;
        reading->done = NULL;
        deadline_disarm(reading->tail->config.deadlines, &reading->deadline);
        done(reading->lines, error ? 0 : reading->n, error, reading->userdata);
}

static void reading_expired(Deadline *d) {
        Reading *reading = list_entry(d, Reading, deadline);
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;

        plugind_error_set(&error, PLUGIND_ERROR_FAILED, "the journal did not give the lines of session \"%s\" within %g s",
                          reading->session, (double) reading->tail->config.timeout_usec / (double) USEC_PER_SEC);
        reading_answer(reading, &error);
}

static void reading_finished(Reading *reading) {
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;

        if (reading->r < 0)
                plugind_error_set(&error, PLUGIND_ERROR_FAILED, "the journal cannot be read for session \"%s\": %s", reading->session,
                                  strerror(-reading->r));
        reading->tail->n_readings--;
        list_unlink(&reading->readings);
        reading_answer(reading, error.code ? &error : NULL);
        reading_free(reading);
}

static int on_wake(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        JournalTail *tail = userdata;
        uint64_t count;
        Reading *reading;
        List finished;

        list_init(&finished);
        if (read(fd, &count, sizeof(count)) < 0)
                return 0;
        pthread_mutex_lock(&tail->exchange->mutex);
        list_splice(&finished, &tail->exchange->finished);
        pthread_mutex_unlock(&tail->exchange->mutex);
        while ((reading = list_first(&finished, Reading, finished))) {
                list_unlink(&reading->finished);
                reading_finished(reading);
        }
        return 0;
}

int journal_tail_new(const JournalTailConfig *config, JournalTail **ret) {
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), r;
        JournalTail *tail;

        if (fd < 0)
                return -errno;
        tail = g_new0(JournalTail, 1);
        tail->config = *config;
        tail->config.timeout_usec = config->timeout_usec ?: TIMEOUT_USEC;
        list_init(&tail->readings);
        tail->exchange = g_atomic_rc_box_new0(Exchange);
        tail->exchange->wake = fd;
        pthread_mutex_init(&tail->exchange->mutex, NULL);
        list_init(&tail->exchange->finished);
        r = sd_event_add_io(config->event, &tail->source, fd, EPOLLIN, on_wake, tail);
        if (r < 0) {
                journal_tail_free(tail);
                return r;
        }
        *ret = tail;
        return 0;
}

JournalTail *journal_tail_free(JournalTail *tail) {
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;
        Reading *reading;
        List finished;

        if (!tail)
                return NULL;
        plugind_error_set(&error, PLUGIND_ERROR_CANCELLED, "plugind is shutting down");
        list_foreach(node, &tail->readings) {
                reading = list_entry(node, Reading, readings);
                reading_answer(reading, &error);
                list_unlink(&reading->readings);
        }
        list_init(&finished);
        pthread_mutex_lock(&tail->exchange->mutex);
        tail->exchange->closed = true;
        list_splice(&finished, &tail->exchange->finished);
        pthread_mutex_unlock(&tail->exchange->mutex);
        while ((reading = list_first(&finished, Reading, finished))) {
                list_unlink(&reading->finished);
                reading_free(reading);
        }
        sd_event_source_disable_unref(tail->source);
        exchange_unref(tail->exchange);
        g_free(tail);
        return NULL;
}

int journal_tail_read(JournalTail *tail, const char *session, JournalTailDone done, void *userdata, PlugindError *error) {
        Reading *reading;

        if (tail->n_readings >= READINGS_MAX)
                return plugind_error_set(error, PLUGIND_ERROR_LIMITS_EXCEEDED, "%u readings of the journal wait already, that is the limit",
                                         tail->n_readings);
        reading = g_new0(Reading, 1);
        *reading = (Reading){
                .exchange = g_atomic_rc_box_acquire(tail->exchange),
                .session = g_strdup(session),
                .uid = tail->config.uid,
                .user = tail->config.user,
                .tail = tail,
                .deadline = { .expired = reading_expired },
                .done = done,
                .userdata = userdata,
        };
        list_append(&tail->readings, &reading->readings);
        tail->n_readings++;
        deadline_arm(tail->config.deadlines, &reading->deadline, tail->config.timeout_usec);
        worker_push(tail->config.worker, reading_run, reading);
        return 0;
}
