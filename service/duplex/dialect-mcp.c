/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The Model Context Protocol: how a server is greeted.
 *
 * There are two eras, and no message that both understand. So the server is probed with the modern `server/discover`; what is
 * no modern answer, or 3 s of silence, leads to the legacy `initialize`. A slow starter finds both in its input and answers both: the
 * first answer that is a greeting decides. Some legacy servers exit on anything but `initialize`; whoever dies of the probe is
 * asked the other way round the next time. What was found out is remembered, so that all this happens once.
 */
#include "duplex/dialect-mcp.h"

#include "basic/list.h"

#define SILENCE_USEC (3 * USEC_PER_SEC)

#define MCP_UNSUPPORTED_VERSION (-32022)
#define MCP_MISSING_CAPABILITY (-32021)

#define LEGACY_VERSION "2025-11-25"

static const char *const legacy_versions[] = { LEGACY_VERSION, "2025-06-18", "2025-03-26", "2024-11-05", "2024-10-07" };

static void ask_initialize(Mcp *m);

/* The greeting is over, well or not: answers that come later are ignored. */
static void decide(Mcp *m) {
        deadline_disarm(m->deadlines, &m->silence);
        m->decided = true;
}

static void fail(Mcp *m, const PlugindError *error) {
        decide(m);
        m->dialect.peer->greeting_failed(m->dialect.userdata, error);
}

/* The last step of both ways. */
static void succeed(Mcp *m, McpEra era, JsonRange answer, const char *name, const char *version) {
        bool news = m->era != era && !m->era_fixed;

        decide(m);
        m->era = era;
        m->greeted = true;
        m->dies_of_probe = false;
        dialect_changed(&m->dialect);
        if (news)
                m->dialect.peer->remember_era(m->dialect.userdata, era == MCP_MODERN ? "modern" : "legacy");
        m->dialect.peer->greeted(m->dialect.userdata, &(DialectGreeting){ .answer = answer, .name = name, .version = version });
}

/* Modern is out of the question. */
static void fall_back(Mcp *m) {
        m->discover = MCP_REFUSED;
        if (m->initialize == MCP_NOT_ASKED)
                ask_initialize(m);
        else if (m->initialize == MCP_REFUSED) {
                PlugindError error = { PLUGIND_ERROR_PROTOCOL_ERROR, m->refusal };

                fail(m, &error);
        }
}

static bool lists(JsonRange array, const char *text) {
        JsonRange value;
        size_t cursor = 0;

        while (json_next(array, &cursor, NULL, &value))
                if (json_type(value) == JSON_STRING && json_string_equals(value, text))
                        return true;
        return false;
}

static bool lists_legacy(JsonRange array) {
        for (size_t i = 0; i < G_N_ELEMENTS(legacy_versions); i++)
                if (lists(array, legacy_versions[i]))
                        return true;
        return false;
}

static void fail_without_common_version(Mcp *m, JsonRange versions) {
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;
        g_autofree char *quoted = json_quote(versions.data, versions.size);

        plugind_error_set(&error, PLUGIND_ERROR_PROTOCOL_ERROR,
                          "the server speaks the MCP versions %s, and this host %s and those from %s to %s", quoted, MCP_MODERN_VERSION,
                          legacy_versions[G_N_ELEMENTS(legacy_versions) - 1], LEGACY_VERSION);
        fail(m, &error);
}

static int check_discovery(JsonRange answer, JsonRange *versions, char **name, char **version, PlugindError *error) {
        JsonRange capabilities, meta, info;
        int r;

        r = dialect_answer_member("server/discover", "", answer, "supportedVersions", JSON_ARRAY, true, versions, error);
        if (r >= 0)
                r = dialect_answer_strings("server/discover", "supportedVersions", *versions, error);
        if (r >= 0)
                r = dialect_answer_member("server/discover", "", answer, "capabilities", JSON_OBJECT, true, &capabilities, error);
        if (r >= 0)
                r = dialect_answer_member("server/discover", "", answer, "_meta", JSON_OBJECT, false, &meta, error);
        if (r >= 0)
                r = dialect_answer_member("server/discover", "_meta", meta, "io.modelcontextprotocol/serverInfo", JSON_OBJECT, false, &info,
                                          error);
        if (r < 0 || !info.data)
                return r;
        return dialect_answer_identity("server/discover", "_meta.io.modelcontextprotocol/serverInfo", info, true, name, version, error);
}

static void discovered(Mcp *m, JsonRange answer) {
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;
        g_autofree char *name = NULL, *version = NULL;
        JsonRange versions;

        /* Legacy servers there are that answer whatever they are asked; this is none of the modern answers. */
        if (!m->era_fixed && !dialect_member(answer, "supportedVersions", &versions))
                return fall_back(m);
        if (check_discovery(answer, &versions, &name, &version, &error) < 0)
                return fail(m, &error);
        if (lists(versions, MCP_MODERN_VERSION))
                return succeed(m, MCP_MODERN, answer, name, version);
        if (!m->era_fixed && lists_legacy(versions))
                return fall_back(m);
        fail_without_common_version(m, versions);
}

static void discovery_refused(Mcp *m, const PlugindError *error, JsonRange error_object) {
        g_autofree char *text = NULL;
        JsonRange data, versions;
        int code = 0;

        if (error_object.data)
                jsonrpc_error_get(error_object, &code, &text);
        if (code == MCP_UNSUPPORTED_VERSION && dialect_member(error_object, "data", &data) &&
            dialect_member(data, "supported", &versions) && json_type(versions) == JSON_ARRAY && (m->era_fixed || !lists_legacy(versions)))
                return fail_without_common_version(m, versions);
        if (m->era_fixed || code == MCP_MISSING_CAPABILITY) {
                decide(m);
                return dialect_greeting_error(&m->dialect, "server/discover", error);
        }
        fall_back(m);
}

static void discover_answered(Dialect *d, JsonRange result, const PlugindError *error, JsonRange error_object, void *userdata) {
        Mcp *m = mcp(d);

        if (m->decided) /* initialize was answered first */
                return;
        if (!error)
                return discovered(m, result);
        if (error->code != PLUGIND_ERROR_CONNECTION_LOST)
                return discovery_refused(m, error, error_object);
        m->dies_of_probe = !m->era_fixed && m->initialize == MCP_NOT_ASKED;
        dialect_changed(d);
}

static void ask_discover(Mcp *m) {
        int r;

        m->discover = MCP_ASKED;
        r = m->dialect.peer->request(m->dialect.userdata, "server/discover", JSON_RANGE("{" MCP_META "}"), USEC_INFINITY, discover_answered,
                                     NULL);
        if (r < 0)
                return dialect_greeting_unsent(&m->dialect, "server/discover", r);
        if (!m->era_fixed && !m->decided)
                deadline_arm(m->deadlines, &m->silence, SILENCE_USEC);
}

static int check_initialized(JsonRange answer, char **name, char **version, PlugindError *error) {
        g_autofree char *quoted = NULL;
        JsonRange protocol, capabilities, info;
        int r;

        r = dialect_answer_object("initialize", answer, error);
        if (r >= 0)
                r = dialect_answer_member("initialize", "", answer, "protocolVersion", JSON_STRING, true, &protocol, error);
        if (r >= 0)
                r = dialect_answer_member("initialize", "", answer, "capabilities", JSON_OBJECT, true, &capabilities, error);
        if (r >= 0)
                r = dialect_answer_member("initialize", "", answer, "serverInfo", JSON_OBJECT, true, &info, error);
        if (r < 0)
                return r;
        for (size_t i = 0; i < G_N_ELEMENTS(legacy_versions); i++)
                if (json_string_equals(protocol, legacy_versions[i]))
                        return dialect_answer_identity("initialize", "serverInfo", info, true, name, version, error);
        quoted = json_quote(protocol.data, protocol.size);
        return plugind_error_set(error, PLUGIND_ERROR_PROTOCOL_ERROR,
                                 "the answer to \"initialize\": protocolVersion: found %s, expected one from \"%s\" to \"%s\"", quoted,
                                 legacy_versions[G_N_ELEMENTS(legacy_versions) - 1], LEGACY_VERSION);
}

static void initialized(Mcp *m, JsonRange answer) {
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;
        g_autofree char *name = NULL, *version = NULL;
        int r;

        if (check_initialized(answer, &name, &version, &error) < 0)
                return fail(m, &error);
        r = m->dialect.peer->notify(m->dialect.userdata, "notifications/initialized", (JsonRange){});
        if (r < 0)
                return dialect_greeting_unsent(&m->dialect, "notifications/initialized", r);
        g_free(m->greeting);
        m->greeting = dialect_keep_greeting(answer);
        succeed(m, MCP_LEGACY, answer, name, version);
}

/* A modern server refuses initialize as well. If it was not probed yet, or the probe is still out, that decides. */
static void initialize_refused(Mcp *m, const PlugindError *error) {
        g_free(m->refusal);
        m->refusal = g_strdup_printf("the server did not accept \"initialize\": %s", error->message);
        m->initialize = MCP_REFUSED;
        if (m->discover == MCP_ASKED)
                return deadline_arm(m->deadlines, &m->silence, SILENCE_USEC);
        if (m->discover == MCP_NOT_ASKED && !m->era_fixed)
                return ask_discover(m);
        fall_back(m);
}

static void initialize_answered(Dialect *d, JsonRange result, const PlugindError *error, JsonRange error_object, void *userdata) {
        Mcp *m = mcp(d);

        if (m->decided) /* the probe was answered first */
                return;
        if (!error)
                return initialized(m, result);
        if (error->code != PLUGIND_ERROR_CONNECTION_LOST)
                return initialize_refused(m, error);
        m->dies_of_probe = false;
        dialect_changed(d);
}

static void ask_initialize(Mcp *m) {
        int r;

        m->initialize = MCP_ASKED;
        r = m->dialect.peer->request(
                m->dialect.userdata, "initialize",
                JSON_RANGE("{\"protocolVersion\":\"" LEGACY_VERSION "\",\"capabilities\":{},\"clientInfo\":" MCP_CLIENT_INFO "}"),
                USEC_INFINITY, initialize_answered, NULL);
        if (r < 0)
                dialect_greeting_unsent(&m->dialect, "initialize", r);
}

static void silence_expired(Deadline *deadline) {
        Mcp *m = list_entry(deadline, Mcp, silence);

        if (m->initialize == MCP_NOT_ASKED)
                ask_initialize(m);
        else
                fall_back(m);
}

static void mcp_connected(Dialect *d) {
        Mcp *m = mcp(d);

        m->discover = m->initialize = MCP_NOT_ASKED;
        m->decided = false;
        if (m->era == MCP_LEGACY || m->dies_of_probe)
                ask_initialize(m);
        else
                ask_discover(m);
}

static void mcp_disconnected(Dialect *d) {
        Mcp *m = mcp(d);

        deadline_disarm(m->deadlines, &m->silence);
        m->greeted = false;
        mcp_share_disconnected(m);
        dialect_changed(d);
}

static void ping_answered(Dialect *d, JsonRange result, const PlugindError *error, JsonRange error_object, void *userdata) {
        mcp(d)->ping_underway = false;
        if (!error || error->code != PLUGIND_ERROR_CONNECTION_LOST)
                d->peer->pong(d->userdata);
}

/* A slow answer is waited for instead of asking again: a busy server is not a dead one, and a queue of pings helps nobody. */
static void mcp_ping(Dialect *d) {
        bool modern = mcp(d)->era == MCP_MODERN;

        if (mcp(d)->ping_underway)
                return;
        mcp(d)->ping_underway = true;
        if (d->peer->request(d->userdata, modern ? "server/discover" : "ping", modern ? JSON_RANGE("{" MCP_META "}") : (JsonRange){},
                             USEC_INFINITY, ping_answered, NULL) < 0)
                mcp(d)->ping_underway = false;
}

static void mcp_goodbye(Dialect *d) {
        decide(mcp(d));
        d->peer->farewell_said(d->userdata);
}

static void mcp_cancel(Dialect *d, uint64_t id, const char *reason) {
        g_autoptr(GString) params = g_string_new(NULL);

        g_string_printf(params, "{\"requestId\":%" PRIu64, id);
        if (reason) {
                g_string_append_c(params, ',');
                dialect_append_text(params, "reason", reason);
        }
        g_string_append_c(params, '}');
        (void) d->peer->notify(d->userdata, "notifications/cancelled", dialect_range(params));
}

/* Modern servers send no requests, and the specification forbids to write a response to one. */
static void mcp_request(Dialect *d, const JsonRpcMessage *message) {
        g_autofree char *method = json_quote(message->method.data, message->method.size);
        g_autofree char *text = NULL;

        if (mcp(d)->era == MCP_MODERN && mcp(d)->greeted)
                return d->peer->log(d->userdata, LOG_WARNING, "The server sent a request, %s, which MCP %s forbids; it is not answered",
                                    method, MCP_MODERN_VERSION);
        if (json_string_equals(message->method, "ping")) {
                (void) d->peer->respond(d->userdata, message->id, JSON_RANGE("{}"));
                return;
        }
        text = g_strdup_printf("plugind declared no client capabilities and does not answer %s", method);
        (void) d->peer->respond_error(d->userdata, message->id, JSONRPC_METHOD_NOT_FOUND, text);
}

static int mcp_new(const DialectOps *ops, const DialectSetup *setup, const DialectPeer *peer, void *userdata, Deadlines *deadlines,
                   Dialect **ret) {
        Mcp *m = g_new(Mcp, 1);

        *m = (Mcp){
                .dialect = { .ops = ops, .peer = peer, .userdata = userdata },
                .deadlines = deadlines,
                .silence = { .expired = silence_expired },
                .resume = { .expired = mcp_resume_expired },
                .era = !g_strcmp0(setup->mcp_era, "modern")   ? MCP_MODERN
                       : !g_strcmp0(setup->mcp_era, "legacy") ? MCP_LEGACY
                                                              : MCP_UNKNOWN,
        };
        m->era_fixed = setup->mcp_era_fixed && m->era != MCP_UNKNOWN;
        mcp_share_init(m);
        *ret = &m->dialect;
        return 0;
}

static Dialect *mcp_free(Dialect *d) {
        Mcp *m = mcp(d);

        deadline_disarm(m->deadlines, &m->silence);
        mcp_share_done(m);
        g_free(m->greeting);
        g_free(m->refusal);
        g_free(m);
        return NULL;
}

const DialectOps dialect_mcp = {
        .name = "mcp",
        .framing = FRAMING_LINES,
        .has_ping = true,
        .dialect_new = mcp_new,
        .dialect_free = mcp_free,
        .connected = mcp_connected,
        .disconnected = mcp_disconnected,
        .active = mcp_share_active,
        .ping = mcp_ping,
        .goodbye = mcp_goodbye,
        .outgoing = mcp_outgoing,
        .finished = mcp_finished,
        .cancel = mcp_cancel,
        .request = mcp_request,
        .notification = mcp_notification,
        .wants = mcp_wants,
        .caller_gone = mcp_caller_gone,
        .save = mcp_save,
        .restore = mcp_restore,
};
