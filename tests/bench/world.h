/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A bus, plugind on it, and a connection to both; with it the calls that more than one subject makes. */
#pragma once

#include "bench.h"

#include <sys/types.h>
#include <systemd/sd-bus.h>

#include "support/private-bus.h"

#define PLUGIND "org.plugind1"
#define PLUGIND_PATH "/org/plugind1"
#define PLUGIND_SESSION "org.plugind1.Session"
#define BARE "org.plugind1.bench.Echo"
#define BARE_PATH "/echo"

typedef struct World {
        PrivateBus *bus;
        sd_bus *client;
        pid_t daemon, bare;
        char *folder;
} World;

typedef struct WorldSetup {
        BusKind kind;
        char *const *wrapper; /* what plugind and the bare service are run under; NULL: nothing */
        const char *preload;  /* a library that plugind is started with; NULL: none */
        bool bare;            /* the bare echo service as well */
} WorldSetup;

World *world_new(const WorldSetup *setup);
World *world_free(World *world);

/* Loads a transient session that runs COMMAND (with one ARGUMENT if not NULL) and speaks DIALECT. Newly allocated: its object's path. */
char *world_load(World *world, const char *id, const char *dialect, const char *command, const char *argument);
void world_unload(World *world, const char *id);
/* Returns when it is active. */
void world_set_active(World *world, const char *path);
/* Its crashes are forgotten: the next restart is the first again. */
void world_reset_failed(World *world, const char *path);

/* `{"text":"xxx"}` of SIZE bytes. */
char *payload_new(size_t size);

/* A call with one payload, to a session or to the bare service, as string or as bytes. */
typedef struct Target {
        const char *destination, *path, *interface, *member;
        bool session, bytes;
} Target;

Target target_bare(bool bytes);
Target target_session(const char *path, bool bytes);

sd_bus_message *target_message(World *world, const Target *target, const char *payload, size_t size);
/* That the answer is the payload again. */
void target_check(const Target *target, sd_bus_message *reply, const char *payload, size_t size);
/* One call, from its first byte to the last of its answer. */
double target_round_trip(World *world, const Target *target, const char *payload, size_t size);
void target_repeat(World *world, const Target *target, const char *payload, size_t size, unsigned count);
