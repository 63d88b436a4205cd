/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A plugin that writes anything, through a real duplex. However its bytes are cut, and however often the duplex is paused
 * meanwhile, the same is told in the same order. The first byte of the input says how, the rest is the stream.
 */
#include "fuzz.h"

#include "duplex/duplex.h"

#include <sys/socket.h>
#include <unistd.h>

#define MESSAGE_MAX 300
#define STREAM_MAX ((size_t) 16384)

typedef struct Plugin {
        Duplex *duplex;
        GString *told;
        bool pausing;
        unsigned closed;
} Plugin;

static void told(Plugin *plugin, const char *what, const char *data, size_t size) {
        g_string_append_printf(plugin->told, "%s ", what);
        g_string_append_len(plugin->told, data, (gssize) size);
        g_string_append_c(plugin->told, '\n');
        if (plugin->pausing)
                duplex_pause(plugin->duplex, true);
}

static void on_message(Duplex *duplex, const JsonRpcMessage *message, void *userdata) {
        if (message->kind == JSONRPC_REQUEST)
                duplex_respond(duplex, message->id, message->whole);
        told(userdata, "message", message->whole.data, message->whole.size);
}

static void on_bad(Duplex *duplex, JsonRange id, const PlugindError *error, void *userdata) {
        told(userdata, "bad id", id.data ?: "", id.size);
        told(userdata, "bad", error->message, strlen(error->message));
}

static void on_skipped(Duplex *duplex, const char *line, size_t size, void *userdata) {
        told(userdata, "skipped", line, size);
}

static void on_closed(Duplex *duplex, const PlugindError *error, void *userdata) {
        Plugin *plugin = userdata;

        plugin->closed++;
        told(plugin, "closed", error->message, strlen(error->message));
}

static void settle(sd_event *event, Plugin *plugin) {
        do
                while (sd_event_run(event, 0) > 0)
                        ;
        while (plugin->pausing && ({
                       size_t before = plugin->told->len;

                       duplex_pause(plugin->duplex, false);
                       while (sd_event_run(event, 0) > 0)
                               ;
                       plugin->told->len > before;
               }));
}

/* STEP bytes at a time; 0: all at once. */
static char *run(const char *stream, size_t size, Framing framing, size_t step, bool pausing, unsigned *closed) {
        static const DuplexOps ops = { on_message, on_bad, on_skipped, on_closed };
        static sd_event *event;
        static Arena *arena;
        Plugin plugin = { .told = g_string_new(NULL), .pausing = pausing };
        int ends[2];

        if (!event && (sd_event_new(&event) < 0 || arena_new(MESSAGE_MAX, 1, &arena) < 0))
                g_error("no event loop");
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 ||
            duplex_new(event, arena, ends[0], ends[0], framing, &ops, &plugin, &plugin.duplex) < 0)
                g_error("no duplex");
        for (size_t done = 0; done < size;) {
                size_t piece = step > 0 ? MIN(step, size - done) : size;

                if (send(ends[1], stream + done, piece, MSG_NOSIGNAL) != (ssize_t) piece)
                        g_error("a socket buffer that is too small");
                done += piece;
                step += step > 0 && done % 3 == 0 ? done % 7 : 0; /* not always the same size */
                settle(event, &plugin);
        }
        shutdown(ends[1], SHUT_WR);
        settle(event, &plugin);
        duplex_free(plugin.duplex);
        close(ends[1]);
        *closed = plugin.closed;
        return g_string_free(plugin.told, FALSE);
}

char *fuzz_duplex(const uint8_t *data, size_t size) {
        g_autofree char *whole = NULL, *cut = NULL;
        unsigned how, closed_whole, closed_cut;
        Framing framing;
        const char *stream;

        if (size == 0)
                return NULL;
        how = data[0];
        framing = how & 1 ? FRAMING_HEADERS : FRAMING_LINES;
        stream = (const char *) data + 1;
        size = MIN(size - 1, STREAM_MAX);
        whole = run(stream, size, framing, 0, false, &closed_whole);
        cut = run(stream, size, framing, 1 + (how >> 2), how & 2, &closed_cut);
        if (closed_whole != 1 || closed_cut != 1)
                return g_strdup("closed() was not called once");
        return strcmp(whole, cut) == 0 ? NULL : g_strdup_printf("whole:\n%s\ncut:\n%s", whole, cut);
}
