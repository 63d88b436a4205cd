/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Private to host/: a session as a text of JSON, from which the next daemon makes it again (session-state.c writes, session-restore.c reads). What
 * a key is left out for is 0, false, or nothing; a later version may add keys. */
#pragma once

#include "host/session-private.h"

#define SESSION_KEY_PREFIX "session/"

/* The state of SESSION as of now, to the end of JSON. */
void session_state_append(GString *json, Session *session);

/* A session of this TEXT, known to its host when 0 is returned; what ran of it is taken over, or is restarted from the loop. -EBADMSG and
 * the like, with ERROR: there is no such session, and nothing of it is kept. */
int session_restore(Host *host, const char *id, JsonRange text, HostFindCaller find_caller, void *userdata, PlugindError *error);
