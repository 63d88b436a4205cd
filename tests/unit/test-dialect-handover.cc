/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A dialect that is saved and restored in another process goes on as if nothing had been. */
#include "fake-dialect-peer.h"

#include <algorithm>
#include <random>
#include <set>

extern "C" {
#include "duplex/dialect-common.h"
}

using std::string;

static const string legacy_greeting =
        "{\"protocolVersion\":\"2025-06-18\", \"capabilities\":{},\n\"serverInfo\":{\"name\":\"Old\",\"version\":\"1\"}}";
static const string lsp_greeting = "{\"capabilities\":{\"hoverProvider\":true}}";

/* The same state with every list and object in order. */
static string sorted(JsonRange value) {
        bool object = json_type(value) == JSON_OBJECT;
        std::multiset<string> members;
        JsonRange key, member;
        size_t cursor = 0;
        string out;

        if (!object && json_type(value) != JSON_ARRAY)
                return text(value);
        while (json_next(value, &cursor, &key, &member))
                members.insert((object ? text(key) + ":" : "") + sorted(member));
        for (const auto &m : members)
                out += (out.empty() ? "" : ",") + m;
        return (object ? "{" : "[") + out + (object ? "}" : "]");
}

/* One daemon's dialect. */
class Side : public DialectTest {
      public:
        using DialectTest::bob, DialectTest::carol, DialectTest::alice;
        using DialectTest::changes, DialectTest::events, DialectTest::holders, DialectTest::said, DialectTest::take, DialectTest::turn;
        using DialectTest::d, DialectTest::deadlines, DialectTest::drop, DialectTest::hear, DialectTest::send, DialectTest::finish,
                DialectTest::answer, DialectTest::refuse, DialectTest::pending, DialectTest::save, DialectTest::connect, DialectTest::ask,
                DialectTest::setup, DialectTest::all_named, DialectTest::Out;

        explicit Side(const DialectOps *ops, const char *era = nullptr) {
                SetUp();
                all_named = true;
                setup.mcp_era = era;
                make(ops);
        }
        ~Side() override {
                TearDown();
        }
        void TestBody() override {
        }

        int restore(const string &state, bool connected) {
                return d->ops->restore(d, range(state), connected);
        }

        /* Connects and lets the plugin answer the greeting. */
        void greet() {
                connect();
                if (d->ops == &dialect_lsp)
                        answer("initialize", lsp_greeting);
                else if (d->ops == &dialect_plugind)
                        answer("plugind/initialize", "{\"protocol\":1}");
                else if (pending("initialize"))
                        answer("initialize", legacy_greeting);
                else
                        answer("server/discover", "{\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{}}");
                if (d->ops->active)
                        d->ops->active(d);
        }

        Caller *caller(unsigned n) {
                return n == 0 ? alice : n == 1 ? bob : carol;
        }
};

/* The same random input for one side or two. */
class Script {
        std::mt19937 random;
        uint64_t id = 0;
        std::vector<uint64_t> underway; /* callers' requests that the plugin has not answered */

        unsigned below(unsigned bound) {
                return (unsigned) (random() % bound);
        }

        static string uri(unsigned n) {
                static const char *const uris[] = { "demo://1", "demo://1/x", "demo://\\u00e4\\\"", "" };

                return uris[n % 4];
        }

        static string told(Side &side) {
                Lines lines = side.take();
                string out;

                std::sort(lines.begin(), lines.end());
                for (const auto &line : lines)
                        out += "\n  " + line;
                for (const auto &event : side.events)
                        out += "\n  " + event;
                side.events.clear();
                return out;
        }

        static string shown(const Side::Out &out) {
                return "verdict " + std::to_string(out.verdict) + " " + out.params + " " + out.answer + " " + out.message + " " +
                       std::to_string(out.tracked) + std::to_string(out.endless) + std::to_string(out.holds);
        }

      public:
        explicit Script(unsigned seed) : random(seed) {
        }

        /* Does STEP with each side; false if they did not do the same. */
        template <typename Step> bool all(const std::vector<Side *> &sides, const string &name, Step step) {
                string first;

                for (Side *side : sides) {
                        string before = sorted_save(*side);
                        unsigned changes = side->changes;
                        string now = name + ": " + step(*side);
                        now += told(*side);

                        if (before != sorted_save(*side)) {
                                EXPECT_GT(side->changes, changes) << now;
                        }
                        now += "\n" + sorted_save(*side);
                        if (side == sides[0])
                                first = now;
                        EXPECT_EQ(first, now);
                        if (first != now || ::testing::Test::HasFailure())
                                return false;
                }
                return true;
        }

        static string sorted_save(Side &side) {
                return sorted(range(side.save()));
        }

        bool request(const std::vector<Side *> &sides, const string &method, const string &params) {
                unsigned who = below(3);
                uint64_t mine = ++id;

                underway.push_back(mine);
                return all(sides, method + " " + params + " of " + std::to_string(who),
                           [&](Side &side) { return shown(side.send(side.caller(who), mine, method, params)); });
        }

        bool notify(const std::vector<Side *> &sides, const string &method, const string &params) {
                unsigned who = below(3);

                return all(sides, method + " " + params, [&](Side &side) { return shown(side.send(side.caller(who), 0, method, params)); });
        }

        bool finish(const std::vector<Side *> &sides, size_t index, bool well) {
                uint64_t mine = underway[index];

                underway.erase(underway.begin() + (ssize_t) index);
                return all(sides, "finish " + std::to_string(mine), [&](Side &side) {
                        side.finish(mine, well ? "{}" : "");
                        return "";
                });
        }

        /* All that is under way is answered: there is nothing that a hand-over could lose. */
        bool settle(const std::vector<Side *> &sides) {
                while (!underway.empty())
                        if (!finish(sides, below((unsigned) underway.size()), below(3) > 0))
                                return false;
                return all(sides, "answers to the host", [](Side &side) {
                        for (size_t i = 0; i < side.said.size(); i++)
                                if (side.said[i].answered && !side.said[i].done) {
                                        Said one = side.said[i];

                                        side.said[i].done = true;
                                        one.answered(side.d, JSON_RANGE("{}"), nullptr, JsonRange{}, one.userdata);
                                }
                        return "";
                });
        }

        void forget() {
                underway.clear();
        }

        bool restart(const std::vector<Side *> &sides) {
                unsigned times = 1 + (below(4) == 0);

                forget();
                return all(sides, "restart", [&](Side &side) {
                        for (unsigned i = 0; i < times; i++) {
                                side.drop();
                                side.greet();
                        }
                        return "";
                });
        }

        bool mcp(const std::vector<Side *> &sides) {
                static const char *const levels[] = { "debug", "info", "warning", "emergency" };
                string one = "{\"uri\":\"" + uri(below(4)) + "\"}", level = string("{\"level\":\"") + levels[below(4)] + "\"}";

                switch (below(9)) {
                case 0:
                case 1:
                        return request(sides, "resources/subscribe", one);
                case 2:
                        return request(sides, "resources/unsubscribe", one);
                case 3:
                        return request(sides, "logging/setLevel", level);
                case 4:
                        return all(sides, "updated " + one, [&](Side &side) { return side.hear("notifications/resources/updated", one); });
                case 5:
                        return all(sides, "message " + level, [&](Side &side) { return side.hear("notifications/message", level); });
                case 6:
                        return request(sides, "tools/call", "{\"_meta\":{\"progressToken\":\"t\"}}") && request(sides, "initialize", "{}");
                default:
                        return common(sides);
                }
        }

        bool lsp(const std::vector<Side *> &sides) {
                static const char *const methods[] = { "didOpen", "didOpen", "didChange", "didClose", "didSave" };
                string one = "{\"textDocument\":{\"uri\":\"" + uri(below(4)) + "\"}}";

                switch (below(8)) {
                case 0:
                case 1:
                case 2:
                case 3:
                        return notify(sides, string("textDocument/") + methods[below(5)], one);
                case 4:
                        return request(sides, "textDocument/hover", one) && request(sides, "workspace/executeCommand", "{}");
                case 5:
                        return request(sides, "initialize", "{}");
                default:
                        return common(sides);
                }
        }

        bool common(const std::vector<Side *> &sides) {
                unsigned who = below(3);

                switch (below(8)) {
                case 0:
                        return all(sides, "gone", [&](Side &side) {
                                if (side.d->ops->caller_gone)
                                        side.d->ops->caller_gone(side.d, side.caller(who));
                                return std::to_string(who);
                        });
                case 1:
                        return restart(sides);
                case 2:
                        return all(sides, "ping", [](Side &side) {
                                if (side.d->ops->ping)
                                        side.d->ops->ping(side.d);
                                side.ask("1", "ping");
                                side.d->ops->cancel(side.d, 12345, "nobody knows it");
                                return "";
                        });
                default:
                        return underway.empty() || finish(sides, below((unsigned) underway.size()), below(3) > 0);
                }
        }

        bool step(const std::vector<Side *> &sides) {
                return sides[0]->d->ops == &dialect_lsp ? lsp(sides) : sides[0]->d->ops == &dialect_mcp ? mcp(sides) : common(sides);
        }
};

struct Kind {
        const char *name;
        const DialectOps *ops;
        const char *era;
};

class Handover : public ::testing::TestWithParam<Kind> {};

/* Nothing under way: whoever goes on, goes on the same. */
TEST_P(Handover, OfAPluginThatRunsIsNotNoticed) {
        for (unsigned seed = 0; seed < 150; seed++) {
                Side before(GetParam().ops, GetParam().era), after(GetParam().ops, GetParam().era);
                Script script(seed);

                SCOPED_TRACE(seed);
                before.greet();
                for (unsigned i = 0; i < seed % 40; i++)
                        ASSERT_TRUE(script.step({ &before }));
                ASSERT_TRUE(script.settle({ &before }));
                ASSERT_EQ(after.restore(before.save(), true), 0) << before.save();
                after.turn();
                ASSERT_EQ(after.take(), Lines{});
                ASSERT_EQ(after.events, Lines{});
                ASSERT_EQ(Script::sorted_save(after), Script::sorted_save(before));
                for (unsigned i = 0; i < 40; i++)
                        ASSERT_TRUE(script.step({ &before, &after }));
        }
}

/* Whatever is under way: as if the connection had broken. */
TEST_P(Handover, OfAPluginThatIsGoneIsADisconnection) {
        for (unsigned seed = 0; seed < 150; seed++) {
                Side before(GetParam().ops, GetParam().era), after(GetParam().ops, GetParam().era);
                Script script(seed);
                string state;

                SCOPED_TRACE(seed);
                before.greet();
                for (unsigned i = 0; i < seed % 40; i++)
                        ASSERT_TRUE(script.step({ &before }));
                state = before.save();
                before.drop();
                before.take();
                before.events.clear();
                ASSERT_EQ(after.restore(state, false), 0) << state;
                after.turn();
                ASSERT_EQ(after.take(), Lines{});
                ASSERT_EQ(Script::sorted_save(after), Script::sorted_save(before)) << state;
                ASSERT_TRUE(script.restart({ &before, &after }));
                for (unsigned i = 0; i < 40; i++)
                        ASSERT_TRUE(script.step({ &before, &after }));
        }
}

TEST_P(Handover, OfOneThatIsNotGreetedIsNoConnection) {
        Side before(GetParam().ops, GetParam().era), after(GetParam().ops, GetParam().era), refused(GetParam().ops, GetParam().era);

        before.connect();
        EXPECT_EQ(refused.restore(before.save(), true), -EBADMSG);
        EXPECT_EQ(after.restore(before.save(), false), 0);
        after.greet();
        EXPECT_EQ(after.events.back(), "greeted");
}

/* What is torn or wrong is refused or taken, and what is taken can be handed over again. */
TEST_P(Handover, StateIsDistrusted) {
        static const char *const pieces[] = { "null", "[", "]",    "{}",          "\"\\u0000\"", "[[[]]]",
                                              ",",    ":", "true", "\":1.1\":{}", "1e999",       "\"" };
        std::mt19937 random(1);

        for (unsigned seed = 0; seed < 20; seed++) {
                Side before(GetParam().ops, GetParam().era);
                Script script(seed);

                before.greet();
                for (unsigned i = 0; i < 30; i++)
                        ASSERT_TRUE(script.step({ &before }));
                string whole = before.save();
                for (size_t i = 0; i < 2 * whole.size(); i++) {
                        string state = whole.substr(0, i);
                        Side after(GetParam().ops, GetParam().era), again(GetParam().ops, GetParam().era);

                        if (i >= whole.size()) {
                                const char *piece = pieces[random() % G_N_ELEMENTS(pieces)];

                                state = whole;
                                state.replace(i - whole.size(), random() % 4, random() % 3 ? string(piece) : string(1, (char) random()));
                        }
                        int r = after.restore(state, i % 3 > 0);
                        ASSERT_TRUE(r == 0 || r == -EBADMSG) << r;
                        if (i < whole.size()) {
                                ASSERT_EQ(r, -EBADMSG) << state;
                        }
                        if (r < 0)
                                continue;
                        ASSERT_EQ(again.restore(after.save(), i % 3 > 0), 0) << state << "\n" << after.save();
                        ASSERT_EQ(Script::sorted_save(again), Script::sorted_save(after)) << state;
                        for (unsigned n = 0; n < 3; n++)
                                if (after.d->ops->caller_gone)
                                        after.d->ops->caller_gone(after.d, after.caller(n));
                        after.turn();
                }
        }
}

INSTANTIATE_TEST_SUITE_P(Dialects, Handover,
                         testing::Values(Kind{ "plugind", &dialect_plugind, nullptr }, Kind{ "lsp", &dialect_lsp, nullptr },
                                         Kind{ "legacy", &dialect_mcp, "legacy" }, Kind{ "modern", &dialect_mcp, nullptr }),
                         [](const auto &info) { return info.param.name; });

/* A legacy MCP server that takes its messages in order. */
struct Server {
        std::set<string> uris;
        string level;

        bool take(const string &method, const string &params) {
                JsonRange value = {};

                if (params.find("never") != string::npos || params.find("alert") != string::npos)
                        return false;
                if (dialect_member(range(params), "level", &value))
                        level = text(value);
                else if (dialect_member(range(params), "uri", &value) && method == "resources/subscribe")
                        uris.insert(text(value));
                else
                        uris.erase(text(value));
                return true;
        }

        /* All that SIDE has said, until it has nothing more to say. */
        void serve(Side &side) {
                for (Lines lines = side.take(); !lines.empty(); lines = side.take())
                        for (const auto &line : lines) {
                                size_t space = line.find(' ', 2);
                                string method = line.substr(2, space - 2);

                                if (take(method, line.substr(space + 1)))
                                        side.answer(method, "{}");
                                else
                                        side.refuse(method, -32602, "never");
                        }
        }
};

/* The most verbose level that callers have in STATE; empty: none has one. */
static string most_verbose(const string &state) {
        JsonRange callers, caller, level;
        std::set<string> wanted;
        size_t cursor = 0;

        EXPECT_TRUE(dialect_member(range(state), "callers", &callers));
        while (json_next(callers, &cursor, nullptr, &caller))
                if (dialect_member(caller, "level", &level))
                        wanted.insert(text(level));
        for (const char *known : { "\"debug\"", "\"error\"", "\"alert\"" })
                if (wanted.count(known))
                        return known;
        return "";
}

/* A daemon that is killed while much is under way: when all that the next one says is answered, the server is subscribed to what is held and
 * to nothing else, and logs what is wanted. */
TEST(HandoverMcp, NobodyIsLeftWithHalfASubscription) {
        static const char *const uris[] = { "\"demo:1\"", "\"demo:2\"", "\"demo:never\"" };
        static const char *const levels[] = { "debug", "error", "alert" };
        unsigned strays = 0, unsure = 0;

        for (unsigned seed = 0; seed < 1000; seed++) {
                struct Sent {
                        uint64_t id;
                        string method, params;
                };
                Side before(&dialect_mcp, "legacy"), after(&dialect_mcp, "legacy");
                std::vector<Sent> queue;
                std::mt19937 random(seed);
                Server server;
                auto answer_one = [&](bool heard) {
                        Sent sent = queue.front();
                        bool well = server.take(sent.method, sent.params);

                        queue.erase(queue.begin());
                        if (heard)
                                before.finish(sent.id, well ? "{}" : "");
                };

                SCOPED_TRACE(seed);
                before.greet();
                for (uint64_t id = 1; id < 12; id++) {
                        unsigned what = (unsigned) (random() % 6);
                        string method = what < 3 ? "resources/subscribe" : what < 4 ? "resources/unsubscribe" : "logging/setLevel";
                        string params = what < 4 ? string("{\"uri\":") + uris[random() % 3] + "}"
                                                 : string("{\"level\":\"") + levels[random() % 3] + "\"}";
                        Side::Out out = before.send(before.caller((unsigned) (random() % 3)), id, method, params);

                        if (out.verdict == DIALECT_FORWARD)
                                queue.push_back({ id, method, out.params });
                        while (!queue.empty() && random() % 2)
                                answer_one(true);
                }
                string state = before.save();
                while (!queue.empty())
                        answer_one(false);
                ASSERT_EQ(after.restore(state, true), 0) << state;
                after.turn();
                server.serve(after);

                string now = after.save();
                for (const char *uri : uris) {
                        string heard = after.hear("notifications/resources/updated", string("{\"uri\":") + uri + "}");

                        ASSERT_EQ(!heard.empty(), server.uris.count(uri) > 0) << uri << " is held by \"" << heard << "\"\n" << state;
                }
                ASSERT_NE(now.find("\"strays\":[]"), string::npos) << now;
                ASSERT_EQ(now.find("levelUnsure"), string::npos) << now;
                strays += state.find("\"strays\":[]") == string::npos;
                if (string wanted = most_verbose(now);
                    state.find("levelUnsure") != string::npos && !wanted.empty() && wanted != "\"alert\"") {
                        unsure++;
                        ASSERT_EQ(wanted, server.level) << state;
                }
        }
        EXPECT_GT(strays, 50u);
        EXPECT_GT(unsure, 50u);
}

TEST(HandoverMcp, WhatWasUnderWayIsSettled) {
        Side before(&dialect_mcp, "legacy"), after(&dialect_mcp, "legacy"), third(&dialect_mcp, "legacy");

        before.greet();
        before.send(before.alice, 1, "resources/subscribe", "{\"uri\":\"x:held\"}");
        before.finish(1, "{}");
        before.send(before.alice, 2, "logging/setLevel", "{\"level\":\"warning\"}");
        before.finish(2, "{}");
        before.send(before.bob, 3, "resources/subscribe", "{\"uri\":\"x:asked\"}");
        before.send(before.carol, 4, "resources/subscribe", "{\"uri\":\"x:asked\"}");
        before.send(before.alice, 5, "logging/setLevel", "{\"level\":\"emergency\"}");

        ASSERT_EQ(after.restore(before.save(), true), 0);
        EXPECT_EQ(after.holders.front(), after.alice);
        ASSERT_EQ(third.restore(after.save(), true), 0); /* before it came to do anything */
        for (Side *side : { &after, &third }) {
                side->turn();
                EXPECT_EQ(side->take(),
                          (Lines{ "> resources/unsubscribe {\"uri\":\"x:asked\"}", "> logging/setLevel {\"level\":\"warning\"}" }));
                EXPECT_EQ(side->hear("notifications/resources/updated", "{\"uri\":\"x:asked\"}"), "");
                EXPECT_EQ(side->hear("notifications/resources/updated", "{\"uri\":\"x:held\"}"), "a");
                EXPECT_EQ(side->hear("notifications/message", "{\"level\":\"warning\"}"), "abc");
        }
}

TEST(HandoverMcp, WhatIsLeftToSayIsSaidBeforeAnythingElse) {
        Side before(&dialect_mcp, "legacy"), after(&dialect_mcp, "legacy");

        before.greet();
        before.send(before.bob, 3, "resources/subscribe", "{\"uri\":\"x:\"}");
        ASSERT_EQ(after.restore(before.save(), true), 0);
        EXPECT_EQ(after.send(after.bob, 4, "resources/subscribe", "{\"uri\":\"x:\"}").verdict, DIALECT_FORWARD);
        EXPECT_EQ(after.take(), (Lines{ "> resources/unsubscribe {\"uri\":\"x:\"}" }));
        after.finish(4, "{}");
        after.turn();
        EXPECT_EQ(after.take(), Lines{});
        EXPECT_EQ(after.hear("notifications/resources/updated", "{\"uri\":\"x:\"}"), "b");
}

/* The host was subscribing again after a restart of the server; whether that was refused the old daemon has not heard. */
TEST(HandoverMcp, AnUnansweredSubscriptionOfTheHostIsAskedForOnceMore) {
        Side before(&dialect_mcp, "legacy"), after(&dialect_mcp, "legacy"), later(&dialect_mcp, "legacy");

        before.greet();
        before.send(before.alice, 1, "resources/subscribe", "{\"uri\":\"x:\"}");
        before.finish(1, "{}");
        before.drop();
        before.greet();
        ASSERT_EQ(after.restore(before.save(), true), 0);
        after.turn();
        EXPECT_EQ(after.take(), (Lines{ "> resources/subscribe {\"uri\":\"x:\"}" }));
        EXPECT_EQ(after.hear("notifications/resources/updated", "{\"uri\":\"x:\"}"), "a");
        after.refuse("resources/subscribe", -32002, "gone");
        EXPECT_EQ(after.hear("notifications/resources/updated", "{\"uri\":\"x:\"}"), "");

        before.answer("resources/subscribe", "{}");
        ASSERT_EQ(later.restore(before.save(), true), 0);
        later.turn();
        EXPECT_EQ(later.take(), Lines{});
}

TEST(HandoverMcp, WhatIsLeftToSayEndsWithTheConnection) {
        Side before(&dialect_mcp, "legacy"), after(&dialect_mcp, "legacy");

        before.greet();
        before.send(before.bob, 3, "resources/subscribe", "{\"uri\":\"x:\"}");
        ASSERT_EQ(after.restore(before.save(), true), 0);
        after.drop();
        after.turn();
        after.greet();
        EXPECT_EQ(after.take().size(), 2u) << "more than initialize and notifications/initialized";
}

TEST(HandoverMcp, CallersThatNobodyKnowsHaveLeft) {
        Side before(&dialect_mcp, "legacy"), after(&dialect_mcp, "legacy");

        before.greet();
        uint64_t id = 0;
        for (Caller *caller : { before.alice, before.bob }) {
                before.send(caller, ++id, "resources/subscribe", "{\"uri\":\"x:both\"}");
                before.finish(id, "{}");
        }
        before.send(before.bob, ++id, "resources/subscribe", "{\"uri\":\"x:bob\"}");
        before.finish(id, "{}");
        before.send(before.alice, ++id, "logging/setLevel", "{\"level\":\"error\"}");
        before.finish(id, "{}");
        before.send(before.bob, ++id, "logging/setLevel", "{\"level\":\"debug\"}");
        before.finish(id, "{}");
        after.all_named = false;
        ASSERT_EQ(after.restore(before.save(), true), 0);
        EXPECT_EQ(after.holders, std::vector<Caller *>{ after.alice });
        after.turn();
        EXPECT_EQ(after.take(), (Lines{ "> resources/unsubscribe {\"uri\":\"x:bob\"}", "> logging/setLevel {\"level\":\"error\"}" }));
        EXPECT_EQ(after.hear("notifications/resources/updated", "{\"uri\":\"x:both\"}"), "a");
}

TEST(HandoverMcp, AnotherEraThanTheManifestsIsRefused) {
        Side before(&dialect_mcp, "legacy"), after(&dialect_mcp, "modern"), fixed(&dialect_mcp);

        before.greet();
        EXPECT_EQ(after.restore(before.save(), true), 0); /* it was only remembered */
        EXPECT_EQ(after.send(after.alice, 1, "initialize", "{}").answer, legacy_greeting);

        dialect_free(fixed.d);
        fixed.setup.mcp_era = "modern";
        fixed.setup.mcp_era_fixed = true;
        ASSERT_EQ(dialect_mcp.dialect_new(&dialect_mcp, &fixed.setup, after.d->peer, &fixed, fixed.deadlines, &fixed.d), 0);
        EXPECT_EQ(fixed.restore(before.save(), true), -EBADMSG);
}

TEST(HandoverMcp, APingOfTheOldDaemonIsNotWaitedFor) {
        Side before(&dialect_mcp, "legacy"), after(&dialect_mcp, "legacy");

        before.greet();
        before.d->ops->ping(before.d);
        ASSERT_EQ(after.restore(before.save(), true), 0);
        after.d->ops->ping(after.d);
        EXPECT_EQ(after.take(), Lines{ "> ping" });
        after.d->ops->cancel(after.d, 99, nullptr);
        EXPECT_EQ(after.take(), Lines{ "! notifications/cancelled {\"requestId\":99}" });
}

TEST(HandoverLsp, DocumentsOfCallersThatNobodyKnowsAreClosed) {
        Side before(&dialect_lsp), after(&dialect_lsp), third(&dialect_lsp);

        before.greet();
        before.send(before.alice, 0, "textDocument/didOpen", "{\"textDocument\":{\"uri\":\"file:///a\"}}");
        before.send(before.bob, 0, "textDocument/didOpen", "{\"textDocument\":{\"uri\":\"file:///b\"}}");
        after.all_named = third.all_named = false;
        ASSERT_EQ(after.restore(before.save(), true), 0);
        EXPECT_EQ(after.holders, std::vector<Caller *>{ after.alice });
        ASSERT_EQ(third.restore(after.save(), true), 0);
        after.turn();
        EXPECT_EQ(after.take(), Lines{ "! textDocument/didClose {\"textDocument\":{\"uri\":\"file:///b\"}}" });
        EXPECT_EQ(after.save().find("closing"), string::npos);
        /* Whoever opens it meanwhile opens it after that. */
        EXPECT_EQ(third.send(third.carol, 0, "textDocument/didOpen", "{\"textDocument\":{\"uri\":\"file:///b\"}}").verdict,
                  DIALECT_FORWARD);
        EXPECT_EQ(third.take(), Lines{ "! textDocument/didClose {\"textDocument\":{\"uri\":\"file:///b\"}}" });
        third.turn();
        EXPECT_EQ(third.take(), Lines{});
        third.d->ops->caller_gone(third.d, third.alice);
        EXPECT_EQ(third.take(), Lines{ "! textDocument/didClose {\"textDocument\":{\"uri\":\"file:///a\"}}" });
}

TEST(HandoverBounds, AreThoseOfCallers) {
        const struct {
                const DialectOps *ops;
                string before, after;
                unsigned max;
        } kinds[] = {
                { &dialect_lsp, "{\"greeted\":true,\"greeting\":{},\"callers\":{\":1.1\":[", "]}}", DIALECT_DOCUMENTS_MAX },
                { &dialect_mcp, "{\"era\":\"legacy\",\"greeted\":true,\"greeting\":{},\"callers\":{\":1.1\":{\"uris\":[", "]}}}",
                  DIALECT_SUBSCRIPTIONS_MAX },
        };

        for (const auto &kind : kinds)
                for (unsigned n : { kind.max, kind.max + 1 }) {
                        Side side(kind.ops);
                        string list;

                        for (unsigned i = 0; i < n; i++)
                                list += (i ? ",\"x:" : "\"x:") + std::to_string(i) + "\"";
                        EXPECT_EQ(side.restore(kind.before + list + kind.after, true), n > kind.max ? -EBADMSG : 0);
                }
        for (const auto &kind : kinds)
                for (size_t size : { (size_t) DIALECT_URI_MAX, (size_t) DIALECT_URI_MAX + 1 }) {
                        Side side(kind.ops);

                        EXPECT_EQ(side.restore(kind.before + "\"" + string(size, 'x') + "\"" + kind.after, true),
                                  size > DIALECT_URI_MAX ? -EBADMSG : 0);
                }
        for (const char *callers : { "{\":1.1\":[\"x:\"],\":1.2\":[\"x:\"]}", "{\":1.1\":[],\":1.1\":[\"x:\"],\":1.1\":[\"y:\"]}",
                                     "{\":1.1\":[7]}", "{\":1.1\":[\"\\u0000\"]}", "{\":1.1\":{}}", "{\"\\u0000\":[]}", "[]", "7" }) {
                Side side(&dialect_lsp);

                EXPECT_EQ(side.restore(string("{\"greeted\":true,\"greeting\":{},\"callers\":") + callers + "}", true), -EBADMSG)
                        << callers;
        }
}
