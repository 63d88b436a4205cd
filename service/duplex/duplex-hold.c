/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * While a duplex is held, what comes in stays where it is for the next daemon, and only what somebody here still waits for is picked out. So a
 * second scanner runs ahead of tail. A message that was taken is removed if nothing before it was left; else it becomes white space,
 * which means nothing in either framing.
 *
 * It is removed after it was delivered, for only then it is known to be taken: a SIGKILL in between shows it once more to the next
 * daemon, where it answers nothing (ids carry an epoch). One in the midst of the blanks leaves a line or a body that is no JSON, which costs
 * a line in the log.
 */
#include "duplex/duplex-private.h"

#include <glib.h>

void duplex_hold(Duplex *d) {
        if (d->held)
                return;
        d->held = true;
        d->ahead_scanner = d->scanner;
        duplex_continue_later(d);
}

static void leave(Duplex *d, size_t size) {
        d->ahead += size;
}

static void take(Duplex *d, size_t size) {
        buffer_take(&d->slot->in, size);
        buffer_taken(&d->slot->in);
}

/* FRAME lies at `ahead`, where DATA is. False if the duplex has been freed. */
static bool offer(Duplex *d, const Frame *frame, const char *data) {
        JsonRange text = { data + frame->offset, frame->size };
        size_t before = d->ahead;
        Slot *slot = d->slot;
        JsonRpcMessage message;
        CallBack call;
        bool taken;

        if (!d->ops->ahead || jsonrpc_parse(text, &message, NULL) < 0) {
                leave(d, frame->consumed);
                return true;
        }
        duplex_begin_call(d, &call);
        taken = d->ops->ahead(d, &message, d->userdata);
        if (taken && before > 0) /* the slot is there even if the duplex is not any more */
                buffer_blank(&slot->in, before + frame->offset, frame->size);
        if (!duplex_end_call(d, &call))
                return false;
        if (taken && before == 0)
                take(d, frame->consumed);
        else
                leave(d, frame->consumed);
        return true;
}

/* Only the rest of an oversize message that had begun to be dropped before. */
static void discard(Duplex *d, size_t size) {
        g_assert(d->ahead == 0);
        duplex_take_part(d, &d->ahead_scanner, size);
        buffer_taken(&d->slot->in);
}

bool duplex_deliver_ahead(Duplex *d) {
        while (!d->paused && !d->closed && !d->held_stuck) {
                size_t size;
                const char *data = buffer_peek(&d->slot->in, &size) + d->ahead;
                Frame frame;

                if (size == d->ahead || !duplex_ready(d))
                        break;
                frame = frame_scan(&d->ahead_scanner, data, size - d->ahead);
                switch (frame.verdict) {
                case FRAME_MORE:
                        return true;
                case FRAME_MESSAGE:
                        if (!offer(d, &frame, data))
                                return false;
                        break;
                case FRAME_SKIP:
                        leave(d, frame.consumed);
                        break;
                case FRAME_DISCARD:
                        discard(d, frame.consumed);
                        break;
                case FRAME_OVERSIZE:
                case FRAME_BROKEN:
                        d->held_stuck = true;
                        break;
                }
        }
        return true;
}

bool duplex_deliver_rest_ahead(Duplex *d) {
        JsonRange line;
        Frame frame;
        size_t size;
        const char *data = buffer_peek(&d->slot->in, &size) + d->ahead;

        if (d->held_stuck || !duplex_last_line(d, &d->ahead_scanner, d->ahead, &line) || line.size == 0 || line.data[0] != '{')
                return true;
        frame = (Frame){ .offset = (size_t) (line.data - data), .size = line.size, .consumed = size - d->ahead };
        return offer(d, &frame, data);
}
