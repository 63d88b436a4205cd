/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

void close_pair(int one, int other) {
        if (one >= 0)
                close(one);
        if (other >= 0 && other != one)
                close(other);
}

void stdio_close_child(Stdio *stdio) {
        close_pair(stdio->child_in, stdio->child_out);
        close_pair(stdio->child_log, -1);
        stdio->child_in = stdio->child_out = stdio->child_log = -1;
}

void stdio_close(Stdio *stdio) {
        stdio_close_child(stdio);
        close_pair(stdio->in, stdio->out);
        close_pair(stdio->log, -1);
        *stdio = STDIO_INIT;
}

/* OURS does not block, THEIRS does. */
static int open_pipe(int *read_end, int *write_end, int *ours) {
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        *read_end = fds[0];
        *write_end = fds[1];
        return fcntl(*ours, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int open_socket(Stdio *stdio) {
        int fds[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;
        stdio->in = stdio->out = fds[0];
        stdio->child_in = stdio->child_out = fds[1];
        return fcntl(stdio->in, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

int stdio_open(Stdio *stdio, bool one_socket, bool log) {
        int r;

        *stdio = STDIO_INIT;
        if (one_socket)
                r = open_socket(stdio);
        else {
                r = open_pipe(&stdio->child_in, &stdio->out, &stdio->out);
                if (r == 0)
                        r = open_pipe(&stdio->in, &stdio->child_out, &stdio->in);
        }
        if (r == 0 && log)
                r = open_pipe(&stdio->log, &stdio->child_log, &stdio->log);
        if (r < 0)
                stdio_close(stdio);
        return r;
}
