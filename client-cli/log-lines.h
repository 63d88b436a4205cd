/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The last lines that a plugin wrote, as plugind keeps them, and how a line of a log looks. */
#pragma once

#include "ctl.h"

typedef struct LogLine {
        uint64_t realtime_usec; /* 0: not known */
        int priority;
        char *identifier; /* who wrote it; NULL: nobody said */
        char *text;
} LogLine;

void log_line_clear(LogLine *line);

/* Session.GetLogLines: a GArray of LogLine. QUIETLY: a refusal is no error, just nothing to show. */
int session_get_log_lines(Ctl *ctl, const char *id, bool quietly, GArray **ret);

/* A line of plugind's files: "2026-11-21T11:28:14.123456Z <6> text"; anything else is all text. Newly allocated members. */
void log_line_parse(const char *text, LogLine *ret);

/* Prints it: on one line, cut to WIDTH (SIZE_MAX: not), or as a JSON object. */
void log_line_print(const Ctl *ctl, const char *id, const LogLine *line, size_t width);
JsonObject *log_line_to_json(const char *id, const LogLine *line);
