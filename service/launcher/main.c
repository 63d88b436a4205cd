/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plugind-exec: what systemd starts in a plugin's unit. It gets the plugin's ends from plugind, checks from inside that the sandbox
 * which the manifest demands is really there, says so, and becomes the plugin. runtime/launch.h is what it says to plugind.
 *
 * It trusts nobody's word for the sandbox: systemd leaves out what a kernel lacks, and an administrator's drop-in may take away anything.
 * Static, and without libraries: nothing of it comes from a file system that is not yet known to be the right one.
 */
#include "launcher/check.h"
#include "launcher/exec.h"
#include "launcher/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What systemd left ignored (SIGPIPE) or blocked would be inherited by the plugin. The kernel is asked itself, since two of its signals
 * are none for libc. */
static void reset_signals(void) {
        const char by_default[64] = {}; /* struct sigaction as the kernel has it; SIG_DFL is 0 */
        sigset_t none;

        for (int i = 1; i < NSIG; i++)
                (void) syscall(SYS_rt_sigaction, i, by_default, NULL, NSIG / 8); /* fails for SIGKILL and SIGSTOP */
        sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A descriptor that came in a message must not land where the plugin's stdio goes. */
static void fill_stdio(void) {
        for (int fd = 0; fd <= STDERR_FILENO; fd++)
                if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
                        (void) open("/dev/null", O_RDWR);
}

static int report(int status, LaunchOutcome outcome, const char *text) {
        LaunchReport report = { .outcome = outcome };
        size_t size = strnlen(text, sizeof report.text);
        ssize_t n;

        memcpy(report.text, text, size);
        do
                n = send(status, &report, offsetof(LaunchReport, text) + size, MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -1 : 0;
}

/* False: plugind is gone, or thought better of it. */
static bool wait_for_go(int status) {
        char go;
        ssize_t n;

        do
                n = recv(status, &go, sizeof go, 0);
        while (n < 0 && errno == EINTR);
        return n == 1;
}

/* The plugin gets its ends, its log and nothing else: the rest closes with the exec, which the end of the status socket tells plugind. */
static bool arrange_descriptors(const int fds[_LAUNCH_FD_MAX], bool one_socket) {
        return dup2(fds[LAUNCH_FD_IN], STDIN_FILENO) >= 0 && dup2(fds[one_socket ? LAUNCH_FD_IN : LAUNCH_FD_OUT], STDOUT_FILENO) >= 0 &&
               close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) == 0;
}

/* Returns only when the plugin does not run. */
static void launch(const LaunchHello *hello, const int fds[_LAUNCH_FD_MAX], const Spec *spec) {
        int status = fds[LAUNCH_FD_STATUS];
        char text[LAUNCH_TEXT_MAX] = "";

        if (!check_sandbox(hello->flags, spec, text, sizeof text) ||
            ((hello->flags & LAUNCH_CHECK_SECCOMP) && !filter_apply(text, sizeof text))) {
                (void) report(status, LAUNCH_UNSANDBOXED, text);
                return;
        }
        if (report(status, LAUNCH_READY, "") < 0 || !wait_for_go(status))
                return;
        if (arrange_descriptors(fds, hello->flags & LAUNCH_ONE_SOCKET))
                plugin_exec(spec, hello->flags & _LAUNCH_CHECK_ALL, text, sizeof text);
        else
                snprintf(text, sizeof text, "plugind-exec: cannot arrange the descriptors: %s", strerror(errno));
        (void) report(status, LAUNCH_FAILED, text);
}

int main(int argc, char *argv[]) {
        int fds[_LAUNCH_FD_MAX];
        char text[LAUNCH_TEXT_MAX];
        const char *why = NULL;
        LaunchHello hello;
        Spec spec;

        reset_signals();
        fill_stdio();
        if (hello_receive(STDIN_FILENO, &hello, fds, &why) < 0) {
                fprintf(stderr, "plugind-exec: %s: it is started by plugind alone\n", why);
                return LAUNCH_EXIT_STATUS;
        }
        /* A check that this launcher does not know would go unmade. */
        if (hello.flags & ~(uint32_t) (LAUNCH_ONE_SOCKET | _LAUNCH_CHECK_ALL))
                why = "plugind is newer than its launcher and asks for more than that knows";
        else if (spec_read(fds[LAUNCH_FD_SPEC], &spec, &why) == 0) {
                launch(&hello, fds, &spec);
                spec_clear(&spec);
                return LAUNCH_EXIT_STATUS;
        }
        snprintf(text, sizeof text, "plugind-exec: %s", why);
        (void) report(fds[LAUNCH_FD_STATUS], LAUNCH_FAILED, text);
        return LAUNCH_EXIT_STATUS;
}
