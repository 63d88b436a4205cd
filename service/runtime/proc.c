/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PROC_FILE_MAX (256 * 1024)

/* They tell no size. */
char *proc_read_fd(int fd, size_t *size) {
        g_autofree char *text = NULL;
        size_t allocated = 4096, n = 0;

        text = g_malloc(allocated);
        for (;;) {
                ssize_t k = pread(fd, text + n, allocated - 1 - n, (off_t) n);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return NULL;
                if (k == 0)
                        break;
                n += (size_t) k;
                if (n == allocated - 1) {
                        if (allocated >= PROC_FILE_MAX)
                                break;
                        allocated *= 2;
                        text = g_realloc(text, allocated);
                }
        }
        text[n] = '\0';
        *size = n;
        return g_steal_pointer(&text);
}

char *proc_read(const char *path, size_t *size) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        char *text;

        if (fd < 0)
                return NULL;
        text = proc_read_fd(fd, size);
        close(fd);
        return text;
}

/* Field 22. The second, the command's name, may hold anything, spaces and parentheses too. */
int proc_start_time(pid_t pid, uint64_t *ret) {
        g_autofree char *path = g_strdup_printf("/proc/%i/stat", pid), *stat = NULL;
        const char *end;
        uint64_t start;
        size_t size;

        stat = proc_read(path, &size);
        end = stat ? strrchr(stat, ')') : NULL;
        if (!end || sscanf(end,
                           ") %*c" /* 4 to 21 */
                           " %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %" SCNu64,
                           &start) != 1)
                return -ESRCH;
        *ret = start;
        return 0;
}

/* Lines are "<hierarchy>:<controllers>:<path>". systemd's own hierarchy is 0 or, where that is of the first version, the one of its name. */
bool proc_is_in_unit(pid_t pid, const char *unit) {
        g_autofree char *path = g_strdup_printf("/proc/%i/cgroup", pid), *text = NULL, *end = g_strconcat("/", unit, NULL);
        g_auto(GStrv) lines = NULL;
        size_t size;

        text = proc_read(path, &size);
        lines = text ? g_strsplit(text, "\n", -1) : NULL;
        for (char **line = lines; line && *line; line++)
                if ((g_str_has_prefix(*line, "0::") || strstr(*line, ":name=systemd:")) && g_str_has_suffix(*line, end))
                        return true;
        return false;
}
