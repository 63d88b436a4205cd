/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one place where codes become bus error names. */
#pragma once

#include "basic/error.h"

#include <systemd/sd-bus.h>

/* "org.plugind1.Error.NotActive", "org.freedesktop.DBus.Error.InvalidArgs". Static. */
const char *bus_error_name(PlugindErrorCode code);

/* Fills *ret; returns the negative errno that a handler is to return. A failure R without an ERROR becomes what sd-bus makes of it. */
int bus_error_set(sd_bus_error *ret, int r, const PlugindError *error);
