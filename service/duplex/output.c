/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "duplex/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

static ssize_t write_atomic(Buffer *buffer, int fd, const char *data, size_t size) {
        ssize_t n;
        int error;

        buffer_begin_write(buffer, size, false);
        n = write(fd, data, size);
        error = errno;
        buffer_end_write(buffer, n > 0 ? (size_t) n : 0);
        return n < 0 ? -error : n;
}

/* Not every file can be spliced to (a terminal that somebody passed as a duplex), and no more descriptors may be had. */
static ssize_t write_plainly(Buffer *buffer, int fd, const char *data, size_t size) {
        ssize_t n = write(fd, data, size);

        if (n > 0)
                buffer_consume(buffer, (size_t) n);
        return n < 0 ? -errno : n;
}

static ssize_t write_staged(Arena *arena, Buffer *buffer, int fd, const char *data, size_t size) {
        ssize_t staged = arena_stage(arena, data, size), n;
        int error;

        if (staged <= 0)
                return write_plainly(buffer, fd, data, size);
        buffer_begin_write(buffer, (size_t) staged, true);
        n = splice(arena_staging(arena), NULL, fd, NULL, (size_t) staged, SPLICE_F_NONBLOCK);
        error = errno;
        buffer_end_write(buffer, n > 0 ? (size_t) n : 0);
        if (n < staged)
                arena_unstage(arena);
        if (n < 0 && error == EINVAL)
                return write_plainly(buffer, fd, data, size);
        return n < 0 ? -error : n;
}

ssize_t output_write(Arena *arena, Buffer *buffer, int fd) {
        size_t size;
        const char *data = buffer_peek(buffer, &size);

        if (size == 0)
                return 0;
        return size <= PIPE_BUF ? write_atomic(buffer, fd, data, size) : write_staged(arena, buffer, fd, data, size);
}
