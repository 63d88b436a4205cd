/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One read() for each time the loop says that there is something, and one write() for each message while the plugin
 * keeps up: a request and its answer cost two system calls. While the plugin has something to do already, what else comes
 * for it in one go is gathered into one write(). Everything that goes wrong while writing is told from the loop, never out of the function that wrote, so that a caller of duplex_request() is not called back meanwhile.
 */
#include "duplex/duplex.h"
#include "duplex/compose.h"
#include "duplex/output.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE ((size_t) 128 * 1024)
#define DRAIN_MAX ((size_t) 1024 * 1024)
#define GATHER_MAX ((size_t) 16 * 1024)
#define PIPE_SIZE (64 * 1024) /* what a pipe has at first, and what one has through which much goes */
#define PIPE_SIZE_WIDE (256 * 1024)
#define READ_MIN ((size_t) 4096) /* less room than this at the end of the buffer: start over at its beginning */

/* Outlives the duplex on the stack of the function that called back. */
typedef struct CallBack {
        bool freed;
        Slot *slot; /* the ranges that the callback was given stay valid until it returns */
} CallBack;

struct Duplex {
        const DuplexOps *ops;
        void *userdata;

        int fd_in, fd_out;
        bool socket; /* fd_in and fd_out are one, and so are the sources */
        sd_event *event;
        sd_event_source *in_source, *out_source, *later_source, *gather_source;

        Slot *slot;
        FrameScanner scanner;
        CallBack *calling; /* NULL: not inside a callback */

        bool paused;
        bool draining; /* and not to be paused any more */
        bool writing;  /* waiting until the plugin takes more */
        bool ending;   /* duplex_end_output() was called */
        bool busy;     /* something was written since the plugin was last heard */
        bool wide_in, wide_out;
        bool end_of_input;
        bool closed;
        PlugindError broken; /* why no more can be read or written; set before closed() */

        uint64_t received_at, received_bytes;
};

static bool reading(const Duplex *d) {
        return !d->paused && !d->end_of_input && !d->closed;
}

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

static int on_output(sd_event_source *source, int fd, uint32_t revents, void *userdata);

/* A message that fits into the pipe costs one write() and one turn of the plugin. Only where it is needed, for a user's pipes must not be
 * larger than pipe-user-pages-soft in all; past that it fails, which does no harm. True if it can hold more now. */
static bool widen(const Duplex *d, int fd, bool *wide) {
        bool wider = !d->socket && !*wide && fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE_WIDE) >= 0;

        *wide = true;
        return wider;
}

/* Tells the loop what we wait for now. */
static int update_sources(Duplex *d) {
        uint32_t events;
        int r;

        if (d->socket) {
                events = (reading(d) ? EPOLLIN : 0) | (d->writing ? EPOLLOUT : 0);
                r = sd_event_source_set_io_events(d->in_source, events);
                return r < 0 ? r : sd_event_source_set_enabled(d->in_source, events ? SD_EVENT_ON : SD_EVENT_OFF);
        }
        r = sd_event_source_set_enabled(d->in_source, reading(d) ? SD_EVENT_ON : SD_EVENT_OFF);
        if (r < 0)
                return r;
        if (!d->out_source)
                return d->writing ? sd_event_add_io(d->event, &d->out_source, d->fd_out, EPOLLOUT, on_output, d) : 0;
        return sd_event_source_set_enabled(d->out_source, d->writing ? SD_EVENT_ON : SD_EVENT_OFF);
}

static int on_later(sd_event_source *source, void *userdata);

/* Goes on from the loop: deliver what is there, or tell that it is over. */
static void continue_later(Duplex *d) {
        int r;

        if (d->later_source)
                r = sd_event_source_set_enabled(d->later_source, SD_EVENT_ONESHOT);
        else
                r = sd_event_add_defer(d->event, &d->later_source, on_later, d);
        if (r < 0)
                g_error("cannot add an event source: %s", g_strerror(-r)); /* out of memory */
}

/* The first reason counts. */
static void G_GNUC_PRINTF(3, 4) broke(Duplex *d, PlugindErrorCode code, const char *format, ...) {
        g_autofree char *what = NULL;
        va_list ap;

        if (d->broken.code != PLUGIND_ERROR_NONE)
                return;
        va_start(ap, format);
        what = g_strdup_vprintf(format, ap);
        va_end(ap);
        plugind_error_set(&d->broken, code, "%s", what);
}

static void begin_call(Duplex *d, CallBack *call) {
        *call = (CallBack){};
        d->calling = call;
}

/* False if the duplex has been freed. */
static bool end_call(Duplex *d, CallBack *call) {
        if (call->freed) {
                slot_free(call->slot);
                return false;
        }
        d->calling = NULL;
        return true;
}

static bool tell_closed(Duplex *d) {
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT; /* the callback may free the duplex and then read it */
        CallBack call;
        size_t rest;

        d->closed = true;
        d->writing = false;
        buffer_peek(&d->slot->in, &rest);
        broke(d, PLUGIND_ERROR_CONNECTION_LOST, "the plugin closed its output%s", rest > 0 ? " in the middle of a message" : "");
        plugind_error_copy(&error, &d->broken);
        update_sources(d);
        begin_call(d, &call);
        d->ops->closed(d, &error, d->userdata);
        return end_call(d, &call);
}

static bool tell_message(Duplex *d, const JsonRpcMessage *message) {
        CallBack call;

        begin_call(d, &call);
        d->ops->message(d, message, d->userdata);
        return end_call(d, &call);
}

static bool tell_skipped(Duplex *d, const char *line, size_t size) {
        CallBack call;

        if (size == 0)
                return true;
        begin_call(d, &call);
        d->ops->skipped(d, line, size, d->userdata);
        return end_call(d, &call);
}

/* HEAD is all of the message, or the beginning of one that is too large. */
static bool tell_bad(Duplex *d, const JsonRpcMessage *message, JsonRange head, const char *format, ...) G_GNUC_PRINTF(4, 5);

static bool tell_bad(Duplex *d, const JsonRpcMessage *message, JsonRange head, const char *format, ...) {
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;
        g_autofree char *quoted = json_quote(head.data, head.size), *what = NULL;
        bool answer = message->kind == JSONRPC_RESULT || message->kind == JSONRPC_ERROR;
        CallBack call;
        va_list ap;

        va_start(ap, format);
        what = g_strdup_vprintf(format, ap);
        va_end(ap);
        plugind_error_set(&error, PLUGIND_ERROR_PROTOCOL_ERROR, "%s: %s", what, quoted);
        begin_call(d, &call);
        /* The id of a request is the plugin's own, and would name somebody else's request here. */
        d->ops->bad(d, answer ? message->id : (JsonRange){}, &error, d->userdata);
        return end_call(d, &call);
}

static bool deliver_message(Duplex *d, JsonRange text) {
        JsonRpcMessage message;
        JsonFault fault;

        if (jsonrpc_parse(text, &message, &fault) < 0)
                return tell_bad(d, &message, text, "the plugin sent what is no JSON-RPC message (byte %zu: %s)", fault.offset, fault.what);
        return tell_message(d, &message);
}

static bool deliver_oversize(Duplex *d, JsonRange head) {
        JsonRpcMessage message;

        jsonrpc_parse(head, &message, NULL); /* fails, and finds the id if that stands in front */
        return tell_bad(d, &message, head, "the plugin sent a message of more than %zu bytes", d->scanner.limit);
}

static bool deliver_frame(Duplex *d, const Frame *frame, const char *data) {
        JsonRange bytes = { data + frame->offset, frame->size };

        switch (frame->verdict) {
        case FRAME_MESSAGE:
                return deliver_message(d, bytes);
        case FRAME_SKIP:
                return tell_skipped(d, bytes.data, bytes.size);
        case FRAME_OVERSIZE:
                return deliver_oversize(d, bytes);
        case FRAME_BROKEN: {
                g_autofree char *quoted = json_quote(bytes.data, bytes.size);

                broke(d, PLUGIND_ERROR_PROTOCOL_ERROR, "the plugin sent what is no \"Content-Length: N\" header: %s", quoted);
                d->end_of_input = true;
                return true;
        }
        default:
                return true;
        }
}

/* Delivers what is complete. False if the duplex has been freed. */
static bool deliver(Duplex *d) {
        while (!d->paused && !d->closed) {
                size_t size;
                const char *data = buffer_peek(&d->slot->in, &size);
                Frame frame = frame_scan(&d->scanner, data, size);

                if (frame.verdict == FRAME_MORE)
                        break;
                if (frame.verdict != FRAME_BROKEN)
                        buffer_take(&d->slot->in, frame.consumed); /* before it is delivered: after a SIGKILL it is not once more */
                if (!deliver_frame(d, &frame, data))
                        return false;
                if (frame.verdict == FRAME_BROKEN)
                        break;
                buffer_taken(&d->slot->in);
        }
        return true;
}

/* A last line without its end is a message if it is a whole one: no part of an object is an object. */
static bool deliver_rest(Duplex *d) {
        JsonRpcMessage message;
        size_t size;
        const char *data = buffer_peek(&d->slot->in, &size);
        bool alive;

        if (size == 0 || d->scanner.framing != FRAMING_LINES || d->scanner.discard > 0)
                return true;
        if (data[0] == '{' && jsonrpc_parse((JsonRange){ data, size }, &message, NULL) < 0)
                return true;
        buffer_take(&d->slot->in, size);
        alive = data[0] == '{' ? tell_message(d, &message) : tell_skipped(d, data, size);
        if (alive)
                buffer_taken(&d->slot->in);
        return alive;
}

static size_t bytes_wanted(const Duplex *d) {
        uint64_t message = d->scanner.header_end + d->scanner.content_length;
        size_t size;

        buffer_peek(&d->slot->in, &size);
        if (d->scanner.framing == FRAMING_HEADERS && message > size && message <= d->scanner.limit + FRAMING_HEADER_MAX)
                return MAX((size_t) message - size, READ_SIZE);
        return MAX(size, READ_SIZE); /* a line that is long already is likely to become as long again */
}

/* One read(). False if there is nothing to be had now. */
static bool read_some(Duplex *d) {
        size_t room, wanted = bytes_wanted(d);
        char *data = buffer_reserve(&d->slot->in, READ_MIN, &room);
        ssize_t n;

        if (!data)
                data = buffer_reserve(&d->slot->in, 1, &room);
        g_assert(data); /* a buffer holds two messages, and what is complete is delivered before more is read */
        n = read(d->fd_in, data, MIN(wanted, room));
        if (n > 0) {
                if (n >= PIPE_SIZE)
                        widen(d, d->fd_in, &d->wide_in);
                d->busy = false;
                buffer_commit(&d->slot->in, (size_t) n);
                d->received_bytes += (uint64_t) n;
                sd_event_now(d->event, CLOCK_MONOTONIC, &d->received_at);
                return true;
        }
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return false;
        if (n < 0)
                broke(d, PLUGIND_ERROR_CONNECTION_LOST, "reading from the plugin failed: %s", g_strerror(errno));
        d->end_of_input = true;
        return false;
}

/* Delivers, and ends the connection when that is due. */
static void go_on(Duplex *d) {
        size_t drained = 0, before;

        if (!deliver(d) || d->paused || d->closed)
                return;
        /* Writing failed: what the plugin said before it went is still to be heard, and is no more than a pipe holds. */
        while (d->broken.code != PLUGIND_ERROR_NONE && !d->end_of_input && drained < DRAIN_MAX) {
                before = d->received_bytes;
                if (!read_some(d))
                        break;
                drained += d->received_bytes - before;
                if (!deliver(d) || d->paused || d->closed)
                        return;
        }
        if (!d->end_of_input && d->broken.code == PLUGIND_ERROR_NONE)
                return;
        d->end_of_input = true;
        if (!deliver_rest(d) || d->paused || d->closed)
                return;
        tell_closed(d);
}

static int on_later(sd_event_source *source, void *userdata) {
        go_on(userdata);
        return 0;
}

static ssize_t write_some(Duplex *d) {
        size_t size = duplex_queued(d);
        ssize_t n = output_write(d->slot->arena, &d->slot->out, d->fd_out), more;

        if (n <= 0 || n == (ssize_t) size || !widen(d, d->fd_out, &d->wide_out))
                return n;
        more = output_write(d->slot->arena, &d->slot->out, d->fd_out);
        return n + MAX(more, 0);
}

/* Writes what the plugin takes now. */
static void flush_output(Duplex *d) {
        ssize_t n = write_some(d);

        if (n < 0 && n != -EAGAIN && n != -EINTR) {
                broke(d, PLUGIND_ERROR_CONNECTION_LOST, "writing to the plugin failed: %s", g_strerror((int) -n));
                buffer_consume(&d->slot->out, duplex_queued(d));
                d->writing = false;
                continue_later(d);
        } else
                d->writing = duplex_queued(d) > 0;
        if (d->ending && !d->writing)
                close_output(d);
}

/* flush_output(), and the loop told when it has to be. */
static void write_now(Duplex *d) {
        bool writing = d->writing;
        int r = 0;

        flush_output(d);
        if (d->writing != writing)
                r = update_sources(d);
        if (r < 0) {
                broke(d, PLUGIND_ERROR_CONNECTION_LOST, "cannot wait for the plugin to read: %s", g_strerror(-r));
                continue_later(d);
        }
}

static int on_output(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        write_now(userdata);
        return 0;
}

static int on_input(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Duplex *d = userdata;

        if (d->writing && d->socket && (revents & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
                write_now(d);
        if (!reading(d) || !(revents & (EPOLLIN | EPOLLERR | EPOLLHUP)))
                return 0;
        if (read_some(d) || d->end_of_input)
                go_on(d);
        return 0;
}

static bool can_write(const Duplex *d) {
        return !d->closed && !d->ending && d->fd_out >= 0 && d->broken.code == PLUGIND_ERROR_NONE;
}

static int on_gathered(sd_event_source *source, void *userdata) {
        Duplex *d = userdata;

        if (d->fd_out >= 0 && !d->writing)
                write_now(d);
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
                write_now(d);
        d->busy = true;
        return r;
}

int duplex_request(Duplex *d, uint64_t id, const char *method, JsonRange params) {
        if (!can_write(d))
                return -ENOTCONN;
        return composed(d, compose_request(&d->slot->out, d->scanner.framing, id, method, params));
}

int duplex_notify(Duplex *d, const char *method, JsonRange params) {
        if (!can_write(d))
                return -ENOTCONN;
        return composed(d, compose_notification(&d->slot->out, d->scanner.framing, method, params));
}

int duplex_respond(Duplex *d, JsonRange id, JsonRange result) {
        if (!can_write(d))
                return -ENOTCONN;
        return composed(d, compose_result(&d->slot->out, d->scanner.framing, id, result));
}

int duplex_respond_error(Duplex *d, JsonRange id, int code, const char *message) {
        if (!can_write(d))
                return -ENOTCONN;
        return composed(d, compose_error(&d->slot->out, d->scanner.framing, id, code, message));
}

void duplex_end_output(Duplex *d) {
        if (!can_write(d))
                return;
        d->ending = true;
        if (!d->writing)
                write_now(d);
}

void duplex_drain(Duplex *d) {
        if (d->closed)
                return;
        broke(d, PLUGIND_ERROR_CONNECTION_LOST, "the plugin is gone");
        d->draining = true;
        d->paused = false;
        go_on(d);
}

void duplex_pause(Duplex *d, bool paused) {
        if (d->paused == paused || d->closed || d->draining)
                return;
        d->paused = paused;
        if (!paused)
                continue_later(d); /* what was left undelivered; comes before the next read, being pending earlier */
        update_sources(d);
}

size_t duplex_queued(const Duplex *d) {
        size_t size;

        buffer_peek(&d->slot->out, &size);
        return size;
}

uint64_t duplex_received_at(const Duplex *d) {
        return d->received_at;
}

uint64_t duplex_received_bytes(const Duplex *d) {
        return d->received_bytes;
}

static int set_nonblocking(int fd) {
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
                return -errno;
        return 0;
}

int duplex_new(sd_event *event, Arena *arena, int fd_in, int fd_out, Framing framing, const DuplexOps *ops, void *userdata, Duplex **ret) {
        Duplex *d;
        int r;

        r = set_nonblocking(fd_in);
        if (r >= 0 && fd_out != fd_in)
                r = set_nonblocking(fd_out);
        if (r < 0)
                return r;
        d = g_new0(Duplex, 1);
        d->ops = ops;
        d->userdata = userdata;
        d->fd_in = d->fd_out = -1;
        d->socket = fd_in == fd_out;
        d->event = sd_event_ref(event);
        d->scanner = (FrameScanner){ .framing = framing, .limit = arena_message_max(arena) };
        r = slot_new(arena, &d->slot);
        if (r >= 0)
                r = sd_event_add_io(event, &d->in_source, fd_in, EPOLLIN, on_input, d);
        if (r < 0) {
                duplex_free(d);
                return r;
        }
        d->fd_in = fd_in;
        d->fd_out = fd_out;
        *ret = d;
        return 0;
}

Duplex *duplex_free(Duplex *d) {
        if (!d)
                return NULL;
        if (can_write(d) && !d->writing)
                flush_output(d); /* what was being gathered */
        sd_event_source_disable_unref(d->in_source);
        sd_event_source_disable_unref(d->out_source);
        sd_event_source_disable_unref(d->later_source);
        sd_event_source_disable_unref(d->gather_source);
        if (d->fd_out >= 0 && !d->socket)
                close(d->fd_out);
        if (d->fd_in >= 0)
                close(d->fd_in);
        if (d->calling)
                *d->calling = (CallBack){ .freed = true, .slot = d->slot };
        else
                slot_free(d->slot);
        plugind_error_clear(&d->broken);
        sd_event_unref(d->event);
        g_free(d);
        return NULL;
}
