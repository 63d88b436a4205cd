/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/launch-host.h"

#include "runtime/stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t own_namespace(const char *name) {
        g_autofree char *path = g_strconcat("/proc/self/ns/", name, NULL);
        struct stat st;

        return stat(path, &st) < 0 ? 0 : st.st_ino;
}

static uint32_t add_strings(GByteArray *bytes, char *const *strings) {
        uint32_t n = 0;

        for (; strings && *strings; strings++, n++)
                g_byte_array_append(bytes, (const guint8 *) *strings, (guint) strlen(*strings) + 1);
        return n;
}

static GByteArray *pack(const UnitSpec *spec) {
        char *start[] = { (char *) spec->command, (char *) (spec->cwd ?: "/"), (char *) spec->command, NULL }; /* and argv[0] */
        char *data_dir[] = { (char *) spec->data_dir, NULL };
        GByteArray *bytes = g_byte_array_new();
        LaunchSpec header = {
                .uid = geteuid(),
                .net_ns = own_namespace("net"),
                .ipc_ns = own_namespace("ipc"),
                .user_ns = own_namespace("user"),
                .mnt_ns = own_namespace("mnt"),
        };

        g_byte_array_append(bytes, (const guint8 *) &header, sizeof(header));
        (void) add_strings(bytes, start);
        header.n_args = 1 + add_strings(bytes, spec->args);
        header.n_env = add_strings(bytes, spec->env);
        header.n_writable = add_strings(bytes, data_dir) + add_strings(bytes, spec->sandbox->read_write_paths) +
                            add_strings(bytes, spec->sandbox->devices);
        header.n_readable = add_strings(bytes, spec->sandbox->read_only_paths);
        header.size = bytes->len - (guint) sizeof(header);
        memcpy(bytes->data, &header, sizeof(header));
        return bytes;
}

/* Strings of a manifest are bounded (MANIFEST_SIZE_MAX), so the memory takes them whole. */
static int open_spec(const UnitSpec *spec) {
        g_autoptr(GByteArray) bytes = pack(spec);
        int fd = memfd_create("plugind-launch", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        int r;

        if (fd < 0)
                return -errno;
        if (write(fd, bytes->data, bytes->len) == (ssize_t) bytes->len &&
            fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0)
                return fd;
        r = errno > 0 ? -errno : -EIO;
        close(fd);
        return r;
}

static int send_hello(int control, uint32_t flags, const int *fds, size_t n_fds) {
        LaunchHello hello = { LAUNCH_MAGIC, flags };
        union {
                char bytes[CMSG_SPACE(_LAUNCH_FD_MAX * sizeof(int))];
                struct cmsghdr align;
        } buffer = {};
        struct msghdr message = {
                .msg_iov = &(struct iovec){ &hello, sizeof(hello) },
                .msg_iovlen = 1,
                .msg_control = buffer.bytes,
                .msg_controllen = CMSG_SPACE(n_fds * sizeof(int)),
        };
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);

        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(header), fds, n_fds * sizeof(int));
        return sendmsg(control, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* The kernel's word on who writes (SCM_CREDENTIALS) is asked for before anybody can. */
static int open_status(int ends[2]) {
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
                return -errno;
        if (setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &(int){ 1 }, sizeof(int)) < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
                return -errno;
        return 0;
}

int launch_open(const UnitSpec *spec, uint32_t flags, Launch *ret) {
        int control[2] = { -1, -1 }, status[2] = { -1, -1 }, memory = open_spec(spec), r = memory;
        Stdio stdio = STDIO_INIT;

        if (r >= 0)
                r = stdio_open(&stdio, spec->socket_stdio, false);
        if (r >= 0)
                r = open_status(status);
        if (r >= 0)
                r = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) < 0 ? -errno : 0;
        if (r >= 0) {
                int fds[_LAUNCH_FD_MAX] = { memory, status[1], stdio.child_in, stdio.child_out };

                r = send_hello(control[0], flags | (spec->socket_stdio ? LAUNCH_ONE_SOCKET : 0), fds,
                               spec->socket_stdio ? LAUNCH_FD_OUT : _LAUNCH_FD_MAX);
        }
        close_pair(memory, status[1]);
        close_pair(control[0], -1); /* what was sent stays in the other end */
        stdio_close_child(&stdio);
        if (r < 0) {
                close_pair(control[1], status[0]);
                stdio_close(&stdio);
                return r;
        }
        *ret = (Launch){ control[1], status[0], stdio.in, stdio.out };
        return 0;
}

void launch_close(Launch *launch) {
        close_pair(launch->control, launch->status);
        close_pair(launch->in, launch->out);
        *launch = LAUNCH_INIT;
}

static pid_t sender(struct msghdr *message) {
        struct ucred credentials = {};

        for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header))
                if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_CREDENTIALS)
                        memcpy(&credentials, CMSG_DATA(header), sizeof(credentials));
        return credentials.pid;
}

int launch_receive(const Launch *launch, LaunchOutcome *outcome, char **text, pid_t *pid) {
        LaunchReport report;
        union {
                char bytes[CMSG_SPACE(sizeof(struct ucred))];
                struct cmsghdr align;
        } buffer = {};
        struct msghdr message = {
                .msg_iov = &(struct iovec){ &report, sizeof(report) },
                .msg_iovlen = 1,
                .msg_control = buffer.bytes,
                .msg_controllen = sizeof(buffer.bytes),
        };
        ssize_t n = recvmsg(launch->status, &message, MSG_CMSG_CLOEXEC);

        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? -EAGAIN : 0;
        if (n == 0)
                return 0;
        *pid = sender(&message);
        if (n < (ssize_t) offsetof(LaunchReport, text) || *pid <= 0) {
                *outcome = LAUNCH_FAILED;
                *text = g_strdup("the launcher does not speak as expected");
                return 1;
        }
        *outcome = (LaunchOutcome) report.outcome;
        *text = g_utf8_make_valid(report.text, n - (ssize_t) offsetof(LaunchReport, text));
        return 1;
}

int launch_go(const Launch *launch) {
        return send(launch->status, "", 1, MSG_NOSIGNAL) < 0 ? -errno : 0;
}
