/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* D-Bus values as JSON. */
#pragma once

#include <json-glib/json-glib.h>
#include <systemd/sd-bus.h>

/* Reads the next complete value of MESSAGE. Variants are unwrapped, dictionaries become objects, structs and arrays become arrays. What JSON
 * cannot hold becomes null (a number above 2^63-1: it means "no limit" wherever plugind says it; NaN; file descriptors). 0 or -errno. */
int bus_read_json(sd_bus_message *message, JsonNode **ret);
