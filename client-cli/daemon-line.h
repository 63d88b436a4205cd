/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `status` says of the daemon behind the sessions. */
#pragma once

#include <json-glib/json-glib.h>
#include <stdint.h>

/* "since Sat 2026-11-21 18:00:01 UTC; 4min ago, 2 hand-overs (this session: 1)", of the properties of Host and, unless NULL, of a session. NULL if
 * HOST (which may be NULL) does not say, as of an older plugind. Newly allocated. */
char *daemon_line(JsonObject *host, JsonObject *session, uint64_t now_usec);
