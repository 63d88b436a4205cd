/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How the daemon ends: it stops its plugins, or hands them over to the next daemon (design.md 8).
 *
 * A hand-over holds everything that can wait, releases the name, and goes on until all that was asked is answered, for DRAIN_USEC at most. Callers
 * queue in the bus from the release on. Where there is nobody to hand over to, plugins are stopped instead.
 */
#pragma once

#include "bus/bus.h"
#include "store/store.h"

#include <stdbool.h>

typedef struct Leave Leave;

typedef struct LeaveConfig {
        sd_event *event;
        Deadlines *deadlines;
        sd_bus *sd_bus;
        Bus *bus;
        Host *host;
        Store *store; /* NULL: nothing can be handed over */
        Arena *arena;
        Runtime *runtime; /* NULL: none */
        bool user;
} LeaveConfig;

/* Everything CONFIG points to must outlive it. */
int leave_new(const LeaveConfig *config, Leave **ret);
Leave *leave_free(Leave *leave);

/* The name on the bus is ours, and is to be released. */
void leave_named(Leave *leave);
bool leave_has_begun(const Leave *leave);

/* Each ends in sd_event_exit(), some time. */

/* SIGTERM: a hand-over, unless systemd says that it wants a stop. The exit status is EX_TEMPFAIL if it does not want anything. */
void leave_terminate(Leave *leave);
/* Plugins are stopped, also while they are being handed over. */
void leave_stop(Leave *leave);
/* A hand-over, since nothing is loaded. The exit status is EX_TEMPFAIL if in the end there is something that wants another daemon. */
void leave_idle(Leave *leave);
/* The name was taken away: a hand-over, or a stop, and EXIT_FAILURE ... */
void leave_without_name(Leave *leave);
/* ... or the whole bus is gone, so that nobody can be answered. */
void leave_without_bus(Leave *leave);

/* Without a word, for when there is no loop to say it in: what was restored, or runs, is left to another daemon, if one can take it. */
void leave_at_once(Leave *leave);
