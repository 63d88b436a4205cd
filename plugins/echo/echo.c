/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Answers what it is asked, in every way that a plugin can: for trying plugind, and for its tests. */
#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <plugind-plugin.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <syslog.h>
#include <unistd.h>

typedef struct Echo {
        PlugindContext *context;
        char *configuration;
} Echo;

typedef struct Delay {
        PlugindRequest *request;
        PlugindSource *timer;
        int64_t ms;
} Delay;

static int64_t integer(PlugindRequest *request, const char *key, int64_t fallback) {
        int64_t value = fallback;

        plugind_json_integer(request->context, request->params, key, &value);
        return value;
}

static int echo(Echo *e, PlugindRequest *request) {
        return plugind_reply(request, request->params);
}

static void delay_over(void *userdata) {
        g_autofree Delay *delay = userdata;

        plugind_replyf(delay->request, "{\"ms\":%" PRIi64 "}", delay->ms);
}

static int delay(Echo *e, PlugindRequest *request) {
        Delay *delay;
        int64_t ms = integer(request, "ms", -1);

        if (ms < 0)
                return plugind_fail(request, -32602, "ms: expected a whole number, 0 or more");
        delay = g_new0(Delay, 1);
        *delay = (Delay){ .request = request, .ms = ms };
        delay->timer = plugind_timer(e->context, (uint64_t) ms * 1000, delay_over, delay);
        request->data = delay;
        return 0;
}

static void cancel(void *self, PlugindRequest *request) {
        g_autofree Delay *delay = request->data; /* nothing else answers later */

        plugind_source_free(request->context, delay->timer);
}

static int fail(Echo *e, PlugindRequest *request) {
        g_autofree char *message = plugind_json_string(e->context, request->params, "message");

        return plugind_fail(request, (int) integer(request, "code", 1), "%s", message ?: "failed, as asked");
}

static int notify(Echo *e, PlugindRequest *request) {
        g_autofree char *method = plugind_json_string(e->context, request->params, "method");
        g_autofree char *params = plugind_json_member(e->context, request->params, "params");
        int64_t count = integer(request, "count", 1);

        if (!method)
                return plugind_fail(request, -32602, "method: expected a string");
        for (int64_t i = 0; i < count; i++) {
                int r = plugind_notify(e->context, method, params);

                if (r == -EINVAL)
                        return plugind_fail(request, -32602, "params: expected an object or an array");
                if (r < 0)
                        return r;
        }
        return plugind_replyf(request, "{\"sent\":%" PRIi64 "}", count);
}

static int progress(Echo *e, PlugindRequest *request) {
        int64_t steps = integer(request, "steps", 0);

        for (int64_t step = 1; step <= steps; step++) {
                g_autofree char *value = g_strdup_printf("{\"step\":%" PRIi64 ",\"of\":%" PRIi64 "}", step, steps);

                plugind_progress(request, value);
        }
        return plugind_replyf(request, "{\"steps\":%" PRIi64 "}", steps);
}

static int info(Echo *e, PlugindRequest *request) {
        g_autofree char *session = plugind_json_quote(e->context, e->context->session);
        g_autofree char *data_dir = e->context->data_dir ? plugind_json_quote(e->context, e->context->data_dir) : g_strdup("null");

        return plugind_replyf(request, "{\"pid\":%d,\"session\":%s,\"dataDir\":%s,\"configuration\":%s}", getpid(), session, data_dir,
                              e->configuration);
}

static int write_log(Echo *e, PlugindRequest *request) {
        g_autofree char *message = plugind_json_string(e->context, request->params, "message");

        if (!message)
                return plugind_fail(request, -32602, "message: expected a string");
        plugind_log(e->context, (int) integer(request, "level", LOG_INFO), "%s", message);
        return plugind_reply(request, NULL);
}

static int crash(Echo *e, PlugindRequest *request) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){});
        return raise((int) integer(request, "signal", SIGABRT)) == 0 ? 0 : -errno;
}

static int leave(Echo *e, PlugindRequest *request) {
        _exit((int) integer(request, "status", 0));
}

static const struct {
        const char *name;
        int (*function)(Echo *e, PlugindRequest *request);
} methods[] = {
        { "echo", echo }, { "delay", delay },   { "fail", fail },   { "notify", notify }, { "progress", progress },
        { "info", info }, { "log", write_log }, { "crash", crash }, { "exit", leave },
};

static int request(void *self, PlugindRequest *request) {
        for (size_t i = 0; i < G_N_ELEMENTS(methods); i++)
                if (strcmp(methods[i].name, request->method) == 0)
                        return methods[i].function(self, request);
        return -ENOSYS;
}

/* Whoever sends it a notification gets it back as one. */
static void notification(void *self, const char *method, const char *params) {
        Echo *e = self;

        plugind_notify(e->context, method, params);
}

static int start(PlugindContext *context, void **self) {
        Echo *e = g_new0(Echo, 1);

        e->context = context;
        *self = e;
        return 0;
}

static int configure(void *self, const char *configuration) {
        Echo *e = self;

        g_free(e->configuration);
        e->configuration = g_strdup(configuration);
        return 0;
}

static void stop(void *self) {
        Echo *e = self;

        g_free(e->configuration);
        g_free(e);
}

static const PlugindPlugin plugin = {
        PLUGIND_PLUGIN,     .name = "echo",   .version = PROJECT_VERSION,   .start = start,   .configure = configure,
        .request = request, .cancel = cancel, .notification = notification, .shutdown = stop,
};
PLUGIND_MAIN(plugin)
