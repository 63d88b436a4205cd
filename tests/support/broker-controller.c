/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "support/broker-controller.h"

#include <unistd.h>

#define BATCH "bta(btbs)a(btssssuutt)a(btssssuutt)"
#define POLICY "(a(u(" BATCH "))a(buu(" BATCH "))a(ss)bs)"

/* One batch for every uid: may connect, own, send and receive. */
static int append_policy(sd_bus_message *m) {
        const uint64_t priority = 1, fds_max = UINT64_MAX;
        const uint32_t every_uid = UINT32_MAX;

        return sd_bus_message_append(m, "v", POLICY, 1, every_uid, 1, priority, 1, 1, priority, 1, "", 1, 1, priority, "", "", "", "", 0, 0,
                                     UINT64_C(0), fds_max, 1, 1, priority, "", "", "", "", 0, 0, UINT64_C(0), fds_max, /* no others */ 0,
                                     /* SELinux */ 0, /* AppArmor */ 0, /* type */ "session");
}

static int add_listener(sd_bus *bus, int listener_fd) {
        sd_bus_message *m = NULL;
        int r = sd_bus_message_new_method_call(bus, &m, NULL, "/org/bus1/DBus/Broker", "org.bus1.DBus.Broker", "AddListener");

        if (r >= 0)
                r = sd_bus_message_append(m, "oh", "/org/bus1/DBus/Listener/0", listener_fd);
        if (r >= 0)
                r = append_policy(m);
        if (r >= 0)
                r = sd_bus_call(bus, m, 0, NULL, NULL);
        sd_bus_message_unref(m);
        return r;
}

int broker_control(int controller_fd, int listener_fd, sd_bus **ret) {
        sd_bus *bus = NULL;
        int r = sd_bus_new(&bus);

        if (r >= 0)
                r = sd_bus_set_fd(bus, controller_fd, controller_fd);
        if (r < 0)
                close(controller_fd);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r >= 0)
                r = add_listener(bus, listener_fd);
        if (r < 0) {
                sd_bus_close_unref(bus);
                return r;
        }
        *ret = bus;
        return 0;
}
