/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The daemon: owns event loop, bus, host and what is remembered or handed over; start-up order, reload. */
#pragma once

#include "basic/log.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct Daemon Daemon;

typedef enum RuntimeChoice { RUNTIME_AUTO, RUNTIME_LOCAL, RUNTIME_SYSTEMD, RUNTIME_NONE } RuntimeChoice;

typedef struct DaemonConfig {
        bool user; /* the session bus of one user; else the system bus */
        RuntimeChoice runtime;
        const char *state_dir; /* NULL: /var/lib/plugind, or $XDG_STATE_HOME/plugind with `user` */
        LogTarget log_target;
        uint64_t exit_idle_usec; /* leave when nothing was loaded for so long; 0: never */
} DaemonConfig;

/* SIGCHLD, SIGHUP, SIGINT and SIGTERM must be blocked. What fails is logged. */
int daemon_new(const DaemonConfig *config, Daemon **ret);
Daemon *daemon_free(Daemon *daemon);

/* Connects, takes over what the daemon before left, loads what is remembered, and takes the name when all is ready to be called. -EEXIST if another has it. */
int daemon_start(Daemon *daemon);
/* Serves until told to stop or to hand over, or for no longer than something is loaded (leave.h). Returns the exit status. */
int daemon_loop(Daemon *daemon);
