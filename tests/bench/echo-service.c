/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bare service that Send is measured against: one hop, and nothing done with what comes. */
#include "world.h"

static int echo(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *text;

        must(sd_bus_message_read_basic(message, 's', &text));
        return sd_bus_reply_method_return(message, "s", text);
}

static int echo_bytes(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        sd_bus_message *reply = NULL;
        const void *data;
        size_t size;
        int r;

        must(sd_bus_message_read_array(message, 'y', &data, &size));
        must(sd_bus_message_new_method_return(message, &reply));
        must(sd_bus_message_append_array(reply, 'y', data, size));
        r = sd_bus_send(NULL, reply, NULL);
        sd_bus_message_unref(reply);
        return r;
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Echo", "s", "s", echo, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("EchoBytes", "ay", "ay", echo_bytes, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

int main(void) {
        sd_event *event = NULL;
        sd_bus *bus = NULL;

        must(sd_event_new(&event));
        must(sd_bus_open_user(&bus));
        must(sd_bus_attach_event(bus, event, 0));
        must(sd_bus_add_object_vtable(bus, NULL, BARE_PATH, BARE, vtable, NULL));
        must(sd_bus_request_name(bus, BARE, 0));
        return sd_event_loop(event);
}
