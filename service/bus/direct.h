/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Direct connections: who connects to our own socket speaks D-Bus with us, without a bus between, and finds the same objects. There is one
 * caller on each, the kernel says who, and its end is the connection's.
 *
 * The sockets are open to all, so everything is bounded: connections of a uid and in all, how long authentication and one message may take,
 * and how much may be left unread. sd-bus bounds none of it; so its descriptors are watched here, and not by sd_bus_attach_event(): then
 * whoever does not read is not read either, and a message that came together with the end of the authentication does not lie there unseen.
 */
#pragma once

#include "bus/connection.h"

/* Of all uids together, and of those who may only look, of one and together: sd-bus takes up to 128 MiB of a message before anybody sees it.
 * Each uid has a quota as well (QUOTA_CONNECTIONS). */
#define DIRECT_MAX 2048
#define DIRECT_STRANGER_MAX 16
#define DIRECT_STRANGERS_MAX 128

int direct_new(Bus *bus, Direct **ret);
/* Ends every connection. */
Direct *direct_free(Direct *direct);

/* FD is taken on success. */
int direct_listen(Direct *direct, int fd);
void direct_stop_listening(Direct *direct);
/* Nothing is read any more from any peer; what it has asked for is answered. */
void direct_hold(Direct *direct);

/* To be called after messages were given to sd-bus for PEER. */
void direct_sent(DirectPeer *peer);
