/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A plugin's log in the journal. */
#pragma once

#include "log-lines.h"

#include <sys/types.h>

typedef void (*LogJournalLine)(const LogLine *line, void *userdata);

/* Gives the last N lines (-1: all) of a session, oldest first, that a process of UID logged: anybody may write the field PLUGIND_SESSION. With
 * FOLLOW also those that come, and never returns then but for an error. The number of lines or -errno. */
int log_journal_read(const char *id, uid_t uid, int n, bool follow, LogJournalLine line, void *userdata);
