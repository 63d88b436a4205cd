/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A plugin's log in the journal. */
#pragma once

#include "log-lines.h"

#include <sys/types.h>

typedef void (*LogJournalLine)(const LogLine *line, void *userdata);

typedef struct LogJournalQuery {
        const char *id;
        uid_t uid; /* of plugind */
        bool user; /* it is one of a user's own */
        int n;     /* the last ones; -1: all */
        uint64_t since_usec;
        bool follow; /* also those that come: never returns then but for an error */
} LogJournalQuery;

/* Gives the lines, oldest first. The number of them or -errno. */
int log_journal_read(const LogJournalQuery *query, LogJournalLine line, void *userdata);

/* There is a journal of the system that the caller may not read, and, for a USER's own plugins, none of the caller's own either. */
bool log_journal_forbidden(bool user);
