/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One language server for many callers.
 *
 * A server has one text of a document, so each document has one writer: the caller that opened it. Others read what it wrote. When the
 * writer leaves, the host closes its documents. When the server restarts, all documents are closed, as they are in the server: the host
 * keeps no texts, so it could not open them again, and what it does not know it must not pretend. Their writers hear of it by
 * StateChanged or by the refusal of their next didChange, and open them again.
 */
#include "duplex/dialect-lsp.h"

#define TOKEN_PREFIX "plugind:"
#define TOKEN_MAX (sizeof(TOKEN_PREFIX) + 32) /* of our own tokens */

static const DialectReserved reserved[] = {
        { "shutdown", "use Session.SetActiveState(\"inactive\")" },
        { "exit", "use Session.SetActiveState(\"inactive\")" },
        { "$/cancelRequest", "use Session.Cancel with the id of your Send" },
        { "$/setTrace", "the trace of a shared server is not one caller's" },
        {},
};

static void tracked_free(void *p) {
        LspTracked *tracked = p;

        g_free(tracked->work_done);
        g_free(tracked->partial_result);
        g_free(tracked);
}

static void caller_state_free(void *p) {
        LspCaller *caller = p;

        g_hash_table_unref(caller->documents);
        g_free(caller);
}

void lsp_share_init(Lsp *l) {
        l->writers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        l->callers = g_hash_table_new_full(NULL, NULL, NULL, caller_state_free);
        l->tracked = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, tracked_free);
}

void lsp_share_done(Lsp *l) {
        g_hash_table_unref(l->callers);
        g_hash_table_unref(l->writers);
        g_hash_table_unref(l->tracked);
        deadline_disarm(l->deadlines, &l->resume);
        g_clear_pointer(&l->closing, g_hash_table_unref);
}

/* Documents */

static DialectVerdict refuse_busy(Lsp *l, DialectOutgoing *message, const char *uri, const LspCaller *writer) {
        const char *name = dialect_caller_name(&l->dialect, writer->caller);

        return dialect_refuse(message, PLUGIND_ERROR_BUSY,
                              "\"%s\": %s is open for writing by %s, and until it is closed only requests pass", message->method, uri,
                              name ?: "another caller");
}

/* The URI of the document that METHOD is about, decoded, or a refusal. */
static DialectVerdict read_uri(DialectOutgoing *message, char **ret) {
        JsonRange document, uri;

        if (!dialect_member(message->params, "textDocument", &document) || !dialect_member(document, "uri", &uri) ||
            json_type(uri) != JSON_STRING)
                return dialect_refuse(message, PLUGIND_ERROR_INVALID_ARGS,
                                      "the params of \"%s\": textDocument.uri: found none, expected a string", message->method);
        if (uri.size > DIALECT_URI_MAX)
                return dialect_refuse(message, PLUGIND_ERROR_LIMITS_EXCEEDED,
                                      "the params of \"%s\": textDocument.uri is %zu bytes long, at most %d are allowed", message->method,
                                      uri.size, DIALECT_URI_MAX);
        *ret = json_string_decode(uri);
        if (*ret)
                return DIALECT_FORWARD;
        return dialect_refuse(message, PLUGIND_ERROR_INVALID_ARGS, "the params of \"%s\": textDocument.uri: found a NUL in it",
                              message->method);
}

LspCaller *lsp_caller(Lsp *l, Caller *caller) {
        LspCaller *state = g_hash_table_lookup(l->callers, caller);

        if (!state) {
                state = g_new(LspCaller, 1);
                *state = (LspCaller){ .caller = caller, .documents = g_hash_table_new(g_str_hash, g_str_equal) };
                g_hash_table_insert(l->callers, caller, state);
        }
        return state;
}

void lsp_open(Lsp *l, LspCaller *writer, const char *uri) {
        char *key = g_strdup(uri);

        g_hash_table_insert(l->writers, key, writer);
        g_hash_table_add(writer->documents, key);
}

static DialectVerdict open_document(Lsp *l, DialectOutgoing *message, const char *uri) {
        LspCaller *caller = lsp_caller(l, message->caller);

        if (g_hash_table_size(caller->documents) >= DIALECT_DOCUMENTS_MAX)
                return dialect_refuse(message, PLUGIND_ERROR_LIMITS_EXCEEDED,
                                      "textDocument/didOpen: a caller can hold %d documents open in a server, and you do",
                                      DIALECT_DOCUMENTS_MAX);
        lsp_open(l, caller, uri);
        message->holds = true;
        dialect_changed(&l->dialect);
        return DIALECT_FORWARD;
}

static void close_document(Lsp *l, LspCaller *writer, const char *uri) {
        g_hash_table_remove(writer->documents, uri);
        g_hash_table_remove(l->writers, uri);
        dialect_changed(&l->dialect);
}

/* textDocument/did* and will*. */
static DialectVerdict judge_document(Lsp *l, DialectOutgoing *message) {
        bool opens = g_str_equal(message->method, "textDocument/didOpen"), closes = g_str_equal(message->method, "textDocument/didClose");
        g_autofree char *uri = NULL;
        LspCaller *writer;

        if (read_uri(message, &uri) == DIALECT_REFUSE)
                return DIALECT_REFUSE;
        writer = g_hash_table_lookup(l->writers, uri);
        if (writer && writer->caller != message->caller)
                return refuse_busy(l, message, uri, writer);
        if (writer && closes)
                close_document(l, writer, uri);
        if (writer)
                return DIALECT_FORWARD;
        if (opens)
                return open_document(l, message, uri);
        if (closes)
                return dialect_swallow(message);
        return dialect_refuse(message, PLUGIND_ERROR_INVALID_ARGS,
                              "\"%s\": %s is not open: send textDocument/didOpen first (a restart of the server closes all documents)",
                              message->method, uri);
}

/* workspace/did*, will* and executeCommand change what somebody's documents mean: while others write, they are the writers' to say. */
static DialectVerdict judge_workspace(Lsp *l, DialectOutgoing *message) {
        LspCaller *caller = g_hash_table_lookup(l->callers, message->caller), *writer;
        GHashTableIter iter;
        const char *uri;

        if (g_hash_table_size(l->writers) == 0 || (caller && g_hash_table_size(caller->documents) > 0))
                return DIALECT_FORWARD;
        g_hash_table_iter_init(&iter, l->writers);
        g_hash_table_iter_next(&iter, (void **) &uri, (void **) &writer);
        return refuse_busy(l, message, uri, writer);
}

/* METHOD is one of FAMILY that tells of a change: did* or will*. */
static bool tells(const char *method, const char *family) {
        size_t size = strlen(family);

        return strncmp(method, family, size) == 0 && (g_str_has_prefix(method + size, "did") || g_str_has_prefix(method + size, "will"));
}

static DialectVerdict judge_change(Lsp *l, DialectOutgoing *message) {
        bool document = tells(message->method, "textDocument/");

        if (!document && !tells(message->method, "workspace/") && !tells(message->method, "notebookDocument/") &&
            !g_str_equal(message->method, "workspace/executeCommand"))
                return DIALECT_FORWARD;
        if (message->id > 0 && g_str_has_prefix(strchr(message->method, '/') + 1, "did"))
                return dialect_refuse(message, PLUGIND_ERROR_INVALID_ARGS, "\"%s\" is a notification: use Session.Notify", message->method);
        return document ? judge_document(l, message) : judge_workspace(l, message);
}

/* Tokens */

static LspTracked *track(Lsp *l, DialectOutgoing *message) {
        LspTracked *tracked = g_hash_table_lookup(l->tracked, &message->id);

        if (!tracked) {
                tracked = g_new(LspTracked, 1);
                *tracked = (LspTracked){ .id = message->id, .caller = message->caller };
                g_hash_table_insert(l->tracked, &tracked->id, tracked);
        }
        message->tracked = true;
        return tracked;
}

/* Replaces VALUE, a token in MESSAGE.params, by one that names the request. *DONE is up to where the params have been copied. */
static int replace_token(Lsp *l, DialectOutgoing *message, JsonRange value, bool partial, const char **done) {
        LspTracked *tracked = track(l, message);
        char **given = partial ? &tracked->partial_result : &tracked->work_done;

        if (value.size > DIALECT_TOKEN_MAX)
                return plugind_error_set(&message->error, PLUGIND_ERROR_LIMITS_EXCEEDED,
                                         "the params of \"%s\": the %s token is %zu bytes long, at most %d are allowed", message->method,
                                         partial ? "partial result" : "work done", value.size, DIALECT_TOKEN_MAX);
        if (!message->rewritten)
                message->rewritten = g_string_sized_new(message->params.size + 64);
        g_string_append_len(message->rewritten, *done, value.data - *done);
        g_string_append_printf(message->rewritten, "\"" TOKEN_PREFIX "%c:%" PRIu64 "\"", partial ? 'p' : 'w', message->id);
        *done = value.data + value.size;
        g_free(*given);
        *given = dialect_dup(value);
        return 0;
}

static DialectVerdict rewrite_tokens(Lsp *l, DialectOutgoing *message) {
        const char *done = message->params.data;
        JsonRange key, value;
        size_t cursor = 0;

        if (message->id == 0 || !message->params.data || json_type(message->params) != JSON_OBJECT)
                return DIALECT_FORWARD;
        while (json_next(message->params, &cursor, &key, &value)) {
                bool partial = json_string_equals(key, "partialResultToken");
                JsonType type = json_type(value);

                if ((!partial && !json_string_equals(key, "workDoneToken")) || (type != JSON_STRING && type != JSON_NUMBER))
                        continue;
                if (replace_token(l, message, value, partial, &done) < 0) {
                        g_hash_table_remove(l->tracked, &message->id);
                        message->tracked = false;
                        if (message->rewritten)
                                g_string_free(g_steal_pointer(&message->rewritten), TRUE);
                        return DIALECT_REFUSE;
                }
        }
        if (message->rewritten)
                g_string_append_len(message->rewritten, done, message->params.data + message->params.size - done);
        return DIALECT_FORWARD;
}

/* window/workDoneProgress/cancel: a token of the caller's own pending request becomes ours; those that the server made are everybody's. */
static DialectVerdict judge_progress_cancel(Lsp *l, DialectOutgoing *message) {
        LspTracked *tracked;
        GHashTableIter iter;
        JsonRange token;

        if (!dialect_member(message->params, "token", &token))
                return DIALECT_FORWARD;
        g_hash_table_iter_init(&iter, l->tracked);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &tracked))
                if (tracked->caller == message->caller && tracked->work_done && strlen(tracked->work_done) == token.size &&
                    memcmp(tracked->work_done, token.data, token.size) == 0) {
                        message->rewritten = g_string_new(NULL);
                        g_string_printf(message->rewritten, "{\"token\":\"" TOKEN_PREFIX "w:%" PRIu64 "\"}", tracked->id);
                        return DIALECT_FORWARD;
                }
        return dialect_refuse(
                message, PLUGIND_ERROR_NOT_SUPPORTED,
                "\"%s\": none of your pending requests has this workDoneToken, and a server's own progress is not one caller's "
                "to cancel",
                message->method);
}

DialectVerdict lsp_outgoing(Dialect *d, DialectOutgoing *message) {
        const DialectReserved *entry = dialect_reserved(reserved, message->method);
        DialectVerdict verdict;
        Lsp *l = lsp(d);

        lsp_resume(l);
        if (entry)
                return dialect_refuse_reserved(message, entry);
        if (g_str_equal(message->method, "initialize"))
                return dialect_answer_greeting(message, l->greeting);
        if (g_str_equal(message->method, "initialized"))
                return dialect_swallow(message);
        if (g_str_equal(message->method, "window/workDoneProgress/cancel"))
                return judge_progress_cancel(l, message);
        verdict = judge_change(l, message);
        return verdict == DIALECT_FORWARD ? rewrite_tokens(l, message) : verdict;
}

void lsp_finished(Dialect *d, uint64_t id, JsonRange result) {
        g_hash_table_remove(lsp(d)->tracked, &id);
}

/* "plugind:w:ID" or "plugind:p:ID"; false if the token is not one of ours. */
static bool parse_token(JsonRange token, char *kind, uint64_t *id) {
        g_autofree char *text = NULL;

        if (json_type(token) != JSON_STRING || token.size > TOKEN_MAX)
                return false;
        text = json_string_decode(token);
        if (!text || !g_str_has_prefix(text, TOKEN_PREFIX) || strlen(text) < strlen(TOKEN_PREFIX "w:1"))
                return false;
        *kind = text[strlen(TOKEN_PREFIX)];
        return g_ascii_string_to_unsigned(text + strlen(TOKEN_PREFIX "w:"), 10, 1, UINT64_MAX, id, NULL);
}

/* Progress with a token of ours is for the caller whose request it is; with one that the server made, for all. */
void lsp_notification(Dialect *d, DialectIncoming *message) {
        LspTracked *tracked;
        const char *given;
        JsonRange token;
        uint64_t id;
        char kind;

        if (!json_string_equals(message->method, "$/progress") || !dialect_member(message->params, "token", &token) ||
            !parse_token(token, &kind, &id))
                return;
        message->audience = DIALECT_TO_NOBODY;
        tracked = g_hash_table_lookup(lsp(d)->tracked, &id);
        given = !tracked ? NULL : kind == 'p' ? tracked->partial_result : tracked->work_done;
        if (!given)
                return;
        message->audience = DIALECT_TO_REQUEST;
        message->request = id;
        message->rewritten = dialect_replace(message->params, token, given, strlen(given));
}

void lsp_share_disconnected(Lsp *l) {
        g_hash_table_remove_all(l->callers);
        g_hash_table_remove_all(l->writers);
        g_hash_table_remove_all(l->tracked);
        deadline_disarm(l->deadlines, &l->resume);
        g_clear_pointer(&l->closing, g_hash_table_unref);
}

void lsp_close(Lsp *l, const char *uri) {
        g_autoptr(GString) params = g_string_new("{\"textDocument\":{");

        dialect_append_text(params, "uri", uri);
        g_string_append(params, "}}");
        (void) l->dialect.peer->notify(l->dialect.userdata, "textDocument/didClose", dialect_range(params));
}

void lsp_caller_gone(Dialect *d, Caller *gone) {
        Lsp *l = lsp(d);
        LspCaller *caller = g_hash_table_lookup(l->callers, gone);
        GHashTableIter iter;
        const char *uri;

        if (!caller)
                return;
        g_hash_table_iter_init(&iter, caller->documents);
        while (g_hash_table_iter_next(&iter, (void **) &uri, NULL)) {
                if (l->greeted)
                        lsp_close(l, uri);
                g_hash_table_iter_remove(&iter);
                g_hash_table_remove(l->writers, uri);
        }
        g_hash_table_remove(l->callers, gone);
        dialect_changed(d);
}
