/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the wish to the first answer: a plugin started by plugind, against posix_spawn() of the same binary with the same descriptors
 * and the same first request, by a program that does nothing else. Once more with a daemon of 500 MB.
 *
 * For the dialect `jsonrpc` connected is active, so what is measured there is a Send that starts the plugin on demand. With `plugind`
 * it is SetActiveState, which answers when the plugin has answered the greeting.
 */
#include "world.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define REQUEST "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":{\"a\":1}}\n"
#define GREETING                                                                                                                           \
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"plugind/initialize\",\"params\":{\"protocol\":1,\"host\":{\"name\":\"plugind\","       \
        "\"version\":\"1\"},\"session\":\"plugin\",\"configuration\":{},\"limits\":{\"message\":16777216},\"features\":[]}}\n"

typedef struct Binary {
        const char *name, *command, *dialect, *request;
        bool socket;
} Binary;

static const Binary binaries[] = {
        { "smallest plugin, Send to answer", PLUGIN_BINARY, "jsonrpc", REQUEST, false },
        { "SDK echo, start to greeted", ECHO_BINARY, "plugind", GREETING, true },
};

/* ENDS[0], its stdin, and ENDS[1], its stdout, are the child's; what is returned in ours[] is the parent's. */
static void make_stdio(bool socket, int ends[2], int ours[2]) {
        int in[2], out[2];

        if (socket) {
                if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) < 0)
                        fail("socketpair: %m");
                ends[0] = ends[1] = in[1];
                ours[0] = ours[1] = in[0];
                return;
        }
        if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
                fail("pipe2: %m");
        ends[0] = in[0];
        ends[1] = out[1];
        ours[0] = out[0];
        ours[1] = in[1];
}

static double bare_start(const Binary *binary) {
        char *argv[] = { (char *) binary->command, NULL }, *envp[] = { (char *) "PATH=/usr/bin:/bin", NULL }, byte;
        posix_spawn_file_actions_t actions;
        double start_usec = now_usec(), usec;
        int ends[2], ours[2], r;
        pid_t pid;

        make_stdio(binary->socket, ends, ours);
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO);
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
        r = posix_spawn(&pid, binary->command, &actions, NULL, argv, envp);
        if (r != 0)
                fail("%s: %s", binary->command, g_strerror(r));
        posix_spawn_file_actions_destroy(&actions);
        close(ends[0]);
        if (!binary->socket)
                close(ends[1]);
        if (write(ours[1], binary->request, strlen(binary->request)) < 0 || read(ours[0], &byte, 1) != 1)
                fail("%s does not answer", binary->command);
        usec = now_usec() - start_usec;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        close(ours[0]);
        if (!binary->socket)
                close(ours[1]);
        return usec;
}

/* What was stopped is not started by a call, so it is loaded anew each time. */
static double plugind_start(World *world, const Binary *binary) {
        g_autofree char *path = world_load(world, "plugin", binary->dialect, binary->command, NULL);
        Target target = target_session(path, false);
        double start_usec = now_usec(), usec;

        if (binary->socket)
                world_set_active(world, path);
        else
                target_round_trip(world, &target, "{\"a\":1}", 7);
        usec = now_usec() - start_usec;
        world_unload(world, "plugin");
        return usec;
}

static void measure(World *world, const Binary *binary, const char *suffix, const Options *options) {
        g_autofree char *what = g_strconcat(binary->name, suffix, NULL);
        Series bare = {}, ours = {};
        unsigned count = scaled(options, 60, 10);

        bare_start(binary);
        plugind_start(world, binary);
        for (unsigned round = 0; round < options->rounds; round++) {
                Series usec[2] = {};

                for (unsigned i = 0; i < count; i++) {
                        series_add(&usec[0], bare_start(binary));
                        series_add(&usec[1], plugind_start(world, binary));
                }
                series_add(&bare, series_median(&usec[0]));
                series_add(&ours, series_median(&usec[1]));
                series_clear(&usec[0]);
                series_clear(&usec[1]);
        }
        table_compare(&(Row){ what, "us", 1.2, false }, &bare, &ours);
}

void bench_spawn(const Options *options) {
        table_begin("Spawn to ready", "bare posix_spawn", "plugind");
        for (unsigned large = 0; large < 2; large++) {
                World *world = world_new(&(WorldSetup){ .kind = BUS_DBUS_DAEMON, .preload = large ? BALLAST_LIBRARY : NULL });

                for (unsigned i = 0; i < G_N_ELEMENTS(binaries); i++)
                        measure(world, &binaries[i], large ? ", daemon of 500 MB" : "", options);
                world_free(world);
        }
}
