/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What plugind and plugind-exec, the launcher inside a plugin's unit, say to each other. No GLib here: the launcher is static.
 *
 * The unit's fd 0 is one end of a SOCK_SEQPACKET pair in which one message waits: a LaunchHello with the descriptors
 * LAUNCH_FD_*. Process 1 keeps that socket as long as the unit lives, so nothing depends on its end. All else goes over the
 * status socket (SOCK_SEQPACKET, LAUNCH_FD_STATUS), which the launcher marks close-on-exec: its end without a word after the go
 * means that the plugin's own code runs.
 *
 *   launcher                                  plugind
 *   takes the hello from fd 0
 *   checks the demanded sandbox
 *   LAUNCH_READY ------------------------->   (the kernel's SCM_CREDENTIALS tell its pid) opens a pidfd
 *                <-------------------------   one byte: go
 *   execs; end of the status socket ------>   started
 *
 * or LAUNCH_UNSANDBOXED or LAUNCH_FAILED with a text, after which it exits with LAUNCH_EXIT_STATUS. A socket that ends instead of the
 * go: it exits too.
 */
#pragma once

#include <stdint.h>

#define LAUNCH_MAGIC 0x646c7031u
#define LAUNCH_TEXT_MAX 4096
/* As systemd's own of a failed exec (EXIT_EXEC). */
#define LAUNCH_EXIT_STATUS 203

/* In this order; with LAUNCH_ONE_SOCKET without LAUNCH_FD_OUT. */
enum { LAUNCH_FD_SPEC, LAUNCH_FD_STATUS, LAUNCH_FD_IN, LAUNCH_FD_OUT, _LAUNCH_FD_MAX };

typedef enum LaunchFlags {
        LAUNCH_ONE_SOCKET = 1 << 0, /* LAUNCH_FD_IN is fd 0 and fd 1 */
        /* What must be true inside; each is one check of launcher/check.c. */
        LAUNCH_CHECK_NO_NEW_PRIVILEGES = 1 << 8,
        LAUNCH_CHECK_CAPABILITIES = 1 << 9, /* none, in no set */
        LAUNCH_CHECK_UID = 1 << 10,         /* not root's, not the daemon's, and nobody else's processes to be seen */
        LAUNCH_CHECK_SECCOMP = 1 << 11,     /* a filter is there and filters */
        LAUNCH_CHECK_NAMESPACES = 1 << 12,  /* mount, IPC and user namespaces of its own, and no further ones to be had */
        LAUNCH_CHECK_NETWORK = 1 << 13,     /* a network namespace of its own with nothing but lo */
        LAUNCH_CHECK_FILES = 1 << 14,       /* read-only but for what LaunchSpec names; private /tmp and /dev; no homes; kernel
                                                 interfaces protected */
        LAUNCH_CHECK_SOCKETS = 1 << 15,     /* no AF_UNIX, and bus, journal and notify sockets out of reach */
        _LAUNCH_CHECK_ALL = 0xff << 8,
} LaunchFlags;

typedef struct LaunchHello {
        uint32_t magic, flags; /* LaunchFlags */
} LaunchHello;

/* Start of LAUNCH_FD_SPEC, a sealed memfd. After it `size` bytes of strings, each with its NUL: the command, the working directory,
 * then n_args (with argv[0]), n_env, n_writable, n_readable. Paths are as the plugin sees them; links in them are followed. */
typedef struct LaunchSpec {
        uint32_t size, n_args, n_env, n_writable; /* n_writable: paths at and below which the plugin may write, and devices it may have */
        uint32_t uid;                             /* the daemon's */
        uint64_t net_ns, ipc_ns, user_ns, mnt_ns; /* the daemon's own, st_ino of /proc/self/ns/... */
        uint32_t n_readable;                      /* paths below homes that the plugin may see */
} LaunchSpec;

typedef enum LaunchOutcome {
        LAUNCH_READY,
        LAUNCH_UNSANDBOXED, /* text: what is missing, one sentence */
        LAUNCH_FAILED,      /* text: what failed, with the errno's text */
} LaunchOutcome;

typedef struct LaunchReport {
        uint32_t outcome;
        char text[LAUNCH_TEXT_MAX]; /* the message ends where it ends; without NUL */
} LaunchReport;
