/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One transient unit, and what the files about it share: systemd.c (the runtime, the start), systemd-end.c (the end) and systemd-adopt.c (the
 * hand-over to another daemon). */
#pragma once

#include "runtime/launch-host.h"
#include "runtime/runtime.h"
#include "runtime/systemd-calls.h"
#include "runtime/systemd-message.h"

#include <glib.h>

typedef struct SystemdRuntime {
        Runtime runtime;
        sd_event *event;
        sd_bus *bus;
        SystemdCalls *calls;
        sd_bus_slot *job_removed, *disconnected;
        sd_event_source *unreachable; /* ends units that systemd cannot be told of any more */
        GHashTable *units;            /* name -> SystemdUnit */
        bool user;
        unsigned number; /* of the last unit's name */
        Store *store;
        GPtrArray *left; /* names of units that an earlier daemon left, until it is known which of them go on */
        bool keeping;    /* the units run on without us */
} SystemdRuntime;

typedef enum UnitPhase {
        PHASE_LAUNCHING,
        PHASE_RUNNING, /* the plugin's own code */
        PHASE_ENDING,  /* systemd has been told to stop it */
        PHASE_GONE,
} UnitPhase;

typedef enum UnitProperty { EXEC_MAIN_CODE, EXEC_MAIN_STATUS, RESULT, ACTIVE_STATE, MAIN_PID, _UNIT_PROPERTY_MAX } UnitProperty;

typedef struct SystemdUnit SystemdUnit;

typedef struct Question {
        SystemdUnit *unit;
        SystemdCall *call;
} Question;

struct SystemdUnit {
        Unit unit;
        char *name, *path;
        UnitPhase phase;
        Launch launch;
        bool told_to_go, started;
        bool abandoned;       /* its owner has freed it: no callbacks, freed when gone */
        bool held, end_held;  /* its end is not told; and is there */
        PlugindError failure; /* why it did not start */
        char *start_job, *stop_job;
        SystemdCall *start, *stop;
        sd_event_source *status, *exit;
        pid_t pid; /* 0: not known yet */
        uint64_t start_time;
        unsigned pair; /* of its descriptors in the store; 0: there are none */
        int pidfd;
        Question questions[_UNIT_PROPERTY_MAX];
        unsigned asking, asked_again;
        int exec_code, exec_status;
        char *result, *active_state;
};

static inline SystemdRuntime *unit_runtime(const SystemdUnit *unit) {
        return (SystemdRuntime *) unit->unit.runtime;
}

/* systemd-end.c */

/* Calls a method of the manager; the answer is for ANSWERED. */
int systemd_call(SystemdUnit *unit, SystemdCall **ret, sd_bus_message_handler_t answered, const char *member, const char *types, ...);
/* A method of the manager whose answer does not matter. */
int systemd_tell(SystemdRuntime *runtime, const char *member, const char *types, ...);
/* Asks for the main process; unit_watch() gets the answer. */
int systemd_unit_ask_main_pid(SystemdUnit *unit);
/* The main process is gone, or the launcher never was: asks systemd how it ended, then tells of it and ends the rest. */
void systemd_unit_ask_how_it_ended(SystemdUnit *unit);
/* Whatever is left of it is killed. Nothing is heard of it any more but its end. */
void systemd_unit_end(SystemdUnit *unit);
/* The main process has ended as UNIT says, or as good as. */
void systemd_unit_exited(SystemdUnit *unit);
/* Its stop job is done: what has failed has still to be forgotten. May free it. */
void systemd_unit_stopped(SystemdUnit *unit);
/* systemd knows nothing of it any more. May free it. */
void systemd_unit_gone(SystemdUnit *unit);
/* Why it did not start: the first reason is the one that tells. */
void systemd_unit_set_failure(SystemdUnit *unit, PlugindErrorCode code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* systemd.c */

/* What it has said until now. May start, or end, the unit. */
void systemd_unit_hear_launcher(SystemdUnit *unit);
void systemd_unit_watch(SystemdUnit *unit, pid_t pid);
int systemd_unit_on_exit(sd_event_source *source, int fd, uint32_t revents, void *userdata);
/* A unit of which nothing is known but its NAME (owned by it). */
int systemd_unit_new(SystemdRuntime *runtime, char *name, const UnitEvents *events, void *userdata, SystemdUnit **ret);
void systemd_unit_destroy(SystemdUnit *unit);

/* systemd-adopt.c */

/* What is there of an earlier daemon's. Numbers go on above it, so that no name is taken. Blocks. */
int systemd_list_left(SystemdRuntime *runtime);
void systemd_unit_identify(Unit *base, UnitIdentity *ret);
int systemd_unit_adopt(Runtime *base, const UnitIdentity *identity, const UnitEvents *events, void *userdata, Unit **ret);
int systemd_runtime_adopted(Runtime *base);
void systemd_unit_hold(Unit *base, bool hold);
void systemd_unit_release(Unit *base);
void systemd_runtime_keep(Runtime *base);
