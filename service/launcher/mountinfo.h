/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /proc/self/mountinfo (proc(5)), line by line. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One mount; the texts are in MountTable.text, their escapes undone. */
typedef struct Mount {
        uint64_t id, parent;
        const char *root, *point; /* which part of the file system is mounted, and where */
        const char *type;
        bool slave; /* of another mount namespace: it was there before this one was made, or comes from there */
} Mount;

typedef struct MountTable {
        char *text;
        Mount *mounts; /* n of them */
        size_t n;
} MountTable;

/* Takes apart TEXT, which is written to and stays the caller's. 0, or -1: a line is none, or there is no memory. */
int mountinfo_parse(char *text, MountTable *ret);

/* "\040" and the like become what they stand for, in place. */
void mountinfo_unescape(char *text);

/* The caller's own. 0, or -1: that cannot be read. */
int mountinfo_read(MountTable *ret);
void mountinfo_clear(MountTable *table);

/* The mount that PATH, which is followed, leads into; NULL: there is no such path, or that cannot be found out. */
const Mount *mountinfo_of(const MountTable *table, const char *path);
