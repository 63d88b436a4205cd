/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A plugin that runs on while one host leaves, in order or killed, and another takes it over: what its dialect knew goes on with it. The fd store
 * is played by the test, as is the runtime; arena, texts and all else are real. */
#include "host-fixture.h"
#include "played-store.h"

extern "C" {
#include "host/session-private.h"
#include "store/store.h"

int __real_store_take_pair(Store *store, unsigned number, int *ret_in, int *ret_out);
int __wrap_store_take_pair(Store *store, unsigned number, int *ret_in, int *ret_out);
}

int __wrap_store_take_pair(Store *store, unsigned number, int *ret_in, int *ret_out) {
        auto found = stored.find(number);

        if (found == stored.end())
                return __real_store_take_pair(store, number, ret_in, ret_out);
        *ret_in = fcntl(found->second.first, F_DUPFD_CLOEXEC, 3);
        *ret_out = fcntl(found->second.second, F_DUPFD_CLOEXEC, 3);
        return 0;
}

class SessionTakeover : public HostTest, public testing::WithParamInterface<bool> {
        static const RuntimeOps *played; /* what the fixture does */
        static bool leaving;             /* units run on */
        RuntimeOps ops{};
        uint32_t epoch = 1;

        static HostTest::Process *process_of(Unit *unit) {
                return reinterpret_cast<HostTest::Process *>(unit);
        }

        static int start(Runtime *runtime, const UnitSpec *spec, const UnitEvents *events, void *userdata, Unit **ret,
                         PlugindError *error) {
                HostTest *test = reinterpret_cast<HostTest::TestRuntime *>(runtime)->test;
                int r;

                test->slow_start = true;
                r = played->unit_start(runtime, spec, events, userdata, ret, error);
                if (r < 0)
                        return r;
                HostTest::Process *process = process_of(*ret);
                stored[(unsigned) process->pid] = { fcntl(process->host_in, F_DUPFD_CLOEXEC, 3),
                                                    fcntl(process->host_out, F_DUPFD_CLOEXEC, 3) };
                process->start();
                return 0;
        }

        static Unit *free_unit(Unit *unit) {
                return leaving ? nullptr : played->unit_free(unit);
        }

        static void identify(Unit *unit, UnitIdentity *ret) {
                pid_t pid = process_of(unit)->pid;

                *ret = UnitIdentity{ "plugind-test-1.service", pid, 1, (unsigned) pid };
        }

        static int adopt(Runtime *runtime, const UnitIdentity *identity, const UnitEvents *events, void *userdata, Unit **ret) {
                HostTest *test = reinterpret_cast<HostTest::TestRuntime *>(runtime)->test;

                for (auto &process : test->processes)
                        if (process->pid == identity->pid && process->in >= 0 && (unsigned) identity->pid == identity->pair) {
                                process->unit = Unit{ runtime, events, userdata };
                                *ret = &process->unit;
                                return 0;
                        }
                return -ESRCH;
        }

      protected:
        void SetUp() override {
                HostTest::SetUp();
                played = runtime.runtime.ops;
                ops = *played;
                ops.unit_start = start;
                ops.unit_free = free_unit;
                ops.unit_identify = identify;
                ops.unit_adopt = adopt;
                runtime.runtime.ops = &ops;
        }

        void TearDown() override {
                HostTest::TearDown();
                forget_stored();
        }

        void leave(bool killed) override {
                turn();
                if (killed)
                        host->left = true; /* nothing more gets into the store */
                else
                        HostTest::leave(false);
                arena_keep(arena);
                leaving = true;
        }

        void left() override {
                int fds[_ARENA_FD_MAX];

                leaving = false;
                arena_descriptors(arena, fds);
                for (int &fd : fds)
                        fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
                arena = arena_free(arena);
                ASSERT_EQ(arena_adopt(fds, DUPLEX_MESSAGE_MAX, ++epoch, &arena), 0);
        }

        Session *take_over(const char *id, bool killed) {
                pid_t pid = processes.back()->pid;

                turn();
                hand_over(nullptr, killed);
                arena_adopted(arena);
                Session *session = host_find(host, id);
                EXPECT_EQ(session->state, SESSION_ACTIVE);
                EXPECT_EQ(session->main_pid, pid);
                EXPECT_EQ(session->hand_overs, 1u);
                EXPECT_EQ(session->restarts, 0u);
                events.clear();
                return session;
        }

        static std::string id_of(const std::string &line) {
                size_t at = line.find("\"id\":");

                return at == std::string::npos ? "" : line.substr(at + 5, line.find_first_of(",}", at) - at - 5);
        }

        void answer(const std::string &line, const std::string &result) {
                processes.back()->say(R"({"jsonrpc":"2.0","id":)" + id_of(line) + R"(,"result":)" + result + "}");
        }

        /* The next line, which is of METHOD. */
        std::string expect(const std::string &method) {
                std::string line = processes.back()->line();

                EXPECT_NE(line.find("\"method\":\"" + method + "\""), std::string::npos) << method << ": " << line;
                return line;
        }

        /* A Send that the plugin answers. */
        void call(Session *session, Caller *caller, const std::string &method, const std::string &params, const std::string &result) {
                Sent sent;

                send(session, caller, method, params, &sent);
                turn();
                answer(expect(method), result);
                EXPECT_TRUE(sent.done);
                EXPECT_EQ(sent.result, result) << sent.message;
        }

        /* A Send that the host answers. */
        std::string ask(Session *session, Caller *caller, const std::string &method, const std::string &params) {
                Sent sent;

                send(session, caller, method, params, &sent);
                EXPECT_TRUE(sent.done);
                return sent.result + sent.message;
        }

        std::string notify(Session *session, Caller *caller, const std::string &method, const std::string &params) {
                PlugindError error{};
                std::string out = "ok";

                if (session_notify(session, caller, method.c_str(), JSON_RANGE(params.c_str()), nullptr, nullptr, &error) < 0)
                        out = error.message;
                plugind_error_clear(&error);
                return out;
        }

        /* The last notification was delivered, as was all before it. */
        std::string heard() {
                std::string out;

                turn();
                for (const auto &event : events)
                        if (event.rfind("note ", 0) == 0)
                                out += (out.empty() ? "" : "; ") + event.substr(5);
                events.clear();
                return out;
        }

        Session *load_mcp(const char *era) {
                Session *session = load(
                        "mcp",
                        std::string(R"({"manifestVersion":1,"command":"/bin/true","dialect":"mcp","activation":"boot","mcp":{"era":")") +
                                era + R"("}})");

                turn();
                if (g_str_equal(era, "legacy")) {
                        answer(expect("initialize"), greeting);
                        expect("notifications/initialized");
                } else
                        answer(expect("server/discover"), R"({"supportedVersions":["2026-07-28"],"capabilities":{}})");
                EXPECT_EQ(session->state, SESSION_ACTIVE);
                for (Caller *caller : { alice, bob })
                        EXPECT_EQ(session_subscribe(session, caller, nullptr, nullptr), 0);
                return session;
        }

        const std::string greeting = R"({"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"Old"}})";
        const std::string one = R"({"uri":"demo://1"})", two = R"({"uri":"demo://2"})";

        void update(const std::string &params) {
                processes.back()->say(R"({"jsonrpc":"2.0","method":"notifications/resources/updated","params":)" + params + "}");
        }
};

const RuntimeOps *SessionTakeover::played;
bool SessionTakeover::leaving;

TEST_P(SessionTakeover, SubscriptionsOfMcpGoOn) {
        Session *session = load_mcp("legacy");
        const std::string updated = "'' notifications/resources/updated ";

        call(session, alice, "resources/subscribe", one, "{}");
        EXPECT_EQ(ask(session, bob, "resources/subscribe", one), "{}");
        call(session, bob, "resources/subscribe", two, "{}");
        call(session, alice, "logging/setLevel", R"({"level":"warning"})", "{}");

        session = take_over("mcp", GetParam());
        update(one);
        EXPECT_EQ(heard(), ":1.1 " + updated + one + "; :1.2 " + updated + one);
        update(two);
        EXPECT_EQ(heard(), ":1.2 " + updated + two);
        EXPECT_EQ(ask(session, alice, "initialize", "{}"), greeting);
        EXPECT_EQ(ask(session, alice, "resources/subscribe", two), "{}");
        EXPECT_EQ(ask(session, bob, "logging/setLevel", R"({"level":"error"})"), "{}");
        call(session, bob, "tools/list", "{}", "[]");
        bob = caller_free(bob);
        alice = caller_free(alice);
        EXPECT_NE((expect("resources/unsubscribe") + expect("resources/unsubscribe")).find("demo://2"), std::string::npos);
}

/* As deep as a message, a manifest and a configuration may be: what is kept of the session has them inside. */
TEST_P(SessionTakeover, WhatIsNestedDeeplyGoesOn) {
        auto nested = [](int levels) { return std::string((size_t) levels, '[') + std::string((size_t) levels, ']'); };
        LoadOptions options{};
        PlugindError error{};
        Session *session;
        std::string configuration = "{\"a\":" + nested(JSON_DEPTH_MAX - 1) + "}",
                    manifest = R"({"manifestVersion":1,"command":"/bin/true","dialect":"mcp","activation":"boot","mcp":{"era":"legacy"}})",
                    answered = greeting;

        answered.insert(answered.find("{}") + 1, "\"x\":" + nested(JSON_DEPTH_MAX - 3)); /* in an answer, its result, its capabilities */
        options.source = "mcp";
        options.manifest = manifest.c_str();
        options.configuration = configuration.c_str();
        options.caller = alice;
        ASSERT_EQ(host_load(host, &options, &session, &error), 0) << error.message;
        turn();
        answer(expect("initialize"), answered);
        expect("notifications/initialized");
        ASSERT_EQ(session->state, SESSION_ACTIVE);

        session = take_over("mcp", GetParam());
        EXPECT_STREQ(session->greeting, answered.c_str());
        EXPECT_STREQ(session->configuration, configuration.c_str());
        EXPECT_EQ(ask(session, alice, "initialize", "{}"), answered);
}

TEST_P(SessionTakeover, WhoLeavesMeanwhileHoldsNothing) {
        Session *session = load_mcp("legacy");

        call(session, bob, "resources/subscribe", two, "{}");
        call(session, alice, "resources/subscribe", one, "{}");
        meanwhile = [&] { bob = caller_free(bob); };
        session = take_over("mcp", GetParam());
        EXPECT_NE(expect("resources/unsubscribe").find("demo://2"), std::string::npos);
        call(session, alice, "tools/list", "{}", "[]");
}

TEST_P(SessionTakeover, DocumentsOfLspStayTheirWriters) {
        const std::string document = R"({"textDocument":{"uri":"file:///a.c"}})";
        Session *session = load("lsp",
                                R"({"manifestVersion":1,"command":"/bin/true","dialect":"lsp","framing":"lines","activation":"boot"})");

        turn();
        answer(expect("initialize"), R"({"capabilities":{}})");
        expect("initialized");
        EXPECT_EQ(notify(session, alice, "textDocument/didOpen", document), "ok");
        expect("textDocument/didOpen");

        session = take_over("lsp", GetParam());
        EXPECT_NE(notify(session, bob, "textDocument/didOpen", document).find("open for writing by :1.1"), std::string::npos);
        EXPECT_EQ(notify(session, alice, "textDocument/didChange", document), "ok");
        expect("textDocument/didChange");
        alice = caller_free(alice);
        expect("textDocument/didClose");
        EXPECT_EQ(notify(session, bob, "textDocument/didOpen", document), "ok");
}

/* Its caller hears an error from the bus, and the server is not left with it. */
TEST_F(SessionTakeover, ASubscriptionUnderWayAtAKillIsTakenBack) {
        Session *session = load_mcp("legacy");
        Sent lost;

        send(session, alice, "resources/subscribe", one, &lost);
        turn();
        std::string asked = expect("resources/subscribe");
        session = take_over("mcp", true);
        turn();
        EXPECT_NE(expect("resources/unsubscribe").find("demo://1"), std::string::npos);
        answer(asked, "{}");
        update(one);
        EXPECT_EQ(heard(), "");
        call(session, alice, "resources/subscribe", one, "{}");
        update(one);
        EXPECT_NE(heard(), "");
}

TEST_P(SessionTakeover, AListenIsCancelledAndCanBegin) {
        Session *session = load_mcp("modern");
        Sent listen, again;

        send(session, alice, "subscriptions/listen", "{}", &listen, "7");
        turn();
        std::string asked = expect("subscriptions/listen");
        session = take_over("mcp", GetParam());
        EXPECT_NE(expect("notifications/cancelled").find("\"requestId\":" + id_of(asked)), std::string::npos);
        EXPECT_EQ(listen.code, PLUGIND_ERROR_CONNECTION_LOST);
        processes.back()->say(
                R"({"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":)" +
                id_of(asked) + "}}}");
        EXPECT_EQ(heard(), "");
        send(session, alice, "subscriptions/listen", "{}", &again, "7");
        turn();
        EXPECT_NE(id_of(expect("subscriptions/listen")), id_of(asked));
}

/* It would keep the daemon for all the time that there is. */
TEST_F(SessionTakeover, AListenThatComesWhileItLeavesIsNotWaitedFor) {
        Session *session = load_mcp("modern");
        Sent listen;

        host_hold(host);
        send(session, alice, "subscriptions/listen", "{}", &listen, "7");
        EXPECT_TRUE(listen.done);
        EXPECT_EQ(listen.code, PLUGIND_ERROR_CONNECTION_LOST);
        g_autofree char *waits = host_waits_for(host);
        EXPECT_FALSE(waits);
        call(session, bob, "tools/list", "{}", "[]");
}

/* It ended while nobody was there: the next run is told what callers hold. */
TEST_P(SessionTakeover, WhatCallersHoldIsSaidAgainToTheNextRun) {
        Session *session = load_mcp("legacy");

        call(session, alice, "resources/subscribe", one, "{}");
        turn();
        meanwhile = [&] { processes.back()->hang_up(); };
        hand_over(nullptr, GetParam());
        arena_adopted(arena);
        session = host_find(host, "mcp");
        processes[0]->freed = true; /* nobody took it over */
        until([&] { return processes.size() == 2 && session->state == SESSION_CONNECTING; });
        answer(expect("initialize"), greeting);
        expect("notifications/initialized");
        answer(expect("resources/subscribe"), "{}");
        update(one);
        EXPECT_EQ(heard(), ":1.1 '' notifications/resources/updated " + one);
        alice = caller_free(alice);
        expect("resources/unsubscribe");
}

TEST_F(SessionTakeover, ANewRunHasSeenNoHandOver) {
        Session *session = load("plain", R"({"manifestVersion":1,"command":"/bin/true","dialect":"jsonrpc","activation":"boot"})");

        turn();
        session = take_over("plain", false);
        processes.back()->exit(CLD_KILLED, SIGKILL);
        until([&] { return processes.size() == 2 && session->state == SESSION_ACTIVE; });
        EXPECT_EQ(session->hand_overs, 0u);
}

INSTANTIATE_TEST_SUITE_P(Ends, SessionTakeover, testing::Bool(), [](const auto &info) { return info.param ? "killed" : "in_order"; });
