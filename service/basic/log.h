/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The daemon's own log: structured, to the journal where it is there, else to stderr as "<4>message". Not for what
 * plugins write (runtime/plugin-log.h). */
#pragma once

#include <stdbool.h>
#include <syslog.h>

typedef enum LogTarget { LOG_TARGET_AUTO, LOG_TARGET_JOURNAL, LOG_TARGET_STDERR } LogTarget;

void log_open(LogTarget target, int max_priority);
/* There is a journal, whether or not the daemon's own log goes there. */
bool log_journal_listens(void);
int log_priority_from_string(const char *name); /* "err", "warning", "info", "debug" or 0..7; -EINVAL */

/* SESSION (may be NULL) becomes the field PLUGIND_SESSION, and the message begins with it. Keeps errno. */
void log_full(int priority, const char *session, const char *file, int line, const char *function, const char *format, ...)
        __attribute__((format(printf, 6, 7)));
bool log_enabled(int priority);

#define log_session(priority, session, ...)                                                                                                \
        (log_enabled(priority) ? log_full(priority, session, __FILE__, __LINE__, __func__, __VA_ARGS__) : (void) 0)
#define log_error(...) log_session(LOG_ERR, NULL, __VA_ARGS__)
#define log_warning(...) log_session(LOG_WARNING, NULL, __VA_ARGS__)
#define log_notice(...) log_session(LOG_NOTICE, NULL, __VA_ARGS__)
#define log_info(...) log_session(LOG_INFO, NULL, __VA_ARGS__)
#define log_debug(...) log_session(LOG_DEBUG, NULL, __VA_ARGS__)
