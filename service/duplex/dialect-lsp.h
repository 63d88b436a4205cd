/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside of the LSP dialect: what its files share. dialect-lsp.c greets, dialect-lsp-serve.c answers the server's requests,
 * dialect-lsp-share.c lets callers share one server, dialect-lsp-state.c is its hand-over to another daemon. */
#pragma once

#include "duplex/dialect-common.h"

/* What one caller holds in the server. */
typedef struct LspCaller {
        Caller *caller;
        GHashTable *documents; /* URIs, owned by Lsp.writers */
} LspCaller;

/* A request with tokens, and what they were; JSON text or NULL. */
typedef struct LspTracked {
        uint64_t id;
        Caller *caller;
        char *work_done, *partial_result;
} LspTracked;

typedef struct Lsp {
        Dialect dialect;
        Deadlines *deadlines;
        char *configuration;          /* JSON object */
        char *root_uri;               /* or NULL */
        char *folders;                /* JSON: of workspace/workspaceFolders */
        char *initialization_options; /* JSON, or NULL */
        size_t message_max;
        char *greeting; /* the result of initialize; NULL: none yet, or too large to be kept */
        bool greeted;   /* this connection is */

        GHashTable *writers; /* URI -> LspCaller */
        GHashTable *callers; /* Caller -> LspCaller */
        GHashTable *tracked; /* by id */

        GHashTable *closing; /* URIs that nobody writes any more and the server has open, after a hand-over; else NULL */
        Deadline resume;     /* armed with that */
} Lsp;

static inline Lsp *lsp(Dialect *d) {
        return (Lsp *) d;
}

/* dialect-lsp-serve.c */
void lsp_request(Dialect *d, const JsonRpcMessage *message);

/* dialect-lsp-share.c */
void lsp_share_init(Lsp *l);
void lsp_share_done(Lsp *l);
void lsp_share_disconnected(Lsp *l);
LspCaller *lsp_caller(Lsp *l, Caller *caller); /* made if it is not there */
void lsp_open(Lsp *l, LspCaller *writer, const char *uri);
void lsp_close(Lsp *l, const char *uri); /* tells the server */
DialectVerdict lsp_outgoing(Dialect *d, DialectOutgoing *message);
void lsp_finished(Dialect *d, uint64_t id, JsonRange result);
void lsp_notification(Dialect *d, DialectIncoming *message);
void lsp_caller_gone(Dialect *d, Caller *caller);

/* dialect-lsp-state.c */
void lsp_save(Dialect *d, GString *json);
int lsp_restore(Dialect *d, JsonRange state, bool connected);
void lsp_resume(Lsp *l); /* says what a restored dialect has to say before all else */
void lsp_resume_expired(Deadline *deadline);
