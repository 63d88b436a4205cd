/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How the host gets from one daemon to the next (design.md 8).
 *
 * What changes about a session marks it (session_touch()), and before anybody can hear of the change, or else at the end of the loop's turn,
 * its text goes into the store: a daemon that is killed is succeeded by one that knows all that was told. To leave in order is the same,
 * with plugins held so that nothing happens to them between us and the next.
 */
#include "basic/log.h"
#include "host/session-state.h"
#include "store/store.h"

#include <errno.h>
#include <glib.h>

/* How many sessions are named that are waited for. */
#define NAMED_MAX 5

/* -- into the store -- */

void session_touch(Session *session) {
        Host *host = session->host;

        if (!host->config.store || host->left || list_linked(&session->by_touched))
                return;
        list_append(&host->touched, &session->by_touched);
        (void) sd_event_source_set_enabled(host->flush, SD_EVENT_ONESHOT);
}

static char *session_key(const char *id) {
        return g_strconcat(SESSION_KEY_PREFIX, id, NULL);
}

static void session_write(Session *session) {
        g_autoptr(GString) json = g_string_sized_new(512);
        g_autofree char *key = session_key(session->id);

        list_unlink(&session->by_touched);
        session_state_append(json, session);
        store_set(session->host->config.store, key, json->str, json->len);
}

void host_flush(Host *host) {
        Session *session;

        while ((session = list_first(&host->touched, Session, by_touched)))
                session_write(session);
}

static int on_flush(sd_event_source *source, void *userdata) {
        host_flush(userdata);
        return 0;
}

int host_handover_init(Host *host) {
        int r;

        list_init(&host->touched);
        r = sd_event_add_defer(host->config.event, &host->flush, on_flush, host);
        if (r >= 0)
                r = sd_event_source_set_priority(host->flush, SD_EVENT_PRIORITY_IMPORTANT);
        return r < 0 ? r : sd_event_source_set_enabled(host->flush, SD_EVENT_OFF);
}

void host_handover_done(Host *host) {
        sd_event_source_disable_unref(host->flush);
}

void session_forget(Session *session) {
        g_autofree char *key = session_key(session->id);

        list_unlink(&session->by_touched);
        if (session->host->config.store && !session->host->left)
                store_remove(session->host->config.store, key);
}

/* -- and out of it -- */

/* A text that ends us while it is restored must not do so for ever: which one it is, and how often in a row it has been tried. */
#define KEY_RESTORING "restoring"
#define RESTORING_MAX 3

typedef struct Restoring {
        Host *host;
        HostFindCaller find_caller;
        void *userdata;
        GPtrArray *lost; /* keys */
        char *last;      /* the id that the daemon before died with; NULL: it did not */
        unsigned tries;
} Restoring;

static void read_last(Restoring *restoring) {
        size_t size;
        const char *text = store_get(restoring->host->config.store, KEY_RESTORING, &size);
        g_auto(GStrv) words = text ? g_strsplit(text, " ", 2) : NULL;

        if (!words || !words[0] || !words[1])
                return;
        restoring->tries = (unsigned) g_ascii_strtoull(words[0], NULL, 10);
        restoring->last = g_strdup(words[1]);
}

/* False if it has been tried often enough. */
static bool try_restoring(const Restoring *restoring, const char *id) {
        unsigned tries = g_strcmp0(restoring->last, id) == 0 ? restoring->tries + 1 : 1;
        g_autofree char *text = g_strdup_printf("%u %s", tries, id);

        if (tries > RESTORING_MAX)
                return false;
        store_set(restoring->host->config.store, KEY_RESTORING, text, strlen(text));
        return true;
}

static void restore(const char *key, const char *text, size_t size, void *userdata) {
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;
        const char *id = key + strlen(SESSION_KEY_PREFIX);
        Restoring *restoring = userdata;
        g_autofree char *copy = g_strndup(text, size); /* it does not stay while something is set */

        if (!try_restoring(restoring, id))
                plugind_error_set(&error, PLUGIND_ERROR_FAILED, "plugind has ended %d times in a row while it was restored", RESTORING_MAX);
        else if (session_restore(restoring->host, id, (JsonRange){ copy, size }, restoring->find_caller, restoring->userdata, &error) >= 0)
                return;
        log_warning("Session \"%s\" cannot go on as it was: %s", id, error.message);
        g_ptr_array_add(restoring->lost, g_strdup(key));
}

/* In the order in which they were loaded, as the store has it. What cannot be restored is loaded as after a reboot, if it is remembered. */
void host_restore(Host *host, HostFindCaller find_caller, void *userdata) {
        g_autoptr(GPtrArray) lost = g_ptr_array_new_with_free_func(g_free);
        Restoring restoring = { .host = host, .find_caller = find_caller, .userdata = userdata, .lost = lost };

        read_last(&restoring);
        store_foreach(host->config.store, SESSION_KEY_PREFIX, restore, &restoring);
        store_remove(host->config.store, KEY_RESTORING);
        g_free(restoring.last);
        for (unsigned i = 0; i < lost->len; i++)
                store_remove(host->config.store, lost->pdata[i]);
        host_reload_running(host);
}

/* -- leaving -- */

void session_hold(Session *session) {
        SessionRun *run = session->run;

        if (session->state != SESSION_ACTIVE || !run->duplex || run->held)
                return;
        run->held = true;
        duplex_hold(run->duplex);
        if (run->unit && run->unit->runtime->ops->unit_hold)
                run->unit->runtime->ops->unit_hold(run->unit, true);
        deadline_disarm(session_deadlines(session), &run->health);
        deadline_disarm(session_deadlines(session), &run->idle);
}

void session_release(Session *session) {
        SessionRun *run = session->run;

        if (!run || !run->held)
                return;
        run->held = false;
        if (run->unit && run->unit->runtime->ops->unit_hold)
                run->unit->runtime->ops->unit_hold(run->unit, false);
}

int host_ends_endless(PlugindError *error) {
        return plugind_error_set(error, PLUGIND_ERROR_CONNECTION_LOST, "plugind restarts, which ends what has no end of its own");
}

void host_hold(Host *host) {
        host->held = true;
        list_foreach(node, &host->order) {
                _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;
                Session *session = list_entry(node, Session, by_host);

                (void) host_ends_endless(&error);
                session_give_up_requests(session, true, &error);
                session_hold(session);
        }
}

void host_answer_all(Host *host) {
        list_foreach(node, &host->order) {
                _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;
                Session *session = list_entry(node, Session, by_host);

                plugind_error_set(&error, PLUGIND_ERROR_CONNECTION_LOST, "plugind restarts and waited no longer for session \"%s\"",
                                  session->id);
                session_give_up_requests(session, false, &error);
                session_give_up_waiters(session, &error);
                session_give_up_unloads(session, &error);
        }
}

static void describe_waiting(GString *out, const Session *session) {
        bool waited_for = !list_empty(&session->waiters) || !list_empty(&session->unloads);

        g_string_append_printf(out, "%s%s (", out->len > 0 ? ", " : "", session->id);
        if (session->in_flight > 0)
                g_string_append_printf(out, "%u %s%s", session->in_flight, session->in_flight == 1 ? "call" : "calls",
                                       waited_for ? ", " : "");
        if (waited_for)
                g_string_append(out, session_state_to_string(session->state));
        g_string_append_c(out, ')');
}

char *host_waits_for(Host *host) {
        g_autoptr(GString) out = g_string_new(NULL);
        unsigned n = 0;

        list_foreach(node, &host->order) {
                const Session *session = list_entry(node, Session, by_host);

                if (session->in_flight == 0 && list_empty(&session->waiters) && list_empty(&session->unloads))
                        continue;
                if (n++ < NAMED_MAX)
                        describe_waiting(out, session);
        }
        if (n > NAMED_MAX)
                g_string_append_printf(out, " and %u more", n - NAMED_MAX);
        return n > 0 ? g_string_free(g_steal_pointer(&out), FALSE) : NULL;
}

void host_leave(Host *host) {
        list_foreach(node, &host->order) {
                Session *session = list_entry(node, Session, by_host);

                session_remember(session);
                session_write(session);
        }
        host->left = true;
}
