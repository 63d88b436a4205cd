/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "launcher/mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOUNTINFO_MAX (16 * 1024 * 1024)
#define MOUNTINFO_STEP 65536

static bool is_octal(const char *digits) {
        for (int i = 0; i < 3; i++)
                if (digits[i] < '0' || digits[i] > (i == 0 ? '3' : '7'))
                        return false;
        return true;
}

void mountinfo_unescape(char *text) {
        char *to = text;

        for (const char *from = text; *from; to++) {
                if (*from == '\\' && is_octal(from + 1)) {
                        *to = (char) ((from[1] - '0') * 64 + (from[2] - '0') * 8 + from[3] - '0');
                        from += 4;
                } else
                        *to = *from++;
        }
        *to = '\0';
}

/* The next field of a line, which is cut at the space behind it; NULL: there is none. */
static char *next_field(char **line) {
        char *field = *line;

        *line += strcspn(*line, " ");
        if (**line)
                *(*line)++ = '\0';
        return field[0] ? field : NULL;
}

static bool parse_number(const char *text, uint64_t *ret) {
        char *end;

        if (!text || text[0] < '0' || text[0] > '9')
                return false;
        errno = 0;
        *ret = strtoull(text, &end, 10);
        return *end == '\0' && errno == 0;
}

/* "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue" */
static bool parse_line(char *line, Mount *ret) {
        char *fields[6], *field, *rest[2];

        for (size_t i = 0; i < 6; i++)
                if (!(fields[i] = next_field(&line)))
                        return false;
        ret->slave = false;
        while ((field = next_field(&line)) && strcmp(field, "-") != 0)
                if (strncmp(field, "master:", strlen("master:")) == 0)
                        ret->slave = true;
        for (size_t i = 0; i < 2; i++)
                rest[i] = field ? next_field(&line) : NULL;
        if (!rest[0] || !rest[1] || fields[4][0] != '/' || !parse_number(fields[0], &ret->id) || !parse_number(fields[1], &ret->parent))
                return false;
        mountinfo_unescape(fields[3]);
        mountinfo_unescape(fields[4]);
        mountinfo_unescape(rest[0]);
        ret->root = fields[3];
        ret->point = fields[4];
        ret->type = rest[0];
        return true;
}

int mountinfo_parse(char *text, MountTable *ret) {
        size_t lines = 1, n = 0;
        Mount *mounts;

        for (const char *p = text; *p; p++)
                lines += *p == '\n';
        mounts = calloc(lines, sizeof *mounts);
        for (char *line = text; mounts && *line;) {
                char *end = line + strcspn(line, "\n"), *next = *end ? end + 1 : end;

                *end = '\0';
                if (!parse_line(line, mounts + n++)) {
                        free(mounts);
                        return -1;
                }
                line = next;
        }
        if (!mounts)
                return -1;
        *ret = (MountTable){ text, mounts, n };
        return 0;
}

/* The whole file with a NUL behind it; NULL: it cannot be read. */
static char *read_whole(const char *path) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        size_t size = 0, room = 0;
        char *text = NULL, *more;
        ssize_t n = -1;

        while (fd >= 0 && room < MOUNTINFO_MAX && (more = realloc(text, room + MOUNTINFO_STEP + 1))) {
                text = more;
                room += MOUNTINFO_STEP;
                while (size < room && (n = read(fd, text + size, room - size)) > 0)
                        size += (size_t) n;
                if (n <= 0)
                        break;
        }
        if (fd >= 0)
                close(fd);
        if (n == 0 && size > 0) {
                text[size] = '\0';
                return text;
        }
        free(text);
        return NULL;
}

int mountinfo_read(MountTable *ret) {
        char *text = read_whole("/proc/self/mountinfo");

        if (text && mountinfo_parse(text, ret) == 0)
                return 0;
        free(text);
        return -1;
}

void mountinfo_clear(MountTable *table) {
        free(table->text);
        free(table->mounts);
}

const Mount *mountinfo_of(const MountTable *table, const char *path) {
        struct statx stx;

        if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_MNT_ID, &stx) < 0 || !(stx.stx_mask & STATX_MNT_ID))
                return NULL;
        for (size_t i = 0; i < table->n; i++)
                if (table->mounts[i].id == stx.stx_mnt_id)
                        return table->mounts + i;
        return NULL;
}
