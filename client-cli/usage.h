/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the processes of a plugin use. Of a unit systemd knows it, on the same bus as plugind (also on other machines); where it does not
 * account, and of plugins that are plugind's own children, /proc does, on this machine.
 */
#pragma once

#include "ctl.h"

#define USAGE_UNKNOWN UINT64_MAX

typedef struct Usage {
        const char *unit; /* "": none */
        pid_t pid;        /* of the main process; 0: nothing runs */
        uint64_t memory;  /* bytes */
        uint64_t tasks;   /* processes and threads */
        uint64_t cpu_nsec;
} Usage;

typedef struct UsageQuery UsageQuery;

/* Fills in all USAGES, which must stay until then; DONE is called when that is done, or has been before this returns. */
UsageQuery *usage_ask(Ctl *ctl, GPtrArray *usages, void (*done)(void *userdata), void *userdata);
/* No answer may come any more: it is done, or the bus is closed. */
UsageQuery *usage_query_free(UsageQuery *query);

/* One, waited for. */
void usage_get(Ctl *ctl, Usage *usage);
