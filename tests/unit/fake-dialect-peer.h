/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stands in for the session: records what a dialect says, and lets a test answer as the plugin would. */
#pragma once

#include <gtest/gtest.h>

#include <cinttypes>
#include <cstdarg>
#include <string>
#include <vector>

extern "C" {
#include "duplex/dialect.h"
}

inline JsonRange range(const std::string &text) {
        return JsonRange{ text.data(), text.size() };
}

inline std::string text(JsonRange r) {
        return r.data ? std::string(r.data, r.size) : std::string();
}

/* One thing that the dialect said: "> method params" (request), "! method params" (notification), "= id result", "x id code". */
struct Said {
        std::string what;
        std::string method;
        DialectAnswered answered;
        void *userdata;
        bool done;
};

class DialectTest : public ::testing::Test {
      protected:
        sd_event *event = nullptr;
        Deadlines *deadlines = nullptr;
        Dialect *d = nullptr;
        DialectSetup setup = {};
        std::vector<Said> said;
        std::vector<std::string> events; /* greeted, failed, pong, farewell, era, log: in order */
        std::string greeted_name, greeted_version, greeted_answer, failure;
        PlugindErrorCode failure_code = PLUGIND_ERROR_NONE;
        unsigned changes = 0;          /* calls of changed() */
        std::vector<Caller *> holders; /* calls of holds() */
        bool all_named = false;        /* bob and carol have names, too */
        int unable = 0;                /* what request() and notify() return instead of doing it */

        /* Callers are opaque to dialects. */
        Caller *alice = reinterpret_cast<Caller *>(0x1000), *bob = reinterpret_cast<Caller *>(0x2000),
               *carol = reinterpret_cast<Caller *>(0x3000);

        void SetUp() override {
                ASSERT_GE(sd_event_new(&event), 0);
                ASSERT_GE(deadlines_new(event, &deadlines), 0);
                setup.session = "files";
                setup.configuration = "{}";
                setup.message_max = 16 * 1024 * 1024;
        }

        void TearDown() override {
                drop();
                dialect_free(d);
                deadlines_free(deadlines);
                sd_event_unref(event);
        }

        void make(const DialectOps *ops) {
                ASSERT_EQ(ops->dialect_new(ops, &setup, &peer, this, deadlines, &d), 0);
        }

        void connect() {
                d->ops->connected(d);
        }

        /* The connection is lost, in the order in which a session says so. */
        void drop() {
                for (size_t i = 0; i < said.size(); i++)
                        if (said[i].answered && !said[i].done) {
                                PlugindError error = { PLUGIND_ERROR_CONNECTION_LOST, const_cast<char *>("gone") };

                                said[i].done = true;
                                said[i].answered(d, JsonRange{}, &error, JsonRange{}, said[i].userdata);
                        }
                if (d)
                        d->ops->disconnected(d);
        }

        /* What was said since the last call. */
        std::vector<std::string> take() {
                std::vector<std::string> out;

                for (; taken < said.size(); taken++)
                        out.push_back(said[taken].what);
                return out;
        }

        Said *pending(const std::string &method) {
                for (size_t i = 0; i < said.size(); i++)
                        if (said[i].answered && !said[i].done && said[i].method == method)
                                return &said[i];
                return nullptr;
        }

        void answer(const std::string &method, const std::string &result) {
                Said *request = pending(method);

                ASSERT_NE(request, nullptr) << method << " is not waited for";
                request->done = true;
                Said copy = *request;
                copy.answered(d, range(result), nullptr, JsonRange{}, copy.userdata);
        }

        void refuse(const std::string &method, int code, const std::string &message, const std::string &data = "") {
                Said *request = pending(method);
                std::string object = "{\"code\":" + std::to_string(code) + ",\"message\":\"" + message + "\"" +
                                     (data.empty() ? "" : ",\"data\":" + data) + "}";
                PlugindError error = { PLUGIND_ERROR_PLUGIN_ERROR, const_cast<char *>(message.c_str()) };

                ASSERT_NE(request, nullptr) << method << " is not waited for";
                request->done = true;
                Said copy = *request;
                copy.answered(d, JsonRange{}, &error, range(object), copy.userdata);
        }

        /* What became of a caller's message. */
        struct Out {
                DialectVerdict verdict;
                std::string params, answer, message; /* params: as they are sent */
                PlugindErrorCode code;
                bool tracked, endless, holds;
        };

        /* What the dialect would hand over. */
        std::string save() {
                g_autoptr(GString) json = g_string_new("x");
                JsonFault fault;

                d->ops->save(d, json);
                EXPECT_EQ(json->str[0], 'x');
                std::string state = json->str + 1;
                EXPECT_EQ(json_check(range(state), nullptr, &fault), 0) << state << ": " << fault.what;
                return state;
        }

        /* The timers whose time has come. */
        void turn() {
                while (sd_event_run(event, 0) > 0)
                        ;
        }

        Out send(Caller *caller, uint64_t id, const std::string &method, const std::string &params = "", const std::string &caller_id = "",
                 bool again = false) {
                DialectOutgoing message = {};
                Out out = {};

                message.caller = caller;
                message.id = id;
                message.method = method.c_str();
                message.again = again;
                if (!params.empty())
                        message.params = range(params);
                if (!caller_id.empty())
                        message.caller_id = range(caller_id);
                out.verdict = d->ops->outgoing(d, &message);
                out.params = message.rewritten ? std::string(message.rewritten->str, message.rewritten->len) : params;
                out.answer = message.answer ? message.answer->str : "";
                out.message = message.error.message ? message.error.message : "";
                out.code = message.error.code;
                out.tracked = message.tracked;
                out.endless = message.endless;
                out.holds = message.holds;
                EXPECT_EQ(out.verdict == DIALECT_REFUSE, out.code != PLUGIND_ERROR_NONE);
                if (out.verdict == DIALECT_ANSWER && id > 0) {
                        EXPECT_FALSE(out.answer.empty());
                }
                if (out.verdict == DIALECT_FORWARD && message.rewritten) {
                        JsonFault fault;

                        EXPECT_EQ(json_check(range(out.params), nullptr, &fault), 0) << out.params << ": " << fault.what;
                }
                if (message.rewritten)
                        g_string_free(message.rewritten, TRUE);
                if (message.answer)
                        g_string_free(message.answer, TRUE);
                plugind_error_clear(&message.error);
                return out;
        }

        void finish(uint64_t id, const std::string &result = "") {
                d->ops->finished(d, id, result.empty() ? JsonRange{} : range(result));
        }

        /* A notification of the plugin: "nobody", "ID params", or who of the three wants it: "abc params". */
        std::string hear(const std::string &method, const std::string &params = "") {
                std::string quoted = "\"" + method + "\"", out;
                DialectIncoming message = {};

                message.method = range(quoted);
                if (!params.empty())
                        message.params = range(params);
                d->ops->notification(d, &message);
                if (message.audience == DIALECT_TO_NOBODY)
                        out = "nobody";
                else if (message.audience == DIALECT_TO_REQUEST)
                        out = std::to_string(message.request);
                else
                        out = std::string(wants(alice, &message) ? "a" : "") + (wants(bob, &message) ? "b" : "") +
                              (wants(carol, &message) ? "c" : "");
                if (message.rewritten) {
                        out += " " + std::string(message.rewritten->str, message.rewritten->len);
                        g_string_free(message.rewritten, TRUE);
                }
                return out;
        }

        /* A request of the plugin. */
        void ask(const std::string &id, const std::string &method, const std::string &params = "") {
                std::string quoted = "\"" + method + "\"";
                JsonRpcMessage message = {};

                message.kind = JSONRPC_REQUEST;
                message.id = range(id);
                message.method = range(quoted);
                if (!params.empty())
                        message.params = range(params);
                d->ops->request(d, &message);
        }

      private:
        size_t taken = 0;

        bool wants(Caller *caller, const DialectIncoming *message) {
                return !d->ops->wants || d->ops->wants(d, caller, message);
        }

        void record(const std::string &what, const std::string &method, DialectAnswered answered = nullptr, void *userdata = nullptr) {
                said.push_back(Said{ what, method, answered, userdata, false });
        }

        static DialectTest *self(void *p) {
                return static_cast<DialectTest *>(p);
        }

        static std::string line(const char *sign, const char *method, JsonRange params) {
                return std::string(sign) + " " + method + (params.data ? " " + text(params) : "");
        }

        static int on_request(void *p, const char *method, JsonRange params, uint64_t, DialectAnswered answered, void *userdata) {
                if (self(p)->unable < 0)
                        return self(p)->unable;
                self(p)->record(line(">", method, params), method, answered, userdata);
                return 0;
        }

        static int on_notify(void *p, const char *method, JsonRange params) {
                if (self(p)->unable < 0)
                        return self(p)->unable;
                self(p)->record(line("!", method, params), method);
                return 0;
        }

        static int on_respond(void *p, JsonRange id, JsonRange result) {
                self(p)->record("= " + text(id) + " " + text(result), "");
                return 0;
        }

        static int on_respond_error(void *p, JsonRange id, int code, const char *) {
                self(p)->record("x " + text(id) + " " + std::to_string(code), "");
                return 0;
        }

        static void on_greeted(void *p, const DialectGreeting *greeting) {
                self(p)->events.push_back("greeted");
                self(p)->greeted_answer = text(greeting->answer);
                self(p)->greeted_name = greeting->name ? greeting->name : "";
                self(p)->greeted_version = greeting->version ? greeting->version : "";
        }

        static void on_greeting_failed(void *p, const PlugindError *error) {
                self(p)->events.push_back("failed");
                self(p)->failure = error->message;
                self(p)->failure_code = error->code;
        }

        static void on_pong(void *p) {
                self(p)->events.push_back("pong");
        }

        static void on_farewell_said(void *p) {
                self(p)->events.push_back("farewell");
        }

        static void on_remember_era(void *p, const char *era) {
                self(p)->events.push_back(std::string("era ") + era);
        }

        __attribute__((format(printf, 3, 4))) static void on_log(void *p, int, const char *format, ...) {
                g_autofree char *message = nullptr;
                va_list args;

                va_start(args, format);
                message = g_strdup_vprintf(format, args);
                va_end(args);
                self(p)->events.push_back(std::string("log ") + message);
        }

        static const char *on_caller_name(void *p, Caller *caller) {
                DialectTest *t = self(p);

                if (caller == t->alice)
                        return ":1.1";
                return !t->all_named ? nullptr : caller == t->bob ? ":1.2" : caller == t->carol ? ":1.3" : nullptr;
        }

        static void on_changed(void *p) {
                self(p)->changes++;
        }

        static Caller *on_find_caller(void *p, const char *name) {
                for (Caller *caller : { self(p)->alice, self(p)->bob, self(p)->carol }) {
                        const char *known = on_caller_name(p, caller);

                        if (known && strcmp(known, name) == 0)
                                return caller;
                }
                return nullptr;
        }

        static void on_holds(void *p, Caller *caller) {
                self(p)->holders.push_back(caller);
        }

        static constexpr DialectPeer peer = { on_request,         on_notify,  on_respond,       on_respond_error, on_greeted,
                                              on_greeting_failed, on_pong,    on_farewell_said, on_remember_era,  on_log,
                                              on_caller_name,     on_changed, on_find_caller,   on_holds };
};

using Lines = std::vector<std::string>;
