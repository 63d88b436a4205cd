/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one seam through which others (the bus; later modules and hook programs) hear of lifecycle moments. All callbacks come
 * from the loop, may read the session, and must not free or load sessions. NULL members are skipped. */
#pragma once

#include "basic/json.h"

#include <stdint.h>

typedef struct Session Session;
typedef struct Caller Caller;

typedef struct Hooks {
        void (*session_new)(Session *session, void *userdata);
        void (*session_removed)(Session *session, const char *reason, void *userdata);
        /* Every step, in order. REASON: "requested", "on-demand", "boot", "idle", "exited", "killed", "connection-lost", "start-timeout",
         * "health", "restart", "unload", "shutdown", ... */
        void (*state_changed)(Session *session, const char *new_state, const char *old_state, const char *reason, void *userdata);
        /* A run of the plugin is over: REASON exited | killed | lost | unloaded | shutdown; STATUS is the exit status or the signal's number. */
        void (*ended)(Session *session, const char *reason, int status, void *userdata);
        /* For CALLER alone. REQUEST: that caller's id of the Send it belongs to, or "". METHOD is decoded, PARAMS is JSON or absent. */
        void (*notification)(Session *session, Caller *caller, const char *request, const char *method, JsonRange params, void *userdata);
        /* Properties have new values (bits of SessionProperty). Several steps may come as one. */
        void (*properties_changed)(Session *session, uint32_t properties, void *userdata);
        void *userdata;
} Hooks;
