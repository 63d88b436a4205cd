/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hand-over of an LSP server to another daemon:
 * {"greeted":true,"callers":{":1.42":["file:///a.c"]},"closing":["file:///b.c"],"greeting":{...}}
 *
 * `closing` is what nobody writes any more while the server still has it open: the documents of callers that are gone without a trace.
 */
#include "duplex/dialect-lsp.h"
#include "duplex/dialect-state.h"

#include "basic/list.h"

static void append_uris(GString *json, GHashTable *uris) {
        GHashTableIter iter;
        const char *uri;

        g_hash_table_iter_init(&iter, uris);
        while (g_hash_table_iter_next(&iter, (void **) &uri, NULL))
                dialect_state_element(json, uri);
}

void lsp_save(Dialect *d, GString *json) {
        Lsp *l = lsp(d);
        LspCaller *caller;
        GHashTableIter iter;
        const char *name;

        g_string_append_c(json, '{');
        dialect_state_json(json, "greeted", l->greeted ? "true" : "false");
        dialect_state_json(json, "callers", "{");
        g_hash_table_iter_init(&iter, l->callers);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &caller)) {
                name = dialect_caller_name(d, caller->caller);
                if (!name || g_hash_table_size(caller->documents) == 0)
                        continue;
                dialect_state_json(json, name, "[");
                append_uris(json, caller->documents);
                g_string_append_c(json, ']');
        }
        g_string_append_c(json, '}');
        if (l->closing) {
                dialect_state_json(json, "closing", "[");
                append_uris(json, l->closing);
                g_string_append_c(json, ']');
        }
        if (l->greeting)
                dialect_state_json(json, "greeting", l->greeting);
        g_string_append_c(json, '}');
}

static void close_later(Lsp *l, const char *uri) {
        if (!l->closing)
                l->closing = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_hash_table_add(l->closing, g_strdup(uri));
}

static int restore_caller(Lsp *l, JsonRange name, JsonRange documents) {
        g_autoptr(GHashTable) uris = NULL;
        GHashTableIter iter;
        Caller *caller;
        const char *uri;
        int r;

        if (json_type(documents) != JSON_ARRAY)
                return -EBADMSG;
        r = dialect_state_caller(&l->dialect, name, &caller);
        if (r >= 0)
                r = dialect_state_uris(documents, DIALECT_DOCUMENTS_MAX, &uris);
        if (r < 0 || (caller && g_hash_table_contains(l->callers, caller)))
                return -EBADMSG;
        g_hash_table_iter_init(&iter, uris);
        while (g_hash_table_iter_next(&iter, (void **) &uri, NULL)) {
                if (g_hash_table_contains(l->writers, uri))
                        return -EBADMSG;
                if (caller)
                        lsp_open(l, lsp_caller(l, caller), uri);
                else
                        close_later(l, uri);
        }
        return 0;
}

static int restore_callers(Lsp *l, JsonRange state) {
        JsonRange callers, closing, name, documents;
        g_autoptr(GHashTable) uris = NULL;
        GHashTableIter iter;
        size_t cursor = 0;
        const char *uri;
        int r;

        r = dialect_state_member(state, "callers", JSON_OBJECT, &callers);
        while (r >= 0 && callers.data && json_next(callers, &cursor, &name, &documents))
                r = restore_caller(l, name, documents);
        if (r >= 0)
                r = dialect_state_member(state, "closing", JSON_ARRAY, &closing);
        if (r >= 0)
                r = dialect_state_uris(closing, SIZE_MAX, &uris);
        if (r < 0)
                return r;
        g_hash_table_iter_init(&iter, uris);
        while (g_hash_table_iter_next(&iter, (void **) &uri, NULL))
                close_later(l, uri);
        return 0;
}

int lsp_restore(Dialect *d, JsonRange state, bool connected) {
        LspCaller *caller;
        GHashTableIter iter;
        Lsp *l = lsp(d);
        bool greeted;
        int r;

        r = dialect_state_open(state, &state);
        if (r >= 0)
                r = dialect_state_flag(state, "greeted", &greeted);
        if (r >= 0)
                r = dialect_state_object(state, "greeting", &l->greeting);
        if (r >= 0 && connected) {
                r = greeted ? restore_callers(l, state) : -EBADMSG;
                l->greeted = true;
        }
        if (r < 0)
                return r;
        if (l->closing)
                deadline_arm(l->deadlines, &l->resume, 0);
        g_hash_table_iter_init(&iter, l->callers);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &caller))
                if (d->peer->holds)
                        d->peer->holds(d->userdata, caller->caller);
        return 0;
}

void lsp_resume(Lsp *l) {
        g_autoptr(GHashTable) closing = g_steal_pointer(&l->closing);
        GHashTableIter iter;
        const char *uri;

        if (!closing)
                return;
        deadline_disarm(l->deadlines, &l->resume);
        g_hash_table_iter_init(&iter, closing);
        while (g_hash_table_iter_next(&iter, (void **) &uri, NULL))
                if (!g_hash_table_contains(l->writers, uri))
                        lsp_close(l, uri);
        dialect_changed(&l->dialect);
}

void lsp_resume_expired(Deadline *deadline) {
        lsp_resume(list_entry(deadline, Lsp, resume));
}
