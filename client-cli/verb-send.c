/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* send, notify */
#include "bus-client.h"
#include "patience.h"
#include "signals.h"
#include "terminal.h"

#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>

#define REQUEST_ID "pluginctl"
#define TIMEOUT_MARGIN (5 * USEC_PER_SEC) /* plugind answers that the time is over before the bus call gives up */
#define CANCEL_WAITS (2 * USEC_PER_SEC)

typedef struct Send {
        Ctl *ctl;
        const char *id;
        char *path, *owner;
        sd_event *event;
        Patience patience;
        int interrupted; /* the signal */
        int status;
} Send;

/* PARAMS of the command line; NULL: told. "" is none. */
static char *read_params(const char *argument) {
        char *params = argument ? read_argument(argument, "params") : g_strdup("");
        const char *end;

        if (params && !g_utf8_validate(params, -1, &end)) {
                complain("params: byte %zu is not UTF-8", (size_t) (end - params) + 1);
                g_clear_pointer(&params, g_free);
        }
        return params;
}

static void print_result(const Ctl *ctl, const char *result) {
        JsonMode mode = ctl->json != JSON_OFF ? ctl->json : terminal_is_stdout() ? JSON_PRETTY : JSON_SHORT;

        print_json_text(mode, result);
}

static int send_done(Send *send, int status) {
        send->status = send->interrupted ? 128 + send->interrupted : status;
        return sd_event_exit(send->event, 0);
}

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Send *send = userdata;
        const char *result;

        if (sd_bus_message_is_method_error(reply, NULL)) {
                if (!send->interrupted)
                        return send_done(send, ctl_report(send->ctl, send->id, sd_bus_message_get_error(reply), 0));
                if (!send->ctl->quiet)
                        complain("%s: cancelled", send->id);
                return send_done(send, EXIT_FAILED);
        }
        int r = sd_bus_message_read(reply, "s", &result);
        if (r < 0)
                return send_done(send, ctl_report(send->ctl, send->id, NULL, r));
        print_result(send->ctl, result);
        return send_done(send, EXIT_OK);
}

/* Progress and whatever else the plugin says about this request, while it runs. */
static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        const char *request, *method, *params;
        Send *send = userdata;

        if (!sd_bus_message_is_signal(message, SESSION_INTERFACE, "Notification") ||
            g_strcmp0(sd_bus_message_get_sender(message), send->owner) != 0 || g_strcmp0(sd_bus_message_get_path(message), send->path) != 0)
                return 0;
        if (sd_bus_message_read(message, "sss", &request, &method, &params) < 0 || strcmp(request, REQUEST_ID) != 0)
                return 0;
        if (!send->ctl->quiet) {
                g_autofree char *text = notification_to_text(method, params);
                fprintf(stderr, "%s\n", text);
        }
        return 0;
}

static int on_cancel_overdue(sd_event_source *s, uint64_t usec, void *userdata) {
        Send *send = userdata;

        complain("%s: no answer to the cancellation; leaving, which cancels it too", send->id);
        return send_done(send, EXIT_FAILED);
}

/* The first Ctrl-C cancels, the second leaves. */
static int on_interrupt(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        g_autoptr(sd_bus_message) message = NULL;
        Send *send = userdata;
        bool again = send->interrupted > 0;

        send->interrupted = (int) si->ssi_signo;
        if (again || ctl_new_call(send->ctl, send->path, SESSION_INTERFACE, "Cancel", &message) != EXIT_OK)
                return send_done(send, EXIT_FAILED);
        int r = sd_bus_message_append(message, "sa{sv}", REQUEST_ID, 0);
        if (r >= 0)
                r = sd_bus_message_set_expect_reply(message, false);
        if (r >= 0)
                r = sd_bus_send(send->ctl->bus, message, NULL);
        if (r >= 0)
                r = sd_event_add_time_relative(send->event, NULL, CLOCK_MONOTONIC, CANCEL_WAITS, 0, on_cancel_overdue, send);
        return r < 0 ? send_done(send, EXIT_FAILED) : 0;
}

static int append_send_options(const Ctl *ctl, sd_bus_message *m) {
        int r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");

        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}", "id", "s", REQUEST_ID);
        if (r >= 0 && ctl->timeout_usec > 0)
                r = sd_bus_message_append(m, "{sv}", "timeout-usec", "t", ctl->timeout_usec);
        if (r >= 0 && ctl->envelope)
                r = sd_bus_message_append(m, "{sv}", "envelope", "b", true);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* Without --timeout= the manifest's counts, which only plugind knows: it always answers, if only when the plugin is late. */
static uint64_t call_timeout(const Ctl *ctl) {
        bool bounded = ctl->timeout_usec > 0 && ctl->timeout_usec < USEC_INFINITY - TIMEOUT_MARGIN;

        return bounded ? ctl->timeout_usec + TIMEOUT_MARGIN : USEC_INFINITY;
}

static int send_start(Send *send, const char *method, const char *params) {
        g_autoptr(sd_bus_message) message = NULL;
        Ctl *ctl = send->ctl;
        int status = ctl_get_owner(ctl, &send->owner);

        if (status == EXIT_OK)
                status = ctl_new_event(ctl, on_interrupt, send, &send->event);
        if (status == EXIT_OK)
                status = ctl_new_call(ctl, send->path, SESSION_INTERFACE, "Send", &message);
        if (status != EXIT_OK)
                return status;

        int r = sd_bus_add_filter(ctl->bus, NULL, on_message, send);
        if (r >= 0)
                r = sd_bus_message_append(message, "ss", method, params);
        if (r >= 0)
                r = append_send_options(ctl, message);
        if (r >= 0)
                r = sd_bus_call_async(ctl->bus, NULL, message, on_answer, send, call_timeout(ctl));
        patience_begin(&send->patience, ctl);
        if (r >= 0)
                r = patience_attach(&send->patience, send->event);
        return r < 0 ? ctl_report(ctl, send->id, NULL, r) : EXIT_OK;
}

int verb_send(Ctl *ctl, char **args) {
        g_autofree char *path = session_to_path(args[0]), *params = path ? read_params(args[2]) : NULL;
        Send send = { .ctl = ctl, .id = args[0], .path = path, .status = EXIT_FAILED };

        if (!params)
                return path ? EXIT_FAILED : EXIT_NO_SUCH;
        int status = send_start(&send, args[1], params);
        if (status == EXIT_OK) {
                int r = sd_event_loop(send.event);
                status = r < 0 ? ctl_report(ctl, send.id, NULL, r) : send.status;
        }
        patience_end(&send.patience);
        ctl->bus = sd_bus_close_unref(ctl->bus); /* a request still in flight is cancelled by our leaving; nothing calls back into `send` */
        sd_event_unref(send.event);
        g_free(send.owner);
        return status;
}

int verb_notify(Ctl *ctl, char **args) {
        g_autofree char *path = session_to_path(args[0]), *params = path ? read_params(args[2]) : NULL;
        g_autoptr(sd_bus_message) message = NULL;

        if (!params)
                return path ? EXIT_FAILED : EXIT_NO_SUCH;
        int r = ctl_new_call(ctl, path, SESSION_INTERFACE, "Notify", &message);
        if (r != EXIT_OK)
                return r;
        r = sd_bus_message_append(message, "ss", args[1], params);
        if (r >= 0)
                r = append_options(message, NULL);
        return r < 0 ? ctl_report(ctl, args[0], NULL, r) : ctl_call(ctl, message, CALL_WAITS, args[0], NULL);
}
