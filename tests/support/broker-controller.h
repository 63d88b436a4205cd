/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The controller that dbus-broker needs where systemd is not process 1. Its own launcher would start units for it. */
#pragma once

#include <systemd/sd-bus.h>

/* Makes the broker at the other end of CONTROLLER_FD (owned) serve LISTENER_FD, with a policy that allows everything. The broker ends when
 * *ret is closed. */
int broker_control(int controller_fd, int listener_fd, sd_bus **ret);
