/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What callers hold in a legacy MCP server: subscriptions to resources and a log level. Both are counted here, so that the server
 * hears of the first and the last of them only, and is told again after a restart.
 */
#include "duplex/dialect-mcp.h"

#define AGAIN_TIMEOUT_USEC (20 * USEC_PER_SEC)

static const char *const level_names[_MCP_LEVEL_MAX] = { "debug", "info", "notice", "warning", "error", "critical", "alert", "emergency" };

McpLevel mcp_level_from_json(JsonRange string) {
        if (json_type(string) == JSON_STRING)
                for (int i = 0; i < _MCP_LEVEL_MAX; i++)
                        if (json_string_equals(string, level_names[i]))
                                return (McpLevel) i;
        return MCP_LEVEL_NONE;
}

const char *mcp_level_to_string(McpLevel level) {
        return level_names[level];
}

static void tracked_free(void *p) {
        McpTracked *tracked = p;

        g_free(tracked->token);
        g_free(tracked->uri);
        g_free(tracked->caller_id);
        g_free(tracked);
}

static void caller_state_free(void *p) {
        McpCaller *caller = p;

        g_hash_table_unref(caller->uris);
        g_free(caller);
}

void mcp_share_init(Mcp *m) {
        m->tracked = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, tracked_free);
        m->callers = g_hash_table_new_full(NULL, NULL, NULL, caller_state_free);
        m->uris = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        m->level = m->message_level = MCP_LEVEL_NONE;
}

void mcp_share_done(Mcp *m) {
        g_hash_table_unref(m->tracked);
        g_hash_table_unref(m->callers);
        g_hash_table_unref(m->uris);
        g_free(m->updated_uri);
        mcp_forget_resume(m);
}

McpTracked *mcp_track(Mcp *m, DialectOutgoing *message) {
        McpTracked *tracked = g_hash_table_lookup(m->tracked, &message->id);

        if (!tracked) {
                tracked = g_new(McpTracked, 1);
                *tracked = (McpTracked){ .id = message->id, .caller = message->caller, .level = MCP_LEVEL_NONE };
                g_hash_table_insert(m->tracked, &tracked->id, tracked);
        }
        message->tracked = true;
        return tracked;
}

McpCaller *mcp_caller(Mcp *m, Caller *caller) {
        McpCaller *state = g_hash_table_lookup(m->callers, caller);

        if (!state) {
                state = g_new(McpCaller, 1);
                *state = (McpCaller){ .caller = caller,
                                      .uris = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
                                      .level = MCP_LEVEL_NONE,
                                      .agreed = MCP_LEVEL_NONE };
                g_hash_table_insert(m->callers, caller, state);
        }
        return state;
}

static McpCaller *holder(Mcp *m, DialectOutgoing *message) {
        message->holds = true;
        return mcp_caller(m, message->caller);
}

static DialectVerdict answer_empty(DialectOutgoing *message) {
        message->answer = g_string_new("{}");
        return DIALECT_ANSWER;
}

/* The log level */

static McpLevel most_verbose(Mcp *m) {
        McpLevel level = MCP_LEVEL_NONE;
        McpCaller *caller;
        GHashTableIter iter;

        g_hash_table_iter_init(&iter, m->callers);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &caller))
                if (caller->level != MCP_LEVEL_NONE && (level == MCP_LEVEL_NONE || caller->level < level))
                        level = caller->level;
        return level;
}

static void level_answered(Dialect *d, JsonRange result, const PlugindError *error, JsonRange error_object, void *userdata) {
        if (error && error->code != PLUGIND_ERROR_CONNECTION_LOST)
                d->peer->log(d->userdata, LOG_WARNING, "The server did not accept the log level that its callers want: %s", error->message);
}

/* Tells the server of the most verbose level wanted, if that is another than it was told last. Nobody wanting any is nothing
 * to tell: MCP knows no way to unset it. */
void mcp_update_level(Mcp *m) {
        g_autofree char *params = NULL;
        McpLevel level = most_verbose(m);

        if (level == MCP_LEVEL_NONE || level == m->level || !m->greeted || m->era != MCP_LEGACY)
                return;
        params = g_strdup_printf("{\"level\":\"%s\"}", level_names[level]);
        if (m->dialect.peer->request(m->dialect.userdata, "logging/setLevel", JSON_RANGE(params), AGAIN_TIMEOUT_USEC, level_answered,
                                     NULL) >= 0)
                m->level = level;
}

DialectVerdict mcp_set_level(Mcp *m, DialectOutgoing *message) {
        McpTracked *tracked;
        McpCaller *caller;
        McpLevel wanted, effective;
        JsonRange range;

        if (message->id == 0 || !dialect_member(message->params, "level", &range))
                return DIALECT_FORWARD;
        wanted = mcp_level_from_json(range);
        if (wanted == MCP_LEVEL_NONE) /* the server says what is wrong with it */
                return DIALECT_FORWARD;
        caller = holder(m, message);
        caller->level = wanted;
        dialect_changed(&m->dialect);
        effective = most_verbose(m);
        if (effective == m->level && m->levels_underway == 0) {
                caller->agreed = wanted;
                caller->asked = 0;
                return answer_empty(message);
        }

        tracked = mcp_track(m, message);
        if (!tracked->sets_level)
                m->levels_underway++;
        tracked->sets_level = true;
        tracked->level = wanted;
        caller->asked = message->id;
        m->level = effective;
        if (effective != wanted) {
                message->rewritten = g_string_new(NULL);
                g_string_printf(message->rewritten, "{\"level\":\"%s\"}", level_names[effective]);
        }
        return DIALECT_FORWARD;
}

/* Subscriptions to resources */

void mcp_hold(Mcp *m, McpCaller *caller, const char *name, uint64_t unconfirmed) {
        McpUri *uri = g_hash_table_lookup(m->uris, name);
        McpHold *hold = g_new(McpHold, 1);

        if (!uri) {
                uri = g_new0(McpUri, 1);
                g_hash_table_insert(m->uris, g_strdup(name), uri);
        }
        uri->holders++;
        hold->unconfirmed = unconfirmed;
        g_hash_table_insert(caller->uris, g_strdup(name), hold);
        dialect_changed(&m->dialect);
}

/* One holder less; true if it was the last. */
static bool release_uri(Mcp *m, const char *name) {
        McpUri *uri = g_hash_table_lookup(m->uris, name);

        if (!uri || --uri->holders > 0)
                return false;
        g_hash_table_remove(m->uris, name);
        return true;
}

static DialectVerdict read_uri(DialectOutgoing *message, char **ret) {
        JsonRange uri;

        *ret = NULL;
        if (message->id == 0 || !dialect_member(message->params, "uri", &uri) || json_type(uri) != JSON_STRING)
                return DIALECT_FORWARD; /* the server says what is wrong with it */
        if (uri.size > DIALECT_URI_MAX)
                return dialect_refuse(message, PLUGIND_ERROR_LIMITS_EXCEEDED, "%s: the uri is %zu bytes long, at most %d are allowed",
                                      message->method, uri.size, DIALECT_URI_MAX);
        *ret = json_string_decode(uri);
        return DIALECT_FORWARD;
}

DialectVerdict mcp_subscribe(Mcp *m, DialectOutgoing *message) {
        g_autofree char *name = NULL;
        McpTracked *tracked;
        McpCaller *caller;
        McpHold *hold;
        McpUri *uri;

        if (read_uri(message, &name) == DIALECT_REFUSE)
                return DIALECT_REFUSE;
        if (!name)
                return DIALECT_FORWARD;
        caller = holder(m, message);
        hold = g_hash_table_lookup(caller->uris, name);
        uri = g_hash_table_lookup(m->uris, name);
        if (!hold && g_hash_table_size(caller->uris) >= DIALECT_SUBSCRIPTIONS_MAX)
                return dialect_refuse(message, PLUGIND_ERROR_LIMITS_EXCEEDED,
                                      "resources/subscribe: a caller can hold %d subscriptions in a server, and you do",
                                      DIALECT_SUBSCRIPTIONS_MAX);
        if (!hold)
                mcp_hold(m, caller, name, message->id);
        if (uri && uri->agreed) {
                ((McpHold *) g_hash_table_lookup(caller->uris, name))->unconfirmed = 0;
                dialect_changed(&m->dialect);
                return answer_empty(message);
        }
        /* Nobody knows yet whether the server agrees: let it say so to this one as well. */
        if (hold)
                hold->unconfirmed = message->id;
        tracked = mcp_track(m, message);
        tracked->uri = g_steal_pointer(&name);
        return DIALECT_FORWARD;
}

DialectVerdict mcp_unsubscribe(Mcp *m, DialectOutgoing *message) {
        g_autofree char *name = NULL;
        McpCaller *caller;

        if (read_uri(message, &name) == DIALECT_REFUSE)
                return DIALECT_REFUSE;
        if (!name)
                return DIALECT_FORWARD;
        caller = g_hash_table_lookup(m->callers, message->caller);
        if (caller && g_hash_table_remove(caller->uris, name)) {
                release_uri(m, name);
                dialect_changed(&m->dialect);
        }
        return g_hash_table_contains(m->uris, name) ? answer_empty(message) : DIALECT_FORWARD;
}

static void subscribed(Mcp *m, McpTracked *tracked, bool accepted) {
        McpCaller *caller = g_hash_table_lookup(m->callers, tracked->caller);
        McpHold *hold = caller ? g_hash_table_lookup(caller->uris, tracked->uri) : NULL;

        if (!hold || hold->unconfirmed != tracked->id)
                return;
        hold->unconfirmed = 0;
        dialect_changed(&m->dialect);
        if (accepted)
                ((McpUri *) g_hash_table_lookup(m->uris, tracked->uri))->agreed = true;
        else {
                g_hash_table_remove(caller->uris, tracked->uri);
                release_uri(m, tracked->uri);
        }
}

/* What the server refuses after a restart is nobody's any more: the next subscribe is forwarded, and its caller hears why. */
static void again_answered(Dialect *d, JsonRange result, const PlugindError *error, JsonRange error_object, void *userdata) {
        g_autofree char *uri = userdata;
        McpUri *held = g_hash_table_lookup(mcp(d)->uris, uri);
        McpCaller *caller;
        GHashTableIter iter;

        if (held)
                held->again = false;
        dialect_changed(d);
        if (!error || error->code == PLUGIND_ERROR_CONNECTION_LOST)
                return;
        d->peer->log(d->userdata, LOG_WARNING, "The server did not take the subscription to %s again: %s", uri, error->message);
        g_hash_table_iter_init(&iter, mcp(d)->callers);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &caller))
                g_hash_table_remove(caller->uris, uri);
        g_hash_table_remove(mcp(d)->uris, uri);
}

static void release_answered(Dialect *d, JsonRange result, const PlugindError *error, JsonRange error_object, void *userdata) {
        /* Whatever it says, nobody listens any more. */
}

static GString *uri_params(const char *uri) {
        GString *params = g_string_new("{");

        dialect_append_text(params, "uri", uri);
        g_string_append_c(params, '}');
        return params;
}

void mcp_release(Mcp *m, const char *uri) {
        g_autoptr(GString) params = uri_params(uri);

        (void) m->dialect.peer->request(m->dialect.userdata, "resources/unsubscribe", dialect_range(params), AGAIN_TIMEOUT_USEC,
                                        release_answered, NULL);
}

void mcp_subscribe_again(Mcp *m, bool all) {
        g_autoptr(GPtrArray) uris = g_ptr_array_new(); /* answered() may come at once and change the table */
        const DialectPeer *peer = m->dialect.peer;
        GHashTableIter iter;
        const char *name;
        McpUri *held;

        g_hash_table_iter_init(&iter, m->uris);
        while (g_hash_table_iter_next(&iter, (void **) &name, (void **) &held))
                if (all || held->again) {
                        held->again = true;
                        g_ptr_array_add(uris, g_strdup(name));
                }
        for (unsigned i = 0; i < uris->len; i++) {
                char *uri = uris->pdata[i];
                g_autoptr(GString) params = uri_params(uri);
                int r = peer->request(m->dialect.userdata, "resources/subscribe", dialect_range(params), AGAIN_TIMEOUT_USEC, again_answered,
                                      uri);

                if (r < 0) {
                        peer->log(m->dialect.userdata, LOG_WARNING, "Cannot subscribe to %s again: %s", uri, g_strerror(-r));
                        g_free(uri);
                }
        }
        dialect_changed(&m->dialect);
}

void mcp_share_active(Dialect *d) {
        Mcp *m = mcp(d);

        if (m->era != MCP_LEGACY)
                return;
        m->level = MCP_LEVEL_NONE;
        mcp_update_level(m);
        mcp_subscribe_again(m, true);
}

void mcp_caller_gone(Dialect *d, Caller *gone) {
        Mcp *m = mcp(d);
        McpTracked *tracked;
        GHashTableIter iter;
        McpCaller *caller;
        const char *uri;
        bool wanted;

        g_hash_table_iter_init(&iter, m->tracked);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &tracked))
                if (tracked->caller == gone)
                        tracked->caller = NULL;

        caller = g_hash_table_lookup(m->callers, gone);
        if (!caller)
                return;
        g_hash_table_steal(m->callers, gone);
        g_hash_table_iter_init(&iter, caller->uris);
        while (g_hash_table_iter_next(&iter, (void **) &uri, NULL))
                if (release_uri(m, uri) && m->greeted && m->era == MCP_LEGACY)
                        mcp_release(m, uri);
        wanted = caller->level != MCP_LEVEL_NONE;
        caller_state_free(caller);
        if (wanted)
                mcp_update_level(m);
        dialect_changed(d);
}

/* A tracked request is over, and was answered with a result if ACCEPTED. */
static void settle(Mcp *m, McpTracked *tracked, bool accepted) {
        McpCaller *caller = g_hash_table_lookup(m->callers, tracked->caller);

        if (tracked->uri)
                subscribed(m, tracked, accepted);
        if (!tracked->sets_level)
                return;
        m->levels_underway--;
        if (!accepted)
                m->level = MCP_LEVEL_NONE; /* unknown: the next wish is sent */
        dialect_changed(&m->dialect);
        if (!caller || caller->asked == 0)
                return;
        if (accepted)
                caller->agreed = tracked->level;
        if (caller->asked == tracked->id) {
                caller->asked = 0;
                caller->level = caller->agreed;
        }
}

void mcp_finished(Dialect *d, uint64_t id, JsonRange result) {
        McpTracked *tracked = g_hash_table_lookup(mcp(d)->tracked, &id);

        if (!tracked)
                return;
        settle(mcp(d), tracked, result.data);
        g_hash_table_remove(mcp(d)->tracked, &id);
}

/* Whatever was on its way is lost, and its caller hears so. */
void mcp_share_disconnected(Mcp *m) {
        McpTracked *tracked;
        McpUri *uri;
        GHashTableIter iter;

        g_hash_table_iter_init(&iter, m->tracked);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &tracked))
                settle(m, tracked, false);
        g_hash_table_remove_all(m->tracked);
        g_hash_table_iter_init(&iter, m->uris);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &uri))
                uri->again = false;
        mcp_forget_resume(m);
}
