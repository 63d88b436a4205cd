/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All of the daemon's timers in one heap behind one sd-event source.
 *
 * Every Send has a deadline that almost never passes. An sd-event source each, or one re-armed to the earliest
 * deadline, would cost a timerfd_settime() for every Send; so the source is re-armed only when an earlier
 * deadline than the armed one comes, and wakes once in vain when the deadline it was armed for is gone.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#define USEC_PER_SEC UINT64_C(1000000)
#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_INFINITY UINT64_MAX

typedef struct Deadlines Deadlines;
typedef struct Deadline Deadline;

struct Deadline {
        uint64_t usec;                /* CLOCK_MONOTONIC, absolute */
        unsigned index;               /* place in the heap plus one; 0: not armed */
        void (*expired)(Deadline *d); /* already disarmed when called; may re-arm or free itself */
};

int deadlines_new(sd_event *event, Deadlines **ret);
Deadlines *deadlines_free(Deadlines *deadlines); /* none may be armed any more */

/* Microseconds of CLOCK_MONOTONIC, taken once per turn of the loop. */
uint64_t deadlines_now(Deadlines *deadlines);

/* Arms or moves. USEC is relative to now; USEC_INFINITY disarms. EXPIRED must be set. */
void deadline_arm(Deadlines *deadlines, Deadline *d, uint64_t usec_from_now);
void deadline_disarm(Deadlines *deadlines, Deadline *d);

static inline bool deadline_armed(const Deadline *d) {
        return d->index > 0;
}
