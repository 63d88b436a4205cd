/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Private to record*.c: the file of the record, read strictly and written whole. */
#pragma once

#include "host/record.h"

#include <glib.h>

#define RECORD_FILE "sessions.json"
/* 10,000 sessions are some 2 MB. */
#define RECORD_SIZE_MAX (256 * 1024 * 1024)

#define RECORD_HEAD "{\"version\":1,\"sessions\":{"
#define RECORD_TAIL "\n}}\n"

/* Calls FOUND, which owns what is in *entry, for each good entry. Bad ones are logged, and the file is kept as RECORD_FILE.bad. No file: 0. */
int record_file_read(const char *folder, void (*found)(RecordEntry *entry, void *userdata), void *userdata);
/* In any thread. */
int record_file_write(const char *folder, const char *text, size_t size);

/* To a text that begins with RECORD_HEAD. */
void record_entry_append(GString *text, const RecordEntry *entry);
void record_entry_copy(RecordEntry *target, const RecordEntry *source);
bool record_entry_equal(const RecordEntry *a, const RecordEntry *b);
void record_entry_clear(RecordEntry *entry);
