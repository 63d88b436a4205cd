/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plugin-duplex.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <syslog.h>
#include <unistd.h>

/* Far above what a host lets through. */
#define MESSAGE_MAX (64 * 1024 * 1024)
#define READ_SIZE (64 * 1024)
/* A host that does not read makes us wait from here on: better than to grow. */
#define OUTPUT_MAX (4 * 1024 * 1024)

static void take_message(PluginDuplex *d, JsonRange line) {
        JsonRpcMessage message;
        JsonFault fault = {};

        if (jsonrpc_parse(line, &message, &fault) >= 0) {
                d->message(&message, d->userdata);
                return;
        }
        dprintf(STDERR_FILENO, "<%d>the host sent what is no message: %s at byte %zu\n", LOG_WARNING, fault.what ?: "broken", fault.offset);
}

static void take_messages(PluginDuplex *d) {
        size_t position = 0;

        while (position < d->input->len) {
                const char *data = (const char *) d->input->data + position;
                Frame frame = frame_scan(&d->scanner, data, d->input->len - position);

                if (frame.verdict == FRAME_MORE)
                        break;
                if (frame.verdict == FRAME_MESSAGE)
                        take_message(d, (JsonRange){ data + frame.offset, frame.size });
                else if (frame.verdict == FRAME_OVERSIZE)
                        dprintf(STDERR_FILENO, "<%d>the host sent a message of more than %d bytes: dropped\n", LOG_ERR, MESSAGE_MAX);
                position += frame.consumed;
        }
        g_byte_array_remove_range(d->input, 0, (guint) position);
}

static void readable(void *userdata, int fd, short events) {
        PluginDuplex *d = userdata;
        guint used = d->input->len;
        ssize_t n;

        g_byte_array_set_size(d->input, used + READ_SIZE);
        n = read(fd, d->input->data + used, READ_SIZE);
        g_byte_array_set_size(d->input, used + (guint) MAX(n, 0));
        if (n > 0) {
                take_messages(d);
                plugin_duplex_flush(d);
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
                loop_watch_set_events(d->watch_in, 0);
                d->over(d->userdata);
        }
}

static void writable(void *userdata, int fd, short events) {
        plugin_duplex_flush(userdata);
}

void plugin_duplex_flush(PluginDuplex *d) {
        size_t written = 0;

        while (!d->broken && written < d->output->len) {
                ssize_t n = write(d->fd_out, d->output->str + written, d->output->len - written);

                if (n >= 0)
                        written += (size_t) n;
                else if (errno == EAGAIN)
                        break;
                else if (errno != EINTR)
                        d->broken = true;
        }
        g_string_erase(d->output, 0, d->broken ? -1 : (gssize) written);
        loop_watch_set_events(d->watch_out, d->output->len > 0 ? POLLOUT : 0);
}

void plugin_duplex_drain(PluginDuplex *d) {
        for (;;) {
                struct pollfd fd = { .fd = d->fd_out, .events = POLLOUT };

                plugin_duplex_flush(d);
                if (d->output->len == 0 || (poll(&fd, 1, -1) < 0 && errno != EINTR))
                        return;
        }
}

void plugin_duplex_say(PluginDuplex *d, const char *before, JsonRange value, const char *after) {
        size_t at;

        if (d->broken)
                return;
        g_string_append(d->output, before);
        at = d->output->len;
        g_string_set_size(d->output, at + value.size);
        json_copy_one_line(d->output->str + at, value);
        g_string_append(d->output, after);
        g_string_append_c(d->output, '\n');
        if (d->output->len > OUTPUT_MAX)
                plugin_duplex_drain(d);
}

/* A terminal shares this flag with the shell that started us. */
static int set_nonblocking(int fd) {
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0 || (!isatty(fd) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0))
                return -errno;
        return 0;
}

int plugin_duplex_init(PluginDuplex *d, Loop *loop, int fd_in, int fd_out) {
        int r;

        r = set_nonblocking(fd_in);
        if (r >= 0)
                r = set_nonblocking(fd_out);
        if (r < 0)
                return r;
        d->loop = loop;
        d->fd_in = fd_in;
        d->fd_out = fd_out;
        d->scanner = (FrameScanner){ .framing = FRAMING_LINES, .limit = MESSAGE_MAX };
        d->input = g_byte_array_new();
        d->output = g_string_new(NULL);
        d->watch_in = loop_watch(loop, fd_in, POLLIN, readable, d);
        d->watch_out = loop_watch(loop, fd_out, 0, writable, d);
        return d->watch_in && d->watch_out ? 0 : -ENOMEM;
}

void plugin_duplex_done(PluginDuplex *d) {
        loop_source_free(g_steal_pointer(&d->watch_in));
        loop_source_free(g_steal_pointer(&d->watch_out));
        g_clear_pointer(&d->input, g_byte_array_unref);
        if (d->output)
                g_string_free(g_steal_pointer(&d->output), TRUE);
}
