/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon.h"

#include <errno.h>
#include <getopt.h>
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define EXIT_IDLE_MAX 31536000 /* a year */

static int help(void) {
        printf("plugind [OPTIONS...]\n\n"
               "Hosts plugins on D-Bus: loads, starts, watches and restarts them, and passes messages.\n\n"
               "  -h --help                Show this help\n"
               "     --version             Show the version\n"
               "     --system              Serve the system bus (default)\n"
               "     --user                Serve the session bus of this user\n"
               "     --runtime=WHICH       How plugins are run: systemd (units of their own), local (child\n"
               "                           processes), none, or auto (default): systemd where it runs\n"
               "     --state-dir=PATH      Where state is kept (default: /var/lib/plugind,\n"
               "                           with --user $XDG_STATE_HOME/plugind)\n"
               "     --exit-idle=SECONDS   Leave when nothing was loaded for so long (default: never)\n"
               "     --log-level=LEVEL     emerg, alert, crit, err, warning, notice, info (default), debug or 0 to 7\n"
               "     --log-target=TARGET   auto (the journal where it is there), journal or stderr (plugins' logs: files)\n\n"
               "PLUGIND_PLUGIN_PATH, a list of folders separated by colons, replaces the search path of manifests.\n"
               "SIGHUP reads manifests again; SIGINT stops plugins in order, and so does SIGTERM, but for those that\n"
               "the next plugind can take over, if systemd does not want a stop.\n");
        return EXIT_SUCCESS;
}

static int version(void) {
        puts("plugind " PROJECT_VERSION);
        return EXIT_SUCCESS;
}

static int usage(const char *option, const char *found, const char *expected) {
        fprintf(stderr, "plugind: %s: found \"%s\", expected %s\n", option, found, expected);
        return -EINVAL;
}

/* The index of NAME in NAMES, or -EINVAL. */
static int choice(const char *option, const char *name, const char *const *names, size_t n) {
        g_autoptr(GString) list = g_string_new(NULL);

        for (size_t i = 0; i < n; i++) {
                if (g_str_equal(names[i], name))
                        return (int) i;
                g_string_append_printf(list, "%s%s", i == 0 ? "" : i == n - 1 ? " or " : ", ", names[i]);
        }
        return usage(option, name, list->str);
}

typedef struct Arguments {
        DaemonConfig config;
        int log_level;
        int (*instead)(void); /* --help or --version */
} Arguments;

enum {
        OPTION_VERSION = 0x100,
        OPTION_SYSTEM,
        OPTION_USER,
        OPTION_RUNTIME,
        OPTION_STATE_DIR,
        OPTION_EXIT_IDLE,
        OPTION_LOG_LEVEL,
        OPTION_LOG_TARGET
};

/* Fractions are for tests. */
static int seconds(const char *option, const char *value, uint64_t *ret_usec) {
        char *end;
        double number = g_ascii_strtod(value, &end);

        if (end == value || *end || !(number > 0) || number > EXIT_IDLE_MAX)
                return usage(option, value, "a number of seconds, up to " G_STRINGIFY(EXIT_IDLE_MAX));
        *ret_usec = (uint64_t) (number * 1e6);
        return 0;
}

static int argument(Arguments *arguments, int option, const char *value) {
        static const char *const runtimes[] = {
                [RUNTIME_AUTO] = "auto", [RUNTIME_LOCAL] = "local", [RUNTIME_SYSTEMD] = "systemd", [RUNTIME_NONE] = "none"
        };
        static const char *const targets[] = {
                [LOG_TARGET_AUTO] = "auto", [LOG_TARGET_JOURNAL] = "journal", [LOG_TARGET_STDERR] = "stderr"
        };
        int r = 0;

        switch (option) {
        case 'h':
                arguments->instead = help;
                break;
        case OPTION_VERSION:
                arguments->instead = version;
                break;
        case OPTION_SYSTEM:
        case OPTION_USER:
                arguments->config.user = option == OPTION_USER;
                break;
        case OPTION_RUNTIME:
                r = choice("--runtime", value, runtimes, G_N_ELEMENTS(runtimes));
                arguments->config.runtime = r < 0 ? RUNTIME_AUTO : (RuntimeChoice) r;
                break;
        case OPTION_STATE_DIR:
                if (!g_path_is_absolute(value))
                        return usage("--state-dir", value, "an absolute path");
                arguments->config.state_dir = value;
                break;
        case OPTION_EXIT_IDLE:
                return seconds("--exit-idle", value, &arguments->config.exit_idle_usec);
        case OPTION_LOG_LEVEL:
                r = arguments->log_level = log_priority_from_string(value);
                if (r < 0)
                        return usage("--log-level", value, "emerg, alert, crit, err, warning, notice, info, debug or 0 to 7");
                break;
        case OPTION_LOG_TARGET:
                r = choice("--log-target", value, targets, G_N_ELEMENTS(targets));
                arguments->config.log_target = r < 0 ? LOG_TARGET_AUTO : (LogTarget) r;
                break;
        default:
                return -EINVAL; /* getopt_long() has said what is wrong */
        }
        return r;
}

static int parse_arguments(int argc, char *argv[], Arguments *arguments) {
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, OPTION_VERSION },
                { "system", no_argument, NULL, OPTION_SYSTEM },
                { "user", no_argument, NULL, OPTION_USER },
                { "runtime", required_argument, NULL, OPTION_RUNTIME },
                { "state-dir", required_argument, NULL, OPTION_STATE_DIR },
                { "exit-idle", required_argument, NULL, OPTION_EXIT_IDLE },
                { "log-level", required_argument, NULL, OPTION_LOG_LEVEL },
                { "log-target", required_argument, NULL, OPTION_LOG_TARGET },
                {},
        };
        int option, r;

        while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
                r = argument(arguments, option, optarg);
                if (r < 0)
                        return r;
        }
        return optind < argc ? usage("arguments", argv[optind], "none") : 0;
}

/* Before any thread exists, so that all of them have the same. */
static void set_up_signals(void) {
        sigset_t blocked;

        sigemptyset(&blocked);
        sigaddset(&blocked, SIGCHLD);
        sigaddset(&blocked, SIGHUP);
        sigaddset(&blocked, SIGINT);
        sigaddset(&blocked, SIGTERM);
        sigprocmask(SIG_BLOCK, &blocked, NULL);
        signal(SIGPIPE, SIG_IGN);
}

/* Every running plugin takes some descriptors; the usual soft limit is for programs that use select(). */
static void raise_file_limit(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
                return;
        limit.rlim_cur = limit.rlim_max;
        (void) setrlimit(RLIMIT_NOFILE, &limit);
}

static int run(int argc, char *argv[]) {
        Arguments arguments = { .log_level = LOG_INFO };
        Daemon *daemon = NULL;
        int status = EXIT_FAILURE;

        if (parse_arguments(argc, argv, &arguments) < 0)
                return EXIT_FAILURE;
        if (arguments.instead)
                return arguments.instead();
        log_open(arguments.config.log_target, arguments.log_level);
        set_up_signals();
        raise_file_limit();
        if (daemon_new(&arguments.config, &daemon) >= 0 && daemon_start(daemon) >= 0)
                status = daemon_loop(daemon);
        daemon_free(daemon);
        return status;
}

int main(int argc, char *argv[]) {
        return run(argc, argv);
}
