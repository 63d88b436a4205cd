/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kill -9 of a plugin that has been well for more than a second, until it runs again: plugind against runsv, with the same binary. It
 * tells of itself by a datagram when it runs. (runsv waits a second before it restarts what has lived for less.)
 */
#include "world.h"

#include "support/process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define RUNSV "/usr/bin/runsv"
#define HEALTHY_USEC (1200 * 1000)
#define PATIENCE_MSEC 10000

typedef struct Ready {
        char *path;
        int fd;
} Ready;

static Ready ready_new(const char *folder, const char *name) {
        Ready ready = { g_build_filename(folder, name, NULL), socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) };
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        g_strlcpy(address.sun_path, ready.path, sizeof(address.sun_path));
        if (bind(ready.fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                fail("%s: %m", ready.path);
        return ready;
}

static void ready_wait(const Ready *ready) {
        struct pollfd waiting = { .fd = ready->fd, .events = POLLIN };
        char byte;

        if (poll(&waiting, 1, PATIENCE_MSEC) <= 0 || recv(ready->fd, &byte, 1, 0) < 0)
                fail("%s: the plugin does not come back", ready->path);
}

static void ready_free(Ready *ready) {
        close(ready->fd);
        g_free(ready->path);
}

/* runsv keeps its state beside `run`. Its service never reads an end of input. */
static pid_t start_runsv(const char *folder, const Ready *ready) {
        g_autofree char *service = g_build_filename(folder, "service", NULL), *run = g_build_filename(service, "run", NULL);
        g_auto(GStrv) envp = g_environ_setenv(g_get_environ(), "BENCH_READY", ready->path, TRUE);
        int input[2], kept = dup(STDIN_FILENO);
        pid_t pid;

        if (mkdir(service, 0755) < 0 || symlink(PLUGIN_BINARY, run) < 0 || pipe(input) < 0)
                fail("%s: %m", service);
        dup2(input[0], STDIN_FILENO);
        close(input[0]);
        pid = must(process_start((char *[]){ (char *) RUNSV, service, NULL }, envp, -1, -1));
        dup2(kept, STDIN_FILENO);
        close(kept);
        return pid; /* input[1] stays open as long as we live */
}

static pid_t only_child(pid_t pid) {
        g_autofree pid_t *children = process_children(pid);

        if (!children[0])
                fail("process %i has no child", pid);
        return children[0];
}

static double restart(pid_t supervisor, const Ready *ready) {
        pid_t pid = only_child(supervisor);
        double start_usec = now_usec();

        if (kill(pid, SIGKILL) < 0)
                fail("kill: %m");
        ready_wait(ready);
        return now_usec() - start_usec;
}

void bench_restart(const Options *options) {
        World *world = world_new(&(WorldSetup){ .kind = BUS_DBUS_DAEMON });
        Ready ready[2] = { ready_new(world->folder, "runsv-ready"), ready_new(world->folder, "plugind-ready") };
        g_autofree char *path = world_load(world, "plugin", "jsonrpc", PLUGIN_BINARY, ready[1].path);
        pid_t supervisors[2] = { start_runsv(world->folder, &ready[0]), world->daemon };
        Series usec[2] = {};

        world_set_active(world, path);
        ready_wait(&ready[0]);
        ready_wait(&ready[1]);
        table_begin("Restart after a crash", "runsv", "plugind");
        for (unsigned round = 0; round < 2 * options->rounds; round++) {
                g_usleep(HEALTHY_USEC);          /* what is to be healthy for a second needs a second */
                world_reset_failed(world, path); /* further restarts within 30 s are delayed on purpose */
                for (unsigned turn = 0; turn < 2; turn++) {
                        unsigned side = (round + turn) % 2;

                        series_add(&usec[side], restart(supervisors[side], &ready[side]));
                }
        }
        table_compare(&(Row){ "kill -9 to running again", "us", 1.0, false }, &usec[0], &usec[1]);
        kill(supervisors[0], SIGTERM);
        must(process_wait(supervisors[0], PATIENCE_MSEC * 1000));
        world_free(world);
        ready_free(&ready[0]);
        ready_free(&ready[1]);
}
