/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Send, Cancel, Notify: what callers say to a plugin, and how the answers find back. */
#include "host/request.h"

#include "basic/log.h"
#include "host/session-private.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

/* Ids on the wire: the daemon's epoch above a counter. Both fit in the 53 bits that every JSON reader keeps exactly, and
 * the counter lasts for months of a full load. */
#define EPOCH_SHIFT 40
#define EPOCH_MASK ((UINT64_C(1) << 13) - 1)

/* -- the object -- */

guint request_named_hash(gconstpointer key) {
        const Request *request = key;

        return g_str_hash(request->caller_id) ^ g_direct_hash(request->caller) ^ g_direct_hash(request->session);
}

gboolean request_named_equal(gconstpointer a, gconstpointer b) {
        const Request *x = a, *y = b;

        return x->caller == y->caller && x->session == y->session && g_str_equal(x->caller_id, y->caller_id);
}

static Deadlines *request_deadlines(Request *request) {
        return request->session->host->config.deadlines;
}

static void request_off_the_wire(Request *request) {
        if (request->id == 0)
                return;
        g_hash_table_remove(request->session->host->requests, &request->id);
        request->id = 0;
}

static void request_on_the_wire(Request *request) {
        Host *host = request->session->host;

        request->id = (arena_epoch(host->config.arena) & EPOCH_MASK) << EPOCH_SHIFT | ++host->next_request;
        g_hash_table_add(host->requests, &request->id);
        list_append(&request->session->pending, &request->by_session);
}

static void request_free(Request *request) {
        Session *session = request->session;

        request_off_the_wire(request);
        deadline_disarm(request_deadlines(request), &request->deadline);
        list_unlink(&request->by_session);
        list_unlink(&request->by_caller);
        if (request->endless)
                session_touch(session);
        if (request->caller_id)
                g_hash_table_remove(session->host->named, request);
        if (request->answered) {
                session->in_flight--;
                if (session->run)
                        session->run->used_at = deadlines_now(request_deadlines(request));
        }
        charge_release(&request->charge);
        charge_release(&request->bytes);
        g_free(request->caller_id);
        g_free(request->method);
        g_free(request->params);
        g_free(request);
        session_check_idle(session);
}

static Request *session_find_named(Session *session, Caller *caller, const char *caller_id) {
        return g_hash_table_lookup(session->host->named,
                                   &(Request){ .caller = caller, .session = session, .caller_id = (char *) caller_id });
}

Request *session_find_request(Session *session, uint64_t id) {
        uint64_t *found = id != 0 ? g_hash_table_lookup(session->host->requests, &id) : NULL;
        Request *request = found ? list_entry(found, Request, id) : NULL;

        return request && request->session == session ? request : NULL;
}

/* -- answers -- */

static void request_count(const Request *request, const Answer *answer, JsonRange error_object) {
        uint64_t now = deadlines_now(session_deadlines(request->session));
        SendOutcome outcome = error_object.data                                       ? SEND_PLUGIN_ERROR
                              : answer->error.code == PLUGIND_ERROR_NONE              ? SEND_ANSWERED
                              : answer->error.code == PLUGIND_ERROR_REQUEST_TIMED_OUT ? SEND_TIMED_OUT
                                                                                      : SEND_FAILED;

        statistics_count(&request->session->statistics, outcome, request->endless ? USEC_INFINITY : now - request->called_at);
}

/* Ends a request: the dialect hears of it if it tracks it, then whoever waits. */
static void request_end(Request *request, const Answer *answer, JsonRange result, JsonRange error_object) {
        Session *session = request->session;
        RequestAnswered answered = request->answered;
        SessionDone handed_on = request->handed_on;
        DialectAnswered dialect_answered = request->dialect_answered;
        void *userdata = request->userdata;
        uint64_t id = request->id;
        bool tracked = request->tracked;

        if (answered)
                request_count(request, answer, error_object);
        request_free(request);
        if (tracked && session->dialect->ops->finished)
                session->dialect->ops->finished(session->dialect, id, result);
        if (dialect_answered)
                dialect_answered(session->dialect, result, answer->error.code ? &answer->error : NULL, error_object, userdata);
        else if (answered)
                answered(answer, userdata);
        else if (handed_on)
                handed_on(answer->error.code ? &answer->error : NULL, userdata);
}

static void request_fail(Request *request, const PlugindError *error) {
        request_end(request, &(Answer){ .error = *error }, (JsonRange){}, (JsonRange){});
}

static GString *request_envelope(const Request *request, const char *member, JsonRange value) {
        GString *text = g_string_sized_new(value.size + 64);

        g_string_append_printf(text, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"%s\":", request->caller_id ?: "null", member);
        g_string_append_len(text, value.data, (gssize) value.size);
        g_string_append_c(text, '}');
        return text;
}

static void plugin_error(JsonRange object, PlugindError *ret) {
        g_autofree char *message = NULL;
        int code;

        jsonrpc_error_get(object, &code, &message);
        if (!message[0]) {
                g_free(message);
                message = g_strdup_printf("the plugin answered with error %d and no message", code);
        }
        plugind_error_set(ret,
                          code == JSONRPC_METHOD_NOT_FOUND ? PLUGIND_ERROR_METHOD_NOT_FOUND
                          : code == JSONRPC_INVALID_PARAMS ? PLUGIND_ERROR_INVALID_PARAMS
                                                           : PLUGIND_ERROR_PLUGIN_ERROR,
                          "%s", message);
}

static void request_answer(Request *request, JsonRange result, JsonRange error_object) {
        Answer answer = { .json = result };
        GString *envelope = NULL;

        if (request->envelope)
                envelope = result.data ? request_envelope(request, "result", result) : request_envelope(request, "error", error_object);
        else if (error_object.data)
                plugin_error(error_object, &answer.error);
        if (envelope)
                answer.json = (JsonRange){ envelope->str, envelope->len };
        if (!answer.error.code && request->answered && answer.json.size > SEND_MAX)
                plugind_error_set(&answer.error, PLUGIND_ERROR_LIMITS_EXCEEDED, "the answer has %zu bytes, a Send carries at most %d",
                                  answer.json.size, SEND_MAX);
        request_end(request, &answer, result, error_object);
        plugind_error_clear(&answer.error);
        if (envelope)
                g_string_free(envelope, TRUE);
}

void session_answered(Session *session, const JsonRpcMessage *message) {
        Request *request = NULL;
        uint64_t id;

        if (json_get_uint64(message->id, &id))
                request = session_find_request(session, id);
        if (request)
                request_answer(request, message->result, message->error);
        else if (log_enabled(LOG_DEBUG)) {
                g_autofree char *quoted = json_quote(message->id.data, message->id.size);

                log_session(LOG_DEBUG, session->id, "dropped an answer to %s, which nobody waits for (any more)", quoted);
        }
}

bool session_answered_badly(Session *session, JsonRange id_range, const PlugindError *error) {
        Request *request;
        uint64_t id;

        if (!id_range.data || !json_get_uint64(id_range, &id))
                return false;
        request = session_find_request(session, id);
        if (!request)
                return false;
        request_fail(request, error);
        return true;
}

static void request_tell_plugin(Request *request, const char *reason) {
        const Session *session = request->session;

        if (request->id != 0 && session->run && session->run->duplex && session->dialect->ops->cancel)
                session->dialect->ops->cancel(session->dialect, request->id, reason);
}

void request_cancel(Request *request, const char *reason) {
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;

        request_tell_plugin(request, reason);
        plugind_error_set(&error, PLUGIND_ERROR_CANCELLED, "the request was cancelled: %s", reason);
        request_fail(request, &error);
}

static void request_expired(Deadline *d) {
        Request *request = list_entry(d, Request, deadline);
        Session *session = request->session;
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;
        double seconds = (double) request->timeout_usec / (double) USEC_PER_SEC;

        if (request->id != 0)
                plugind_error_set(&error, PLUGIND_ERROR_REQUEST_TIMED_OUT, "session \"%s\" did not answer within %g s", session->id,
                                  seconds);
        else
                plugind_error_set(&error, PLUGIND_ERROR_REQUEST_TIMED_OUT, "session \"%s\" was not active within %g s (it is %s)",
                                  session->id, seconds, session_state_to_string(session->state));
        if (request->answered)
                request_tell_plugin(request, "the deadline has passed");
        request_fail(request, &error);
}

/* -- to the plugin -- */

static int duplex_failed(int r, Session *session, PlugindError *error) {
        if (r >= 0)
                return 0;
        if (r == -ENOBUFS)
                return plugind_error_set(error, PLUGIND_ERROR_LIMITS_EXCEEDED,
                                         "the plugin of session \"%s\" does not read its input: the queue to it is full", session->id);
        return plugind_error_set(error, PLUGIND_ERROR_CONNECTION_LOST, "the plugin of session \"%s\" is going away", session->id);
}

static DialectVerdict ask_dialect(Session *session, DialectOutgoing *outgoing) {
        const DialectOps *ops = session->dialect->ops;
        DialectVerdict verdict = ops->outgoing ? ops->outgoing(session->dialect, outgoing) : DIALECT_FORWARD;

        if (outgoing->holds && outgoing->caller)
                session_attachment(session, outgoing->caller, true)->dialect_holds = true;
        return verdict;
}

static void outgoing_clear(DialectOutgoing *outgoing) {
        if (outgoing->rewritten)
                g_string_free(outgoing->rewritten, TRUE);
        if (outgoing->answer)
                g_string_free(outgoing->answer, TRUE);
        plugind_error_clear(&outgoing->error);
}

static JsonRange outgoing_params(const DialectOutgoing *outgoing) {
        return outgoing->rewritten ? (JsonRange){ outgoing->rewritten->str, outgoing->rewritten->len } : outgoing->params;
}

static void request_keep(Request *request, const char *method, JsonRange params) {
        if (request->method)
                return;
        request->method = g_strdup(method);
        request->params = params.data ? g_strndup(params.data, params.size) : NULL;
}

static int request_forward(Request *request, DialectOutgoing *outgoing, PlugindError *error) {
        Session *session = request->session;
        int r;

        request->tracked = outgoing->tracked;
        request->endless = outgoing->endless;
        if (request->endless) {
                request_keep(request, outgoing->method, outgoing->params);
                session_touch(session);
                deadline_disarm(request_deadlines(request), &request->deadline);
        }
        r = request->endless && session->host->held
                    ? host_ends_endless(error)
                    : duplex_failed(duplex_request(session->run->duplex, request->id, outgoing->method, outgoing_params(outgoing)), session,
                                    error);
        if (r < 0 && request->tracked && session->dialect->ops->finished) {
                request->tracked = false;
                session->dialect->ops->finished(session->dialect, request->id, (JsonRange){});
        }
        return r;
}

/* Writes the request, or answers it in the plugin's stead. On failure *error is set and REQUEST still there. */
static int request_transmit(Request *request, const char *method, JsonRange params, PlugindError *error) {
        DialectOutgoing outgoing = { .caller = request->caller, .method = method, .params = params, .again = request->endless };
        int r = 0;

        request_on_the_wire(request);
        outgoing.id = request->id;
        if (request->caller_id)
                outgoing.caller_id = JSON_RANGE(request->caller_id);
        switch (ask_dialect(request->session, &outgoing)) {
        case DIALECT_FORWARD:
                r = request_forward(request, &outgoing, error);
                break;
        case DIALECT_ANSWER:
                request_answer(request, (JsonRange){ outgoing.answer->str, outgoing.answer->len }, (JsonRange){});
                break;
        case DIALECT_REFUSE:
                plugind_error_propagate(error, &outgoing.error);
                r = -EPERM;
                break;
        }
        outgoing_clear(&outgoing);
        return r;
}

static int notification_transmit(Session *session, Caller *caller, const char *method, JsonRange params, PlugindError *error) {
        DialectOutgoing outgoing = { .caller = caller, .method = method, .params = params };
        int r = 0;

        switch (ask_dialect(session, &outgoing)) {
        case DIALECT_FORWARD:
                r = duplex_failed(duplex_notify(session->run->duplex, method, outgoing_params(&outgoing)), session, error);
                break;
        case DIALECT_ANSWER:
                break;
        case DIALECT_REFUSE:
                plugind_error_propagate(error, &outgoing.error);
                r = -EPERM;
                break;
        }
        outgoing_clear(&outgoing);
        return r;
}

static bool session_ready(const Session *session) {
        return session->state == SESSION_ACTIVE && session->run->duplex && !deadline_armed(&session->run->lost) &&
               list_empty(&session->waiting);
}

/* May a message wait for the plugin to become active? */
static int session_may_wait(Session *session, PlugindError *error) {
        switch (session->state) {
        case SESSION_STARTING:
        case SESSION_RESTARTING:
        case SESSION_ACTIVE:
                return 0;
        case SESSION_CONNECTING:
                if (session->run->duplex)
                        return 0;
                break;
        case SESSION_INACTIVE:
        case SESSION_STOPPING:
                if (session->start_again || session_starts_on_demand(session))
                        return 0;
                break;
        default:
                break;
        }
        return session_not_active(session, error);
}

static int request_wait(Request *request, const char *method, JsonRange params, PlugindError *error) {
        Session *session = request->session;
        int r;

        r = session_may_wait(session, error);
        if (r < 0)
                return r;
        if (request->caller)
                r = quota_charge(session->host->quota, request->caller->uid, QUOTA_BYTES, strlen(method) + params.size, &request->bytes,
                                 error);
        if (r < 0)
                return r;
        request_keep(request, method, params);
        list_append(&session->waiting, &request->by_session);
        if (session->state == SESSION_INACTIVE)
                session_start(session, "on-demand");
        return 0;
}

/* What waited a turn for the plugin goes to it, in order. */
void session_flush_waiting(Session *session) {
        Request *request;

        while (session->state == SESSION_ACTIVE && session->run->duplex && (request = list_first(&session->waiting, Request, by_session))) {
                _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;
                g_autofree char *method = g_steal_pointer(&request->method), *params = g_steal_pointer(&request->params);
                JsonRange range = params ? JSON_RANGE(params) : (JsonRange){};

                list_unlink(&request->by_session);
                charge_release(&request->bytes);
                if (request->answered) {
                        if (request_transmit(request, method, range, &error) < 0)
                                request_fail(request, &error);
                        continue;
                }
                if (notification_transmit(session, request->caller, method, range, &error) < 0)
                        log_session(LOG_NOTICE, session->id, "a notification of %s was dropped: %s", request->caller->name, error.message);
                request_fail(request, &error); /* or all is well */
        }
}

void session_fail_pending(Session *session, const PlugindError *error) {
        bool comes_back = !session->unloading && (session->state != SESSION_STOPPING || session->start_again);
        List lost;
        Request *request;

        list_init(&lost);
        list_splice(&lost, &session->pending);
        while ((request = list_first(&lost, Request, by_session))) {
                list_unlink(&request->by_session);
                if (request->endless && request->caller && comes_back) {
                        request_off_the_wire(request);
                        list_append(&session->waiting, &request->by_session);
                } else
                        request_fail(request, error);
        }
}

void session_fail_waiting(Session *session, const PlugindError *error) {
        List lost;
        Request *request;

        list_init(&lost);
        list_splice(&lost, &session->waiting);
        while ((request = list_first(&lost, Request, by_session)))
                request_fail(request, error);
}

static void give_up(List *requests, bool endless, const PlugindError *error) {
        list_foreach(node, requests) {
                Request *request = list_entry(node, Request, by_session);

                if (!(request->answered || request->handed_on) || (endless && !request->endless))
                        continue;
                request_tell_plugin(request, error->message);
                request_fail(request, error);
        }
}

void session_give_up_requests(Session *session, bool endless, const PlugindError *error) {
        give_up(&session->pending, endless, error);
        give_up(&session->waiting, endless, error);
}

void session_fail_waiting_once(Session *session, const PlugindError *error) {
        list_foreach(node, &session->waiting) {
                Request *request = list_entry(node, Request, by_session);

                if (!request->endless)
                        request_fail(request, error);
        }
}

/* -- what callers ask for -- */

static int check_message(Session *session, const char *method, JsonRange *params, PlugindError *error) {
        int r;

        if (session->host->stopping)
                return plugind_error_set(error, PLUGIND_ERROR_NOT_ACTIVE, "plugind is shutting down");
        r = request_check_method(method, error);
        return r < 0 ? r : request_check_params(params, error);
}

static int request_name(Request *request, const char *caller_id, PlugindError *error) {
        Host *host = request->session->host;

        if (!caller_id)
                return 0;
        if (strlen(caller_id) > REQUEST_ID_MAX)
                return plugind_error_set(error, PLUGIND_ERROR_INVALID_ARGS, "id has %zu bytes, at most %d are taken", strlen(caller_id),
                                         REQUEST_ID_MAX);
        if (session_find_named(request->session, request->caller, caller_id))
                return plugind_error_set(error, PLUGIND_ERROR_INVALID_ARGS, "id %s is already in flight from this caller", caller_id);
        request->caller_id = g_strdup(caller_id);
        g_hash_table_add(host->named, request);
        return 0;
}

static Request *request_new(Session *session, Caller *caller) {
        Request *request = g_new0(Request, 1);

        request->session = session;
        request->caller = caller;
        if (caller)
                list_append(&caller->requests, &request->by_caller);
        request->deadline.expired = request_expired;
        return request;
}

int session_send(Session *session, Caller *caller, const char *method, JsonRange params, const SendOptions *options,
                 RequestAnswered answered, void *userdata, PlugindError *error) {
        uint64_t timeout = options->timeout_usec ?: session->manifest->timeouts.request_usec;
        Request *request;
        int r;

        r = check_message(session, method, &params, error);
        if (r < 0)
                return r;
        request = request_new(session, caller);
        request->userdata = userdata;
        request->envelope = options->envelope;
        request->timeout_usec = timeout;
        r = quota_charge(session->host->quota, caller->uid, QUOTA_REQUESTS, 1, &request->charge, error);
        if (r >= 0)
                r = request_name(request, options->id, error);
        if (r >= 0) {
                bool ready = session_ready(session);

                request->answered = answered;
                request->called_at = deadlines_now(request_deadlines(request));
                session->in_flight++;
                deadline_arm(request_deadlines(request), &request->deadline, timeout);
                if (session->run)
                        session->run->used_at = request->called_at;
                r = ready ? request_transmit(request, method, params, error) : request_wait(request, method, params, error);
        }
        if (r < 0)
                request_free(request);
        return r;
}

int session_notify(Session *session, Caller *caller, const char *method, JsonRange params, SessionDone done, void *userdata,
                   PlugindError *error) {
        Request *request;
        int r;

        r = check_message(session, method, &params, error);
        if (r < 0)
                return r;
        if (session->run)
                session->run->used_at = deadlines_now(session->host->config.deadlines);
        if (session_ready(session)) {
                r = notification_transmit(session, caller, method, params, error);
                if (r >= 0 && done)
                        done(NULL, userdata);
                return r;
        }
        request = request_new(session, caller);
        request->handed_on = done;
        request->userdata = userdata;
        request->timeout_usec = session->manifest->timeouts.request_usec;
        r = quota_charge(session->host->quota, caller->uid, QUOTA_REQUESTS, 1, &request->charge, error);
        if (r >= 0) {
                deadline_arm(request_deadlines(request), &request->deadline, request->timeout_usec);
                r = request_wait(request, method, params, error);
        }
        if (r < 0)
                request_free(request);
        return r;
}

int session_cancel(Session *session, Caller *caller, const char *caller_id, PlugindError *error) {
        Request *request = session_find_named(session, caller, caller_id);

        if (!request)
                return plugind_error_set(error, PLUGIND_ERROR_INVALID_ARGS, "no request %s of this caller is in flight to session \"%s\"",
                                         caller_id, session->id);
        request_cancel(request, "by its caller");
        return 0;
}

int session_request_of_host(Session *session, const char *method, JsonRange params, uint64_t timeout_usec, DialectAnswered answered,
                            void *userdata) {
        Request *request;
        int r;

        if (!session->run || !session->run->duplex)
                return -ENOTCONN;
        request = request_new(session, NULL);
        request->dialect_answered = answered;
        request->userdata = userdata;
        request->timeout_usec = timeout_usec;
        request_on_the_wire(request);
        r = duplex_request(session->run->duplex, request->id, method, params);
        if (r < 0) {
                request_free(request);
                return r;
        }
        deadline_arm(request_deadlines(request), &request->deadline, timeout_usec);
        return 0;
}
