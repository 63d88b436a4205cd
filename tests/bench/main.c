/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench.h"

#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

static const struct {
        const char *name, *what;
        void (*run)(const Options *options);
} subjects[] = {
        { "send", "Send against a bare echo service on the same bus", bench_send },
        { "spawn", "spawn to ready against posix_spawn()", bench_spawn },
        { "units", "the same where plugins are units, against systemd-run (in a container)", bench_units },
        { "restart", "restart after a crash against runsv", bench_restart },
        { "sessions", "10,000 loaded sessions", bench_sessions },
        { "cost", "system calls and instructions of a Send", bench_cost },
};

static int help(void) {
        puts("bench [OPTIONS...] [SUBJECT...]\n\n"
             "Measures plugind beside what it is compared with; all subjects without one.\n\n"
             "  -h --help         Show this help\n"
             "     --rounds=N     How often each is measured (default: 7)\n"
             "     --quick        A tenth of the repetitions within a round\n"
             "     --profile=DIR  Keep what callgrind wrote while \"cost\" was measured\n"
             "     --core=N       The core that everything runs on (default: the last)\n\n"
             "Subjects:");
        for (size_t i = 0; i < G_N_ELEMENTS(subjects); i++)
                printf("  %-10s %s\n", subjects[i].name, subjects[i].what);
        return EXIT_SUCCESS;
}

/* Children inherit it, and so do theirs. */
static void pin(int core) {
        cpu_set_t set;

        CPU_ZERO(&set);
        CPU_SET((size_t) core, &set);
        if (sched_setaffinity(0, sizeof(set), &set) < 0)
                fail("core %i: %m", core);
        if (setpriority(PRIO_PROCESS, 0, -10) < 0)
                fprintf(stderr, "Without the right to a higher priority (%m), others on this machine show in the figures.\n");
}

static void describe_machine(const Options *options, int core) {
        g_autofree char *cpu = NULL, *load = NULL;
        struct utsname system;
        char *model = NULL;

        uname(&system);
        if (g_file_get_contents("/proc/cpuinfo", &cpu, NULL, NULL) && (model = strstr(cpu, "model name"))) {
                model = strchr(model, ':') + 2;
                *strchrnul(model, '\n') = 0;
        }
        if (g_file_get_contents("/proc/loadavg", &load, NULL, NULL))
                *strchrnul(load, ' ') = 0;
        printf("%s, Linux %s, %li cores, all on core %i; load before: %s; %u rounds%s.\n", model ?: system.machine, system.release,
               sysconf(_SC_NPROCESSORS_ONLN), core, load ?: "unknown", options->rounds, options->effort < 1 ? ", quick" : "");
}

static bool wanted(const char *name, char **names) {
        return !*names || g_strv_contains((const char *const *) names, name);
}

static int check_names(char **names) {
        for (; *names; names++) {
                bool known = false;

                for (size_t i = 0; i < G_N_ELEMENTS(subjects); i++)
                        known = known || g_str_equal(subjects[i].name, *names);
                if (!known) {
                        fprintf(stderr, "bench: there is no subject \"%s\", see --help\n", *names);
                        return -1;
                }
        }
        return 0;
}

int main(int argc, char *argv[]) {
        static const struct option long_options[] = {
                { "help", no_argument, NULL, 'h' },       { "rounds", required_argument, NULL, 'r' },
                { "quick", no_argument, NULL, 'q' },      { "profile", required_argument, NULL, 'p' },
                { "core", required_argument, NULL, 'c' }, {},
        };
        Options options = { .rounds = 7, .effort = 1 };
        int core = (int) sysconf(_SC_NPROCESSORS_ONLN) - 1, option;

        while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1)
                switch (option) {
                case 'h':
                        return help();
                case 'r':
                        options.rounds = (unsigned) CLAMP(atoi(optarg), 1, 1000);
                        break;
                case 'q':
                        options.effort = 0.1;
                        break;
                case 'p':
                        options.profile = optarg;
                        break;
                case 'c':
                        core = atoi(optarg);
                        break;
                default:
                        return 2;
                }
        if (check_names(argv + optind) < 0)
                return 2;
        pin(core);
        describe_machine(&options, core);
        for (size_t i = 0; i < G_N_ELEMENTS(subjects); i++)
                if (wanted(subjects[i].name, argv + optind))
                        subjects[i].run(&options);
        return EXIT_SUCCESS;
}
