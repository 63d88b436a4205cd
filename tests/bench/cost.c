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

/* What the process PID spends on each of SENDS calls; FILE is for the tool's own use. */
typedef double (*Counter)(World *world, pid_t pid, const Target *target, const char *payload, size_t size, const char *file);

/* The last line is the sum: "total  CALLS". */
static double system_calls(World *world, pid_t pid, const Target *target, const char *payload, size_t size, const char *file) {
        g_autofree char *text = NULL;
        pid_t strace = start_strace(pid, file);
        const char *total;

        target_repeat(world, target, payload, size, SENDS);
        kill(strace, SIGINT);
        must(process_wait(strace, PATIENCE_USEC));
        if (!g_file_get_contents(file, &text, NULL, NULL) || !(total = strstr(text, "total")))
                fail("%s: no count of system calls", file);
        return (double) g_ascii_strtoull(total + strlen("total"), NULL, 10) / SENDS;
}

static void callgrind_control(pid_t pid, const char *what) {
        g_autofree char *number = g_strdup_printf("%i", pid);
        int output = open("/dev/null", O_WRONLY | O_CLOEXEC);
        pid_t control = must(process_start((char *[]){ (char *) "callgrind_control", (char *) what, number, NULL }, NULL, output, -1));

        close(output);
        if (must(process_wait(control, PATIENCE_USEC)) != 0)
                fail("callgrind_control %s fails", what);
}

static double instructions(World *world, pid_t pid, const Target *target, const char *payload, size_t size, const char *file) {
        g_autofree char *text = NULL;
        const char *total;

        callgrind_control(pid, "--zero");
        target_repeat(world, target, payload, size, SENDS);
        callgrind_control(pid, "--dump");
        if (!g_file_get_contents(file, &text, NULL, NULL) || !(total = strstr(text, "\nsummary: ")))
                fail("%s: no count of instructions", file);
        return (double) g_ascii_strtoull(total + strlen("\nsummary: "), NULL, 10) / SENDS;
}

/* Files are FOLDER/count.PID.N, as callgrind names what it dumps. */
static void measure(World *world, const char *folder, const char *what, Counter count, double goal) {
        g_autofree char *path = world_load(world, "echo", "plugind", ECHO_BINARY, NULL);
        pid_t pids[2] = { world->bare, world->daemon };
        unsigned dump = 0;

        world_set_active(world, path);
        for (unsigned bytes = 0; bytes < 2; bytes++)
                for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
                        Target targets[2] = { target_bare(bytes), target_session(path, bytes) };
                        g_autofree char *payload = payload_new(sizes[i]);
                        g_autofree char *row = g_strdup_printf("%s of a %s, %zu B", what, targets[1].member, sizes[i]);
                        Series figures[2] = {};

                        dump++;
                        for (unsigned side = 0; side < 2; side++) {
                                g_autofree char *file = g_strdup_printf("%s/count.%i.%u", folder, pids[side], dump);

                                target_repeat(world, &targets[side], payload, sizes[i], 50);
                                series_add(&figures[side], count(world, pids[side], &targets[side], payload, sizes[i], file));
                        }
                        table_absolute(&(Row){ row, "", sizes[i] > 100 ? 0 : goal, false }, &figures[0], &figures[1]);
                }
}

void bench_cost(const Options *options) {
        g_autofree char *folder = options->profile ? g_canonicalize_filename(options->profile, NULL) : temporary_folder_new();
        g_autofree char *file = g_strdup_printf("--callgrind-out-file=%s/count.%%p", folder);
        World *world = world_new(&(WorldSetup){ .kind = BUS_DBUS_DAEMON, .bare = true });

        table_begin("What a Send costs the daemon", "bare sd-bus echo", "plugind");
        measure(world, folder, "system calls", system_calls, 8);
        world_free(world);
        world = world_new(&(WorldSetup){ .kind = BUS_DBUS_DAEMON,
                                         .bare = true,
                                         .wrapper = (char *[]){ (char *) "valgrind", (char *) "--tool=callgrind", file, NULL } });
        measure(world, folder, "instructions", instructions, 30000);
        world_free(world);
        if (!options->profile)
                temporary_folder_free(g_steal_pointer(&folder));
}
