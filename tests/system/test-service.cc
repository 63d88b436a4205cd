/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* plugind as systemd's service: it starts, talks, stops. */
#include "fixture.h"

namespace {

using Installed = SystemTest;

TEST_F(Installed, StartsLoadsTheBundledEchoAnswersAndStops) {
        ASSERT_TRUE(service.start());
        EXPECT_EQ(service.get("ActiveState"), "active");
        EXPECT_GT(service.pid(), 1);
        Client client(system_bus_address);

        Reply loaded = client.host("Load", "sa{sv}", "echo", 0);
        ASSERT_EQ(loaded.outcome(), "ok");
        EXPECT_EQ(loaded.text, session_path("echo"));
        EXPECT_EQ(client.send("echo", "echo", "{\"a\":[1,null]}"), "{\"a\":[1,null]}");
        EXPECT_EQ(client.get("echo", "ReportedState"), "active");

        ASSERT_TRUE(service.stop());
        EXPECT_EQ(service.get("ActiveState"), "inactive");
        EXPECT_EQ(service.get("Result"), "success");
        EXPECT_EQ(leftovers(), "");
}

/* Stopped at once after it was told to start a plugin: its last words to systemd, which end that unit, are heard although it leaves. */
TEST_F(Installed, ItLeavesNothingOfAPluginThatWasAboutToStart) {
        for (int i = 0; i < 10; i++) {
                ASSERT_TRUE(service.start());
                Client client(system_bus_address);
                ASSERT_EQ(client.host("Load", "sa{sv}", "echo", 0).outcome(), "ok");
                Client::Pending pending = client.session_async("echo", "SetActiveState", "sa{sv}", "active", 0);
                client.wait(pending);
                ASSERT_TRUE(service.stop());
                ASSERT_EQ(left_in_time(), "") << "the " << i + 1 << ". time";
        }
}

/* It ends as a failed unit, which nobody would collect. TearDown looks for it. */
TEST_F(Installed, StoppedWithAPluginThatMustBeKilledItLeavesNothing) {
        bad_plugin("stubborn", "plugind", "stubborn", "\"timeouts\": {\"stop\": 0.5}");
        ASSERT_TRUE(service.start());
        Client client(system_bus_address);
        ASSERT_EQ(client.host("Load", "sa{sv}", "stubborn", 0).outcome(), "ok");
        ASSERT_EQ(client.session("stubborn", "SetActiveState", "sa{sv}", "active", 1, "wait", "b", 1).outcome(), "ok");
}

TEST_F(Installed, TheJournalHasWhatItSays) {
        ASSERT_TRUE(service.start());
        EXPECT_NE(journal_since({ "-u", "plugind.service" }).find("plugind"), std::string::npos);
        bad_plugin("talker");
        Client client(system_bus_address);
        ASSERT_EQ(client.host("Load", "sa{sv}", "talker", 0).outcome(), "ok");
        EXPECT_EQ(client.send("talker", "echo", "[1]"), "[1]");
}

TEST_F(Installed, AnOrdinaryUserReadsAndChangesNothing) {
        ASSERT_TRUE(service.start());
        std::string version = as_user([] { return Client(system_bus_address).get_host("Version"); });
        EXPECT_EQ(version, PROJECT_VERSION);
        std::string refused = as_user([] { return Client(system_bus_address).host("Load", "sa{sv}", "echo", 0).error; });
        EXPECT_EQ(refused, "org.freedesktop.DBus.Error.AccessDenied");
        EXPECT_EQ(run_as_user({ "id", "-u" }).out, std::to_string(ordinary_uid) + "\n");
}

TEST_F(Installed, AUserManagerIsThere) {
        ASSERT_TRUE(start_user_manager());
        Outcome outcome = run_as_user({ "systemctl", "--user", "is-system-running", "--wait" });
        EXPECT_EQ(outcome.out, "running\n") << outcome.err;
}

} // namespace
