/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Callers' lasting interests in a session: binds, subscriptions, what the dialect keeps for them; and who hears a notification. */
#include "host/session-private.h"

#include <glib.h>
#include <string.h>

/* Methods one caller may name in one subscription. */
#define SUBSCRIBED_METHODS_MAX 256

Attachment *session_attachment(Session *session, Caller *caller, bool create) {
        Attachment *attachment;

        list_foreach(node, &caller->attachments) {
                attachment = list_entry(node, Attachment, by_caller);
                if (attachment->session == session)
                        return attachment;
        }
        if (!create)
                return NULL;
        attachment = g_new0(Attachment, 1);
        attachment->session = session;
        attachment->caller = caller;
        list_append(&session->attachments, &attachment->by_session);
        list_append(&caller->attachments, &attachment->by_caller);
        return attachment;
}

static void attachment_unsubscribe(Attachment *attachment) {
        attachment->subscribed = false;
        g_clear_pointer(&attachment->methods, g_strfreev);
        charge_release(&attachment->charge);
}

/* Ends all of CALLER's interest at once. */
void attachment_free(Attachment *attachment) {
        Session *session = attachment->session;
        bool bound = attachment->bound, over = session->host->left; /* then it is the next daemon's, and has not ended */

        list_unlink(&attachment->by_session);
        list_unlink(&attachment->by_caller);
        if (!over && attachment->dialect_holds && session->dialect && session->dialect->ops->caller_gone)
                session->dialect->ops->caller_gone(session->dialect, attachment->caller);
        attachment_unsubscribe(attachment);
        g_free(attachment);
        if (over)
                return;
        session_touch(session);
        session_check_idle(session);
        if (bound)
                host_last_bound_left(session);
}

void attachment_settle(Attachment *attachment) {
        if (!attachment->bound && !attachment->subscribed && !attachment->dialect_holds)
                attachment_free(attachment);
}

int session_subscribe(Session *session, Caller *caller, char *const *methods, PlugindError *error) {
        Charge charge = {};
        Attachment *attachment;
        size_t n = methods ? g_strv_length((char **) methods) : 0;
        int r;

        if (n > SUBSCRIBED_METHODS_MAX)
                return plugind_error_set(error, PLUGIND_ERROR_LIMITS_EXCEEDED, "%zu methods are too many for one subscription: at most %d",
                                         n, SUBSCRIBED_METHODS_MAX);
        for (size_t i = 0; i < n; i++)
                if (!methods[i][0] || strlen(methods[i]) > METHOD_MAX)
                        return plugind_error_set(error, PLUGIND_ERROR_INVALID_ARGS,
                                                 "method number %zu of the subscription has %zu bytes, expected 1 to %d", i + 1,
                                                 strlen(methods[i]), METHOD_MAX);
        r = quota_charge(session->host->quota, caller->uid, QUOTA_SUBSCRIPTIONS, MAX(n, 1), &charge, error);
        if (r < 0)
                return r;
        attachment = session_attachment(session, caller, true);
        attachment_unsubscribe(attachment);
        attachment->subscribed = true;
        attachment->methods = n > 0 ? g_strdupv((char **) methods) : NULL;
        attachment->charge = charge;
        session_touch(session);
        return 0;
}

void session_unsubscribe(Session *session, Caller *caller) {
        Attachment *attachment = session_attachment(session, caller, false);

        if (!attachment)
                return;
        attachment_unsubscribe(attachment);
        session_touch(session);
        attachment_settle(attachment);
}

static bool attachment_wants(const Attachment *attachment, const char *method) {
        return attachment->subscribed && (!attachment->methods || g_strv_contains((const char *const *) attachment->methods, method));
}

static void deliver_to(Session *session, Caller *caller, const char *request, const char *method, JsonRange params) {
        const Hooks *hooks = &session->host->hooks;

        if (hooks->notification)
                hooks->notification(session, caller, request, method, params, hooks->userdata);
}

/* A caller's own id as it was given: without the quotes of a string. */
static char *caller_id_plain(const Request *request) {
        if (!request->caller_id)
                return g_strdup("");
        return json_string_decode(JSON_RANGE(request->caller_id)) ?: g_strdup(request->caller_id);
}

void session_deliver(Session *session, DialectIncoming *incoming) {
        JsonRange params = incoming->rewritten ? (JsonRange){ incoming->rewritten->str, incoming->rewritten->len } : incoming->params;
        const DialectOps *ops = session->dialect->ops;
        g_autofree char *method = NULL;

        if (incoming->audience == DIALECT_TO_SUBSCRIBERS && list_empty(&session->attachments))
                return;
        method = json_string_decode(incoming->method);
        if (!method) /* a NUL in it: nothing that D-Bus could carry or anybody have subscribed to */
                return;
        if (incoming->audience == DIALECT_TO_REQUEST) {
                Request *request = session_find_request(session, incoming->request);

                if (request && request->caller) {
                        g_autofree char *id = caller_id_plain(request);

                        deliver_to(session, request->caller, id, method, params);
                }
                return;
        }
        list_foreach(node, &session->attachments) {
                Attachment *attachment = list_entry(node, Attachment, by_session);

                if (attachment_wants(attachment, method) && (!ops->wants || ops->wants(session->dialect, attachment->caller, incoming)))
                        deliver_to(session, attachment->caller, "", method, params);
        }
}
