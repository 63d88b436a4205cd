/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/systemd-calls.h"

#include "basic/list.h"
#include "runtime/systemd-message.h"

#include <glib.h>

#define PENDING_MAX 64

struct SystemdCalls {
        sd_bus *bus;
        List waiting, pending; /* of SystemdCall.calls */
        unsigned n_pending;
};

struct SystemdCall {
        SystemdCalls *owner;
        ListNode calls;
        sd_bus_message *message; /* until it was sent */
        sd_bus_slot *slot;
        sd_bus_message_handler_t answered;
        void *userdata;
        bool unheard; /* no answer is asked for, so that it counts for nothing */
};

SystemdCalls *systemd_calls_new(sd_bus *bus) {
        SystemdCalls *calls = g_new0(SystemdCalls, 1);

        calls->bus = sd_bus_ref(bus);
        list_init(&calls->waiting);
        list_init(&calls->pending);
        return calls;
}

static void call_free(SystemdCall *call) {
        list_unlink(&call->calls);
        sd_bus_message_unref(call->message);
        sd_bus_slot_unref(call->slot);
        g_free(call);
}

static void send_waiting(SystemdCalls *calls);

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        SystemdCall *call = userdata;
        SystemdCalls *calls = call->owner;
        sd_bus_message_handler_t answered = call->answered;
        void *answered_userdata = call->userdata;

        calls->n_pending--;
        call_free(call);
        send_waiting(calls);
        return answered ? answered(reply, answered_userdata, error) : 0;
}

/* Frees the call if it is over with that, or failed. */
static int call_send(SystemdCall *call) {
        SystemdCalls *calls = call->owner;
        int r;

        list_unlink(&call->calls);
        if (call->unheard) {
                r = sd_bus_send(calls->bus, call->message, NULL);
                call_free(call);
                return r;
        }
        r = sd_bus_call_async(calls->bus, &call->slot, call->message, on_answer, call, 0);
        if (r < 0) {
                call_free(call);
                return r;
        }
        call->message = sd_bus_message_unref(call->message);
        list_append(&calls->pending, &call->calls);
        calls->n_pending++;
        return 0;
}

/* What cannot be sent any more is dropped: then the connection is gone, and whoever has units hears of that. */
static void send_waiting(SystemdCalls *calls) {
        SystemdCall *call;

        while (calls->n_pending < PENDING_MAX && (call = list_first(&calls->waiting, SystemdCall, calls)))
                (void) call_send(call);
}

SystemdCalls *systemd_calls_free(SystemdCalls *calls) {
        SystemdCall *call;

        if (!calls)
                return NULL;
        while ((call = list_first(&calls->waiting, SystemdCall, calls))) {
                if (!call->unheard && sd_bus_message_set_expect_reply(call->message, false) >= 0)
                        call->unheard = true;
                (void) call_send(call);
        }
        while ((call = list_first(&calls->pending, SystemdCall, calls)))
                call_free(call);
        sd_bus_unref(calls->bus);
        g_free(calls);
        return NULL;
}

int systemd_calls_send(SystemdCalls *calls, sd_bus_message *message, sd_bus_message_handler_t answered, void *userdata, SystemdCall **ret) {
        SystemdCall *call = g_new(SystemdCall, 1);
        int r = 0;

        *call = (SystemdCall){
                .owner = calls,
                .message = sd_bus_message_ref(message),
                .answered = answered,
                .userdata = userdata,
                .unheard = sd_bus_message_get_expect_reply(message) == 0,
        };
        if (!list_empty(&calls->waiting) || calls->n_pending >= PENDING_MAX)
                list_append(&calls->waiting, &call->calls);
        else
                r = call_send(call);
        if (r >= 0 && ret)
                *ret = call;
        return r < 0 ? r : 0;
}

int systemd_calls_sendv(SystemdCalls *calls, const char *path, const char *interface, const char *member, sd_bus_message_handler_t answered,
                        void *userdata, SystemdCall **ret, const char *types, va_list args) {
        sd_bus_message *m = NULL;
        int r = sd_bus_message_new_method_call(calls->bus, &m, SYSTEMD_NAME, path, interface, member);

        if (r >= 0)
                r = sd_bus_message_appendv(m, types, args);
        if (r >= 0 && !answered)
                r = sd_bus_message_set_expect_reply(m, false);
        if (r >= 0)
                r = systemd_calls_send(calls, m, answered, userdata, ret);
        sd_bus_message_unref(m);
        return r;
}

SystemdCall *systemd_call_forget(SystemdCall *call) {
        if (call)
                call->answered = NULL;
        return NULL;
}
