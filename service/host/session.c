/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The object of a session, its states, and what is desired of it. */
#include "host/session-private.h"

#include "basic/log.h"

#include <errno.h>
#include <glib.h>
#include <time.h>

#define BIT(state) (1u << (state))
/* Of a failure's message, in characters: a plugin may have worded it, and everybody is told. */
#define FAILURE_MESSAGE_MAX 1000

static const struct {
        const char *name;
        unsigned next; /* bits of states that may follow */
} states[_SESSION_STATE_MAX] = {
        /* to connecting: an external plugin, which is not started but waited for */
        [SESSION_INACTIVE] = { "inactive", BIT(SESSION_STARTING) | BIT(SESSION_CONNECTING) },
        [SESSION_STARTING] = { "starting",
                               BIT(SESSION_CONNECTING) | BIT(SESSION_RESTARTING) | BIT(SESSION_ERRORED) | BIT(SESSION_STOPPING) },
        [SESSION_CONNECTING] = { "connecting",
                                 BIT(SESSION_ACTIVE) | BIT(SESSION_RESTARTING) | BIT(SESSION_ERRORED) | BIT(SESSION_STOPPING) },
        /* to connecting: an external plugin went away */
        [SESSION_ACTIVE] = { "active", BIT(SESSION_RESTARTING) | BIT(SESSION_STOPPING) | BIT(SESSION_CONNECTING) },
        [SESSION_STOPPING] = { "stopping", BIT(SESSION_INACTIVE) },
        [SESSION_RESTARTING] = { "restarting", BIT(SESSION_STARTING) | BIT(SESSION_ERRORED) | BIT(SESSION_STOPPING) },
        [SESSION_ERRORED] = { "errored", BIT(SESSION_STARTING) | BIT(SESSION_CONNECTING) | BIT(SESSION_INACTIVE) },
};

/* Somebody who waits for the state to settle. */
typedef struct Waiter {
        ListNode by_session;
        enum { WANT_ANY, WANT_ACTIVE, WANT_INACTIVE } want;
        SessionDone done;
        void *userdata;
} Waiter;

const char *session_state_to_string(SessionState state) {
        return states[state].name;
}

static uint64_t realtime_now(void) {
        struct timespec ts;

        clock_gettime(CLOCK_REALTIME, &ts);
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

int session_new(Host *host, const char *id, const char *source, Manifest *manifest, const char *configuration, Session **ret) {
        Session *session = g_new0(Session, 1);

        session->host = host;
        session->id = g_strdup(id);
        session->source = g_strdup(source);
        session->manifest = manifest_ref(manifest);
        session->configuration = g_strdup(configuration);
        session->desired_active = manifest->type == MANIFEST_EXTERNAL || manifest->activation != ACTIVATION_MANUAL;
        list_init(&session->pending);
        list_init(&session->waiting);
        list_init(&session->attachments);
        list_init(&session->waiters);
        list_init(&session->unloads);
        *ret = session;
        return 0;
}

void session_give_up_waiters(Session *session, const PlugindError *error) {
        Waiter *waiter;

        while ((waiter = list_first(&session->waiters, Waiter, by_session))) {
                list_unlink(&waiter->by_session);
                waiter->done(error, waiter->userdata);
                g_free(waiter);
        }
}

Session *session_free(Session *session) {
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;
        Attachment *attachment;

        if (!session)
                return NULL;
        session->unloading = true; /* whatever its end brings about starts nothing and keeps nothing */
        (void) plugind_error_set(&error, PLUGIND_ERROR_CONNECTION_LOST, "session \"%s\" is gone", session->id);
        session_run_free(session);
        session_fail_pending(session, &error);
        session_fail_waiting(session, &error);
        session_give_up_waiters(session, &error);
        session_unloads_done(session);
        session->dialect = dialect_free(session->dialect);
        while ((attachment = list_first(&session->attachments, Attachment, by_session)))
                attachment_free(attachment);
        list_unlink(&session->by_host);
        list_unlink(&session->by_touched);
        plugin_log_free(session->log);
        history_free(session->history);
        g_free(session->statistics);
        charge_release(&session->charge);
        manifest_unref(session->manifest);
        g_free(session->failure.message);
        g_free(session->failure.result);
        g_free(session->greeting);
        g_free(session->server_name);
        g_free(session->server_version);
        g_free(session->mcp_era);
        g_free(session->configuration);
        g_free(session->source);
        g_free(session->id);
        g_free(session);
        return NULL;
}

const char *session_name(const Session *session) {
        return session->manifest->name ?: session->server_name ?: "";
}

const char *session_version(const Session *session) {
        return session->manifest->version ?: session->server_version ?: "";
}

const char *session_unit(const Session *session) {
        Unit *unit = session->run ? session->run->unit : NULL;
        const RuntimeOps *ops = unit ? unit->runtime->ops : NULL;

        return ops && ops->unit_name ? ops->unit_name(unit) ?: "" : "";
}

const char *session_configuration(const Session *session) {
        return session->configuration ?: session->manifest->configuration ?: "{}";
}

void session_changed(Session *session, uint32_t properties) {
        const Hooks *hooks = &session->host->hooks;

        if (properties != 0)
                session_touch(session);
        if (hooks->properties_changed && properties != 0)
                hooks->properties_changed(session, properties, hooks->userdata);
}

void session_remember(Session *session) {
        Record *record = session->host->config.record;

        /* Inline manifests and bound sessions end with the daemon, as transient units do with systemd. */
        if (!record || !session->source || !session->unbound || session->unloading)
                return;
        record_set(record, &(RecordEntry){
                                   .id = session->id,
                                   .source = session->source,
                                   .desired_active = session->desired_active,
                                   .running = (session->host->stopping || session->host->held) && session->state != SESSION_INACTIVE &&
                                              session->state != SESSION_ERRORED,
                                   .configuration = session->configuration,
                                   .mcp_era = session->mcp_era,
                           });
}

static char *failure_message(const char *message) {
        const char *end = message;

        for (unsigned n = 0; *end && n < FAILURE_MESSAGE_MAX; n++)
                end = g_utf8_next_char(end);
        return *end ? g_strdup_printf("%.*s ...", (int) (end - message), message) : g_strdup(message);
}

void session_set_failure(Session *session, const char *stage, const PlugindError *error, const UnitExit *exit) {
        SessionFailure *failure = &session->failure;

        g_free(failure->message);
        g_free(failure->result);
        *failure = (SessionFailure){ .exit_status = -1 };
        if (error) {
                failure->message = failure_message(error->message);
                failure->stage = stage;
                failure->code = error->code;
                failure->error = plugind_error_code_name(error->code);
                if (exit && exit->code == CLD_EXITED)
                        failure->exit_status = exit->status;
                else if (exit)
                        failure->signal = exit->status;
                failure->result = g_strdup(exit ? exit->result : NULL);
        }
        session_changed(session, SESSION_PROPERTY_ERROR);
}

static bool state_settled(SessionState state) {
        return state == SESSION_INACTIVE || state == SESSION_ACTIVE || state == SESSION_ERRORED;
}

/* An external plugin that is waited for has settled too: nothing happens until it comes. */
static bool session_settled(const Session *session) {
        if (state_settled(session->state))
                return !(session->state == SESSION_INACTIVE && session->start_again);
        return session->state == SESSION_CONNECTING && !session_supervised(session) && !session->run->duplex;
}

PlugindErrorCode session_start_error(const Session *session) {
        return session->failure.code == PLUGIND_ERROR_SANDBOX_UNAVAILABLE ? session->failure.code : PLUGIND_ERROR_START_FAILED;
}

static void waiter_call(Waiter *waiter, Session *session) {
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;

        if (session->state == SESSION_ERRORED && waiter->want != WANT_INACTIVE)
                plugind_error_set(&error, session_start_error(session), "%s", session->failure.message);
        else if (session->state == SESSION_INACTIVE && waiter->want == WANT_ACTIVE)
                plugind_error_set(&error, PLUGIND_ERROR_START_FAILED, "%s",
                                  session->failure.message ?: "the plugin ended or was stopped before it was active");
        else if (session->state == SESSION_ACTIVE && waiter->want == WANT_INACTIVE)
                plugind_error_set(&error, PLUGIND_ERROR_CANCELLED, "session \"%s\" was started again meanwhile", session->id);
        waiter->done(error.code ? &error : NULL, waiter->userdata);
        g_free(waiter);
}

void session_call_waiters(Session *session) {
        List settled;
        Waiter *waiter;

        if (!session_settled(session))
                return;
        list_init(&settled);
        list_splice(&settled, &session->waiters);
        while ((waiter = list_first(&settled, Waiter, by_session))) {
                list_unlink(&waiter->by_session);
                waiter_call(waiter, session);
        }
}

static void session_record(Session *session, SessionState old, const char *reason) {
        bool failed = session->state == SESSION_RESTARTING || session->state == SESSION_ERRORED;

        history_add(&session->history, &(HistoryEntry){
                                               .realtime_usec = session->state_changed_at,
                                               .reason = reason,
                                               .new_state = session->state,
                                               .old_state = old,
                                               .signal = failed ? (uint8_t) session->failure.signal : 0,
                                               .exit_status = failed ? (int16_t) session->failure.exit_status : -1,
                                       });
}

/* The one place where a state changes: everything is published from here. REASON is static. */
void session_transition(Session *session, SessionState state, const char *reason) {
        const Hooks *hooks = &session->host->hooks;
        SessionState old = session->state;

        g_assert(states[old].next & BIT(state));
        session->state = state;
        session->state_changed_at = realtime_now();
        if (state == SESSION_ACTIVE) {
                session->started_at = session->state_changed_at;
                session->hand_overs = 0;
        }
        session_record(session, old, reason);
        log_session(state == SESSION_ERRORED ? LOG_ERR : LOG_DEBUG, session->id, "%s -> %s (%s)%s%s", states[old].name, states[state].name,
                    reason, state == SESSION_ERRORED ? ": " : "",
                    state == SESSION_ERRORED && session->failure.message ? session->failure.message : "");
        session_changed(session, SESSION_PROPERTY_REPORTED_STATE | SESSION_PROPERTY_STATE_CHANGED_AT |
                                         (state == SESSION_ACTIVE ? SESSION_PROPERTY_STARTED_AT : 0));
        if (hooks->state_changed)
                hooks->state_changed(session, states[state].name, states[old].name, reason, hooks->userdata);
        if (session_settled(session)) {
                session_call_waiters(session);
                host_session_settled(session->host, session);
        }
}

static void session_wait(Session *session, int want, SessionDone done, void *userdata) {
        Waiter *waiter;

        if (!done)
                return;
        waiter = g_new0(Waiter, 1);
        waiter->want = want;
        waiter->done = done;
        waiter->userdata = userdata;
        list_append(&session->waiters, &waiter->by_session);
        session_call_waiters(session);
}

void session_when_settled(Session *session, SessionDone done, void *userdata) {
        session_wait(session, WANT_ANY, done, userdata);
}

static void session_desire(Session *session, bool active) {
        if (session->desired_active == active)
                return;
        session->desired_active = active;
        session_changed(session, SESSION_PROPERTY_DESIRED_STATE);
        session_remember(session);
}

void session_set_desired(Session *session, bool active, const char *reason, SessionDone done, void *userdata) {
        session_desire(session, active);
        if (active && (session->state == SESSION_INACTIVE || session->state == SESSION_ERRORED))
                session_start(session, reason);
        else if (active && session->state == SESSION_STOPPING)
                session->start_again = session_may_start(session);
        else if (!active)
                session_stop(session, reason);
        session_touch(session);
        session_wait(session, active ? session_supervised(session) ? WANT_ACTIVE : WANT_ANY : WANT_INACTIVE, done, userdata);
}

void session_restart(Session *session, SessionDone done, void *userdata) {
        session_desire(session, true);
        if (session->state == SESSION_INACTIVE || session->state == SESSION_ERRORED)
                session_start(session, "requested");
        else {
                session->start_again = session_may_start(session);
                session_stop(session, "restart");
        }
        session_wait(session, session_supervised(session) ? WANT_ACTIVE : WANT_ANY, done, userdata);
}

void session_reset_failed(Session *session) {
        session->restarts = 0;
        if (!session->run || !session->run->give_up) /* else it is about to be `errored`, for that reason */
                session_set_failure(session, NULL, NULL, NULL);
        session_changed(session, SESSION_PROPERTY_RESTARTS);
        if (session->run) {
                session->run->restart_step = 0;
                session->run->n_failed = 0;
        }
        if (session->state == SESSION_ERRORED)
                session_transition(session, SESSION_INACTIVE, "reset");
}

int session_not_active(Session *session, PlugindError *error) {
        if (session->state == SESSION_ERRORED)
                return plugind_error_set(error, PLUGIND_ERROR_NOT_ACTIVE, "session \"%s\" is errored: %s", session->id,
                                         session->failure.message);
        if (!session_supervised(session) && session->desired_active)
                return plugind_error_set(error, PLUGIND_ERROR_NOT_ACTIVE, "session \"%s\" waits for its external plugin to connect",
                                         session->id);
        return plugind_error_set(error, PLUGIND_ERROR_NOT_ACTIVE,
                                 "session \"%s\" is %s and is not started by a call (desired: %s); start it first", session->id,
                                 session_state_to_string(session->state), session->desired_active ? "active" : "inactive");
}
