/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What became of a session's Sends, and how long they took. Allocated with the first one: idle sessions cost a pointer.
 *
 * Times are counted in buckets that grow with the time: one for each of 0 to 3 us, then four to every doubling, so that a quantile that is
 * read from them is at most a quarter too high. Bucket 4 k + i (k from 1, i 0 to 3) holds (4 + i) 2^(k-1) us up to the next one's.
 */
#pragma once

#include <stdint.h>

#define STATISTICS_BUCKETS 108 /* the last one: from 235 s on */

typedef enum SendOutcome {
        SEND_ANSWERED,
        SEND_PLUGIN_ERROR, /* the plugin answered with an error */
        SEND_TIMED_OUT,
        SEND_FAILED, /* it was not answered at all: cancelled, the connection lost, ... */
} SendOutcome;

typedef struct Statistics {
        uint64_t answered, plugin_errors, failed; /* answered: with a result */
        uint64_t latency[STATISTICS_BUCKETS];
} Statistics;

/* USEC: from the call to the answer; USEC_INFINITY: not to be counted, it was meant to last. */
void statistics_count(Statistics **statistics, SendOutcome outcome, uint64_t usec);

unsigned statistics_bucket(uint64_t usec);
/* The first time that is too long for it; UINT64_MAX of the last one. */
uint64_t statistics_bucket_end(unsigned bucket);
