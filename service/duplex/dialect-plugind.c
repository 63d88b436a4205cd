/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The dialect of plugins that were written for plugind: methods under `plugind/` are between host and plugin, all others the plugin's own. */
#include "duplex/dialect-state.h"

#define PROTOCOL 1

typedef struct Plugind {
        Dialect dialect;
        char *greeting;     /* params of plugind/initialize */
        bool greeted;       /* this connection is */
        bool ping_underway; /* a slow answer is waited for instead of asking again */
} Plugind;

static const DialectReserved reserved[] = {
        { "plugind/initialize", "what the plugin answered is the property Session.Greeting" },
        { "plugind/shutdown", "use Session.SetActiveState(\"inactive\")" },
        { "plugind/configure", "set `configuration` in the manifest or in Host.Load" },
        { "plugind/cancel", "use Session.Cancel with the id of your Send" },
        { "plugind/ping", "the manifest's `health` says how often it is" },
        { "plugind/progress", "it is what a plugin sends" },
        {},
};

static Plugind *plugind(Dialect *d) {
        return (Plugind *) d;
}

static char *greeting_params(const DialectSetup *setup) {
        GString *params = g_string_new(NULL);

        g_string_append_printf(params, "{\"protocol\":%d,", PROTOCOL);
        dialect_append_text(params, "host", "plugind " PROJECT_VERSION);
        g_string_append_c(params, ',');
        dialect_append_text(params, "session", setup->session);
        if (setup->data_dir) {
                g_string_append_c(params, ',');
                dialect_append_text(params, "dataDir", setup->data_dir);
        }
        g_string_append_printf(params, ",\"configuration\":%s,\"limits\":{\"messageMax\":%zu},\"features\":[]}", setup->configuration,
                               setup->message_max);
        return g_string_free(params, FALSE);
}

static int plugind_new(const DialectOps *ops, const DialectSetup *setup, const DialectPeer *peer, void *userdata, Deadlines *deadlines,
                       Dialect **ret) {
        Plugind *p = g_new(Plugind, 1);

        *p = (Plugind){ .dialect = { .ops = ops, .peer = peer, .userdata = userdata }, .greeting = greeting_params(setup) };
        *ret = &p->dialect;
        return 0;
}

static Dialect *plugind_free(Dialect *d) {
        g_free(plugind(d)->greeting);
        g_free(plugind(d));
        return NULL;
}

static int check_protocol(JsonRange answer, PlugindError *error) {
        g_autofree char *found = NULL;
        JsonRange protocol;
        uint64_t number;
        int r;

        r = dialect_answer_member("plugind/initialize", "", answer, "protocol", JSON_NUMBER, true, &protocol, error);
        if (r < 0)
                return r;
        if (json_get_uint64(protocol, &number) && number == PROTOCOL)
                return 0;
        found = json_quote(protocol.data, protocol.size);
        return plugind_error_set(error, PLUGIND_ERROR_PROTOCOL_ERROR,
                                 "the answer to \"plugind/initialize\": protocol: found %s, expected %d, the only one this host speaks",
                                 found, PROTOCOL);
}

static int check_greeting(JsonRange answer, char **name, char **version, PlugindError *error) {
        static const char *const lists[] = { "payloadKinds", "hooks", "features" };
        JsonRange list;
        int r;

        r = dialect_answer_object("plugind/initialize", answer, error);
        if (r >= 0)
                r = check_protocol(answer, error);
        for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(lists); i++) {
                r = dialect_answer_member("plugind/initialize", "", answer, lists[i], JSON_ARRAY, false, &list, error);
                if (r >= 0 && list.data)
                        r = dialect_answer_strings("plugind/initialize", lists[i], list, error);
        }
        if (r < 0)
                return r;
        return dialect_answer_identity("plugind/initialize", "", answer, false, name, version, error);
}

static void initialize_answered(Dialect *d, JsonRange result, const PlugindError *error, JsonRange error_object, void *userdata) {
        _cleanup_error_ PlugindError wrong = PLUGIND_ERROR_INIT;
        g_autofree char *name = NULL, *version = NULL;

        if (error)
                return dialect_greeting_error(d, "plugind/initialize", error);
        if (check_greeting(result, &name, &version, &wrong) < 0)
                return d->peer->greeting_failed(d->userdata, &wrong);
        plugind(d)->greeted = true;
        dialect_changed(d);
        d->peer->greeted(d->userdata, &(DialectGreeting){ .answer = result, .name = name, .version = version });
}

static void plugind_connected(Dialect *d) {
        int r = d->peer->request(d->userdata, "plugind/initialize", JSON_RANGE(plugind(d)->greeting), USEC_INFINITY, initialize_answered,
                                 NULL);

        if (r < 0)
                dialect_greeting_unsent(d, "plugind/initialize", r);
}

static void plugind_disconnected(Dialect *d) {
        plugind(d)->greeted = false;
        dialect_changed(d);
}

static void ping_answered(Dialect *d, JsonRange result, const PlugindError *error, JsonRange error_object, void *userdata) {
        plugind(d)->ping_underway = false;
        if (!error || error->code != PLUGIND_ERROR_CONNECTION_LOST)
                d->peer->pong(d->userdata);
}

static void plugind_ping(Dialect *d) {
        if (plugind(d)->ping_underway)
                return;
        plugind(d)->ping_underway = true;
        if (d->peer->request(d->userdata, "plugind/ping", (JsonRange){}, USEC_INFINITY, ping_answered, NULL) < 0)
                plugind(d)->ping_underway = false;
}

static void shutdown_answered(Dialect *d, JsonRange result, const PlugindError *error, JsonRange error_object, void *userdata) {
        if (!error || error->code != PLUGIND_ERROR_CONNECTION_LOST)
                d->peer->farewell_said(d->userdata);
}

static void plugind_goodbye(Dialect *d) {
        if (!plugind(d)->greeted || d->peer->request(d->userdata, "plugind/shutdown", JSON_RANGE("{\"reason\":\"stop\"}"), USEC_INFINITY,
                                                     shutdown_answered, NULL) < 0)
                d->peer->farewell_said(d->userdata);
}

static DialectVerdict plugind_outgoing(Dialect *d, DialectOutgoing *message) {
        const DialectReserved *entry;

        if (!g_str_has_prefix(message->method, "plugind/"))
                return DIALECT_FORWARD;
        entry = dialect_reserved(reserved, message->method);
        if (entry)
                return dialect_refuse_reserved(message, entry);
        return dialect_refuse(message, PLUGIND_ERROR_NOT_SUPPORTED,
                              "\"%s\" is said by the host alone: methods under \"plugind/\" are between host and plugin", message->method);
}

static void plugind_cancel(Dialect *d, uint64_t id, const char *reason) {
        g_autofree char *params = g_strdup_printf("{\"id\":%" PRIu64 "}", id);

        (void) d->peer->notify(d->userdata, "plugind/cancel", JSON_RANGE(params));
}

static void plugind_request(Dialect *d, const JsonRpcMessage *message) {
        g_autofree char *method = json_quote(message->method.data, message->method.size);
        g_autofree char *text = g_strdup_printf("plugind %s has no method %s for plugins", PROJECT_VERSION, method);

        d->peer->respond_error(d->userdata, message->id, JSONRPC_METHOD_NOT_FOUND, text);
}

/* {id, value}: the id is ours and means nothing to the caller, who sees its own in Notification's `request`; so only the value is delivered. */
static void route_progress(DialectIncoming *message) {
        JsonRange id, value;

        message->audience = DIALECT_TO_NOBODY;
        if (!dialect_member(message->params, "id", &id) || !json_get_uint64(id, &message->request) ||
            !dialect_member(message->params, "value", &value))
                return;
        message->audience = DIALECT_TO_REQUEST;
        message->rewritten = g_string_new("{\"value\":");
        g_string_append_len(message->rewritten, value.data, (gssize) value.size);
        g_string_append_c(message->rewritten, '}');
}

static void plugind_notification(Dialect *d, DialectIncoming *message) {
        g_autofree char *method = NULL;

        /* Every name that could be ours is longer than this; most are not, and are not decoded. */
        if (message->method.size <= strlen("\"plugind/\""))
                return;
        if (json_string_equals(message->method, "plugind/progress"))
                return route_progress(message);
        method = json_string_decode(message->method);
        if (method && g_str_has_prefix(method, "plugind/"))
                message->audience = DIALECT_TO_NOBODY;
}

static void plugind_save(Dialect *d, GString *json) {
        g_string_append_c(json, '{');
        dialect_state_json(json, "greeted", plugind(d)->greeted ? "true" : "false");
        g_string_append_c(json, '}');
}

static int plugind_restore(Dialect *d, JsonRange state, bool connected) {
        bool greeted;
        int r;

        r = dialect_state_open(state, &state);
        if (r >= 0)
                r = dialect_state_flag(state, "greeted", &greeted);
        if (r < 0 || (connected && !greeted))
                return -EBADMSG;
        plugind(d)->greeted = connected;
        return 0;
}

const DialectOps dialect_plugind = {
        .name = "plugind",
        .framing = FRAMING_LINES,
        .socket_stdio = true,
        .has_ping = true,
        .dialect_new = plugind_new,
        .dialect_free = plugind_free,
        .connected = plugind_connected,
        .disconnected = plugind_disconnected,
        .ping = plugind_ping,
        .goodbye = plugind_goodbye,
        .outgoing = plugind_outgoing,
        .cancel = plugind_cancel,
        .request = plugind_request,
        .notification = plugind_notification,
        .save = plugind_save,
        .restore = plugind_restore,
};
