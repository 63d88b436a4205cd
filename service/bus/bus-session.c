/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.plugind1.Session: methods. Its properties and vtable are in session-properties.c. */
#include "bus/call.h"
#include "bus/duplex-fd.h"
#include "bus/options.h"

#include <errno.h>
#include <signal.h>

static const Option wait_options[] = { { "wait", OPTION_BOOL, 0 }, {} };

static int method_set_active_state(Call *call, PlugindError *error) {
        const char *state;
        bool wait = false, active;
        int r = sd_bus_message_read_basic(call->message, 's', &state);

        if (r >= 0)
                r = options_read(call->message, wait_options, &wait, error);
        if (r < 0)
                return r;
        active = g_str_equal(state, "active");
        if (!active && !g_str_equal(state, "inactive"))
                return plugind_error_set(error, PLUGIND_ERROR_INVALID_ARGS, "state: found \"%s\", expected \"active\" or \"inactive\"",
                                         state);
        session_set_desired(call->session, active, "requested", wait ? call_done : NULL, wait ? call_keep(call) : NULL);
        return wait ? 0 : call_reply_empty(call);
}

static int method_restart(Call *call, PlugindError *error) {
        bool wait = false;
        int r = options_read(call->message, wait_options, &wait, error);

        if (r < 0)
                return r;
        session_restart(call->session, wait ? call_done : NULL, wait ? call_keep(call) : NULL);
        return wait ? 0 : call_reply_empty(call);
}

static int method_connect(Call *call, PlugindError *error) {
        int r = duplex_fd_connect(call->message, call->session, error);

        return r < 0 ? r : call_reply_empty(call);
}

typedef struct SendArguments {
        char *id; /* JSON */
        uint64_t timeout_usec;
        bool envelope;
} SendArguments;

static const Option send_options[] = {
        { "id", OPTION_JSON_NAME, offsetof(SendArguments, id) },
        { "timeout-usec", OPTION_USEC, offsetof(SendArguments, timeout_usec) },
        { "envelope", OPTION_BOOL, offsetof(SendArguments, envelope) },
        {},
};

/* string_space spares sd-bus' check of UTF-8, which costs more than all the rest; the scanner has checked it. */
static int reply_json(Call *call, JsonRange json) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = NULL;
        int r = sd_bus_message_new_method_return(call->message, &reply);
        void *space;

        if (r < 0)
                return r;
        if (g_str_equal(sd_bus_message_get_member(call->message), "SendBytes"))
                r = sd_bus_message_append_array_space(reply, 'y', json.size, &space);
        else {
                char *string;

                r = sd_bus_message_append_string_space(reply, json.size, &string);
                space = string;
        }
        if (r < 0)
                return r;
        memcpy(space, json.data, json.size);
        return call_reply(call, reply, json.size);
}

static void answered(const Answer *answer, void *userdata) {
        g_autoptr(Call) call = userdata;
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;
        int r = 0;

        if (call_vanishes(call))
                return;
        if (answer->error.code != PLUGIND_ERROR_NONE)
                call_fail(call, &answer->error);
        else
                r = reply_json(call, answer->json);
        if (r < 0) {
                plugind_error_set(&error, PLUGIND_ERROR_FAILED, "the answer cannot be sent: %s", g_strerror(-r));
                call_fail(call, &error);
        }
}

static int send_request(Call *call, const char *method, JsonRange params, PlugindError *error) {
        SendArguments arguments = {};
        g_autofree char *id = NULL;
        g_autoptr(Call) kept = NULL;
        SendOptions options;
        int r = options_read(call->message, send_options, &arguments, error);

        id = arguments.id;
        if (r < 0)
                return r;
        options = (SendOptions){ .id = id, .timeout_usec = arguments.timeout_usec, .envelope = arguments.envelope };
        kept = call_keep(call);
        r = session_send(call->session, call->caller, method, params, &options, answered, kept, error);
        if (r >= 0)
                g_steal_pointer(&kept);
        return r;
}

static JsonRange params_range(const void *data, size_t size) {
        return size > 0 ? (JsonRange){ data, size } : (JsonRange){};
}

static int method_send(Call *call, PlugindError *error) {
        const char *method, *params;
        int r = sd_bus_message_read_basic(call->message, 's', &method);

        if (r >= 0)
                r = sd_bus_message_read_basic(call->message, 's', &params);
        return r < 0 ? r : send_request(call, method, params_range(params, strlen(params)), error);
}

static int method_send_bytes(Call *call, PlugindError *error) {
        const void *params;
        const char *method;
        size_t size;
        int r = sd_bus_message_read_basic(call->message, 's', &method);

        if (r >= 0)
                r = sd_bus_message_read_array(call->message, 'y', &params, &size);
        return r < 0 ? r : send_request(call, method, params_range(params, size), error);
}

/* Cancel is given the id as a string, but a Send's may have been an integer: then it stands in JSON without quotes. */
static int method_cancel(Call *call, PlugindError *error) {
        _cleanup_error_ PlugindError as_string = PLUGIND_ERROR_INIT;
        g_autoptr(GString) json = g_string_new(NULL);
        const char *id;
        int r = sd_bus_message_read_basic(call->message, 's', &id);

        if (r >= 0)
                r = options_read(call->message, NULL, NULL, error);
        if (r < 0)
                return r;
        json_append_string(json, id, strlen(id));
        r = session_cancel(call->session, call->caller, json->str, &as_string);
        if (r < 0 && strspn(id[0] == '-' ? id + 1 : id, "0123456789") == strlen(id[0] == '-' ? id + 1 : id))
                r = session_cancel(call->session, call->caller, id, NULL);
        if (r < 0) {
                plugind_error_propagate(error, &as_string);
                return r;
        }
        return call_reply_empty(call);
}

static int method_notify(Call *call, PlugindError *error) {
        const char *method, *params;
        g_autoptr(Call) kept = NULL;
        int r = sd_bus_message_read(call->message, "ss", &method, &params);

        if (r >= 0)
                r = options_read(call->message, NULL, NULL, error);
        if (r < 0)
                return r;
        kept = call_keep(call);
        r = session_notify(call->session, call->caller, method, params_range(params, strlen(params)), call_done, kept, error);
        if (r >= 0)
                g_steal_pointer(&kept);
        return r;
}

static int method_subscribe(Call *call, PlugindError *error) {
        char **methods = NULL;
        int r = sd_bus_message_read_strv(call->message, &methods);

        if (r >= 0)
                r = options_read(call->message, NULL, NULL, error);
        if (r >= 0)
                r = session_subscribe(call->session, call->caller, methods, error);
        g_strfreev(methods);
        return r < 0 ? r : call_reply_empty(call);
}

static int method_unsubscribe(Call *call, PlugindError *error) {
        int r = options_read(call->message, NULL, NULL, error);

        if (r < 0)
                return r;
        session_unsubscribe(call->session, call->caller);
        return call_reply_empty(call);
}

static int method_kill(Call *call, PlugindError *error) {
        const char *whom;
        int32_t signal;
        bool all;
        int r = sd_bus_message_read(call->message, "si", &whom, &signal);

        if (r >= 0)
                r = options_read(call->message, NULL, NULL, error);
        if (r < 0)
                return r;
        all = g_str_equal(whom, "all");
        if (!all && !g_str_equal(whom, "main"))
                return plugind_error_set(error, PLUGIND_ERROR_INVALID_ARGS, "whom: found \"%s\", expected \"main\" or \"all\"", whom);
        if (signal < 1 || signal > SIGRTMAX)
                return plugind_error_set(error, PLUGIND_ERROR_INVALID_ARGS, "signal: found %i, expected 1 to %i", signal, SIGRTMAX);
        r = session_kill(call->session, all ? KILL_ALL : KILL_MAIN, signal, error);
        return r < 0 ? r : call_reply_empty(call);
}

static int method_reset_failed(Call *call, PlugindError *error) {
        int r = options_read(call->message, NULL, NULL, error);

        if (r < 0)
                return r;
        session_reset_failed(call->session);
        return call_reply_empty(call);
}

static int reply_lines(Call *call, const PluginLogLine *lines, size_t n) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = NULL;
        int r = sd_bus_message_new_method_return(call->message, &reply);

        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(tysa{sv})");
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = sd_bus_message_append(reply, "(tysa{sv})", lines[i].realtime_usec, (uint8_t) lines[i].priority, lines[i].text, 0);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : call_reply(call, reply, 0);
}

static void lines_read(const PluginLogLine *lines, size_t n, const PlugindError *error, void *userdata) {
        g_autoptr(Call) call = userdata;

        if (call_vanishes(call))
                return;
        if (error)
                call_fail(call, error);
        else
                (void) reply_lines(call, lines, n);
}

static int method_get_log_lines(Call *call, PlugindError *error) {
        JournalTail *tail = call->connection->bus->config.journal_tail;
        const PluginLogLine *lines = NULL;
        g_autoptr(Call) kept = NULL;
        size_t n = 0;
        int r = options_read(call->message, NULL, NULL, error);

        if (r < 0)
                return r;
        if (!tail || !session_supervised(call->session)) {
                if (call->session->log)
                        lines = plugin_log_lines(call->session->log, &n);
                return reply_lines(call, lines, n);
        }
        kept = call_keep(call);
        r = journal_tail_read(tail, call->session->id, lines_read, kept, error);
        if (r >= 0)
                g_steal_pointer(&kept);
        return r;
}

const CallMethod session_methods[] = {
        { "Send", method_send },
        { "SendBytes", method_send_bytes },
        { "Cancel", method_cancel },
        { "Notify", method_notify },
        { "Subscribe", method_subscribe },
        { "Unsubscribe", method_unsubscribe },
        { "SetActiveState", method_set_active_state },
        { "Restart", method_restart },
        { "Connect", method_connect },
        { "Kill", method_kill },
        { "ResetFailed", method_reset_failed },
        { "GetLogLines", method_get_log_lines },
        { "GetHistory", method_get_history },
        {},
};
