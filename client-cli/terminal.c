/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
        bool is_terminal, colours;
        size_t width;
        pid_t pager;
} terminal = { .width = SIZE_MAX };

static bool want_colours(bool is_terminal) {
        const char *systemd = getenv("SYSTEMD_COLORS"), *none = getenv("NO_COLOR"), *term = getenv("TERM");

        if (systemd && *systemd)
                return !g_strv_contains((const char *const[]){ "0", "no", "n", "false", "f", "off", NULL }, systemd);
        if (none && *none)
                return false;
        return is_terminal && term && strcmp(term, "dumb") != 0;
}

static size_t want_width(void) {
        const char *columns = getenv("COLUMNS");
        struct winsize size = {};

        if (columns) {
                char *end;
                unsigned long n = strtoul(columns, &end, 10);
                if (end != columns && *end == '\0' && n > 0 && n < 10000)
                        return n;
        }
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
                return size.ws_col;
        return 80;
}

void terminal_init(void) {
        terminal.is_terminal = isatty(STDOUT_FILENO);
        terminal.colours = want_colours(terminal.is_terminal);
        terminal.width = terminal.is_terminal ? want_width() : SIZE_MAX;
}

bool terminal_is_stdout(void) {
        return terminal.is_terminal;
}

bool terminal_colours(void) {
        return terminal.colours;
}

size_t terminal_width(void) {
        return terminal.width;
}

const char *terminal_colour(const char *colour) {
        return terminal.colours && colour ? colour : "";
}

/* $SYSTEMD_PAGER, $PAGER, else less; NULL: none wanted. */
static char **pager_command(void) {
        const char *pager = getenv("SYSTEMD_PAGER") ?: getenv("PAGER") ?: "less";
        char **argv = NULL;

        if (!*pager || strcmp(pager, "cat") == 0 || !g_shell_parse_argv(pager, NULL, &argv, NULL))
                return NULL;
        return argv;
}

/* less leaves at once when all fits the screen (F), shows colours (R), and ends with Ctrl-C (K). As the text is not the user's own, it
 * may not be made to run commands, unless $SYSTEMD_PAGERSECURE says so. */
static char **pager_environment(void) {
        const char *options = getenv("SYSTEMD_LESS"), *charset = getenv("SYSTEMD_LESSCHARSET"), *secure = getenv("SYSTEMD_PAGERSECURE");
        char **environment = g_environ_setenv(g_get_environ(), "LESS", options && *options ? options : "FRSXMK", true);

        environment = g_environ_setenv(environment, "LESSCHARSET", charset && *charset ? charset : "utf-8", true);
        if (secure && g_strv_contains((const char *const[]){ "0", "no", "n", "false", "f", "off", NULL }, secure))
                return g_environ_unsetenv(environment, "LESSSECURE");
        return g_environ_setenv(environment, "LESSSECURE", "1", true);
}

static int spawn(char **argv, char **environment, int input, pid_t *ret) {
        posix_spawn_file_actions_t actions;
        int r = posix_spawn_file_actions_init(&actions);

        if (r != 0)
                return -r;
        r = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
        if (r == 0)
                r = posix_spawnp(ret, argv[0], &actions, NULL, argv, environment);
        posix_spawn_file_actions_destroy(&actions);
        return -r;
}

void pager_open(void) {
        const char *term = getenv("TERM");
        if (!terminal.is_terminal || terminal.pager > 0 || !term || strcmp(term, "dumb") == 0)
                return;

        g_auto(GStrv) argv = pager_command();
        g_auto(GStrv) environment = pager_environment();
        int fds[2];
        if (!argv || pipe2(fds, O_CLOEXEC) < 0)
                return;

        fflush(stdout);
        if (spawn(argv, environment, fds[0], &terminal.pager) < 0) /* no less here: print as it is */
                terminal.pager = 0;
        else
                (void) dup2(fds[1], STDOUT_FILENO);
        close(fds[0]);
        close(fds[1]);
}

void pager_close(void) {
        if (terminal.pager <= 0)
                return;
        fflush(stdout);
        close(STDOUT_FILENO);
        while (waitpid(terminal.pager, NULL, 0) < 0 && errno == EINTR)
                ;
        terminal.pager = 0;
}
