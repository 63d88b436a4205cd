/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One direct connection; for direct*.c. */
#pragma once

#include "basic/deadline.h"
#include "bus/direct.h"

/* What plugind is called on its direct connections. Theirs are ":direct.1" and up. */
#define DIRECT_NAME ":direct.0"

/* Why time is running for a peer. */
typedef enum Waiting { WAITING_NOT, WAITING_FIRST_MESSAGE, WAITING_WHOLE_MESSAGE, WAITING_READ, _WAITING_MAX } Waiting;

struct DirectPeer {
        Direct *direct;
        Connection *connection;
        sd_event_source *io;
        sd_event_source *more; /* a turn of its own: more to be processed, or it is to end */
        Deadline deadline;
        Waiting waiting;
        char *name;
        uid_t uid;
        pid_t pid;
        Charge charge;
        bool trusted;        /* may change things: plugins wait for it to read */
        bool full;           /* too much is unread: it is not read */
        bool doomed;         /* far too much */
        bool greeted;        /* something has come from it */
        bool plain;          /* and that was no Hello: it takes us for what we are, no bus, and hears every signal */
        bool half;           /* what has come last is not a whole message */
        unsigned n_messages; /* that have come */
        uint64_t unread;     /* messages, after its last turn */
        GHashTable *matches; /* rule -> how often it was added */
        unsigned n_matches;
};

/* direct-driver.c: the interface org.freedesktop.DBus, as much of it as clients of a bus need to find out that there is only plugind. */
int direct_driver_add(DirectPeer *peer);
