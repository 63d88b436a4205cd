/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Plain JSON-RPC 2.0: connected is active, nothing is reserved, nothing is shared but the ids. */
#include "duplex/dialect-common.h"

static int jsonrpc_new(const DialectOps *ops, const DialectSetup *setup, const DialectPeer *peer, void *userdata, Deadlines *deadlines,
                       Dialect **ret) {
        Dialect *d = g_new(Dialect, 1);

        *d = (Dialect){ .ops = ops, .peer = peer, .userdata = userdata };
        *ret = d;
        return 0;
}

static Dialect *jsonrpc_free(Dialect *d) {
        g_free(d);
        return NULL;
}

static void jsonrpc_connected(Dialect *d) {
        d->peer->greeted(d->userdata, &(DialectGreeting){});
}

static void jsonrpc_disconnected(Dialect *d) {
}

static void jsonrpc_goodbye(Dialect *d) {
        d->peer->farewell_said(d->userdata);
}

static void jsonrpc_request(Dialect *d, const JsonRpcMessage *message) {
        d->peer->respond_error(d->userdata, message->id, JSONRPC_METHOD_NOT_FOUND, "plugind takes no requests in the dialect \"jsonrpc\"");
}

const DialectOps dialect_jsonrpc = {
        .name = "jsonrpc",
        .framing = FRAMING_LINES,
        .dialect_new = jsonrpc_new,
        .dialect_free = jsonrpc_free,
        .connected = jsonrpc_connected,
        .disconnected = jsonrpc_disconnected,
        .goodbye = jsonrpc_goodbye,
        .request = jsonrpc_request,
};
