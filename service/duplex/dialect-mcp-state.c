/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hand-over of an MCP server to another daemon:
 * {"era":"legacy","greeted":true,"level":"info","callers":{":1.42":{"level":"info","uris":["demo://1"]}},"strays":["demo://2"],
 *  "again":["demo://1"],"greeting":{...}}
 *
 * Answers to what the old daemon asked reach nobody, so what hung on one is settled here. A caller whose resources/subscribe or
 * logging/setLevel was under way has an error from the bus and holds nothing by it; the server may have agreed all the same. Such URIs are
 * `strays`, which are unsubscribed; such a level is `levelUnsure`, and the one that is wanted is set again. What the host itself was
 * subscribing again after a restart of the server is asked for once more (`again`), as else nobody would hear a refusal.
 */
#include "duplex/dialect-mcp.h"
#include "duplex/dialect-state.h"

#include "basic/list.h"

static const char *const era_names[] = { [MCP_MODERN] = "modern", [MCP_LEGACY] = "legacy" };

/* save */

static McpLevel agreed_level(const McpCaller *caller) {
        return caller->asked > 0 ? caller->agreed : caller->level;
}

static bool holds_anything(const McpCaller *caller) {
        GHashTableIter iter;
        McpHold *hold;

        g_hash_table_iter_init(&iter, caller->uris);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &hold))
                if (hold->unconfirmed == 0)
                        return true;
        return agreed_level(caller) != MCP_LEVEL_NONE;
}

static void save_caller(Dialect *d, const McpCaller *caller, GString *json) {
        const char *name = dialect_caller_name(d, caller->caller), *uri;
        GHashTableIter iter;
        McpHold *hold;

        if (!name || !holds_anything(caller))
                return;
        dialect_state_json(json, name, "{");
        if (agreed_level(caller) != MCP_LEVEL_NONE)
                dialect_state_text(json, "level", mcp_level_to_string(agreed_level(caller)));
        dialect_state_json(json, "uris", "[");
        g_hash_table_iter_init(&iter, caller->uris);
        while (g_hash_table_iter_next(&iter, (void **) &uri, (void **) &hold))
                if (hold->unconfirmed == 0)
                        dialect_state_element(json, uri);
        g_string_append(json, "]}");
}

/* restore() takes out those that somebody else holds. */
static void save_strays(Mcp *m, GString *json) {
        McpCaller *caller;
        GHashTableIter iter, held;
        McpHold *hold;
        const char *uri;

        dialect_state_json(json, "strays", "[");
        if (m->strays) {
                g_hash_table_iter_init(&iter, m->strays);
                while (g_hash_table_iter_next(&iter, (void **) &uri, NULL))
                        dialect_state_element(json, uri);
        }
        g_hash_table_iter_init(&iter, m->callers);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &caller)) {
                g_hash_table_iter_init(&held, caller->uris);
                while (g_hash_table_iter_next(&held, (void **) &uri, (void **) &hold))
                        if (hold->unconfirmed > 0)
                                dialect_state_element(json, uri);
        }
        g_string_append_c(json, ']');
}

static void save_sharing(Mcp *m, GString *json) {
        McpCaller *caller;
        GHashTableIter iter;
        const char *name;
        McpUri *uri;

        if (m->levels_underway > 0 || m->level_unsure)
                dialect_state_json(json, "levelUnsure", "true");
        else if (m->level != MCP_LEVEL_NONE)
                dialect_state_text(json, "level", mcp_level_to_string(m->level));
        dialect_state_json(json, "callers", "{");
        g_hash_table_iter_init(&iter, m->callers);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &caller))
                save_caller(&m->dialect, caller, json);
        g_string_append_c(json, '}');
        save_strays(m, json);
        dialect_state_json(json, "again", "[");
        g_hash_table_iter_init(&iter, m->uris);
        while (g_hash_table_iter_next(&iter, (void **) &name, (void **) &uri))
                if (uri->again)
                        dialect_state_element(json, name);
        g_string_append_c(json, ']');
}

void mcp_save(Dialect *d, GString *json) {
        Mcp *m = mcp(d);

        g_string_append_c(json, '{');
        dialect_state_json(json, "greeted", m->greeted ? "true" : "false");
        if (m->era != MCP_UNKNOWN)
                dialect_state_text(json, "era", era_names[m->era]);
        if (m->dies_of_probe)
                dialect_state_json(json, "diesOfProbe", "true");
        save_sharing(m, json);
        if (m->greeting)
                dialect_state_json(json, "greeting", m->greeting);
        g_string_append_c(json, '}');
}

/* restore */

static int read_era(JsonRange state, McpEra *ret) {
        JsonRange range;
        int r = dialect_state_member(state, "era", JSON_STRING, &range);

        *ret = MCP_UNKNOWN;
        if (r < 0 || !range.data)
                return r;
        for (McpEra era = MCP_MODERN; era <= MCP_LEGACY; era++)
                if (json_string_equals(range, era_names[era])) {
                        *ret = era;
                        return 0;
                }
        return -EBADMSG;
}

static int read_level(JsonRange object, McpLevel *ret) {
        JsonRange range;
        int r = dialect_state_member(object, "level", JSON_STRING, &range);

        *ret = MCP_LEVEL_NONE;
        if (r < 0 || !range.data)
                return r;
        *ret = mcp_level_from_json(range);
        return *ret == MCP_LEVEL_NONE ? -EBADMSG : 0;
}

static int restore_greeting(Mcp *m, JsonRange state, bool connected) {
        bool greeted;
        McpEra era;
        int r;

        r = read_era(state, &era);
        if (r >= 0)
                r = dialect_state_flag(state, "greeted", &greeted);
        if (r >= 0)
                r = dialect_state_flag(state, "diesOfProbe", &m->dies_of_probe);
        if (r >= 0)
                r = dialect_state_object(state, "greeting", &m->greeting);
        if (r < 0)
                return r;
        if (!m->era_fixed && era != MCP_UNKNOWN)
                m->era = era;
        if (!connected)
                return 0;
        if (!greeted || era == MCP_UNKNOWN || era != m->era)
                return -EBADMSG;
        m->greeted = m->decided = true;
        return 0;
}

static void add_stray(Mcp *m, const char *uri) {
        if (!m->strays)
                m->strays = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_hash_table_add(m->strays, g_strdup(uri));
}

/* What a caller holds who is gone without a trace is nobody's. */
static int restore_caller(Mcp *m, JsonRange name, JsonRange state) {
        g_autoptr(GHashTable) uris = NULL;
        GHashTableIter iter;
        JsonRange array;
        McpLevel level;
        Caller *caller;
        McpCaller *held;
        const char *uri;
        int r;

        if (json_type(state) != JSON_OBJECT)
                return -EBADMSG;
        r = dialect_state_caller(&m->dialect, name, &caller);
        if (r >= 0)
                r = read_level(state, &level);
        if (r >= 0)
                r = dialect_state_member(state, "uris", JSON_ARRAY, &array);
        if (r >= 0)
                r = dialect_state_uris(array, DIALECT_SUBSCRIPTIONS_MAX, &uris);
        if (r < 0 || (caller && g_hash_table_contains(m->callers, caller)))
                return -EBADMSG;
        held = caller ? mcp_caller(m, caller) : NULL;
        if (held)
                held->level = held->agreed = level;
        else if (level != MCP_LEVEL_NONE) /* another may be the most verbose one now */
                m->level_unsure = true;
        g_hash_table_iter_init(&iter, uris);
        while (g_hash_table_iter_next(&iter, (void **) &uri, NULL))
                if (!held)
                        add_stray(m, uri);
                else {
                        mcp_hold(m, held, uri, 0);
                        ((McpUri *) g_hash_table_lookup(m->uris, uri))->agreed = true;
                }
        return 0;
}

static int restore_callers(Mcp *m, JsonRange state) {
        JsonRange callers, name, value;
        size_t cursor = 0;
        int r;

        r = read_level(state, &m->level);
        if (r >= 0)
                r = dialect_state_member(state, "callers", JSON_OBJECT, &callers);
        while (r >= 0 && callers.data && json_next(callers, &cursor, &name, &value))
                r = restore_caller(m, name, value);
        return r;
}

static int read_list(JsonRange state, const char *key, GHashTable **ret) {
        JsonRange array;
        int r = dialect_state_member(state, key, JSON_ARRAY, &array);

        return r < 0 ? r : dialect_state_uris(array, SIZE_MAX, ret);
}

/* After restore_callers(). */
static int restore_unsettled(Mcp *m, JsonRange state) {
        g_autoptr(GHashTable) strays = NULL, again = NULL;
        GHashTableIter iter;
        bool unsure, asks = false;
        const char *name;
        McpUri *uri;
        int r;

        r = dialect_state_flag(state, "levelUnsure", &unsure);
        if (r >= 0)
                r = read_list(state, "strays", &strays);
        if (r >= 0)
                r = read_list(state, "again", &again);
        if (r < 0)
                return r;
        m->level_unsure |= unsure;
        g_hash_table_iter_init(&iter, strays);
        while (g_hash_table_iter_next(&iter, (void **) &name, NULL))
                add_stray(m, name);
        g_hash_table_iter_init(&iter, m->uris);
        while (g_hash_table_iter_next(&iter, (void **) &name, (void **) &uri)) {
                uri->again = g_hash_table_contains(again, name);
                asks |= uri->again;
                if (m->strays)
                        g_hash_table_remove(m->strays, name);
        }
        if (m->strays && g_hash_table_size(m->strays) == 0)
                g_clear_pointer(&m->strays, g_hash_table_unref);
        if (asks || m->strays || m->level_unsure)
                deadline_arm(m->deadlines, &m->resume, 0);
        return 0;
}

int mcp_restore(Dialect *d, JsonRange state, bool connected) {
        Mcp *m = mcp(d);
        McpCaller *caller;
        GHashTableIter iter;
        int r;

        r = dialect_state_open(state, &state);
        if (r >= 0)
                r = restore_greeting(m, state, connected);
        if (r >= 0)
                r = restore_callers(m, state);
        if (r >= 0 && connected)
                r = restore_unsettled(m, state);
        if (r < 0)
                return r;
        if (!connected)
                mcp_forget_resume(m);
        g_hash_table_iter_init(&iter, m->callers);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &caller))
                if (d->peer->holds)
                        d->peer->holds(d->userdata, caller->caller);
        return 0;
}

void mcp_forget_resume(Mcp *m) {
        deadline_disarm(m->deadlines, &m->resume);
        g_clear_pointer(&m->strays, g_hash_table_unref);
        m->level_unsure = false;
}

void mcp_resume(Mcp *m) {
        g_autoptr(GHashTable) strays = g_steal_pointer(&m->strays);
        bool unsure = m->level_unsure;
        GHashTableIter iter;
        const char *uri;

        mcp_forget_resume(m);
        if (m->era != MCP_LEGACY)
                return;
        if (strays) {
                g_hash_table_iter_init(&iter, strays);
                while (g_hash_table_iter_next(&iter, (void **) &uri, NULL))
                        mcp_release(m, uri);
        }
        if (unsure)
                mcp_update_level(m);
        mcp_subscribe_again(m, false);
}

void mcp_resume_expired(Deadline *deadline) {
        mcp_resume(list_entry(deadline, Mcp, resume));
}
