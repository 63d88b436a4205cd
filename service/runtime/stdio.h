/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pipes, or the one socket pair, between plugind and a plugin. */
#pragma once

#include <stdbool.h>

typedef struct Stdio {
        int in, out, log;                   /* ours, not blocking; in and out may be one; log may be -1 */
        int child_in, child_out, child_log; /* the plugin's; child_in and child_out may be one */
} Stdio;

#define STDIO_INIT ((Stdio){ -1, -1, -1, -1, -1, -1 })

/* ONE_SOCKET: a socket pair for both directions; LOG: with a pipe for stderr. *stdio is closed again when it fails with -errno. */
int stdio_open(Stdio *stdio, bool one_socket, bool log);
void stdio_close_child(Stdio *stdio);
void stdio_close(Stdio *stdio);

/* Closes both, if they are descriptors, and one only once. */
void close_pair(int one, int other);
