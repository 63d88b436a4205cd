/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The Host's one object for one loaded plugin: desired and reported state, the duplex, pending requests, who is attached.
 *
 * The struct is open for reading; only host/ writes it. A session lives until SessionRemoved; nobody keeps a pointer to one
 * over a turn of the loop: look it up again by id.
 */
#pragma once

#include "basic/deadline.h"
#include "basic/error.h"
#include "basic/list.h"
#include "duplex/dialect.h"
#include "duplex/duplex.h"
#include "host/caller.h"
#include "host/history.h"
#include "host/hooks.h"
#include "host/manifest.h"
#include "host/request.h"
#include "host/statistics.h"
#include "runtime/plugin-log.h"
#include "runtime/runtime.h"

typedef struct Host Host;

typedef enum SessionState {
        SESSION_INACTIVE,
        SESSION_STARTING,
        SESSION_CONNECTING,
        SESSION_ACTIVE,
        SESSION_STOPPING,
        SESSION_RESTARTING,
        SESSION_ERRORED,
        _SESSION_STATE_MAX,
} SessionState;

const char *session_state_to_string(SessionState state);

/* Bits for Hooks.properties_changed; the names are those of org.plugind1.Session. */
typedef enum SessionProperty {
        SESSION_PROPERTY_NAME = 1 << 0,
        SESSION_PROPERTY_VERSION = 1 << 1,
        SESSION_PROPERTY_DESCRIPTION = 1 << 2,
        SESSION_PROPERTY_TYPE = 1 << 3,
        SESSION_PROPERTY_DIALECT = 1 << 4,
        SESSION_PROPERTY_MANIFEST = 1 << 5,
        SESSION_PROPERTY_SUPERVISED = 1 << 6,
        SESSION_PROPERTY_DESIRED_STATE = 1 << 7,
        SESSION_PROPERTY_REPORTED_STATE = 1 << 8,
        SESSION_PROPERTY_ERROR = 1 << 9, /* ErrorMessage and ErrorDetails */
        SESSION_PROPERTY_STARTED_AT = 1 << 10,
        SESSION_PROPERTY_STATE_CHANGED_AT = 1 << 11,
        SESSION_PROPERTY_MAIN_PID = 1 << 12,
        SESSION_PROPERTY_RESTARTS = 1 << 13,
        SESSION_PROPERTY_GREETING = 1 << 14,
        SESSION_PROPERTY_UNIT = 1 << 15,
} SessionProperty;

/* What the last failure was: Session.ErrorMessage and ErrorDetails. */
typedef struct SessionFailure {
        char *message;     /* one sentence for a person; NULL: no failure */
        const char *stage; /* "start", "greeting", "run", "health" */
        PlugindErrorCode code;
        const char *error; /* its name of the error */
        int exit_status;   /* -1: none */
        int signal;        /* 0: none */
        char *result;      /* UnitExit.result */
} SessionFailure;

/* One caller's lasting interest in one session. */
typedef struct Attachment {
        Session *session;
        Caller *caller;
        ListNode by_session, by_caller;
        bool bound; /* Load with `bind` */
        bool subscribed;
        char **methods;     /* NULL: all */
        bool dialect_holds; /* the dialect keeps something for this caller */
        Charge charge;      /* for the subscription */
} Attachment;

typedef struct SessionRun SessionRun; /* what exists only from a start to the end of it all; session-private.h */

struct Session {
        Host *host;
        ListNode by_host;
        char *id;
        char *source; /* what Load was given; NULL: an inline manifest */
        Manifest *manifest;
        char *configuration; /* of Load; NULL: the manifest's */

        SessionState state;
        bool desired_active;
        uint64_t state_changed_at, started_at; /* CLOCK_REALTIME usec; 0: never */
        unsigned restarts;                     /* since the counters were last cleared */
        unsigned hand_overs;                   /* of its running plugin from one daemon to the next */
        SessionFailure failure;

        pid_t main_pid;                     /* 0: none */
        char *greeting;                     /* JSON; NULL: none yet */
        char *server_name, *server_version; /* what the greeting said, or NULL */
        char *mcp_era;                      /* remembered, or NULL */
        unsigned in_flight;                 /* requests of callers, sent or waiting */
        Statistics *statistics;             /* NULL: none was sent yet */
        History *history;                   /* NULL: has always been inactive */

        List pending;     /* Request.by_session: sent */
        List waiting;     /* Request.by_session: for the plugin to become active */
        List attachments; /* Attachment.by_session */
        List waiters;     /* for the state to settle */
        PluginLog *log;   /* NULL: has not run yet */
        Dialect *dialect; /* NULL: nobody needed it yet */
        SessionRun *run;
        Charge charge;
        bool start_again; /* once it is inactive: Restart, or started while it was stopping */
        bool unloading;
        ListNode by_leaving;       /* in Host.leaving, while unloading */
        ListNode by_touched;       /* in Host.touched, until the store has what changed */
        uid_t owner;               /* who pays for it */
        List unloads;              /* who is to be told, see host-unload.c */
        const char *unload_reason; /* of SessionRemoved */
        bool unbound;              /* loaded without `bind` at least once: it stays when its bound callers leave, and is remembered */
};

/* Called exactly once, perhaps before the function that took it returns. ERROR: NULL when all went well. */
typedef void (*SessionDone)(const PlugindError *error, void *userdata);

/* Supervised: plugind starts it. Not so for `external`. */
static inline bool session_supervised(const Session *session) {
        return session->manifest->type == MANIFEST_PROCESS;
}
/* manifest's, else the server's own. Never NULL ("" if nobody said). */
const char *session_name(const Session *session);
const char *session_version(const Session *session);
/* Of the unit of systemd's that it runs in; "" if none. */
const char *session_unit(const Session *session);

/* Sets what is desired. DONE (may be NULL) is called when that is settled: active or inactive is reached, or StartFailed. */
void session_set_desired(Session *session, bool active, const char *reason, SessionDone done, void *userdata);
/* Stop and start in one step (start if it was not running). */
void session_restart(Session *session, SessionDone done, void *userdata);
/* Calls DONE when the session has settled (inactive, active or errored), at once if it has. */
void session_when_settled(Session *session, SessionDone done, void *userdata);

/* FD (owned on success): a duplex to an external plugin. -> connecting. AlreadyConnected; NotSupported for supervised ones. */
int session_connect(Session *session, int fd, Framing framing, PlugindError *error);

/* One request. 0: ANSWERED will be called (or has been). Starts an on-demand session; waits for one that is starting or restarting.
 * METHOD and PARAMS (JsonRange absent: none) come from outside and are checked here. */
int session_send(Session *session, Caller *caller, const char *method, JsonRange params, const SendOptions *options,
                 RequestAnswered answered, void *userdata, PlugindError *error);
/* CALLER_ID as in SendOptions.id. The request is answered with Cancelled. InvalidArgs if the caller has none of that id here. */
int session_cancel(Session *session, Caller *caller, const char *caller_id, PlugindError *error);
/* DONE (may be NULL) is called when it has been handed on to the plugin, or never will be: a caller that leaves takes what waits along. */
int session_notify(Session *session, Caller *caller, const char *method, JsonRange params, SessionDone done, void *userdata,
                   PlugindError *error);

/* Replaces what CALLER subscribed to; METHODS NULL or empty: all notifications. */
int session_subscribe(Session *session, Caller *caller, char *const *methods, PlugindError *error);
void session_unsubscribe(Session *session, Caller *caller);

int session_kill(Session *session, KillWhom whom, int signal, PlugindError *error);
/* Clears counters, the failure, and `errored` (-> inactive). */
void session_reset_failed(Session *session);
