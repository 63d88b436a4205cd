/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "greeting.h"

#include "bus-client.h"

#include <string.h>

static char *join(const char *name, const char *version) {
        if (!*name && !*version)
                return NULL;
        return g_strconcat(name, *name && *version ? " " : "", version, NULL);
}

/* mcp and lsp have serverInfo, plugind has it right in the answer. */
static char *find_server(JsonObject *greeting) {
        JsonNode *info = json_object_get_member(greeting, "serverInfo");
        JsonObject *object = info && JSON_NODE_HOLDS_OBJECT(info) ? json_node_get_object(info) : greeting;

        return join(dict_string(object, "name"), dict_string(object, "version"));
}

/* "protocolVersion" of legacy mcp, the newest of "supportedVersions" of modern mcp, the number "protocol" of plugind. */
static char *find_protocol(JsonObject *greeting) {
        const char *version = dict_string(greeting, "protocolVersion");
        JsonNode *versions = json_object_get_member(greeting, "supportedVersions");
        uint64_t number = dict_uint(greeting, "protocol");

        if (versions && JSON_NODE_HOLDS_ARRAY(versions)) {
                JsonArray *array = json_node_get_array(versions);
                for (guint i = 0; i < json_array_get_length(array); i++) {
                        JsonNode *element = json_array_get_element(array, i);
                        const char *other = JSON_NODE_HOLDS_VALUE(element) && json_node_get_value_type(element) == G_TYPE_STRING
                                                    ? json_node_get_string(element)
                                                    : "";
                        if (strcmp(other, version) > 0) /* they are dates */
                                version = other;
                }
        }
        if (*version)
                return g_strdup(version);
        return number > 0 ? g_strdup_printf("%" PRIu64, number) : NULL;
}

void greeting_parse(const char *json, Greeting *ret) {
        g_autoptr(JsonNode) node = *json ? json_from_string(json, NULL) : NULL;

        *ret = (Greeting){};
        if (!node || !JSON_NODE_HOLDS_OBJECT(node))
                return;
        ret->protocol = find_protocol(json_node_get_object(node));
        ret->server = find_server(json_node_get_object(node));
}

void greeting_clear(Greeting *greeting) {
        g_free(greeting->protocol);
        g_free(greeting->server);
        *greeting = (Greeting){};
}
