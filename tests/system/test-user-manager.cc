/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* plugind of one user, by their own service manager: bus activation, units, the sandbox as far as it goes there. */
#include "fixture.h"

namespace {

class UserManager : public SystemTest {
      protected:
        void SetUp() override {
                SystemTest::SetUp();
                if (IsSkipped())
                        return;
                ASSERT_TRUE(start_user_manager());
        }
        void TearDown() override {
                run_as_user({ "systemctl", "--user", "stop", "plugind.service" });
                EXPECT_EQ(units(), "");
                SystemTest::TearDown();
        }

        static std::string units() {
                std::string out;

                for (int i = 0; i < 100; i++) {
                        out = run_as_user({ "systemctl", "--user", "list-units", "--all", "--plain", "--no-legend", "plugind-*.service" })
                                      .out;
                        if (out.empty())
                                break;
                        usleep(20'000);
                }
                return out;
        }
        static Outcome ctl(std::vector<std::string> line) {
                line.insert(line.begin(), { "pluginctl", "--user" });
                return run_as_user(line);
        }
        static std::string show(const std::string &unit, const std::string &property) {
                return run_as_user({ "systemctl", "--user", "show", "--value", "-p", property, unit }).out;
        }
};

TEST_F(UserManager, TheBusStartsItAndItsPluginsAreUnitsInASandbox) {
        bad_plugin("mine", "mcp");
        Outcome outcome = ctl({ "load", "mine" });
        ASSERT_EQ(outcome.status, 0) << outcome.err;
        outcome = ctl({ "send", "mine", "echo", "[1]" });
        EXPECT_EQ(outcome.out, "[1]\n") << outcome.err;

        std::string unit = run_as_user({ "systemctl", "--user", "list-units", "--plain", "--no-legend", "plugind-strict-mine-*.service" })
                                   .out;
        unit = unit.substr(0, unit.find(' '));
        ASSERT_NE(unit, "");
        EXPECT_EQ(show(unit, "Slice"), "plugind.slice\n");
        EXPECT_EQ(show(unit, "PrivateUsers"), "yes\n");

        std::string info = ctl({ "send", "mine", "info" }).out;
        EXPECT_NE(info.find("\"HOME\":\"/home/plugind-tester/.local/state/plugind-data/mine\""), std::string::npos) << info;
        EXPECT_EQ(info.find("DBUS_SESSION_BUS_ADDRESS"), std::string::npos) << info;
        EXPECT_EQ(ctl({ "send", "mine", "write-data", "{\"text\":\"kept\"}" }).out, std::to_string(ordinary_uid) + "\n");
        EXPECT_EQ(run({ "cat", "/home/plugind-tester/.local/state/plugind-data/mine/data" }).out, "kept");
        outcome = ctl({ "unload", "mine" });
        EXPECT_EQ(outcome.status, 0) << outcome.err;
        EXPECT_EQ(units(), "");
}

TEST_F(UserManager, PluginsLiveThroughARestartAndAKill) {
        bad_plugin("lives", "mcp");
        ASSERT_EQ(ctl({ "load", "lives" }).status, 0);
        ASSERT_EQ(ctl({ "send", "lives", "echo", "[0]" }).out, "[0]\n");
        std::string unit = run_as_user({ "systemctl", "--user", "list-units", "--plain", "--no-legend", "plugind-strict-lives-*.service" })
                                   .out;
        unit = unit.substr(0, unit.find(' '));
        std::string pid = show(unit, "MainPID");
        ASSERT_NE(pid, "0\n");

        Outcome outcome = run_as_user({ "systemctl", "--user", "restart", "plugind.service" });
        ASSERT_EQ(outcome.status, 0) << outcome.err;
        outcome = ctl({ "send", "lives", "echo", "[1]" });
        EXPECT_EQ(outcome.out, "[1]\n") << outcome.err;
        EXPECT_EQ(show(unit, "MainPID"), pid);

        std::string daemon = show("plugind.service", "MainPID");
        outcome = run_as_user({ "systemctl", "--user", "kill", "--signal=KILL", "--kill-who=main", "plugind.service" });
        ASSERT_EQ(outcome.status, 0) << outcome.err;
        for (int i = 0; i < 500 && (show("plugind.service", "MainPID") == daemon || show("plugind.service", "ActiveState") != "active\n");
             i++)
                usleep(20'000);
        outcome = ctl({ "send", "lives", "echo", "[2]" });
        EXPECT_EQ(outcome.out, "[2]\n") << outcome.err;
        EXPECT_EQ(show(unit, "MainPID"), pid);
        outcome = ctl({ "status", "lives" });
        EXPECT_NE(outcome.out.find("2 hand-overs (this session: 2)"), std::string::npos) << outcome.out;
}

TEST_F(UserManager, EndsAreTold) {
        bad_plugin("ends", "jsonrpc", "good", "\"restart\": {\"policy\": \"never\"}");
        ASSERT_EQ(ctl({ "load", "ends" }).status, 0);
        ASSERT_EQ(ctl({ "send", "ends", "echo", "[1]" }).out, "[1]\n");
        Outcome outcome = ctl({ "send", "ends", "crash", "{\"signal\":11}" });
        EXPECT_NE(outcome.status, 0);
        EXPECT_NE(outcome.err.find("SIGSEGV"), std::string::npos) << outcome.err;
}

} // namespace
