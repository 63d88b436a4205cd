/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For authors of plugins in C. Fill in a PlugindPlugin, end the file with PLUGIND_MAIN(plugin), link with
 * `pkg-config --cflags --libs plugind-plugin`, and name the executable in a manifest with "dialect": "plugind".
 * docs/sdk.md is the whole story on one page; plugins/examples/c/hello.c is a plugin in under 30 lines.
 *
 * JSON comes and goes as NUL-terminated UTF-8 text. Everything runs in one thread, called from one loop that waits for
 * the host, for timers and for descriptors; only plugind_defer() may be called from another one.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PLUGIND_ABI 1

typedef struct PlugindPlugin PlugindPlugin;
typedef struct PlugindContext PlugindContext;
typedef struct PlugindRequest PlugindRequest;
typedef struct PlugindSource PlugindSource;

/* What a plugin is. All functions but `start` may be NULL. Those that return int return 0, or a negative errno. */
struct PlugindPlugin {
        uint32_t abi;  /* PLUGIND_ABI */
        uint32_t size; /* sizeof(PlugindPlugin), by which the host knows which members there are */
        const char *name, *version;

        /* Once, before anything else. *SELF is handed to all other functions. A failure ends the plugin. */
        int (*start)(PlugindContext *context, void **self);
        /* The configuration, a JSON object: once after start, then whenever it changes. -EINVAL refuses it. */
        int (*configure)(void *self, const char *configuration);
        /* Somebody asks. Answer with plugind_reply() or plugind_fail(), now or later; REQUEST lives until then, and at least
         * until this function returns. Returning an error answers as well: -ENOSYS says that there is no such method, -EINVAL
         * that the parameters are wrong. */
        int (*request)(void *self, PlugindRequest *request);
        /* Nobody waits for this answer any more, or the plugin is about to shut down. REQUEST is over when this returns,
         * answered or not. */
        void (*cancel)(void *self, PlugindRequest *request);
        /* A message from a caller that wants no answer. */
        void (*notification)(void *self, const char *method, const char *params);
        /* Once, last of all, when the host says goodbye or is gone. Requests still open were cancelled before. */
        void (*shutdown)(void *self);
};

#define PLUGIND_PLUGIN .abi = PLUGIND_ABI, .size = (uint32_t) sizeof(PlugindPlugin)

/* Given to start(); lives as long as the plugin. */
struct PlugindContext {
        const struct PlugindOps *ops;
        const char *session;  /* the id that the host knows this plugin by */
        const char *data_dir; /* a folder of its own to keep data in; NULL: none */
};

struct PlugindRequest {
        PlugindContext *context;
        const char *method;
        const char *params; /* JSON; NULL: none were given */
        void *data;         /* the plugin's own, NULL at first */
};

typedef void (*PlugindCallback)(void *userdata);
typedef void (*PlugindWatch)(void *userdata, int fd, short events);

/* How the functions below reach the host: use those, not this. */
struct PlugindOps {
        uint32_t size;
        int (*reply)(PlugindRequest *request, const char *result);
        int (*replyv)(PlugindRequest *request, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));
        int (*failv)(PlugindRequest *request, int code, const char *format, va_list arguments) __attribute__((format(printf, 3, 0)));
        int (*progress)(PlugindRequest *request, const char *value);
        int (*notify)(PlugindContext *context, const char *method, const char *params);
        void (*logv)(PlugindContext *context, int level, const char *format, va_list arguments) __attribute__((format(printf, 3, 0)));
        PlugindSource *(*timer)(PlugindContext *context, uint64_t usec, PlugindCallback callback, void *userdata);
        PlugindSource *(*watch_fd)(PlugindContext *context, int fd, short events, PlugindWatch callback, void *userdata);
        void (*source_free)(PlugindSource *source);
        int (*defer)(PlugindContext *context, PlugindCallback callback, void *userdata);
        char *(*json_member)(const char *json, const char *key);
        char *(*json_string)(const char *json, const char *key);
        bool (*json_integer)(const char *json, const char *key, int64_t *ret);
        char *(*json_quote)(const char *text);
};

/* --- answering. Each ends REQUEST, whatever it returns. */

/* RESULT is JSON; NULL is null. What is no JSON is -EINVAL, and the caller is told that the plugin failed. */
static inline int plugind_reply(PlugindRequest *request, const char *result) {
        return request->context->ops->reply(request, result);
}

/* The same with printf's formats: plugind_replyf(request, "{\"pid\": %d}", getpid()). Strings need plugind_json_quote(). */
__attribute__((format(printf, 2, 3))) static inline int plugind_replyf(PlugindRequest *request, const char *format, ...) {
        va_list arguments;
        int r;

        va_start(arguments, format);
        r = request->context->ops->replyv(request, format, arguments);
        va_end(arguments);
        return r;
}

/* CODE is the plugin's own, or one of JSON-RPC's. The message is text for a person, formatted as by printf. */
__attribute__((format(printf, 3, 4))) static inline int plugind_fail(PlugindRequest *request, int code, const char *format, ...) {
        va_list arguments;
        int r;

        va_start(arguments, format);
        r = request->context->ops->failv(request, code, format, arguments);
        va_end(arguments);
        return r;
}

/* --- speaking unasked. May wait while the host is slow to read. */

/* How far REQUEST is: VALUE is JSON, and reaches the caller of this request alone. */
static inline int plugind_progress(PlugindRequest *request, const char *value) {
        return request->context->ops->progress(request, value);
}

/* To every caller that subscribed to METHOD. PARAMS is a JSON object or array; NULL: none. */
static inline int plugind_notify(PlugindContext *context, const char *method, const char *params) {
        return context->ops->notify(context, method, params);
}

/* To the host's log. LEVEL is one of <syslog.h>: LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG ... */
__attribute__((format(printf, 3, 4))) static inline void plugind_log(PlugindContext *context, int level, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        context->ops->logv(context, level, format, arguments);
        va_end(arguments);
}

/* --- waiting for other things than the host. NULL: out of memory. */

/* Calls back once, in USEC microseconds; the source is gone when it does. */
static inline PlugindSource *plugind_timer(PlugindContext *context, uint64_t usec, PlugindCallback callback, void *userdata) {
        return context->ops->timer(context, usec, callback, userdata);
}

/* Calls back whenever FD is ready for EVENTS (POLLIN, POLLOUT), until the source is freed. FD stays the caller's. */
static inline PlugindSource *plugind_watch_fd(PlugindContext *context, int fd, short events, PlugindWatch callback, void *userdata) {
        return context->ops->watch_fd(context, fd, events, callback, userdata);
}

/* A timer that has not called back yet, or a watch. May be called from its own callback (of a watch). NULL is fine. */
static inline void plugind_source_free(PlugindContext *context, PlugindSource *source) {
        context->ops->source_free(source);
}

/* Calls back from the loop, soon. The one function that any thread may call. */
static inline int plugind_defer(PlugindContext *context, PlugindCallback callback, void *userdata) {
        return context->ops->defer(context, callback, userdata);
}

/* --- reading and writing a little JSON; for more use the JSON library of your choice. What is returned is to be freed with
 * free(). JSON may be NULL and need not be an object: nothing is found in it then. */

/* The member KEY as JSON text; NULL if there is none. */
static inline char *plugind_json_member(PlugindContext *context, const char *json, const char *key) {
        return context->ops->json_member(json, key);
}

/* The member KEY decoded; NULL if there is none, or it is no string or holds a NUL. */
static inline char *plugind_json_string(PlugindContext *context, const char *json, const char *key) {
        return context->ops->json_string(json, key);
}

/* False, and *RET untouched, if there is no member KEY or it is no whole number that fits. */
static inline bool plugind_json_integer(PlugindContext *context, const char *json, const char *key, int64_t *ret) {
        return context->ops->json_integer(json, key, ret);
}

/* TEXT as a JSON string with its quotes. */
static inline char *plugind_json_quote(PlugindContext *context, const char *text) {
        return context->ops->json_quote(text);
}

/* --- being a program */

/* Speaks with the host on standard input and output until it says goodbye or goes away. Returns the exit status. */
__attribute__((visibility("default"))) int plugind_main(const PlugindPlugin *plugin, int argc, char **argv);

#define PLUGIND_MAIN(plugin)                                                                                                               \
        int main(int argc, char **argv) {                                                                                                  \
                return plugind_main(&(plugin), argc, argv);                                                                                \
        }

#ifdef __cplusplus
}
#endif
