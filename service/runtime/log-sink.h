/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where plugins' lines end: batches of them go to the worker thread, which writes them to the journal or to files. */
#pragma once

#include "runtime/plugin-log.h"

#include <glib.h>
#include <sys/types.h>

typedef struct LogBatch LogBatch;

LogBatch *log_batch_new(LogSink *sink, const char *session, pid_t pid);
/* TEXT is valid UTF-8 in one line. */
void log_batch_add(LogBatch *batch, uint64_t realtime_usec, int priority, const char *text);
size_t log_batch_lines(const LogBatch *batch);
size_t log_batch_size(const LogBatch *batch); /* bytes of memory */
/* Takes BATCH to the worker; false (and BATCH is freed) if too much waits there already. */
bool log_batch_send(LogBatch *batch);

sd_event *log_sink_event(LogSink *sink);
/* A buffer for reading, for use within one callback. */
char *log_sink_buffer(LogSink *sink, size_t *size);
