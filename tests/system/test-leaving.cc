/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What systemd wants decides what becomes of plugins: also when it changes its mind while the daemon is on its way out, of which no signal tells. */
#include "fixture.h"

#include <csignal>
#include <glib.h>

namespace {

class Leaving : public ServiceTest {
      protected:
        void SetUp() override {
                ServiceTest::SetUp();
                if (IsSkipped() || HasFatalFailure())
                        return;
                bad_plugin("x");
                ASSERT_EQ(client->host("Load", "sa{sv}", "x", 0).outcome(), "ok");
                EXPECT_EQ(client->send("x", "echo", "[1]"), "[1]");
                plugin = client->get("x", "MainPID");
                daemon = service.pid();
        }

        /* So that it cannot leave. */
        Client::Pending ask_for_nothing() {
                Client::Pending pending = client->session_async("x", "Send", "ssa{sv}", "never", "", 0);

                EXPECT_TRUE(client->wait_property("x", "InFlight", "1"));
                return pending;
        }

        bool waits() {
                return client->poll([&] { return service.get("StatusText").find("waiting for x (1 call)") != std::string::npos; });
        }

        /* All ends, what was asked too, and long before the drain is over. */
        void expect_stop(const Client::Pending &pending) {
                const gint64 began = g_get_monotonic_time();

                EXPECT_TRUE(service.stop());
                EXPECT_LT(g_get_monotonic_time() - began, 7'000'000);
                EXPECT_EQ(service.get("ActiveState"), "inactive");
                EXPECT_EQ(service.get("Result"), "success");
                EXPECT_EQ(left_in_time(), "");
                EXPECT_TRUE(client->wait(pending));
                EXPECT_EQ(pending->error, "org.plugind1.Error.ConnectionLost") << pending->message;
        }

        /* Another daemon, the same plugin. */
        void expect_next() {
                EXPECT_TRUE(client->poll([&] { return service.pid() > 0 && service.pid() != daemon; }));
                EXPECT_TRUE(service.wait("SubState", "running"));
                EXPECT_EQ(client->send("x", "echo", "[2]"), "[2]");
                EXPECT_EQ(client->get("x", "MainPID"), plugin);
                EXPECT_EQ(client->get("x", "HandOvers"), "1");
                EXPECT_EQ(client->get_host("HandOvers"), "1");
        }

        std::string plugin;
        pid_t daemon = 0;
};

TEST_F(Leaving, ARestartLeavesPluginsToTheNext) {
        EXPECT_TRUE(service.restart());
        expect_next();
        EXPECT_NE(journal_since({ "-u", "plugind.service" }).find("systemd wants a restart"), std::string::npos);
}

TEST_F(Leaving, ASignalThatSystemdDidNotSendDoesToo) {
        service.kill(SIGTERM);
        expect_next();
}

TEST_F(Leaving, AnInterruptStops) {
        service.kill(SIGINT);
        EXPECT_TRUE(service.wait("ActiveState", "inactive"));
        EXPECT_EQ(service.get("Result"), "success");
        EXPECT_EQ(left_in_time(), "");
}

TEST_F(Leaving, AStopMayTakeThePlaceOfARestart) {
        Client::Pending pending = ask_for_nothing();

        EXPECT_EQ(run({ "systemctl", "--no-block", "restart", "plugind.service" }).status, 0);
        EXPECT_TRUE(waits());
        expect_stop(pending);
}

TEST_F(Leaving, AStopMayComeWhileItLeavesByItself) {
        Client::Pending pending = ask_for_nothing();

        service.kill(SIGTERM);
        EXPECT_TRUE(waits());
        expect_stop(pending);
}

TEST_F(Leaving, AnInterruptEndsAHandOver) {
        Client::Pending pending = ask_for_nothing();

        service.kill(SIGTERM);
        EXPECT_TRUE(waits());
        service.kill(SIGINT);
        EXPECT_TRUE(client->wait(pending));
        EXPECT_TRUE(service.wait("ActiveState", "inactive"));
        EXPECT_EQ(left_in_time(), "");
}

/* Which takes the names of callers along, and nothing of plugins. */
TEST_F(Leaving, ALostBusIsNoLostPlugin) {
        client->signals.clear();
        kill(booted_bus_pid(), SIGKILL);
        EXPECT_TRUE(client->poll([&] { return service.pid() > 0 && service.pid() != daemon && service.get("SubState") == "running"; }));
        client.reset();
        client = std::make_unique<Client>(system_bus_address);
        expect_next();
}

} // namespace
