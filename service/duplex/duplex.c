/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One read() for each time the loop says that there is something: a request and its answer cost two system calls.
 */
#include "duplex/duplex-private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#define READ_SIZE ((size_t) 128 * 1024)
#define DRAIN_MAX ((size_t) 1024 * 1024)
#define READ_MIN ((size_t) 4096) /* less room than this at the end of the buffer: start over at its beginning */

static bool reading(const Duplex *d) {
        return !d->paused && !d->end_of_input && !d->closed && !d->held_full;
}

int duplex_update_sources(Duplex *d) {
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
                return d->writing ? sd_event_add_io(d->event, &d->out_source, d->fd_out, EPOLLOUT, duplex_on_output, d) : 0;
        return sd_event_source_set_enabled(d->out_source, d->writing ? SD_EVENT_ON : SD_EVENT_OFF);
}

static int on_later(sd_event_source *source, void *userdata);

void duplex_continue_later(Duplex *d) {
        int r;

        if (d->later_source)
                r = sd_event_source_set_enabled(d->later_source, SD_EVENT_ONESHOT);
        else
                r = sd_event_add_defer(d->event, &d->later_source, on_later, d);
        if (r < 0)
                g_error("cannot add an event source: %s", g_strerror(-r)); /* out of memory */
}

void duplex_broke(Duplex *d, PlugindErrorCode code, const char *format, ...) {
        g_autofree char *what = NULL;
        va_list ap;

        if (d->broken.code != PLUGIND_ERROR_NONE)
                return;
        va_start(ap, format);
        what = g_strdup_vprintf(format, ap);
        va_end(ap);
        plugind_error_set(&d->broken, code, "%s", what);
}

void duplex_begin_call(Duplex *d, CallBack *call) {
        *call = (CallBack){};
        d->calling = call;
}

bool duplex_end_call(Duplex *d, CallBack *call) {
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
        rest -= d->ahead;
        duplex_broke(d, PLUGIND_ERROR_CONNECTION_LOST, "the plugin closed its output%s", rest > 0 ? " in the middle of a message" : "");
        plugind_error_copy(&error, &d->broken);
        duplex_update_sources(d);
        duplex_begin_call(d, &call);
        d->ops->closed(d, &error, d->userdata);
        return duplex_end_call(d, &call);
}

static bool tell_message(Duplex *d, const JsonRpcMessage *message) {
        CallBack call;

        duplex_begin_call(d, &call);
        d->ops->message(d, message, d->userdata);
        return duplex_end_call(d, &call);
}

static bool tell_skipped(Duplex *d, const char *line, size_t size) {
        CallBack call;

        if (size == 0)
                return true;
        duplex_begin_call(d, &call);
        d->ops->skipped(d, line, size, d->userdata);
        return duplex_end_call(d, &call);
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
        duplex_begin_call(d, &call);
        /* The id of a request is the plugin's own, and would name somebody else's request here. */
        d->ops->bad(d, answer ? message->id : (JsonRange){}, &error, d->userdata);
        return duplex_end_call(d, &call);
}

/* What was a message that was delivered ahead of its turn (duplex-hold.c). */
static bool is_blank(JsonRange text) {
        for (size_t i = 0; i < text.size; i++)
                if (text.data[i] == '\0' || !strchr(" \t\r\n", text.data[i]))
                        return false;
        return true;
}

static bool deliver_message(Duplex *d, JsonRange text) {
        JsonRpcMessage message;
        JsonFault fault;

        if (is_blank(text))
                return true;
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

                duplex_broke(d, PLUGIND_ERROR_PROTOCOL_ERROR, "the plugin sent what is no \"Content-Length: N\" header: %s", quoted);
                d->end_of_input = true;
                return true;
        }
        default:
                return true;
        }
}

bool duplex_ready(Duplex *d) {
        if (!d->ops->ready || d->draining || d->ops->ready(d, d->userdata))
                return true;
        duplex_pause(d, true);
        return false;
}

/*
 * What is still to be dropped is stored beside the buffer. In lines a SIGKILL between two of these stores does no harm: the next daemon looks for
 * the end of line from an earlier place, or finds that end of line alone, which is a blank one. In a frame with headers it would take what
 * is left of the body for headers, or drop too much, and end the connection: the plugin is started again.
 */
void duplex_take_part(Duplex *d, const FrameScanner *scanner, size_t size) {
        if (scanner->framing == FRAMING_HEADERS) {
                buffer_take(&d->slot->in, size);
                slot_set_discard(d->slot, scanner->discard);
        } else if (scanner->discard > 0) {
                slot_set_discard(d->slot, scanner->discard);
                buffer_take(&d->slot->in, size);
        } else {
                buffer_take(&d->slot->in, size - 1);
                slot_set_discard(d->slot, 0);
                buffer_take(&d->slot->in, 1);
        }
}

/* Before it is delivered: after a SIGKILL it is not once more. */
static void take_frame(Duplex *d, const Frame *frame) {
        if (frame->verdict == FRAME_OVERSIZE || frame->verdict == FRAME_DISCARD)
                duplex_take_part(d, &d->scanner, frame->consumed);
        else
                buffer_take(&d->slot->in, frame->consumed);
}

/* Delivers what is complete. False if the duplex has been freed. */
static bool deliver(Duplex *d) {
        while (!d->paused && !d->closed && !d->held) {
                size_t size;
                const char *data = buffer_peek(&d->slot->in, &size);
                Frame frame;

                if (size == 0 || !duplex_ready(d))
                        break;
                frame = frame_scan(&d->scanner, data, size);
                if (frame.verdict == FRAME_MORE)
                        break;
                if (frame.verdict != FRAME_BROKEN)
                        take_frame(d, &frame);
                if (!deliver_frame(d, &frame, data))
                        return false;
                if (frame.verdict == FRAME_BROKEN)
                        break;
                buffer_taken(&d->slot->in);
        }
        return d->held ? duplex_deliver_ahead(d) : true;
}

bool duplex_last_line(const Duplex *d, const FrameScanner *scanner, size_t start, JsonRange *ret) {
        size_t size;
        const char *data = buffer_peek(&d->slot->in, &size);

        if (scanner->framing != FRAMING_LINES || scanner->discard > 0)
                return false;
        while (start < size && (data[start] == ' ' || data[start] == '\t'))
                start++;
        *ret = (JsonRange){ data + start, size - start };
        return true;
}

/* A last line without its end is a message if it is a whole one: no part of an object is an object. */
static bool deliver_rest(Duplex *d) {
        JsonRpcMessage message;
        JsonRange line;
        size_t size;
        bool alive;

        if (d->held)
                return duplex_deliver_rest_ahead(d);
        buffer_peek(&d->slot->in, &size);
        if (size == 0 || !duplex_last_line(d, &d->scanner, 0, &line))
                return true;
        if (line.size > 0 && line.data[0] == '{' && jsonrpc_parse(line, &message, NULL) < 0)
                return true;
        buffer_take(&d->slot->in, size);
        alive = line.size > 0 && line.data[0] == '{' ? tell_message(d, &message) : tell_skipped(d, line.data, line.size);
        if (alive)
                buffer_taken(&d->slot->in);
        return alive;
}

static size_t bytes_wanted(const Duplex *d) {
        const FrameScanner *scanner = d->held ? &d->ahead_scanner : &d->scanner;
        uint64_t message = scanner->header_end + scanner->content_length;
        size_t size;

        buffer_peek(&d->slot->in, &size);
        size -= d->ahead;
        if (scanner->framing == FRAMING_HEADERS && message > size && message <= scanner->limit + FRAMING_HEADER_MAX)
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
        if (!data && d->held) {
                d->held_full = true; /* for good: what is before its turn is left to the next daemon */
                duplex_update_sources(d);
                return false;
        }
        g_assert(data); /* a buffer holds two messages, and what is complete is delivered before more is read */
        n = read(d->fd_in, data, MIN(wanted, room));
        if (n > 0) {
                if (n >= DUPLEX_PIPE_SIZE)
                        duplex_widen(d, d->fd_in, &d->wide_in);
                d->busy = false;
                buffer_commit(&d->slot->in, (size_t) n);
                d->received_bytes += (uint64_t) n;
                sd_event_now(d->event, CLOCK_MONOTONIC, &d->received_at);
                return true;
        }
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return false;
        if (n < 0)
                duplex_broke(d, PLUGIND_ERROR_CONNECTION_LOST, "reading from the plugin failed: %s", g_strerror(errno));
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

static int on_input(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Duplex *d = userdata;

        if (d->writing && d->socket && (revents & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
                duplex_write(d);
        if (!reading(d) || !(revents & (EPOLLIN | EPOLLERR | EPOLLHUP)))
                return 0;
        if (read_some(d) || d->end_of_input)
                go_on(d);
        return 0;
}

void duplex_drain(Duplex *d) {
        if (d->closed)
                return;
        duplex_broke(d, PLUGIND_ERROR_CONNECTION_LOST, "the plugin is gone");
        d->draining = true;
        d->paused = false;
        go_on(d);
}

void duplex_pause(Duplex *d, bool paused) {
        if (d->paused == paused || d->closed || d->draining)
                return;
        d->paused = paused;
        if (!paused)
                duplex_continue_later(d); /* what was left undelivered; comes before the next read, being pending earlier */
        duplex_update_sources(d);
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

/* SLOT is taken in any case, the descriptors on success. */
static int duplex_open(sd_event *event, Slot *slot, int fd_in, int fd_out, Framing framing, const DuplexOps *ops, void *userdata,
                       Duplex **ret) {
        Duplex *d = g_new0(Duplex, 1);
        int r;

        d->ops = ops;
        d->userdata = userdata;
        d->fd_in = fd_in;
        d->fd_out = fd_out;
        d->socket = fd_in == fd_out;
        d->event = sd_event_ref(event);
        d->slot = slot;
        d->scanner = (FrameScanner){ .framing = framing, .limit = arena_message_max(slot->arena), .discard = slot_discard(slot) };
        d->writing = duplex_queued(d) > 0; /* what the daemon before had begun */
        r = set_nonblocking(fd_in);
        if (r >= 0 && fd_out != fd_in)
                r = set_nonblocking(fd_out);
        if (r >= 0)
                r = sd_event_add_io(event, &d->in_source, fd_in, EPOLLIN, on_input, d);
        if (r >= 0)
                r = duplex_update_sources(d);
        if (r < 0) {
                d->fd_in = d->fd_out = -1;
                duplex_free(d);
                return r;
        }
        *ret = d;
        return 0;
}

int duplex_new(sd_event *event, Arena *arena, int fd_in, int fd_out, Framing framing, const DuplexOps *ops, void *userdata, Duplex **ret) {
        Slot *slot;
        int r = slot_new(arena, &slot);

        return r < 0 ? r : duplex_open(event, slot, fd_in, fd_out, framing, ops, userdata, ret);
}

int duplex_adopt(sd_event *event, Arena *arena, unsigned number, int fd_in, int fd_out, Framing framing, const DuplexOps *ops,
                 void *userdata, Duplex **ret) {
        Slot *slot;
        int r = slot_adopt(arena, number, &slot);

        if (r >= 0)
                r = duplex_open(event, slot, fd_in, fd_out, framing, ops, userdata, ret);
        if (r >= 0)
                duplex_continue_later(*ret);
        return r;
}

unsigned duplex_slot(const Duplex *d) {
        return d->slot->number;
}

Duplex *duplex_free(Duplex *d) {
        if (!d)
                return NULL;
        duplex_write_last(d);
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
