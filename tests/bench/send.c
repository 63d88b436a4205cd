/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Send and SendBytes to an echo plugin, against a bare echo service on the same bus. */
#include "world.h"

#include <stdio.h>
#include <string.h>

#define TURN 25 /* calls in a row of one side */
#define BURST 4 /* times what is in flight */

typedef struct Size {
        size_t size;
        const char *name;
        unsigned count, window;
        double goals[2]; /* of the latency, for each kind of bus */
} Size;

static const Size sizes[] = {
        { 100, "100 B", 1500, 64, { 1.35, 1.5 } },
        { 4096, "4 KiB", 1000, 64, {} },
        { 65536, "64 KiB", 400, 16, { 1.15, 1.4 } },
};

typedef struct Pipeline {
        World *world;
        const Target *target;
        const char *payload;
        size_t size;
        unsigned to_send, to_come;
} Pipeline;

/* Of each side, into the round's result; they are emptied. */
static void take_medians(Series from[2], Series results[2]) {
        for (unsigned side = 0; side < 2; side++) {
                series_add(&results[side], series_median(&from[side]));
                series_clear(&from[side]);
        }
}

static void latency_round(World *world, const Target targets[2], const char *payload, size_t size, unsigned count, Series results[2]) {
        Series usec[2] = {};

        for (unsigned done = 0; done < count; done += TURN)
                for (unsigned side = 0; side < 2; side++) {
                        target_repeat(world, &targets[side], payload, size, 2); /* caches are the other side's */
                        for (unsigned i = 0; i < TURN; i++)
                                series_add(&usec[side], target_round_trip(world, &targets[side], payload, size));
                }
        take_medians(usec, results);
}

static int pipeline_answered(sd_bus_message *reply, void *userdata, sd_bus_error *error);

static void pipeline_send(Pipeline *pipeline) {
        sd_bus_message *message = target_message(pipeline->world, pipeline->target, pipeline->payload, pipeline->size);

        must(sd_bus_call_async(pipeline->world->client, NULL, message, pipeline_answered, pipeline, 0));
        sd_bus_message_unref(message);
        pipeline->to_send--;
}

static int pipeline_answered(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Pipeline *pipeline = userdata;

        target_check(pipeline->target, reply, pipeline->payload, pipeline->size);
        pipeline->to_come--;
        if (pipeline->to_send > 0)
                pipeline_send(pipeline);
        return 0;
}

/* Calls per second, WINDOW of them being in flight all the time. */
static double throughput(World *world, const Target *target, const char *payload, size_t size, unsigned window, unsigned count) {
        Pipeline pipeline = { world, target, payload, size, count, count };
        double start = now_usec();

        for (unsigned i = 0; i < window; i++)
                pipeline_send(&pipeline);
        while (pipeline.to_come > 0)
                if (must(sd_bus_process(world->client, NULL)) == 0)
                        must(sd_bus_wait(world->client, UINT64_MAX));
        return count * 1e6 / (now_usec() - start);
}

/* In short bursts, since each is either disturbed by others or not. */
static void throughput_round(World *world, const Target targets[2], const char *payload, const Size *size, unsigned bursts,
                             Series results[2]) {
        Series per_second[2] = {};

        for (unsigned burst = 0; burst < bursts; burst++)
                for (unsigned side = 0; side < 2; side++)
                        series_add(&per_second[side],
                                   throughput(world, &targets[side], payload, size->size, size->window, BURST * size->window));
        take_medians(per_second, results);
}

static void measure_size(World *world, BusKind kind, const char *plugin, const Size *size, const Target targets[2],
                         const Options *options) {
        g_autofree char *payload = payload_new(size->size);
        g_autofree char *latency = g_strdup_printf("%s to %s, %s, round trip", targets[1].member, plugin, size->name);
        g_autofree char *pipelined = g_strdup_printf("%s to %s, %s, %u in flight", targets[1].member, plugin, size->name, size->window);
        Series usec[2] = {}, per_second[2] = {};
        unsigned count = scaled(options, size->count, TURN), bursts = scaled(options, 30, 5);

        for (unsigned side = 0; side < 2; side++)
                target_repeat(world, &targets[side], payload, size->size, TURN);
        for (unsigned round = 0; round < options->rounds; round++) {
                latency_round(world, targets, payload, size->size, count, usec);
                throughput_round(world, targets, payload, size, bursts, per_second);
        }
        table_compare(&(Row){ latency, "us", size->goals[kind], false }, &usec[0], &usec[1]);
        table_compare(&(Row){ pipelined, "/s", kind == BUS_DBUS_DAEMON ? 0.9 : 0, true }, &per_second[0], &per_second[1]);
}

static void measure_bus(BusKind kind, const Options *options) {
        g_autofree char *title = g_strdup_printf("Send on %s", bus_kind_to_string(kind));
        World *world;
        struct {
                const char *name, *dialect, *command;
        } plugins[] = {
                { "SDK echo", "plugind", ECHO_BINARY },
                { "pipes", "jsonrpc", PLUGIN_BINARY },
        };

        if (!bus_kind_is_installed(kind))
                fail("%s is not installed", bus_kind_to_string(kind));
        world = world_new(&(WorldSetup){ .kind = kind, .bare = true });
        table_begin(title, "bare sd-bus echo", "plugind");
        for (unsigned i = 0; i < G_N_ELEMENTS(plugins); i++) {
                g_autofree char *path = world_load(world, plugins[i].dialect, plugins[i].dialect, plugins[i].command, NULL);

                world_set_active(world, path);
                for (unsigned bytes = 0; bytes < 2; bytes++)
                        for (unsigned s = 0; s < G_N_ELEMENTS(sizes); s++)
                                measure_size(world, kind, plugins[i].name, &sizes[s],
                                             (Target[]){ target_bare(bytes), target_session(path, bytes) }, options);
        }
        world_free(world);
}

void bench_send(const Options *options) {
        measure_bus(BUS_DBUS_DAEMON, options);
        measure_bus(BUS_DBUS_BROKER, options);
}
