/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pluginctl while plugind restarts: what it says, and that it goes on. */
#include "fixture.h"
#include "integration/command.h"

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <regex>
#include <unistd.h>

namespace {

#define EXPECT_CONTAINS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

/* Answers `until` when a file is there, and `tell` by a notification. */
const char waiting_plugin[] = R"(
import json, os, sys, time
def say(**message): print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)
for line in sys.stdin:
    m = json.loads(line)
    if m["method"] == "until":
        while not os.path.exists(m["params"]["path"]): time.sleep(0.02)
        say(id=m["id"], result="done")
    elif m["method"] == "tell": say(method="told", params=m["params"])
)";

std::vector<std::string> pluginctl(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), { "/usr/bin/env", "pluginctl" });
        return arguments;
}

class PluginctlRestart : public ServiceTest {
      protected:
        void SetUp() override {
                ServiceTest::SetUp();
                if (IsSkipped() || HasFatalFailure())
                        return;
                folder = getenv("TMPDIR");
                path = folder + "/go";
                unlink(path.c_str());
                std::ofstream(folder + "/waiting.py") << waiting_plugin;
                manifest("waiting", R"({"manifestVersion": 1, "command": "/usr/bin/python3", "args": [")" + folder +
                                            R"(/waiting.py"], "dialect": "jsonrpc", "sandbox": {"profile": "trusted"}})");
                ASSERT_EQ(client->host("Load", "sa{sv}", "waiting", 0).outcome(), "ok");
                ASSERT_EQ(client->session("waiting", "SetActiveState", "sa{sv}", "active", 1, "wait", "b", 1).outcome(), "ok");
        }
        /* Of a restart that a request is in the way of, from the release of the name on. */
        void begin_restart() {
                ASSERT_EQ(run({ "systemctl", "restart", "--no-block", "plugind.service" }).status, 0);
                ASSERT_TRUE(client->poll([&] { return !client->has_owner("org.plugind1"); }));
        }
        void let_it_answer() {
                std::ofstream(path) << "\n";
        }

        std::string folder, path;
};

TEST_F(PluginctlRestart, WhoeverWaitsIsToldForWhat) {
        const std::string note = "pluginctl: waiting; plugind.service says: Restarting: waiting for waiting (1 call)\n";
        Command send(pluginctl({ "send", "waiting", "until", "{\"path\": \"" + path + "\"}" }), {});
        ASSERT_TRUE(client->poll([&] { return client->get("waiting", "InFlight") == "1"; }));
        begin_restart();

        Command status(pluginctl({ "status", "waiting" }), {}), quiet(pluginctl({ "list", "-q", "--no-legend" }), {}),
                start(pluginctl({ "start", "waiting" }), {});
        EXPECT_TRUE(send.wait_err(note)) << send.err;
        EXPECT_TRUE(status.wait_err(note)) << status.err;
        EXPECT_TRUE(start.wait_err(note)) << start.err;
        let_it_answer();

        EXPECT_EQ(send.wait(), 0);
        EXPECT_EQ(send.out, "\"done\"\n");
        EXPECT_EQ(send.err, note);
        EXPECT_EQ(status.wait(), 0);
        EXPECT_EQ(status.err, note);
        EXPECT_TRUE(std::regex_search(status.out, std::regex("\n     Daemon: since [^\n]* ago, 1 hand-over \\(this session: 1\\)\n")))
                << status.out;
        EXPECT_EQ(start.wait(), 0);
        EXPECT_EQ(start.err, note);
        EXPECT_EQ(quiet.wait(), 0);
        EXPECT_EQ(quiet.err, "");
        EXPECT_CONTAINS(quiet.out, "waiting active ");
}

TEST_F(PluginctlRestart, NothingIsSaidWhereNothingIsWaitedFor) {
        Command send(pluginctl({ "send", "waiting", "until", "{\"path\": \"" + path + "\"}" }), {});
        ASSERT_TRUE(client->poll([&] { return client->get("waiting", "InFlight") == "1"; }));
        EXPECT_FALSE(send.wait_err("\n", 2'000'000)) << "a plugin may take its time: " << send.err;
        let_it_answer();
        EXPECT_EQ(send.wait(), 0);
        EXPECT_EQ(send.err, "");
}

TEST_F(PluginctlRestart, StatusCountsHandOvers) {
        Outcome outcome = run({ "pluginctl", "status" });
        EXPECT_TRUE(std::regex_search(outcome.out, std::regex("\n     Daemon: since [^\n,]* ago\n"))) << outcome.out;
        const std::string active = client->get("waiting", "StateChangedAt");
        ASSERT_TRUE(service.restart());
        ASSERT_TRUE(service.restart());
        outcome = run({ "pluginctl", "status" });
        EXPECT_TRUE(std::regex_search(outcome.out, std::regex("\n     Daemon: since [^\n]* ago, 2 hand-overs\n"))) << outcome.out;
        EXPECT_EQ(client->get("waiting", "StateChangedAt"), active);

        ASSERT_EQ(run({ "pluginctl", "restart", "waiting" }).status, 0);
        outcome = run({ "pluginctl", "status", "waiting" });
        EXPECT_CONTAINS(outcome.out, ", 2 hand-overs (this session: 0)\n");
        ASSERT_TRUE(service.stop() && service.start());
        outcome = run({ "pluginctl", "status" });
        EXPECT_EQ(outcome.out.find("hand-over"), outcome.out.find("hand-over\n")) << "but for the feature: " << outcome.out;
}

TEST_F(PluginctlRestart, MonitorGoesOnAndEndsWithAStop) {
        Command monitor(pluginctl({ "monitor", "waiting" }), {});
        auto told = [&](const std::string &what) {
                for (int i = 0; i < 100; i++) { /* nothing tells when a monitor has begun to listen */
                        run({ "pluginctl", "notify", "waiting", "tell", "{\"it\": \"" + what + "\"}" });
                        if (monitor.wait_out(what, 100'000))
                                return true;
                }
                return false;
        };

        ASSERT_TRUE(told("before")) << monitor.out << monitor.err;
        ASSERT_TRUE(service.restart());
        EXPECT_TRUE(told("after the first")) << monitor.out << monitor.err;
        service.kill(SIGKILL);
        ASSERT_TRUE(service.wait("SubState", "running"));
        EXPECT_TRUE(told("after the second")) << monitor.out << monitor.err;
        EXPECT_EQ(monitor.out.find("StateChanged"), std::string::npos) << monitor.out;
        ASSERT_TRUE(service.stop());
        EXPECT_EQ(monitor.wait(), 1);
        EXPECT_CONTAINS(monitor.out, "waiting StateChanged active -> stopping");
        EXPECT_CONTAINS(monitor.err, "plugind has left the bus");
}

} /* namespace */
