/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The two-way byte stream between plugind and a plugin, carrying JSON-RPC 2.0. Knows framing and messages, nothing of
 * sessions or dialects. Never blocks: what the plugin does not take yet waits in the output buffer.
 *
 * The daemon ignores SIGPIPE: a pipe knows no MSG_NOSIGNAL.
 *
 * Bad input costs only what it hits: a line that is no message is reported through `bad` with the id that could
 * be made out, and the stream goes on; only headers that are none end the connection.
 */
#pragma once

#include "basic/error.h"
#include "duplex/arena.h"
#include "duplex/framing.h"
#include "duplex/jsonrpc.h"

#include <systemd/sd-event.h>

typedef struct Duplex Duplex;

/* Every callback may free the duplex; the duplex touches nothing of itself afterwards, and what the callback was given stays valid until
 * it returns. No callback is called from within a function below, only from the loop. */
typedef struct DuplexOps {
        /* One well-formed message. The ranges point into the buffer and are gone when the callback returns. */
        void (*message)(Duplex *duplex, const JsonRpcMessage *message, void *userdata);
        /* A message that is none, or is too large. ID is that of the answer it was about to be, and absent if that could not be made
         * out or it is no answer. ERROR: ProtocolError that quotes its
         * first 80 bytes and says what was expected. */
        void (*bad)(Duplex *duplex, JsonRange id, const PlugindError *error, void *userdata);
        /* A line that does not begin with '{', and is not blank. */
        void (*skipped)(Duplex *duplex, const char *line, size_t size, void *userdata);
        /* End of input, a failed read or write, or a broken stream; called once, after everything that could be read was delivered. ERROR is
         * ConnectionLost or ProtocolError. Writing is refused from here on. */
        void (*closed)(Duplex *duplex, const PlugindError *error, void *userdata);
        /* May more be delivered now? Asked before anything that has come is looked at; NULL: yes. If not, the duplex is paused from here on. Unlike the others
         * it may not free the duplex. */
        bool (*ready)(Duplex *duplex, void *userdata);
        /* While held (duplex_hold()): a message that lies before its turn. False: it is left for whoever takes the duplex over; else it is
         * done with. */
        bool (*ahead)(Duplex *duplex, const JsonRpcMessage *message, void *userdata);
} DuplexOps;

/* FD_IN is read from, FD_OUT written to; both non-blocking afterwards, owned by the duplex on success; they may be the same number
 * (a socket), then it is closed once. */
int duplex_new(sd_event *event, Arena *arena, int fd_in, int fd_out, Framing framing, const DuplexOps *ops, void *userdata, Duplex **ret);
Duplex *duplex_free(Duplex *duplex);

/* Queue one message; written as far as the plugin takes it: at once, or, if the plugin has something to do already, together with what else
 * comes for it in this turn of the loop. PARAMS is checked JSON or absent. Line feeds between
 * tokens become spaces. 0, -ENOTCONN after closed or duplex_end_output, or -ENOBUFS (the output buffer is full: nothing was queued). */
int duplex_request(Duplex *duplex, uint64_t id, const char *method, JsonRange params);
int duplex_notify(Duplex *duplex, const char *method, JsonRange params);
int duplex_respond(Duplex *duplex, JsonRange id, JsonRange result);
int duplex_respond_error(Duplex *duplex, JsonRange id, int code, const char *message);

/* End of input for the plugin, once all that is queued has been written. */
void duplex_end_output(Duplex *duplex);

/* The plugin is gone: delivers at once, also while paused, what it has left to read (at most what a pipe holds), then calls closed. Not from
 * within a callback. */
void duplex_drain(Duplex *duplex);

/* Stops reading (the bus cannot take more, or the daemon is leaving) and goes on. */
void duplex_pause(Duplex *duplex, bool paused);

/*
 * The hand-over to another daemon (design.md 8). From duplex_hold() on what is read stays in the slot, but for messages that `ahead` takes out
 * of turn; no more is read once the buffer is full. `closed` is called at the end of input as usual; `message`, `bad` and `skipped` are not
 * called any more. Writing goes on. Then the arena is kept (arena_keep()) and the duplex freed, which closes its descriptors and leaves other
 * copies of them, and its slot, as they are.
 */
void duplex_hold(Duplex *duplex);
/* Its slot's number in the arena. */
unsigned duplex_slot(const Duplex *duplex);
/* Goes on where a daemon that is gone was with SLOT of an adopted arena: what it had read and not delivered is delivered, from the loop; what it
 * had half written is finished. Descriptors as for duplex_new(). -ENOENT, -EBUSY, -EBADMSG as slot_adopt();
 * on another error the slot is gone. */
int duplex_adopt(sd_event *event, Arena *arena, unsigned slot, int fd_in, int fd_out, Framing framing, const DuplexOps *ops, void *userdata,
                 Duplex **ret);

size_t duplex_queued(const Duplex *duplex);        /* bytes not yet taken by the plugin */
uint64_t duplex_received_at(const Duplex *duplex); /* CLOCK_MONOTONIC usec of the last byte received; 0: none yet */
uint64_t duplex_received_bytes(const Duplex *duplex);
