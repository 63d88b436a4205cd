/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* plugind's side of launch.h. */
#pragma once

#include "runtime/launch.h"
#include "runtime/runtime.h"

typedef struct Launch {
        int control; /* for fd 0 of the unit, with the hello waiting in it */
        int status;  /* does not block */
        int in, out; /* of the plugin, as in UnitEvents.started */
} Launch;

#define LAUNCH_INIT ((Launch){ -1, -1, -1, -1 })

/* FLAGS: what must hold, LAUNCH_CHECK_*. -errno: nothing is open. */
int launch_open(const UnitSpec *spec, uint32_t flags, Launch *ret);
void launch_close(Launch *launch);

/* The next word of the launcher: 1, and *pid is its pid in our namespace (the kernel's word). 0: its end. -EAGAIN: not yet.
 * *text is newly allocated, valid UTF-8. */
int launch_receive(const Launch *launch, LaunchOutcome *outcome, char **text, pid_t *pid);
/* Lets the plugin's code run. */
int launch_go(const Launch *launch);
