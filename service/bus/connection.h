/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of bus/ share: the bus and the connections it is served on. */
#pragma once

#include "bus/bus-callers.h"
#include "bus/bus.h"
#include "bus/signal-queue.h"

#include <glib.h>

#define HOST_PATH "/org/plugind1"
#define HOST_INTERFACE "org.plugind1.Host"
#define SESSION_PREFIX "/org/plugind1/session"
#define SESSION_INTERFACE "org.plugind1.Session"

typedef struct Direct Direct;
typedef struct DirectPeer DirectPeer;

typedef struct Connection {
        unsigned n_ref;
        ListNode connections; /* in Bus.connections */
        Bus *bus;
        sd_bus *sd_bus;
        Callers *callers;
        uint64_t queued;    /* messages in sd-bus' queue when we last looked */
        size_t unwritten;   /* about so many bytes of them: sd-bus counts messages only */
        DirectPeer *direct; /* NULL: a message bus */
        bool ended;         /* nobody is there any more */
} Connection;

struct Bus {
        BusConfig config;
        Host *host; /* NULL once closed */
        List connections;
        SignalQueue *signals;
        Direct *direct; /* NULL: nobody connects to us */
        Hooks hooks;
        uint64_t started_at; /* CLOCK_REALTIME usec */
        unsigned n_kept;     /* calls that are to be answered later */
        bool held;
        sd_event_source *draining;
        void (*drained)(void *userdata);
        void *drained_userdata;
};

extern const sd_bus_vtable host_vtable[], session_vtable[];

/* On SD_BUS, with the objects and without callers. */
int connection_new(Bus *bus, sd_bus *sd_bus, Connection **ret);
Connection *connection_ref(Connection *connection);
Connection *connection_unref(Connection *connection);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Connection, connection_unref)
/* Its callers are gone, what is still to be answered is not sent. */
void connection_end(Connection *connection);

/* How many messages it was given and has not written yet; SIZE is that of the last one, if there is a new one. */
uint64_t connection_unwritten(Connection *connection, size_t size);

/* Whether it wants signals that go to all; and whether it is waited for if it does not take what it is sent. */
bool connection_hears(const Connection *connection);
bool connection_counts(const Connection *connection);

/* The connection whose vtable is just being called: also property getters of sessions are given nothing but the session. */
Connection *connection_current(sd_bus *sd_bus);

/* Newly allocated; NULL without memory. */
char *session_path(const Session *session);
/* NULL if there is none at PATH. */
Session *session_at(Bus *bus, const char *path);
