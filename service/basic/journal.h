/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The lines of one plugin in the journal, for whoever reads them: plugind itself (in its worker thread: all of this may block) and pluginctl.
 *
 * Anybody may write an entry with PLUGIND_SESSION=. What counts was written by plugind, or by a unit in plugind.slice, which the journal
 * itself knows of its writers.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-journal.h>

typedef struct JournalEntry {
        uint64_t realtime_usec;
        int priority;     /* syslog */
        char *identifier; /* who wrote it; NULL: nobody said */
        char *text;
} JournalEntry;

void journal_entry_clear(JournalEntry *entry);

/* Of SESSION, hosted by a plugind that runs as UID; USER: one of a user's own. */
int journal_open(const char *session, uid_t uid, bool user, sd_journal **ret);
/* Before the last N entries (-1: before all). */
int journal_seek_last(sd_journal *journal, int n);
/* The next entry that has a text. 0: there is none (yet), 1: *ret is to be cleared. */
int journal_next(sd_journal *journal, JournalEntry *ret);
