/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/deadline.h"

#include <errno.h>
#include <glib.h>
#include <time.h>

/* sd-event may be this late, so that wake-ups near each other become one. */
#define ACCURACY_USEC (USEC_PER_MSEC)

struct Deadlines {
        sd_event *event;
        sd_event_source *source;
        uint64_t armed_for; /* USEC_INFINITY: the source is off */
        GPtrArray *heap;    /* of Deadline, the earliest first; children of i are 2i+1 and 2i+2 */
};

static Deadline *heap_get(Deadlines *deadlines, unsigned i) {
        return g_ptr_array_index(deadlines->heap, i);
}

static void heap_put(Deadlines *deadlines, unsigned i, Deadline *d) {
        g_ptr_array_index(deadlines->heap, i) = d;
        d->index = i + 1;
}

static void heap_sift(Deadlines *deadlines, unsigned i) {
        Deadline *d = heap_get(deadlines, i);

        while (i > 0 && heap_get(deadlines, (i - 1) / 2)->usec > d->usec) {
                heap_put(deadlines, i, heap_get(deadlines, (i - 1) / 2));
                i = (i - 1) / 2;
        }
        for (;;) {
                unsigned child = 2 * i + 1;

                if (child + 1 < deadlines->heap->len && heap_get(deadlines, child + 1)->usec < heap_get(deadlines, child)->usec)
                        child++;
                if (child >= deadlines->heap->len || heap_get(deadlines, child)->usec >= d->usec)
                        break;
                heap_put(deadlines, i, heap_get(deadlines, child));
                i = child;
        }
        heap_put(deadlines, i, d);
}

uint64_t deadlines_now(Deadlines *deadlines) {
        uint64_t usec = 0;

        /* Before the loop has turned once this is the current time. */
        (void) sd_event_now(deadlines->event, CLOCK_MONOTONIC, &usec);
        return usec;
}

static void deadlines_rearm(Deadlines *deadlines) {
        uint64_t first = deadlines->heap->len > 0 ? heap_get(deadlines, 0)->usec : USEC_INFINITY;

        if (first >= deadlines->armed_for)
                return;
        deadlines->armed_for = first;
        (void) sd_event_source_set_time(deadlines->source, first);
        (void) sd_event_source_set_enabled(deadlines->source, SD_EVENT_ONESHOT);
}

static int deadlines_dispatch(sd_event_source *source, uint64_t usec, void *userdata) {
        Deadlines *deadlines = userdata;
        uint64_t now = deadlines_now(deadlines);

        deadlines->armed_for = USEC_INFINITY;
        while (deadlines->heap->len > 0 && heap_get(deadlines, 0)->usec <= now) {
                Deadline *d = heap_get(deadlines, 0);

                deadline_disarm(deadlines, d);
                d->expired(d);
        }
        deadlines_rearm(deadlines);
        return 0;
}

int deadlines_new(sd_event *event, Deadlines **ret) {
        Deadlines *deadlines = g_new0(Deadlines, 1);
        int r;

        deadlines->event = sd_event_ref(event);
        deadlines->heap = g_ptr_array_new();
        deadlines->armed_for = USEC_INFINITY;
        r = sd_event_add_time(event, &deadlines->source, CLOCK_MONOTONIC, USEC_INFINITY, ACCURACY_USEC, deadlines_dispatch, deadlines);
        if (r < 0) {
                deadlines_free(deadlines);
                return r;
        }
        (void) sd_event_source_set_description(deadlines->source, "deadlines");
        *ret = deadlines;
        return 0;
}

Deadlines *deadlines_free(Deadlines *deadlines) {
        if (!deadlines)
                return NULL;
        g_assert(deadlines->heap->len == 0);
        sd_event_source_disable_unref(deadlines->source);
        sd_event_unref(deadlines->event);
        g_ptr_array_free(deadlines->heap, TRUE);
        g_free(deadlines);
        return NULL;
}

void deadline_arm(Deadlines *deadlines, Deadline *d, uint64_t usec_from_now) {
        uint64_t now;

        g_assert(d->expired);
        if (usec_from_now == USEC_INFINITY) {
                deadline_disarm(deadlines, d);
                return;
        }
        now = deadlines_now(deadlines);
        d->usec = usec_from_now < USEC_INFINITY - now ? now + usec_from_now : USEC_INFINITY - 1;
        if (!deadline_armed(d)) {
                g_ptr_array_add(deadlines->heap, d);
                d->index = deadlines->heap->len;
        }
        heap_sift(deadlines, d->index - 1);
        deadlines_rearm(deadlines);
}

void deadline_disarm(Deadlines *deadlines, Deadline *d) {
        unsigned i = d->index;
        Deadline *last;

        if (i == 0)
                return;
        d->index = 0;
        last = g_ptr_array_remove_index(deadlines->heap, deadlines->heap->len - 1);
        if (last != d) {
                heap_put(deadlines, i - 1, last);
                heap_sift(deadlines, i - 1);
        }
}
