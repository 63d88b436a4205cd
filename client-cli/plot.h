/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A time line of sessions as an SVG picture: their states as bars, crashes and restarts as marks. */
#pragma once

#include <glib.h>
#include <stdint.h>

typedef struct PlotChange {
        uint64_t usec; /* CLOCK_REALTIME */
        char *new_state, *old_state, *reason;
        int exit_status; /* -1: none */
        int signal;      /* 0: none */
} PlotChange;

typedef struct PlotSession {
        char *id;
        GArray *changes; /* of PlotChange, in order */
} PlotSession;

PlotSession *plot_session_new(const char *id);
PlotSession *plot_session_free(PlotSession *session);
void plot_session_add(PlotSession *session, const PlotChange *change); /* copies */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PlotSession, plot_session_free)

typedef struct PlotRange {
        uint64_t since_usec; /* 0: from the first change on */
        uint64_t until_usec; /* now */
} PlotRange;

/* Appends the picture of SESSIONS (of PlotSession *). WHERE: whose plugind it is, for the title. N_LEFT_OUT: how many more there are, of
 * which there is nothing to show. */
void plot_append(GString *out, GPtrArray *sessions, const PlotRange *range, const char *where, unsigned n_left_out);

/* How far apart ticks are that are at least N_MAX to SPAN; one that people count in. */
uint64_t plot_step(uint64_t span_usec, unsigned n_max);
