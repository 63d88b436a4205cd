/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What comes in over the duplex, and what the dialect asks of its session. */
#include "host/session-private.h"

#include "basic/log.h"
#include "store/store.h"

#include <errno.h>
#include <glib.h>

/* -- from the duplex -- */

static void talk_message(Duplex *duplex, const JsonRpcMessage *message, void *userdata) {
        Session *session = userdata;

        switch (message->kind) {
        case JSONRPC_RESULT:
        case JSONRPC_ERROR:
                session_answered(session, message);
                break;
        case JSONRPC_REQUEST:
                session->dialect->ops->request(session->dialect, message);
                break;
        case JSONRPC_NOTIFICATION: {
                DialectIncoming incoming = { .method = message->method, .params = message->params };

                if (session->dialect->ops->notification)
                        session->dialect->ops->notification(session->dialect, &incoming);
                if (incoming.audience != DIALECT_TO_NOBODY)
                        session_deliver(session, &incoming);
                if (incoming.rewritten)
                        g_string_free(incoming.rewritten, TRUE);
                break;
        }
        }
}

static void talk_bad(Duplex *duplex, JsonRange id, const PlugindError *error, void *userdata) {
        Session *session = userdata;
        bool found = session_answered_badly(session, id, error);

        if (session->log)
                plugin_log_add(session->log, LOG_WARNING, "plugind: %s%s", error->message, found ? "" : " (skipped)");
}

static void talk_skipped(Duplex *duplex, const char *line, size_t size, void *userdata) {
        Session *session = userdata;
        g_autofree char *quoted = json_quote(line, size);

        if (session->log)
                plugin_log_add(session->log, LOG_INFO, "plugind: skipped on stdout: %s", quoted);
}

/* ERROR quotes what the plugin sent: that is for its callers and its log, while ErrorMessage is read by all. */
static void talk_broken(Session *session, const PlugindError *error) {
        _cleanup_error_ PlugindError told = PLUGIND_ERROR_INIT;

        session_close_duplex(session, error);
        if (session->log)
                plugin_log_add(session->log, LOG_ERR, "plugind: %s", error->message);
        plugind_error_set(&told, error->code, "the plugin sent what is no message and left no way to find the next; its log quotes it");
        session_fail(session, session->run->active_since > 0 ? "run" : "greeting", "protocol-error", &told, NULL);
}

static void talk_closed(Duplex *duplex, const PlugindError *error, void *userdata) {
        Session *session = userdata;
        SessionRun *run = session->run;
        bool broken = error->code == PLUGIND_ERROR_PROTOCOL_ERROR;

        if (run->exited) /* being heard out: whoever does that goes on */
                return;
        if (run->held) {
                session_fail_pending(session, error);
                return;
        }
        if (session->state == SESSION_STOPPING || session->state == SESSION_RESTARTING) {
                session_close_duplex(session, error);
                if (!run->unit) /* external: that was its end */
                        deadline_arm(session_deadlines(session), &run->timer, 0);
        } else if (broken)
                talk_broken(session, error);
        else if (!session_supervised(session))
                session_fail(session, run->active_since > 0 ? "run" : "greeting", "connection-lost", error, NULL);
        else
                deadline_arm(session_deadlines(session), &run->lost, LOST_GRACE_USEC);
}

/* We are leaving: what somebody waits for, or the plugin itself, comes now; the rest is for the next daemon to deliver. */
static bool talk_ahead(Duplex *duplex, const JsonRpcMessage *message, void *userdata) {
        DialectIncoming incoming = { .method = message->method, .params = message->params };
        Session *session = userdata;

        if (message->kind != JSONRPC_NOTIFICATION) {
                talk_message(duplex, message, userdata);
                return true;
        }
        if (session->dialect->ops->notification)
                session->dialect->ops->notification(session->dialect, &incoming);
        if (incoming.audience == DIALECT_TO_REQUEST)
                session_deliver(session, &incoming);
        if (incoming.rewritten)
                g_string_free(incoming.rewritten, TRUE);
        return incoming.audience != DIALECT_TO_SUBSCRIBERS;
}

static bool talk_ready(Duplex *duplex, void *userdata) {
        return session_may_tell(userdata);
}

static const DuplexOps talk_ops = {
        .message = talk_message,
        .ahead = talk_ahead,
        .bad = talk_bad,
        .skipped = talk_skipped,
        .closed = talk_closed,
        .ready = talk_ready,
};

/* -- from the dialect -- */

static int peer_request(void *peer, const char *method, JsonRange params, uint64_t timeout_usec, DialectAnswered answered, void *userdata) {
        return session_request_of_host(peer, method, params, timeout_usec, answered, userdata);
}

static Duplex *peer_duplex(void *peer) {
        Session *session = peer;

        return session->run ? session->run->duplex : NULL;
}

static int peer_notify(void *peer, const char *method, JsonRange params) {
        Duplex *duplex = peer_duplex(peer);

        return duplex ? duplex_notify(duplex, method, params) : -ENOTCONN;
}

static int peer_respond(void *peer, JsonRange id, JsonRange result) {
        Duplex *duplex = peer_duplex(peer);

        return duplex ? duplex_respond(duplex, id, result) : -ENOTCONN;
}

static int peer_respond_error(void *peer, JsonRange id, int code, const char *message) {
        Duplex *duplex = peer_duplex(peer);

        return duplex ? duplex_respond_error(duplex, id, code, message) : -ENOTCONN;
}

static uint32_t replace_string(char **target, const char *value, uint32_t property) {
        if (g_strcmp0(*target, value) == 0)
                return 0;
        g_free(*target);
        *target = g_strdup(value);
        return property;
}

static void peer_greeted(void *peer, const DialectGreeting *greeting) {
        Session *session = peer;
        bool fits = greeting->answer.data && greeting->answer.size <= SEND_MAX;
        g_autofree char *answer = fits ? g_strndup(greeting->answer.data, greeting->answer.size) : NULL;
        uint32_t changed = 0;

        if (session->state != SESSION_CONNECTING)
                return;
        if (greeting->answer.data && !fits) /* a few of them would be more than an answer to GetManagedObjects can hold */
                log_session(LOG_NOTICE, session->id, "what it answered to the greeting has %zu bytes, more than %d are not shown",
                            greeting->answer.size, SEND_MAX);
        changed |= replace_string(&session->greeting, answer, SESSION_PROPERTY_GREETING);
        changed |= replace_string(&session->server_name, greeting->name, SESSION_PROPERTY_NAME);
        changed |= replace_string(&session->server_version, greeting->version, SESSION_PROPERTY_VERSION);
        session_changed(session, changed);
        session_become_active(session);
}

static void peer_greeting_failed(void *peer, const PlugindError *error) {
        Session *session = peer;

        if (session->state == SESSION_CONNECTING && session->run->duplex)
                session_fail(session, "greeting", "greeting-failed", error, NULL);
}

static void peer_pong(void *peer) {
        session_pong(peer);
}

static void peer_farewell_said(void *peer) {
        Session *session = peer;

        if (session->state == SESSION_STOPPING && session->run->duplex)
                duplex_end_output(session->run->duplex);
}

static void peer_remember_era(void *peer, const char *era) {
        Session *session = peer;

        if (!replace_string(&session->mcp_era, era, 1))
                return;
        session_touch(session);
        session_remember(session);
}

__attribute__((format(printf, 3, 4))) static void peer_log(void *peer, int priority, const char *format, ...) {
        Session *session = peer;
        g_autofree char *message = NULL;
        va_list args;

        va_start(args, format);
        message = g_strdup_vprintf(format, args);
        va_end(args);
        if (session->log)
                plugin_log_add(session->log, priority, "plugind: %s", message);
}

static const char *peer_caller_name(void *peer, Caller *caller) {
        return caller->name;
}

static void peer_changed(void *peer) {
        session_touch(peer);
}

static Caller *peer_find_caller(void *peer, const char *name) {
        Session *session = peer;

        list_foreach(node, &session->attachments) {
                Caller *caller = list_entry(node, Attachment, by_session)->caller;

                if (g_str_equal(caller->name, name))
                        return caller;
        }
        return NULL;
}

static void peer_holds(void *peer, Caller *caller) {
        session_attachment(peer, caller, true)->dialect_holds = true;
}

static const DialectPeer talk_peer = {
        .request = peer_request,
        .notify = peer_notify,
        .respond = peer_respond,
        .respond_error = peer_respond_error,
        .greeted = peer_greeted,
        .greeting_failed = peer_greeting_failed,
        .pong = peer_pong,
        .farewell_said = peer_farewell_said,
        .remember_era = peer_remember_era,
        .log = peer_log,
        .caller_name = peer_caller_name,
        .changed = peer_changed,
        .find_caller = peer_find_caller,
        .holds = peer_holds,
};

int session_need_dialect(Session *session) {
        const Manifest *manifest = session->manifest;
        const HostConfig *config = &session->host->config;
        g_autofree char *data_dir = NULL;

        if (session->dialect)
                return 0;
        data_dir = config->data_dir ? g_build_filename(config->data_dir, session->id, NULL) : NULL;
        return manifest->dialect->dialect_new(manifest->dialect,
                                              &(DialectSetup){
                                                      .session = session->id,
                                                      .data_dir = data_dir,
                                                      .configuration = session_configuration(session),
                                                      .lsp_root_uri = manifest->lsp_root_uri,
                                                      .lsp_initialization_options = manifest->lsp_initialization_options,
                                                      .mcp_era = manifest->mcp_era ?: session->mcp_era,
                                                      .mcp_era_fixed = manifest->mcp_era != NULL,
                                                      .message_max = DUPLEX_MESSAGE_MAX,
                                              },
                                              &talk_peer, session, config->deadlines, &session->dialect);
}

/* -- the stream -- */

int session_open_duplex(Session *session, int fd_in, int fd_out, Framing framing, PlugindError *error) {
        Host *host = session->host;
        SessionRun *run = session->run;
        int r;

        r = session_need_dialect(session);
        if (r >= 0)
                r = duplex_new(host->config.event, host->config.arena, fd_in, fd_out, framing, &talk_ops, session, &run->duplex);
        if (r < 0)
                return plugind_error_set(error, PLUGIND_ERROR_START_FAILED, "cannot set up the stream to the plugin: %s", g_strerror(-r));
        run->framing = framing;
        session_touch(session);
        if (session->state == SESSION_STARTING)
                session_transition(session, SESSION_CONNECTING, "started");
        if (session->state == SESSION_CONNECTING)
                session->dialect->ops->connected(session->dialect);
        return 0;
}

int session_adopt_duplex(Session *session, unsigned slot, int fd_in, int fd_out, Framing framing) {
        const HostConfig *config = &session->host->config;
        SessionRun *run = session->run;
        int r;

        r = session_need_dialect(session);
        if (r >= 0)
                r = duplex_adopt(config->event, config->arena, slot, fd_in, fd_out, framing, &talk_ops, session, &run->duplex);
        if (r < 0)
                return r;
        run->framing = framing;
        return 0;
}

void session_drop_pair(Session *session) {
        SessionRun *run = session->run;

        if (run->pair > 0 && !session->host->left)
                store_drop_pair(session->host->config.store, run->pair);
        run->pair = 0;
}

void session_close_duplex(Session *session, const PlugindError *error) {
        SessionRun *run = session->run;

        if (!run || !run->duplex)
                return;
        run->duplex = duplex_free(run->duplex);
        session_drop_pair(session);
        list_unlink(&run->by_refused);
        deadline_disarm(session_deadlines(session), &run->health);
        session_fail_pending(session, error);
        session->dialect->ops->disconnected(session->dialect);
}

static int store_pair(Session *session, int fd, unsigned *ret, PlugindError *error) {
        Store *store = session->host->config.store;
        int r = store ? store_put_pair(store, fd, fd, ret) : 0;

        return r < 0 ? plugind_error_set(error, PLUGIND_ERROR_FAILED, "the connection cannot be stored for a restart of plugind: %s",
                                         g_strerror(-r))
                     : 0;
}

int session_connect(Session *session, int fd, Framing framing, PlugindError *error) {
        unsigned pair = 0;
        int r;

        if (session_supervised(session))
                return plugind_error_set(error, PLUGIND_ERROR_NOT_SUPPORTED,
                                         "session \"%s\" is started by plugind itself; Connect is for manifests of type \"external\"",
                                         session->id);
        if (session->run && session->run->duplex)
                return plugind_error_set(error, PLUGIND_ERROR_ALREADY_CONNECTED, "session \"%s\" already has a connection", session->id);
        if (session->state != SESSION_CONNECTING)
                return session_not_active(session, error);
        r = store_pair(session, fd, &pair, error);
        if (r < 0)
                return r;
        session->run->pair = pair;
        r = session_open_duplex(session, fd, fd, framing, error);
        if (r < 0)
                session_drop_pair(session);
        if (r >= 0 && session->state == SESSION_CONNECTING && session->run->duplex)
                deadline_arm(session_deadlines(session), &session->run->timer, session->manifest->timeouts.start_usec);
        return r;
}
