/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plugin-loop.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct PlugindSource {
        Loop *loop;
        ListNode node;
        void *userdata;

        uint64_t due; /* of a timer */
        PlugindCallback expired;

        int fd; /* of a watch; -1 once it is freed */
        short events;
        PlugindWatch ready;
};

typedef struct Deferred {
        PlugindCallback callback;
        void *userdata;
} Deferred;

static uint64_t now_usec(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

static PlugindSource *source_new(Loop *loop, void *userdata) {
        PlugindSource *source = calloc(1, sizeof *source);

        if (!source)
                return NULL;
        source->loop = loop;
        source->fd = -1;
        source->userdata = userdata;
        return source;
}

PlugindSource *loop_watch(Loop *loop, int fd, short events, PlugindWatch callback, void *userdata) {
        PlugindSource *source = source_new(loop, userdata);

        if (!source)
                return NULL;
        source->fd = fd;
        source->events = events;
        source->ready = callback;
        list_append(&loop->watches, &source->node);
        return source;
}

void loop_watch_set_events(PlugindSource *source, short events) {
        source->events = events;
}

PlugindSource *loop_timer(Loop *loop, uint64_t usec, PlugindCallback callback, void *userdata) {
        PlugindSource *source = source_new(loop, userdata);
        ListNode *behind = loop->timers.prev;

        if (!source)
                return NULL;
        if (__builtin_add_overflow(now_usec(), usec, &source->due))
                source->due = UINT64_MAX;
        source->expired = callback;
        while (behind != &loop->timers && list_entry(behind, PlugindSource, node)->due > source->due)
                behind = behind->prev;
        list_prepend(behind, &source->node);
        return source;
}

void loop_source_free(PlugindSource *source) {
        if (!source)
                return;
        if (source->ready && source->loop->dispatching) {
                source->fd = -1; /* loop_turn() still walks over it */
                return;
        }
        list_unlink(&source->node);
        free(source);
}

int loop_defer(Loop *loop, PlugindCallback callback, void *userdata) {
        Deferred deferred = { callback, userdata };

        g_mutex_lock(&loop->lock);
        g_array_append_val(loop->deferred, deferred);
        g_mutex_unlock(&loop->lock);
        return eventfd_write(loop->wake_fd, 1) < 0 ? -errno : 0;
}

static void run_deferred(void *userdata, int fd, short events) {
        Loop *loop = userdata;
        g_autoptr(GArray) deferred = NULL;
        eventfd_t ignored;

        (void) eventfd_read(fd, &ignored);
        g_mutex_lock(&loop->lock);
        deferred = g_steal_pointer(&loop->deferred);
        loop->deferred = g_array_new(FALSE, FALSE, sizeof(Deferred));
        g_mutex_unlock(&loop->lock);
        for (guint i = 0; i < deferred->len; i++) {
                Deferred *d = &g_array_index(deferred, Deferred, i);

                d->callback(d->userdata);
        }
}

int loop_init(Loop *loop) {
        list_init(&loop->watches);
        list_init(&loop->timers);
        g_mutex_init(&loop->lock);
        loop->deferred = g_array_new(FALSE, FALSE, sizeof(Deferred));
        loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (loop->wake_fd < 0)
                return -errno;
        return loop_watch(loop, loop->wake_fd, POLLIN, run_deferred, loop) ? 0 : -ENOMEM;
}

static void free_all(List *sources) {
        list_foreach(node, sources)
                loop_source_free(list_entry(node, PlugindSource, node));
}

void loop_done(Loop *loop) {
        free_all(&loop->watches);
        free_all(&loop->timers);
        if (loop->wake_fd >= 0)
                close(loop->wake_fd);
        g_clear_pointer(&loop->deferred, g_array_unref);
        g_mutex_clear(&loop->lock);
}

static void run_timers(Loop *loop) {
        uint64_t now = now_usec();

        for (;;) {
                PlugindSource *timer = list_first(&loop->timers, PlugindSource, node);
                PlugindCallback expired;
                void *userdata;

                if (!timer || timer->due > now)
                        return;
                expired = timer->expired;
                userdata = timer->userdata;
                loop_source_free(timer);
                expired(userdata);
        }
}

static int wait_for(Loop *loop, struct pollfd *fds, nfds_t n_fds) {
        PlugindSource *timer = list_first(&loop->timers, PlugindSource, node);
        struct timespec timeout = {};

        if (timer) {
                uint64_t now = now_usec(), left = timer->due > now ? timer->due - now : 0;

                timeout.tv_sec = (time_t) (left / 1000000);
                timeout.tv_nsec = (long) (left % 1000000) * 1000;
        }
        return ppoll(fds, n_fds, timer ? &timeout : NULL, NULL) < 0 ? -errno : 0;
}

/* Those that are added meanwhile stand behind the ones that FDS was made for. */
static void run_watches(Loop *loop, const struct pollfd *fds, nfds_t n_fds) {
        ListNode *node = loop->watches.next;

        loop->dispatching = true;
        for (nfds_t i = 0; i < n_fds; i++, node = node->next) {
                PlugindSource *source = list_entry(node, PlugindSource, node);

                if (fds[i].fd >= 0 && fds[i].revents && source->fd == fds[i].fd)
                        source->ready(source->userdata, source->fd, fds[i].revents);
        }
        loop->dispatching = false;
        list_foreach(old, &loop->watches) {
                PlugindSource *source = list_entry(old, PlugindSource, node);

                if (source->fd < 0)
                        loop_source_free(source);
        }
}

int loop_turn(Loop *loop) {
        g_autofree struct pollfd *fds = NULL;
        nfds_t n_fds = 0;
        int r;

        list_foreach(node, &loop->watches)
                n_fds++;
        fds = g_new(struct pollfd, n_fds);
        n_fds = 0;
        list_foreach(node, &loop->watches) {
                PlugindSource *source = list_entry(node, PlugindSource, node);

                fds[n_fds++] = (struct pollfd){ .fd = source->events ? source->fd : -1, .events = source->events };
        }
        r = wait_for(loop, fds, n_fds);
        if (r == -EINTR)
                return 0;
        if (r < 0)
                return r;
        run_watches(loop, fds, n_fds);
        run_timers(loop);
        return 0;
}
