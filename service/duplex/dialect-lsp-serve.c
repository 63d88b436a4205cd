/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a language server asks its client, answered by the host: callers come and go, and none of them speaks for all. */
#include "duplex/dialect-lsp.h"

/* Each may cost a look through the whole configuration. */
#define ITEMS_MAX 256

typedef struct FixedAnswer {
        const char *method, *result;
} FixedAnswer;

static const FixedAnswer fixed[] = {
        { "client/registerCapability", "null" },
        { "client/unregisterCapability", "null" },
        { "window/workDoneProgress/create", "null" },
        { "window/showMessageRequest", "null" },
        { "window/showDocument", "{\"success\":false}" },
        { "workspace/applyEdit", "{\"applied\":false,\"failureReason\":\"plugind applies no edits\"}" },
        { "workspace/semanticTokens/refresh", "null" },
        { "workspace/codeLens/refresh", "null" },
        { "workspace/inlayHint/refresh", "null" },
        { "workspace/inlineValue/refresh", "null" },
        { "workspace/diagnostic/refresh", "null" },
        { "workspace/foldingRange/refresh", "null" },
        { "workspace/textDocumentContent/refresh", "null" },
};

/* The member that SECTION ("a.b") means: "a.b" itself, else b of a. */
static JsonRange find_section(JsonRange configuration, const char *section) {
        g_auto(GStrv) steps = NULL;
        JsonRange found;

        if (dialect_member(configuration, section, &found))
                return found;
        steps = g_strsplit(section, ".", -1);
        found = configuration;
        for (char **step = steps; *step; step++)
                if (!dialect_member(found, *step, &found))
                        return JSON_RANGE("null");
        return found;
}

static JsonRange configuration_for(Lsp *l, JsonRange item) {
        JsonRange configuration = JSON_RANGE(l->configuration), section, value;
        g_autofree char *name = NULL;
        size_t cursor = 0;

        if (!json_next(configuration, &cursor, NULL, &value))
                return JSON_RANGE("null");
        name = dialect_member(item, "section", &section) ? json_string_decode(section) : NULL;
        /* A section is looked up step by step, and no configuration is deeper than this. */
        return !name || !*name ? configuration : strlen(name) > DIALECT_TOKEN_MAX ? JSON_RANGE("null") : find_section(configuration, name);
}

static void refuse_configuration(Lsp *l, const JsonRpcMessage *message, const char *why) {
        (void) l->dialect.peer->respond_error(l->dialect.userdata, message->id, JSONRPC_INVALID_PARAMS, why);
}

static void answer_configuration(Lsp *l, const JsonRpcMessage *message) {
        g_autoptr(GString) result = g_string_new("[");
        JsonRange items, item, value;
        size_t cursor = 0;

        if (!dialect_member(message->params, "items", &items) || json_type(items) != JSON_ARRAY)
                return refuse_configuration(l, message, "workspace/configuration: items: expected an array");
        for (unsigned n = 1; json_next(items, &cursor, NULL, &item); n++) {
                value = configuration_for(l, item);
                if (n > ITEMS_MAX || result->len + value.size + 256 > l->message_max)
                        return refuse_configuration(l, message,
                                                    "workspace/configuration: expected at most " G_STRINGIFY(
                                                            ITEMS_MAX) " items, and an answer within the limit of a message");
                if (result->len > 1)
                        g_string_append_c(result, ',');
                g_string_append_len(result, value.data, (gssize) value.size);
        }
        g_string_append_c(result, ']');
        (void) l->dialect.peer->respond(l->dialect.userdata, message->id, dialect_range(result));
}

void lsp_request(Dialect *d, const JsonRpcMessage *message) {
        g_autofree char *quoted = NULL, *text = NULL;

        if (json_string_equals(message->method, "workspace/configuration"))
                return answer_configuration(lsp(d), message);
        if (json_string_equals(message->method, "workspace/workspaceFolders")) {
                (void) d->peer->respond(d->userdata, message->id, JSON_RANGE(lsp(d)->folders));
                return;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(fixed); i++)
                if (json_string_equals(message->method, fixed[i].method)) {
                        (void) d->peer->respond(d->userdata, message->id, JSON_RANGE(fixed[i].result));
                        return;
                }
        quoted = json_quote(message->method.data, message->method.size);
        text = g_strdup_printf("plugind does not answer %s", quoted);
        (void) d->peer->respond_error(d->userdata, message->id, JSONRPC_METHOD_NOT_FOUND, text);
}
