/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The loop of a plugin: descriptors, timers that fire once, and calls deferred from any thread. */
#pragma once

#include "basic/list.h"

#include <glib.h>
#include <plugind-plugin.h>

typedef struct Loop {
        List watches, timers; /* of PlugindSource; timers are sorted by when they are due */
        bool dispatching;     /* then sources are freed afterwards */

        GMutex lock; /* guards `deferred` */
        GArray *deferred;
        int wake_fd;
} Loop;

int loop_init(Loop *loop);
void loop_done(Loop *loop);

PlugindSource *loop_watch(Loop *loop, int fd, short events, PlugindWatch callback, void *userdata);
void loop_watch_set_events(PlugindSource *source, short events); /* 0: none, not even that the other end is gone */
PlugindSource *loop_timer(Loop *loop, uint64_t usec, PlugindCallback callback, void *userdata);
int loop_defer(Loop *loop, PlugindCallback callback, void *userdata);
void loop_source_free(PlugindSource *source);

/* Waits until something happens and calls back for all that did. */
int loop_turn(Loop *loop);
