/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Send, Cancel, Notify and subscriptions: what goes to the plugin and who hears the answers. */
#include "host-fixture.h"

class RequestTest : public HostTest {
      protected:
        void SetUp() override {
                HostTest::SetUp();
                session = load("p", manifest());
                session_set_desired(session, true, "requested", nullptr, nullptr);
        }
        /* The id in a line of the host. */
        static std::string id_of(const std::string &line) {
                size_t at = line.find("\"id\":") + 5;
                return line.substr(at, line.find_first_of(",}", at) - at);
        }
        std::string next_id() {
                return id_of(process(0)->line());
        }
        void answer(const std::string &id, const std::string &rest) {
                process(0)->say("{\"jsonrpc\":\"2.0\",\"id\":" + id + "," + rest + "}");
        }
        Session *session = nullptr;
};

TEST_F(RequestTest, AnswersComeInAnyOrderToWhoAsked) {
        Sent a, b, c;

        send(session, alice, "m", "[1]", &a, "7");
        send(session, bob, "m", "[2]", &b, "7");
        send(session, alice, "m", "[3]", &c, "\"x\"");
        std::string ia = next_id(), ib = next_id(), ic = next_id();
        EXPECT_NE(ia, ib);
        answer(ic, "\"result\":3");
        answer(ia, "\"result\":1");
        answer(ib, "\"result\":2");
        EXPECT_EQ(a.result, "1");
        EXPECT_EQ(b.result, "2");
        EXPECT_EQ(c.result, "3");
}

TEST_F(RequestTest, UnknownDuplicateAndForeignIdsHarmNobody) {
        Sent a;

        send(session, alice, "m", "", &a);
        std::string id = next_id();
        answer("1", "\"result\":0");
        answer("\"" + id + "\"", "\"result\":0");
        answer("null", "\"error\":{\"code\":1,\"message\":\"x\"}");
        answer("-1", "\"result\":0");
        EXPECT_FALSE(a.done);
        answer(id, "\"result\":1");
        answer(id, "\"result\":2");
        EXPECT_EQ(a.result, "1");
        EXPECT_EQ(session->state, SESSION_ACTIVE);
}

TEST_F(RequestTest, ErrorsOfThePluginKeepTheirMessage) {
        Sent sent;
        struct {
                const char *code;
                PlugindErrorCode expected;
        } cases[] = { { "-32601", PLUGIND_ERROR_METHOD_NOT_FOUND },
                      { "-32602", PLUGIND_ERROR_INVALID_PARAMS },
                      { "-32000", PLUGIND_ERROR_PLUGIN_ERROR } };

        for (auto &c : cases) {
                send(session, alice, "m", "", &sent);
                answer(next_id(), std::string("\"error\":{\"code\":") + c.code + ",\"message\":\"it \\\"broke\\\"\"}");
                EXPECT_EQ(sent.code, c.expected);
                EXPECT_EQ(sent.message, "it \"broke\"");
        }
}

TEST_F(RequestTest, AnEnvelopeIsTheWholeResponseWithTheCallersOwnId) {
        Sent sent;

        send(session, alice, "m", "", &sent, "\"mine\"", true);
        answer(next_id(), "\"result\":[1]");
        EXPECT_EQ(sent.result, R"({"jsonrpc":"2.0","id":"mine","result":[1]})");
        send(session, alice, "m", "", &sent, "12", true);
        answer(next_id(), "\"error\":{\"code\":5,\"message\":\"no\",\"data\":{}}");
        EXPECT_EQ(sent.code, PLUGIND_ERROR_NONE);
        EXPECT_EQ(sent.result, R"({"jsonrpc":"2.0","id":12,"error":{"code":5,"message":"no","data":{}}})");
}

TEST_F(RequestTest, BadMessagesFailOnlyTheRequestTheyAnswer) {
        Sent a, b;

        send(session, alice, "m", "", &a);
        send(session, alice, "m", "", &b);
        std::string ia = next_id(), ib = next_id();
        answer(ia, "\"result\":1,\"error\":{\"code\":1,\"message\":\"both\"}");
        EXPECT_EQ(a.code, PLUGIND_ERROR_PROTOCOL_ERROR) << a.message;
        process(0)->say("{garbage}");
        process(0)->say("a banner");
        EXPECT_FALSE(b.done);
        answer(ib, "\"result\":2");
        EXPECT_EQ(b.result, "2");
}

TEST_F(RequestTest, WhatIsNoGoodIsRefusedBeforeThePluginSeesIt) {
        Sent sent;
        const char *bad[] = { "{", "{} {}", "{\"a\":\"\n\"}", "nul", "\"scalar\"", "1", "{\"a\":1,}", "[\xff]" };

        for (const char *params : bad) {
                send(session, alice, "m", params, &sent);
                EXPECT_EQ(sent.code, PLUGIND_ERROR_INVALID_ARGS) << params;
                EXPECT_NE(sent.message.find("params"), std::string::npos) << sent.message;
        }
        send(session, alice, "m", "[" + std::string(SEND_MAX, ' ') + "]", &sent);
        EXPECT_EQ(sent.code, PLUGIND_ERROR_LIMITS_EXCEEDED);
        send(session, alice, "m", std::string(10000, '[') + std::string(10000, ']'), &sent);
        EXPECT_EQ(sent.code, PLUGIND_ERROR_INVALID_ARGS);
        send(session, alice, "", "", &sent);
        EXPECT_EQ(sent.code, PLUGIND_ERROR_INVALID_ARGS);
        send(session, alice, std::string(METHOD_MAX + 1, 'm'), "", &sent);
        EXPECT_EQ(sent.code, PLUGIND_ERROR_INVALID_ARGS);
        send(session, alice, "ok", "{\n\"a\" :\r\n 1}", &sent);
        EXPECT_NE(process(0)->line().find("\"ok\""), std::string::npos) << "nothing before it, and it is one line";
}

TEST_F(RequestTest, AnIdIsTakenOnlyWhileInFlight) {
        Sent a, b;

        send(session, alice, "m", "", &a, "1");
        send(session, alice, "m", "", &b, "1");
        EXPECT_EQ(b.code, PLUGIND_ERROR_INVALID_ARGS) << b.message;
        answer(next_id(), "\"result\":1");
        send(session, alice, "m", "", &b, "1");
        answer(next_id(), "\"result\":2");
        EXPECT_EQ(b.result, "2");
}

TEST_F(RequestTest, OnlyItsCallerCancels) {
        PlugindError error{};
        Sent a;

        send(session, alice, "m", "", &a, "1");
        EXPECT_EQ(session_cancel(session, bob, "1", &error), -EINVAL);
        plugind_error_clear(&error);
        EXPECT_EQ(session_cancel(session, alice, "2", &error), -EINVAL);
        plugind_error_clear(&error);
        EXPECT_FALSE(a.done);
        EXPECT_EQ(session_cancel(session, alice, "1", &error), 0);
        EXPECT_EQ(a.code, PLUGIND_ERROR_CANCELLED);
        answer(next_id(), "\"result\":1"); /* too late: dropped */
        EXPECT_EQ(session->in_flight, 0u);
}

TEST_F(RequestTest, DeadlinesPass) {
        Sent sent;

        send(session, alice, "m", "", &sent, nullptr, false, 20000);
        until([&] { return sent.done; });
        EXPECT_EQ(sent.code, PLUGIND_ERROR_REQUEST_TIMED_OUT);
        EXPECT_NE(sent.message.find("0.02 s"), std::string::npos) << sent.message;
        answer(next_id(), "\"result\":1");
        EXPECT_EQ(session->state, SESSION_ACTIVE);
}

TEST_F(RequestTest, ACallerThatLeavesTakesItsRequestsAlong) {
        Sent a, b;

        send(session, alice, "m", "", &a);
        send(session, bob, "m", "", &b);
        alice = caller_free(alice);
        EXPECT_EQ(a.code, PLUGIND_ERROR_CANCELLED);
        EXPECT_EQ(session->in_flight, 1u);
        next_id();
        answer(next_id(), "\"result\":1");
        EXPECT_EQ(b.result, "1");
}

TEST_F(RequestTest, NotificationsReachThoseWhoSubscribedToTheMethod) {
        char method[] = "changed";
        char *methods[] = { method, nullptr };

        ASSERT_EQ(session_subscribe(session, alice, methods, nullptr), 0);
        process(0)->say(R"({"jsonrpc":"2.0","method":"changed","params":{"n":1}})");
        process(0)->say(R"({"jsonrpc":"2.0","method":"other"})");
        ASSERT_EQ(session_subscribe(session, bob, nullptr, nullptr), 0);
        process(0)->say(R"({"jsonrpc":"2.0","method":"other"})");
        session_unsubscribe(session, alice);
        process(0)->say(R"({"jsonrpc":"2.0","method":"changed"})");
        std::vector<std::string> expected = { "new p", "note :1.1 '' changed {\"n\":1}", "note :1.2 '' other ", "note :1.2 '' changed " };
        EXPECT_EQ(events, expected);
}

TEST_F(RequestTest, RequestsOfThePluginAreAnsweredThatTheyAreUnknown) {
        process(0)->say(R"({"jsonrpc":"2.0","id":"q","method":"what"})");
        std::string line = process(0)->line();
        EXPECT_NE(line.find("\"id\":\"q\""), std::string::npos) << line;
        EXPECT_NE(line.find("-32601"), std::string::npos) << line;
}

TEST_F(RequestTest, NotifyIsWrittenInOrderWithSends) {
        Session *other = load("other", manifest());
        Sent sent;

        EXPECT_EQ(session_notify(other, alice, "first", JsonRange{ "[1]", 3 }, nullptr, nullptr, nullptr), 0);
        send(other, alice, "second", "", &sent);
        EXPECT_EQ(session_notify(other, alice, "third", JsonRange{}, nullptr, nullptr, nullptr), 0);
        std::string first = process(1)->line();
        EXPECT_NE(first.find("first"), std::string::npos) << first;
        EXPECT_EQ(first.find("\"id\""), std::string::npos) << first;
        EXPECT_NE(process(1)->line().find("second"), std::string::npos);
        EXPECT_NE(process(1)->line().find("third"), std::string::npos);
}

TEST_F(RequestTest, APluginThatDoesNotReadFillsItsQueueAndNothingElse) {
        std::string params = "[\"" + std::string(SEND_MAX - 100, 'x') + "\"]";
        std::vector<Sent> sent(64);
        unsigned refused = 0;

        for (auto &s : sent) {
                send(session, alice, "m", params, &s);
                refused += s.code == PLUGIND_ERROR_LIMITS_EXCEEDED;
        }
        EXPECT_GT(refused, 0u);
        EXPECT_LT(refused, 64u);
        Session *other = load("other", manifest());
        Sent fine;
        send(other, alice, "m", "", &fine);
        std::string id = id_of(process(1)->line());
        process(1)->say("{\"jsonrpc\":\"2.0\",\"id\":" + id + ",\"result\":1}");
        EXPECT_EQ(fine.result, "1");
}

TEST_F(RequestTest, ANotifyIsAnsweredWhenThePluginHasIt) {
        Session *other = load("other", R"({"manifestVersion":1,"command":"/bin/true","dialect":"plugind"})");
        auto done = [](const PlugindError *error, void *userdata) {
                *static_cast<std::string *>(userdata) = error ? plugind_error_code_name(error->code) : "ok";
        };
        std::string first, second, third;

        ASSERT_EQ(session_notify(other, alice, "first", JsonRange{}, done, &first, nullptr), 0);
        ASSERT_EQ(session_notify(other, bob, "second", JsonRange{}, done, &second, nullptr), 0);
        turn();
        EXPECT_EQ(first, "") << "the plugin has not greeted yet: a caller that takes this as done and leaves would take it along";
        bob = caller_free(bob);
        EXPECT_EQ(second, "Cancelled");
        std::string id = id_of(process(1)->line());
        process(1)->say("{\"jsonrpc\":\"2.0\",\"id\":" + id + ",\"result\":{\"protocol\":1}}");
        EXPECT_EQ(first, "ok");
        EXPECT_NE(process(1)->line().find("\"first\""), std::string::npos);
        ASSERT_EQ(session_notify(other, alice, "third", JsonRange{}, done, &third, nullptr), 0);
        EXPECT_EQ(third, "ok");
        EXPECT_NE(process(1)->line().find("\"third\""), std::string::npos);
}
