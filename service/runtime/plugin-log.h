/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A plugin's stderr: read here, the last PLUGIN_LOG_KEPT lines kept for `status`, all of it to the journal under the plugin's own
 * identifier with PLUGIND_SESSION=<id>, or, where there is no journal, to LOG_DIR/<id>.log (10 MB, two older ones kept). Writing happens
 * in the worker thread. A plugin is never blocked by a slow log: past a rate lines are counted instead of kept, and the count is logged.
 */
#pragma once

#include "basic/worker.h"

#include <glib.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

typedef struct LogSink LogSink;     /* one per daemon */
typedef struct PluginLog PluginLog; /* one per session that has run */

#define PLUGIN_LOG_KEPT 20

typedef struct PluginLogLine {
        uint64_t realtime_usec;
        int priority; /* syslog; from a "<4>" prefix, else LOG_INFO */
        char *text;   /* valid UTF-8, without line end */
} PluginLogLine;

/* Appends what a plugin wrote so that it can be shown to anyone: in one line, valid UTF-8, without control characters. */
void plugin_log_append_text(GString *out, const char *data, size_t size);

/* LOG_DIR: for files; created when first needed. USE_JOURNAL: journal instead of files. */
int log_sink_new(sd_event *event, Worker *worker, const char *log_dir, bool use_journal, LogSink **ret);
LogSink *log_sink_free(LogSink *sink);
bool log_sink_is_journal(const LogSink *sink);
/* LOG_DIR/<session>.log, newly allocated; NULL with the journal. */
char *log_sink_file(const LogSink *sink, const char *session);

int plugin_log_new(LogSink *sink, const char *session, PluginLog **ret);
PluginLog *plugin_log_free(PluginLog *log);
/* FD is the read end of a pipe, owned from here on; read until its end. A new run's descriptor may come while an old one is still open. */
int plugin_log_attach(PluginLog *log, int fd);
/* The main process of the run whose lines follow (SYSLOG_PID in the journal); 0: not known. */
void plugin_log_set_pid(PluginLog *log, pid_t pid);
/* A line of the host's own about this plugin ("skipped a line on stdout: ..."); goes the same way. */
void plugin_log_add(PluginLog *log, int priority, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Oldest first; *n of them; valid until the next event. */
const PluginLogLine *plugin_log_lines(PluginLog *log, size_t *n);
