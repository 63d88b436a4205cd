/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What pluginctl tells of plugins that are units: their logs, which plugind never sees, and what they use, which systemd knows. */
#include "fixture.h"
#include "integration/command.h"

#include <signal.h>

namespace {

class Logs : public ServiceTest {
      protected:
        void SetUp() override {
                ServiceTest::SetUp();
                if (IsSkipped() || HasFatalFailure())
                        return;
                bad_plugin("talker", "mcp");
                ASSERT_EQ(client->host("Load", "sa{sv}", "talker", 0).outcome(), "ok");
        }
        void say(const std::string &text) {
                ASSERT_EQ(client->send("talker", "say-stderr", "{\"text\": \"" + text + "\"}"), "{}");
        }
        static std::string logs(std::vector<std::string> more = {}) {
                std::vector<std::string> line = { "pluginctl", "logs", "talker" };

                line.insert(line.end(), more.begin(), more.end());
                return run(line).out;
        }
        /* The journal has lines a moment later. */
        void expect_logged(const std::string &text) {
                EXPECT_TRUE(client->poll([&] { return logs().find(text) != std::string::npos; })) << logs();
        }
        static void expect_contains(const std::string &text, const std::string &part) {
                EXPECT_NE(text.find(part), std::string::npos) << "no \"" << part << "\" in " << text;
        }
};

TEST_F(Logs, StderrOfAUnitIsReadFromTheJournal) {
        say("<3>it broke\\u001b[31m");
        expect_logged(" talker: it broke\\x1b[31m\n");
        expect_contains(logs({ "--json=short" }), "\"session\":\"talker\",\"priority\":3,\"identifier\":\"talker\",\"text\":\"it broke");
        EXPECT_EQ(client->get("talker", "LogFile"), "");

        Reply reply = client->session("talker", "GetLogLines", "a{sv}", 0);
        EXPECT_EQ(reply.outcome(), "ok");
        expect_contains(reply.text, ", 3, it broke\\x1b[31m, {})");

        for (int i = 0; i < 30; i++)
                say("line " + std::to_string(i));
        expect_logged(" talker: line 29\n");
        reply = client->session("talker", "GetLogLines", "a{sv}", 0);
        EXPECT_EQ(reply.text.find("it broke"), std::string::npos) << "20 are given: " << reply.text;
        expect_contains(reply.text, ", 6, line 10, {})");
        EXPECT_EQ(reply.text.find("line 9,"), std::string::npos) << reply.text;
        std::string last = logs({ "-n2" });
        expect_contains(last, " talker: line 28\n");
        expect_contains(last, " talker: line 29\n");
        EXPECT_EQ(last.find("line 27"), std::string::npos) << last;
}

TEST_F(Logs, AnybodyMayForgeAFieldAndIsNotBelieved) {
        say("true");
        ASSERT_EQ(run_as_user({ "logger", "--journald" }, {}, "MESSAGE=forged\nPLUGIND_SESSION=talker\nSYSLOG_IDENTIFIER=talker\n").status,
                  0);
        expect_logged(" talker: true\n");
        ASSERT_TRUE(client->poll([&] { return journal({ "PLUGIND_SESSION=talker" }).find("forged") != std::string::npos; }));
        EXPECT_EQ(logs().find("forged"), std::string::npos) << logs();
        EXPECT_EQ(client->session("talker", "GetLogLines", "a{sv}", 0).text.find("forged"), std::string::npos);
}

TEST_F(Logs, WhoMayNotReadTheJournalIsToldWhoMay) {
        say("for the few");
        expect_logged("for the few");
        Outcome outcome = run_as_user({ "pluginctl", "logs", "talker" });
        EXPECT_EQ(outcome.status, 1);
        EXPECT_EQ(outcome.out, "");
        expect_contains(outcome.err, "talker: its log is in the system's journal, which you may not read\n");
        expect_contains(outcome.err, "usermod -a -G systemd-journal plugind-tester");
        EXPECT_EQ(run_as_user({ "pluginctl", "logs", "-f", "talker" }).status, 1);

        outcome = run({ "setpriv", "--reuid", std::to_string(ordinary_uid), "--regid", std::to_string(ordinary_uid), "--groups",
                        "systemd-journal", "pluginctl", "logs", "talker" });
        EXPECT_EQ(outcome.status, 0) << outcome.err;
        expect_contains(outcome.out, " talker: for the few\n");
}

TEST_F(Logs, SinceCountsFromATime) {
        say("before");
        expect_logged("before");
        uint64_t now = (uint64_t) time(nullptr);
        ASSERT_TRUE(client->poll([&] { return (uint64_t) time(nullptr) > now + 1; }));
        std::string since = "--since=@" + std::to_string(now + 1);
        say("after");
        expect_logged("after");
        for (const std::vector<std::string> &more : std::vector<std::vector<std::string>>{ { since }, { since, "-n10" } }) {
                expect_contains(logs(more), " talker: after\n");
                EXPECT_EQ(logs(more).find("before"), std::string::npos) << logs(more);
        }
        expect_contains(logs({ "--since=-1h", "-n10" }), "before");
        EXPECT_EQ(logs({ "--since=+1h" }), "");
}

TEST_F(Logs, FollowingGoesOnOverRestartsAndRotation) {
        say("first");
        expect_logged("first");
        Command follow({ "/usr/bin/env", "pluginctl", "logs", "-f", "talker" }, {});
        ASSERT_TRUE(follow.wait_out(" talker: first\n")) << follow.err;

        ASSERT_EQ(client->session("talker", "Restart", "a{sv}", 1, "wait", "b", 1).outcome(), "ok");
        say("second");
        EXPECT_TRUE(follow.wait_out(" talker: second\n")) << follow.out;
        ASSERT_EQ(run({ "journalctl", "--rotate" }).status, 0);
        say("third");
        EXPECT_TRUE(follow.wait_out(" talker: third\n")) << follow.out;
        ASSERT_TRUE(service.restart());
        say("fourth");
        EXPECT_TRUE(follow.wait_out(" talker: fourth\n")) << follow.out;
        follow.signal(SIGTERM);
        EXPECT_EQ(follow.wait(), 128 + SIGTERM);
        std::string all = logs();
        for (const char *line : { "first", "second", "third", "fourth" })
                expect_contains(all, std::string(" talker: ") + line + "\n");
}

TEST_F(Logs, StatusAndTopHaveTheFiguresOfTheUnit) {
        say("the last word");
        expect_logged("the last word");
        std::string unit = client->get("talker", "Unit"), pid = client->get("talker", "MainPID");
        Outcome outcome = run({ "pluginctl", "status", "talker", "--no-pager" });
        EXPECT_EQ(outcome.status, 0) << outcome.err;
        expect_contains(outcome.out, "Main PID: " + pid + " (");
        expect_contains(outcome.out, "Unit: " + unit + "\n");
        expect_contains(outcome.out, "Tasks: 1\n");
        for (const char *label : { "Memory: ", "CPU: ", "Requests: " })
                expect_contains(outcome.out, label);
        expect_contains(outcome.out, " talker: the last word\n");
        ASSERT_EQ(run_as_user({ "pluginctl", "status", "talker" }).status, 0) << "reading is for all";

        outcome = run({ "pluginctl", "top", "-d50ms", "--json=short" });
        EXPECT_EQ(outcome.status, 0) << outcome.err;
        expect_contains(outcome.out, "\"pid\":" + pid + ",\"unit\":\"" + unit + "\",\"memory\":");
        EXPECT_EQ(outcome.out.find("\"memory\":null"), std::string::npos) << outcome.out;
        EXPECT_EQ(outcome.out.find("\"tasks\":null"), std::string::npos) << outcome.out;
        EXPECT_EQ(run_as_user({ "pluginctl", "top", "-d50ms", "--json=short" }).status, 0);
}

TEST_F(Logs, AUsersOwnPluginsAreReadByThatUser) {
        ASSERT_TRUE(start_user_manager());
        ASSERT_EQ(run_as_user({ "pluginctl", "--user", "load", "talker" }).status, 0);
        Outcome outcome = run_as_user({ "pluginctl", "--user", "send", "talker", "say-stderr", "{\"text\": \"of my own\"}" });
        ASSERT_EQ(outcome.status, 0) << outcome.err;
        auto own = [] { return run_as_user({ "pluginctl", "--user", "logs", "talker" }); };
        ASSERT_TRUE(client->poll([&] { return journal({ "SYSLOG_IDENTIFIER=talker" }).find("of my own") != std::string::npos; }));
        outcome = own();
        if (outcome.out.empty()) { /* this journal is in memory only, so users have none of their own */
                EXPECT_EQ(outcome.status, 1);
                expect_contains(outcome.err, "which you may not read");
        } else
                expect_contains(outcome.out, " talker: of my own\n");
        EXPECT_EQ(logs().find("of my own"), std::string::npos) << "the system's plugind has another of that name";
        outcome = run({ "setpriv", "--reuid", std::to_string(ordinary_uid), "--regid", std::to_string(ordinary_uid), "--groups",
                        "systemd-journal", "env", std::string("DBUS_SESSION_BUS_ADDRESS=") + user_bus_address, "pluginctl", "--user",
                        "logs", "talker" });
        EXPECT_EQ(outcome.status, 0) << outcome.err;
        expect_contains(outcome.out, " talker: of my own\n");
        outcome = run_as_user({ "pluginctl", "--user", "status", "talker", "--no-pager" });
        expect_contains(outcome.out, "Unit: plugind-strict-talker-");
        expect_contains(outcome.out, "Tasks: 1\n");
        run_as_user({ "systemctl", "--user", "stop", "plugind.service" });
}

/* dbus-daemon refuses a connection's 129th call that waits for an answer: of pluginctl, and of plugind to systemd. */
class Many : public Logs {
      protected:
        /* 150 of them, loaded. */
        std::vector<std::string> load(const std::string &name, const std::string &manifest_text) {
                std::vector<std::string> line = { "pluginctl", "load", "-q" }, ids;

                for (int i = 0; i < 150; i++) {
                        ids.push_back(name + "-" + std::to_string(i));
                        manifest(ids.back(), manifest_text);
                }
                line.insert(line.end(), ids.begin(), ids.end());
                Outcome outcome = run(line);
                EXPECT_EQ(outcome.status, 0) << outcome.err;
                return ids;
        }
        static Outcome start(std::vector<std::string> ids) {
                ids.insert(ids.begin(), { "pluginctl", "start" });
                return run(ids);
        }
};

TEST_F(Many, FailAtOnceAndEachIsTold) {
        Outcome outcome = start(load("mute", R"({"manifestVersion": 1, "command": "/bin/sleep", "args": ["60"], "dialect": "plugind",)"
                                             R"( "timeouts": {"start": 1}, "restart": {"policy": "never"},)"
                                             R"( "sandbox": {"profile": "trusted"}})"));
        size_t n = 0;

        EXPECT_EQ(outcome.status, 1);
        for (size_t at = 0; (at = outcome.err.find(" within 1 s\n", at)) != std::string::npos; at++)
                n++;
        EXPECT_EQ(n, 150u) << outcome.err;
        EXPECT_EQ(outcome.err.find("pending"), std::string::npos) << outcome.err;
}

TEST_F(Many, RunAndNoneIsLeftWhenTheServiceIsStopped) {
        Outcome outcome = start(load("cat", R"({"manifestVersion": 1, "command": "/bin/cat", "dialect": "jsonrpc",)"
                                            R"( "sandbox": {"profile": "trusted"}})"));
        EXPECT_EQ(outcome.status, 0) << outcome.err;
        EXPECT_EQ(units_like("plugind-trusted-cat-*.service").size(), 150u);
        outcome = run({ "pluginctl", "top", "-d50ms", "--json=short" });
        EXPECT_EQ(outcome.status, 0) << outcome.err;
        size_t unknown = 0;
        for (size_t at = 0; (at = outcome.out.find(".service\",\"memory\":null", at)) != std::string::npos; at++)
                unknown++;
        EXPECT_EQ(unknown, 0u) << outcome.out;
        EXPECT_TRUE(service.stop());
        EXPECT_TRUE(client->poll([] { return leftovers().empty(); })) << leftovers(); /* systemd forgets them a moment later */
}

} // namespace
