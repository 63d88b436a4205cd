/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of bus/ share: the bus and the connections it is served on. */
#pragma once

#include "bus/bus-callers.h"
#include "bus/bus.h"
#include "bus/signal-queue.h"

#define HOST_PATH "/org/plugind1"
#define HOST_INTERFACE "org.plugind1.Host"
#define SESSION_PREFIX "/org/plugind1/session"
#define SESSION_INTERFACE "org.plugind1.Session"

typedef struct Connection {
        ListNode connections; /* in Bus.connections */
        Bus *bus;
        sd_bus *sd_bus;
        Callers *callers;
        size_t unwritten; /* bytes that went to sd-bus since its queue was last empty: it counts messages only */
} Connection;

struct Bus {
        BusConfig config;
        Host *host; /* NULL once closed */
        List connections;
        SignalQueue *signals;
        Hooks hooks;
        sd_event_source *draining;
        void (*drained)(void *userdata);
        void *drained_userdata;
};

extern const sd_bus_vtable host_vtable[], session_vtable[];

/* The connection whose vtable is just being called: also property getters of sessions are given nothing but the session. */
Connection *connection_current(sd_bus *sd_bus);

/* Newly allocated; NULL without memory. */
char *session_path(const Session *session);
/* NULL if there is none at PATH. */
Session *session_at(Bus *bus, const char *path);
