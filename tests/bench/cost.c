/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What one Send costs the daemon: system calls as strace counts them, instructions as valgrind counts them. Neither knows of a busy machine. */
#include "world.h"

#include "support/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SENDS 1000
#define PATIENCE_USEC (60 * G_USEC_PER_SEC)

static const size_t sizes[] = { 100, 4096, 65536 };

static pid_t start_strace(pid_t daemon, const char *file) {
        g_autofree char *pid = g_strdup_printf("%i", daemon);
        char said[256] = "";
        int ends[2];
        pid_t strace;

        if (pipe2(ends, O_CLOEXEC) < 0)
                fail("pipe2: %m");
        strace = must(process_start((char *[]){ (char *) "strace", (char *) "-f", (char *) "-c", (char *) "-U", (char *) "name,calls",
                                                (char *) "-o", (char *) file, (char *) "-p", pid, NULL },
                                    NULL, ends[1], -1));
        close(ends[1]);
        if (read(ends[0], said, sizeof(said) - 1) <= 0 || !strstr(said, "attached"))
                fail("strace cannot attach: %s", said);
        close(ends[0]);
        return strace;
}

/* The last line is the sum: "total  CALLS". */
static double system_calls(World *world, const char *folder, const Target *target, const char *payload, size_t size) {
        g_autofree char *file = g_build_filename(folder, "strace", NULL), *text = NULL;
        pid_t strace = start_strace(world->daemon, file);
        const char *total;

        target_repeat(world, target, payload, size, SENDS);
        kill(strace, SIGINT);
        must(process_wait(strace, PATIENCE_USEC));
        if (!g_file_get_contents(file, &text, NULL, NULL) || !(total = strstr(text, "total")))
                fail("%s: no count of system calls", file);
        return (double) g_ascii_strtoull(total + strlen("total"), NULL, 10) / SENDS;
}

static void callgrind_control(World *world, const char *what) {
        g_autofree char *pid = g_strdup_printf("%i", world->daemon);
        int output = open("/dev/null", O_WRONLY | O_CLOEXEC);
        pid_t control = must(process_start((char *[]){ (char *) "callgrind_control", (char *) what, pid, NULL }, NULL, output, -1));

        close(output);
        if (must(process_wait(control, PATIENCE_USEC)) != 0)
                fail("callgrind_control %s fails", what);
}

static double instructions(World *world, const char *folder, const Target *target, const char *payload, size_t size, unsigned dump) {
        g_autofree char *name = g_strdup_printf("callgrind.out.%u", dump), *file = g_build_filename(folder, name, NULL);
        g_autofree char *text = NULL;
        const char *total;

        callgrind_control(world, "--zero");
        target_repeat(world, target, payload, size, SENDS);
        callgrind_control(world, "--dump");
        if (!g_file_get_contents(file, &text, NULL, NULL) || !(total = strstr(text, "\nsummary: ")))
                fail("%s: no count of instructions", file);
        return (double) g_ascii_strtoull(total + strlen("\nsummary: "), NULL, 10) / SENDS;
}

static void measure(World *world, const char *folder, bool count_instructions) {
        g_autofree char *path = world_load(world, "echo", "plugind", ECHO_BINARY, NULL);
        unsigned dumps = 0;

        world_set_active(world, path);
        for (unsigned bytes = 0; bytes < 2; bytes++)
                for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
                        Target target = target_session(path, bytes);
                        g_autofree char *payload = payload_new(sizes[i]);
                        g_autofree char *what = g_strdup_printf("%s of a %s, %zu B", count_instructions ? "instructions" : "system calls",
                                                                target.member, sizes[i]);
                        Series figure = {};

                        target_repeat(world, &target, payload, sizes[i], 50);
                        series_add(&figure, count_instructions ? instructions(world, folder, &target, payload, sizes[i], ++dumps)
                                                               : system_calls(world, folder, &target, payload, sizes[i]));
                        table_figure(&(Row){ what, "", sizes[i] > 100 ? 0 : count_instructions ? 30000 : 8, false }, &figure);
                }
}

static void measure_instructions(const Options *options) {
        g_autofree char *folder = options->profile ? g_canonicalize_filename(options->profile, NULL) : temporary_folder_new();
        g_autofree char *file = g_strdup_printf("--callgrind-out-file=%s/callgrind.out", folder);
        World *world = world_new(&(WorldSetup){ .kind = BUS_DBUS_DAEMON,
                                                .wrapper = (char *[]){ (char *) "valgrind", (char *) "--tool=callgrind", file, NULL } });

        measure(world, folder, true);
        world_free(world);
        if (!options->profile)
                temporary_folder_free(g_steal_pointer(&folder));
}

void bench_cost(const Options *options) {
        World *world = world_new(&(WorldSetup){ .kind = BUS_DBUS_DAEMON });

        table_begin("What a Send costs the daemon", "", "plugind");
        measure(world, world->folder, false);
        world_free(world);
        measure_instructions(options);
}
