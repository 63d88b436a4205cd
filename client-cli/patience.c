/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "patience.h"

#include "bus-client.h"

#include <errno.h>
#include <string.h>

#define PATIENCE_USEC USEC_PER_SEC

#define BUS_DRIVER "org.freedesktop.DBus"
#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define UNIT_PATH "/org/freedesktop/systemd1/unit/plugind_2eservice"

static uint64_t now_usec(void) {
        return (uint64_t) g_get_monotonic_time();
}

static void set_due(Patience *patience, uint64_t usec) {
        patience->due_usec = usec;
        if (patience->timer && usec != USEC_INFINITY && sd_event_source_set_time(patience->timer, usec) >= 0)
                (void) sd_event_source_set_enabled(patience->timer, SD_EVENT_ONESHOT);
}

/* One question at a time: what an earlier one is answered does not matter any more. */
static void ask(Patience *patience, sd_bus_message *message, sd_bus_message_handler_t answered) {
        patience->question = sd_bus_slot_unref(patience->question);
        (void) sd_bus_message_set_auto_start(message, false);
        (void) sd_bus_call_async(patience->ctl->bus, &patience->question, message, answered, patience, 0);
}

static int on_status_text(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        Patience *patience = userdata;
        const char *text;

        if (sd_bus_message_is_method_error(reply, NULL) || sd_bus_message_read(reply, "v", "s", &text) < 0 || *text == '\0')
                return 0;
        complain("waiting; plugind.service says: %s", text);
        patience->match = sd_bus_slot_unref(patience->match); /* once is enough */
        set_due(patience, USEC_INFINITY);
        return 0;
}

static void ask_systemd(Patience *patience) {
        g_autoptr(sd_bus_message) message = NULL;

        if (sd_bus_message_new_method_call(patience->ctl->bus, &message, SYSTEMD_NAME, UNIT_PATH, BUS_DRIVER ".Properties", "Get") >= 0 &&
            sd_bus_message_append(message, "ss", SYSTEMD_NAME ".Service", "StatusText") >= 0)
                ask(patience, message, on_status_text);
}

static int on_owner(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        if (sd_bus_message_is_method_error(reply, BUS_DRIVER ".Error.NameHasNoOwner"))
                ask_systemd(userdata);
        return 0;
}

/* It may come and go several times. */
static int on_owner_changed(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        const char *name, *old, *new;

        if (sd_bus_message_read(message, "sss", &name, &old, &new) >= 0 && *new == '\0')
                set_due(userdata, now_usec() + PATIENCE_USEC);
        return 0;
}

static int on_match_installed(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        return 0; /* without it there is one look, after a second */
}

static void look(Patience *patience) {
        g_autoptr(sd_bus_message) message = NULL;
        sd_bus *bus = patience->ctl->bus;

        patience->due_usec = USEC_INFINITY;
        if (!patience->match)
                (void) sd_bus_add_match_async(bus, &patience->match,
                                              "type='signal',sender='" BUS_DRIVER "',member='NameOwnerChanged',arg0='" HOST_NAME "'",
                                              on_owner_changed, on_match_installed, patience);
        if (sd_bus_message_new_method_call(bus, &message, BUS_DRIVER, "/org/freedesktop/DBus", BUS_DRIVER, "GetNameOwner") >= 0 &&
            sd_bus_message_append(message, "s", HOST_NAME) >= 0)
                ask(patience, message, on_owner);
}

static int on_time(sd_event_source *s, uint64_t usec, void *userdata) {
        look(userdata);
        return 0;
}

void patience_begin(Patience *patience, Ctl *ctl) {
        *patience = (Patience){ .ctl = ctl, .due_usec = ctl->quiet ? USEC_INFINITY : now_usec() + PATIENCE_USEC };
}

void patience_end(Patience *patience) {
        patience->match = sd_bus_slot_unref(patience->match);
        patience->question = sd_bus_slot_unref(patience->question);
        patience->timer = sd_event_source_disable_unref(patience->timer);
}

int patience_attach(Patience *patience, sd_event *event) {
        if (patience->due_usec == USEC_INFINITY)
                return 0;
        return sd_event_add_time(event, &patience->timer, CLOCK_MONOTONIC, patience->due_usec, 0, on_time, patience);
}

int patience_wait(Patience *patience) {
        sd_bus *bus = patience->ctl->bus;
        int r = sd_bus_process(bus, NULL);

        if (r != 0)
                return r;
        uint64_t now = now_usec();
        if (patience->due_usec <= now) {
                look(patience);
                return 1;
        }
        r = sd_bus_wait(bus, patience->due_usec == USEC_INFINITY ? UINT64_MAX : patience->due_usec - now);
        return r == -EINTR ? 0 : r;
}
