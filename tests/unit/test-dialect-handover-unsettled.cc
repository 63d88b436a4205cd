/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What was under way when the daemon before ended, and what callers left behind. */
#include "dialect-side.h"

#include <random>
#include <set>

extern "C" {
#include "duplex/dialect-common.h"
}

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

TEST(HandoverMcp, TheErasOfManifestAndConnectionAgree) {
        Side before(&dialect_mcp, "legacy"), after(&dialect_mcp, "modern"), refused(&dialect_mcp, "modern", true),
                later(&dialect_mcp, "modern", true), probing(&dialect_mcp), remembered(&dialect_mcp, "legacy");

        probing.connect();
        EXPECT_EQ(remembered.restore(probing.save(), false), 0);
        remembered.connect();
        EXPECT_NE(remembered.pending("initialize"), nullptr);

        before.greet();
        EXPECT_EQ(after.restore(before.save(), true), 0); /* it was only remembered */
        EXPECT_EQ(after.send(after.alice, 1, "initialize", "{}").answer, legacy_greeting);
        EXPECT_EQ(refused.restore(before.save(), true), -EBADMSG);
        EXPECT_EQ(later.restore(before.save(), false), 0); /* a new manifest, which the next start goes by */
        later.connect();
        EXPECT_NE(later.pending("server/discover"), nullptr);
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

/* All that is kept is written anew whenever anything of it changes: not what a plugin can make as large as it likes. */
TEST(HandoverBounds, AGreetingThatIsTooLargeIsNotKept) {
        const string large = "{\"protocolVersion\":\"2025-06-18\",\"serverInfo\":{\"name\":\"Old\"},\"capabilities\":{\"x\":\"" +
                             string(DIALECT_GREETING_MAX, 'x') + "\"}}";

        for (const DialectOps *ops : { &dialect_lsp, &dialect_mcp }) {
                Side before(ops, "legacy"), after(ops, "legacy");

                before.connect();
                before.answer("initialize", large);
                EXPECT_LT(before.save().size(), 1000u);
                ASSERT_EQ(after.restore(before.save(), true), 0);
                auto out = after.send(after.alice, 1, "initialize", "{}");
                EXPECT_EQ(out.verdict, DIALECT_REFUSE);
                EXPECT_EQ(out.message, "what the server answers to \"initialize\" has more than 1048576 bytes");
        }
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
