/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who may do what. Default deny: what changes or sends something is for root on the system bus, and for the daemon's own uid with --user. */
#pragma once

#include "basic/error.h"
#include "host/caller.h"

typedef enum Right {
        RIGHT_CHANGE, /* also of every member that nobody thought of */
        RIGHT_READ,   /* for all, without asking who it is */
} Right;

Right authorize_right(const char *interface, const char *member);

/* Whether CALLER may do what needs RIGHT_CHANGE, being ALLOWED; AccessDenied names the member and who may. */
int authorize_change(const Caller *caller, uid_t allowed, const char *interface, const char *member, PlugindError *error);
