/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What plugind counts of sessions (Host.GetStatistics), and what becomes of it between two looks. */
#pragma once

#include "usage.h"

typedef struct LatencyBucket {
        uint64_t below_usec; /* UINT64_MAX: the rest */
        uint64_t count;
} LatencyBucket;

typedef struct Figures {
        char *id, *state, *unit;
        uint64_t restarts, in_flight;
        uint64_t answered, plugin_errors, failed;
        GArray *latency; /* of LatencyBucket, ascending */
        Usage usage;     /* its unit and pid are filled in */
} Figures;

/* Appends the options (of session ID only, unless NULL) and reads the answer: a GPtrArray of Figures. 0 or -errno. */
int figures_options(sd_bus_message *message, const char *id);
int figures_read(sd_bus_message *reply, GPtrArray **ret);

/* Of the session ID. NULL if there are none to be had, as of a plugind that is older. Nothing is told. */
Figures *figures_get(Ctl *ctl, const char *id);
Figures *figures_free(Figures *figures);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Figures, figures_free)

/* Sends that have ended. */
static inline uint64_t figures_calls(const Figures *figures) {
        return figures->answered + figures->plugin_errors + figures->failed;
}

/* Within what time a PART of the Sends was answered that came between BEFORE (NULL: all there ever were) and NOW. 0: there were none. */
uint64_t figures_latency(const Figures *before, const Figures *now, double part);
