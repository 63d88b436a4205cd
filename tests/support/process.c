/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "support/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

typedef struct Child {
        char *const *argv, *const *envp;
        int output_fd, keep_fd;
        const int *fds;
        size_t n_fds;
        const char *names;
} Child;

/* What sd_listen_fds() looks for; the pid is known in the child only. First out of the way of one another. */
static void pass_descriptors(const Child *child) {
        int *copies = g_new(int, child->n_fds);
        char number[16];

        for (size_t i = 0; i < child->n_fds; i++)
                copies[i] = fcntl(child->fds[i], F_DUPFD_CLOEXEC, SD_LISTEN_FDS_START + (int) child->n_fds);
        for (size_t i = 0; i < child->n_fds; i++)
                dup2(copies[i], SD_LISTEN_FDS_START + (int) i);
        g_free(copies);
        snprintf(number, sizeof(number), "%i", getpid());
        setenv("LISTEN_PID", number, 1);
        snprintf(number, sizeof(number), "%zu", child->n_fds);
        setenv("LISTEN_FDS", number, 1);
        setenv("LISTEN_FDNAMES", child->names, 1);
}

static void exec_child(const Child *child, int report_fd) {
        sigset_t none;
        int error;

        if (child->envp)
                environ = (char **) child->envp;
        if (child->n_fds > 0)
                report_fd = fcntl(report_fd, F_DUPFD_CLOEXEC, SD_LISTEN_FDS_START + 2 * (int) child->n_fds);

        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (child->output_fd >= 0) {
                dup2(child->output_fd, STDOUT_FILENO);
                dup2(child->output_fd, STDERR_FILENO);
        }
        if (child->keep_fd >= 0)
                fcntl(child->keep_fd, F_SETFD, 0);
        if (child->n_fds > 0)
                pass_descriptors(child);
        execvp(child->argv[0], child->argv);
        error = errno;
        if (write(report_fd, &error, sizeof(error)) < 0)
                _exit(126);
        _exit(127);
}

static pid_t start(const Child *child) {
        int report[2], error = 0;
        pid_t pid;

        if (pipe2(report, O_CLOEXEC) < 0)
                return -errno;
        pid = fork();
        if (pid == 0)
                exec_child(child, report[1]);
        error = pid < 0 ? errno : 0;
        close(report[1]);
        if (error == 0 && read(report[0], &error, sizeof(error)) == sizeof(error))
                waitpid(pid, NULL, 0);
        close(report[0]);
        return error != 0 ? -error : pid;
}

pid_t process_start(char *const *argv, char *const *envp, int output_fd, int keep_fd) {
        return start(&(Child){ .argv = argv, .envp = envp, .output_fd = output_fd, .keep_fd = keep_fd });
}

pid_t process_start_passing(char *const *argv, char *const *envp, int output_fd, const int *fds, size_t n_fds, const char *names) {
        return start(
                &(Child){ .argv = argv, .envp = envp, .output_fd = output_fd, .keep_fd = -1, .fds = fds, .n_fds = n_fds, .names = names });
}

int process_wait(pid_t pid, uint64_t timeout_usec) {
        int status = 0, r, fd = pidfd_open(pid, 0);
        struct pollfd waiting = { .fd = fd, .events = POLLIN };

        if (fd < 0)
                return -errno;
        r = poll(&waiting, 1, (int) (timeout_usec / 1000));
        close(fd);
        if (r == 0)
                return -ETIME;
        return waitpid(pid, &status, 0) < 0 ? -errno : status;
}

void process_kill(pid_t pid) {
        if (pid <= 0)
                return;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
}

int process_count_fds(pid_t pid) {
        g_autofree char *path = g_strdup_printf("/proc/%i/fd", pid);
        DIR *dir = opendir(path);
        int n = 0;

        if (!dir)
                return -errno;
        for (struct dirent *entry; (entry = readdir(dir));)
                n += entry->d_name[0] != '.';
        closedir(dir);
        return n;
}

pid_t *process_children(pid_t pid) {
        g_autofree char *tasks = g_strdup_printf("/proc/%i/task", pid);
        GArray *children = g_array_new(TRUE, TRUE, sizeof(pid_t));
        GDir *dir = g_dir_open(tasks, 0, NULL);
        const char *task;

        while (dir && (task = g_dir_read_name(dir))) {
                g_autofree char *path = g_build_filename(tasks, task, "children", NULL);
                g_autofree char *text = NULL;
                char *p, *end;

                if (!g_file_get_contents(path, &text, NULL, NULL))
                        continue;
                for (p = text; *p; p = end) {
                        pid_t child = (pid_t) strtol(p, &end, 10);

                        if (end == p)
                                break;
                        g_array_append_val(children, child);
                }
        }
        if (dir)
                g_dir_close(dir);
        return (pid_t *) (void *) g_array_free(children, FALSE);
}

int process_count_children(pid_t pid) {
        g_autofree pid_t *children = process_children(pid);
        int n = 0;

        while (children[n] != 0)
                n++;
        return n;
}

char *temporary_folder_new(void) {
        g_autofree char *path = g_dir_make_tmp("plugind-test-XXXXXX", NULL);

        if (!path || g_chmod(path, 0755) < 0)
                return NULL;
        return g_steal_pointer(&path);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
        return remove(path);
}

void temporary_folder_free(char *path) {
        if (!path)
                return;
        nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        g_free(path);
}
