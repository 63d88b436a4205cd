/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The Language Server Protocol, 3.17: how a server is greeted and left.
 *
 * `processId` is null: servers watch that process and exit with it, and a server has to outlive a restart of plugind. The
 * capabilities are those that a client behind the host can live up to: nothing is registered dynamically, since the
 * registrations of one server cannot be told to callers that come later, and diagnostics are not pulled, since servers that could be
 * asked for them stop to publish them.
 */
#include "duplex/dialect-lsp.h"

#define SYNTAX_KINDS "{\"dynamicRegistration\":false,\"contentFormat\":[\"markdown\",\"plaintext\"]}"
#define STATIC "{\"dynamicRegistration\":false}"
#define LINKS "{\"dynamicRegistration\":false,\"linkSupport\":true}"

static const char capabilities[] =
        "{\"general\":{\"positionEncodings\":[\"utf-16\"]},"
        "\"window\":{\"workDoneProgress\":true,\"showMessage\":{\"messageActionItem\":{\"additionalPropertiesSupport\":false}},"
        "\"showDocument\":{\"support\":false}},"
        "\"workspace\":{\"applyEdit\":false,\"configuration\":true,\"workspaceFolders\":true,"
        "\"didChangeConfiguration\":" STATIC ",\"didChangeWatchedFiles\":" STATIC ",\"executeCommand\":" STATIC ",\"symbol\":" STATIC ","
        "\"workspaceEdit\":{\"documentChanges\":true}},"
        "\"textDocument\":{"
        "\"synchronization\":{\"dynamicRegistration\":false,\"willSave\":true,\"willSaveWaitUntil\":true,\"didSave\":true},"
        "\"publishDiagnostics\":{\"relatedInformation\":true,\"versionSupport\":true,\"codeDescriptionSupport\":true,\"dataSupport\":true,"
        "\"tagSupport\":{\"valueSet\":[1,2]}},"
        "\"hover\":" SYNTAX_KINDS ","
        "\"completion\":{\"dynamicRegistration\":false,\"contextSupport\":true,\"completionItem\":{\"snippetSupport\":false,"
        "\"documentationFormat\":[\"markdown\",\"plaintext\"],\"deprecatedSupport\":true,\"resolveSupport\":{\"properties\":"
        "[\"documentation\",\"detail\",\"additionalTextEdits\"]}}},"
        "\"signatureHelp\":{\"dynamicRegistration\":false,\"signatureInformation\":{\"documentationFormat\":[\"markdown\",\"plaintext\"],"
        "\"parameterInformation\":{\"labelOffsetSupport\":true}}},"
        "\"declaration\":" LINKS ",\"definition\":" LINKS ",\"typeDefinition\":" LINKS ",\"implementation\":" LINKS ","
        "\"references\":" STATIC ",\"documentHighlight\":" STATIC ","
        "\"documentSymbol\":{\"dynamicRegistration\":false,\"hierarchicalDocumentSymbolSupport\":true},"
        "\"codeAction\":{\"dynamicRegistration\":false,\"isPreferredSupport\":true,\"dataSupport\":true,"
        "\"resolveSupport\":{\"properties\":[\"edit\"]},\"codeActionLiteralSupport\":{\"codeActionKind\":{\"valueSet\":"
        "[\"\",\"quickfix\",\"refactor\",\"refactor.extract\",\"refactor.inline\",\"refactor.rewrite\",\"source\",\"source.organizeImports\"]}}},"
        "\"codeLens\":" STATIC ",\"documentLink\":" STATIC ",\"formatting\":" STATIC ",\"rangeFormatting\":" STATIC ","
        "\"rename\":{\"dynamicRegistration\":false,\"prepareSupport\":true},\"foldingRange\":" STATIC ",\"selectionRange\":" STATIC ","
        "\"callHierarchy\":" STATIC ",\"typeHierarchy\":" STATIC ",\"inlayHint\":" STATIC "}}";

static GString *greeting_params(Lsp *l) {
        GString *params = g_string_new("{\"processId\":null,\"clientInfo\":{\"name\":\"plugind\",\"version\":\"" PROJECT_VERSION "\"},");

        if (l->root_uri)
                dialect_append_text(params, "rootUri", l->root_uri);
        else
                g_string_append(params, "\"rootUri\":null");
        g_string_append_printf(params, ",\"workspaceFolders\":%s,\"capabilities\":%s,\"trace\":\"off\"", l->folders, capabilities);
        if (l->initialization_options)
                g_string_append_printf(params, ",\"initializationOptions\":%s", l->initialization_options);
        g_string_append_c(params, '}');
        return params;
}

static int check_greeting(JsonRange answer, char **name, char **version, PlugindError *error) {
        JsonRange info;
        int r;

        r = dialect_answer_object("initialize", answer, error);
        if (r >= 0)
                r = dialect_answer_member("initialize", "", answer, "capabilities", JSON_OBJECT, true, &info, error);
        if (r >= 0)
                r = dialect_answer_member("initialize", "", answer, "serverInfo", JSON_OBJECT, false, &info, error);
        if (r < 0 || !info.data)
                return r;
        return dialect_answer_identity("initialize", "serverInfo", info, true, name, version, error);
}

/* Many servers read settings only from this notification and never ask for them. */
static int send_configuration(Lsp *l) {
        g_autoptr(GString) params = NULL;
        size_t cursor = 0;
        JsonRange value;

        if (!json_next(JSON_RANGE(l->configuration), &cursor, NULL, &value))
                return 0;
        params = g_string_new(NULL);
        g_string_printf(params, "{\"settings\":%s}", l->configuration);
        return l->dialect.peer->notify(l->dialect.userdata, "workspace/didChangeConfiguration", dialect_range(params));
}

static void initialize_answered(Dialect *d, JsonRange result, const PlugindError *error, JsonRange error_object, void *userdata) {
        _cleanup_error_ PlugindError wrong = PLUGIND_ERROR_INIT;
        g_autofree char *name = NULL, *version = NULL;
        Lsp *l = lsp(d);
        int r;

        if (error)
                return dialect_greeting_error(d, "initialize", error);
        if (check_greeting(result, &name, &version, &wrong) < 0)
                return d->peer->greeting_failed(d->userdata, &wrong);
        r = d->peer->notify(d->userdata, "initialized", JSON_RANGE("{}"));
        if (r >= 0)
                r = send_configuration(l);
        if (r < 0)
                return dialect_greeting_unsent(d, "initialized", r);
        g_free(l->greeting);
        l->greeting = dialect_keep_greeting(result);
        l->greeted = true;
        dialect_changed(d);
        d->peer->greeted(d->userdata, &(DialectGreeting){ .answer = result, .name = name, .version = version });
}

static void lsp_connected(Dialect *d) {
        g_autoptr(GString) params = greeting_params(lsp(d));
        int r = d->peer->request(d->userdata, "initialize", dialect_range(params), USEC_INFINITY, initialize_answered, NULL);

        if (r < 0)
                dialect_greeting_unsent(d, "initialize", r);
}

static void lsp_disconnected(Dialect *d) {
        lsp(d)->greeted = false;
        lsp_share_disconnected(lsp(d));
        dialect_changed(d);
}

static void leave(Dialect *d) {
        (void) d->peer->notify(d->userdata, "exit", (JsonRange){});
        d->peer->farewell_said(d->userdata);
}

static void shutdown_answered(Dialect *d, JsonRange result, const PlugindError *error, JsonRange error_object, void *userdata) {
        if (!error || error->code != PLUGIND_ERROR_CONNECTION_LOST)
                leave(d);
}

/* Before initialize is answered a server may be told nothing but `exit`. */
static void lsp_goodbye(Dialect *d) {
        if (!lsp(d)->greeted || d->peer->request(d->userdata, "shutdown", (JsonRange){}, USEC_INFINITY, shutdown_answered, NULL) < 0)
                leave(d);
}

static void lsp_cancel(Dialect *d, uint64_t id, const char *reason) {
        g_autofree char *params = g_strdup_printf("{\"id\":%" PRIu64 "}", id);

        (void) d->peer->notify(d->userdata, "$/cancelRequest", JSON_RANGE(params));
}

/* The last element of the path is what a person would call the folder. */
static char *workspace_folders(const char *root_uri) {
        g_autofree char *path = NULL, *name = NULL;
        GString *folders;

        if (!root_uri)
                return g_strdup("null");
        path = g_filename_from_uri(root_uri, NULL, NULL);
        name = g_path_get_basename(path ?: root_uri);
        folders = g_string_new("[{");
        dialect_append_text(folders, "uri", root_uri);
        g_string_append_c(folders, ',');
        dialect_append_text(folders, "name", name);
        g_string_append(folders, "}]");
        return g_string_free(folders, FALSE);
}

static int lsp_new(const DialectOps *ops, const DialectSetup *setup, const DialectPeer *peer, void *userdata, Deadlines *deadlines,
                   Dialect **ret) {
        Lsp *l = g_new(Lsp, 1);

        *l = (Lsp){
                .dialect = { .ops = ops, .peer = peer, .userdata = userdata },
                .deadlines = deadlines,
                .resume = { .expired = lsp_resume_expired },
                .configuration = g_strdup(setup->configuration),
                .root_uri = g_strdup(setup->lsp_root_uri),
                .folders = workspace_folders(setup->lsp_root_uri),
                .initialization_options = g_strdup(setup->lsp_initialization_options),
                .message_max = setup->message_max,
        };
        lsp_share_init(l);
        *ret = &l->dialect;
        return 0;
}

static Dialect *lsp_free(Dialect *d) {
        Lsp *l = lsp(d);

        lsp_share_done(l);
        g_free(l->configuration);
        g_free(l->root_uri);
        g_free(l->folders);
        g_free(l->initialization_options);
        g_free(l->greeting);
        g_free(l);
        return NULL;
}

const DialectOps dialect_lsp = {
        .name = "lsp",
        .framing = FRAMING_HEADERS,
        .dialect_new = lsp_new,
        .dialect_free = lsp_free,
        .connected = lsp_connected,
        .disconnected = lsp_disconnected,
        .goodbye = lsp_goodbye,
        .outgoing = lsp_outgoing,
        .finished = lsp_finished,
        .cancel = lsp_cancel,
        .request = lsp_request,
        .notification = lsp_notification,
        .caller_gone = lsp_caller_gone,
        .save = lsp_save,
        .restore = lsp_restore,
};
