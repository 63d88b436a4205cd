/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Says when there has been nothing to do for some time, so that the daemon may leave. Costs nothing while there is. */
#pragma once

#include "basic/deadline.h"

typedef struct IdleExit IdleExit;

typedef struct IdleExitConfig {
        sd_event *event;
        Deadlines *deadlines;
        uint64_t usec;                /* for so long nothing was there and nothing happened; at most twice that after something was */
        bool (*busy)(void *userdata); /* something is there: asked once in USEC */
        void (*idle)(void *userdata); /* called once */
        void *userdata;
} IdleExitConfig;

int idle_exit_new(const IdleExitConfig *config, IdleExit **ret);
IdleExit *idle_exit_free(IdleExit *idle_exit);
