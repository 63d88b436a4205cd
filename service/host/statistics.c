/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/statistics.h"

#include "basic/deadline.h"

#include <glib.h>

unsigned statistics_bucket(uint64_t usec) {
        unsigned exponent, bucket;

        if (usec < 4)
                return (unsigned) usec;
        exponent = 63 - (unsigned) __builtin_clzll(usec);
        bucket = 4 * (exponent - 1) + ((unsigned) (usec >> (exponent - 2)) & 3);
        return MIN(bucket, STATISTICS_BUCKETS - 1);
}

uint64_t statistics_bucket_end(unsigned bucket) {
        unsigned next = bucket + 1;

        if (next >= STATISTICS_BUCKETS)
                return UINT64_MAX;
        return next < 4 ? next : (uint64_t) (4 + next % 4) << (next / 4 - 1);
}

void statistics_count(Statistics **statistics, SendOutcome outcome, uint64_t usec) {
        Statistics *s = *statistics;

        if (!s)
                s = *statistics = g_new0(Statistics, 1);
        if (outcome == SEND_ANSWERED)
                s->answered++;
        else if (outcome == SEND_PLUGIN_ERROR)
                s->plugin_errors++;
        else
                s->failed++;
        if (outcome != SEND_FAILED && usec != USEC_INFINITY)
                s->latency[statistics_bucket(usec)]++;
}
