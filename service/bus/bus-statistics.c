/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Figures and history of sessions: for all to read, so nothing of what plugins say is in them. */
#include "bus/call.h"
#include "bus/options.h"

static int append_latency(sd_bus_message *reply, const Statistics *statistics) {
        int r = sd_bus_message_open_container(reply, 'e', "sv");

        if (r >= 0)
                r = sd_bus_message_append_basic(reply, 's', "send-latency");
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'v', "a(tt)");
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(tt)");
        for (unsigned i = 0; r >= 0 && statistics && i < STATISTICS_BUCKETS; i++)
                if (statistics->latency[i] > 0)
                        r = sd_bus_message_append(reply, "(tt)", statistics_bucket_end(i), statistics->latency[i]);
        for (int i = 0; r >= 0 && i < 3; i++)
                r = sd_bus_message_close_container(reply);
        return r;
}

static int append_figures(sd_bus_message *reply, const Session *session) {
        static const Statistics none;
        const Statistics *statistics = session->statistics ? session->statistics : &none;
        int r = sd_bus_message_open_container(reply, 'r', "sa{sv}");

        if (r >= 0)
                r = sd_bus_message_append_basic(reply, 's', session->id);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}{sv}{sv}{sv}{sv}", //
                                          "reported-state", "s", session_state_to_string(session->state), "main-pid", "u",
                                          (uint32_t) session->main_pid, "unit", "s", session_unit(session), "restarts", "u",
                                          (uint32_t) session->restarts, "in-flight", "u", (uint32_t) session->in_flight, "answered", "t",
                                          statistics->answered, "plugin-errors", "t", statistics->plugin_errors, "failed", "t",
                                          statistics->failed);
        if (r >= 0)
                r = append_latency(reply, session->statistics);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

typedef struct Collection {
        sd_bus_message *reply;
        int r;
} Collection;

static void collect(Session *session, void *userdata) {
        Collection *collection = userdata;

        if (collection->r >= 0)
                collection->r = append_figures(collection->reply, session);
}

static const Option statistics_options[] = { { "id", OPTION_STRING, 0 }, {} };

int method_get_statistics(Call *call, PlugindError *error) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = NULL;
        Host *host = call->connection->bus->host;
        Collection collection = {};
        Session *only = NULL;
        const char *id = NULL;
        int r = options_read(call->message, statistics_options, &id, error);

        if (r >= 0 && id)
                r = host_get(host, id, &only, error);
        if (r >= 0)
                r = sd_bus_message_new_method_return(call->message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(sa{sv})");
        if (r < 0)
                return r;
        collection.reply = reply;
        if (only)
                collect(only, &collection);
        else
                host_foreach(host, collect, &collection);
        if (collection.r < 0)
                return collection.r;
        r = sd_bus_message_close_container(reply);
        return r < 0 ? r : call_reply(call, reply, host_n_sessions(host) * 512);
}

static int append_change(sd_bus_message *reply, const HistoryEntry *entry) {
        int r = sd_bus_message_open_container(reply, 'r', "tsssa{sv}");

        if (r >= 0)
                r = sd_bus_message_append(reply, "tsss", entry->realtime_usec, session_state_to_string((SessionState) entry->new_state),
                                          session_state_to_string((SessionState) entry->old_state), entry->reason);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0 && entry->exit_status >= 0)
                r = sd_bus_message_append(reply, "{sv}", "exit-status", "i", (int32_t) entry->exit_status);
        if (r >= 0 && entry->signal > 0)
                r = sd_bus_message_append(reply, "{sv}", "signal", "i", (int32_t) entry->signal);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int method_get_history(Call *call, PlugindError *error) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = NULL;
        const History *history = call->session->history;
        int r = options_read(call->message, NULL, NULL, error);

        if (r >= 0)
                r = sd_bus_message_new_method_return(call->message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(tsssa{sv})");
        for (unsigned i = 0; r >= 0 && i < history_length(history); i++)
                r = append_change(reply, history_get(history, i));
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : call_reply(call, reply, 0);
}
