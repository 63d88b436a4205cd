/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Is an active plugin alive, and is anybody still using it? (design.md 4) */
#include "host/session-private.h"

void session_pong(Session *session) {
        if (session->run)
                session->run->pings_failed = 0;
}

/* A busy plugin is not a dead one: one that works on a call, or says anything at all, is alive. */
static bool session_shows_life(Session *session, uint64_t since) {
        if (duplex_received_at(session->run->duplex) >= since)
                return true;
        list_foreach(node, &session->pending) {
                Request *request = list_entry(node, Request, by_session);

                if (request->answered && !request->endless)
                        return true;
        }
        return false;
}

void session_health_expired(Deadline *d) {
        SessionRun *run = list_entry(d, SessionRun, health);
        Session *session = run->session;
        const Manifest *manifest = session->manifest;
        uint64_t now = deadlines_now(session_deadlines(session));
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;

        if (session->state != SESSION_ACTIVE || !run->duplex)
                return;
        if (run->pinged_at == 0) {
                bool quiet = duplex_received_at(run->duplex) + manifest->health.interval_usec <= now;

                deadline_arm(session_deadlines(session), d, quiet ? manifest->health.timeout_usec : manifest->health.interval_usec);
                if (quiet) {
                        run->pinged_at = now;
                        session->dialect->ops->ping(session->dialect);
                }
                return;
        }
        if (session_shows_life(session, run->pinged_at))
                run->pings_failed = 0;
        else if (++run->pings_failed >= manifest->health.failures) {
                plugind_error_set(&error, PLUGIND_ERROR_CONNECTION_LOST, "the plugin did not answer %u pings in a row", run->pings_failed);
                session_fail(session, "health", "health", &error, NULL);
                return;
        }
        run->pinged_at = 0;
        deadline_arm(session_deadlines(session), d, manifest->health.interval_usec);
}

bool session_starts_on_demand(const Session *session) {
        return session_supervised(session) && session->manifest->activation == ACTIVATION_ON_DEMAND && session->desired_active &&
               session_may_start(session);
}

static bool session_idle(Session *session) {
        return session->state == SESSION_ACTIVE && session->manifest->activation == ACTIVATION_ON_DEMAND && session->in_flight == 0 &&
               list_empty(&session->attachments);
}

/* Armed once and looked at again when it fires: re-arming it for every Send would cost more than the rest of the bookkeeping. */
void session_check_idle(Session *session) {
        SessionRun *run = session->run;

        if (run && !run->held && session_idle(session) && !deadline_armed(&run->idle))
                deadline_arm(session_deadlines(session), &run->idle, session->manifest->timeouts.idle_usec);
}

void session_idle_expired(Deadline *d) {
        SessionRun *run = list_entry(d, SessionRun, idle);
        Session *session = run->session;
        uint64_t unused = deadlines_now(session_deadlines(session)) - run->used_at;

        if (!session_idle(session))
                return; /* armed again when it is */
        if (unused < session->manifest->timeouts.idle_usec)
                deadline_arm(session_deadlines(session), d, session->manifest->timeouts.idle_usec - unused);
        else
                session_stop(session, "idle");
}
