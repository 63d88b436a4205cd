/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is said to the service manager about units of ours. */
#pragma once

#include "runtime/runtime.h"

#include <systemd/sd-bus.h>

#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"

/* In front of the names of all our units; the profile's and systemd's drop-ins for it are found by what follows (docs/sandbox.md). */
#define SYSTEMD_UNIT_PREFIX "plugind-"
#define SYSTEMD_SLICE "plugind.slice"

/* "plugind-<profile>-<id>-<number>.service", newly allocated. */
char *systemd_unit_name(const UnitSpec *spec, unsigned number);
/* The number of such a name; 0 if it is none. */
unsigned systemd_unit_number(const char *name);

/* StartTransientUnit of SPEC. CONTROL becomes fd 0 of plugind-exec. USER: the service manager of a user, who has no dynamic users. */
int systemd_message_start(sd_bus *bus, const UnitSpec *spec, const char *name, int control, bool user, sd_bus_message **ret);

/* LAUNCH_CHECK_* that fit the profile. */
uint32_t systemd_launch_checks(const Sandbox *sandbox, bool user);
