/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state machine: start, stop, failure, back-off, idleness, bind, unload. */
#include "host-fixture.h"

#include <sys/socket.h>

class SessionTest : public HostTest {};

static void store_error(const PlugindError *error, void *userdata) {
        *static_cast<std::string *>(userdata) = error ? std::string(plugind_error_code_name(error->code)) + ": " + error->message : "ok";
}

TEST_F(SessionTest, StartsOnDemandAnswersAndStopsInOrder) {
        Session *session = load("echo", manifest());
        std::string stopped;
        Sent sent;

        EXPECT_EQ(states(), "");
        EXPECT_TRUE(session->desired_active);
        send(session, alice, "echo", R"({"a":1})", &sent);
        EXPECT_EQ(states(), "starting(on-demand) connecting(started) active(connected)");
        EXPECT_EQ(session->in_flight, 1u);
        std::string line = process(0)->line();
        EXPECT_NE(line.find(R"("method":"echo")"), std::string::npos) << line;
        EXPECT_NE(line.find(R"("params":{"a":1})"), std::string::npos) << line;
        size_t id = line.find("\"id\":") + 5;
        process(0)->say(R"({"jsonrpc":"2.0","id":)" + line.substr(id, line.find(',', id) - id) + R"(,"result":{"b":2}})");
        EXPECT_TRUE(sent.done);
        EXPECT_EQ(sent.result, R"({"b":2})");
        EXPECT_EQ(session->in_flight, 0u);

        session_set_desired(session, false, "requested", store_error, &stopped);
        EXPECT_EQ(states(), "stopping(requested)");
        EXPECT_EQ(process(0)->line(), "") << "end of input";
        EXPECT_EQ(stopped, "");
        process(0)->exit(CLD_EXITED, 0);
        EXPECT_EQ(states(), "inactive(requested)");
        EXPECT_EQ(stopped, "ok");
        EXPECT_EQ(session->main_pid, 0);
        EXPECT_TRUE(process(0)->signals.empty());
        send(session, alice, "echo", "", &sent);
        EXPECT_EQ(sent.code, PLUGIND_ERROR_NOT_ACTIVE) << "desired inactive: not started by a call";
}

TEST_F(SessionTest, AStopEscalatesFromEndOfInputToTermToKill) {
        Session *session = load("deaf", manifest(R"(,"timeouts":{"stop":0.2})"));

        session_set_desired(session, true, "requested", nullptr, nullptr);
        session_set_desired(session, false, "requested", nullptr, nullptr);
        until([&] { return process(0)->signals.size() == 1; });
        EXPECT_EQ(process(0)->signals[0], SIGTERM);
        until([&] { return process(0)->signals.size() == 2; });
        EXPECT_EQ(process(0)->signals[1], SIGKILL);
        EXPECT_EQ(session->state, SESSION_STOPPING);
        process(0)->exit(CLD_KILLED, SIGKILL);
        EXPECT_EQ(session->state, SESSION_INACTIVE);
}

TEST_F(SessionTest, ACrashAnswersAllPendingAtOnceAndTheNextSendIsAnsweredByTheNextRun) {
        Session *session = load("crash", manifest());
        Sent first, second, third;

        send(session, alice, "a", "", &first);
        send(session, bob, "b", "", &second);
        states();
        process(0)->exit(CLD_KILLED, SIGKILL);
        EXPECT_EQ(first.code, PLUGIND_ERROR_CONNECTION_LOST);
        EXPECT_NE(first.message.find("SIGKILL"), std::string::npos) << first.message;
        EXPECT_EQ(second.code, PLUGIND_ERROR_CONNECTION_LOST);
        EXPECT_EQ(session->failure.signal, SIGKILL);
        EXPECT_EQ(states(), "restarting(killed)");
        EXPECT_EQ(events.back(), "ended crash killed 9");

        send(session, alice, "c", "", &third);
        until([&] { return session->state == SESSION_ACTIVE; });
        EXPECT_EQ(states(), "starting(restart) connecting(started) active(connected)");
        EXPECT_EQ(session->restarts, 1u);
        EXPECT_NE(process(1)->line().find("\"method\":\"c\""), std::string::npos);
        EXPECT_FALSE(third.done);
}

TEST_F(SessionTest, WhatWasWrittenBeforeACrashArrives) {
        Session *session = load("last-words", manifest());
        Sent sent;

        send(session, alice, "a", "", &sent);
        std::string line = process(0)->line();
        size_t id = line.find("\"id\":") + 5;
        std::string answer = R"({"jsonrpc":"2.0","id":)" + line.substr(id, line.find(',', id) - id) +
                             R"(,"result":"last"})"
                             "\n";
        ASSERT_EQ(write(process(0)->out, answer.data(), answer.size()), (ssize_t) answer.size());
        process(0)->exit(CLD_KILLED, SIGSEGV);
        EXPECT_EQ(sent.result, "\"last\"");
}

TEST_F(SessionTest, TooManyFailuresAreTheEndAndAreTold) {
        Session *session = load("loop", manifest(R"(,"restart":{"delay":0.001,"burst":3})"));
        std::string settled;
        Sent sent;

        session_set_desired(session, true, "requested", nullptr, nullptr);
        for (size_t i = 0; i < 3; i++) {
                until([&] { return processes.size() > i; });
                process(i)->exit(CLD_EXITED, 1);
                if (i == 1)
                        send(session, alice, "waits", "", &sent);
        }
        session_when_settled(session, store_error, &settled);
        until([&] { return session->state == SESSION_ERRORED; });
        EXPECT_EQ(processes.size(), 3u);
        EXPECT_EQ(session->failure.exit_status, 1);
        EXPECT_EQ(settled.find("StartFailed"), 0u) << settled;
        EXPECT_NE(settled.find("3 failures"), std::string::npos) << settled;
        EXPECT_TRUE(sent.done);
        EXPECT_NE(sent.code, PLUGIND_ERROR_NONE);
        send(session, alice, "x", "", &sent);
        EXPECT_EQ(sent.code, PLUGIND_ERROR_NOT_ACTIVE);
        session_reset_failed(session);
        EXPECT_EQ(session->state, SESSION_INACTIVE);
        EXPECT_EQ(session->restarts, 0u);
}

TEST_F(SessionTest, DelaysDoubleAndAStopEndsABackOffAtOnce) {
        Session *session = load("backoff", manifest(R"(,"restart":{"delay":0.05,"maxDelay":3600,"burst":100})"));
        uint64_t delays[3];

        session_set_desired(session, true, "requested", nullptr, nullptr);
        for (size_t i = 0; i < 3; i++) {
                until([&] { return processes.size() > i; });
                uint64_t before = deadlines_now(deadlines);
                process(i)->exit(CLD_EXITED, 1);
                until([&] { return processes.size() > i + 1; });
                delays[i] = deadlines_now(deadlines) - before;
        }
        for (unsigned i = 0; i < 3; i++)
                EXPECT_GE(delays[i], (40000u << i)) << i; /* 50 ms less 20 % jitter, doubled */
        process(3)->exit(CLD_EXITED, 1);
        EXPECT_EQ(session->state, SESSION_RESTARTING);
        session_set_desired(session, false, "requested", nullptr, nullptr);
        EXPECT_EQ(session->state, SESSION_INACTIVE);
}

TEST_F(SessionTest, Status125AndNeverAreNotRestarted) {
        Session *session = load("no", manifest());

        session_set_desired(session, true, "requested", nullptr, nullptr);
        process(0)->exit(CLD_EXITED, 125);
        EXPECT_EQ(session->state, SESSION_ERRORED);
        Session *never = load("never", manifest(R"(,"restart":"never")"));
        session_set_desired(never, true, "requested", nullptr, nullptr);
        process(1)->exit(CLD_EXITED, 1);
        EXPECT_EQ(never->state, SESSION_ERRORED);
        session_set_desired(never, true, "requested", nullptr, nullptr);
        EXPECT_EQ(never->state, SESSION_ACTIVE);
        EXPECT_EQ(never->failure.message, nullptr);
}

TEST_F(SessionTest, ACleanExitIsNoFailure) {
        Session *session = load("done", manifest());

        session_set_desired(session, true, "requested", nullptr, nullptr);
        states();
        process(0)->exit(CLD_EXITED, 0);
        EXPECT_EQ(states(), "stopping(exited) inactive(exited)");
        EXPECT_EQ(session->failure.message, nullptr);
        EXPECT_EQ(session->restarts, 0u);
}

TEST_F(SessionTest, WhatCannotBeRunIsErroredAtOnce) {
        Session *session = load("gone", manifest());
        std::string started;

        plugind_error_set(&start_error, PLUGIND_ERROR_START_FAILED, "cannot run /x: No such file or directory");
        session_set_desired(session, true, "requested", store_error, &started);
        EXPECT_EQ(session->state, SESSION_ERRORED);
        EXPECT_EQ(started, "StartFailed: cannot run /x: No such file or directory");
        EXPECT_EQ(states(), "starting(requested) errored(start)");
}

TEST_F(SessionTest, AClosedStdoutOfALivingPluginIsAFailure) {
        Session *session = load("mute", manifest(R"(,"timeouts":{"stop":0.1})"));
        Sent sent;

        send(session, alice, "a", "", &sent);
        process(0)->close_stdout();
        until([&] { return sent.done; });
        EXPECT_EQ(sent.code, PLUGIND_ERROR_CONNECTION_LOST);
        until([&] { return session->state == SESSION_RESTARTING; });
        EXPECT_EQ(process(0)->signals, std::vector<int>{ SIGTERM });
        until([&] { return process(0)->signals.size() == 2; });
        process(0)->exit(CLD_KILLED, SIGKILL);
        until([&] { return session->state == SESSION_ACTIVE; });
}

TEST_F(SessionTest, AnIdleOneIsStoppedAndACallDuringItsStopIsServedByTheNext) {
        Session *session = load("idle", manifest(R"(,"timeouts":{"idle":0.05})"));
        Sent sent;

        session_set_desired(session, true, "requested", nullptr, nullptr);
        ASSERT_EQ(session_subscribe(session, bob, nullptr, nullptr), 0);
        states();
        until([&] { return session->state == SESSION_ACTIVE; });
        session_unsubscribe(session, bob);
        until([&] { return session->state == SESSION_STOPPING; });
        EXPECT_EQ(states(), "stopping(idle)");
        EXPECT_TRUE(session->desired_active);
        send(session, alice, "late", "", &sent);
        EXPECT_FALSE(sent.done);
        process(0)->exit(CLD_EXITED, 0);
        EXPECT_EQ(states(), "inactive(idle) starting(on-demand) connecting(started) active(connected)");
        EXPECT_NE(process(1)->line().find("late"), std::string::npos);
        EXPECT_EQ(events[1], "ended idle expired 0");
}

TEST_F(SessionTest, RestartIsOneStep) {
        Session *session = load("again", manifest());
        std::string done;

        session_restart(session, nullptr, nullptr);
        EXPECT_EQ(session->state, SESSION_ACTIVE);
        session_restart(session, store_error, &done);
        EXPECT_EQ(session->state, SESSION_STOPPING);
        EXPECT_EQ(done, "");
        process(0)->exit(CLD_EXITED, 0);
        EXPECT_EQ(session->state, SESSION_ACTIVE);
        EXPECT_EQ(done, "ok");
        EXPECT_EQ(processes.size(), 2u);
        session_restart(session, store_error, &done);
        session_set_desired(session, false, "requested", nullptr, nullptr);
        process(1)->exit(CLD_EXITED, 0);
        EXPECT_EQ(session->state, SESSION_INACTIVE) << "a stop wins";
        EXPECT_EQ(done.find("StartFailed"), 0u) << done;
}

TEST_F(SessionTest, UnloadStopsFirstAndRefusesWhatIsBoundByOthers) {
        PlugindError error{};
        std::string done;

        Session *session = load("bound", manifest(), true, alice);
        session_set_desired(session, true, "requested", nullptr, nullptr);
        EXPECT_EQ(host_unload(host, "bound", bob, false, store_error, &done, &error), -EBUSY);
        EXPECT_NE(strstr(error.message, ":1.1"), nullptr) << error.message;
        plugind_error_clear(&error);
        EXPECT_EQ(host_unload(host, "bound", bob, true, store_error, &done, &error), 0);
        EXPECT_EQ(done, "");
        Session *again = nullptr;
        LoadOptions options{};
        std::string text = manifest();
        options.source = "bound";
        options.manifest = text.c_str();
        EXPECT_EQ(host_load(host, &options, &again, &error), -EBUSY);
        plugind_error_clear(&error);
        process(0)->exit(CLD_EXITED, 0);
        EXPECT_EQ(done, "ok");
        EXPECT_EQ(host_find(host, "bound"), nullptr);
        EXPECT_EQ(events.back(), "removed bound unloaded");
        EXPECT_EQ(host_unload(host, "bound", bob, true, store_error, &done, &error), -ENXIO);
        plugind_error_clear(&error);
}

TEST_F(SessionTest, TheLastBoundCallerTakesTheSessionAlong) {
        load("bound", manifest(), true, alice);
        load("bound", manifest(), true, bob);
        load("kept", manifest(), true, alice);
        load("kept", manifest(), false, bob);
        alice = caller_free(alice);
        turn();
        EXPECT_NE(host_find(host, "bound"), nullptr);
        bob = caller_free(bob);
        turn();
        EXPECT_EQ(host_find(host, "bound"), nullptr);
        EXPECT_EQ(events.back(), "removed bound unbound");
        EXPECT_NE(host_find(host, "kept"), nullptr);
}

TEST_F(SessionTest, HostStopEndsAllAndSaysSoOnce) {
        std::string done;

        for (const char *id : { "a", "b", "c" }) {
                Session *session = load(id, manifest());
                if (id[0] != 'c')
                        session_set_desired(session, true, "requested", nullptr, nullptr);
        }
        host_stop(host, store_error, &done);
        turn();
        EXPECT_EQ(done, "");
        process(0)->exit(CLD_EXITED, 0);
        EXPECT_EQ(done, "");
        process(1)->exit(CLD_KILLED, SIGTERM);
        EXPECT_EQ(done, "ok");
        EXPECT_EQ(events.back(), "ended b shutdown 15");
        EXPECT_TRUE(host_find(host, "a")->desired_active) << "a shut-down changes no wish";
}

TEST_F(SessionTest, AnExternalPluginConnectsAndComesBack) {
        PlugindError error{};
        std::string text = R"({"manifestVersion":1,"type":"external","dialect":"jsonrpc"})";
        int first[2], second[2];

        Session *session = load("outside", text);
        EXPECT_EQ(session->state, SESSION_CONNECTING);
        EXPECT_FALSE(session_supervised(session));
        ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, first), 0);
        ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, second), 0);
        ASSERT_EQ(session_connect(session, first[0], FRAMING_LINES, &error), 0) << error.message;
        EXPECT_EQ(session->state, SESSION_ACTIVE);
        EXPECT_EQ(session_connect(session, second[0], FRAMING_LINES, &error), -EISCONN);
        plugind_error_clear(&error);
        close(first[1]);
        turn();
        EXPECT_EQ(session->state, SESSION_CONNECTING);
        ASSERT_EQ(session_connect(session, second[0], FRAMING_LINES, &error), 0) << error.message;
        EXPECT_EQ(session->state, SESSION_ACTIVE);
        session_set_desired(session, false, "requested", nullptr, nullptr);
        turn();
        close(second[1]);
        turn();
        EXPECT_EQ(session->state, SESSION_INACTIVE);
}

TEST_F(SessionTest, TheLastFailureStaysToBeReadOverARestartAndGoesWithTheNextStart) {
        Session *session = load("memory", manifest());

        session_set_desired(session, true, "requested", nullptr, nullptr);
        process(0)->exit(CLD_KILLED, SIGABRT);
        until([&] { return session->state == SESSION_ACTIVE; });
        ASSERT_NE(session->failure.message, nullptr);
        EXPECT_NE(strstr(session->failure.message, "SIGABRT"), nullptr);
        session_set_desired(session, false, "requested", nullptr, nullptr);
        process(1)->exit(CLD_EXITED, 0);
        session_set_desired(session, true, "requested", nullptr, nullptr);
        EXPECT_EQ(session->failure.message, nullptr);
}

TEST_F(SessionTest, WhatIsUnloadedIsNotStartedAgainByWhoeverAsksMeanwhile) {
        std::string unloaded, restarted, started;

        Session *session = load("leaving", manifest());
        session_set_desired(session, true, "requested", nullptr, nullptr);
        ASSERT_EQ(host_unload(host, "leaving", alice, false, store_error, &unloaded, nullptr), 0);
        session_restart(session, store_error, &restarted);
        session_set_desired(session, true, "requested", store_error, &started);
        process(0)->exit(CLD_EXITED, 0);
        EXPECT_EQ(unloaded, "ok");
        EXPECT_EQ(restarted.find("StartFailed"), 0u) << restarted;
        EXPECT_EQ(started.find("StartFailed"), 0u) << started;
        EXPECT_EQ(host_find(host, "leaving"), nullptr);
        EXPECT_EQ(processes.size(), 1u);
}

TEST_F(SessionTest, ARestartDoesNotKeepTheHostFromStopping) {
        std::string done;

        Session *session = load("a", manifest());
        session_set_desired(session, true, "requested", nullptr, nullptr);
        host_stop(host, store_error, &done);
        turn();
        session_restart(session, nullptr, nullptr);
        process(0)->exit(CLD_EXITED, 0);
        EXPECT_EQ(done, "ok");
        EXPECT_EQ(session->state, SESSION_INACTIVE);
        EXPECT_EQ(processes.size(), 1u);
}

TEST_F(SessionTest, AnExternalPluginThatGoesWhileGreetingLeavesNobodyWaiting) {
        std::string text = R"({"manifestVersion":1,"type":"external","dialect":"plugind"})", settled;
        Sent sent;
        int fds[2];

        Session *session = load("outside", text);
        ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        ASSERT_EQ(session_connect(session, fds[0], FRAMING_LINES, nullptr), 0);
        session_when_settled(session, store_error, &settled);
        send(session, alice, "m", "", &sent, nullptr, false, USEC_INFINITY);
        EXPECT_EQ(settled, "");
        EXPECT_FALSE(sent.done);
        close(fds[1]);
        turn();
        EXPECT_EQ(session->state, SESSION_CONNECTING);
        EXPECT_EQ(settled, "ok");
        EXPECT_EQ(sent.code, PLUGIND_ERROR_CONNECTION_LOST) << sent.message;
}

TEST_F(SessionTest, AResetWhileTheLastOneEndsDoesNotHideWhyItFailed) {
        Session *session = load("no", manifest(R"(,"restart":"never")"));

        session_set_desired(session, true, "requested", nullptr, nullptr);
        process(0)->close_stdout();
        until([&] { return session->state == SESSION_RESTARTING; });
        session_reset_failed(session);
        process(0)->exit(CLD_KILLED, SIGTERM);
        EXPECT_EQ(session->state, SESSION_ERRORED);
        ASSERT_NE(session->failure.message, nullptr);
        EXPECT_NE(session->failure.message[0], 0);
}

TEST_F(SessionTest, ABoundSessionThatRunsCanBeDroppedWithTheHost) {
        std::string unloaded;

        Session *session = load("bound", manifest(), true, alice);
        session_set_desired(session, true, "requested", nullptr, nullptr);
        session = load("leaving", manifest());
        session_set_desired(session, true, "requested", nullptr, nullptr);
        ASSERT_EQ(host_unload(host, "leaving", alice, false, store_error, &unloaded, nullptr), 0);
        host = host_free(host);
        EXPECT_NE(unloaded, "") << "never answered";
}

TEST_F(SessionTest, ACleanExitIsAlsoTheEndOfWhatHasNoDeadline) {
        Session *session = load("listened", R"({"manifestVersion":1,"command":"/bin/true","dialect":"mcp","mcp":{"era":"modern"}})");
        auto id_of = [](const std::string &line) {
                size_t at = line.find("\"id\":") + 5;
                return line.substr(at, line.find_first_of(",}", at) - at);
        };
        Sent sent;

        send(session, alice, "subscriptions/listen", "{}", &sent);
        process(0)->say(R"({"jsonrpc":"2.0","id":)" + id_of(process(0)->line()) +
                        R"(,"result":{"supportedVersions":["2026-07-28"],"capabilities":{},"serverInfo":{"name":"x","version":"1"}}})");
        ASSERT_EQ(session->state, SESSION_ACTIVE);
        ASSERT_NE(process(0)->line().find("subscriptions/listen"), std::string::npos);
        process(0)->exit(CLD_EXITED, 0);
        EXPECT_EQ(session->state, SESSION_INACTIVE) << "started again without a delay, for ever";
        EXPECT_EQ(sent.code, PLUGIND_ERROR_CONNECTION_LOST);
        EXPECT_EQ(processes.size(), 1u);
}

TEST_F(SessionTest, AGreetingIsAPropertyOnlyIfItHasAPropertysSize) {
        Session *session = load("talker", R"({"manifestVersion":1,"command":"/bin/true","dialect":"plugind"})");

        session_set_desired(session, true, "requested", nullptr, nullptr);
        std::string line = process(0)->line();
        size_t id = line.find("\"id\":") + 5;
        std::string answer = R"({"jsonrpc":"2.0","id":)" + line.substr(id, line.find(',', id) - id) +
                             R"(,"result":{"protocol":1,"name":"x","more":")" + std::string(2 * SEND_MAX, 'm') + "\"}}\n";
        for (size_t at = 0; at < answer.size(); at += 32768) {
                std::string part = answer.substr(at, 32768);
                ASSERT_EQ(write(process(0)->out, part.data(), part.size()), (ssize_t) part.size());
                turn();
        }
        EXPECT_EQ(session->state, SESSION_ACTIVE);
        EXPECT_STREQ(session_name(session), "x");
        EXPECT_EQ(session->greeting, nullptr);
}

TEST_F(SessionTest, IdlenessBeginsWhenTheLastAnswerCame) {
        Session *session = load("long", manifest(R"(,"timeouts":{"idle":0.3})"));
        Sent sent;

        session_set_desired(session, true, "requested", nullptr, nullptr);
        send(session, alice, "m", "", &sent, nullptr, false, 250000);
        until([&] { return sent.done; });
        uint64_t answered = deadlines_now(deadlines);
        until([&] { return session->state == SESSION_STOPPING; });
        EXPECT_GE(deadlines_now(deadlines) - answered, 290000u);
}

TEST_F(SessionTest, WhatAPluginSentIsNotQuotedWhereAllCanReadIt) {
        Session *session = load("secretive", R"({"manifestVersion":1,"command":"/bin/true","dialect":"jsonrpc","framing":"headers"})");
        Sent sent;

        send(session, alice, "a", "", &sent);
        process(0)->say("the password is swordfish\r\n\r\n");
        until([&] { return sent.done; });
        EXPECT_EQ(sent.code, PLUGIND_ERROR_PROTOCOL_ERROR);
        EXPECT_NE(sent.message.find("swordfish"), std::string::npos) << sent.message;
        ASSERT_NE(session->failure.message, nullptr);
        EXPECT_EQ(std::string(session->failure.message).find("swordfish"), std::string::npos) << session->failure.message;
}

TEST_F(SessionTest, ManyThatLeaveAtOnceAllGo) {
        for (int i = 0; i < 10000; i++)
                load("s" + std::to_string(i), manifest(), true, alice);
        alice = caller_free(alice);
        turn();
        EXPECT_EQ(host_n_sessions(host), 0u);
        EXPECT_EQ(events.size(), 20000u);
}
