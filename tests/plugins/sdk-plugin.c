/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Uses every corner of the SDK in the way that test-plugins.cc asks for. */
#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <plugind-plugin.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct Corner {
        PlugindContext *context;
        PlugindRequest *held;
        int pipe[2];
        PlugindSource *watch;
        unsigned configured;
} Corner;

static void from_another_thread(void *userdata) {
        PlugindRequest *request = userdata;

        plugind_reply(request, "\"deferred\"");
}

static gpointer thread(gpointer userdata) {
        PlugindRequest *request = userdata;

        plugind_defer(request->context, from_another_thread, request);
        return NULL;
}

static void pipe_readable(void *userdata, int fd, short events) {
        Corner *c = userdata;
        char text[16];
        ssize_t n = read(fd, text, sizeof text - 1);

        text[MAX(n, 0)] = '\0';
        plugind_source_free(c->context, g_steal_pointer(&c->watch)); /* within its own callback */
        plugind_replyf(g_steal_pointer(&c->held), "{\"read\":\"%s\"}", text);
}

static void never(void *userdata) {
        abort();
}

static void first_of_two(void *userdata) {
        Corner *c = userdata;

        plugind_notify(c->context, "timer", "[1]");
}

static void second_of_two(void *userdata) {
        Corner *c = userdata;

        plugind_notify(c->context, "timer", "[2]");
        plugind_reply(g_steal_pointer(&c->held), NULL);
}

static int request(void *self, PlugindRequest *request) {
        Corner *c = self;
        g_autofree char *json = plugind_json_member(c->context, request->params, "json");

        if (strcmp(request->method, "thread") == 0) {
                g_thread_unref(g_thread_new("corner", thread, request));
                return 0;
        }
        if (strcmp(request->method, "watch") == 0) {
                c->held = request;
                c->watch = plugind_watch_fd(c->context, c->pipe[0], POLLIN, pipe_readable, c);
                return write(c->pipe[1], "hello", 5) == 5 ? 0 : -errno;
        }
        if (strcmp(request->method, "timers") == 0) {
                PlugindSource *freed = plugind_timer(c->context, 1000, never, NULL);

                c->held = request;
                plugind_timer(c->context, 300000, second_of_two, c);
                plugind_timer(c->context, 2000, first_of_two, c);
                plugind_source_free(c->context, freed);
                return 0;
        }
        if (strcmp(request->method, "raw") == 0) { /* answers whatever text it is given, good or bad */
                g_autofree char *text = plugind_json_string(c->context, request->params, "text");

                return plugind_reply(request, text) == -EINVAL && plugind_reply(request, text) != -EALREADY ? -EPROTO : 0;
        }
        if (strcmp(request->method, "errno") == 0) {
                int64_t number = 0;

                return plugind_json_integer(c->context, request->params, "errno", &number) ? (int) -number : -EINVAL;
        }
        if (strcmp(request->method, "integer") == 0) {
                int64_t number = 0;

                return plugind_json_integer(c->context, json, "n", &number) ? plugind_replyf(request, "%" PRIi64, number)
                                                                            : plugind_reply(request, "\"none\"");
        }
        if (strcmp(request->method, "configured") == 0)
                return plugind_replyf(request, "%u", c->configured);
        if (strcmp(request->method, "notify") == 0)
                return plugind_notify(c->context, "n", json) == -EINVAL ? plugind_reply(request, "\"refused\"")
                                                                        : plugind_reply(request, NULL);
        return -ENOSYS;
}

static int configure(void *self, const char *configuration) {
        Corner *c = self;

        c->configured++;
        return strstr(configuration, "wrong") ? -EINVAL : 0;
}

static int start(PlugindContext *context, void **self) {
        Corner *c;

        if (strcmp(context->session, "fail") == 0)
                return -ENOMEDIUM;
        c = g_new0(Corner, 1);
        c->context = context;
        *self = c;
        return pipe(c->pipe) < 0 ? -errno : 0;
}

static void stop(void *self) {
        Corner *c = self;

        plugind_log(c->context, 6, "two\nlines");
        close(c->pipe[0]);
        close(c->pipe[1]);
        g_free(c);
}

static const PlugindPlugin plugin = { PLUGIND_PLUGIN, .start = start, .configure = configure, .request = request, .shutdown = stop };
PLUGIND_MAIN(plugin)
