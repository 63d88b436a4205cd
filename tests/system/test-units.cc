/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Plugins as units: how they start, how each end is told, and that no end leaves anything behind. */
#include "fixture.h"

#include <cstring>
#include <signal.h>
#include <unistd.h>

namespace {

class Units : public ServiceTest {
      protected:
        void load(const std::string &id) {
                ASSERT_EQ(client->host("Load", "sa{sv}", id.c_str(), 0).outcome(), "ok");
                client->match_session(id);
        }
        /* The one unit there is. */
        std::string unit() {
                std::vector<std::string> units = units_like("plugind-*-*.service");

                EXPECT_EQ(units.size(), 1u);
                return units.empty() ? "" : units[0];
        }
        void expect_error(const std::string &text, const std::string &part) {
                EXPECT_NE(text.find(part), std::string::npos) << text;
        }

        /* What process 1 keeps of units for others to read. */
        static std::string state_files() {
                return run({ "sh", "-c", "ls -a /run/systemd/units /run/systemd/transient 2>/dev/null | grep plugind- || true" }).out;
        }
        /* What is over is forgotten by systemd a moment after we are told. */
        std::string left() {
                client->poll([] { return leftovers().empty(); });
                return leftovers();
        }
};

TEST_F(Units, EachRunIsAUnitOfItsOwnInTheSlice) {
        bad_plugin("one", "mcp");
        load("one");
        EXPECT_EQ(client->get_host("RuntimeProvider"), "systemd");
        EXPECT_EQ(client->send("one", "echo", "[1]"), "[1]");

        std::string first = unit();
        EXPECT_EQ(first.rfind("plugind-strict-one-", 0), 0u) << first;
        EXPECT_EQ(unit_property(first, "Slice"), "plugind.slice");
        EXPECT_EQ(unit_property(first, "MainPID"), client->get("one", "MainPID"));
        EXPECT_EQ(unit_property(first, "ActiveState"), "active");
        EXPECT_EQ(client->get("one", "Unit"), first);

        ASSERT_EQ(client->session("one", "Restart", "a{sv}", 0).outcome(), "ok");
        ASSERT_TRUE(client->wait_property("one", "ReportedState", "active"));
        EXPECT_NE(unit(), first);
        EXPECT_TRUE(client->poll([&] { return unit_property(first, "LoadState") == "not-found"; }));
}

TEST_F(Units, ACrashIsToldWithItsSignalAndLeavesNothing) {
        bad_plugin("crash");
        load("crash");
        ASSERT_EQ(client->send("crash", "echo", "[1]"), "[1]");
        std::string name = unit(), pid = client->get("crash", "MainPID");

        Client::Pending pending = client->session_async("crash", "Send", "ssa{sv}", "crash", "{\"signal\": 11}", 0);
        ASSERT_TRUE(client->wait(pending));
        EXPECT_EQ(pending->error, "org.plugind1.Error.ConnectionLost");
        expect_error(pending->message, "SIGSEGV");
        auto ended = client->take("Ended");
        ASSERT_TRUE(ended);
        EXPECT_EQ(ended->text, "killed, 11");
        EXPECT_EQ(client->send("crash", "echo", "[2]"), "[2]") << "by the next run";
        EXPECT_NE(client->get("crash", "MainPID"), pid);
        EXPECT_TRUE(client->poll([&] { return unit_property(name, "LoadState") == "not-found"; }));
        EXPECT_EQ(client->get("crash", "Restarts"), "1");
        expect_error(client->get("crash", "ErrorDetails"), "result: signal");
}

TEST_F(Units, AnExitStatusIsTold) {
        bad_plugin("exits", "jsonrpc", "good", "\"restart\": {\"policy\": \"never\"}");
        load("exits");
        ASSERT_EQ(client->send("exits", "echo", "[1]"), "[1]");
        expect_error(client->send("exits", "exit", "{\"status\": 7}"), "exited with status 7");
        auto ended = client->take("Ended");
        ASSERT_TRUE(ended);
        EXPECT_EQ(ended->text, "exited, 7");
        ASSERT_TRUE(client->wait_property("exits", "ReportedState", "errored"));
}

/* An executable for whoever loads it, which the sandbox does not have, or the kernel will not run. */
TEST_F(Units, WhatCannotBeExecutedSaysSoAndLeavesNothing) {
        std::string home = "/home/" + std::string(ordinary_user), hidden = home + "/program", broken = "/srv/plugind-test/broken";

        ASSERT_EQ(run({ "install", "-m", "0755", "/bin/cat", hidden }).status, 0);
        ASSERT_EQ(run({ "sh", "-c", "printf '#!/no/such/interpreter\n' >" + broken + " && chmod 0755 " + broken }).status, 0);
        manifest("hidden", "{\"manifestVersion\": 1, \"command\": \"" + hidden + "\", \"dialect\": \"jsonrpc\"}");
        manifest("broken", "{\"manifestVersion\": 1, \"command\": \"" + broken + "\", \"dialect\": \"jsonrpc\"}");
        manifest("where", R"({"manifestVersion": 1, "command": "/bin/cat", "cwd": "/nonexistent", "dialect": "jsonrpc"})");
        load("hidden");
        expect_error(client->send("hidden", "a"), "cannot run " + hidden + ": No such file or directory");
        EXPECT_EQ(client->get("hidden", "ReportedState"), "errored");
        load("broken");
        expect_error(client->send("broken", "a"), "cannot run " + broken);
        load("where");
        expect_error(client->send("where", "a"), "/nonexistent: No such file or directory");
        EXPECT_EQ(left(), "");
}

TEST_F(Units, StopAndUnloadLeaveNothing) {
        bad_plugin("stops");
        load("stops");
        ASSERT_EQ(client->send("stops", "echo", "[1]"), "[1]");
        std::string name = unit();
        ASSERT_EQ(client->session("stops", "SetActiveState", "sa{sv}", "inactive", 1, "wait", "b", 1).outcome(), "ok");
        EXPECT_TRUE(client->poll([&] { return unit_property(name, "LoadState") == "not-found"; }));
        EXPECT_EQ(left(), "");
        ASSERT_EQ(client->session("stops", "SetActiveState", "sa{sv}", "active", 1, "wait", "b", 1).outcome(), "ok");
        EXPECT_NE(state_files(), "");
        ASSERT_EQ(client->host("Unload", "sa{sv}", "stops", 0).outcome(), "ok");
        EXPECT_EQ(left(), "");
        EXPECT_EQ(state_files(), "");
}

TEST_F(Units, ADaemonThatStopsWhilePluginsStartLeavesNothing) {
        bad_plugin("early");
        load("early");
        for (int i = 0; i < 5; i++) {
                client->session_async("early", "Send", "ssa{sv}", "echo", "[1]", 0);
                ASSERT_TRUE(client->poll([] { return !units_like("plugind-*-*.service").empty(); }));
                ASSERT_TRUE(service.stop());
                EXPECT_EQ(left(), "");
                ASSERT_TRUE(service.start());
        }
}

TEST_F(Units, WhatAPluginLeavesBehindGoesWithIt) {
        bad_plugin("parent", "jsonrpc", "good", "\"restart\": {\"policy\": \"never\"}");
        load("parent");
        ASSERT_EQ(client->send("parent", "echo", "[1]"), "[1]");
        client->send("parent", "orphan");
        EXPECT_GE(processes_of("plugind.slice").size(), 2u);
        client->send("parent", "crash", "{\"signal\": 9}");
        ASSERT_TRUE(client->wait_property("parent", "ReportedState", "errored"));
        EXPECT_EQ(left(), "");
}

TEST_F(Units, OneThatIsDeafToTermIsKilled) {
        bad_plugin("deaf", "jsonrpc", "stubborn", "\"timeouts\": {\"stop\": 0.5}");
        load("deaf");
        ASSERT_EQ(client->session("deaf", "SetActiveState", "sa{sv}", "active", 1, "wait", "b", 1).outcome(), "ok");
        ASSERT_EQ(client->session("deaf", "SetActiveState", "sa{sv}", "inactive", 1, "wait", "b", 1).outcome(), "ok");
        auto ended = client->take("Ended");
        ASSERT_TRUE(ended);
        EXPECT_EQ(ended->text, "killed, 9");
        EXPECT_EQ(left(), "");
}

TEST_F(Units, AStopByHandIsSeenAndTold) {
        bad_plugin("hand", "jsonrpc", "good", "\"restart\": {\"policy\": \"always\"}");
        load("hand");
        ASSERT_EQ(client->send("hand", "echo", "[1]"), "[1]");
        std::string name = unit();
        Client::Pending pending = client->session_async("hand", "Send", "ssa{sv}", "never", "", 0);

        ASSERT_EQ(run({ "systemctl", "stop", name }).status, 0);
        ASSERT_TRUE(client->wait(pending));
        EXPECT_EQ(pending->error, "org.plugind1.Error.ConnectionLost");
        expect_error(pending->message, name + " was stopped by somebody else");
        ASSERT_TRUE(client->wait_property("hand", "ReportedState", "inactive"));
        expect_error(client->get("hand", "ErrorMessage"), "was stopped by somebody else");
        bool told = false;
        for (const Signal &signal : client->signals)
                told = told || (signal.member == "StateChanged" && signal.text == "inactive, stopping, unit-stopped");
        EXPECT_TRUE(told);
        EXPECT_EQ(left(), "");
        EXPECT_EQ(client->send("hand", "echo", "[2]"), "[2]") << "the next call starts it again";
}

TEST_F(Units, AKillByHandIsACrash) {
        bad_plugin("killed");
        load("killed");
        ASSERT_EQ(client->send("killed", "echo", "[1]"), "[1]");
        ASSERT_EQ(run({ "systemctl", "kill", "-s", "KILL", unit() }).status, 0);
        auto ended = client->take("Ended");
        ASSERT_TRUE(ended);
        EXPECT_EQ(ended->text, "killed, 9");
        EXPECT_EQ(client->send("killed", "echo", "[2]"), "[2]");
}

TEST_F(Units, AFailedUnitNeverBlocksTheNextStart) {
        bad_plugin("fails", "jsonrpc", "good", "\"restart\": {\"burst\": 1000, \"delay\": 0}");
        load("fails");
        for (int i = 0; i < 20; i++) {
                expect_error(client->send("fails", "crash", "{\"signal\": 6}"), "SIGABRT");
                EXPECT_EQ(client->send("fails", "echo", "[" + std::to_string(i) + "]"), "[" + std::to_string(i) + "]");
        }
}

TEST_F(Units, ADaemonThatWasKilledLeavesItsUnitsToTheNext) {
        bad_plugin("orphaned");
        load("orphaned");
        ASSERT_EQ(client->send("orphaned", "echo", "[1]"), "[1]");
        std::string name = unit(), plugin = client->get("orphaned", "MainPID");
        pid_t old = service.pid();

        service.kill(SIGKILL);
        ASSERT_TRUE(client->poll([&] { return service.pid() > 0 && service.pid() != old; }));
        EXPECT_EQ(client->send("orphaned", "echo", "[2]"), "[2]");
        EXPECT_EQ(unit(), name);
        EXPECT_EQ(client->get("orphaned", "MainPID"), plugin);
}

/* systemd has them, and closes them in time: the goodbye of this dialect is nothing but the end of its input. */
TEST_F(Units, StoredDescriptorsKeepNoPluginFromEnding) {
        bad_plugin("leaves");
        for (bool taken_over : { false, true }) {
                load("leaves");
                ASSERT_EQ(client->send("leaves", "echo", "[1]"), "[1]");
                if (taken_over) {
                        ASSERT_TRUE(service.restart());
                        ASSERT_EQ(client->send("leaves", "echo", "[2]"), "[2]");
                }
                ASSERT_EQ(client->host("Unload", "sa{sv}", "leaves", 0).outcome(), "ok");
                auto ended = client->take("Ended");
                ASSERT_TRUE(ended);
                EXPECT_EQ(ended->text, "unloaded, 0") << "by itself, not by a signal; taken over: " << taken_over;
        }
}

TEST_F(Units, WhereNothingIsStoredADaemonThatWasKilledLeavesNothingToTheNext) {
        service.configure({}, {}, { "FileDescriptorStoreMax=0" });
        ASSERT_TRUE(service.restart());
        bad_plugin("orphaned");
        load("orphaned");
        ASSERT_EQ(client->send("orphaned", "echo", "[1]"), "[1]");
        std::string name = unit();
        pid_t old = service.pid();

        service.kill(SIGKILL);
        ASSERT_TRUE(client->poll([&] { return service.pid() > 0 && service.pid() != old; }));
        ASSERT_TRUE(service.wait("ActiveState", "active"));
        ASSERT_TRUE(client->poll([&] { return unit_property(name, "LoadState") == "not-found"; }));
        Client again(system_bus_address);
        EXPECT_EQ(again.send("orphaned", "echo", "[2]"), "[2]") << "it is remembered";
}

TEST_F(Units, NothingOfTheEnvironmentOrTheArgumentsIsInTheUnit) {
        manifest(
                "secret",
                "{\"manifestVersion\": 1, \"command\": \"" + source_path("tests/plugins/bad.py") +
                        "\", \"args\": [\"good\", \"hidden-argument\"], \"env\": {\"TOKEN\": \"hidden-token\"}, \"dialect\": \"jsonrpc\"}");
        load("secret");
        std::string who = client->send("secret", "info");
        expect_error(who, "hidden-token");
        std::string shown = run({ "systemctl", "show", unit() }).out + run({ "systemctl", "cat", unit() }).out;
        EXPECT_EQ(shown.find("hidden"), std::string::npos);
        /* The environment is what the design says, and nothing of systemd's. */
        for (const char *name : { "NOTIFY_SOCKET", "INVOCATION_ID", "JOURNAL_STREAM", "LISTEN_FDS", "STATE_DIRECTORY" })
                EXPECT_EQ(who.find(name), std::string::npos) << who;
        expect_error(who, "\"HOME\": \"/var/lib/plugind-data/secret\"");
        expect_error(who, "\"PLUGIND_DATA_DIR\": \"/var/lib/plugind-data/secret\"");
        expect_error(who, "\"cwd\": \"/\"");
}

TEST_F(Units, ItsDataStaysAndSoDoesItsUid) {
        bad_plugin("keeper");
        load("keeper");
        std::string uid = client->send("keeper", "write-data", "{\"text\": \"kept\"}");
        EXPECT_EQ(uid.find("error"), std::string::npos) << uid;
        ASSERT_EQ(client->host("Unload", "sa{sv}", "keeper", 0).outcome(), "ok");
        load("keeper");
        EXPECT_EQ(client->send("keeper", "read-data"), "\"kept\"");
        EXPECT_EQ(client->send("keeper", "write-data", "{\"text\": \"again\"}"), uid);
}

TEST_F(Units, ManyAtOnceAllComeAndGo) {
        for (int i = 0; i < 30; i++)
                bad_plugin("many-" + std::to_string(i));
        std::vector<Client::Pending> answers;
        for (int i = 0; i < 30; i++)
                load("many-" + std::to_string(i));
        for (int i = 0; i < 30; i++)
                answers.push_back(client->session_async("many-" + std::to_string(i), "Send", "ssa{sv}", "echo",
                                                        ("[" + std::to_string(i) + "]").c_str(), 0));
        for (int i = 0; i < 30; i++) {
                ASSERT_TRUE(client->wait(answers[i]));
                EXPECT_EQ(answers[i]->text, "[" + std::to_string(i) + "]") << answers[i]->outcome();
        }
        EXPECT_EQ(units_like("plugind-*-*.service").size(), 30u);
        ASSERT_TRUE(service.stop());
        EXPECT_EQ(left(), "");
}

/* Their units end as failed ones, killed before they ran. */
TEST_F(Units, OfPluginsThatWereStartingWhenTheDaemonLeftNothingIsLeft) {
        for (int round = 0; round < 3; round++) {
                ASSERT_TRUE(service.start());
                Client caller(system_bus_address);
                for (int i = 0; i < 5; i++) {
                        std::string id = "starting-" + std::to_string(round) + "-" + std::to_string(i);

                        bad_plugin(id);
                        ASSERT_EQ(caller.host("Load", "sa{sv}", id.c_str(), 0).outcome(), "ok");
                        ASSERT_EQ(caller.session(id, "SetActiveState", "sa{sv}", "active", 0).outcome(), "ok");
                }
                ASSERT_TRUE(service.stop());
                EXPECT_EQ(left(), "");
        }
}

} // namespace
