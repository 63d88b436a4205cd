/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing to the plugin: one write() for each message while it keeps up; while it has something to do already, what else comes for it in one
 * go is gathered into one. What goes wrong is told from the loop, never out of the function that wrote, so that a caller of duplex_request()
 * is not called back meanwhile.
 */
#include "duplex/compose.h"
#include "duplex/duplex-private.h"
#include "duplex/output.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <sys/socket.h>
#include <unistd.h>

#define GATHER_MAX ((size_t) 16 * 1024)
#define PIPE_SIZE_WIDE (256 * 1024) /* what a pipe has through which much goes */

static void close_output(Duplex *d) {
        if (d->fd_out < 0)
                return;
        if (d->socket)
                shutdown(d->fd_out, SHUT_WR);
        else {
                d->out_source = sd_event_source_disable_unref(d->out_source);
                close(d->fd_out);
        }
        d->fd_out = -1;
}

bool duplex_widen(const Duplex *d, int fd, bool *wide) {
        bool wider = !d->socket && !*wide && fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE_WIDE) >= 0;

        *wide = true;
        return wider;
}

static ssize_t write_some(Duplex *d) {
        size_t size = duplex_queued(d);
        ssize_t n = output_write(d->slot->arena, &d->slot->out, d->fd_out), more;

        if (n <= 0 || n == (ssize_t) size || !duplex_widen(d, d->fd_out, &d->wide_out))
                return n;
        more = output_write(d->slot->arena, &d->slot->out, d->fd_out);
        return n + MAX(more, 0);
}

/* Writes what the plugin takes now. */
static void flush_output(Duplex *d) {
        ssize_t n = write_some(d);

        if (n < 0 && n != -EAGAIN && n != -EINTR) {
                duplex_broke(d, PLUGIND_ERROR_CONNECTION_LOST, "writing to the plugin failed: %s", g_strerror((int) -n));
                buffer_consume(&d->slot->out, duplex_queued(d));
                d->writing = false;
                duplex_continue_later(d);
        } else
                d->writing = duplex_queued(d) > 0;
        if (d->ending && !d->writing)
                close_output(d);
}

void duplex_write(Duplex *d) {
        bool writing = d->writing;
        int r = 0;

        flush_output(d);
        if (d->writing != writing)
                r = duplex_update_sources(d);
        if (r < 0) {
                duplex_broke(d, PLUGIND_ERROR_CONNECTION_LOST, "cannot wait for the plugin to read: %s", g_strerror(-r));
                duplex_continue_later(d);
        }
}

int duplex_on_output(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        duplex_write(userdata);
        return 0;
}

bool duplex_can_write(const Duplex *d) {
        return !d->closed && !d->ending && d->fd_out >= 0 && d->broken.code == PLUGIND_ERROR_NONE;
}

void duplex_write_last(Duplex *d) {
        if (duplex_can_write(d) && !d->writing)
                flush_output(d);
}

static int on_gathered(sd_event_source *source, void *userdata) {
        Duplex *d = userdata;

        if (d->fd_out >= 0 && !d->writing)
                duplex_write(d);
        return 0;
}

/* Will what is in the output buffer be written when the loop has nothing more urgent to do? */
static bool gather(Duplex *d) {
        int r;

        if (!d->busy || duplex_queued(d) > GATHER_MAX)
                return false;
        if (d->gather_source)
                return sd_event_source_set_enabled(d->gather_source, SD_EVENT_ONESHOT) >= 0;
        r = sd_event_add_defer(d->event, &d->gather_source, on_gathered, d);
        return r >= 0 && sd_event_source_set_priority(d->gather_source, SD_EVENT_PRIORITY_NORMAL + 1) >= 0;
}

/* R is what composing a message into the output buffer returned. */
static int composed(Duplex *d, int r) {
        if (r >= 0 && !d->writing && !gather(d))
                duplex_write(d);
        d->busy = true;
        return r;
}

int duplex_request(Duplex *d, uint64_t id, const char *method, JsonRange params) {
        if (!duplex_can_write(d))
                return -ENOTCONN;
        return composed(d, compose_request(&d->slot->out, d->scanner.framing, id, method, params));
}

int duplex_notify(Duplex *d, const char *method, JsonRange params) {
        if (!duplex_can_write(d))
                return -ENOTCONN;
        return composed(d, compose_notification(&d->slot->out, d->scanner.framing, method, params));
}

int duplex_respond(Duplex *d, JsonRange id, JsonRange result) {
        if (!duplex_can_write(d))
                return -ENOTCONN;
        return composed(d, compose_result(&d->slot->out, d->scanner.framing, id, result));
}

int duplex_respond_error(Duplex *d, JsonRange id, int code, const char *message) {
        if (!duplex_can_write(d))
                return -ENOTCONN;
        return composed(d, compose_error(&d->slot->out, d->scanner.framing, id, code, message));
}

void duplex_end_output(Duplex *d) {
        if (!duplex_can_write(d))
                return;
        d->ending = true;
        if (!d->writing)
                duplex_write(d);
}

size_t duplex_queued(const Duplex *d) {
        size_t size;

        buffer_peek(&d->slot->out, &size);
        return size;
}
