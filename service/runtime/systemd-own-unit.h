/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The unit of systemd's that we are: asked when we are told to end, since a stop, a restart and a plain kill are one signal. */
#pragma once

#include <stdbool.h>

struct sd_bus;

typedef struct OwnUnit OwnUnit;

typedef enum OwnJob {
        OWN_JOB_NONE,    /* systemd wants nothing of us: somebody sent a signal */
        OWN_JOB_STOP,    /* stop, or whatever else does not end with us running */
        OWN_JOB_RESTART, /* restart, or a start that waits for our end */
        OWN_JOB_UNKNOWN, /* we are no unit, or systemd does not say */
} OwnJob;

/* ANSWERED is called once, from the loop, within a second; not after own_unit_free(). Never blocks. */
int own_unit_ask(struct sd_bus *bus, bool user, void (*answered)(OwnJob job, void *userdata), void *userdata, OwnUnit **ret);
OwnUnit *own_unit_free(OwnUnit *own_unit);
