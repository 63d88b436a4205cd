/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is remembered across restarts of the daemon and reboots: which sessions are loaded, from where, and what is desired of
 * them. One file, STATE_DIR/sessions.json, written whole (temporary file, fsync, rename) by the worker thread; several changes in a row
 * become one write. An unreadable file is set aside (renamed to sessions.json.bad), told in the log, and survived. */
#pragma once

#include "basic/worker.h"

#include <stdbool.h>

typedef struct Record Record;

typedef struct RecordEntry {
        char *id;
        char *source; /* id on the search path, or absolute path of a manifest */
        bool desired_active;
        bool running;        /* was not inactive when the daemon last stopped in order */
        char *configuration; /* JSON object or NULL */
        char *mcp_era;       /* or NULL */
} RecordEntry;

/* STATE_DIR is created (0700) if missing. WORKER may be NULL (tests): then files are written at once. */
int record_new(sd_event *event, const char *state_dir, Worker *worker, Record **ret);
Record *record_free(Record *record); /* what is not yet written is written */

const RecordEntry *record_get(const Record *record, const char *id); /* NULL if there is none */
void record_foreach(const Record *record, void (*callback)(const RecordEntry *entry, void *userdata), void *userdata);
void record_set(Record *record, const RecordEntry *entry); /* copied; writes soon if anything changed */
void record_remove(Record *record, const char *id);
