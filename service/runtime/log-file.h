/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Log files of bounded size, where there is no journal. May block: for the worker thread. */
#pragma once

#include <stddef.h>

#define LOG_FILE_MAX (10 * 1000 * 1000)
#define LOG_FILES_KEPT 2 /* older ones: NAME.1 and NAME.2 */

/* Appends to DIRECTORY/NAME, which are created when needed, and rotates first if it would grow past LOG_FILE_MAX.
 * Nothing is kept open in between: whoever removes or moves the file gets a new one. */
int log_file_append(const char *directory, const char *name, const char *data, size_t size);
