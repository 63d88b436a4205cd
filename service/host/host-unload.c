/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How sessions leave: one by Unload, or all when the daemon stops. A session is freed only from the reaper, a deferred source of its own
 * turn of the loop, so that no function above finds its session gone.
 */
#include "basic/log.h"
#include "host/session-private.h"

#include <glib.h>

/* Somebody who asked for it and is to be told. */
typedef struct Unload {
        ListNode by_session;
        SessionDone done; /* may be NULL */
        void *userdata;
} Unload;

static void unloads_call(List *unloads, const PlugindError *error) {
        Unload *unload;

        while ((unload = list_first(unloads, Unload, by_session))) {
                list_unlink(&unload->by_session);
                if (unload->done)
                        unload->done(error, unload->userdata);
                g_free(unload);
        }
}

static void host_remove(Host *host, Session *session) {
        List unloads;

        list_init(&unloads);
        list_splice(&unloads, &session->unloads);
        list_unlink(&session->by_leaving);
        if (host->hooks.session_removed)
                host->hooks.session_removed(session, session->unload_reason, host->hooks.userdata);
        g_hash_table_remove(host->sessions, session->id);
        session_forget(session);
        session_free(session);
        unloads_call(&unloads, NULL);
}

static bool session_ended_for_good(const Session *session) {
        return session->state == SESSION_INACTIVE || session->state == SESSION_ERRORED;
}

static void host_check_stopped(Host *host) {
        SessionDone stopped = host->stopped;

        if (!stopped)
                return;
        list_foreach(node, &host->order)
                if (!session_ended_for_good(list_entry(node, Session, by_host)))
                        return;
        host->stopped = NULL;
        stopped(NULL, host->stopped_userdata);
}

static int host_reap(sd_event_source *source, void *userdata) {
        Host *host = userdata;

        list_foreach(node, &host->leaving) {
                Session *session = list_entry(node, Session, by_leaving);

                if (session->state == SESSION_INACTIVE)
                        host_remove(host, session);
        }
        host_check_stopped(host);
        return 0;
}

static void host_reap_soon(Host *host) {
        (void) sd_event_source_set_enabled(host->reaper, SD_EVENT_ONESHOT);
}

int host_unload_init(Host *host) {
        int r;

        list_init(&host->leaving);
        r = sd_event_add_defer(host->config.event, &host->reaper, host_reap, host);
        if (r < 0)
                return r;
        return sd_event_source_set_enabled(host->reaper, SD_EVENT_OFF);
}

void host_unload_done(Host *host) {
        sd_event_source_disable_unref(host->reaper);
}

void session_unloads_done(Session *session) {
        list_unlink(&session->by_leaving);
        unloads_call(&session->unloads, NULL);
}

void session_give_up_unloads(Session *session, const PlugindError *error) {
        unloads_call(&session->unloads, error);
}

void host_session_settled(Host *host, Session *session) {
        if (session->unloading || host->stopped)
                host_reap_soon(host);
}

static void host_unload_session(Host *host, Session *session, const char *reason, SessionDone done, void *userdata) {
        Unload *unload = g_new0(Unload, 1);

        unload->done = done;
        unload->userdata = userdata;
        list_append(&session->unloads, &unload->by_session);
        if (!session->unloading)
                list_append(&host->leaving, &session->by_leaving);
        session->unload_reason = reason;
        if (host->config.record)
                record_remove(host->config.record, session->id);
        session->unloading = true;
        session_touch(session);
        session_stop(session, "unload");
        if (session->state == SESSION_INACTIVE)
                host_reap_soon(host);
}

int host_unload(Host *host, const char *id, Caller *caller, bool force, SessionDone done, void *userdata, PlugindError *error) {
        Session *session;
        int r;

        r = host_get(host, id, &session, error);
        if (r < 0)
                return r;
        list_foreach(node, &session->attachments) {
                Attachment *attachment = list_entry(node, Attachment, by_session);

                if (attachment->bound && attachment->caller != caller && !force)
                        return plugind_error_set(error, PLUGIND_ERROR_BUSY,
                                                 "session \"%s\" is bound by %s; option `force` unloads it all the same", id,
                                                 attachment->caller->name);
        }
        host_unload_session(host, session, "unloaded", done, userdata);
        return 0;
}

void host_last_bound_left(Session *session) {
        if (session->unbound || session->unloading)
                return;
        list_foreach(node, &session->attachments)
                if (list_entry(node, Attachment, by_session)->bound)
                        return;
        host_unload_session(session->host, session, "unbound", NULL, NULL);
}

void session_unload(Session *session, const char *reason) {
        host_unload_session(session->host, session, reason, NULL, NULL);
}

uint64_t host_stop_usec(Host *host) {
        uint64_t usec = 0;

        list_foreach(node, &host->order) {
                const Session *session = list_entry(node, Session, by_host);

                if (!session_ended_for_good(session))
                        usec = MAX(usec, session->manifest->timeouts.stop_usec);
        }
        return usec;
}

void host_stop(Host *host, SessionDone done, void *userdata) {
        host->stopping = true;
        host->stopped = done;
        host->stopped_userdata = userdata;
        list_foreach(node, &host->order) {
                Session *session = list_entry(node, Session, by_host);

                session_remember(session);
                if (!session_ended_for_good(session))
                        session_stop(session, "shutdown");
        }
        host_reap_soon(host);
}
