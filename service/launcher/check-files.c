/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What can be written and what can be seen. The kernel's table of mounts says where to look; what a path really leads to is then asked of
 * the path itself (statvfs, statx), so that mounts which others hide do not count and those on top do.
 */
#include "launcher/check.h"
#include "launcher/mountinfo.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define DEPTH_MAX 32
#define ENTRIES_MAX 10000

typedef struct Files {
        const Spec *spec;
        Findings *findings;
        MountTable table;
        char **writable, **readable; /* without links */
        unsigned entries;            /* looked at */
} Files;

static bool at_or_below(const char *path, const char *folder) {
        size_t size = strlen(folder);

        while (size > 0 && folder[size - 1] == '/')
                size--;
        return strncmp(path, folder, size) == 0 && (path[size] == '\0' || path[size] == '/');
}

static bool named_in(char *const *list, const char *path) {
        for (; *list; list++)
                if (at_or_below(path, *list))
                        return true;
        return false;
}

/* What cannot be resolved is not there, and permits nothing. */
static char **resolve(char *const *paths) {
        size_t n = 0, resolved = 0;
        char **list;

        while (paths[n])
                n++;
        list = calloc(n + 1, sizeof *list);
        for (size_t i = 0; list && i < n; i++) {
                char *real = realpath(paths[i], NULL);

                if (real)
                        list[resolved++] = real;
        }
        return list;
}

/* The mount on which PATH lies, if it is one of its own. */
static const Mount *own_mount(const Files *files, const char *path) {
        const Mount *mount = mountinfo_of(&files->table, path);

        return mount && strcmp(mount->point, path) == 0 ? mount : NULL;
}

/* Not for us to see: the sandbox hides it, or it does not exist. */
static bool unreachable(int error) {
        return error == ENOENT || error == EACCES || error == ENOTDIR || error == ELOOP || error == EPERM;
}

/* A writable mount that every sandbox has, and whose content is nobody else's: check_private() and check_devices() see to it. */
static bool private_mount(const char *path) {
        static const char *const paths[] = { "/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/dev/pts", "/proc" };

        for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
                if (strcmp(path, paths[i]) == 0)
                        return true;
        return false;
}

static bool usual_device(const char *path) {
        static const char *const names[] = {
                "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx"
        };

        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                if (strcmp(path, names[i]) == 0)
                        return true;
        return false;
}

/* Below a folder anything may be writable, whoever the folder's is; a mount that is one file is no more than that. */
static void check_read_only(Files *files, const char *path) {
        struct statvfs fs;
        struct stat st;

        if (statvfs(path, &fs) < 0 || stat(path, &st) < 0) {
                if (!unreachable(errno))
                        finding(files->findings, "whether %s is read-only cannot be found out: %s", path, strerror(errno));
        } else if (!(fs.f_flag & ST_RDONLY) && (S_ISDIR(st.st_mode) || access(path, W_OK) == 0) && !usual_device(path))
                finding(files->findings, "%s is writable", path);
}

/* To look at it would have something mounted there, perhaps from a network that is down. Nobody writes to it itself. */
static bool awaits_mount(const Mount *mount) {
        return strcmp(mount->type, "autofs") == 0;
}

/* Also those that need not be mounts: there, the table of mounts has nothing to say. */
static void check_writable(Files *files) {
        static const char *const always[] = {
                "/",         "/etc",      "/usr",           "/var",        "/var/lib",  "/run",
                "/boot",     "/sys",      "/sys/fs/cgroup", "/sys/kernel", "/proc/sys", "/proc/sysrq-trigger",
                "/proc/irq", "/proc/bus", "/proc/fs",       "/proc/acpi",
        };

        for (size_t i = 0; i < sizeof always / sizeof *always; i++)
                check_read_only(files, always[i]);
        for (size_t i = 0; i < files->table.n; i++) {
                const char *point = files->table.mounts[i].point;
                bool looked_at = private_mount(point) || named_in(files->writable, point) || awaits_mount(files->table.mounts + i);

                for (size_t j = 0; j < sizeof always / sizeof *always; j++)
                        looked_at = looked_at || strcmp(point, always[j]) == 0;
                for (size_t j = 0; j < i; j++)
                        looked_at = looked_at ||
                                    (strcmp(point, files->table.mounts[j].point) == 0 && !awaits_mount(files->table.mounts + j));
                if (!looked_at)
                        check_read_only(files, point);
        }
}

static bool is_empty(const char *path) {
        DIR *dir = opendir(path);
        struct dirent *entry;
        bool empty = true;

        while (dir && (entry = readdir(dir)))
                empty = empty && entry->d_name[0] == '.' && (!entry->d_name[1] || strcmp(entry->d_name, "..") == 0);
        if (dir)
                closedir(dir);
        return dir && empty;
}

/* A tmpfs that was made for this mount namespace. */
static bool own_tmpfs(const Files *files, const char *path) {
        const Mount *mount = own_mount(files, path);

        return mount && strcmp(mount->type, "tmpfs") == 0 && !mount->slave;
}

/* Either a folder of this unit's own that systemd binds there, or a tmpfs in which nothing is yet: read-only alone does not hide what
 * others have in theirs. */
static void check_private(Files *files, const char *path) {
        const Mount *mount = own_mount(files, path);

        if (access(path, R_OK | X_OK) < 0 && unreachable(errno))
                return;
        if (!mount || (!strstr(mount->root, "/systemd-private-") && (!own_tmpfs(files, path) || !is_empty(path))))
                finding(files->findings, "%s is shared with others (PrivateTmp)", path);
}

/* Looks at what lies in FOLDER with LOOK, which says whether to go in. */
static void walk(Files *files, const char *folder, unsigned depth,
                 bool (*look)(Files *files, const char *path, const struct stat *st, const struct stat *above)) {
        int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        struct dirent *entry;
        struct stat above, st;

        if (!dir) {
                if (fd >= 0)
                        close(fd);
                else if (!unreachable(errno))
                        finding(files->findings, "%s cannot be looked through: %s", folder, strerror(errno));
                return;
        }
        if (depth > DEPTH_MAX || fstat(fd, &above) < 0)
                finding(files->findings, "%s cannot be looked through", folder);
        else
                while ((entry = readdir(dir)) && ++files->entries <= ENTRIES_MAX) {
                        char path[PATH_MAX];

                        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
                            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= (int) sizeof path ||
                            fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                                continue;
                        if (look(files, path, &st, &above) && S_ISDIR(st.st_mode))
                                walk(files, path, depth + 1, look);
                }
        closedir(dir);
}

static bool look_at_device(Files *files, const char *path, const struct stat *st, const struct stat *above) {
        if ((S_ISBLK(st->st_mode) || S_ISCHR(st->st_mode)) && !usual_device(path) && !named_in(files->writable, path))
                finding(files->findings, "there is the device %s (PrivateDevices)", path);
        /* Terminals and messages are file systems of their own. */
        return st->st_dev == above->st_dev;
}

/* What runs as the user could read what they type. */
static bool look_at_terminal(Files *files, const char *path, const struct stat *st, const struct stat *above) {
        if (S_ISCHR(st->st_mode) && strcmp(path, "/dev/pts/ptmx") != 0 && !named_in(files->writable, path) &&
            (access(path, R_OK) == 0 || access(path, W_OK) == 0))
                finding(files->findings, "the terminal %s can be reached", path);
        return false;
}

static void check_devices(Files *files) {
        if (access("/dev", X_OK) < 0 && unreachable(errno))
                return;
        if (!own_tmpfs(files, "/dev")) {
                finding(files->findings, "/dev is the host's (PrivateDevices)");
                return;
        }
        files->entries = 0;
        walk(files, "/dev", 0, look_at_device);
        if (files->entries > ENTRIES_MAX)
                finding(files->findings, "/dev cannot be looked through: there is too much in it");
        walk(files, "/dev/pts", 0, look_at_terminal);
        if (access("/dev/shm", W_OK) == 0 && (!own_tmpfs(files, "/dev/shm") || !is_empty("/dev/shm")))
                finding(files->findings, "/dev/shm is shared with others");
}

/* In a home there is nothing but folders that lead to what the manifest names. */
static bool look_at_home(Files *files, const char *path, const struct stat *st, const struct stat *above) {
        if (named_in(files->writable, path) || named_in(files->readable, path))
                return false;
        if (S_ISDIR(st->st_mode) && st->st_dev == above->st_dev)
                return true;
        finding(files->findings, "%s can be seen", path);
        return false;
}

static void check_homes(Files *files) {
        static const char *const homes[] = { "/home", "/root", "/run/user" };

        for (size_t i = 0; i < sizeof homes / sizeof *homes; i++) {
                const Mount *mount = mountinfo_of(&files->table, homes[i]);
                int fd = open(homes[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

                if (fd < 0 && unreachable(errno))
                        continue;
                if (fd >= 0)
                        close(fd);
                /* Below an empty /run that is a tmpfs too, /run/user need not be one of its own. */
                if (!mount || !own_tmpfs(files, mount->point) || !at_or_below(homes[i], mount->point)) {
                        finding(files->findings, "%s is the host's (ProtectHome)", homes[i]);
                        continue;
                }
                files->entries = 0;
                walk(files, homes[i], 0, look_at_home);
                if (files->entries > ENTRIES_MAX)
                        finding(files->findings, "%s cannot be looked through: there is too much in it", homes[i]);
        }
}

/* Kernel memory and the kernel's log. */
static void check_kernel(Files *files) {
        static const char *const secrets[] = { "/proc/kmsg", "/proc/kcore", "/dev/kmsg", "/dev/mem" };

        for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
                if (access(secrets[i], R_OK) == 0)
                        finding(files->findings, "%s can be read", secrets[i]);
}

static void free_list(char **list) {
        for (char **path = list; path && *path; path++)
                free(*path);
        free(list);
}

void check_files(const Spec *spec, Findings *findings) {
        Files files = { .spec = spec, .findings = findings, .writable = resolve(spec->writable), .readable = resolve(spec->readable) };

        if (files.writable && files.readable && proc_is_real() && mountinfo_read(&files.table) == 0 && own_mount(&files, "/")) {
                check_writable(&files);
                check_private(&files, "/tmp");
                check_private(&files, "/var/tmp");
                check_devices(&files);
                check_homes(&files);
                check_kernel(&files);
        } else
                finding(findings, "what is mounted cannot be found out: /proc/self/mountinfo cannot be read");
        mountinfo_clear(&files.table);
        free_list(files.writable);
        free_list(files.readable);
}
