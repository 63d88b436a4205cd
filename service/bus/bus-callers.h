/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who calls. A caller is a sender on a connection. Who it is, the bus is asked once, asynchronously, when it first wants what not
 * everybody may; until that is known its messages are held, and then dispatched in order as if they came just now. One match tells
 * of all who vanish (sd_bus_track would add a match for each, and block).
 */
#pragma once

#include "basic/error.h"
#include "host/caller.h"

#include <stdbool.h>
#include <systemd/sd-bus.h>

/* Bytes that one caller may have waiting while the bus is asked who it is, each message counting some more than it holds. A caller may well
 * begin with a thousand calls at once. */
#define CALLER_HELD_MAX (16 * 1024 * 1024)
#define CALLER_HELD_OVERHEAD 1024

typedef struct Callers Callers;
typedef struct Connection Connection;

int callers_new(Connection *connection, Callers **ret);
/* On a direct connection there is one caller, and the kernel has told who. */
int callers_new_direct(Connection *connection, const char *name, uid_t uid, Callers **ret);
/* Ends all that the callers hold. */
Callers *callers_free(Callers *callers);

/* 1: *ret is who sent MESSAGE, or NULL if that is unknown and ANYBODY may. 0: MESSAGE is held; call_dispatch() will be called with it.
 * Negative: refused. */
int callers_admit(Callers *callers, sd_bus_message *message, bool anybody, Caller **ret, PlugindError *error);

/* The caller NAME, of UID, whom an earlier daemon knew: on a bus, and before the loop runs. Those who are not in PRESENT (NULL: nobody is) leave. */
Caller *callers_find(Callers *callers, const char *name, uid_t uid);
void callers_forget_absent(Callers *callers, char *const *present);

/* Messages are held, and will be dispatched. */
bool callers_hold(const Callers *callers);

/* The connection that CALLER speaks on. */
Connection *caller_connection(const Caller *caller);
/* The caller NAME (NULL on a direct connection) has vanished and is just being freed: what it asked for need not be answered. What others asked for may end with it. */
bool callers_vanishing(const Callers *callers, const char *name);
