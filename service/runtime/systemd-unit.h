/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One transient unit, and what the two files about it share: systemd.c (the runtime, the start) and systemd-end.c (the end). */
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
        PlugindError failure; /* why it did not start */
        char *start_job, *stop_job;
        SystemdCall *start, *stop;
        sd_event_source *status, *exit;
        pid_t pid; /* 0: not known yet */
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
void systemd_unit_destroy(SystemdUnit *unit);
