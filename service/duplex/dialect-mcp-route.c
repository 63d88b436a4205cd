/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every MCP message in both directions. Out: progress tokens become the request's own id, so that no two callers can have the same one, and
 * a modern server gets the _meta members it demands where the caller left them out; all else of the caller's bytes stays
 * as it is. In: who hears it.
 */
#include "duplex/dialect-mcp.h"

/* Out */

static const DialectReserved reserved[] = {
        { "notifications/cancelled", "use Session.Cancel with the id of your Send" },
        { "notifications/roots/list_changed", "it declares no roots to the server" },
        {},
};

/* What stands in `params` and in its `_meta`; absent ranges where there is nothing. */
typedef struct Params {
        JsonRange meta, token, version, client, capabilities, log_level;
        bool empty, meta_empty;
} Params;

static int set_once(JsonRange *target, JsonRange key, JsonRange value, DialectOutgoing *message) {
        /* Which of two a server reads is its own secret: a token that is not rewritten could be another caller's. */
        if (target->data)
                return plugind_error_set(&message->error, PLUGIND_ERROR_INVALID_ARGS, "the params of \"%s\": %.*s stands there twice",
                                         message->method, (int) MIN(key.size, 80), key.data);
        *target = value;
        return 0;
}

static int scan_meta(DialectOutgoing *message, Params *params) {
        const struct {
                const char *key;
                JsonRange *value;
        } known[] = {
                { "progressToken", &params->token },        { MCP_META_VERSION, &params->version },
                { MCP_META_CLIENT, &params->client },       { MCP_META_CAPABILITIES, &params->capabilities },
                { MCP_META_LOG_LEVEL, &params->log_level },
        };
        JsonRange key, value;
        size_t cursor = 0;

        params->meta_empty = true;
        while (json_next(params->meta, &cursor, &key, &value)) {
                params->meta_empty = false;
                for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
                        if (json_string_equals(key, known[i].key) && set_once(known[i].value, key, value, message) < 0)
                                return -EINVAL;
        }
        return 0;
}

/* MESSAGE.params is an object. */
static int scan_params(DialectOutgoing *message, Params *ret) {
        Params params = { .empty = true };
        JsonRange key, value;
        size_t cursor = 0;

        while (json_next(message->params, &cursor, &key, &value)) {
                params.empty = false;
                if (json_string_equals(key, "_meta") && set_once(&params.meta, key, value, message) < 0)
                        return -EINVAL;
        }
        if (params.meta.data && json_type(params.meta) == JSON_OBJECT && scan_meta(message, &params) < 0)
                return -EINVAL;
        *ret = params;
        return 0;
}

static void append(GString *out, const char *from, const char *to) {
        g_string_append_len(out, from, to - from);
}

static void append_member(GString *out, JsonRange present, const char *member, bool *comma) {
        if (present.data)
                return;
        if (*comma)
                g_string_append_c(out, ',');
        g_string_append(out, member);
        *comma = true;
}

/* Params with the missing _meta members, and ID instead of the caller's progress token. */
static GString *complete(DialectOutgoing *message, const Params *params) {
        const char *begin = message->params.data, *end = begin + message->params.size;
        GString *out = g_string_sized_new(message->params.size + sizeof(MCP_META) + 24);
        bool comma = false;

        if (!params->meta.data) {
                g_string_append(out, "{" MCP_META);
                if (!params->empty)
                        g_string_append_c(out, ',');
                append(out, begin + 1, end);
                return out;
        }
        append(out, begin, params->meta.data + 1);
        append_member(out, params->version, MCP_MEMBER_VERSION, &comma);
        append_member(out, params->client, MCP_MEMBER_CLIENT, &comma);
        append_member(out, params->capabilities, MCP_MEMBER_CAPABILITIES, &comma);
        if (comma && !params->meta_empty)
                g_string_append_c(out, ',');
        if (params->token.data) {
                append(out, params->meta.data + 1, params->token.data);
                g_string_append_printf(out, "%" PRIu64, message->id);
                append(out, params->token.data + params->token.size, end);
        } else
                append(out, params->meta.data + 1, end);
        return out;
}

static DialectVerdict take_token(Mcp *m, DialectOutgoing *message, Params *params) {
        JsonType type = params->token.data ? json_type(params->token) : JSON_NONE;

        if (type != JSON_STRING && type != JSON_NUMBER) {
                params->token = (JsonRange){};
                return DIALECT_FORWARD; /* the server says what is wrong with it */
        }
        if (params->token.size > DIALECT_TOKEN_MAX)
                return dialect_refuse(message, PLUGIND_ERROR_LIMITS_EXCEEDED,
                                      "the params of \"%s\": the progress token is %zu bytes long, at most %d are allowed", message->method,
                                      params->token.size, DIALECT_TOKEN_MAX);
        mcp_track(m, message)->token = dialect_dup(params->token);
        return DIALECT_FORWARD;
}

/* The verdict on methods that are not simply forwarded; FORWARD for all others. */
static DialectVerdict judge_legacy(Mcp *m, DialectOutgoing *message) {
        if (g_str_equal(message->method, "resources/subscribe"))
                return mcp_subscribe(m, message);
        if (g_str_equal(message->method, "resources/unsubscribe"))
                return mcp_unsubscribe(m, message);
        if (g_str_equal(message->method, "logging/setLevel"))
                return mcp_set_level(m, message);
        if (g_str_equal(message->method, "initialize"))
                return dialect_answer_greeting(message, m->greeting);
        if (g_str_equal(message->method, "notifications/initialized"))
                return dialect_swallow(message);
        if (g_str_equal(message->method, "server/discover")) /* old servers may not answer it at all */
                return dialect_refuse(message, PLUGIND_ERROR_METHOD_NOT_FOUND,
                                      "this server speaks an MCP version before " MCP_MODERN_VERSION
                                      ", which has no server/discover: send \"initialize\", which the host answers");
        return DIALECT_FORWARD;
}

static DialectVerdict judge_modern(Mcp *m, DialectOutgoing *message) {
        McpTracked *tracked;

        /* To a server of both eras it would mean that all that follows is legacy. */
        if (g_str_equal(message->method, "initialize") || g_str_equal(message->method, "notifications/initialized"))
                return dialect_refuse(message, PLUGIND_ERROR_NOT_SUPPORTED,
                                      "this server speaks MCP " MCP_MODERN_VERSION ", which has no \"%s\": just send requests, or "
                                      "\"server/discover\" to learn what it can do",
                                      message->method);
        if (message->id == 0 || !g_str_equal(message->method, "subscriptions/listen"))
                return DIALECT_FORWARD;
        tracked = mcp_track(m, message);
        tracked->listen = true;
        tracked->caller_id = message->caller_id.data ? dialect_dup(message->caller_id) : NULL;
        message->endless = true;
        return DIALECT_FORWARD;
}

static DialectVerdict rewrite(Mcp *m, DialectOutgoing *message) {
        Params params;

        if (!message->params.data || json_type(message->params) != JSON_OBJECT) {
                if (!message->params.data && m->era == MCP_MODERN)
                        message->rewritten = g_string_new("{" MCP_META "}");
                return DIALECT_FORWARD;
        }
        if (scan_params(message, &params) < 0 || take_token(m, message, &params) == DIALECT_REFUSE)
                return DIALECT_REFUSE;
        if (m->era == MCP_MODERN) {
                if (params.log_level.data && mcp_level_from_json(params.log_level) != MCP_LEVEL_NONE) {
                        mcp_track(m, message)->level = mcp_level_from_json(params.log_level);
                        message->holds = true;
                }
                if (!params.meta.data || json_type(params.meta) == JSON_OBJECT)
                        message->rewritten = complete(message, &params);
        } else if (params.token.data) {
                g_autofree char *id = g_strdup_printf("%" PRIu64, message->id);

                message->rewritten = dialect_replace(message->params, params.token, id, strlen(id));
        }
        return DIALECT_FORWARD;
}

DialectVerdict mcp_outgoing(Dialect *d, DialectOutgoing *message) {
        const DialectReserved *entry = dialect_reserved(reserved, message->method);
        Mcp *m = mcp(d);
        DialectVerdict verdict;

        if (deadline_armed(&m->resume))
                mcp_resume(m);
        if (entry)
                return dialect_refuse_reserved(message, entry);
        verdict = m->era == MCP_MODERN ? judge_modern(m, message) : judge_legacy(m, message);
        if (verdict != DIALECT_FORWARD || message->id == 0 || message->rewritten)
                return verdict;
        verdict = rewrite(m, message);
        if (verdict == DIALECT_REFUSE)
                mcp_finished(d, message->id, (JsonRange){});
        return verdict;
}

/* In */

static McpTracked *find_tracked(Mcp *m, JsonRange id_range) {
        uint64_t id;

        return id_range.data && json_get_uint64(id_range, &id) ? g_hash_table_lookup(m->tracked, &id) : NULL;
}

/* For the caller of TRACKED alone, with QUOTED, our id in it, turned back into what the caller gave. */
static void deliver_to(DialectIncoming *message, const McpTracked *tracked, JsonRange quoted, const char *given) {
        message->audience = DIALECT_TO_REQUEST;
        message->request = tracked->id;
        if (given)
                message->rewritten = dialect_replace(message->params, quoted, given, strlen(given));
}

static void route_progress(Mcp *m, DialectIncoming *message) {
        McpTracked *tracked;
        JsonRange token;

        message->audience = DIALECT_TO_NOBODY;
        tracked = dialect_member(message->params, "progressToken", &token) ? find_tracked(m, token) : NULL;
        if (tracked && tracked->token)
                deliver_to(message, tracked, token, tracked->token);
}

/* A legacy server cancels requests of its own, which were answered at once; a modern one ends a subscription. */
static void route_cancelled(Mcp *m, DialectIncoming *message) {
        McpTracked *tracked;
        JsonRange id;

        message->audience = DIALECT_TO_NOBODY;
        tracked = dialect_member(message->params, "requestId", &id) ? find_tracked(m, id) : NULL;
        if (tracked && tracked->listen)
                deliver_to(message, tracked, id, tracked->caller_id);
}

/* True if the notification belongs to a subscriptions/listen, whose caller alone hears it. */
static bool route_subscription(Mcp *m, DialectIncoming *message) {
        McpTracked *tracked;
        JsonRange meta, id;

        if (!dialect_member(message->params, "_meta", &meta) || !dialect_member(meta, MCP_META_SUBSCRIPTION, &id))
                return false;
        message->audience = DIALECT_TO_NOBODY;
        tracked = find_tracked(m, id);
        if (tracked && tracked->listen)
                deliver_to(message, tracked, id, tracked->caller_id);
        return true;
}

static void route_updated(Mcp *m, DialectIncoming *message) {
        JsonRange uri;

        if (m->era == MCP_LEGACY && dialect_member(message->params, "uri", &uri) && json_type(uri) == JSON_STRING &&
            uri.size <= DIALECT_URI_MAX)
                m->updated_uri = json_string_decode(uri);
        if (m->updated_uri)
                m->topic = MCP_TOPIC_UPDATED;
        else
                message->audience = DIALECT_TO_NOBODY;
}

void mcp_notification(Dialect *d, DialectIncoming *message) {
        Mcp *m = mcp(d);
        JsonRange level;

        m->topic = MCP_TOPIC_OTHER;
        g_clear_pointer(&m->updated_uri, g_free);
        if (json_string_equals(message->method, "notifications/progress"))
                route_progress(m, message);
        else if (json_string_equals(message->method, "notifications/cancelled"))
                route_cancelled(m, message);
        else if (m->era == MCP_MODERN && route_subscription(m, message))
                return;
        else if (json_string_equals(message->method, "notifications/resources/updated"))
                route_updated(m, message);
        else if (json_string_equals(message->method, "notifications/message")) {
                m->topic = MCP_TOPIC_MESSAGE;
                m->message_level = dialect_member(message->params, "level", &level) ? mcp_level_from_json(level) : MCP_LEVEL_NONE;
        }
}

/* The specification allows that "this might be a sub-resource of the one that the client actually subscribed to". */
static bool is_below(const char *uri, const char *parent) {
        size_t size = strlen(parent);

        return size > 0 && strncmp(uri, parent, size) == 0 && (parent[size - 1] == '/' || strchr("/?#", uri[size]));
}

static bool holds_uri(const McpCaller *caller, const char *updated) {
        const char *uri;
        GHashTableIter iter;

        if (g_hash_table_contains(caller->uris, updated))
                return true;
        g_hash_table_iter_init(&iter, caller->uris);
        while (g_hash_table_iter_next(&iter, (void **) &uri, NULL))
                if (is_below(updated, uri))
                        return true;
        return false;
}

/* A modern server logs for requests that asked for it, but says not for which one: it goes to all whose request may be meant. */
static bool asked_for_log(Mcp *m, Caller *caller) {
        McpTracked *tracked;
        GHashTableIter iter;

        g_hash_table_iter_init(&iter, m->tracked);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &tracked))
                if (tracked->caller == caller && tracked->level != MCP_LEVEL_NONE && m->message_level >= tracked->level)
                        return true;
        return false;
}

bool mcp_wants(Dialect *d, Caller *caller, const DialectIncoming *message) {
        Mcp *m = mcp(d);
        McpCaller *state = g_hash_table_lookup(m->callers, caller);

        switch (m->topic) {
        case MCP_TOPIC_UPDATED:
                return state && holds_uri(state, m->updated_uri);
        case MCP_TOPIC_MESSAGE:
                if (m->era == MCP_MODERN)
                        return asked_for_log(m, caller);
                return !state || state->level == MCP_LEVEL_NONE || m->message_level == MCP_LEVEL_NONE || m->message_level >= state->level;
        case MCP_TOPIC_OTHER:
        default:
                return true;
        }
}
