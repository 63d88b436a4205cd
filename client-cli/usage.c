/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "usage.h"

#include "bus-client.h"
#include "process.h"

#include <errno.h>
#include <stddef.h>

#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_UNIT_PATH "/org/freedesktop/systemd1/unit"
#define SYSTEMD_TIMEOUT_USEC (5 * USEC_PER_SEC)

static const struct {
        const char *property;
        size_t offset;
} figures[] = {
        { "MemoryCurrent", offsetof(Usage, memory) },
        { "TasksCurrent", offsetof(Usage, tasks) },
        { "CPUUsageNSec", offsetof(Usage, cpu_nsec) },
};

/* A bus takes only so many calls that are not answered yet from one connection; dbus-daemon on the system bus 128. */
#define PENDING_MAX 64

typedef struct Question {
        UsageQuery *query;
        const char *unit, *property;
        uint64_t *answer;
} Question;

struct UsageQuery {
        Ctl *ctl;
        GPtrArray *usages;
        GPtrArray *questions;
        guint n_asked, n_pending;
        void (*done)(void *userdata);
        void *userdata;
};

static bool incomplete(const Usage *usage) {
        return usage->pid > 0 && (usage->memory == USAGE_UNKNOWN || usage->tasks == USAGE_UNKNOWN || usage->cpu_nsec == USAGE_UNKNOWN);
}

static void fill_from_proc(GPtrArray *usages) {
        g_autoptr(ProcessTable) table = NULL;

        for (guint i = 0; i < usages->len; i++) {
                Usage *usage = usages->pdata[i];
                ProcessFigures found;

                if (!incomplete(usage))
                        continue;
                if (!table)
                        table = process_table_new();
                if (!process_table_find(table, usage->pid, usage->unit, &found))
                        continue;
                if (usage->memory == USAGE_UNKNOWN)
                        usage->memory = found.memory;
                if (usage->tasks == USAGE_UNKNOWN)
                        usage->tasks = found.tasks;
                if (usage->cpu_nsec == USAGE_UNKNOWN)
                        usage->cpu_nsec = found.cpu_nsec;
        }
}

static void proceed(UsageQuery *query);

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Question *question = userdata;
        uint64_t value;

        if (!sd_bus_message_is_method_error(reply, NULL) && sd_bus_message_read(reply, "v", "t", &value) > 0)
                *question->answer = value; /* what it does not account is UINT64_MAX, which is USAGE_UNKNOWN */
        question->query->n_pending--;
        proceed(question->query);
        return 1; /* a time-out is something, too: usage_get() is to look whether that was all */
}

static int ask(Question *question) {
        sd_bus *bus = question->query->ctl->bus;
        g_autoptr(sd_bus_message) message = NULL;
        char *path = NULL;
        int r = sd_bus_path_encode(SYSTEMD_UNIT_PATH, question->unit, &path);

        if (r >= 0)
                r = sd_bus_message_new_method_call(bus, &message, SYSTEMD_NAME, path, "org.freedesktop.DBus.Properties", "Get");
        free(path);
        if (r >= 0)
                r = sd_bus_message_append(message, "ss", SYSTEMD_NAME ".Service", question->property);
        if (r >= 0)
                r = sd_bus_message_set_auto_start(message, false);
        return r < 0 ? r : sd_bus_call_async(bus, NULL, message, on_answer, question, SYSTEMD_TIMEOUT_USEC);
}

/* Asks what is still to be asked; what cannot be stays unknown. */
static void proceed(UsageQuery *query) {
        while (query->n_asked < query->questions->len && query->n_pending < PENDING_MAX)
                if (ask(query->questions->pdata[query->n_asked++]) >= 0)
                        query->n_pending++;
        if (query->n_pending > 0)
                return;
        if (ctl_local(query->ctl))
                fill_from_proc(query->usages);
        query->done(query->userdata);
}

static void add_questions(UsageQuery *query, Usage *usage) {
        for (size_t i = 0; i < G_N_ELEMENTS(figures); i++) {
                Question *question = g_new(Question, 1);

                *question = (Question){
                        .query = query,
                        .unit = usage->unit,
                        .property = figures[i].property,
                        .answer = (uint64_t *) (void *) ((char *) usage + figures[i].offset),
                };
                g_ptr_array_add(query->questions, question);
        }
}

UsageQuery *usage_ask(Ctl *ctl, GPtrArray *usages, void (*done)(void *userdata), void *userdata) {
        UsageQuery *query = g_new(UsageQuery, 1);

        *query = (UsageQuery){
                .ctl = ctl,
                .usages = usages,
                .questions = g_ptr_array_new_with_free_func(g_free),
                .done = done,
                .userdata = userdata,
        };
        for (guint i = 0; i < usages->len; i++) {
                Usage *usage = usages->pdata[i];

                usage->memory = usage->tasks = usage->cpu_nsec = USAGE_UNKNOWN;
                if (*usage->unit)
                        add_questions(query, usage);
        }
        proceed(query);
        return query;
}

UsageQuery *usage_query_free(UsageQuery *query) {
        if (!query)
                return NULL;
        g_ptr_array_unref(query->questions);
        g_free(query);
        return NULL;
}

static void set_true(void *flag) {
        *(bool *) flag = true;
}

void usage_get(Ctl *ctl, Usage *usage) {
        g_autoptr(GPtrArray) usages = g_ptr_array_new();
        bool done = false;

        g_ptr_array_add(usages, usage);
        UsageQuery *query = usage_ask(ctl, usages, set_true, &done);
        while (!done) {
                int r = sd_bus_process(ctl->bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(ctl->bus, UINT64_MAX);
                if (r < 0 && r != -EINTR) {
                        ctl->bus = sd_bus_close_unref(ctl->bus); /* whoever needs it next tells why */
                        break;
                }
        }
        usage_query_free(query);
}
