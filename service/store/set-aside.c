/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/set-aside.h"

#include "basic/log.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SET_ASIDE_TEMPORARY SET_ASIDE_FILE ".new"
#define SET_ASIDE_MAX ((off_t) 64 * 1024 * 1024)

static int write_at(int fd, const char *data, size_t size, off_t offset) {
        while (size > 0) {
                ssize_t n = pwrite(fd, data, size, offset);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                data += n;
                offset += n;
                size -= (size_t) n;
        }
        return 0;
}

static int copy_bytes(int from, int to, off_t offset, off_t end) {
        g_autofree char *buffer = g_malloc(64 * 1024);

        while (offset < end) {
                ssize_t n = pread(from, buffer, (size_t) MIN(end - offset, 64 * 1024), offset);
                int r;

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : 0;
                r = write_at(to, buffer, (size_t) n, offset);
                if (r < 0)
                        return r;
                offset += n;
        }
        return 0;
}

static int copy_data(int from, int to) {
        off_t left = SET_ASIDE_MAX, end = 0;

        while (left > 0) {
                off_t start = lseek(from, end, SEEK_DATA);
                int r;

                if (start < 0)
                        return errno == ENXIO ? 0 : -errno;
                end = lseek(from, start, SEEK_HOLE);
                if (end < 0)
                        return -errno;
                end = MIN(end, start + left);
                left -= end - start;
                r = copy_bytes(from, to, start, end);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int copy_to(int from, int folder_fd) {
        int to, r;

        unlinkat(folder_fd, SET_ASIDE_TEMPORARY, 0);
        to = openat(folder_fd, SET_ASIDE_TEMPORARY, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (to < 0)
                return -errno;
        r = copy_data(from, to);
        if (r == 0 && fsync(to) < 0)
                r = -errno;
        close(to);
        if (r == 0 && renameat(folder_fd, SET_ASIDE_TEMPORARY, folder_fd, SET_ASIDE_FILE) < 0)
                r = -errno;
        if (r < 0)
                unlinkat(folder_fd, SET_ASIDE_TEMPORARY, 0);
        return r;
}

void set_aside(int fd, const char *folder) {
        struct stat st;
        int folder_fd, r;

        /* Reading anything else could wait for somebody. */
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
                log_notice("There is nothing in it that could be kept as %s/" SET_ASIDE_FILE, folder);
                return;
        }
        folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = folder_fd < 0 ? -errno : copy_to(fd, folder_fd);
        if (folder_fd >= 0)
                close(folder_fd);
        if (r < 0)
                log_warning("It cannot be kept as %s/" SET_ASIDE_FILE ": %s", folder, g_strerror(-r));
        else
                log_notice("It is kept as %s/" SET_ASIDE_FILE, folder);
}
