/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A plugin's log in files: PATH, and PATH.1 and PATH.2 that it was rotated to. */
#pragma once

#include <stdbool.h>

/* LINE has no end; it is not checked in any way. */
typedef void (*LogTailLine)(const char *line, void *userdata);

/* Gives the last N lines (-1: all), oldest first; with FOLLOW also those that come, and never returns then but for an error. 0 or -errno:
 * -ENOENT when there is no such file yet. */
int log_tail_read(const char *path, int n, bool follow, LogTailLine line, void *userdata);
