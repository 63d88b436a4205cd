/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/log-file.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_directory(const char *path) {
        int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0 && errno == ENOENT && g_mkdir_with_parents(path, 0750) == 0)
                fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

/* O_NONBLOCK: what somebody has put there may be a fifo. */
static int open_file(int directory, const char *name, off_t *size) {
        struct stat st;
        int fd;

        fd = openat(directory, name, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0640);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
                close(fd);
                return -EBADF;
        }
        *size = st.st_size;
        return fd;
}

static int rotate(int directory, const char *name) {
        for (int i = LOG_FILES_KEPT; i > 0; i--) {
                g_autofree char *from = i > 1 ? g_strdup_printf("%s.%i", name, i - 1) : g_strdup(name);
                g_autofree char *to = g_strdup_printf("%s.%i", name, i);

                if (renameat(directory, from, directory, to) < 0 && errno != ENOENT)
                        return -errno;
        }
        return 0;
}

static int write_all(int fd, const char *data, size_t size) {
        while (size > 0) {
                ssize_t n = write(fd, data, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                data += n;
                size -= (size_t) n;
        }
        return 0;
}

static int append(int directory, const char *name, const char *data, size_t size) {
        off_t before;
        int fd, r;

        fd = open_file(directory, name, &before);
        if (fd < 0)
                return fd;
        if (before > 0 && (size_t) before + size > LOG_FILE_MAX) {
                close(fd);
                r = rotate(directory, name);
                if (r < 0)
                        return r;
                fd = open_file(directory, name, &before);
                if (fd < 0)
                        return fd;
        }
        r = write_all(fd, data, size);
        close(fd);
        return r;
}

int log_file_append(const char *directory, const char *name, const char *data, size_t size) {
        int fd, r;

        fd = open_directory(directory);
        if (fd < 0)
                return fd;
        r = append(fd, name, data, size);
        close(fd);
        return r;
}
