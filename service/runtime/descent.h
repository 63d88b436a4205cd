/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which run of a plugin a process descends from.
 *
 * A process whose parent has died is handed to plugind (the subreaper) with nothing that tells where it came from: it may have left
 * its process group, and its environment may be cleared or overwritten (programs that change their title do). So every run carries
 * a random mark in a place that is inherited through fork() and exec(), that nobody uses and that can be read from outside: the soft
 * RLIMIT_LOCKS, which the kernel has ignored since 2.4.25. Where that was reset, PLUGIND_INVOCATION in the environment tells the same.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#define DESCENT_INVOCATION_SIZE 33 /* 128 bits in hex, and NUL */

/* Begins a run: its PLUGIND_INVOCATION and the mark, which the caller's children inherit until descent_end_spawn(). */
uint64_t descent_begin_spawn(char invocation[DESCENT_INVOCATION_SIZE]);
void descent_end_spawn(void);

/* The mark of PID, a child of ours that has not been waited for; 0: it comes from no run. -EAGAIN: it has none in its limits, and no
 * environment either, which is so in the midst of execve(), and for one that has cleared it. */
int descent_mark(pid_t pid, uint64_t *ret);

/* The list of our children, to be kept open (so that it can be read when descriptors have run out); -1 if the kernel has none. For the
 * thread that calls, which has to be the main one. */
int descent_open_children(void);
/* Calls VISIT for every child of this process, zombies too. CHILDREN_FD may be -1. */
int descent_foreach_child(int children_fd, void (*visit)(pid_t pid, void *userdata), void *userdata);
