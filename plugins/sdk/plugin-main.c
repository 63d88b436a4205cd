/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A plugin as a program: the dialect `plugind` (design: request in, answer out, and the messages that begin with "plugind/") on
 * one side, the functions of a PlugindPlugin on the other.
 */
#include "plugin-duplex.h"
#include "plugin-json.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

#define PROTOCOL 1
/* What LSP answers to a cancelled request; JSON-RPC has no code of its own. */
#define REQUEST_CANCELLED (-32800)
/* A host does not start a plugin again that ends with this status. */
#define EXIT_NEVER_AGAIN 125
/* Of a PlugindPlugin in its first version. */
#define PLUGIN_SIZE_MIN (offsetof(PlugindPlugin, shutdown) + sizeof(void *))

typedef struct Request {
        PlugindRequest public; /* first */
        ListNode node;         /* of Program.requests, until it is answered */
        JsonRange id;
        bool held; /* one of the plugin's functions has it: freed when that returns */
        char text[];
} Request;

typedef struct Program {
        PlugindContext context; /* first */
        PlugindPlugin plugin;   /* a copy: that of an older plugin may be shorter */
        void *self;
        bool started, over;
        int status;

        Loop loop;
        PluginDuplex duplex;
        List requests;
        char *session, *data_dir;
} Program;

/* --- answering */

static void answer(Program *p, JsonRange id, const char *key, JsonRange value) {
        g_autofree char *before = g_strdup_printf("{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"%s\":", (int) id.size, id.data, key);

        plugin_duplex_say(&p->duplex, before, value, "}");
}

static void answer_error(Program *p, JsonRange id, int code, const char *message) {
        g_autofree char *quoted = plugin_json_quote(message);
        g_autofree char *error = g_strdup_printf("{\"code\":%d,\"message\":%s}", code, quoted);

        answer(p, id, "error", JSON_RANGE(error));
}

static void request_over(Request *request) {
        list_unlink(&request->node);
        if (!request->held)
                g_free(request);
}

static int op_reply(PlugindRequest *public, const char *result) {
        Request *request = (Request *) public;
        Program *p = (Program *) public->context;
        JsonFault fault = {};
        JsonRange value;

        if (!list_linked(&request->node))
                return -EALREADY;
        if (json_check(JSON_RANGE(result ?: "null"), &value, &fault) < 0) {
                g_autofree char *message = g_strdup_printf("%s: the plugin's answer is no JSON: %s at byte %zu", public->method, fault.what,
                                                           fault.offset);

                answer_error(p, request->id, JSONRPC_INTERNAL_ERROR, message);
                request_over(request);
                return -EINVAL;
        }
        answer(p, request->id, "result", value);
        request_over(request);
        return 0;
}

__attribute__((format(printf, 2, 0))) static int op_replyv(PlugindRequest *public, const char *format, va_list arguments) {
        g_autofree char *result = g_strdup_vprintf(format, arguments);

        return op_reply(public, result);
}

__attribute__((format(printf, 3, 0))) static int op_failv(PlugindRequest *public, int code, const char *format, va_list arguments) {
        g_autofree char *message = g_strdup_vprintf(format, arguments);
        Request *request = (Request *) public;

        if (!list_linked(&request->node))
                return -EALREADY;
        answer_error((Program *) public->context, request->id, code, message);
        request_over(request);
        return 0;
}

static void fail_with_errno(Program *p, JsonRange id, const char *what, int r) {
        g_autofree char *message = NULL;

        if (r == -ENOSYS || r == -EOPNOTSUPP) {
                message = g_strdup_printf("%s: no such method", what);
                answer_error(p, id, JSONRPC_METHOD_NOT_FOUND, message);
        } else if (r == -EINVAL) {
                message = g_strdup_printf("%s: invalid parameters", what);
                answer_error(p, id, JSONRPC_INVALID_PARAMS, message);
        } else {
                message = g_strdup_printf("%s: %s", what, g_strerror(-r));
                answer_error(p, id, JSONRPC_INTERNAL_ERROR, message);
        }
}

/* --- speaking unasked */

static int say_notification(Program *p, const char *method, JsonRange params) {
        g_autofree char *quoted = plugin_json_quote(method);
        g_autofree char *before = g_strdup_printf("{\"jsonrpc\":\"2.0\",\"method\":%s%s", quoted, params.data ? ",\"params\":" : "");

        plugin_duplex_say(&p->duplex, before, params, "}");
        /* A plugin that computes for long tells how far it is before it returns to the loop. */
        plugin_duplex_flush(&p->duplex);
        return p->duplex.broken ? -EPIPE : 0;
}

static int op_notify(PlugindContext *context, const char *method, const char *params) {
        JsonRange value = {};

        if (params &&
            (json_check(JSON_RANGE(params), &value, NULL) < 0 || (json_type(value) != JSON_OBJECT && json_type(value) != JSON_ARRAY)))
                return -EINVAL;
        return say_notification((Program *) context, method, value);
}

static int op_progress(PlugindRequest *public, const char *progress) {
        Request *request = (Request *) public;
        g_autofree char *params = NULL;
        JsonRange value;

        if (!list_linked(&request->node))
                return -EALREADY;
        if (!progress || json_check(JSON_RANGE(progress), &value, NULL) < 0)
                return -EINVAL;
        params = g_strdup_printf("{\"id\":%.*s,\"value\":%.*s}", (int) request->id.size, request->id.data, (int) value.size, value.data);
        return say_notification((Program *) public->context, "plugind/progress", JSON_RANGE(params));
}

__attribute__((format(printf, 3, 0))) static void op_logv(PlugindContext *context, int level, const char *format, va_list arguments) {
        g_autofree char *text = g_strdup_vprintf(format, arguments);
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        g_autoptr(GString) log = g_string_new(NULL);
        size_t written = 0;

        for (char **line = lines; *line; line++)
                g_string_append_printf(log, "<%d>%s\n", level & LOG_PRIMASK, *line);
        while (written < log->len) {
                ssize_t n = write(STDERR_FILENO, log->str + written, log->len - written);

                if (n < 0 && errno != EINTR)
                        return;
                written += (size_t) MAX(n, 0);
        }
}

static PlugindSource *op_timer(PlugindContext *context, uint64_t usec, PlugindCallback callback, void *userdata) {
        return loop_timer(&((Program *) context)->loop, usec, callback, userdata);
}

static PlugindSource *op_watch_fd(PlugindContext *context, int fd, short events, PlugindWatch callback, void *userdata) {
        return loop_watch(&((Program *) context)->loop, fd, events, callback, userdata);
}

static int op_defer(PlugindContext *context, PlugindCallback callback, void *userdata) {
        return loop_defer(&((Program *) context)->loop, callback, userdata);
}

static const struct PlugindOps program_ops = {
        .size = sizeof(struct PlugindOps),
        .reply = op_reply,
        .replyv = op_replyv,
        .failv = op_failv,
        .progress = op_progress,
        .notify = op_notify,
        .logv = op_logv,
        .timer = op_timer,
        .watch_fd = op_watch_fd,
        .source_free = loop_source_free,
        .defer = op_defer,
        .json_member = plugin_json_member,
        .json_string = plugin_json_string,
        .json_integer = plugin_json_integer,
        .json_quote = plugin_json_quote,
};

/* --- what the host says: life */

static char *member_text(JsonRange params, const char *key) {
        JsonRange value;

        return params.data && json_type(params) == JSON_OBJECT && json_find(params, key, &value) ? g_strndup(value.data, value.size) : NULL;
}

static char *member_string(JsonRange params, const char *key) {
        JsonRange value;

        return params.data && json_type(params) == JSON_OBJECT && json_find(params, key, &value) ? json_string_decode(value) : NULL;
}

static void leave(Program *p, int status) {
        p->status = status;
        p->over = true;
}

static void host_initialize(Program *p, JsonRange id, JsonRange params) {
        const PlugindPlugin *plugin = &p->plugin;
        g_autofree char *configuration = member_text(params, "configuration");
        g_autofree char *name = plugin_json_quote(plugin->name ?: "");
        g_autofree char *version = plugin_json_quote(plugin->version ?: "");
        g_autofree char *greeting = g_strdup_printf("{\"protocol\":%d,\"name\":%s,\"version\":%s}", PROTOCOL, name, version);
        int r;

        if (p->started) {
                answer_error(p, id, JSONRPC_INVALID_REQUEST, "plugind/initialize came twice");
                return;
        }
        p->context.session = p->session = member_string(params, "session") ?: g_strdup("");
        p->context.data_dir = p->data_dir = member_string(params, "dataDir");
        r = plugin->start(&p->context, &p->self);
        if (r < 0) {
                fail_with_errno(p, id, "start", r);
                leave(p, EXIT_FAILURE);
                return;
        }
        p->started = true;
        r = plugin->configure ? plugin->configure(p->self, configuration ?: "{}") : 0;
        if (r < 0) {
                fail_with_errno(p, id, "configuration", r);
                leave(p, EXIT_NEVER_AGAIN);
                return;
        }
        answer(p, id, "result", JSON_RANGE(greeting));
}

static void host_configure(Program *p, JsonRange id, JsonRange params) {
        g_autofree char *configuration = member_text(params, "configuration");
        int r = p->plugin.configure ? p->plugin.configure(p->self, configuration ?: "{}") : -ENOSYS;

        if (r < 0)
                fail_with_errno(p, id, "plugind/configure", r);
        else
                answer(p, id, "result", JSON_RANGE("{}"));
}

static void cancel_request(Program *p, Request *request) {
        request->held = true;
        if (p->plugin.cancel)
                p->plugin.cancel(p->self, &request->public);
        if (list_linked(&request->node))
                answer_error(p, request->id, REQUEST_CANCELLED, "cancelled");
        request->held = false;
        request_over(request);
}

static void host_cancel(Program *p, JsonRange params) {
        g_autofree char *id = member_text(params, "id");

        if (!id || !p->plugin.cancel)
                return; /* without cancel() it answers when it is done, and nobody listens */
        list_foreach(node, &p->requests) {
                Request *request = list_entry(node, Request, node);

                if (strlen(id) == request->id.size && memcmp(id, request->id.data, request->id.size) == 0) {
                        cancel_request(p, request);
                        return;
                }
        }
}

static void goodbye(Program *p) {
        Request *request;

        while ((request = list_first(&p->requests, Request, node)))
                cancel_request(p, request);
        if (p->started && p->plugin.shutdown)
                p->plugin.shutdown(p->self);
        p->started = false;
}

/* --- what the host says: everything else */

static Request *request_new(Program *p, JsonRange id, const char *method, JsonRange params) {
        size_t method_size = strlen(method) + 1, params_size = params.data ? params.size + 1 : 0;
        Request *request = g_malloc(sizeof(Request) + method_size + params_size + id.size);
        char *text = request->text;

        *request = (Request){ .public.context = &p->context, .held = true };
        request->public.method = memcpy(text, method, method_size);
        text += method_size;
        if (params.data) {
                request->public.params = memcpy(text, params.data, params.size);
                text[params.size] = '\0';
                text += params_size;
        }
        request->id = (JsonRange){ memcpy(text, id.data, id.size), id.size };
        list_append(&p->requests, &request->node);
        return request;
}

static void pass_request(Program *p, const JsonRpcMessage *message, const char *method) {
        Request *request;
        int r;

        if (!p->plugin.request) {
                fail_with_errno(p, message->id, method, -ENOSYS);
                return;
        }
        request = request_new(p, message->id, method, message->params);
        r = p->plugin.request(p->self, &request->public);
        if (r < 0 && list_linked(&request->node)) {
                fail_with_errno(p, request->id, method, r);
                list_unlink(&request->node);
        }
        request->held = false;
        if (!list_linked(&request->node))
                g_free(request);
}

static void host_request(Program *p, const JsonRpcMessage *message, const char *method) {
        if (strcmp(method, "plugind/initialize") == 0)
                host_initialize(p, message->id, message->params);
        else if (!p->started)
                answer_error(p, message->id, JSONRPC_INVALID_REQUEST, "plugind/initialize has to come first");
        else if (strcmp(method, "plugind/configure") == 0)
                host_configure(p, message->id, message->params);
        else if (strcmp(method, "plugind/ping") == 0)
                answer(p, message->id, "result", JSON_RANGE("{}"));
        else if (strcmp(method, "plugind/shutdown") == 0) {
                goodbye(p);
                answer(p, message->id, "result", JSON_RANGE("{}"));
                leave(p, EXIT_SUCCESS);
        } else if (g_str_has_prefix(method, "plugind/"))
                fail_with_errno(p, message->id, method, -ENOSYS);
        else
                pass_request(p, message, method);
}

static void host_notification(Program *p, const JsonRpcMessage *message, const char *method) {
        g_autofree char *params = NULL;

        if (!p->started)
                return;
        if (strcmp(method, "plugind/cancel") == 0) {
                host_cancel(p, message->params);
                return;
        }
        if (g_str_has_prefix(method, "plugind/") || !p->plugin.notification)
                return;
        params = message->params.data ? g_strndup(message->params.data, message->params.size) : NULL;
        p->plugin.notification(p->self, method, params);
}

static void host_said(const JsonRpcMessage *message, void *userdata) {
        Program *p = userdata;
        g_autofree char *method = message->method.data ? json_string_decode(message->method) : NULL;

        if (p->over || !method)
                return; /* an answer: nothing was asked */
        if (message->kind == JSONRPC_REQUEST)
                host_request(p, message, method);
        else if (message->kind == JSONRPC_NOTIFICATION)
                host_notification(p, message, method);
}

static void host_gone(void *userdata) {
        leave(userdata, EXIT_SUCCESS);
}

/* --- the program */

static void program_run(Program *p) {
        int r;

        r = loop_init(&p->loop);
        if (r >= 0)
                r = plugin_duplex_init(&p->duplex, &p->loop, STDIN_FILENO, STDOUT_FILENO);
        while (r >= 0 && !p->over) {
                r = loop_turn(&p->loop);
                plugin_duplex_flush(&p->duplex);
        }
        if (r < 0) {
                dprintf(STDERR_FILENO, "<%d>%s: %s\n", LOG_ERR, p->plugin.name ?: "plugin", g_strerror(-r));
                p->status = EXIT_FAILURE;
        }
        goodbye(p);
}

static void program_done(Program *p) {
        if (p->duplex.output)
                plugin_duplex_drain(&p->duplex);
        plugin_duplex_done(&p->duplex);
        loop_done(&p->loop);
        g_free(p->session);
        g_free(p->data_dir);
}

int plugind_main(const PlugindPlugin *plugin, int argc, char **argv) {
        Program p = {
                .context.ops = &program_ops,
                .duplex = { .message = host_said, .over = host_gone, .userdata = &p },
                .loop.wake_fd = -1,
        };

        if (plugin->abi != PLUGIND_ABI || plugin->size < PLUGIN_SIZE_MIN || !plugin->start) {
                dprintf(STDERR_FILENO, "<%d>%s: not a plugin: abi %u, expected %u; size %u, expected %zu or more; start() %s\n", LOG_ERR,
                        argc > 0 ? argv[0] : "plugin", plugin->abi, PLUGIND_ABI, plugin->size, PLUGIN_SIZE_MIN,
                        plugin->start ? "is there" : "is missing");
                return EXIT_NEVER_AGAIN;
        }
        memcpy(&p.plugin, plugin, MIN(plugin->size, sizeof p.plugin));
        list_init(&p.requests);
        signal(SIGPIPE, SIG_IGN);
        program_run(&p);
        program_done(&p);
        return p.status;
}
