/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One MCP server for many callers. */
#include "fake-dialect-peer.h"

static const std::string version = "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"";
static const std::string client = "\"io.modelcontextprotocol/clientInfo\":{\"name\":\"plugind\",\"version\":\"" PROJECT_VERSION "\"}";
static const std::string capabilities = "\"io.modelcontextprotocol/clientCapabilities\":{}";
static const std::string meta = "\"_meta\":{" + version + "," + client + "," + capabilities + "}";
static const std::string legacy =
        "{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{},\"serverInfo\":{\"name\":\"Old\",\"version\":\"1\"}}";

class McpLegacy : public DialectTest {
      protected:
        void SetUp() override {
                DialectTest::SetUp();
                setup.mcp_era = "legacy";
                make(&dialect_mcp);
                start();
        }

        void start() {
                connect();
                answer("initialize", legacy);
                take();
                d->ops->active(d);
        }

        void subscribe(Caller *caller, uint64_t id, const std::string &uri) {
                Out out = send(caller, id, "resources/subscribe", "{\"uri\":\"" + uri + "\"}");

                if (out.verdict == DIALECT_FORWARD)
                        finish(id, "{}");
        }

        std::string updated(const std::string &uri) {
                return hear("notifications/resources/updated", "{\"uri\":\"" + uri + "\"}");
        }
};

class McpModern : public DialectTest {
      protected:
        void SetUp() override {
                DialectTest::SetUp();
                make(&dialect_mcp);
                start();
        }

        void start() {
                connect();
                answer("server/discover", "{\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{}}");
                take();
                d->ops->active(d);
        }
};

TEST_F(McpLegacy, OrdinaryRequestsPassUntouched) {
        Out out = send(alice, 1, "tools/call", "{\"name\":\"echo\",\"_meta\":{\"x\":1}}");

        EXPECT_EQ(out.verdict, DIALECT_FORWARD);
        EXPECT_EQ(out.params, "{\"name\":\"echo\",\"_meta\":{\"x\":1}}");
        EXPECT_FALSE(out.tracked || out.endless || out.holds);
        EXPECT_EQ(send(alice, 2, "tools/list").verdict, DIALECT_FORWARD);
        EXPECT_EQ(send(alice, 2, "tools/list", "[1]").params, "[1]");
        EXPECT_EQ(send(alice, 2, "subscriptions/listen", "{}").endless, false);
}

TEST_F(McpLegacy, ReservedMethods) {
        EXPECT_EQ(send(alice, 1, "initialize", "{}").answer, legacy);
        EXPECT_EQ(send(alice, 0, "notifications/initialized").verdict, DIALECT_ANSWER);
        EXPECT_EQ(send(alice, 1, "server/discover").code, PLUGIND_ERROR_METHOD_NOT_FOUND);
        EXPECT_EQ(send(alice, 1, "ping").verdict, DIALECT_FORWARD);
        EXPECT_EQ(send(alice, 0, "notifications/cancelled", "{\"requestId\":1}").code, PLUGIND_ERROR_NOT_SUPPORTED);
        EXPECT_NE(send(alice, 0, "notifications/cancelled").message.find("Session.Cancel"), std::string::npos);
        EXPECT_EQ(send(alice, 0, "notifications/roots/list_changed").code, PLUGIND_ERROR_NOT_SUPPORTED);
        EXPECT_EQ(take(), Lines{});
}

TEST_F(McpLegacy, ProgressTokensOfTwoCallersDoNotMeet) {
        const std::string number = "{\"_meta\":{\"progressToken\":7},\"name\":\"a\"}",
                          string = "{\"name\":\"b\",\"_meta\" : {\"progressToken\" : \"7\"}}";
        Out a = send(alice, 11, "tools/call", number), b = send(bob, 12, "tools/call", string);

        EXPECT_EQ(a.params, "{\"_meta\":{\"progressToken\":11},\"name\":\"a\"}");
        EXPECT_EQ(b.params, "{\"name\":\"b\",\"_meta\" : {\"progressToken\" : 12}}");
        EXPECT_TRUE(a.tracked && b.tracked);
        EXPECT_EQ(hear("notifications/progress", "{\"progressToken\":12,\"progress\":1}"), "12 {\"progressToken\":\"7\",\"progress\":1}");
        EXPECT_EQ(hear("notifications/progress", "{\"progress\":1,\"progressToken\":11}"), "11 {\"progress\":1,\"progressToken\":7}");
        EXPECT_EQ(hear("notifications\\/progress", "{\"progress\":1,\"progressToken\":11}"), "11 {\"progress\":1,\"progressToken\":7}");
        finish(11, "{}");
        EXPECT_EQ(hear("notifications/progress", "{\"progressToken\":11,\"progress\":2}"), "nobody");
        for (const char *token : { "7", "\"7\"", "null", "-1", "1e1", "[12]", "99999999999999999999999" })
                EXPECT_EQ(hear("notifications/progress", std::string("{\"progressToken\":") + token + "}"), "nobody") << token;
        EXPECT_EQ(hear("notifications/progress"), "nobody");
}

TEST_F(McpLegacy, AForgedTokenCannotSlipThrough) {
        EXPECT_EQ(send(alice, 1, "x", "{\"_meta\":{},\"_meta\":{\"progressToken\":2}}").code, PLUGIND_ERROR_INVALID_ARGS);
        EXPECT_EQ(send(alice, 1, "x", "{\"_meta\":{\"progressToken\":1,\"progressToken\":2}}").code, PLUGIND_ERROR_INVALID_ARGS);
        EXPECT_EQ(send(alice, 1, "x", "{\"\\u005fmeta\":{\"progress\\u0054oken\":2}}").params,
                  "{\"\\u005fmeta\":{\"progress\\u0054oken\":1}}");
        EXPECT_EQ(send(alice, 1, "x", "{\"_meta\":{\"progressToken\":\"" + std::string(2000, 'x') + "\"}}").code,
                  PLUGIND_ERROR_LIMITS_EXCEEDED);
        EXPECT_EQ(send(alice, 1, "x", "{\"_meta\":{\"progressToken\":[2]}}").params, "{\"_meta\":{\"progressToken\":[2]}}");
}

TEST_F(McpLegacy, SubscriptionsAreCountedPerUri) {
        Out first = send(alice, 1, "resources/subscribe", "{\"uri\":\"demo://1\"}");

        EXPECT_EQ(first.verdict, DIALECT_FORWARD);
        EXPECT_TRUE(first.tracked && first.holds);
        finish(1, "{}");
        Out second = send(bob, 2, "resources/subscribe", "{\"uri\":\"demo:\\/\\/1\"}");
        EXPECT_EQ(second.verdict, DIALECT_ANSWER);
        EXPECT_EQ(second.answer, "{}");
        EXPECT_TRUE(second.holds);
        EXPECT_EQ(updated("demo://1"), "ab");
        EXPECT_EQ(updated("demo://2"), "");
        EXPECT_EQ(send(alice, 3, "resources/unsubscribe", "{\"uri\":\"demo://1\"}").answer, "{}");
        EXPECT_EQ(updated("demo://1"), "b");
        EXPECT_EQ(send(carol, 4, "resources/unsubscribe", "{\"uri\":\"demo://1\"}").answer, "{}"); /* holds none: changes nothing */
        EXPECT_EQ(updated("demo://1"), "b");
        EXPECT_EQ(send(bob, 5, "resources/unsubscribe", "{\"uri\":\"demo://1\"}").verdict, DIALECT_FORWARD);
        EXPECT_EQ(updated("demo://1"), "");
        EXPECT_EQ(send(bob, 6, "resources/subscribe", "{\"uri\":\"demo://1\"}").verdict, DIALECT_FORWARD);
}

TEST_F(McpLegacy, TheSameCallerCountsOnce) {
        subscribe(alice, 1, "demo://1");
        EXPECT_EQ(send(alice, 2, "resources/subscribe", "{\"uri\":\"demo://1\"}").answer, "{}");
        EXPECT_EQ(send(alice, 3, "resources/unsubscribe", "{\"uri\":\"demo://1\"}").verdict, DIALECT_FORWARD);
}

TEST_F(McpLegacy, NobodyIsToldOfASubscriptionThatTheServerRefused) {
        send(alice, 1, "resources/subscribe", "{\"uri\":\"demo://1\"}");
        EXPECT_EQ(send(bob, 2, "resources/subscribe", "{\"uri\":\"demo://1\"}").verdict, DIALECT_FORWARD);
        EXPECT_EQ(updated("demo://1"), "ab"); /* an update may be quicker than the answer */
        finish(1);
        EXPECT_EQ(updated("demo://1"), "b");
        finish(2);
        EXPECT_EQ(updated("demo://1"), "");
        EXPECT_EQ(send(bob, 3, "resources/subscribe", "{\"uri\":\"demo://1\"}").verdict, DIALECT_FORWARD);
}

TEST_F(McpLegacy, ALateRefusalDoesNotEndANewerSubscription) {
        send(alice, 1, "resources/subscribe", "{\"uri\":\"demo://1\"}");
        send(alice, 2, "resources/unsubscribe", "{\"uri\":\"demo://1\"}");
        send(alice, 3, "resources/subscribe", "{\"uri\":\"demo://1\"}");
        finish(1);
        EXPECT_EQ(updated("demo://1"), "a");
        finish(3, "{}");
        EXPECT_EQ(updated("demo://1"), "a");
}

TEST_F(McpLegacy, ARefusedSubscriptionIsNotHeld) {
        EXPECT_EQ(send(alice, 1, "resources/subscribe", "{\"uri\":\"demo://1\",\"_meta\":{},\"_meta\":{}}").verdict, DIALECT_REFUSE);
        EXPECT_EQ(updated("demo://1"), "");
        EXPECT_EQ(send(bob, 2, "resources/subscribe", "{\"uri\":\"demo://1\"}").verdict, DIALECT_FORWARD);
}

TEST_F(McpLegacy, SubResourcesAreHeard) {
        subscribe(alice, 1, "file:///a");
        subscribe(bob, 2, "file:///b/");
        EXPECT_EQ(updated("file:///a/x"), "a");
        EXPECT_EQ(updated("file:///a#x"), "a");
        EXPECT_EQ(updated("file:///ab"), "");
        EXPECT_EQ(updated("file:///b/c"), "b");
        EXPECT_EQ(updated("file:///b"), "");
}

TEST_F(McpLegacy, UpdatesWithoutUriAreNobodys) {
        subscribe(alice, 1, "x:");
        EXPECT_EQ(updated("x:"), "a");
        EXPECT_EQ(hear("notifications/resources/updated"), "nobody");
        EXPECT_EQ(hear("notifications/resources/updated", "{\"uri\":7}"), "nobody");
        EXPECT_EQ(hear("notifications/resources/updated", "{\"uri\":\"\\u0000\"}"), "nobody");
        EXPECT_EQ(hear("notifications/resources/list_changed"), "abc");
}

TEST_F(McpLegacy, AfterARestartWhatIsHeldIsSaidAgain) {
        subscribe(alice, 1, "demo://1");
        send(alice, 2, "logging/setLevel", "{\"level\":\"info\"}");
        finish(2, "{}");
        send(bob, 3, "resources/subscribe", "{\"uri\":\"demo://2\"}"); /* not answered any more */
        drop();
        finish(3);
        take();
        start();
        EXPECT_EQ(take(), (Lines{ "> logging/setLevel {\"level\":\"info\"}", "> resources/subscribe {\"uri\":\"demo://1\"}" }));
        answer("resources/subscribe", "{}");
        EXPECT_EQ(updated("demo://1"), "a");
        EXPECT_EQ(updated("demo://2"), "");
}

TEST_F(McpLegacy, WhatCannotBeSaidAgainIsNobodysAnyMore) {
        subscribe(alice, 1, "demo://1");
        drop();
        start();
        refuse("resources/subscribe", -32002, "Resource not found");
        EXPECT_NE(events.back().find("demo://1"), std::string::npos) << events.back();
        EXPECT_EQ(updated("demo://1"), "");
        EXPECT_EQ(send(bob, 2, "resources/subscribe", "{\"uri\":\"demo://1\"}").verdict, DIALECT_FORWARD);
}

TEST_F(McpLegacy, ACallerThatLeavesEndsWhatItHeld) {
        subscribe(alice, 1, "demo://1");
        subscribe(alice, 2, "demo://2");
        subscribe(bob, 3, "demo://2");
        d->ops->caller_gone(d, alice);
        EXPECT_EQ(take(), Lines{ "> resources/unsubscribe {\"uri\":\"demo://1\"}" });
        EXPECT_EQ(updated("demo://2"), "b");
        d->ops->caller_gone(d, carol); /* held nothing */
        drop();
        d->ops->caller_gone(d, bob);
        start();
        EXPECT_EQ(take(), Lines{});
}

TEST_F(McpLegacy, SubscriptionsAreBounded) {
        for (uint64_t i = 1; i <= 1024; i++)
                subscribe(alice, i, "demo://" + std::to_string(i));
        Out out = send(alice, 2000, "resources/subscribe", "{\"uri\":\"demo://more\"}");
        EXPECT_EQ(out.code, PLUGIND_ERROR_LIMITS_EXCEEDED);
        EXPECT_EQ(send(alice, 2000, "resources/subscribe", "{\"uri\":\"demo://5\"}").answer, "{}");
        EXPECT_EQ(send(bob, 2000, "resources/subscribe", "{\"uri\":\"" + std::string(9000, 'x') + "\"}").code,
                  PLUGIND_ERROR_LIMITS_EXCEEDED);
        EXPECT_EQ(send(bob, 2000, "resources/subscribe", "{\"uri\":7}").verdict, DIALECT_FORWARD);
        EXPECT_EQ(send(bob, 2001, "resources/subscribe").verdict, DIALECT_FORWARD);
}

TEST_F(McpLegacy, TheMostVerboseLevelIsSetAndCallersAreFiltered) {
        EXPECT_EQ(hear("notifications/message", "{\"level\":\"debug\",\"data\":1}"), "abc");
        EXPECT_EQ(send(alice, 1, "logging/setLevel", "{\"level\":\"warning\"}").params, "{\"level\":\"warning\"}");
        finish(1, "{}");
        EXPECT_EQ(send(bob, 2, "logging/setLevel", "{\"level\":\"error\"}").answer, "{}");
        EXPECT_EQ(send(bob, 3, "logging/setLevel", "{\"level\":\"debug\"}").params, "{\"level\":\"debug\"}");
        finish(3, "{}");
        EXPECT_EQ(hear("notifications/message", "{\"level\":\"info\"}"), "bc");
        EXPECT_EQ(hear("notifications/message", "{\"level\":\"warning\"}"), "abc");
        EXPECT_EQ(hear("notifications/message", "{\"level\":\"loud\"}"), "abc");
        /* Bob wants less, and Alice's is the most verbose again: the server hears of that, with the params of nobody. */
        EXPECT_EQ(send(bob, 4, "logging/setLevel", "{\"level\":\"emergency\"}").params, "{\"level\":\"warning\"}");
        finish(4, "{}");
        EXPECT_EQ(hear("notifications/message", "{\"level\":\"alert\"}"), "ac");
        d->ops->caller_gone(d, alice);
        EXPECT_EQ(take(), Lines{ "> logging/setLevel {\"level\":\"emergency\"}" });
        EXPECT_EQ(send(bob, 5, "logging/setLevel", "{\"level\":\"loud\"}").verdict, DIALECT_FORWARD);
}

TEST_F(McpLegacy, ARefusedLevelIsNotKept) {
        send(alice, 1, "logging/setLevel", "{\"level\":\"emergency\"}");
        EXPECT_EQ(send(bob, 2, "logging/setLevel", "{\"level\":\"emergency\"}").verdict, DIALECT_FORWARD); /* nobody knows yet */
        finish(1);
        finish(2);
        EXPECT_EQ(hear("notifications/message", "{\"level\":\"debug\"}"), "abc");
        EXPECT_EQ(send(bob, 3, "logging/setLevel", "{\"level\":\"emergency\"}").verdict, DIALECT_FORWARD);
}

TEST_F(McpLegacy, TheServersOwnCancellationsAreNobodys) {
        EXPECT_EQ(hear("notifications/cancelled", "{\"requestId\":1}"), "nobody");
}

TEST_F(McpModern, OnlyMissingMetaIsAdded) {
        EXPECT_EQ(send(alice, 1, "tools/list").params, "{" + meta + "}");
        EXPECT_EQ(send(alice, 1, "tools/list", "{}").params, "{" + meta + "}");
        EXPECT_EQ(send(alice, 1, "tools/list", "{ }").params, "{" + meta + " }");
        EXPECT_EQ(send(alice, 1, "tools/list", "{\"cursor\": \"x\"}").params, "{" + meta + ",\"cursor\": \"x\"}");
        EXPECT_EQ(send(alice, 1, "x", "{\"a\":1, \"_meta\" : { } }").params,
                  "{\"a\":1, \"_meta\" : {" + version + "," + client + "," + capabilities + " } }");
        EXPECT_EQ(send(alice, 1, "x", "{\"_meta\":{\"k\":1,\"io.modelcontextprotocol/clientCapabilities\":{\"elicitation\":{}}}}").params,
                  "{\"_meta\":{" + version + "," + client +
                          ",\"k\":1,\"io.modelcontextprotocol/clientCapabilities\":{\"elicitation\":{}}}}");
        const std::string whole = "{\"_meta\":{" + capabilities + "," + version + ", " + client + "}}";
        EXPECT_EQ(send(alice, 1, "x", whole).params, whole);
        EXPECT_EQ(send(alice, 1, "x", "{\"_meta\":7}").params, "{\"_meta\":7}");
        EXPECT_EQ(send(alice, 1, "x", "[]").params, "[]");
        EXPECT_EQ(send(alice, 0, "notifications/x", "{}").params, "{}");
}

TEST_F(McpModern, ProgressTokensAreRewrittenInTheSameStep) {
        Out out = send(alice, 77, "tools/call", "{\"_meta\":{\"progressToken\":\"t\",\"z\":0},\"name\":\"n\"}");

        EXPECT_EQ(out.params,
                  "{\"_meta\":{" + version + "," + client + "," + capabilities + ",\"progressToken\":77,\"z\":0},\"name\":\"n\"}");
        EXPECT_TRUE(out.tracked);
        EXPECT_EQ(hear("notifications/progress", "{\"progressToken\":77,\"progress\":1}"), "77 {\"progressToken\":\"t\",\"progress\":1}");
}

TEST_F(McpModern, ReservedMethods) {
        Out out = send(alice, 1, "initialize", "{}");

        EXPECT_EQ(out.code, PLUGIND_ERROR_NOT_SUPPORTED);
        EXPECT_NE(out.message.find("server/discover"), std::string::npos);
        EXPECT_EQ(send(alice, 0, "notifications/initialized").code, PLUGIND_ERROR_NOT_SUPPORTED);
        EXPECT_EQ(send(alice, 0, "notifications/cancelled").code, PLUGIND_ERROR_NOT_SUPPORTED);
        EXPECT_EQ(send(alice, 1, "server/discover").params, "{" + meta + "}");
        EXPECT_EQ(send(alice, 1, "resources/subscribe", "{\"uri\":\"x:\"}").params, "{" + meta + ",\"uri\":\"x:\"}");
}

TEST_F(McpModern, ListeningIsEndlessAndHeardByItsCallerAlone) {
        Out out = send(alice, 5, "subscriptions/listen", "{\"notifications\":{\"toolsListChanged\":true}}", "\"mine\"");
        const std::string id = "{\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":";

        EXPECT_TRUE(out.endless && out.tracked);
        EXPECT_EQ(hear("notifications/subscriptions/acknowledged", id + "5},\"notifications\":{}}"),
                  "5 " + id + "\"mine\"},\"notifications\":{}}");
        EXPECT_EQ(hear("notifications/tools/list_changed", id + "5}}"), "5 " + id + "\"mine\"}}");
        EXPECT_EQ(hear("notifications/tools/list_changed", id + "6}}"), "nobody");
        EXPECT_EQ(hear("notifications/tools/list_changed", id + "\"5\"}}"), "nobody");
        EXPECT_EQ(hear("notifications/tools/list_changed"), "abc");
        EXPECT_EQ(hear("notifications/resources/updated", "{\"uri\":\"x:\"}"), "nobody"); /* of no subscription: breaks the specification */
        EXPECT_EQ(hear("notifications/progress", "{\"progressToken\":5}"), "nobody");     /* it asked for none */
        EXPECT_EQ(hear("notifications/cancelled", "{\"requestId\":5}"), "5 {\"requestId\":\"mine\"}");
        finish(5, "{}");
        EXPECT_EQ(hear("notifications/tools/list_changed", id + "5}}"), "nobody");
}

TEST_F(McpModern, AListenOutlivesARestartUnderANewId) {
        const std::string id = "{\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":";

        send(alice, 5, "subscriptions/listen", "{}", "8");
        drop();
        start();
        EXPECT_EQ(take(), Lines{}); /* the session sends it again */
        Out out = send(alice, 50, "subscriptions/listen", "{}", "8", true);
        EXPECT_TRUE(out.endless && out.tracked);
        EXPECT_EQ(hear("notifications/tools/list_changed", id + "50}}"), "50 " + id + "8}}");
        EXPECT_EQ(hear("notifications/tools/list_changed", id + "5}}"), "nobody");
}

TEST_F(McpModern, LogMessagesReachThoseWhoseRequestAskedForThem) {
        Out out = send(alice, 1, "tools/call", "{\"_meta\":{\"io.modelcontextprotocol/logLevel\":\"warning\"}}");

        EXPECT_TRUE(out.tracked && out.holds);
        send(bob, 2, "tools/call", "{}");
        EXPECT_EQ(hear("notifications/message", "{\"level\":\"error\"}"), "a");
        EXPECT_EQ(hear("notifications/message", "{\"level\":\"info\"}"), "");
        finish(1, "{}");
        EXPECT_EQ(hear("notifications/message", "{\"level\":\"error\"}"), "");
}
