/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Host.Connect and Session.Connect: the descriptor of a duplex that a caller hands over. */
#pragma once

#include "host/session.h"

#include <systemd/sd-bus.h>

/* Reads `h duplex, a{sv} options` of MESSAGE and attaches a duplicate of the descriptor to SESSION. */
int duplex_fd_connect(sd_bus_message *message, Session *session, PlugindError *error);
