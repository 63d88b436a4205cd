/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.plugind1.Host */
#include "bus/call.h"
#include "bus/duplex-fd.h"
#include "bus/options.h"
#include "store/store.h"

typedef struct LoadArguments {
        bool wait, bind;
        const char *manifest, *configuration;
} LoadArguments;

static const Option load_options[] = {
        { "wait", OPTION_BOOL, offsetof(LoadArguments, wait) },
        { "manifest", OPTION_STRING, offsetof(LoadArguments, manifest) },
        { "configuration", OPTION_STRING, offsetof(LoadArguments, configuration) },
        { "bind", OPTION_BOOL, offsetof(LoadArguments, bind) },
        {},
};

typedef struct Loading {
        Call *call;
        char *path; /* of the session */
} Loading;

static int reply_path(Call *call, const char *path) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = NULL;
        int r = sd_bus_message_new_method_return(call->message, &reply);

        if (r >= 0)
                r = sd_bus_message_append_basic(reply, 'o', path);
        if (r < 0)
                return r;
        signal_queue_flush(call->connection->bus->signals, path);
        return call_reply(call, reply, strlen(path));
}

static void load_settled(const PlugindError *error, void *userdata) {
        Loading *loading = userdata;

        if (error)
                call_fail(loading->call, error);
        else
                (void) reply_path(loading->call, loading->path);
        call_free(loading->call);
        g_free(loading->path);
        g_free(loading);
}

static int method_load(Call *call, PlugindError *error) {
        LoadArguments arguments = {};
        LoadOptions options = { .caller = call->caller };
        g_autofree char *path = NULL;
        Session *session;
        Loading *loading;
        int r = sd_bus_message_read_basic(call->message, 's', &options.source);

        if (r >= 0)
                r = options_read(call->message, load_options, &arguments, error);
        if (r < 0)
                return r;
        options.manifest = arguments.manifest;
        options.configuration = arguments.configuration;
        options.bind = arguments.bind;
        r = host_load(call->connection->bus->host, &options, &session, error);
        if (r < 0)
                return r;
        path = session_path(session);
        if (!arguments.wait)
                return reply_path(call, path);
        loading = g_new(Loading, 1);
        *loading = (Loading){ .call = call_keep(call), .path = g_steal_pointer(&path) };
        session_when_settled(session, load_settled, loading);
        return 0;
}

static const Option unload_options[] = { { "force", OPTION_BOOL, 0 }, {} };

static int method_unload(Call *call, PlugindError *error) {
        g_autoptr(Call) kept = NULL;
        bool force = false;
        const char *id;
        int r = sd_bus_message_read_basic(call->message, 's', &id);

        if (r >= 0)
                r = options_read(call->message, unload_options, &force, error);
        if (r < 0)
                return r;
        kept = call_keep(call);
        r = host_unload(call->connection->bus->host, id, call->caller, force, call_done, kept, error);
        if (r >= 0)
                g_steal_pointer(&kept);
        return r;
}

static int method_connect(Call *call, PlugindError *error) {
        Session *session;
        const char *id;
        int r = sd_bus_message_read_basic(call->message, 's', &id);

        if (r >= 0)
                r = host_get(call->connection->bus->host, id, &session, error);
        if (r >= 0)
                r = duplex_fd_connect(call->message, session, error);
        return r < 0 ? r : call_reply_empty(call);
}

static int method_get_session(Call *call, PlugindError *error) {
        g_autofree char *path = NULL;
        Session *session;
        const char *id;
        int r = sd_bus_message_read_basic(call->message, 's', &id);

        if (r >= 0)
                r = host_get(call->connection->bus->host, id, &session, error);
        if (r < 0)
                return r;
        path = session_path(session);
        return reply_path(call, path);
}

typedef struct Listing {
        sd_bus_message *reply;
        const char *runtime;
        int r;
} Listing;

static void list_session(Session *session, void *userdata) {
        Listing *listing = userdata;
        g_autofree char *path = session_path(session);
        const Manifest *manifest = session->manifest;

        if (listing->r < 0)
                return;
        listing->r = sd_bus_message_append(
                listing->reply, "(soa{sv})", session->id, path, 11,                                                                 //
                "name", "s", session_name(session), "description", "s", manifest->description ? manifest->description : "",         //
                "type", "s", session_supervised(session) ? "process" : "external", "dialect", "s", manifest->dialect->name,         //
                "runtime", "s", session_supervised(session) && listing->runtime ? listing->runtime : "none",                        //
                "desired-state", "s", session_state_to_string(session->desired_active ? SESSION_ACTIVE : SESSION_INACTIVE),         //
                "reported-state", "s", session_state_to_string(session->state), "state-changed-at", "t", session->state_changed_at, //
                "main-pid", "u", (uint32_t) session->main_pid, "restarts", "u", (uint32_t) session->restarts,                       //
                "error-message", "s", session->failure.message ? session->failure.message : "");
}

static int method_list_sessions(Call *call, PlugindError *error) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *reply = NULL;
        Bus *bus = call->connection->bus;
        Listing listing = { .runtime = bus->config.runtime };
        int r = options_read(call->message, NULL, NULL, error);

        if (r >= 0)
                r = sd_bus_message_new_method_return(call->message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(soa{sv})");
        if (r < 0)
                return r;
        listing.reply = reply;
        host_foreach(bus->host, list_session, &listing);
        if (listing.r < 0)
                return listing.r;
        r = sd_bus_message_close_container(reply);
        return r < 0 ? r : call_reply(call, reply, host_n_sessions(bus->host) * 512);
}

static const Option reload_options[] = { { "unload-removed", OPTION_BOOL, 0 }, {} };

static int method_reload(Call *call, PlugindError *error) {
        bool unload_removed = false;
        int r = options_read(call->message, reload_options, &unload_removed, error);

        if (r >= 0)
                r = host_reload(call->connection->bus->host, unload_removed, error);
        return r < 0 ? r : call_reply_empty(call);
}

const CallMethod host_methods[] = {
        { "Load", method_load },
        { "Unload", method_unload },
        { "Connect", method_connect },
        { "GetSession", method_get_session },
        { "ListSessions", method_list_sessions },
        { "GetStatistics", method_get_statistics },
        { "Reload", method_reload },
        {},
};

static int get_version(sd_bus *sd_bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata,
                       sd_bus_error *error) {
        return sd_bus_message_append_basic(reply, 's', PROJECT_VERSION);
}

static int get_features(sd_bus *sd_bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                        void *userdata, sd_bus_error *error) {
        const Connection *connection = userdata;
        const Store *store = connection->bus->config.store;
        const char *features[] = { "history", "log-lines", "lsp", "mcp", "statistics", NULL, NULL };

        if (store)
                features[G_N_ELEMENTS(features) - 2] = "hand-over";
        return sd_bus_message_append_strv(reply, (char **) features);
}

static int get_started_at(sd_bus *sd_bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                          void *userdata, sd_bus_error *error) {
        const Connection *connection = userdata;

        return sd_bus_message_append_basic(reply, 't', &connection->bus->started_at);
}

static int get_hand_overs(sd_bus *sd_bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                          void *userdata, sd_bus_error *error) {
        const Connection *connection = userdata;
        const Store *store = connection->bus->config.store;
        uint32_t n = store ? store_epoch(store) - 1 : 0;

        return sd_bus_message_append_basic(reply, 'u', &n);
}

static const char *runtime(void *userdata) {
        Connection *connection = userdata;

        return connection->bus->config.runtime ? connection->bus->config.runtime : "none";
}

static int get_runtime(sd_bus *sd_bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata,
                       sd_bus_error *error) {
        return sd_bus_message_append_basic(reply, 's', runtime(userdata));
}

static int get_runtimes(sd_bus *sd_bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                        void *userdata, sd_bus_error *error) {
        const Connection *connection = userdata;

        return sd_bus_message_append_strv(reply, (char **) connection->bus->config.runtimes);
}

static int get_sessions(sd_bus *sd_bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                        void *userdata, sd_bus_error *error) {
        Connection *connection = userdata;
        uint32_t n = connection->bus->host ? host_n_sessions(connection->bus->host) : 0;

        return sd_bus_message_append_basic(reply, 'u', &n);
}

static int get_limits(sd_bus *sd_bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata,
                      sd_bus_error *error) {
        Connection *connection = userdata;
        Quota *quota = connection->bus->host ? host_quota(connection->bus->host) : NULL;
        int r = sd_bus_message_open_container(reply, 'a', "{st}");

        for (QuotaResource i = 0; r >= 0 && quota && i < _QUOTA_MAX; i++)
                r = sd_bus_message_append(reply, "{st}", quota_resource_name(i), quota_limit(quota, i));
        if (r >= 0)
                r = sd_bus_message_append(reply, "{st}{st}{st}", "send-bytes", (uint64_t) SEND_MAX, "duplex-bytes",
                                          (uint64_t) DUPLEX_MESSAGE_MAX, "method-bytes", (uint64_t) METHOD_MAX);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* Who may is decided in call.c: sd-bus' own check would ask the bus for each call. */
#define METHOD(member, in, in_names, out, out_names)                                                                                       \
        SD_BUS_METHOD_WITH_NAMES(member, in, in_names, out, out_names, call_on_host, SD_BUS_VTABLE_UNPRIVILEGED)
#define CONST_PROPERTY(member, signature, getter) SD_BUS_PROPERTY(member, signature, getter, 0, SD_BUS_VTABLE_PROPERTY_CONST)

/* clang-format off */
const sd_bus_vtable host_vtable[] = {
        SD_BUS_VTABLE_START(0),
        METHOD("Load", "sa{sv}", SD_BUS_PARAM(source) SD_BUS_PARAM(options), "o", SD_BUS_PARAM(session)),
        METHOD("Unload", "sa{sv}", SD_BUS_PARAM(id) SD_BUS_PARAM(options), "", ),
        METHOD("Connect", "sha{sv}", SD_BUS_PARAM(id) SD_BUS_PARAM(duplex) SD_BUS_PARAM(options), "", ),
        METHOD("GetSession", "s", SD_BUS_PARAM(id), "o", SD_BUS_PARAM(session)),
        METHOD("ListSessions", "a{sv}", SD_BUS_PARAM(options), "a(soa{sv})", SD_BUS_PARAM(sessions)),
        METHOD("GetStatistics", "a{sv}", SD_BUS_PARAM(options), "a(sa{sv})", SD_BUS_PARAM(statistics)),
        METHOD("Reload", "a{sv}", SD_BUS_PARAM(options), "", ),
        SD_BUS_SIGNAL_WITH_NAMES("SessionNew", "so", SD_BUS_PARAM(id) SD_BUS_PARAM(session), 0),
        SD_BUS_SIGNAL_WITH_NAMES("SessionRemoved", "sos", SD_BUS_PARAM(id) SD_BUS_PARAM(session) SD_BUS_PARAM(reason), 0),
        CONST_PROPERTY("Version", "s", get_version),
        CONST_PROPERTY("Features", "as", get_features),
        CONST_PROPERTY("RuntimeProvider", "s", get_runtime),
        CONST_PROPERTY("RuntimeProviders", "as", get_runtimes),
        SD_BUS_PROPERTY("Sessions", "u", get_sessions, 0, 0),
        CONST_PROPERTY("StartedAt", "t", get_started_at),
        CONST_PROPERTY("HandOvers", "u", get_hand_overs),
        CONST_PROPERTY("Limits", "a{st}", get_limits),
        SD_BUS_VTABLE_END
};
