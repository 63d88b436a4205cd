/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log-tail.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define GENERATIONS 3
#define LINE_SIZE_MAX (64 * 1024)

typedef struct Generation {
        int fd; /* -1: there is none */
        dev_t device;
        ino_t inode;
} Generation;

typedef struct Reader {
        const char *path;
        Generation current;
        GString *partial; /* a line whose end has not been read yet */
        GQueue *kept;     /* the last lines, until it is known which are the last; NULL: every line goes out at once */
        int n;
        LogTailLine line;
        void *userdata;
} Reader;

/* 0, or -errno with fd -1. */
static int generation_open(const char *path, unsigned number, Generation *ret) {
        g_autofree char *name = number == 0 ? g_strdup(path) : g_strdup_printf("%s.%u", path, number);
        int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        struct stat st;

        *ret = (Generation){ .fd = -1 };
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
                close(fd);
                return -EBADF;
        }
        *ret = (Generation){ .fd = fd, .device = st.st_dev, .inode = st.st_ino };
        return 0;
}

static void generation_close(Generation *generation) {
        if (generation->fd >= 0)
                close(generation->fd);
        generation->fd = -1;
}

static bool generation_same(const Generation *a, const Generation *b) {
        return a->fd >= 0 && b->fd >= 0 && a->device == b->device && a->inode == b->inode;
}

/* From the newest on, so that a rotation meanwhile shows a file twice (and it is dropped) and never not at all. The error is that of the
 * newest. */
static int generations_open(const char *path, Generation generations[static GENERATIONS]) {
        int first = 0;

        for (unsigned i = 0; i < GENERATIONS; i++) {
                int r = generation_open(path, i, &generations[i]);
                if (i == 0)
                        first = r;
                for (unsigned j = 0; j < i; j++)
                        if (generation_same(&generations[i], &generations[j]))
                                generation_close(&generations[j]);
        }
        return first;
}

static void give_line(Reader *reader) {
        if (!reader->kept) {
                reader->line(reader->partial->str, reader->userdata);
        } else if (reader->n > 0) {
                if (g_queue_get_length(reader->kept) == (guint) reader->n)
                        g_free(g_queue_pop_head(reader->kept));
                g_queue_push_tail(reader->kept, g_strdup(reader->partial->str));
        }
        g_string_truncate(reader->partial, 0);
}

static void give_kept(Reader *reader) {
        char *line;

        while (reader->kept && (line = g_queue_pop_head(reader->kept))) {
                reader->line(line, reader->userdata);
                g_free(line);
        }
        g_clear_pointer(&reader->kept, g_queue_free);
}

static void take(Reader *reader, const char *data, size_t size) {
        for (size_t i = 0; i < size; i++) {
                if (data[i] != '\n')
                        g_string_append_c(reader->partial, data[i] ?: ' ');
                if (data[i] == '\n' || reader->partial->len >= LINE_SIZE_MAX)
                        give_line(reader);
        }
}

static int drain(Reader *reader) {
        char buffer[32 * 1024];

        for (;;) {
                ssize_t n = read(reader->current.fd, buffer, sizeof(buffer));

                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n == 0)
                        return 0;
                if (n > 0)
                        take(reader, buffer, n);
        }
}

static int switch_to(Reader *reader, Generation *generation) {
        generation_close(&reader->current);
        reader->current = *generation;
        generation->fd = -1;
        return drain(reader);
}

/* Goes on to the file that was begun when the current one was rotated away. 1: there was one. */
static int advance(Reader *reader) {
        Generation generations[GENERATIONS];
        int next = -1, r = 0;

        (void) generations_open(reader->path, generations);
        for (int i = GENERATIONS - 1; i >= 0 && next < 0; i--) /* the oldest, should the current one be gone altogether */
                if (generations[i].fd >= 0)
                        next = i;
        for (int i = 0; i < GENERATIONS; i++)
                if (generation_same(&generations[i], &reader->current))
                        next = i - 1;
        while (next >= 0 && generations[next].fd < 0)
                next--;

        if (next >= 0) {
                r = reader->current.fd >= 0 ? drain(reader) : 0; /* what came between the last look and the rotation */
                if (r >= 0)
                        r = switch_to(reader, &generations[next]);
        }
        for (int i = 0; i < GENERATIONS; i++)
                generation_close(&generations[i]);
        return r < 0 ? r : next >= 0;
}

static int watch(const char *path) {
        g_autofree char *directory = g_path_get_dirname(path);
        int fd = inotify_init1(IN_CLOEXEC);

        if (fd < 0)
                return -errno;
        if (inotify_add_watch(fd, directory, IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) < 0) {
                int r = -errno;
                close(fd);
                return r;
        }
        return fd;
}

static int follow_changes(Reader *reader, int watch_fd) {
        char events[4096];
        int r = 0;

        while (r >= 0) {
                r = reader->current.fd >= 0 ? drain(reader) : 0;
                while (r >= 0 && (r = advance(reader)) > 0)
                        ;
                if (r >= 0 && read(watch_fd, events, sizeof(events)) < 0 && errno != EINTR)
                        r = -errno;
        }
        return r;
}

static int read_existing(Reader *reader) {
        Generation generations[GENERATIONS];
        int r = generations_open(reader->path, generations), failed = 0;

        for (int i = GENERATIONS - 1; i >= 0 && failed >= 0; i--)
                if (generations[i].fd >= 0)
                        failed = switch_to(reader, &generations[i]);
        for (int i = 0; i < GENERATIONS; i++)
                generation_close(&generations[i]);
        return failed < 0 ? failed : r;
}

int log_tail_read(const char *path, int n, bool follow, LogTailLine line, void *userdata) {
        Reader reader = {
                .path = path,
                .current = { .fd = -1 },
                .partial = g_string_new(NULL),
                .kept = n >= 0 ? g_queue_new() : NULL,
                .n = n,
                .line = line,
                .userdata = userdata,
        };
        int watch_fd = follow ? watch(path) : -1;
        int r = follow && watch_fd < 0 ? watch_fd : read_existing(&reader);

        if (!follow && reader.partial->len > 0)
                give_line(&reader);
        give_kept(&reader);
        if (follow && watch_fd >= 0 && (r >= 0 || r == -ENOENT))
                r = follow_changes(&reader, watch_fd);

        generation_close(&reader.current);
        g_string_free(reader.partial, true);
        if (watch_fd >= 0)
                close(watch_fd);
        return r;
}
