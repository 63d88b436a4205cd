/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What /proc tells of processes of this machine. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Its name, newly allocated; NULL: there is no such process, or none that may be seen. */
char *process_name(pid_t pid);

/* All processes, as they are now. */
typedef struct ProcessTable ProcessTable;
ProcessTable *process_table_new(void);
ProcessTable *process_table_free(ProcessTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProcessTable, process_table_free)

typedef struct ProcessFigures {
        uint64_t memory; /* resident, in bytes */
        uint64_t tasks;
        uint64_t cpu_nsec; /* their own, and that of children who have ended */
} ProcessFigures;

/* Of all processes in the control group of UNIT, or, where there is none ("") or it cannot be read, of PID and its descendants.
 * False: there is no such process. */
bool process_table_find(const ProcessTable *table, pid_t pid, const char *unit, ProcessFigures *ret);
