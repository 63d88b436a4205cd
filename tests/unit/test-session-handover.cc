/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the host knows of sessions gets over to the next daemon's host. What runs is taken over in tests/integration and tests/system; here
 * its connection does not get over, and it is started again. */
#include "host-fixture.h"

extern "C" {
#include "host/session-private.h"
#include "host/session-state.h"
#include "store/store.h"
}

#include <random>

class SessionHandover : public HostTest {
      protected:
        std::string state(const std::string &id) {
                size_t size;
                const char *text;

                host_flush(host);
                text = store_get(store, ("session/" + id).c_str(), &size);
                return text ? std::string(text, size) : "";
        }

        std::string state_now(Session *session) {
                g_autoptr(GString) json = g_string_new(nullptr);

                session_state_append(json, session);
                return json->str;
        }
};

TEST_F(SessionHandover, AnIdleSessionIsTheSameAfterwards) {
        Session *session = load("idle", manifest(R"(,"activation":"manual","description":"says \"hello\"","restart":{"burst":3})"));
        const char *methods[] = { "tick", "tock", nullptr };
        std::string before;

        ASSERT_EQ(session_subscribe(session, alice, const_cast<char **>(methods), nullptr), 0);
        ASSERT_EQ(session_subscribe(session, bob, nullptr, nullptr), 0);
        before = state("idle");
        EXPECT_NE(before.find(R"("methods":["tick","tock"])"), std::string::npos) << before;

        hand_over();
        session = host_find(host, "idle");
        ASSERT_TRUE(session);
        EXPECT_EQ(state_now(session), before);
        EXPECT_STREQ(session->manifest->description, "says \"hello\"");
        EXPECT_EQ(states(), "");
}

TEST_F(SessionHandover, AnErroredSessionKeepsItsFailureHistoryAndStatistics) {
        Session *session = load("bad", manifest(R"(,"restart":"never")"));
        Sent first, second;
        std::string before;

        send(session, alice, "a", "", &first);
        turn();
        process(0)->line();
        process(0)->say(R"({"jsonrpc":"2.0","id":1099511627777,"result":1})");
        until([&] { return first.done; });
        send(session, alice, "b", "", &second);
        process(0)->exit(CLD_KILLED, 9);
        until([&] { return session->state == SESSION_ERRORED; });
        before = state_now(session);
        EXPECT_NE(before.find(R"("signal":9)"), std::string::npos) << before;
        EXPECT_NE(before.find(R"("answered":1)"), std::string::npos) << before;

        hand_over();
        session = host_find(host, "bad");
        ASSERT_TRUE(session);
        EXPECT_EQ(session->state, SESSION_ERRORED);
        EXPECT_EQ(state_now(session), before);
        EXPECT_EQ(session->failure.signal, 9);
        EXPECT_EQ(session->failure.exit_status, -1);
}

TEST_F(SessionHandover, ABackOffGoesOnWhereItWas) {
        Session *session = load("flaky", manifest(R"(,"restart":{"delay":0.3,"burst":9},"activation":"boot")"));
        uint64_t due;

        turn();
        process(0)->exit(CLD_EXITED, 1);
        ASSERT_EQ(session->state, SESSION_RESTARTING);
        due = session->run->timer.usec;

        hand_over();
        session = host_find(host, "flaky");
        ASSERT_TRUE(session);
        EXPECT_EQ(session->state, SESSION_RESTARTING);
        EXPECT_EQ(session->run->n_failed, 1u);
        EXPECT_EQ(processes.size(), 1u);
        until([&] { return processes.size() == 2; });
        EXPECT_GE(deadlines_now(deadlines), due);
        EXPECT_EQ(session->restarts, 1u);
        process(1)->exit(CLD_EXITED, 1);
        EXPECT_EQ(session->run->n_failed, 2u);
}

TEST_F(SessionHandover, WhatRanAndCannotBeTakenOverIsRestartedByPolicy) {
        Session *session = load("ran", manifest(R"(,"activation":"boot")"));

        turn();
        ASSERT_EQ(session->state, SESSION_ACTIVE);
        states();
        hand_over();
        session = host_find(host, "ran");
        ASSERT_TRUE(session);
        EXPECT_NE(std::string(session->failure.message).find("did not get over"), std::string::npos) << session->failure.message;
        until([&] { return session->state == SESSION_ACTIVE; });
        EXPECT_EQ(states(), "restarting(connection-lost) starting(restart) connecting(started) active(connected)");
        EXPECT_EQ(processes.size(), 2u);
        EXPECT_EQ(session->hand_overs, 0u);
}

TEST_F(SessionHandover, AStartBeginsOnceMore) {
        Session *session;

        slow_start = true;
        load("slow", manifest(R"(,"activation":"boot")"));
        turn();
        hand_over();
        slow_start = false;
        session = host_find(host, "slow");
        ASSERT_TRUE(session);
        EXPECT_EQ(session->state, SESSION_RESTARTING);
        until([&] { return session->state == SESSION_ACTIVE; });
        EXPECT_FALSE(session->failure.message);
}

TEST_F(SessionHandover, AStopIsFinished) {
        Session *session = load("stop", manifest(R"(,"activation":"boot","timeouts":{"stop":5})"));

        turn();
        session_set_desired(session, false, "requested", nullptr, nullptr);
        ASSERT_EQ(session->state, SESSION_STOPPING);
        hand_over();
        session = host_find(host, "stop");
        ASSERT_TRUE(session);
        until([&] { return session->state == SESSION_INACTIVE; });
        EXPECT_FALSE(session->desired_active);
}

TEST_F(SessionHandover, AnUnloadIsFinished) {
        load("unload", manifest(R"(,"activation":"boot")"));
        turn();
        ASSERT_EQ(host_unload(host, "unload", alice, false, nullptr, nullptr, nullptr), 0);
        hand_over();
        until([&] { return !host_find(host, "unload"); });
        EXPECT_EQ(state("unload"), "");
}

TEST_F(SessionHandover, UnloadedIsForgotten) {
        load("gone", manifest());
        EXPECT_NE(state("gone"), "");
        ASSERT_EQ(host_unload(host, "gone", alice, false, nullptr, nullptr, nullptr), 0);
        until([&] { return !host_find(host, "gone"); });
        EXPECT_EQ(state("gone"), "");
}

TEST_F(SessionHandover, ABoundSessionEndsWithItsCaller) {
        load("bound", manifest(), true, bob);
        hand_over();
        ASSERT_TRUE(host_find(host, "bound"));
        bob = caller_free(bob);
        until([&] { return !host_find(host, "bound"); });
}

TEST_F(SessionHandover, ACallerOfNoUidIsNotTakenForRoot) {
        std::string text;
        size_t at;

        ASSERT_EQ(session_subscribe(load("x", manifest()), alice, nullptr, nullptr), 0);
        text = state("x");
        at = text.find("\"uid\":");
        ASSERT_NE(at, std::string::npos) << text;
        text.insert(at + 6, "99999999999999");
        hand_over([&](Host *next) {
                EXPECT_EQ(session_restore(
                                  next, "x", JSON_RANGE(text.c_str()),
                                  [](const char *, uid_t uid, void *caller) {
                                          ADD_FAILURE() << "uid " << uid;
                                          return static_cast<Caller *>(caller);
                                  },
                                  alice, nullptr),
                          0);
        });
        EXPECT_TRUE(list_empty(&host_find(host, "x")->attachments));
}

TEST_F(SessionHandover, SessionsKeepTheirOrder) {
        std::string order;

        for (const char *id : { "c", "a", "b" })
                load(id, manifest());
        session_set_desired(host_find(host, "c"), false, "requested", nullptr, nullptr); /* written last */
        hand_over();
        load("aa", manifest());
        host_foreach(
                host, [](Session *session, void *o) { *static_cast<std::string *>(o) += std::string(session->id) + " "; }, &order);
        EXPECT_EQ(order, "c a b aa ");
}

TEST_F(SessionHandover, WhoeverWaitsIsToldWhatForAndInTheEndThatItWasInVain) {
        Session *session = load("busy", manifest(R"(,"activation":"boot")"));
        g_autofree char *waits = nullptr, *nothing = nullptr;
        Sent one, two;

        turn();
        nothing = host_waits_for(host);
        EXPECT_FALSE(nothing);
        send(session, alice, "long", "", &one);
        send(session, bob, "long", "", &two);
        host_hold(host);
        waits = host_waits_for(host);
        EXPECT_STREQ(waits, "busy (2 calls)");
        host_answer_all(host);
        EXPECT_EQ(one.code, PLUGIND_ERROR_CONNECTION_LOST);
        EXPECT_EQ(two.code, PLUGIND_ERROR_CONNECTION_LOST);
}

TEST_F(SessionHandover, ATextThatEndsTheDaemonAgainAndAgainIsLeftOut) {
        load("good", manifest());
        size_t size;

        load("poison", manifest());
        for (const char *last : { "2 poison", "3 poison" }) {
                store_set(store, "restoring", last, strlen(last));
                hand_over();
                EXPECT_TRUE(host_find(host, "good"));
                EXPECT_EQ(host_find(host, "poison") != nullptr, last[0] == '2');
                EXPECT_EQ(store_get(store, "restoring", &size), nullptr);
        }
        EXPECT_EQ(state("poison"), "");
}

/* Every text is either refused or makes a session that can be told again; nothing crashes. */
TEST_F(SessionHandover, AnyTextIsSurvived) {
        Session *session = load("any", manifest(R"(,"activation":"boot","restart":{"delay":5})"));
        std::mt19937 random(7);
        std::string text;
        Sent sent;

        ASSERT_EQ(session_subscribe(session, alice, nullptr, nullptr), 0);
        send(session, alice, "x", "", &sent);
        turn();
        process(0)->exit(CLD_EXITED, 3);
        text = state("any");
        for (unsigned i = 0; i < 3000; i++) {
                std::string changed = text;
                PlugindError error{};

                for (unsigned n = 0; n < 1 + random() % 3; n++)
                        switch (random() % 3) {
                        case 0:
                                changed[random() % changed.size()] = "0123456789-{}[]\",:tfnae \\"[random() % 25];
                                break;
                        case 1:
                                changed.erase(random() % changed.size(), 1 + random() % 8);
                                break;
                        default:
                                changed.insert(random() % changed.size(), changed.substr(random() % changed.size(), random() % 12));
                        }
                hand_over([&](Host *next) {
                        (void) session_restore(
                                next, "any", JSON_RANGE(changed.c_str()),
                                [](const char *, uid_t, void *caller) { return static_cast<Caller *>(caller); }, alice, &error);
                });
                plugind_error_clear(&error);
                session = host_find(host, "any");
                if (session)
                        state_now(session);
        }
}

/* It is a property of the session, is logged, and is written with the rest whenever anything changes. */
TEST_F(SessionHandover, AFailureIsToldInAThousandCharacters) {
        Session *session = load("rude",
                                R"({"manifestVersion":1,"command":"/bin/true","dialect":"plugind","activation":"boot","restart":"never"})");
        std::string said;

        for (int i = 0; i < 20000; i++)
                said += "\xc3\xa9";
        turn();
        process(0)->line();
        process(0)->say(R"({"jsonrpc":"2.0","id":1099511627777,"error":{"code":1,"message":")" + said + R"("}})");
        turn();
        ASSERT_TRUE(session->failure.message);
        EXPECT_EQ(g_utf8_strlen(session->failure.message, -1), 1004) << session->failure.message;
        EXPECT_TRUE(g_utf8_validate(session->failure.message, -1, nullptr));
        EXPECT_LT(state("rude").size(), 4000u);
        process(0)->exit(CLD_KILLED, 15);
}

/* Nor does what comes of it, in any state and with any kind of plugin. */
TEST_F(SessionHandover, AnyStateIsSurvived) {
        const std::string kinds[] = { manifest(R"(,"activation":"boot","restart":{"delay":5})"),
                                      R"({"manifestVersion":1,"type":"external","dialect":"jsonrpc"})" };
        const std::string more[] = { "", R"("unloading":"unloaded",)", R"("startAgain":true,"desiredActive":true,)",
                                     R"("run":{"giveUp":true,"connected":true,"slot":0,"pair":1,"framing":"lines"},)" };

        for (const std::string &kind : kinds)
                for (const std::string &extra : more)
                        for (SessionState from = SESSION_INACTIVE; from < _SESSION_STATE_MAX; from = (SessionState) (from + 1)) {
                                g_autofree char *text = g_strdup_printf(R"({%s"manifest":%s,"owner":1000,"state":"%s","unbound":true})",
                                                                        extra.c_str(), kind.c_str(), session_state_to_string(from));
                                PlugindError error{};

                                SCOPED_TRACE(text);
                                hand_over([&](Host *next) {
                                        (void) session_restore(
                                                next, "any", JSON_RANGE(text),
                                                [](const char *, uid_t, void *) { return static_cast<Caller *>(nullptr); }, nullptr,
                                                &error);
                                });
                                plugind_error_clear(&error);
                                turn();
                                Session *session = host_find(host, "any");
                                if (session)
                                        state_now(session);
                        }
}
