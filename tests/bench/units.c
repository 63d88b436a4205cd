/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the wish to the first answer where plugins are units: Load and a Send, against the same program in a transient unit with the same
 * settings, started by systemd-run and, once more, by a program that is already connected to the bus and says StartTransientUnit itself.
 * The settings are the same files: systemd finds the profiles (plugind-strict-.service.d) by the unit's name, and what plugind passes
 * besides is passed here as well.
 *
 * Everything in the container is on one core, process 1 too, so this runs in a container only: tests/system/run boots one.
 */
#include "world.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SYSTEMD "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"
#define REQUEST "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":{\"a\":1}}\n"
#define PATIENCE_USEC (30 * G_USEC_PER_SEC)
/* Where it is seen whatever ProtectHome= and the like hide. */
#define CONTAINER_BUILD "/opt/plugind-test/build"

typedef struct Side {
        World world;
        const char *profile, *program;
        char *awaited; /* the unit whose end is waited for */
} Side;

static unsigned number;

static void pin_everything(void) {
        g_autoptr(GDir) processes = g_dir_open("/proc", 0, NULL);
        const char *name;
        cpu_set_t set;

        must(sched_getaffinity(0, sizeof(set), &set));
        while ((name = g_dir_read_name(processes))) {
                g_autofree char *path = g_strdup_printf("/proc/%s/task", name);
                g_autoptr(GDir) threads = g_ascii_isdigit(name[0]) ? g_dir_open(path, 0, NULL) : NULL;

                while (threads && (name = g_dir_read_name(threads)))
                        (void) sched_setaffinity(atoi(name), sizeof(set), &set); /* it may have ended */
        }
}

static int removed(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Side *side = userdata;
        const char *name;

        must(sd_bus_message_read(message, "so", &name, NULL));
        if (g_strcmp0(name, side->awaited) == 0)
                g_clear_pointer(&side->awaited, g_free);
        return 0;
}

static void wait_removed(Side *side, const char *what) {
        double deadline = now_usec() + PATIENCE_USEC;

        while (side->awaited) {
                if (must(sd_bus_process(side->world.client, NULL)) > 0)
                        continue;
                must(sd_bus_wait(side->world.client, G_USEC_PER_SEC));
                if (now_usec() > deadline)
                        fail("%s (%s) does not end", side->awaited, what);
        }
}

/* What the program is asked is there before it runs. */
static void make_pipes(int in[2], int out[2]) {
        if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
                fail("pipe2: %m");
        if (write(in[1], REQUEST, strlen(REQUEST)) < 0)
                fail("write: %m");
}

static void wait_answer(int in[2], int out[2], const char *what) {
        char byte;

        close(in[0]);
        close(out[1]);
        if (read(out[0], &byte, 1) != 1)
                fail("%s: the program does not answer", what);
}

static char *unit_name(const Side *side) {
        return g_strdup_printf("plugind-%s-bare-%u.service", side->profile, ++number);
}

static bool is_strict(const Side *side) {
        return strcmp(side->profile, "strict") == 0;
}

static void append_strict(sd_bus_message *m) {
        must(sd_bus_message_append(m, "(sv)(sv)(sv)(sv)", "User", "s", "pd-bare", "TasksMax", "t", (uint64_t) 512, "LimitNPROC", "t",
                                   (uint64_t) 512, "MemoryMax", "t", UINT64_C(2) << 30));
}

static sd_bus_message *transient_unit(Side *side, const char *name, int in, int out) {
        sd_bus_message *m = NULL;

        must(sd_bus_message_new_method_call(side->world.client, &m, SYSTEMD, SYSTEMD_PATH, SYSTEMD_MANAGER, "StartTransientUnit"));
        must(sd_bus_message_append(m, "ss", name, "fail"));
        must(sd_bus_message_open_container(m, 'a', "(sv)"));
        must(sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)(sv)(sv)", "Type", "s", "exec", "Slice", "s", "plugind.slice", "CollectMode",
                                   "s", "inactive-or-failed", "DefaultDependencies", "b", 0, "StandardError", "s", "journal",
                                   "SyslogIdentifier", "s", "bare", "KillMode", "s", "control-group"));
        must(sd_bus_message_append(m, "(sv)(sv)(sv)", "CPUAccounting", "b", 1, "MemoryAccounting", "b", 1, "TasksAccounting", "b", 1));
        must(sd_bus_message_append(m, "(sv)(sv)", "StateDirectory", "as", 1, "plugind-data/bare", "StateDirectoryMode", "u", 0700));
        must(sd_bus_message_append(m, "(sv)(sv)", "StandardInputFileDescriptor", "h", in, "StandardOutputFileDescriptor", "h", out));
        if (is_strict(side))
                append_strict(m);
        must(sd_bus_message_append(m, "(sv)", "ExecStart", "a(sasb)", 1, side->program, 1, side->program, 0));
        must(sd_bus_message_close_container(m));
        must(sd_bus_message_append(m, "a(sa(sv))", 0));
        return m;
}

static double start_transient(Side *side) {
        g_autofree char *name = unit_name(side);
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *message;
        double start_usec, usec;
        int in[2], out[2];

        side->awaited = g_strdup(name);
        start_usec = now_usec();
        make_pipes(in, out);
        message = transient_unit(side, name, in[0], out[1]);
        if (sd_bus_call(side->world.client, message, PATIENCE_USEC, &error, NULL) < 0)
                fail("StartTransientUnit: %s: %s", error.name, error.message);
        sd_bus_message_unref(message); /* and with it the descriptors in it */
        wait_answer(in, out, "StartTransientUnit");
        usec = now_usec() - start_usec;
        close(in[1]);
        close(out[0]);
        wait_removed(side, "StartTransientUnit");
        return usec;
}

static char **systemd_run_line(const Side *side, const char *name) {
        static const char *const strict[] = { "-pUser=pd-bare", "-pTasksMax=512", "-pLimitNPROC=512", "-pMemoryMax=2G" };
        static const char *const settings[] = { "-pDefaultDependencies=no",  "-pStandardError=journal",
                                                "-pSyslogIdentifier=bare",   "-pCPUAccounting=yes",
                                                "-pMemoryAccounting=yes",    "-pTasksAccounting=yes",
                                                "-pStateDirectoryMode=0700", "-pType=exec",
                                                "-pKillMode=control-group",  "-pStateDirectory=plugind-data/bare" };
        g_autoptr(GStrvBuilder) line = g_strv_builder_new();
        g_autofree char *unit = g_strconcat("--unit=", name, NULL);

        g_strv_builder_add_many(line, "/usr/bin/systemd-run", "--quiet", "--pipe", "--collect", "--slice=plugind.slice", unit, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(settings); i++)
                g_strv_builder_add(line, settings[i]);
        for (size_t i = 0; i < G_N_ELEMENTS(strict) && is_strict(side); i++)
                g_strv_builder_add(line, strict[i]);
        g_strv_builder_add(line, side->program);
        return g_strv_builder_end(line);
}

static pid_t spawn(char **line, int in, int out) {
        posix_spawn_file_actions_t actions;
        pid_t pid;
        int r;

        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
        posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
        r = posix_spawn(&pid, line[0], &actions, NULL, line, environ);
        if (r != 0)
                fail("%s: %s", line[0], g_strerror(r));
        posix_spawn_file_actions_destroy(&actions);
        return pid;
}

static double start_systemd_run(Side *side) {
        g_autofree char *name = unit_name(side);
        g_auto(GStrv) line = systemd_run_line(side, name);
        double start_usec, usec;
        int in[2], out[2];
        pid_t pid;

        side->awaited = g_strdup(name);
        start_usec = now_usec();
        make_pipes(in, out);
        pid = spawn(line, in[0], out[1]);
        wait_answer(in, out, "systemd-run");
        usec = now_usec() - start_usec;
        close(in[1]);
        close(out[0]);
        wait_removed(side, "systemd-run");
        waitpid(pid, NULL, 0);
        return usec;
}

static double start_plugind(Side *side) {
        g_autofree char *manifest = g_strdup_printf("{\"manifestVersion\":1,\"command\":\"%s\",\"dialect\":\"jsonrpc\","
                                                    "\"sandbox\":{\"profile\":\"%s\"},\"timeouts\":{\"idle\":0}}",
                                                    side->program, side->profile);
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        double start_usec = now_usec(), usec;
        const char *path, *result;

        if (sd_bus_call_method(side->world.client, PLUGIND, PLUGIND_PATH, "org.plugind1.Host", "Load", &error, &reply, "sa{sv}", "bench", 1,
                               "manifest", "s", manifest) < 0)
                fail("Load: %s: %s", error.name, error.message);
        must(sd_bus_message_read(reply, "o", &path));
        sd_bus_message_unref(reply);
        if (sd_bus_call_method(side->world.client, PLUGIND, PLUGIND_PATH "/session/bench", PLUGIND_SESSION, "Send", &error, &reply,
                               "ssa{sv}", "echo", "{\"a\":1}", 0) < 0)
                fail("Send: %s: %s", error.name, error.message);
        usec = now_usec() - start_usec;
        must(sd_bus_message_read(reply, "s", &result));
        if (strcmp(result, "{\"a\":1}") != 0)
                fail("Send answered %s", result);
        sd_bus_message_unref(reply);
        world_unload(&side->world, "bench");
        return usec;
}

/* All three in turn, so that what else the machine does hits all of them alike. */
static void measure(const char *profile, const char *what, World *world, const char *program, const Options *options) {
        Side side = { .world = *world, .profile = profile, .program = program };
        g_autofree char *run = g_strconcat(what, ", against systemd-run", NULL);
        g_autofree char *transient = g_strconcat(what, ", against StartTransientUnit", NULL);
        double (*const starts[])(Side *) = { start_systemd_run, start_transient, start_plugind };
        Series rounds[G_N_ELEMENTS(starts)] = {}, ours = {};
        unsigned count = scaled(options, 30, 5);
        sd_bus_slot *slot = NULL;

        must(sd_bus_match_signal(world->client, &slot, SYSTEMD, SYSTEMD_PATH, SYSTEMD_MANAGER, "UnitRemoved", removed, &side));
        for (size_t i = 0; i < G_N_ELEMENTS(starts); i++)
                starts[i](&side);
        for (unsigned round = 0; round < options->rounds; round++) {
                Series usec[G_N_ELEMENTS(starts)] = {};

                for (unsigned i = 0; i < count * G_N_ELEMENTS(starts); i++)
                        series_add(&usec[i % G_N_ELEMENTS(starts)], starts[i % G_N_ELEMENTS(starts)](&side));
                for (size_t i = 0; i < G_N_ELEMENTS(starts); i++) {
                        series_add(&rounds[i], series_median(&usec[i]));
                        series_clear(&usec[i]);
                }
                series_add(&ours, rounds[2].values[round]);
        }
        table_compare(&(Row){ run, "us", 1.2, false }, &rounds[0], &rounds[2]);
        table_compare(&(Row){ transient, "us", 1.2, false }, &rounds[1], &ours);
        sd_bus_slot_unref(slot);
}

static bool in_container(void) {
        return access("/run/systemd/system", F_OK) >= 0 && access("/run/systemd/container", F_OK) >= 0;
}

void bench_units(const Options *options) {
        const char *broker = g_getenv("PLUGIND_TEST_BROKER");
        g_autofree char *program = g_strdup(CONTAINER_BUILD "/tests/bench/bench-plugin");
        g_autofree char *title = g_strdup_printf("A plugin as a unit, Load and Send to the answer, on %s", broker ?: "the system bus");
        World world = {};

        if (!in_container()) {
                fprintf(stderr, "Units are measured in a container with a systemd of its own: ./dev bench units\n");
                return;
        }
        if (access(program, X_OK) < 0)
                fail("%s: %m", program);
        pin_everything();
        must(sd_bus_open_system(&world.client));
        must(sd_bus_set_method_call_timeout(world.client, PATIENCE_USEC));
        must(sd_bus_call_method(world.client, SYSTEMD, SYSTEMD_PATH, SYSTEMD_MANAGER, "Subscribe", NULL, NULL, NULL));
        table_begin(title, "systemd", "plugind");
        measure("trusted", "a bare unit", &world, program, options);
        measure("strict", "a strict unit", &world, program, options);
        sd_bus_flush_close_unref(world.client);
}
