/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Everything but files. Where a system call must be filtered, it is called in a way that the kernel refuses for its arguments before
 * anything happens: EINVAL, ENOENT or ESRCH then say that no filter is there. Most would be EPERM for an ordinary user anyway, and that
 * proves nothing.
 */
#include "launcher/check.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* What does not fit is cut off; what is there already says enough. */
static void add_text(Findings *findings, const char *text) {
        size_t room = findings->size - findings->used, size = strnlen(text, room - 1);

        memcpy(findings->text + findings->used, text, size);
        findings->used += size;
        findings->text[findings->used] = '\0';
}

void finding(Findings *findings, const char *format, ...) {
        char text[LAUNCH_TEXT_MAX];
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        add_text(findings, findings->n++ == 0 ? "the sandbox is not what the manifest demands: " : "; ");
        add_text(findings, text);
}

bool call_filtered(long result, int kernels) {
        return result < 0 && errno != kernels;
}

bool proc_is_real(void) {
        struct statfs fs;

        return statfs("/proc", &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC && statfs("/proc/self", &fs) == 0 &&
               fs.f_type == PROC_SUPER_MAGIC;
}

static void check_no_new_privileges(const Spec *spec, Findings *findings) {
        if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
                finding(findings, "set-user-ID programs work (NoNewPrivileges is off)");
}

static bool has_bounding_or_ambient(void) {
        for (int i = 0; i < 64; i++) {
                int bounding = prctl(PR_CAPBSET_READ, i, 0, 0, 0);

                /* Past the last that the kernel knows. */
                if (bounding < 0)
                        return i == 0 || errno != EINVAL;
                if (bounding != 0 || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) != 0)
                        return true;
        }
        return false;
}

static void check_capabilities(const Spec *spec, Findings *findings) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};

        if (syscall(SYS_capget, &header, data) < 0)
                finding(findings, "its capabilities cannot be read: %s", strerror(errno));
        else if ((data[0].effective | data[1].effective | data[0].permitted | data[1].permitted) != 0)
                finding(findings, "it has capabilities (permitted: %08x%08x)", data[1].permitted, data[0].permitted);
        else if ((data[0].inheritable | data[1].inheritable) != 0 || has_bounding_or_ambient())
                finding(findings, "there are capabilities to be had (the bounding, inheritable or ambient set is not empty)");
}

static void check_uid(const Spec *spec, Findings *findings) {
        gid_t groups[256], gids[3];
        uid_t uids[3];
        struct stat st;
        int n = getgroups(sizeof groups / sizeof *groups, groups);

        if (getresuid(&uids[0], &uids[1], &uids[2]) < 0 || getresgid(&gids[0], &gids[1], &gids[2]) < 0 || n < 0) {
                finding(findings, "who it is cannot be found out: %s", strerror(errno));
                return;
        }
        for (int i = 0; i < 3; i++)
                if (uids[i] == 0 || gids[i] == 0 || uids[i] == spec->head->uid) {
                        finding(findings, "it runs as user %u and group %u, expected neither root's nor plugind's own", uids[i], gids[i]);
                        break;
                }
        for (int i = 0; i < n; i++)
                if (groups[i] == 0)
                        finding(findings, "it is in root's group");
        if (!proc_is_real() || (stat("/proc/1", &st) == 0 && st.st_uid != uids[1]))
                finding(findings, "other users' processes can be seen (ProtectProc)");
}

static void check_seccomp(const Spec *spec, Findings *findings) {
        if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != SECCOMP_MODE_FILTER)
                finding(findings, "no system call is filtered (SystemCallFilter, or seccomp in the kernel, is missing)");
        else if (!call_filtered(syscall(SYS_chroot, ""), ENOENT) || !call_filtered(syscall(SYS_umount2, "", ~0), EINVAL) ||
                 !call_filtered(syscall(SYS_mount, "", "", "", 0, NULL), ENOENT))
                finding(findings, "system calls such as mount() are not filtered (SystemCallFilter)");
}

typedef struct Namespace {
        const char *name, *file;
        int flag;
        uint64_t initial; /* the host's own, where the kernel numbers it so (include/uapi/linux/nsfs.h); 0: unknown */
} Namespace;

static const Namespace namespaces[] = {
        { "user", "/proc/self/ns/user", CLONE_NEWUSER, 0xEFFFFFFD },
        { "mount", "/proc/self/ns/mnt", CLONE_NEWNS, 0xEFFFFFF8 },
        { "IPC", "/proc/self/ns/ipc", CLONE_NEWIPC, 0xEFFFFFFF },
        { "network", "/proc/self/ns/net", CLONE_NEWNET, 0xEFFFFFF9 },
        { "process", NULL, CLONE_NEWPID, 0 },
        { "host name", NULL, CLONE_NEWUTS, 0 },
        { "control group", NULL, CLONE_NEWCGROUP, 0 },
};

/* DAEMONS: the daemon's, which may itself have one of its own. */
static void check_own(const char *name, uint64_t daemons, Findings *findings) {
        for (size_t i = 0; i < sizeof namespaces / sizeof *namespaces; i++) {
                const Namespace *space = namespaces + i;
                struct statfs fs;
                struct stat st;

                if (strcmp(space->name, name) != 0)
                        continue;
                if (!proc_is_real() || statfs(space->file, &fs) < 0 || fs.f_type != NSFS_MAGIC || stat(space->file, &st) < 0)
                        finding(findings, "which %s namespace it is in cannot be found out: %s cannot be read", name, space->file);
                else if (st.st_ino == daemons || st.st_ino == space->initial)
                        finding(findings, "the %s namespace is the host's", name);
        }
}

static void check_namespaces(const Spec *spec, Findings *findings) {
        check_own("user", spec->head->user_ns, findings);
        check_own("mount", spec->head->mnt_ns, findings);
        check_own("IPC", spec->head->ipc_ns, findings);
        for (size_t i = 0; i < sizeof namespaces / sizeof *namespaces; i++)
                /* CLONE_PARENT is none of unshare()'s. */
                if (!call_filtered(unshare(namespaces[i].flag | CLONE_PARENT), EINVAL)) {
                        finding(findings, "it may make new %s namespaces (RestrictNamespaces)", namespaces[i].name);
                        return;
                }
        if (!call_filtered(setns(-1, 0), EBADF))
                finding(findings, "it may join other namespaces (RestrictNamespaces)");
}

/* What the kernel itself puts, down, into every network namespace once such a module is loaded (net.core.fb_tunnels_only_for_init_net). */
static bool harmless_interface(const char *name) {
        static const char *const names[] = { "lo",      "tunl0",   "gre0",     "gretap0", "erspan0",
                                             "ip_vti0", "ip6gre0", "ip6_vti0", "ip6tnl0", "sit0" };

        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                if (strcmp(name, names[i]) == 0)
                        return true;
        return false;
}

/* One that somebody has made for others, or the host's where the daemon itself has one of its own: in both are sockets, which the kernel
 * lists by the namespace that they were made in. Ours, of this process, come from outside. */
static void check_unshared(Findings *findings) {
        FILE *file = fopen("/proc/self/net/unix", "re");
        char line[512];
        unsigned n = 0;

        while (file && n < 2 && fgets(line, sizeof line, file))
                n++; /* one of headings */
        if (file)
                fclose(file);
        if (n != 1)
                finding(findings, n == 0 ? "whose network namespace it is in cannot be found out: /proc/self/net/unix cannot be read"
                                         : "the network namespace is others' as well: there are sockets in it");
}

static void check_network(const Spec *spec, Findings *findings) {
        FILE *file = proc_is_real() ? fopen("/proc/self/net/dev", "re") : NULL;
        bool lo = false;
        char line[512];

        check_own("network", spec->head->net_ns, findings);
        for (unsigned n = 0; file && fgets(line, sizeof line, file); n++) {
                char *name = line + strspn(line, " "), *colon = strrchr(name, ':');

                if (n < 2 || !colon) /* two lines of headings */
                        continue;
                *colon = '\0';
                lo = lo || strcmp(name, "lo") == 0;
                if (!harmless_interface(name)) {
                        finding(findings, "there is a network interface %s", name);
                        break;
                }
        }
        if (file)
                fclose(file);
        if (!lo)
                finding(findings, "which network interfaces there are cannot be found out: /proc/self/net/dev cannot be read");
        else
                check_unshared(findings);
}

/* A type that is none: the kernel refuses it after the family, before it loads or makes anything. */
#define NO_SOCKET_TYPE 0xf

static void check_families(Findings *findings) {
        for (int family = AF_UNIX; family < AF_MAX; family++) {
                if (family == AF_INET || family == AF_INET6 || family == AF_NETLINK)
                        continue; /* the network namespace's business */
                if (call_filtered(socket(family, NO_SOCKET_TYPE, 0), EINVAL))
                        continue;
                finding(findings, "sockets of family %d%s can be had (RestrictAddressFamilies)", family,
                        family == AF_UNIX ? " (AF_UNIX)" : "");
                return;
        }
}

/* connect() needs the permission to write. */
static void check_socket(const char *path, Findings *findings) {
        struct stat st;

        if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode) && access(path, W_OK) == 0)
                finding(findings, "%s can be reached", path);
}

static void check_sockets(const Spec *spec, Findings *findings) {
        static const char *const systems[] = {
                "/run/dbus/system_bus_socket",
                "/run/systemd/private",
                "/run/systemd/notify",
                "/run/systemd/journal/socket",
                "/run/systemd/journal/stdout",
                "/run/systemd/journal/dev-log",
                "/dev/log",
                "/run/systemd/io.system.ManagedOOM",
        };
        static const char *const users[] = { "bus", "systemd/private", "systemd/notify" };
        const char *runtime = getenv("XDG_RUNTIME_DIR"), *notify = getenv("NOTIFY_SOCKET");
        char path[4096];

        check_families(findings);
        /* io_uring makes and connects sockets that no filter of system calls sees. */
        if (!call_filtered(syscall(SYS_io_uring_setup, 1, NULL), EFAULT))
                finding(findings, "io_uring can be had, which evades every filter of sockets (SystemCallFilter)");
        for (size_t i = 0; i < sizeof systems / sizeof *systems; i++)
                check_socket(systems[i], findings);
        for (size_t i = 0; i < sizeof users / sizeof *users; i++) {
                snprintf(path, sizeof path, "/run/user/%u/%s", spec->head->uid, users[i]);
                check_socket(path, findings);
                if (!runtime)
                        continue;
                snprintf(path, sizeof path, "%s/%s", runtime, users[i]);
                check_socket(path, findings);
        }
        if (notify && notify[0] == '/')
                check_socket(notify, findings);
}

bool check_sandbox(uint32_t flags, const Spec *spec, char *text, size_t size) {
        static const struct {
                LaunchFlags flag;
                void (*check)(const Spec *spec, Findings *findings);
        } checks[] = {
                { LAUNCH_CHECK_NO_NEW_PRIVILEGES, check_no_new_privileges },
                { LAUNCH_CHECK_CAPABILITIES, check_capabilities },
                { LAUNCH_CHECK_UID, check_uid },
                { LAUNCH_CHECK_SECCOMP, check_seccomp },
                { LAUNCH_CHECK_NAMESPACES, check_namespaces },
                { LAUNCH_CHECK_NETWORK, check_network },
                { LAUNCH_CHECK_FILES, check_files },
                { LAUNCH_CHECK_SOCKETS, check_sockets },
        };
        Findings findings = { text, size };

        for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
                if (flags & checks[i].flag)
                        checks[i].check(spec, &findings);
        return findings.n == 0;
}
