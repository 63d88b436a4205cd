/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.plugind1.Session: properties, which all may read and whose getters never fail, and the vtable. */
#include "bus/call.h"

#define GETTER(name)                                                                                                                       \
        static int get_##name(sd_bus *sd_bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,        \
                              void *userdata, sd_bus_error *error)

#define STRING_GETTER(name, expression)                                                                                                    \
        GETTER(name) {                                                                                                                     \
                const Session *session = userdata;                                                                                         \
                const char *value = (expression);                                                                                          \
                                                                                                                                           \
                return sd_bus_message_append_basic(reply, 's', value ? value : "");                                                        \
        }

#define NUMBER_GETTER(name, signature, type, expression)                                                                                   \
        GETTER(name) {                                                                                                                     \
                const Session *session = userdata;                                                                                         \
                type value = (type) (expression);                                                                                          \
                                                                                                                                           \
                return sd_bus_message_append_basic(reply, signature, &value);                                                              \
        }

STRING_GETTER(id, session->id)
STRING_GETTER(name, session_name(session))
STRING_GETTER(version, session_version(session))
STRING_GETTER(description, session->manifest->description)
STRING_GETTER(type, session->manifest->type == MANIFEST_PROCESS ? "process" : "external")
STRING_GETTER(dialect, session->manifest->dialect->name)
STRING_GETTER(manifest, session->manifest->path)
STRING_GETTER(desired_state, session_state_to_string(session->desired_active ? SESSION_ACTIVE : SESSION_INACTIVE))
STRING_GETTER(reported_state, session_state_to_string(session->state))
STRING_GETTER(error_message, session->failure.message)
STRING_GETTER(unit, session_unit(session))
STRING_GETTER(greeting, session->greeting)
NUMBER_GETTER(supervised, 'b', int, session_supervised(session))
NUMBER_GETTER(started_at, 't', uint64_t, session->started_at)
NUMBER_GETTER(state_changed_at, 't', uint64_t, session->state_changed_at)
NUMBER_GETTER(main_pid, 'u', uint32_t, session->main_pid)
NUMBER_GETTER(restarts, 'u', uint32_t, session->restarts)
NUMBER_GETTER(hand_overs, 'u', uint32_t, session->hand_overs)
NUMBER_GETTER(in_flight, 'u', uint32_t, session->in_flight)

GETTER(log_file) {
        const Session *session = userdata;
        const LogSink *sink = connection_current(sd_bus)->bus->config.log_sink;
        g_autofree char *file = sink ? log_sink_file(sink, session->id) : NULL;

        return sd_bus_message_append_basic(reply, 's', file ? file : "");
}

static int append_details(sd_bus_message *reply, const Session *session, const char *runtime) {
        const SessionFailure *failure = &session->failure;
        int r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}", "stage", "s", failure->stage ? failure->stage : "", "error", "s",
                                      failure->error ? failure->error : "", "runtime", "s",
                                      session_supervised(session) && runtime ? runtime : "none", "restarts", "u", session->restarts);

        if (r >= 0 && failure->exit_status >= 0)
                r = sd_bus_message_append(reply, "{sv}", "exit-status", "i", failure->exit_status);
        if (r >= 0 && failure->signal > 0)
                r = sd_bus_message_append(reply, "{sv}", "signal", "i", failure->signal);
        if (r >= 0 && failure->result)
                r = sd_bus_message_append(reply, "{sv}", "result", "s", failure->result);
        return r;
}

GETTER(error_details) {
        const Session *session = userdata;
        int r = sd_bus_message_open_container(reply, 'a', "{sv}");

        if (r >= 0 && session->failure.message)
                r = append_details(reply, session, connection_current(sd_bus)->bus->config.runtime);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* Who may is decided in call.c: sd-bus' own check would ask the bus for each call. */
#define METHOD(member, in, in_names, out, out_names)                                                                                       \
        SD_BUS_METHOD_WITH_NAMES(member, in, in_names, out, out_names, call_on_session, SD_BUS_VTABLE_UNPRIVILEGED)
#define PROPERTY(member, signature, getter, flags) SD_BUS_PROPERTY(member, signature, getter, 0, flags)
#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
#define CONST SD_BUS_VTABLE_PROPERTY_CONST

/* clang-format off */
const sd_bus_vtable session_vtable[] = {
        SD_BUS_VTABLE_START(0),
        METHOD("SetActiveState", "sa{sv}", SD_BUS_PARAM(state) SD_BUS_PARAM(options), "", ),
        METHOD("Restart", "a{sv}", SD_BUS_PARAM(options), "", ),
        METHOD("Connect", "ha{sv}", SD_BUS_PARAM(duplex) SD_BUS_PARAM(options), "", ),
        METHOD("Send", "ssa{sv}", SD_BUS_PARAM(method) SD_BUS_PARAM(params) SD_BUS_PARAM(options), "s", SD_BUS_PARAM(result)),
        METHOD("SendBytes", "saya{sv}", SD_BUS_PARAM(method) SD_BUS_PARAM(params) SD_BUS_PARAM(options), "ay", SD_BUS_PARAM(result)),
        METHOD("Cancel", "sa{sv}", SD_BUS_PARAM(id) SD_BUS_PARAM(options), "", ),
        METHOD("Notify", "ssa{sv}", SD_BUS_PARAM(method) SD_BUS_PARAM(params) SD_BUS_PARAM(options), "", ),
        METHOD("Subscribe", "asa{sv}", SD_BUS_PARAM(methods) SD_BUS_PARAM(options), "", ),
        METHOD("Unsubscribe", "a{sv}", SD_BUS_PARAM(options), "", ),
        METHOD("Kill", "sia{sv}", SD_BUS_PARAM(whom) SD_BUS_PARAM(signal) SD_BUS_PARAM(options), "", ),
        METHOD("ResetFailed", "a{sv}", SD_BUS_PARAM(options), "", ),
        METHOD("GetLogLines", "a{sv}", SD_BUS_PARAM(options), "a(tysa{sv})", SD_BUS_PARAM(lines)),
        METHOD("GetHistory", "a{sv}", SD_BUS_PARAM(options), "a(tsssa{sv})", SD_BUS_PARAM(history)),
        SD_BUS_SIGNAL_WITH_NAMES("StateChanged", "sss", SD_BUS_PARAM(new) SD_BUS_PARAM(old) SD_BUS_PARAM(reason), 0),
        SD_BUS_SIGNAL_WITH_NAMES("Ended", "si", SD_BUS_PARAM(reason) SD_BUS_PARAM(status), 0),
        SD_BUS_SIGNAL_WITH_NAMES("Notification", "sss", SD_BUS_PARAM(request) SD_BUS_PARAM(method) SD_BUS_PARAM(params), 0),
        PROPERTY("Id", "s", get_id, CONST),
        PROPERTY("Name", "s", get_name, CHANGES),
        PROPERTY("Version", "s", get_version, CHANGES),
        PROPERTY("Description", "s", get_description, CHANGES),
        PROPERTY("Type", "s", get_type, CHANGES),
        PROPERTY("Dialect", "s", get_dialect, CHANGES),
        PROPERTY("Manifest", "s", get_manifest, CHANGES),
        PROPERTY("LogFile", "s", get_log_file, CONST),
        PROPERTY("Supervised", "b", get_supervised, CHANGES),
        PROPERTY("DesiredState", "s", get_desired_state, CHANGES),
        PROPERTY("ReportedState", "s", get_reported_state, CHANGES),
        PROPERTY("ErrorMessage", "s", get_error_message, CHANGES),
        PROPERTY("ErrorDetails", "a{sv}", get_error_details, CHANGES),
        PROPERTY("StartedAt", "t", get_started_at, CHANGES),
        PROPERTY("StateChangedAt", "t", get_state_changed_at, CHANGES),
        PROPERTY("MainPID", "u", get_main_pid, CHANGES),
        PROPERTY("Unit", "s", get_unit, CHANGES),
        PROPERTY("Restarts", "u", get_restarts, CHANGES),
        PROPERTY("HandOvers", "u", get_hand_overs, 0),
        PROPERTY("InFlight", "u", get_in_flight, 0),
        PROPERTY("Greeting", "s", get_greeting, SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION),
        SD_BUS_VTABLE_END
};
