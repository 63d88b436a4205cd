/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "launcher/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int refuse(const char **why, const char *text) {
        *why = text;
        return -1;
}

static int take_descriptors(struct msghdr *message, int fds[_LAUNCH_FD_MAX]) {
        int n = 0;

        for (int i = 0; i < _LAUNCH_FD_MAX; i++)
                fds[i] = -1;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;
                n = (int) ((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
                memcpy(fds, CMSG_DATA(c), (size_t) n * sizeof(int));
        }
        return n;
}

int hello_receive(int socket, LaunchHello *hello, int fds[_LAUNCH_FD_MAX], const char **why) {
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(_LAUNCH_FD_MAX * sizeof(int))];
        } control;
        struct iovec iov = { hello, sizeof *hello };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
        ssize_t size;
        int n;

        size = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (size < 0)
                return refuse(why, errno == EAGAIN ? "nothing waits on its fd 0" : "its fd 0 is no socket of plugind");
        n = take_descriptors(&message, fds);
        if (size != sizeof *hello || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || hello->magic != LAUNCH_MAGIC)
                return refuse(why, "what waits on its fd 0 is no hello of plugind");
        if (n != ((hello->flags & LAUNCH_ONE_SOCKET) ? LAUNCH_FD_OUT : _LAUNCH_FD_MAX))
                return refuse(why, "the hello on its fd 0 came with the wrong number of descriptors");
        return 0;
}

/* N strings as a list; NULL: they do not end within the data, or there is no memory. */
static char **take_list(const char **at, const char *end, uint32_t n) {
        char **list;

        /* Each has at least its NUL. */
        if (n > (size_t) (end - *at))
                return NULL;
        list = calloc((size_t) n + 1, sizeof *list);
        for (uint32_t i = 0; list && i < n; i++) {
                const char *nul = memchr(*at, '\0', (size_t) (end - *at));

                if (!nul) {
                        free(list);
                        return NULL;
                }
                list[i] = (char *) *at;
                *at = nul + 1;
        }
        return list;
}

void spec_clear(Spec *spec) {
        free(spec->args);
        free(spec->env);
        free(spec->writable);
        free(spec->readable);
}

int spec_parse(const void *data, size_t size, Spec *ret, const char **why) {
        const LaunchSpec *head = data;
        const char *at = (const char *) (head + 1), *end = (const char *) data + size;
        char **fixed;
        Spec spec = { .head = head };

        if (size < sizeof *head || head->size != size - sizeof *head)
                return refuse(why, "the specification is shorter or longer than it says");
        fixed = take_list(&at, end, 2);
        if (fixed) {
                spec.command = fixed[0];
                spec.cwd = fixed[1];
                spec.args = take_list(&at, end, head->n_args);
        }
        free(fixed);
        if (spec.args)
                spec.env = take_list(&at, end, head->n_env);
        if (spec.env)
                spec.writable = take_list(&at, end, head->n_writable);
        if (spec.writable)
                spec.readable = take_list(&at, end, head->n_readable);
        if (!spec.readable || at != end || head->n_args == 0 || spec.command[0] != '/' || spec.cwd[0] != '/') {
                spec_clear(&spec);
                return refuse(why, "the specification is broken");
        }
        *ret = spec;
        return 0;
}

int spec_read(int fd, Spec *ret, const char **why) {
        const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
        struct stat st;
        void *data;

        /* Whoever could still change it could change it after the check. */
        if ((fcntl(fd, F_GET_SEALS) & seals) != seals || fstat(fd, &st) < 0)
                return refuse(why, "the specification is no sealed memory");
        if (st.st_size < (off_t) sizeof(LaunchSpec) || st.st_size > SPEC_SIZE_MAX)
                return refuse(why, "the specification has an impossible size");
        data = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
                return refuse(why, "the specification cannot be read");
        return spec_parse(data, (size_t) st.st_size, ret, why);
}
