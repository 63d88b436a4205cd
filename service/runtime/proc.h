/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What /proc tells of processes (proc(5)). Its files are made as they are read, so reading them waits for nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A file of at most 256 KiB, what is beyond is left out; newly allocated, with a NUL behind its SIZE bytes. NULL if it cannot be read. */
char *proc_read(const char *path, size_t *size);
char *proc_read_fd(int fd, size_t *size);

/* When PID began, in clock ticks since the machine did: with its number that is one process and no other. -ESRCH. */
int proc_start_time(pid_t pid, uint64_t *ret);
/* Is PID in the control group of the service manager's UNIT? */
bool proc_is_in_unit(pid_t pid, const char *unit);
