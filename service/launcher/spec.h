/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What plugind told the launcher: the hello on fd 0, and the sealed memfd that came with it. All of it is checked before use. */
#pragma once

#include "runtime/launch.h"

#include <stdbool.h>
#include <stddef.h>

/* Far above what the kernel lets an execve() have. */
#define SPEC_SIZE_MAX (64 * 1024 * 1024)

typedef struct Spec {
        const LaunchSpec *head;
        const char *command, *cwd;
        char **args, **env, **writable, **readable; /* NULL-terminated */
} Spec;

/* Takes the hello that waits in SOCKET. 0, or -1 with a sentence in *why. */
int hello_receive(int socket, LaunchHello *hello, int fds[_LAUNCH_FD_MAX], const char **why);

/* Reads FD, which must be sealed. What is returned lives as long as the process. 0, or -1 with a sentence in *why. */
int spec_read(int fd, Spec *ret, const char **why);

/* The same of bytes in memory: SIZE is their number. What is returned points into them. */
int spec_parse(const void *data, size_t size, Spec *ret, const char **why);
void spec_clear(Spec *spec);
