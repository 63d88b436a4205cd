/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* monitor */
#include "bus-client.h"
#include "signals.h"
#include "terminal.h"

#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>

/* While plugind is away, systemd is asked so often whether it comes back. */
#define LOOK_USEC USEC_PER_SEC

typedef struct Monitor {
        Ctl *ctl;
        const char *id; /* NULL: all sessions */
        char *path, *owner;
        bool comes_back; /* it hands over what it hosts when it is restarted */
        sd_event *event;
        sd_event_source *look; /* NULL: it never was away */
        int status;
} Monitor;

static int monitor_done(Monitor *monitor, int status) {
        monitor->status = status;
        return sd_event_exit(monitor->event, 0);
}

static int on_interrupt(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        return monitor_done(userdata, EXIT_OK);
}

static int on_subscribed(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Monitor *monitor = userdata;

        if (!sd_bus_message_is_method_error(reply, NULL))
                return 0;
        return monitor_done(monitor, ctl_report(monitor->ctl, monitor->id, sd_bus_message_get_error(reply), 0));
}

/* At the start, and again when the session has been loaded anew. */
static int subscribe(Monitor *monitor) {
        g_autoptr(sd_bus_message) message = NULL;
        int status = ctl_new_call(monitor->ctl, monitor->path, SESSION_INTERFACE, "Subscribe", &message);

        if (status != EXIT_OK)
                return status;
        int r = sd_bus_message_append(message, "asa{sv}", 0, 0);
        if (r >= 0)
                r = sd_bus_call_async(monitor->ctl->bus, NULL, message, on_subscribed, monitor, ctl_timeout(monitor->ctl, CALL_QUICK));
        return r < 0 ? ctl_report(monitor->ctl, monitor->id, NULL, r) : EXIT_OK;
}

static void print_signal(Monitor *monitor, sd_bus_message *message, const char *id) {
        uint64_t now = (uint64_t) g_get_real_time();
        g_autofree char *line = monitor->ctl->json == JSON_OFF ? signal_to_text(message, id, now) : signal_to_json(message, id, now);

        if (!line)
                return;
        if (monitor->ctl->json == JSON_PRETTY)
                print_json_text(JSON_PRETTY, line);
        else
                printf("%s\n", line);
        fflush(stdout);
}

/* The id that a signal is about: of its object, or, for the host's, its first argument. */
static char *signal_id(sd_bus_message *message) {
        const char *path = sd_bus_message_get_path(message), *id;

        if (g_strcmp0(path, HOST_PATH) != 0)
                return session_path_to_id(path);
        return sd_bus_message_read(message, "s", &id) > 0 ? g_strdup(id) : NULL;
}

static int on_plugind_signal(Monitor *monitor, sd_bus_message *message) {
        g_autofree char *id = signal_id(message);

        if (!id || (monitor->id && strcmp(id, monitor->id) != 0))
                return 0;
        print_signal(monitor, message, id);
        if (!monitor->id || !sd_bus_message_is_signal(message, HOST_INTERFACE, "SessionNew"))
                return 0;
        int status = subscribe(monitor);
        return status == EXIT_OK ? 0 : monitor_done(monitor, status);
}

static int owner_is_gone(Monitor *monitor) {
        complain("plugind has left the bus");
        return monitor_done(monitor, EXIT_FAILED);
}

static int on_look(sd_event_source *s, uint64_t usec, void *userdata);

static int look_later(Monitor *monitor) {
        int r = monitor->look ? sd_event_source_set_time_relative(monitor->look, LOOK_USEC)
                              : sd_event_add_time_relative(monitor->event, &monitor->look, CLOCK_MONOTONIC, LOOK_USEC, 0, on_look, monitor);

        if (r >= 0)
                r = sd_event_source_set_enabled(monitor->look, SD_EVENT_ONESHOT);
        return r < 0 ? owner_is_gone(monitor) : 0;
}

static int on_look(sd_event_source *s, uint64_t usec, void *userdata) {
        g_autofree char *state = NULL;
        Monitor *monitor = userdata;
        int r = sd_bus_get_property_string(monitor->ctl->bus, "org.freedesktop.systemd1",
                                           "/org/freedesktop/systemd1/unit/plugind_2eservice", "org.freedesktop.systemd1.Unit",
                                           "ActiveState", NULL, &state);

        if (r < 0 || strcmp(state, "inactive") == 0 || strcmp(state, "failed") == 0)
                return owner_is_gone(monitor);
        return look_later(monitor);
}

/* What we subscribed to it knows, unless it is another one than was to be expected. */
static int owner_is_back(Monitor *monitor, const char *owner) {
        g_free(monitor->owner);
        monitor->owner = g_strdup(owner);
        if (monitor->look)
                (void) sd_event_source_set_enabled(monitor->look, SD_EVENT_OFF);
        int status = monitor->id ? subscribe(monitor) : EXIT_OK;
        return status == EXIT_OK ? 0 : monitor_done(monitor, status);
}

static int on_owner_changed(Monitor *monitor, sd_bus_message *message) {
        const char *name, *old, *new;

        if (sd_bus_message_read(message, "sss", &name, &old, &new) < 0 || strcmp(name, HOST_NAME) != 0 ||
            strcmp(new, monitor->owner) == 0) /* it came because we asked for it */
                return 0;
        if (!monitor->comes_back)
                return owner_is_gone(monitor);
        return *new ? owner_is_back(monitor, new) : look_later(monitor);
}

static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        const char *interface = sd_bus_message_get_interface(message), *sender = sd_bus_message_get_sender(message);
        Monitor *monitor = userdata;

        if (sd_bus_message_is_signal(message, "org.freedesktop.DBus.Local", "Disconnected")) {
                complain("the bus has closed the connection");
                return monitor_done(monitor, EXIT_FAILED);
        }
        if (sd_bus_message_is_signal(message, "org.freedesktop.DBus", "NameOwnerChanged") && g_strcmp0(sender, "org.freedesktop.DBus") == 0)
                return on_owner_changed(monitor, message);
        if (sd_bus_message_is_signal(message, NULL, NULL) && g_strcmp0(sender, monitor->owner) == 0 && interface &&
            g_str_has_prefix(interface, HOST_NAME "."))
                return on_plugind_signal(monitor, message);
        return 0;
}

/* The bus is asked by hand: matching is on_message()'s, which sees what is sent to us alone as well. */
static int add_match(Monitor *monitor, const char *match) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int r = sd_bus_call_method(monitor->ctl->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch",
                                   &error, NULL, "s", match);

        return r < 0 ? ctl_report(monitor->ctl, NULL, &error, r) : EXIT_OK;
}

static int add_matches(Monitor *monitor) {
        g_autofree char *sessions = g_strconcat("type='signal',sender='" HOST_NAME "',interface='" SESSION_INTERFACE "'",
                                                monitor->path ? ",path='" : "", monitor->path ?: "", monitor->path ? "'" : "", NULL);
        int status = add_match(monitor, "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" HOST_NAME "'");

        if (status == EXIT_OK)
                status = add_match(monitor, "type='signal',sender='" HOST_NAME "',interface='" HOST_INTERFACE "'");
        return status == EXIT_OK ? add_match(monitor, sessions) : status;
}

/* Signals that come meanwhile are kept for the loop. */
static int get_owner(Monitor *monitor) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autoptr(sd_bus_message) reply = NULL;
        int r = sd_bus_call_method(monitor->ctl->bus, HOST_NAME, HOST_PATH, "org.freedesktop.DBus.Peer", "Ping", &error, &reply, NULL);

        if (r < 0)
                return ctl_report(monitor->ctl, NULL, &error, r);
        monitor->owner = g_strdup(sd_bus_message_get_sender(reply));
        return EXIT_OK;
}

/* The one that answers may take its time, and pluginctl says why. */
static int wait_for_owner(Monitor *monitor) {
        g_autoptr(JsonObject) host = NULL;
        int status = ctl_get_properties(monitor->ctl, HOST_PATH, HOST_INTERFACE, NULL, &host);

        monitor->comes_back = status == EXIT_OK && dict_has_string(host, "Features", "hand-over");
        return status;
}

static int monitor_start(Monitor *monitor) {
        int status = wait_for_owner(monitor);

        if (status == EXIT_OK)
                status = add_matches(monitor);
        if (status == EXIT_OK)
                status = get_owner(monitor);
        if (status == EXIT_OK)
                status = ctl_new_event(monitor->ctl, on_interrupt, monitor, &monitor->event);
        if (status != EXIT_OK)
                return status;
        int r = sd_bus_add_filter(monitor->ctl->bus, NULL, on_message, monitor);
        if (r < 0)
                return ctl_report(monitor->ctl, NULL, NULL, r);
        return monitor->id ? subscribe(monitor) : EXIT_OK;
}

int verb_monitor(Ctl *ctl, char **args) {
        g_autofree char *path = args[0] ? session_to_path(args[0]) : NULL;
        Monitor monitor = { .ctl = ctl, .id = args[0], .path = path, .status = EXIT_FAILED };

        if (args[0] && !path)
                return EXIT_NO_SUCH;
        int status = monitor_start(&monitor);
        if (status == EXIT_OK) {
                int r = sd_event_loop(monitor.event);
                status = r < 0 ? ctl_report(ctl, NULL, NULL, r) : monitor.status;
        }
        ctl->bus = sd_bus_close_unref(ctl->bus);
        sd_event_source_unref(monitor.look);
        sd_event_unref(monitor.event);
        g_free(monitor.owner);
        return status;
}
