/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of a session share among themselves:
 *   session.c         the object, its states, what is desired of it
 *   session-run.c     one run of the plugin after the other: start, stop, failure, back-off
 *   session-policy.c  whether and when it is started again
 *   session-health.c  pings, and the end of what nobody uses
 *   session-talk.c    what comes in over the duplex, and what the dialect asks for
 *   session-attach.c  callers' lasting interests: binds, subscriptions, and who hears a notification
 *   request.c         Send, Cancel, Notify and their answers
 *   session-state.c   what the next daemon has to know of it (session-restore.c reads it, host-handover.c says when)
 */
#pragma once

#include "host/host.h"
#include "host/session.h"

/* A plugin whose stream has ended has this long to be seen exiting, so that callers hear how it ended and not that it did; half of the
 * 100 ms within which they must hear anything. */
#define LOST_GRACE_USEC (50 * USEC_PER_MSEC)
/* After the goodbye a plugin may leave by itself for this long (at most half of timeouts.stop), then SIGTERM. */
#define GOODBYE_USEC (1 * USEC_PER_SEC)
/* Health of this long makes the next restart immediate (design.md 4). */
#define HEALTHY_USEC (1 * USEC_PER_SEC)
/* Never restarted, whatever the policy (design.md 4; as in xargs and git-bisect: "stop trying"). */
#define EXIT_STATUS_NEVER_RESTART 125

struct SessionRun {
        Session *session;
        Unit *unit;
        Duplex *duplex;
        Framing framing; /* of the duplex */
        unsigned pair;   /* the descriptors of an external plugin in the store; of others their unit knows. 0: none */

        Deadline timer;  /* start time-out, or the end of a back-off */
        Deadline end;    /* next step of ending the unit */
        Deadline lost;   /* LOST_GRACE_USEC has passed without an exit */
        Deadline health; /* next ping, or its time-out */
        Deadline idle;

        uint64_t active_since; /* CLOCK_MONOTONIC usec; 0: not active */
        uint64_t used_at;      /* last Send or Notify of a caller, or answer to one, likewise */
        uint64_t pinged_at;    /* 0: no ping under way */
        unsigned pings_failed;

        unsigned restart_step; /* how often in a row, for the delay */
        uint64_t *failed_at;   /* of the last `burst` failures, a ring */
        unsigned burst, n_failed;

        enum { END_NOT_YET, END_GOODBYE, END_TERM, END_KILL } end_step;
        bool exited;       /* the main process has; its group may not be gone yet */
        bool backoff_over; /* restarting: only the old unit's end is waited for */
        bool give_up;      /* restarting: errored once the old unit is gone */
        bool held;         /* we are leaving: what happens to the plugin is for the next daemon to find */
        const char *stop_reason;

        ListNode by_refused; /* in Host.refused: it has something to say, and is paused with the host */
};

struct Host {
        HostConfig config;
        Hooks hooks;
        GHashTable *sessions; /* id -> Session */
        List order;           /* of Session.by_host */
        GHashTable *requests; /* Request.id -> Request, all sessions' */
        GHashTable *named;    /* requests with a caller's own id, by (caller, session, id) */
        uint64_t next_request;
        Quota *quota;
        GRand *random;
        bool paused, stopping;
        bool held, left;         /* host_hold(), host_leave() */
        List touched;            /* of Session.by_touched */
        sd_event_source *flush;  /* writes them */
        List refused;            /* of SessionRun.by_refused */
        sd_event_source *resume; /* lets them go on */
        sd_event_source *reaper; /* removes sessions that were unloaded */
        List leaving;            /* of Session.by_leaving */
        SessionDone stopped;
        void *stopped_userdata;
};

static inline Deadlines *session_deadlines(const Session *session) {
        return session->host->config.deadlines;
}

/* Not one that is leaving. */
static inline bool session_may_start(const Session *session) {
        return !session->unloading && !session->host->stopping;
}

/* session.c */
int session_new(Host *host, const char *id, const char *source, Manifest *manifest, const char *configuration, Session **ret);
Session *session_free(Session *session);
void session_transition(Session *session, SessionState state, const char *reason);
/* Answers whoever waits for the state to settle with ERROR. */
void session_give_up_waiters(Session *session, const PlugindError *error);
/* Answers whoever waits for the state to settle, if it has. */
void session_call_waiters(Session *session);
void session_changed(Session *session, uint32_t properties);
/* Takes ERROR's message (may be NULL: clears). STAGE is static. */
void session_set_failure(Session *session, const char *stage, const PlugindError *error, const UnitExit *exit);
/* What whoever waits for its start is told: StartFailed, or SandboxUnavailable, which another try does not help. */
PlugindErrorCode session_start_error(const Session *session);
void session_remember(Session *session);
const char *session_configuration(const Session *session); /* JSON object, never NULL */
/* Ready to be told to whoever waits for the session's plugin: it is not active, and why. */
int session_not_active(Session *session, PlugindError *error);

/* session-run.c */
extern const UnitEvents session_unit_events;
SessionRun *session_run_new(Session *session);
/* An active one was taken over from the daemon before ... */
void session_go_on(Session *session);
/* ... one that was about to be restarted, at TIMER (CLOCK_MONOTONIC usec) or once its unit is gone ... */
void session_go_on_restarting(Session *session, uint64_t timer);
/* ... one that was being stopped ... */
void session_go_on_stopping(Session *session);
/* ... one that was on its way to being active, which begins once more. */
void session_start_over(Session *session);
void session_start(Session *session, const char *reason);
void session_stop(Session *session, const char *reason);
void session_run_free(Session *session);
/* The run has failed: whatever of it lives is ended, then restarted by policy. EXIT: NULL if the process has not exited. */
void session_fail(Session *session, const char *stage, const char *reason, const PlugindError *error, const UnitExit *exit);
/* Its greeting is done. */
void session_become_active(Session *session);

/* session-policy.c */

/* The delay before the next attempt, in usec, after HEALTHY usec of being active: none after a second, else doubling. */
uint64_t session_next_delay(Session *session, uint64_t healthy);
/* Have there been `burst` failures within `interval`, this one included? */
bool session_fails_too_often(Session *session);
/* EXIT: NULL if the process has not exited. */
bool session_may_restart(Session *session, const UnitExit *exit);

/* session-health.c */
void session_pong(Session *session);
void session_health_expired(Deadline *d);
void session_idle_expired(Deadline *d);
/* A caller came or went, or a request ended: is there still a reason to run? */
void session_check_idle(Session *session);
bool session_starts_on_demand(const Session *session);

/* session-talk.c */
/* Takes the descriptors on success. */
int session_open_duplex(Session *session, int fd_in, int fd_out, Framing framing, PlugindError *error);
/* Of an external plugin: the store needs its descriptors no more. */
void session_drop_pair(Session *session);
/* The duplex in SLOT goes on. Takes the descriptors on success. */
int session_adopt_duplex(Session *session, unsigned slot, int fd_in, int fd_out, Framing framing);
/* Ends the conversation: pending requests are answered with ERROR, the dialect told. */
void session_close_duplex(Session *session, const PlugindError *error);
int session_need_dialect(Session *session);

/* session-attach.c */
Attachment *session_attachment(Session *session, Caller *caller, bool create);
void attachment_free(Attachment *attachment);
/* Drops an attachment that has no reason left. */
void attachment_settle(Attachment *attachment);
void session_deliver(Session *session, DialectIncoming *incoming);

/* request-check.c */
int request_check_method(const char *method, PlugindError *error);
/* *PARAMS is cut to the value without white space around it. */
int request_check_params(JsonRange *params, PlugindError *error);

/* request.c */
void session_flush_waiting(Session *session);
void session_fail_pending(Session *session, const PlugindError *error);
void session_fail_waiting(Session *session, const PlugindError *error);
/* Answers whatever callers wait for, or only what is ENDLESS, with ERROR, and tells the plugin that nobody waits any more. */
void session_give_up_requests(Session *session, bool endless, const PlugindError *error);
/* All but what is endless. */
void session_fail_waiting_once(Session *session, const PlugindError *error);
/* A response of the plugin. */
void session_answered(Session *session, const JsonRpcMessage *message);
/* A message that was no good, for request ID. False if there is no such request. */
bool session_answered_badly(Session *session, JsonRange id, const PlugindError *error);
int session_request_of_host(Session *session, const char *method, JsonRange params, uint64_t timeout_usec, DialectAnswered answered,
                            void *userdata);
Request *session_find_request(Session *session, uint64_t id);
void request_cancel(Request *request, const char *reason);
guint request_named_hash(gconstpointer request);
gboolean request_named_equal(gconstpointer a, gconstpointer b);

/* host.c */
int host_read_manifest(Host *host, const char *source, const char *id, Manifest **ret, PlugindError *error);
/* Makes the session known, paid for by OWNER; does not start it. LimitsExceeded. */
int host_add_session(Host *host, const char *id, const char *source, Manifest *manifest, const char *configuration, uid_t owner,
                     Session **ret, PlugindError *error);
/* host_reload() for what runs. */
void host_reload_running(Host *host);

/* host-handover.c */
int host_handover_init(Host *host);
void host_handover_done(Host *host);
/* Something has changed that session_state_append() tells. */
void session_touch(Session *session);
/* It is unloaded. */
void session_forget(Session *session);
/* What every Send without an end is answered once the host is held. */
int host_ends_endless(PlugindError *error);
/* What happens to its plugin is for the next daemon to find; and no longer. */
void session_hold(Session *session);
void session_release(Session *session);

/* host-pause.c */
void host_pause_init(Host *host);
void host_pause_done(Host *host);
/* DuplexOps.ready. */
bool session_may_tell(Session *session);

/* host-unload.c */
int host_unload_init(Host *host);
void host_unload_done(Host *host);
/* Whoever asked for SESSION to be unloaded waits no longer. */
void session_give_up_unloads(Session *session, const PlugindError *error);
/* Tells whoever asked for SESSION to be unloaded that it is gone. */
void session_unloads_done(Session *session);
void host_session_settled(Host *host, Session *session);
void host_last_bound_left(Session *session);
/* Whoever has bound it has to let it go. REASON is static, of SessionRemoved. */
void session_unload(Session *session, const char *reason);
