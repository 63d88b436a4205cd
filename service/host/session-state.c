/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/session-state.h"

#include <glib.h>
#include <inttypes.h>

static void add_key(GString *json, const char *key) {
        char last = json->str[json->len - 1];

        g_string_append_printf(json, last == '{' || last == '[' ? "\"%s\":" : ",\"%s\":", key);
}

static void add_json(GString *json, const char *key, const char *value) {
        if (!value)
                return;
        add_key(json, key);
        g_string_append(json, value);
}

static void add_text(GString *json, const char *key, const char *value) {
        if (!value)
                return;
        add_key(json, key);
        json_append_string(json, value, strlen(value));
}

static void add_number(GString *json, const char *key, uint64_t value) {
        if (value == 0)
                return;
        add_key(json, key);
        g_string_append_printf(json, "%" PRIu64, value);
}

static void add_flag(GString *json, const char *key, bool value) {
        if (value)
                add_json(json, key, "true");
}

static void add_manifest(GString *json, const Session *session) {
        const Manifest *manifest = session->manifest;

        add_text(json, "source", session->source);
        add_json(json, "configuration", session->configuration);
        if (!session->run && session->source) /* read from its file again */
                return;
        add_json(json, "manifest", manifest->text);
        add_text(json, "manifestPath", manifest->path);
        add_text(json, "manifestCommand", manifest->command);
        add_flag(json, "manifestTrusted", manifest->trusted);
}

static void add_failure(GString *json, const SessionFailure *failure) {
        if (!failure->message)
                return;
        add_key(json, "failure");
        g_string_append_c(json, '{');
        add_text(json, "message", failure->message);
        add_text(json, "stage", failure->stage);
        add_text(json, "error", failure->error);
        add_number(json, "exitStatus", (uint64_t) failure->exit_status + 1); /* 0: none */
        add_number(json, "signal", (uint64_t) failure->signal);
        add_text(json, "result", failure->result);
        g_string_append_c(json, '}');
}

static void add_statistics(GString *json, const Statistics *statistics) {
        if (!statistics)
                return;
        add_key(json, "statistics");
        g_string_append_c(json, '{');
        add_number(json, "answered", statistics->answered);
        add_number(json, "pluginErrors", statistics->plugin_errors);
        add_number(json, "failed", statistics->failed);
        add_key(json, "latency");
        g_string_append_c(json, '[');
        for (unsigned i = 0; i < STATISTICS_BUCKETS; i++)
                if (statistics->latency[i] > 0)
                        g_string_append_printf(json, "%s[%u,%" PRIu64 "]", json->str[json->len - 1] == '[' ? "" : ",", i,
                                               statistics->latency[i]);
        g_string_append(json, "]}");
}

static void add_history(GString *json, const History *history) {
        unsigned n = history_length(history);

        if (n == 0)
                return;
        add_key(json, "history");
        for (unsigned i = 0; i < n; i++) {
                const HistoryEntry *entry = history_get(history, i);

                g_string_append_printf(json, "%c[%" PRIu64 ",\"%s\",\"%s\",%u,%d,", i == 0 ? '[' : ',', entry->realtime_usec,
                                       session_state_to_string(entry->new_state), session_state_to_string(entry->old_state), entry->signal,
                                       entry->exit_status + 1);
                json_append_string(json, entry->reason, strlen(entry->reason));
                g_string_append_c(json, ']');
        }
        g_string_append_c(json, ']');
}

static void add_attachments(GString *json, const Session *session) {
        if (list_empty(&session->attachments))
                return;
        add_key(json, "attachments");
        g_string_append_c(json, '[');
        list_foreach(node, &session->attachments) {
                const Attachment *attachment = list_entry(node, Attachment, by_session);

                g_string_append(json, json->str[json->len - 1] == '[' ? "{" : ",{");
                add_text(json, "caller", attachment->caller->name);
                add_number(json, "uid", attachment->caller->uid);
                add_flag(json, "bound", attachment->bound);
                add_flag(json, "subscribed", attachment->subscribed);
                if (attachment->methods)
                        add_key(json, "methods");
                for (char **method = attachment->methods; method && *method; method++) {
                        g_string_append_c(json, method == attachment->methods ? '[' : ',');
                        json_append_string(json, *method, strlen(*method));
                }
                g_string_append(json, attachment->methods ? "]}" : "}");
        }
        g_string_append_c(json, ']');
}

/* Of Sends without an end: a daemon that is killed leaves them to the plugin, and the next one cancels them there. */
static void add_endless(GString *json, const Session *session) {
        bool any = false;

        list_foreach(node, &session->pending) {
                const Request *request = list_entry(node, Request, by_session);

                if (!request->endless)
                        continue;
                if (!any)
                        add_key(json, "endless");
                g_string_append_printf(json, "%c%" PRIu64, any ? ',' : '[', request->id);
                any = true;
        }
        if (any)
                g_string_append_c(json, ']');
}

static void add_failures(GString *json, const SessionRun *run) {
        if (run->n_failed == 0)
                return;
        add_number(json, "burst", run->burst);
        add_number(json, "failures", run->n_failed);
        add_key(json, "failedAt");
        for (unsigned i = 0; i < MIN(run->n_failed, run->burst); i++)
                g_string_append_printf(json, "%c%" PRIu64, i == 0 ? '[' : ',', run->failed_at[i]);
        g_string_append_c(json, ']');
}

static void add_unit(GString *json, Unit *unit) {
        UnitIdentity identity = {};

        if (unit && unit->runtime->ops->unit_identify)
                unit->runtime->ops->unit_identify(unit, &identity);
        if (!identity.name)
                return;
        add_text(json, "unit", identity.name);
        add_number(json, "pid", (uint64_t) identity.pid);
        add_number(json, "startTime", identity.start_time);
        add_number(json, "pair", identity.pair);
}

/* Times are of CLOCK_MONOTONIC: a state never outlives the boot. */
static void add_run(GString *json, const Session *session) {
        const SessionRun *run = session->run;

        if (!run)
                return;
        add_key(json, "run");
        g_string_append_c(json, '{');
        add_unit(json, run->unit);
        if (!run->unit)
                add_number(json, "pair", run->pair);
        add_flag(json, "connected", run->duplex);
        if (run->duplex) {
                add_number(json, "slot", duplex_slot(run->duplex));
                add_text(json, "framing", framing_to_string(run->framing));
        }
        add_number(json, "activeSince", run->active_since);
        add_number(json, "usedAt", run->used_at);
        add_number(json, "restartStep", run->restart_step);
        add_failures(json, run);
        if (deadline_armed(&run->timer))
                add_number(json, "timer", run->timer.usec);
        add_flag(json, "giveUp", run->give_up);
        add_text(json, "stopReason", run->stop_reason);
        add_endless(json, session);
        g_string_append_c(json, '}');
}

static void add_dialect(GString *json, const Session *session) {
        if (!session->dialect || !session->dialect->ops->save)
                return;
        add_key(json, "dialect");
        session->dialect->ops->save(session->dialect, json);
}

void session_state_append(GString *json, Session *session) {
        g_string_append_c(json, '{');
        add_number(json, "owner", session->owner);
        add_manifest(json, session);
        add_flag(json, "unbound", session->unbound);
        add_text(json, "state", session_state_to_string(session->state));
        add_flag(json, "desiredActive", session->desired_active);
        add_number(json, "stateChangedAt", session->state_changed_at);
        add_number(json, "startedAt", session->started_at);
        add_number(json, "restarts", session->restarts);
        add_number(json, "handOvers", session->hand_overs);
        add_flag(json, "startAgain", session->start_again);
        if (session->unloading)
                add_text(json, "unloading", session->unload_reason);
        add_failure(json, &session->failure);
        add_json(json, "greeting", session->greeting);
        add_text(json, "serverName", session->server_name);
        add_text(json, "serverVersion", session->server_version);
        add_text(json, "mcpEra", session->mcp_era);
        add_statistics(json, session->statistics);
        add_history(json, session->history);
        add_attachments(json, session);
        add_run(json, session);
        add_dialect(json, session);
        g_string_append_c(json, '}');
}
