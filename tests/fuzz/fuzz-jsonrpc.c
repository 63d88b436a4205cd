/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What jsonrpc_parse() finds in place lies inside, is JSON, and is what json-glib finds by the same names. */
#include "fuzz.h"

#include "duplex/jsonrpc.h"

static bool inside(JsonRange range, JsonRange text) {
        return !range.data || (range.data >= text.data && range.size <= text.size && range.data + range.size <= text.data + text.size);
}

static JsonNode *member(JsonNode *root, const char *name) {
        JsonNode *node = json_object_get_member(json_node_get_object(root), name);

        return node && strcmp(name, "params") == 0 && JSON_NODE_HOLDS_NULL(node) ? NULL : node;
}

static char *compare(const JsonRpcMessage *message, JsonNode *root) {
        const struct {
                const char *name;
                JsonRange range;
        } members[] = {
                { "id", message->id },         { "method", message->method }, { "params", message->params },
                { "result", message->result }, { "error", message->error },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(members); i++) {
                JsonNode *expected = member(root, members[i].name);
                g_autoptr(JsonNode) found = NULL;

                if (!expected != !members[i].range.data)
                        return g_strdup_printf("\"%s\" is found by one only", members[i].name);
                if (expected && (json_parse_tree(members[i].range, &found, NULL) < 0 || !json_node_equal(found, expected)))
                        return g_strdup_printf("\"%s\" is not the same", members[i].name);
        }
        return NULL;
}

static char *check_kind(const JsonRpcMessage *m) {
        bool method = m->method.data, id = m->id.data, result = m->result.data, error = m->error.data, good = false;
        g_autofree char *text = NULL;
        int code;

        switch (m->kind) {
        case JSONRPC_REQUEST:
                good = method && id && !result && !error;
                break;
        case JSONRPC_NOTIFICATION:
                good = method && !id && !result && !error;
                break;
        case JSONRPC_RESULT:
                good = !method && id && result && !error;
                break;
        case JSONRPC_ERROR:
                good = !method && id && !result && error;
                jsonrpc_error_get(m->error, &code, &text);
                break;
        }
        return good ? NULL : g_strdup("the members do not fit the kind");
}

char *fuzz_jsonrpc(const uint8_t *data, size_t size) {
        g_autofree char *exact = g_memdup2(data, size), *complaint = NULL;
        JsonRange text = { exact ?: "", size };
        g_autoptr(JsonNode) root = NULL;
        JsonRpcMessage m;
        JsonFault fault = {};
        int r = jsonrpc_parse(text, &m, &fault);

        if (!inside(m.whole, text) || !inside(m.id, text) || !inside(m.method, text) || !inside(m.params, text) ||
            !inside(m.result, text) || !inside(m.error, text))
                return g_strdup("a range that lies outside");
        if (r < 0)
                return fault.what && fault.offset <= size ? NULL : g_strdup("a fault without a place");
        if (json_check(text, NULL, &fault) < 0 && !strstr(fault.what, "nested")) /* a member may be as deep as a text */
                return g_strdup_printf("a message that is no JSON: %zu: %s", fault.offset, fault.what);
        complaint = check_kind(&m);
        if (complaint)
                return g_steal_pointer(&complaint);
        return json_parse_tree(text, &root, NULL) >= 0 ? compare(&m, root) : NULL;
}
