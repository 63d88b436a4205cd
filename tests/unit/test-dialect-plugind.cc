/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-dialect-peer.h"

class PlugindDialect : public DialectTest {
      protected:
        void greet(const std::string &result = "{\"protocol\":1}") {
                make(&dialect_plugind);
                connect();
                take();
                answer("plugind/initialize", result);
        }
};

TEST(Dialects, AreFoundByName) {
        EXPECT_EQ(dialect_find("mcp"), &dialect_mcp);
        EXPECT_EQ(dialect_find("lsp"), &dialect_lsp);
        EXPECT_EQ(dialect_find("plugind"), &dialect_plugind);
        EXPECT_EQ(dialect_find("jsonrpc"), &dialect_jsonrpc);
        EXPECT_EQ(dialect_find("raw"), nullptr);
        EXPECT_EQ(dialect_find(""), nullptr);
        EXPECT_TRUE(g_strv_contains(dialect_names(), "plugind"));
        EXPECT_EQ(g_strv_length(const_cast<char **>(dialect_names())), 4u);
}

class JsonrpcDialect : public DialectTest {};

TEST_F(JsonrpcDialect, IsActiveAtOnceAndTakesNoRequests) {
        make(&dialect_jsonrpc);
        connect();
        EXPECT_EQ(events, Lines{ "greeted" });
        EXPECT_EQ(greeted_answer, "");
        ask("\"x\"", "anything");
        EXPECT_EQ(take(), Lines{ "x \"x\" -32601" });
        d->ops->goodbye(d);
        EXPECT_EQ(events.back(), "farewell");
}

TEST_F(PlugindDialect, GreetingSaysWhoWhereAndHowMuch) {
        setup.data_dir = "/var/lib/plugind-data/files";
        setup.configuration = "{\"a\":1}";
        setup.message_max = 1234;
        make(&dialect_plugind);
        connect();
        EXPECT_EQ(take(), Lines{ "> plugind/initialize {\"protocol\":1,\"host\":\"plugind " PROJECT_VERSION
                                 "\",\"session\":\"files\",\"dataDir\":\"/var/lib/plugind-data/files\",\"configuration\":{\"a\":1},"
                                 "\"limits\":{\"messageMax\":1234},\"features\":[]}" });
        answer("plugind/initialize", "{\"protocol\":1,\"name\":\"Echo\",\"version\":\"3\",\"payloadKinds\":[\"k\"],\"later\":{}}");
        EXPECT_EQ(events, Lines{ "greeted" });
        EXPECT_EQ(greeted_name, "Echo");
        EXPECT_EQ(greeted_version, "3");
}

TEST_F(PlugindDialect, WrongAnswersNameWhatWasFoundAndExpected) {
        const struct {
                const char *answer, *failure;
        } cases[] = {
                { "7", "the answer to \"plugind/initialize\": found 7, expected an object" },
                { "{}", "the answer to \"plugind/initialize\": protocol: found nothing, expected a number" },
                { "{\"protocol\":\"1\"}", "the answer to \"plugind/initialize\": protocol: found \"1\", expected a number" },
                { "{\"protocol\":2}",
                  "the answer to \"plugind/initialize\": protocol: found 2, expected 1, the only one this host speaks" },
                { "{\"protocol\":1,\"name\":[]}", "the answer to \"plugind/initialize\": name: found [], expected a string" },
                { "{\"protocol\":1,\"hooks\":[\"x\",{}]}", "the answer to \"plugind/initialize\": hooks[1]: found {}, expected a string" },
        };

        for (const auto &c : cases) {
                greet(c.answer);
                EXPECT_EQ(events.back(), "failed");
                EXPECT_EQ(failure, c.failure);
                EXPECT_EQ(failure_code, PLUGIND_ERROR_PROTOCOL_ERROR);
                dialect_free(d);
                said.clear();
                d = nullptr;
        }
}

TEST_F(PlugindDialect, AnEndlessNameIsCut) {
        greet("{\"protocol\":1,\"name\":\"" + std::string(100000, 'n') + "\"}");
        EXPECT_EQ(greeted_name.size(), 256u);
}

TEST_F(PlugindDialect, ARefusedGreetingFailsButALostOneDoesNot) {
        make(&dialect_plugind);
        connect();
        refuse("plugind/initialize", -1, "not today");
        EXPECT_EQ(failure, "the plugin did not accept \"plugind/initialize\": not today");
        events.clear();
        connect();
        drop();
        EXPECT_EQ(events, Lines{});
        connect();
        answer("plugind/initialize", "{\"protocol\":1}");
        EXPECT_EQ(events, Lines{ "greeted" });
}

TEST_F(PlugindDialect, PingsOneAtATimeAndTakesAnErrorForLife) {
        greet();
        d->ops->ping(d);
        d->ops->ping(d);
        EXPECT_EQ(take(), Lines{ "> plugind/ping" });
        refuse("plugind/ping", -32601, "no such method");
        EXPECT_EQ(events.back(), "pong");
        d->ops->ping(d);
        EXPECT_EQ(take(), Lines{ "> plugind/ping" });
        events.clear();
        drop();
        EXPECT_EQ(events, Lines{});
}

TEST_F(PlugindDialect, SaysGoodbye) {
        greet();
        d->ops->goodbye(d);
        EXPECT_EQ(take(), Lines{ "> plugind/shutdown {\"reason\":\"stop\"}" });
        EXPECT_EQ(events.back(), "greeted");
        answer("plugind/shutdown", "null");
        EXPECT_EQ(events.back(), "farewell");
}

TEST_F(PlugindDialect, SaysNoGoodbyeToWhomItNeverGreeted) {
        make(&dialect_plugind);
        connect();
        take();
        d->ops->goodbye(d);
        EXPECT_EQ(take(), Lines{});
        EXPECT_EQ(events, Lines{ "farewell" });
}

TEST_F(PlugindDialect, ItsOwnMethodsAreReserved) {
        greet();
        for (const char *method :
             { "plugind/initialize", "plugind/shutdown", "plugind/cancel", "plugind/ping", "plugind/open", "plugind/x" })
                for (uint64_t id : { 0, 5 }) {
                        Out out = send(alice, id, method);

                        EXPECT_EQ(out.verdict, DIALECT_REFUSE) << method;
                        EXPECT_EQ(out.code, PLUGIND_ERROR_NOT_SUPPORTED);
                        EXPECT_NE(out.message.find(method), std::string::npos) << out.message;
                }
        EXPECT_NE(send(alice, 5, "plugind/shutdown").message.find("Session.SetActiveState"), std::string::npos);
        EXPECT_NE(send(alice, 0, "plugind/cancel").message.find("Session.Cancel"), std::string::npos);
        EXPECT_EQ(send(alice, 5, "initialize").verdict, DIALECT_FORWARD);
}

TEST_F(PlugindDialect, CancelsAndAnswersRequests) {
        greet();
        d->ops->cancel(d, UINT64_MAX, "why");
        ask("3", "plugind/sendPayload", "{}");
        ask("\"a\"", "foo");
        EXPECT_EQ(take(), (Lines{ "! plugind/cancel {\"id\":18446744073709551615}", "x 3 -32601", "x \"a\" -32601" }));
}

TEST_F(PlugindDialect, ProgressGoesToItsRequestAndTheRestToSubscribers) {
        greet();
        EXPECT_EQ(hear("plugind/progress", "{\"id\":42,\"value\":[1, 2]}"), "42 {\"value\":[1, 2]}");
        EXPECT_EQ(hear("plugind/progress", "{\"id\":\"42\",\"value\":1}"), "nobody");
        EXPECT_EQ(hear("plugind/progress", "{\"id\":42}"), "nobody");
        EXPECT_EQ(hear("plugind/progress"), "nobody");
        EXPECT_EQ(hear("plugind/progress", "[1]"), "nobody");
        EXPECT_EQ(hear("plugind/unheardOf", "{}"), "nobody");
        EXPECT_EQ(hear("plugind\\/unheardOf", "{}"), "nobody");
        EXPECT_EQ(hear("changed", "{}"), "abc");
        EXPECT_EQ(hear("a/notification/longer/than/the/prefix", "{}"), "abc");
}

TEST_F(PlugindDialect, AFullPipeFailsTheGreeting) {
        make(&dialect_plugind);
        unable = -ENOBUFS;
        connect();
        EXPECT_EQ(events, Lines{ "failed" });
        events.clear();
        unable = -ENOTCONN;
        connect();
        EXPECT_EQ(events, Lines{});
}
