/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "support/private-bus.h"

#include "support/broker-controller.h"
#include "support/process.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Debian has them in /usr/bin, which a test's PATH need not have. */
#define DBUS_DAEMON "/usr/bin/dbus-daemon"
#define DBUS_BROKER "/usr/bin/dbus-broker"

struct PrivateBus {
        BusKind kind;
        char *folder, *socket, *address;
        pid_t pid;
        sd_bus *controller;
};

static const char config_format[] = "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\""
                                    " \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n"
                                    "<busconfig>\n"
                                    "  <auth>EXTERNAL</auth>\n"
                                    "  <listen>%s</listen>\n"
                                    "  <policy context=\"default\">\n"
                                    "    <allow user=\"*\"/>\n"
                                    "    <allow own=\"*\"/>\n"
                                    "    <allow send_destination=\"*\" eavesdrop=\"true\"/>\n"
                                    "    <allow receive_sender=\"*\" eavesdrop=\"true\"/>\n"
                                    "  </policy>\n"
                                    "  <limit name=\"max_completed_connections\">100000</limit>\n"
                                    "  <limit name=\"max_incomplete_connections\">100000</limit>\n"
                                    "  <limit name=\"max_connections_per_user\">100000</limit>\n"
                                    "  <limit name=\"max_match_rules_per_connection\">100000</limit>\n"
                                    "  <limit name=\"max_replies_per_connection\">100000</limit>\n"
                                    "  <limit name=\"max_outgoing_bytes\">1000000000</limit>\n"
                                    "  <limit name=\"max_incoming_bytes\">1000000000</limit>\n"
                                    "  <limit name=\"max_message_size\">134217728</limit>\n"
                                    "</busconfig>\n";

const char *bus_kind_to_string(BusKind kind) {
        return kind == BUS_DBUS_DAEMON ? "dbus-daemon" : "dbus-broker";
}

bool bus_kind_is_installed(BusKind kind) {
        return access(kind == BUS_DBUS_DAEMON ? DBUS_DAEMON : DBUS_BROKER, X_OK) == 0;
}

/* dbus-daemon writes its address when it listens. */
static int start_daemon(PrivateBus *bus) {
        g_autofree char *file = g_build_filename(bus->folder, "config", NULL);
        g_autofree char *config = g_strdup_printf(config_format, bus->address);
        g_autofree char *print = NULL, *config_file = g_strconcat("--config-file=", file, NULL);
        char answer[256];
        int ends[2];
        ssize_t n;

        if (!g_file_set_contents(file, config, -1, NULL) || pipe2(ends, O_CLOEXEC) < 0)
                return -EIO;
        print = g_strdup_printf("--print-address=%i", ends[1]);
        bus->pid = process_start((char *[]){ (char *) DBUS_DAEMON, config_file, print, (char *) "--nofork", NULL }, NULL, -1, ends[1]);
        close(ends[1]);
        n = bus->pid < 0 ? 0 : read(ends[0], answer, sizeof(answer));
        close(ends[0]);
        return bus->pid < 0 ? bus->pid : n > 0 ? 0 : -EIO;
}

static int listen_at(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0)
                return -errno;
        g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
        if (bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0 || g_chmod(path, 0666) < 0 || listen(fd, 4096) < 0) {
                int r = -errno;

                close(fd);
                return r;
        }
        return fd;
}

static int start_broker(PrivateBus *bus) {
        int listener = listen_at(bus->socket), ends[2], r;
        g_autofree char *controller = NULL;

        if (listener < 0)
                return listener;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
                close(listener);
                return -errno;
        }
        controller = g_strdup_printf("%i", ends[1]);
        bus->pid = process_start((char *[]){ (char *) DBUS_BROKER, (char *) "--controller", controller, (char *) "--machine-id",
                                             (char *) "0123456789abcdef0123456789abcdef", (char *) "--max-matches", (char *) "1000000",
                                             (char *) "--max-objects", (char *) "1000000", (char *) "--max-fds", (char *) "100000",
                                             (char *) "--max-bytes", (char *) "4000000000", NULL },
                                 NULL, -1, ends[1]);
        close(ends[1]);
        r = bus->pid < 0 ? bus->pid : broker_control(ends[0], listener, &bus->controller);
        if (bus->pid < 0)
                close(ends[0]);
        close(listener);
        return r;
}

int private_bus_new(BusKind kind, PrivateBus **ret) {
        PrivateBus *bus = g_new0(PrivateBus, 1);
        int r;

        bus->kind = kind;
        bus->folder = temporary_folder_new();
        if (!bus->folder) {
                g_free(bus);
                return -EIO;
        }
        bus->socket = g_build_filename(bus->folder, "bus", NULL);
        bus->address = g_strconcat("unix:path=", bus->socket, NULL);
        r = kind == BUS_DBUS_DAEMON ? start_daemon(bus) : start_broker(bus);
        if (r < 0) {
                private_bus_free(bus);
                return r;
        }
        *ret = bus;
        return 0;
}

void private_bus_kill(PrivateBus *bus) {
        process_kill(bus->pid);
        bus->pid = 0;
}

PrivateBus *private_bus_free(PrivateBus *bus) {
        if (!bus)
                return NULL;
        private_bus_kill(bus);
        sd_bus_close_unref(bus->controller);
        temporary_folder_free(bus->folder);
        g_free(bus->socket);
        g_free(bus->address);
        g_free(bus);
        return NULL;
}

const char *private_bus_address(const PrivateBus *bus) {
        return bus->address;
}

pid_t private_bus_pid(const PrivateBus *bus) {
        return bus->pid;
}
