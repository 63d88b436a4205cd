/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <plugind-plugin.h>
#include <stdlib.h>
#include <string.h>

static int start(PlugindContext *context, void **self) {
        *self = context;
        return 0;
}

static int request(void *self, PlugindRequest *request) {
        char *name, *quoted;

        if (strcmp(request->method, "hello") != 0)
                return -ENOSYS;
        name = plugind_json_string(self, request->params, "name");
        if (!name)
                return plugind_fail(request, -32602, "name: expected a string");
        quoted = plugind_json_quote(self, name);
        plugind_replyf(request, "{\"hello\": %s}", quoted);
        free(quoted);
        free(name);
        return 0;
}

static const PlugindPlugin plugin = { PLUGIND_PLUGIN, .name = "hello", .version = "1", .start = start, .request = request };
PLUGIND_MAIN(plugin)
