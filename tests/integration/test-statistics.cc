/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* GetStatistics, GetHistory and Unit, on both buses. */
#include "fixture.h"

namespace {

class Statistics : public Daemon {
      protected:
        static std::string of(Client &client, const std::string &id) {
                Reply reply = client.host("GetStatistics", "a{sv}", 1, "id", "s", id.c_str());
                return reply.ok() ? reply.text : reply.outcome();
        }
};

#define EXPECT_CONTAINS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST_P(Statistics, CountWhatBecameOfSends) {
        bad_plugin("busy");
        bad_plugin("idle");
        start();
        Client client(address());
        load(client, "busy");
        load(client, "idle");

        EXPECT_EQ(of(client, "idle"), "[(idle, {reported-state: inactive, main-pid: 0, unit: , restarts: 0, in-flight: 0, answered: 0, "
                                      "plugin-errors: 0, failed: 0, send-latency: []})]");
        for (int i = 0; i < 3; i++)
                EXPECT_EQ(client.send("busy", "echo", "{\"a\": 1}"), "{\"a\": 1}");
        EXPECT_NE(client.send("busy", "no such method").find("MethodNotFound"), std::string::npos);
        Client::Pending cancelled = client.session_async("busy", "Send", "ssa{sv}", "never", "", 1, "id", "s", "x");
        ASSERT_TRUE(client.poll([&] { return client.get("busy", "InFlight") == "1"; }));
        EXPECT_CONTAINS(of(client, "busy"), "in-flight: 1, answered: 3, plugin-errors: 1, failed: 0");
        ASSERT_EQ(client.session("busy", "Cancel", "sa{sv}", "x", 0).outcome(), "ok");
        ASSERT_TRUE(client.wait(cancelled));
        std::string text = of(client, "busy");
        EXPECT_CONTAINS(text, "reported-state: active, main-pid: " + client.get("busy", "MainPID") +
                                      ", unit: " + client.get("busy", "Unit") + ", restarts: 0");
        EXPECT_CONTAINS(text, "in-flight: 0, answered: 3, plugin-errors: 1, failed: 1, send-latency: [(");

        std::string all = client.host("GetStatistics", "a{sv}", 0).text;
        EXPECT_EQ(all.find("[(busy, {"), 0u) << all;
        EXPECT_CONTAINS(all, "(idle, {");
        EXPECT_EQ(client.host("GetStatistics", "a{sv}", 1, "id", "s", "nowhere").error, "org.plugind1.Error.NoSuchSession");
        EXPECT_CONTAINS(client.host("GetStatistics", "a{sv}", 1, "ids", "s", "x").message, "has no option \"ids\" (it has: id)");
}

TEST_P(Statistics, TheHistoryTellsWhatASessionWentThrough) {
        bad_plugin("x");
        start();
        Client client(address());
        load(client, "x");

        EXPECT_EQ(client.session("x", "GetHistory", "a{sv}", 0).text, "[]");
        EXPECT_EQ(client.get("x", "Unit"), "");
        client.match_session("x");
        ASSERT_EQ(client.session("x", "SetActiveState", "sa{sv}", "active", 1, "wait", "b", 1).outcome(), "ok");
        ASSERT_EQ(client.session("x", "Kill", "sia{sv}", "main", 9, 0).outcome(), "ok");
        ASSERT_TRUE(client.poll([&] { return client.get("x", "Restarts") == "1" && client.get("x", "ReportedState") == "active"; }));
        std::string text = client.session("x", "GetHistory", "a{sv}", 0).text, changes;
        for (const Signal &signal : client.signals)
                if (signal.member == "StateChanged") {
                        size_t at = text.find(", " + signal.text + ", {");
                        EXPECT_NE(at, std::string::npos) << signal.text << " in " << text;
                        text = at == std::string::npos ? text : text.substr(at);
                        changes += signal.text + "; ";
                }
        EXPECT_CONTAINS(changes, "restarting, active, killed; starting, restarting, restart; ");
        EXPECT_CONTAINS(client.session("x", "GetHistory", "a{sv}", 0).text, ", restarting, active, killed, {signal: 9})");
}

BOTH_BUSES(Statistics);

} // namespace
