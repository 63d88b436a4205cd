/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Builds outgoing messages, in their framing, right where they will be written from. 0, or -ENOBUFS with nothing appended. */
#pragma once

#include "basic/json.h"
#include "duplex/arena.h"
#include "duplex/framing.h"

int compose_request(Buffer *out, Framing framing, uint64_t id, const char *method, JsonRange params);
int compose_notification(Buffer *out, Framing framing, const char *method, JsonRange params);
int compose_result(Buffer *out, Framing framing, JsonRange id, JsonRange result);
int compose_error(Buffer *out, Framing framing, JsonRange id, int code, const char *message);
