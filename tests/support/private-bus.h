/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A message bus of a test's own, of either implementation. Every uid may connect, and there is no policy: the access rules under test are
 * those of plugind. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

typedef enum BusKind { BUS_DBUS_DAEMON, BUS_DBUS_BROKER } BusKind;

typedef struct PrivateBus PrivateBus;

const char *bus_kind_to_string(BusKind kind); /* "dbus-daemon" */
bool bus_kind_is_installed(BusKind kind);

/* -errno. Connections are accepted when it returns. */
int private_bus_new(BusKind kind, PrivateBus **ret);
PrivateBus *private_bus_free(PrivateBus *bus);

const char *private_bus_address(const PrivateBus *bus); /* "unix:path=..." */
pid_t private_bus_pid(const PrivateBus *bus);
/* The bus goes away, without a word. */
void private_bus_kill(PrivateBus *bus);
