/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The D-Bus face of the host: its objects, members and signals on one or more connections. Only faces here: parse, authorize,
 * call the host, reply. The contract is dbus-interfaces/.
 */
#pragma once

#include "host/host.h"
#include "runtime/journal-tail.h"

#include <systemd/sd-bus.h>

#define BUS_NAME "org.plugind1"

typedef struct Bus Bus;

typedef struct BusConfig {
        sd_event *event;
        Deadlines *deadlines;
        Host *host;
        Store *store;                /* NULL: nothing outlives the daemon */
        const LogSink *log_sink;     /* NULL: none */
        JournalTail *journal_tail;   /* where lines of supervised plugins are read; NULL: they are kept in memory */
        const char *runtime;         /* its name; NULL: there is none */
        const char *const *runtimes; /* names of those that there could be here, NULL-terminated */
        uid_t allowed;               /* who may change things */
} BusConfig;

/* Everything CONFIG points to must outlive the bus, but for the host. */
int bus_new(const BusConfig *config, Bus **ret);
/* Serves nobody any more; every caller is gone. To be called before the host is freed. */
void bus_close(Bus *bus);
/* To be called after the host was freed: answers to what was asked end here. */
Bus *bus_free(Bus *bus);

/* Serves the host on CONNECTION (a reference is taken), which must be started and attached to the event loop. Blocks for adding
 * matches: for start-up only. */
int bus_serve(Bus *bus, sd_bus *connection);

/* From now on what happens to sessions is signalled, after what the daemon before owed; both are held until bus_pay(). */
void bus_start_signals(Bus *bus);

/* Who connects to FD (taken on success), a listening stream socket of the family AF_UNIX, is served as well, without a bus between. */
int bus_listen(Bus *bus, int fd);
/* Who has connected stays. */
void bus_stop_listening(Bus *bus);

/* Somebody is connected directly, or calls have come that wait for the bus to say who sent them. */
bool bus_busy(const Bus *bus);

/* Calls DRAINED once, from the loop, when no call waits to know who sent it or for its answer, and all that was sent has been written. A later
 * call takes the place of an earlier one. */
void bus_when_drained(Bus *bus, void (*drained)(void *userdata), void *userdata);

/* -- the hand-over to another daemon (design.md 8) -- */

/* A HostFindCaller: on the bus that was served first. USERDATA is the Bus. */
Caller *bus_find_caller(const char *name, uid_t uid, void *userdata);
/* Who was found so and is not on the bus any more, or was on another bus, leaves now. Blocks: for start-up only. */
int bus_forget_absent(Bus *bus);
/* The name is about to be released, or is not ours yet (then before bus_start_signals()): signals to all are not sent but owed. No calls are taken any more from direct
 * connections. */
void bus_hold(Bus *bus);
/* What is owed is in the store when this returns. False if nothing is. */
bool bus_store_owed(Bus *bus);
/* Sends all that is owed; to be called when the name is taken. Then plugins are read (host_pause()), unless the bus is slow. */
void bus_pay(Bus *bus);
