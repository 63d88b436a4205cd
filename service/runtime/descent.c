/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/descent.h"

#include "runtime/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MARK_DIGITS 15 /* of the invocation: 60 bits are never "unlimited" */

static struct rlimit own_limit = { RLIM_INFINITY, RLIM_INFINITY };

static uint64_t mark_from_invocation(const char *invocation) {
        char digits[MARK_DIGITS + 1] = {};

        memcpy(digits, invocation, MARK_DIGITS);
        return strtoull(digits, NULL, 16);
}

uint64_t descent_begin_spawn(char invocation[DESCENT_INVOCATION_SIZE]) {
        uint64_t random[2], mark;
        struct rlimit marked;

        do {
                if (getrandom(random, sizeof(random), 0) != sizeof(random))
                        g_error("getrandom: %s", g_strerror(errno));
                snprintf(invocation, DESCENT_INVOCATION_SIZE, "%016" PRIx64 "%016" PRIx64, random[0], random[1]);
                mark = mark_from_invocation(invocation);
        } while (mark == 0);

        if (getrlimit(RLIMIT_LOCKS, &own_limit) == 0) {
                marked = (struct rlimit){ mark, own_limit.rlim_max };
                (void) setrlimit(RLIMIT_LOCKS, &marked); /* where the hard limit forbids it, the environment has to do */
        }
        return mark;
}

void descent_end_spawn(void) {
        (void) setrlimit(RLIMIT_LOCKS, &own_limit);
}

static bool is_zombie(pid_t pid) {
        siginfo_t info = {};

        return waitid(P_PID, (id_t) pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == pid;
}

static int mark_from_environment(pid_t pid, uint64_t *ret) {
        static const char name[] = "PLUGIND_INVOCATION=";
        g_autofree char *path = g_strdup_printf("/proc/%i/environ", pid), *environment = NULL;
        size_t size = 0;

        environment = proc_read(path, &size);
        if (environment && size == 0 && !is_zombie(pid))
                return -EAGAIN;
        *ret = 0;
        for (const char *p = environment; p && p < environment + size; p += strlen(p) + 1)
                if (g_str_has_prefix(p, name) && strlen(p) == strlen(name) + DESCENT_INVOCATION_SIZE - 1)
                        *ret = mark_from_invocation(p + strlen(name));
        return 0;
}

int descent_mark(pid_t pid, uint64_t *ret) {
        struct rlimit limit;

        if (prlimit(pid, RLIMIT_LOCKS, NULL, &limit) < 0 || limit.rlim_cur == own_limit.rlim_cur ||
            limit.rlim_cur >> (4 * MARK_DIGITS) != 0)
                return mark_from_environment(pid, ret);
        *ret = limit.rlim_cur;
        return 0;
}

/* For kernels without CONFIG_PROC_CHILDREN. */
static int foreach_child_by_parent(void (*visit)(pid_t pid, void *userdata), void *userdata) {
        DIR *proc = opendir("/proc");

        if (!proc)
                return -errno;
        for (struct dirent *entry; (entry = readdir(proc));) {
                g_autofree char *path = NULL, *stat = NULL;
                const char *end;
                size_t size;
                int parent;

                if (!g_ascii_isdigit(entry->d_name[0]))
                        continue;
                path = g_strdup_printf("/proc/%s/stat", entry->d_name);
                stat = proc_read(path, &size);
                end = stat ? strrchr(stat, ')') : NULL; /* the command's name may hold anything */
                if (end && sscanf(end, ") %*c %i", &parent) == 1 && parent == getpid())
                        visit(atoi(entry->d_name), userdata);
        }
        closedir(proc);
        return 0;
}

int descent_open_children(void) {
        g_autofree char *path = g_strdup_printf("/proc/self/task/%i/children", gettid());

        return open(path, O_RDONLY | O_CLOEXEC);
}

int descent_foreach_child(int children_fd, void (*visit)(pid_t pid, void *userdata), void *userdata) {
        g_autofree char *children = NULL;
        size_t size;

        children = children_fd >= 0 ? proc_read_fd(children_fd, &size) : NULL;
        if (!children)
                return foreach_child_by_parent(visit, userdata);
        for (char *p = children, *end;; p = end) {
                long pid = strtol(p, &end, 10);

                if (end == p)
                        return 0;
                visit((pid_t) pid, userdata);
        }
}
