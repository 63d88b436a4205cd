/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One method call on the bus: who sent it, may they, which handler takes it, and how it is answered, now or later.
 *
 * A handler parses, calls the host and either replies or keeps the call to reply later. It returns 0, or a negative errno with ERROR
 * filled (or not: then the errno speaks), and the call is answered with that.
 */
#pragma once

#include "bus/connection.h"

typedef struct Call {
        Connection *connection;
        sd_bus_message *message;
        /* Gone when the handler has returned: */
        Caller *caller;   /* NULL: somebody; only for members of RIGHT_READ */
        Session *session; /* of members of org.plugind1.Session */
} Call;

typedef int (*CallHandler)(Call *call, PlugindError *error);

typedef struct CallMethod {
        const char *member; /* NULL ends a table */
        CallHandler handler;
} CallMethod;

extern const CallMethod host_methods[], session_methods[];

/* bus-statistics.c */
int method_get_statistics(Call *call, PlugindError *error);
int method_get_history(Call *call, PlugindError *error);

/* The handlers of every method in the two vtables. */
int call_on_host(sd_bus_message *message, void *userdata, sd_bus_error *error);
int call_on_session(sd_bus_message *message, void *userdata, sd_bus_error *error);
/* A message that was held. */
void call_dispatch(Connection *connection, sd_bus_message *message);
void call_refuse(sd_bus_message *message, const PlugindError *error);

/* For a reply that comes later: newly allocated. Ends with call_free(). */
Call *call_keep(const Call *call);
Call *call_free(Call *call);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Call, call_free)

/* Whoever called has just vanished. */
bool call_vanishes(const Call *call);
/* Sends REPLY, and before it what else is waiting about the object that was called. SIZE: about how many bytes. */
int call_reply(Call *call, sd_bus_message *reply, size_t size);
int call_reply_empty(Call *call);
void call_fail(Call *call, const PlugindError *error);
/* A SessionDone whose userdata is a kept call: answers it. */
void call_done(const PlugindError *error, void *userdata);
