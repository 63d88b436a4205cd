/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a plugin's code is run. A Runtime makes Units; a unit is one run of one plugin: from start to the last of its processes being gone.
 */
#pragma once

#include "basic/deadline.h"
#include "basic/error.h"
#include "runtime/sandbox.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

struct sd_bus;

typedef struct Store Store;

typedef struct Runtime Runtime;
typedef struct RuntimeOps RuntimeOps;
typedef struct Unit Unit;

typedef struct UnitSpec {
        const char *session; /* id */
        const char *command; /* absolute */
        char *const *args;   /* without argv[0], may be NULL */
        char *const *env;    /* the whole environment but for what the runtime adds: PLUGIND_INVOCATION */
        const char *cwd;     /* NULL: / */
        bool socket_stdio;   /* one socket pair as fd 0 and 1; else two pipes */
        const Sandbox *sandbox;
        const char *data_dir; /* its own folder, which it may write to */
        uint64_t stop_usec;   /* how long whoever else stops it ought to wait before SIGKILL */
} UnitSpec;

typedef struct UnitExit {
        int code;           /* CLD_EXITED, CLD_KILLED or CLD_DUMPED */
        int status;         /* exit status or signal */
        const char *by;     /* NULL: by itself or a signal; else what ended it, for a sentence: "the memory limit" */
        const char *result; /* systemd's word for it (systemd.exec(5), $SERVICE_RESULT); NULL: not run by it */
        bool stopped;       /* somebody else stopped its unit in order (systemctl stop) */
} UnitExit;

/* Callbacks never come before unit start returns, except `started`. Each may free the unit.
 * A unit that is told to end while it starts ends with `failed`, or with `exited` and `gone`. */
typedef struct UnitEvents {
        /* The process runs. FD_IN: read what it says; FD_OUT: write to it (the same number for a socket); FD_LOG: its stderr, -1: that goes to
         * the journal by itself. Owned by the callee. */
        void (*started)(Unit *unit, pid_t pid, int fd_in, int fd_out, int fd_log, void *userdata);
        /* It could not be started (only when started asynchronously; else unit start itself fails), and nothing of it is left. Nothing follows. */
        void (*failed)(Unit *unit, const PlugindError *error, void *userdata);
        /* The main process is gone; what else it left is being ended. */
        void (*exited)(Unit *unit, const UnitExit *exit, void *userdata);
        /* Nothing of it is left; after exited. */
        void (*gone)(Unit *unit, void *userdata);
} UnitEvents;

/* What a daemon has to know of a unit to go on with it. */
typedef struct UnitIdentity {
        const char *name;    /* of systemd's unit; NULL: it cannot be taken over */
        pid_t pid;           /* of the main process ... */
        uint64_t start_time; /* ... which is this one only if it began then: clock ticks since the machine did (proc(5), stat, 22) */
        unsigned pair;       /* its descriptors in the store; 0: none, or not any more */
} UnitIdentity;

typedef enum KillWhom { KILL_MAIN, KILL_ALL } KillWhom;

struct RuntimeOps {
        const char *name;
        bool makes_data_dir;                        /* UnitSpec.data_dir need not exist */
        Runtime *(*runtime_free)(Runtime *runtime); /* every unit must be free by then */
        /* StartFailed if it cannot be run at all (no such file, no permission, ...): the message names the command and the errno. */
        int (*unit_start)(Runtime *runtime, const UnitSpec *spec, const UnitEvents *events, void *userdata, Unit **ret,
                          PlugindError *error);
        int (*unit_kill)(Unit *unit, KillWhom whom, int signal); /* -ESRCH when gone */
        const char *(*unit_name)(Unit *unit);                    /* of systemd's unit; NULL: it has none */
        /* Kills whatever is left with SIGKILL; no callback follows. */
        Unit *(*unit_free)(Unit *unit);

        /* The hand-over to another daemon; all NULL where units end with the daemon. */

        /* *ret is all 0 before it has started, once it has exited, and where nobody stores its descriptors. The name is valid as long as the
         * unit. */
        void (*unit_identify)(Unit *unit, UnitIdentity *ret);
        /* A unit that an earlier daemon started and that ran its plugin, for start-up only: `started` does not come again; if it has ended
         * meanwhile, `exited` does (from the loop), with how. Its descriptors stay in the store, and leave it with the unit; if this fails they
         * are still the caller's matter. -ESRCH: that is no unit of ours. -EBUSY: it has been adopted. */
        int (*unit_adopt)(Runtime *runtime, const UnitIdentity *identity, const UnitEvents *events, void *userdata, Unit **ret);
        /* All units have been adopted that will be: what else was there of an earlier daemon's when the runtime was made is stopped. */
        int (*runtime_adopted)(Runtime *runtime);
        /* Whether an end of its main process is left for the next daemon to find, or, once it is not held any more, told then. */
        void (*unit_hold)(Unit *unit, bool hold);
        /* It is going to end: its descriptors leave the store, so that closing them here is the end of its input. Whoever adopts it from now on
         * can see it end, and not talk to it. */
        void (*unit_release)(Unit *unit);
        /* From now on unit_free() lets a unit run on, and its descriptors stay in the store. */
        void (*runtime_keep)(Runtime *runtime);
};

/* First members of every runtime's own structs. */
struct Runtime {
        const RuntimeOps *ops;
        bool sandboxes;      /* applies UnitSpec.sandbox; else only what demands none may be run */
        bool makes_data_dir; /* UnitSpec.data_dir need not exist */
        bool logs_itself;    /* stderr goes to the journal and not through here: UnitEvents.started gives no FD_LOG */
};
struct Unit {
        Runtime *runtime;
        const UnitEvents *events;
        void *userdata;
};

/* Transient units of the service manager on BUS, the system's or, with USER, the user's; BUS must be started, and be attached to EVENT by when
 * units are started. STORE keeps the ends of their duplexes; NULL: nobody does. Units of an earlier daemon wait for unit_adopt(). STORE must outlive the runtime. Blocks: for start-up only. */
int runtime_systemd_new(sd_event *event, struct sd_bus *bus, bool user, Store *store, Runtime **ret);
/* Child processes of the daemon. Makes it a subreaper; needs SIGCHLD blocked. */
int runtime_local_new(sd_event *event, Runtime **ret);

static inline Runtime *runtime_free(Runtime *runtime) {
        return runtime ? runtime->ops->runtime_free(runtime) : NULL;
}
/* "" if it has none. */
static inline const char *unit_name(Unit *unit) {
        return unit && unit->runtime->ops->unit_name ? unit->runtime->ops->unit_name(unit) : "";
}
static inline void unit_release(Unit *unit) {
        if (unit->runtime->ops->unit_release)
                unit->runtime->ops->unit_release(unit);
}
static inline Unit *unit_free(Unit *unit) {
        return unit ? unit->runtime->ops->unit_free(unit) : NULL;
}
