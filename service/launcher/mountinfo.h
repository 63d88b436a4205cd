/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /proc/self/mountinfo (proc(5)), line by line. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One mount; the texts are in the buffer that was parsed, their escapes undone. */
typedef struct Mount {
        uint64_t id, parent;
        const char *root, *point; /* which part of the file system is mounted, and where */
        const char *type;
        bool slave; /* of another mount namespace: it was there before this one was made, or comes from there */
} Mount;

/* All of TEXT, which is written to. An array of *n for free(); NULL: a line is none, or there is no memory. */
Mount *mountinfo_parse(char *text, size_t *n);

/* "\040" and the like become what they stand for, in place. */
void mountinfo_unescape(char *text);

/* Reads the caller's own; NULL: that cannot be done. What it points to lives as long as the process. */
Mount *mountinfo_read(size_t *n);

/* The mount that PATH, which is followed, leads into; NULL: there is no such path, or that cannot be found out. */
const Mount *mountinfo_of(const Mount *mounts, size_t n, const char *path);
