/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A plugin that writes anything, through a real duplex. However its bytes are cut, and however often the duplex is paused or handed over to
 * another daemon meanwhile, the same is told in the same order, but for answers, which have an order of their own: they may overtake
 * the rest in a hand-over. The first byte of the input says how, the rest is the stream.
 */
#include "fuzz.h"

#include "duplex/duplex.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGE_MAX 300
#define STREAM_MAX ((size_t) 16384)

typedef struct Plugin {
        Duplex *duplex;
        Framing framing;
        GString *told, *answers;
        bool pausing, held;
        unsigned closed;
} Plugin;

static sd_event *event;
static Arena *arena;

static void write_down(GString *where, const char *what, const char *data, size_t size) {
        g_string_append_printf(where, "%s ", what);
        g_string_append_len(where, data, (gssize) size);
        g_string_append_c(where, '\n');
}

static void told(Plugin *plugin, const char *what, const char *data, size_t size) {
        if (plugin->held && !g_str_equal(what, "closed"))
                g_error("told while held: %s", what);
        write_down(plugin->told, what, data, size);
        if (plugin->pausing)
                duplex_pause(plugin->duplex, true);
}

static bool is_answer(const JsonRpcMessage *message) {
        return message->kind == JSONRPC_RESULT || message->kind == JSONRPC_ERROR;
}

static bool on_ahead(Duplex *duplex, const JsonRpcMessage *message, void *userdata) {
        Plugin *plugin = userdata;

        if (!is_answer(message))
                return false;
        write_down(plugin->answers, "answer", message->whole.data, message->whole.size);
        return true;
}

static void on_message(Duplex *duplex, const JsonRpcMessage *message, void *userdata) {
        Plugin *plugin = userdata;

        if (message->kind == JSONRPC_REQUEST)
                duplex_respond(duplex, message->id, message->whole);
        if (is_answer(message))
                write_down(plugin->answers, "answer", message->whole.data, message->whole.size);
        else
                told(plugin, "message", message->whole.data, message->whole.size);
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

static void settle(Plugin *plugin) {
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

static const DuplexOps ops = { on_message, on_bad, on_skipped, on_closed, .ahead = on_ahead };

static void hand_over(Plugin *plugin, int fd) {
        int fds[_ARENA_FD_MAX], copies[_ARENA_FD_MAX], copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        unsigned slot = duplex_slot(plugin->duplex);

        arena_descriptors(arena, fds);
        for (int i = 0; i < _ARENA_FD_MAX; i++)
                copies[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
        arena_keep(arena);
        duplex_free(plugin->duplex);
        arena_free(arena);
        plugin->held = false;
        if (arena_adopt(copies, MESSAGE_MAX, 2, &arena) < 0 ||
            duplex_adopt(event, arena, slot, copy, copy, plugin->framing, &ops, plugin, &plugin->duplex) < 0)
                g_error("no duplex to take over");
        arena_adopted(arena);
}

/* Held, and handed over, now and then. */
static void change_hands(Plugin *plugin, int fd, size_t done) {
        if (plugin->closed > 0)
                return;
        if (plugin->held || done % 5 == 0)
                hand_over(plugin, fd);
        else if (done % 4 < 2) {
                plugin->held = true;
                duplex_hold(plugin->duplex);
        }
}

/* STEP bytes at a time; 0: all at once. */
static char *run(const char *stream, size_t size, Framing framing, size_t step, bool pausing, bool changing, unsigned *closed) {
        Plugin plugin = { .framing = framing, .told = g_string_new(NULL), .answers = g_string_new(NULL), .pausing = pausing };
        int ends[2], kept;

        if (!event && (sd_event_new(&event) < 0 || arena_new(MESSAGE_MAX, 1, &arena) < 0))
                g_error("no event loop");
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 || (kept = fcntl(ends[0], F_DUPFD_CLOEXEC, 3)) < 0 ||
            duplex_new(event, arena, ends[0], ends[0], framing, &ops, &plugin, &plugin.duplex) < 0)
                g_error("no duplex");
        for (size_t done = 0; done < size;) {
                size_t piece = step > 0 ? MIN(step, size - done) : size;

                if (send(ends[1], stream + done, piece, MSG_NOSIGNAL) != (ssize_t) piece)
                        g_error("a socket buffer that is too small");
                done += piece;
                step += step > 0 && done % 3 == 0 ? done % 7 : 0; /* not always the same size */
                if (changing && done % 2 == 0)
                        change_hands(&plugin, kept, done);
                settle(&plugin);
                if (changing)
                        change_hands(&plugin, kept, done);
        }
        if (plugin.held && plugin.closed == 0)
                hand_over(&plugin, kept);
        shutdown(ends[1], SHUT_WR);
        settle(&plugin);
        duplex_free(plugin.duplex);
        close(ends[1]);
        close(kept);
        *closed = plugin.closed;
        g_string_append(plugin.told, plugin.answers->str);
        g_string_free(plugin.answers, TRUE);
        return g_string_free(plugin.told, FALSE);
}

static char *compare(const char *whole, const char *cut, unsigned closed_whole, unsigned closed_cut, const char *how) {
        if (closed_whole != 1 || closed_cut != 1)
                return g_strdup_printf("closed() was not called once (%s)", how);
        return strcmp(whole, cut) == 0 ? NULL : g_strdup_printf("whole:\n%s\n%s:\n%s", whole, how, cut);
}

char *fuzz_duplex(const uint8_t *data, size_t size) {
        g_autofree char *whole = NULL, *cut = NULL, *changed = NULL;
        unsigned how, closed_whole, closed_cut, closed_changed;
        Framing framing;
        const char *stream;

        if (size == 0)
                return NULL;
        how = data[0];
        framing = how & 1 ? FRAMING_HEADERS : FRAMING_LINES;
        stream = (const char *) data + 1;
        size = MIN(size - 1, STREAM_MAX);
        whole = run(stream, size, framing, 0, false, false, &closed_whole);
        cut = run(stream, size, framing, 1 + (how >> 2), how & 2, false, &closed_cut);
        changed = run(stream, size, framing, 1 + (how >> 2), how & 2, true, &closed_changed);
        return compare(whole, cut, closed_whole, closed_cut, "cut") ?: compare(whole, changed, closed_whole, closed_changed, "handed over");
}
