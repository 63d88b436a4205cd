/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Leaving when nothing is loaded (--exit-idle=), and being watched. */
#include "fixture.h"

#include <csignal>
#include <sys/wait.h>
#include <sysexits.h>
#include <thread>

namespace {

class Leaving : public Daemon {
      protected:
        /* The exit status of a daemon that leaves by itself. */
        int left() {
                int status = daemon.wait();

                return WIFEXITED(status) && status >= 0 ? WEXITSTATUS(status) : -1;
        }

        void start_again(const std::vector<std::string> &arguments) {
                again();
                start(arguments);
        }

        /* How many times. */
        size_t told(const std::string &text) {
                size_t n = 0;

                for (const std::string &notification : daemon.notifications())
                        n += notification.find(text) == 0;
                return n;
        }
};

TEST_P(Leaving, WithNothingLoadedItLeaves) {
        start({ "--user", "--exit-idle=0.1" });
        Client client(address());

        EXPECT_EQ(left(), 0) << daemon.output();
        EXPECT_FALSE(client.has_owner("org.plugind1"));
        EXPECT_TRUE(booted() || told("STOPPING=1") == 1);
}

TEST_P(Leaving, WhatIsLoadedKeepsItUntilItIsUnloaded) {
        bad_plugin("x");
        start({ "--user", "--exit-idle=0.2" });
        Client client(address());
        load(client, "x");

        EXPECT_EQ(process_wait(daemon.pid(), 1'000'000), -ETIME) << daemon.output();
        EXPECT_EQ(told("STOPPING=1"), 0u);
        EXPECT_EQ(client.host("Unload", "sa{sv}", "x", 0).outcome(), "ok");
        EXPECT_EQ(left(), 0) << daemon.output();
}

TEST_P(Leaving, WhatIsRememberedKeepsIt) {
        bad_plugin("x");
        start();
        {
                Client client(address());
                load(client, "x");
        }
        ASSERT_EQ(stop(), 0);
        start_again({ "--user", "--exit-idle=0.2" });

        EXPECT_EQ(process_wait(daemon.pid(), 1'000'000), -ETIME) << daemon.output();
}

/* The bus is held, so that a call and the release of the name are on their way at the same time. Which one it takes first is its choice. */
TEST_P(Leaving, ACallOnItsWayIsAnsweredAndWhatItLoadedComesBack) {
        NOT_INSTALLED("only systemd hears when it begins to leave");
        std::string outcome;

        bad_plugin("x");
        for (int attempt = 0; attempt < 50 && outcome != "ok"; attempt++) {
                start_again({ "--user", "--exit-idle=0.2" });
                Client client(address());
                kill(private_bus_pid(bus), SIGSTOP);
                Client::Pending pending = client.host_async("Load", "sa{sv}", "x", 0);
                bool leaving = client.poll([&] { return told("STOPPING=1") > 0; });
                kill(private_bus_pid(bus), SIGCONT);

                ASSERT_TRUE(leaving) << daemon.output();
                ASSERT_TRUE(client.wait(pending));
                outcome = pending->outcome();
                EXPECT_TRUE(outcome == "ok" || pending->error == "org.freedesktop.DBus.Error.ServiceUnknown") << outcome;
                EXPECT_EQ(left(), outcome == "ok" ? EX_TEMPFAIL : 0) << daemon.output(); /* for systemd to start it again */
        }
        EXPECT_EQ(outcome, "ok");
        start_again({ "--user" });
        Client client(address());
        EXPECT_EQ(client.get_host("Sessions"), "1");
}

TEST_P(Leaving, ItIsToldToStopMeanwhile) {
        NOT_INSTALLED("only systemd hears when it begins to leave");
        start({ "--user", "--exit-idle=0.1" });
        Client client(address());
        kill(private_bus_pid(bus), SIGSTOP);
        bool leaving = client.poll([&] { return told("STOPPING=1") > 0; });
        daemon.signal(SIGTERM);
        kill(private_bus_pid(bus), SIGCONT);

        ASSERT_TRUE(leaving) << daemon.output();
        EXPECT_EQ(left(), 0) << daemon.output();
}

TEST_P(Leaving, WhoIsConnectedDirectlyKeepsIt) {
        std::string direct = listen();

        start({ "--user", "--exit-idle=0.2" });
        {
                Client client(direct);
                EXPECT_EQ(process_wait(daemon.pid(), 1'000'000), -ETIME) << daemon.output();
                EXPECT_EQ(client.get_host("Sessions"), "0");
        }
        EXPECT_EQ(left(), 0) << daemon.output();
}

/* The socket is systemd's: who connects meanwhile is served by the next one. */
TEST_P(Leaving, WhoConnectsWhileItIsGoneIsServedByTheNext) {
        std::string direct = listen(), sessions;

        start({ "--user", "--exit-idle=0.05" });
        ASSERT_EQ(left(), 0) << daemon.output();
        std::thread caller([&] { sessions = Client(direct).get_host("Sessions"); });
        start_again({ "--user", "--exit-idle=0.05" });
        caller.join();
        EXPECT_EQ(sessions, "0");
        EXPECT_EQ(left(), 0) << daemon.output();
}

TEST_P(Leaving, TheWatchdogHearsFromIt) {
        NOT_INSTALLED("the watchdog is systemd's own");
        start({ "--user" }, { { "WATCHDOG_USEC", "200000" } });
        Client client(address());

        EXPECT_TRUE(client.poll([&] { return told("WATCHDOG=1") > 3; })) << daemon.output(); /* the first comes before the loop runs */
}

BOTH_BUSES(Leaving);

} // namespace
