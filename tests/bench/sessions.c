/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a loaded session costs, and whether anything grows with their number: two daemons, one with 10 sessions and one with 10,000. */
#include "world.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#define FEW 10
#define MANY 10000

static uint64_t memory_bytes(pid_t pid) {
        g_autofree char *path = g_strdup_printf("/proc/%i/smaps_rollup", pid), *text = NULL;
        const char *line;

        if (!g_file_get_contents(path, &text, NULL, NULL) || !(line = strstr(text, "\nPrivate_Dirty:")))
                fail("%s cannot be read", path);
        return g_ascii_strtoull(line + strlen("\nPrivate_Dirty:"), NULL, 10) * 1024;
}

/* Processor time that PID has had. */
static double cpu_usec(pid_t pid) {
        struct timespec t;
        clockid_t clock;

        if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) < 0)
                fail("process %i has no clock", pid);
        return (double) t.tv_sec * 1e6 + (double) t.tv_nsec / 1e3;
}

static void fill(World *world, unsigned from, unsigned to) {
        for (unsigned i = from; i < to; i++) {
                g_autofree char *id = g_strdup_printf("idle-%05u", i);

                g_free(world_load(world, id, "jsonrpc", PLUGIN_BINARY, NULL));
        }
}

static void call(World *world, const char *path, const char *interface, const char *member, const char *types) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *message = NULL, *reply = NULL;

        must(sd_bus_message_new_method_call(world->client, &message, PLUGIND, path, interface, member));
        if (types)
                must(sd_bus_message_append(message, types, 0));
        if (sd_bus_call(world->client, message, UINT64_MAX, &error, &reply) < 0)
                fail("%s: %s: %s", member, error.name, error.message);
        sd_bus_message_unref(message);
        sd_bus_message_unref(reply);
}

static unsigned session_count(World *world) {
        uint32_t count = 0;

        must(sd_bus_get_property_trivial(world->client, PLUGIND, PLUGIND_PATH, "org.plugind1.Host", "Sessions", NULL, 'u', &count));
        return count;
}

static double load_usec(World *world, const char *session, unsigned count) {
        Series usec = {};
        double median;

        for (unsigned i = 0; i < count; i++) {
                double start_usec = now_usec();

                g_free(world_load(world, "one-more", "jsonrpc", PLUGIN_BINARY, NULL));
                series_add(&usec, now_usec() - start_usec);
                world_unload(world, "one-more");
        }
        median = series_median(&usec);
        series_clear(&usec);
        return median;
}

static double send_usec(World *world, const char *session, unsigned count) {
        Target target = target_session(session, false);
        Series usec = {};
        double median;

        target_repeat(world, &target, "{\"a\":1}", 7, 5);
        for (unsigned i = 0; i < count; i++)
                series_add(&usec, target_round_trip(world, &target, "{\"a\":1}", 7));
        median = series_median(&usec);
        series_clear(&usec);
        return median;
}

/* The daemon's own time for each session; COUNT sessions are listed in all. */
static double list_usec(World *world, const char *session, unsigned count) {
        unsigned sessions = session_count(world), times = MAX(count / sessions, 1U);
        double start_usec = cpu_usec(world->daemon);

        for (unsigned i = 0; i < times; i++)
                call(world, PLUGIND_PATH, "org.plugind1.Host", "ListSessions", "a{sv}");
        return (cpu_usec(world->daemon) - start_usec) / (times * sessions);
}

static double objects_usec(World *world, const char *session, unsigned count) {
        unsigned sessions = session_count(world), times = MAX(count / sessions, 1U);
        double start_usec = cpu_usec(world->daemon);

        for (unsigned i = 0; i < times; i++)
                call(world, PLUGIND_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", NULL);
        return (cpu_usec(world->daemon) - start_usec) / (times * sessions);
}

typedef struct Measurement {
        const char *what;
        double (*usec)(World *world, const char *session, unsigned count);
        unsigned count;
        double goal;
} Measurement;

static const Measurement measurements[] = {
        { "Load, one more", load_usec, 200, 1.1 },
        { "Send", send_usec, 1000, 1.1 },
        { "ListSessions, a session (the daemon's time)", list_usec, MANY, 1.1 },
        { "GetManagedObjects, an object (the daemon's time)", objects_usec, MANY, 1.1 },
};

static void measure(World *worlds[2], char *sessions[2], const Measurement *m, const Options *options) {
        Series usec[2] = {};
        double many;

        for (unsigned round = 0; round < options->rounds; round++)
                for (unsigned turn = 0; turn < 2; turn++) {
                        unsigned side = (round + turn) % 2;

                        series_add(&usec[side], m->usec(worlds[side], sessions[side], scaled(options, m->count, 10)));
                }
        many = series_median(&usec[1]);
        table_compare(&(Row){ m->what, "us", m->goal, false }, &usec[0], &usec[1]);
        if (m->usec == objects_usec) {
                series_add(&usec[1], many);
                table_figure(&(Row){ "the same, as a figure", "us", 5, false }, &usec[1]);
        }
}

void bench_sessions(const Options *options) {
        World *worlds[2];
        char *sessions[2];
        Series each = {};
        uint64_t before;

        for (unsigned side = 0; side < 2; side++) {
                worlds[side] = world_new(&(WorldSetup){ .kind = BUS_DBUS_DAEMON });
                sessions[side] = world_load(worlds[side], "active", "jsonrpc", PLUGIN_BINARY, NULL);
                world_set_active(worlds[side], sessions[side]);
                fill(worlds[side], 1, FEW);
        }
        before = memory_bytes(worlds[1]->daemon);
        fill(worlds[1], FEW, MANY);
        series_add(&each, (double) (memory_bytes(worlds[1]->daemon) - before) / (MANY - FEW));
        table_begin("10,000 loaded sessions", "with 10", "with 10,000");
        table_figure(&(Row){ "memory of the daemon, a session", "B", 2048, false }, &each);
        for (unsigned i = 0; i < G_N_ELEMENTS(measurements); i++)
                measure(worlds, sessions, &measurements[i], options);
        for (unsigned side = 0; side < 2; side++) {
                world_free(worlds[side]);
                g_free(sessions[side]);
        }
}
