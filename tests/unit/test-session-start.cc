/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starts that take their time, as units of systemd do, and what only a unit can end by. */
#include "host-fixture.h"

class SlowStartTest : public HostTest {
      protected:
        void SetUp() override {
                HostTest::SetUp();
                slow_start = true;
        }
};

TEST_F(SlowStartTest, CallsWaitForIt) {
        Session *session = load("x", manifest());
        Sent sent;

        send(session, alice, "a", "{}", &sent);
        EXPECT_EQ(states(), "starting(on-demand)");
        EXPECT_FALSE(sent.done);
        process(0)->start();
        EXPECT_EQ(states(), "connecting(started) active(connected)");
        EXPECT_EQ(session->main_pid, process(0)->pid);
        ASSERT_NE(process(0)->line().find("\"a\""), std::string::npos);
}

TEST_F(SlowStartTest, WhatCannotBeRunIsErroredAtOnceAndSaysWhy) {
        Session *session = load("x", manifest());
        Sent sent;

        send(session, alice, "a", "{}", &sent);
        process(0)->fail(PLUGIND_ERROR_SANDBOX_UNAVAILABLE, "the network namespace is the host's");
        EXPECT_EQ(states(), "starting(on-demand) errored(start)");
        ASSERT_TRUE(sent.done);
        EXPECT_EQ(sent.code, PLUGIND_ERROR_SANDBOX_UNAVAILABLE);
        EXPECT_NE(sent.message.find("the network namespace is the host's"), std::string::npos) << sent.message;
        EXPECT_STREQ(session->failure.error, "SandboxUnavailable");
        EXPECT_EQ(processes.size(), 1u) << "it was tried again";
        EXPECT_TRUE(process(0)->freed);
}

TEST_F(SlowStartTest, AStopMeanwhileWins) {
        Session *session = load("x", manifest());
        Sent sent;

        send(session, alice, "a", "{}", &sent);
        session_set_desired(session, false, "requested", nullptr, nullptr);
        EXPECT_EQ(states(), "starting(on-demand) stopping(requested)");
        EXPECT_EQ(process(0)->signals, std::vector<int>{ SIGTERM });
        process(0)->fail(PLUGIND_ERROR_CANCELLED, "the plugin was stopped before it ran");
        EXPECT_EQ(states(), "inactive(requested)");
        EXPECT_TRUE(sent.done);
        EXPECT_EQ(session->failure.message, nullptr);
}

TEST_F(SlowStartTest, AStopAndAStartMeanwhileAreBothHeard) {
        Session *session = load("x", manifest());

        session_set_desired(session, true, "requested", nullptr, nullptr);
        session_restart(session, nullptr, nullptr);
        EXPECT_EQ(states(), "starting(requested) stopping(restart)");
        process(0)->fail(PLUGIND_ERROR_CANCELLED, "the plugin was stopped before it ran");
        EXPECT_EQ(states(), "inactive(restart) starting(restart)");
        ASSERT_EQ(processes.size(), 2u);
        process(1)->start();
        EXPECT_EQ(session->state, SESSION_ACTIVE);
}

TEST_F(SlowStartTest, OneThatNeverComesIsGivenUpAndTriedAgain) {
        Session *session = load("x", manifest(R"(,"timeouts":{"start":0.05},"restart":{"delay":0.001})"));

        session_set_desired(session, true, "requested", nullptr, nullptr);
        until([&] { return session->state == SESSION_RESTARTING; });
        EXPECT_EQ(process(0)->signals, std::vector<int>{ SIGTERM });
        process(0)->fail(PLUGIND_ERROR_CANCELLED, "the plugin was stopped before it ran");
        until([&] { return processes.size() == 2; });
        process(1)->start();
        EXPECT_EQ(session->state, SESSION_ACTIVE);
        EXPECT_EQ(session->restarts, 1u);
}

TEST_F(SlowStartTest, UnloadEndsIt) {
        Session *session = load("x", manifest());
        PlugindError error{};

        session_set_desired(session, true, "requested", nullptr, nullptr);
        ASSERT_EQ(host_unload(host, "x", alice, false, nullptr, nullptr, &error), 0);
        process(0)->fail(PLUGIND_ERROR_CANCELLED, "the plugin was stopped before it ran");
        EXPECT_EQ(host_find(host, "x"), nullptr);
}

TEST_F(SlowStartTest, AHostThatIsFreedMeanwhileLeavesNothing) {
        Session *session = load("x", manifest());

        session_set_desired(session, true, "requested", nullptr, nullptr);
        ASSERT_EQ(processes.size(), 1u); /* TearDown looks whether it was freed */
}

class UnitEndTest : public HostTest {};

TEST_F(UnitEndTest, AStopByHandIsNoCrash) {
        Session *session = load("x", manifest(R"(,"restart":{"policy":"always"})"));
        Sent sent;

        send(session, alice, "a", "{}", &sent);
        (void) states();
        process(0)->exit(UnitExit{ CLD_KILLED, SIGTERM, nullptr, "success", true });
        EXPECT_EQ(states(), "stopping(unit-stopped) inactive(unit-stopped)");
        ASSERT_TRUE(sent.done);
        EXPECT_EQ(sent.code, PLUGIND_ERROR_CONNECTION_LOST);
        EXPECT_EQ(sent.message, "the plugin's unit plugind-test-1.service was stopped by somebody else");
        EXPECT_EQ(session->failure.message, sent.message);
        send(session, alice, "a", "{}", &sent);
        EXPECT_EQ(processes.size(), 2u) << "the next call starts it";
}

TEST_F(UnitEndTest, WhatEndedItIsNamed) {
        Session *session = load("x", manifest());
        Sent sent;

        send(session, alice, "a", "{}", &sent);
        process(0)->exit(UnitExit{ CLD_KILLED, SIGKILL, "the limit of its memory", "oom-kill", false });
        ASSERT_TRUE(sent.done);
        EXPECT_EQ(sent.message, "the plugin was ended by the limit of its memory");
        EXPECT_EQ(session->failure.signal, SIGKILL);
}
