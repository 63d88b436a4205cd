/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The last lines of plugins whose stderr goes to the journal by itself, as units of systemd have it: nothing of it passes through plugind, so
 * it reads there when it is asked. In the worker thread, and not longer than it may take: a journal can be slow, or broken.
 */
#pragma once

#include "basic/deadline.h"
#include "basic/error.h"
#include "basic/worker.h"
#include "runtime/plugin-log.h"

typedef struct JournalTail JournalTail;

typedef struct JournalTailConfig {
        sd_event *event;
        Deadlines *deadlines;
        Worker *worker;
        uid_t uid; /* of plugind */
        bool user;
        uint64_t timeout_usec; /* of one reading; 0: 5 s */
} JournalTailConfig;

/* Called once, from the loop. LINES, at most PLUGIN_LOG_KEPT, oldest first, are gone afterwards. ERROR: NULL when all went well. */
typedef void (*JournalTailDone)(const PluginLogLine *lines, size_t n, const PlugindError *error, void *userdata);

int journal_tail_new(const JournalTailConfig *config, JournalTail **ret);
/* Whoever waits is told that it is over. Does not wait for the worker. */
JournalTail *journal_tail_free(JournalTail *tail);

/* LimitsExceeded when too many wait already. */
int journal_tail_read(JournalTail *tail, const char *session, JournalTailDone done, void *userdata, PlugindError *error);
