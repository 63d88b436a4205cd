/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What /proc tells of a process of this machine. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* Its name, newly allocated; NULL: there is no such process, or none that may be seen. */
char *process_name(pid_t pid);
/* Resident memory in bytes; 0: not known. */
uint64_t process_memory(pid_t pid);
