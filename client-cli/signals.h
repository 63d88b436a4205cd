/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Signals of plugind as lines for people and as JSON. */
#pragma once

#include "ctl.h"

/* METHOD and PARAMS (JSON, or "") of a plugin's notification, on one line, safe for a terminal. Newly allocated. */
char *notification_to_text(const char *method, const char *params);

/* Any signal of org.plugind1.*: ID is the session's, or that of a host's signal. Both NULL on failure: it has other arguments than it should.
 * Newly allocated: a line without its end, or a JSON object on one line. */
char *signal_to_text(sd_bus_message *signal, const char *id, uint64_t realtime_usec);
char *signal_to_json(sd_bus_message *signal, const char *id, uint64_t realtime_usec);
