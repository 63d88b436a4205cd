/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/call.h"

#include "basic/log.h"
#include "bus/authorize.h"
#include "bus/bus-errors.h"

#include <errno.h>

static const CallMethod *method_find(const CallMethod *methods, const char *member) {
        while (methods->member && !g_str_equal(methods->member, member))
                methods++;
        return methods;
}

/* Who is answered may count on it, whatever becomes of us. */
static void before_answer(const Call *call) {
        if (call->connection->bus->host)
                host_flush(call->connection->bus->host);
}

static int call_run(Call *call, const char *interface, sd_bus_error *ret) {
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;
        const char *member = sd_bus_message_get_member(call->message);
        const CallMethod *methods = call->session ? session_methods : host_methods;
        bool anybody = authorize_right(interface, member) == RIGHT_READ;
        int r;

        r = callers_admit(call->connection->callers, call->message, anybody, &call->caller, &error);
        if (r == 0)
                return 1; /* held */
        if (r > 0 && !anybody)
                r = authorize_change(call->caller, call->connection->bus->config.allowed, interface, member, &error);
        if (r >= 0)
                r = method_find(methods, member)->handler(call, &error);
        if (r >= 0)
                return 1;
        before_answer(call);
        return bus_error_set(ret, r, &error);
}

static int not_serving(sd_bus_error *ret) {
        return sd_bus_error_set(ret, SD_BUS_ERROR_FAILED, "plugind is shutting down");
}

int call_on_host(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Call call = { .connection = userdata, .message = message };

        if (!call.connection->bus->host)
                return not_serving(error);
        return call_run(&call, HOST_INTERFACE, error);
}

int call_on_session(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Call call = { .connection = connection_current(sd_bus_message_get_bus(message)), .message = message, .session = userdata };

        return call_run(&call, SESSION_INTERFACE, error);
}

static void reply_error(sd_bus_message *message, const sd_bus_error *error) {
        int r = sd_bus_reply_method_error(message, error);

        if (r < 0 && r != -ENOTCONN && r != -ECONNRESET) { /* the end of the connection is told, or not worth a word, elsewhere */
                errno = -r;
                log_warning("Cannot answer %s of %s: %m", sd_bus_message_get_member(message),
                            sd_bus_message_get_sender(message) ?: "a direct connection");
        }
}

void call_dispatch(Connection *connection, sd_bus_message *message) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *path = sd_bus_message_get_path(message);
        Call call = { .connection = connection, .message = message };
        int r;

        if (g_str_equal(path, HOST_PATH))
                r = call_run(&call, HOST_INTERFACE, &error);
        else if ((call.session = session_at(connection->bus, path)))
                r = call_run(&call, SESSION_INTERFACE, &error);
        else
                r = sd_bus_error_setf(&error, SD_BUS_ERROR_UNKNOWN_OBJECT, "Unknown object '%s'.", path);
        if (r < 0)
                reply_error(message, &error);
        sd_bus_error_free(&error);
}

void call_refuse(sd_bus_message *message, const PlugindError *error) {
        sd_bus_error e = SD_BUS_ERROR_NULL;

        (void) bus_error_set(&e, -EIO, error);
        reply_error(message, &e);
        sd_bus_error_free(&e);
}

Call *call_keep(const Call *call) {
        Call *kept = g_new0(Call, 1);

        kept->connection = connection_ref(call->connection);
        kept->message = sd_bus_message_ref(call->message);
        kept->connection->bus->n_kept++;
        return kept;
}

Call *call_free(Call *call) {
        if (!call)
                return NULL;
        call->connection->bus->n_kept--;
        sd_bus_message_unref(call->message);
        connection_unref(call->connection);
        g_free(call);
        return NULL;
}

int call_reply(Call *call, sd_bus_message *reply, size_t size) {
        SignalQueue *signals = call->connection->bus->signals;
        int r;

        if (call->connection->ended)
                return 0;
        before_answer(call);
        signal_queue_flush(signals, sd_bus_message_get_path(call->message));
        r = sd_bus_send(call->connection->sd_bus, reply, NULL);
        signal_queue_sent(signals, call->connection, size);
        return r;
}

int call_reply_empty(Call *call) {
        sd_bus_message *reply = NULL;
        int r = sd_bus_message_new_method_return(call->message, &reply);

        if (r >= 0)
                r = call_reply(call, reply, 0);
        sd_bus_message_unref(reply);
        return r;
}

void call_fail(Call *call, const PlugindError *error) {
        if (call->connection->ended)
                return;
        before_answer(call);
        signal_queue_flush(call->connection->bus->signals, sd_bus_message_get_path(call->message));
        call_refuse(call->message, error);
        signal_queue_sent(call->connection->bus->signals, call->connection, 0);
}

bool call_vanishes(const Call *call) {
        const Callers *callers = call->connection->callers;

        return call->connection->ended || (callers && callers_vanishing(callers, sd_bus_message_get_sender(call->message)));
}

void call_done(const PlugindError *error, void *userdata) {
        g_autoptr(Call) call = userdata;

        if (call_vanishes(call))
                return;
        if (error)
                call_fail(call, error);
        else
                (void) call_reply_empty(call);
}
