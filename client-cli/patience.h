/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Waiting for plugind while it restarts: the bus keeps calls until it is back, which can take ten seconds when it waits for plugins. Where nobody has had its name
 * for a second, systemd is asked what plugind.service is doing, and that is told on stderr, once.
 */
#pragma once

#include "ctl.h"

#include <systemd/sd-event.h>

typedef struct Patience {
        Ctl *ctl;
        sd_bus_slot *match, *question;
        sd_event_source *timer; /* NULL: patience_wait() does it */
        uint64_t due_usec;      /* CLOCK_MONOTONIC; USEC_INFINITY: nothing is to be done */
} Patience;

/* From now on an answer is waited for on CTL's connection. PATIENCE must stay where it is until patience_end(). Says nothing with --quiet. */
void patience_begin(Patience *patience, Ctl *ctl);
void patience_end(Patience *patience);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Patience, patience_end)

/* Where a loop runs: it looks after it. 0 or -errno. */
int patience_attach(Patience *patience, sd_event *event);
/* Elsewhere: deals with what has come on the connection, or waits for it. 0 or more, or -errno when there is no connection any more. */
int patience_wait(Patience *patience);
