/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Child processes of a test, and what can be seen of them. Everything a test starts dies with it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Starts ARGV (ENVP NULL: our own environment), with stdout and stderr to OUTPUT_FD (-1: ours). KEEP_FD (-1: none) is inherited under its own
 * number. The child gets SIGKILL when the thread that started it ends. -errno, also when it cannot be executed. */
pid_t process_start(char *const *argv, char *const *envp, int output_fd, int keep_fd);

/* The same, as systemd would start it with FDS, whose NAMES have colons between (sd_listen_fds_with_names()). They stay ours. */
pid_t process_start_passing(char *const *argv, char *const *envp, int output_fd, const int *fds, size_t n_fds, const char *names);

/* Waits for the end of PID; its wait status, or -ETIME. */
int process_wait(pid_t pid, uint64_t timeout_usec);
/* SIGKILL, and waits. */
void process_kill(pid_t pid);

/* Open descriptors, and children (zombies too) of PID; negative errno. */
int process_count_fds(pid_t pid);
int process_count_children(pid_t pid);
/* The children of PID, 0-terminated; to be freed with g_free(). */
pid_t *process_children(pid_t pid);

/* A new folder below $TMPDIR, mode 0755, and its end with all that is in it. */
char *temporary_folder_new(void);
void temporary_folder_free(char *path);
