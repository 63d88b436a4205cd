/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a dialect is to restore from, which another daemon wrote, perhaps one of another version, or nobody. It is refused or taken; what is
 * taken is saved and restored again as the same, and the dialect goes on with it to its end. The first byte of the input says for whom, the
 * rest is the state.
 */
#include "fuzz.h"

#include "duplex/dialect-common.h"

typedef struct Asked {
        DialectAnswered answered;
        void *userdata;
} Asked;

/* One session. */
typedef struct Peer {
        Dialect *dialect;
        GArray *asked;  /* Asked: requests of the host's own that are not answered */
        unsigned known; /* callers: ":1.0" and so on */
} Peer;

static const char *const names[] = { ":1.0", ":1.1", ":1.2" };

static void check_params(JsonRange params) {
        JsonFault fault;

        if (params.data && json_check(params, NULL, &fault) < 0)
                g_error("params that are no JSON: %.*s", (int) params.size, params.data);
}

static int on_request(void *peer, const char *method, JsonRange params, uint64_t timeout_usec, DialectAnswered answered, void *userdata) {
        Asked asked = { answered, userdata };

        g_array_append_val(((Peer *) peer)->asked, asked);
        check_params(params);
        return 0;
}

static int on_notify(void *peer, const char *method, JsonRange params) {
        check_params(params);
        return 0;
}

static void on_log(void *peer, int priority, const char *format, ...) {
}

static const char *on_caller_name(void *peer, Caller *caller) {
        return names[GPOINTER_TO_UINT(caller) - 1];
}

static Caller *on_find_caller(void *peer, const char *name) {
        for (unsigned i = 0; i < ((Peer *) peer)->known; i++)
                if (g_str_equal(names[i], name))
                        return GUINT_TO_POINTER(i + 1);
        return NULL;
}

static void on_farewell_said(void *peer) {
}

static const DialectPeer peer_ops = {
        .request = on_request,
        .notify = on_notify,
        .farewell_said = on_farewell_said,
        .log = on_log,
        .caller_name = on_caller_name,
        .find_caller = on_find_caller,
};

static Deadlines *deadlines(void) {
        static Deadlines *all;
        static sd_event *event;

        if (!all && (sd_event_new(&event) < 0 || deadlines_new(event, &all) < 0))
                g_error("no event loop");
        return all;
}

static void begin(Peer *peer, const DialectOps *ops, unsigned known) {
        static const DialectSetup setup = { .session = "s", .configuration = "{}", .message_max = 1 << 20 };

        *peer = (Peer){ .asked = g_array_new(FALSE, FALSE, sizeof(Asked)), .known = known };
        if (ops->dialect_new(ops, &setup, &peer_ops, peer, deadlines(), &peer->dialect) < 0)
                g_error("no dialect");
}

static void end(Peer *peer) {
        PlugindError lost = { PLUGIND_ERROR_CONNECTION_LOST, (char *) "gone" };

        for (unsigned i = 0; i < peer->asked->len; i++) {
                Asked asked = g_array_index(peer->asked, Asked, i);

                asked.answered(peer->dialect, (JsonRange){}, &lost, (JsonRange){}, asked.userdata);
        }
        peer->dialect->ops->disconnected(peer->dialect);
        peer->dialect = dialect_free(peer->dialect);
        g_array_unref(peer->asked);
}

static GString *save(Peer *peer) {
        GString *state = g_string_new(NULL);

        peer->dialect->ops->save(peer->dialect, state);
        return state;
}

/* All callers leave, then the host. */
static void go_on(Peer *peer) {
        const DialectOps *ops = peer->dialect->ops;
        DialectOutgoing message = { .caller = GUINT_TO_POINTER(1), .id = 7, .method = "tools/list" };

        if (ops->outgoing(peer->dialect, &message) != DIALECT_FORWARD)
                plugind_error_clear(&message.error);
        if (message.rewritten)
                g_string_free(message.rewritten, TRUE);
        ops->cancel(peer->dialect, 99, NULL);
        for (unsigned i = 0; ops->caller_gone && i < G_N_ELEMENTS(names); i++)
                ops->caller_gone(peer->dialect, GUINT_TO_POINTER(i + 1));
        ops->goodbye(peer->dialect);
}

static char *check(Peer *peer, Peer *again, JsonRange state, bool connected) {
        g_autoptr(GString) saved = NULL, twice = NULL;
        int r = peer->dialect->ops->restore(peer->dialect, state, connected);

        if (r < 0)
                return r == -EBADMSG ? NULL : g_strdup_printf("restore() gave %d", r);
        saved = save(peer);
        if (saved->len > 8 * state.size + 256)
                return g_strdup_printf("%zu bytes of state became %zu", state.size, saved->len);
        r = again->dialect->ops->restore(again->dialect, dialect_range(saved), connected);
        if (r < 0)
                return g_strdup_printf("its own state was refused: %s", saved->str);
        twice = save(again);
        if (twice->len != saved->len) /* the order is that of hash tables */
                return g_strdup_printf("%s became %s", saved->str, twice->str);
        go_on(peer);
        return NULL;
}

char *fuzz_dialect_state(const uint8_t *data, size_t size) {
        static const DialectOps *const dialects[] = { &dialect_plugind, &dialect_lsp, &dialect_mcp };
        const DialectOps *ops;
        Peer peer, again;
        char *complaint;

        if (size == 0)
                return NULL;
        ops = dialects[(data[0] & 3) % G_N_ELEMENTS(dialects)];
        begin(&peer, ops, data[0] >> 3 & 3);
        begin(&again, ops, data[0] >> 3 & 3);
        complaint = check(&peer, &again, (JsonRange){ (const char *) data + 1, size - 1 }, data[0] & 4);
        end(&peer);
        end(&again);
        return complaint;
}
