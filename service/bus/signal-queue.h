/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the bus is told without being asked. Steps, endings and notifications go out at once and in order; changed properties of a
 * session are put together until the loop comes round, or until an answer about that session is sent.
 *
 * sd-bus' queue dies with us, so that as soon as it holds anything for a bus, plugins are not heard, and changed properties wait, until all
 * is written: a SIGKILL costs the one notification that was being delivered to its subscribers, and no other. What is queued for a
 * direct connection is lost with that connection in any case; there plugins wait, for as long as it reads at all, only while much is unread,
 * since sd-bus bounds its queue by messages, and disconnects.
 */
#pragma once

#include "host/hooks.h"

#include <stddef.h>
#include <systemd/sd-event.h>

typedef struct Bus Bus;
typedef struct Connection Connection;
typedef struct SignalQueue SignalQueue;

int signal_queue_new(Bus *bus, SignalQueue **ret);
SignalQueue *signal_queue_free(SignalQueue *queue);

/* Fills *hooks with what feeds this queue. */
void signal_queue_hooks(SignalQueue *queue, Hooks *hooks);

/* Sends what is waiting about the session at PATH. */
void signal_queue_flush(SignalQueue *queue, const char *path);

/* From now on what all are told is owed instead, until it is paid; notifications are sent as ever. */
void signal_queue_hold(SignalQueue *queue);
/* What is owed, newly allocated, for signal_queue_owe() of the next daemon; NULL if nothing is. */
char *signal_queue_owed(SignalQueue *queue);
void signal_queue_owe(SignalQueue *queue, const char *text, size_t size);
/* Sends what is owed; nothing is held any more. Then plugins are read, unless the bus is slow. */
void signal_queue_pay(SignalQueue *queue);

/* To be called after a message of about SIZE bytes was given to CONNECTION. */
void signal_queue_sent(SignalQueue *queue, Connection *connection, size_t size);
