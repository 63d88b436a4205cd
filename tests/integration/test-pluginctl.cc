/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pluginctl as a user meets it: what it prints, where, and how it ends. */
#include "pluginctl-fixture.h"

#include <csignal>
#include <cstring>
#include <sys/stat.h>
#include <unistd.h>

namespace {

TEST_P(Pluginctl, WithoutADaemonItSaysHowToStartOne) {
        NOT_INSTALLED("the bus starts it");
        EXPECT_EQ(ctl({}), 1);
        EXPECT_CONTAINS(err, "plugind is not running: nobody owns org.plugind1 on the session bus\n");
        EXPECT_CONTAINS(err, "Start it with: plugind --user\n");
        EXPECT_EQ(out, "");
        for (const char *verb : { "status", "monitor", "reload" })
                EXPECT_EQ(ctl({ verb }), 1) << verb;
        EXPECT_EQ(ctl({ "send", "x", "y" }), 1);
        EXPECT_CONTAINS(err, "plugind is not running");
}

TEST_P(Pluginctl, WithoutABusItNamesTheAddress) {
        Command command({ pluginctl_program(), "--user" }, { { "DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere" } });

        EXPECT_EQ(command.wait(), 1);
        EXPECT_CONTAINS(command.err, "$DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere: No such file or directory");
}

TEST_P(Pluginctl, UsageErrorsExitWith2) {
        for (const auto &arguments : std::vector<std::vector<std::string>>{ { "nix" },
                                                                            { "send", "x" },
                                                                            { "send", "x", "y", "{}", "z" },
                                                                            { "cat" },
                                                                            { "list", "x" },
                                                                            { "list", "--force" },
                                                                            { "--nix" },
                                                                            { "--json=maybe" },
                                                                            { "load", "a", "b", "--manifest={}" } }) {
                EXPECT_EQ(ctl(arguments), 2) << arguments[0];
                EXPECT_NE(err, "") << arguments[0];
                EXPECT_EQ(out, "");
        }
        EXPECT_EQ(ctl({ "--help" }), 0);
        EXPECT_CONTAINS(out, "send ID METHOD [JSON|-|@FILE]");
        EXPECT_EQ(ctl({ "--version" }), 0);
        EXPECT_MATCH(out, "^pluginctl [0-9.]+\n$");
}

TEST_P(Pluginctl, WhatIsNotThereExitsWith4) {
        start();
        for (const char *verb :
             { "status", "show", "cat", "unload", "start", "stop", "restart", "kill", "reset-failed", "monitor", "logs" }) {
                EXPECT_EQ(ctl({ verb, "nowhere" }), 4) << verb << "\n" << err;
                EXPECT_CONTAINS(err, "nowhere");
                EXPECT_CONTAINS(err, "Load it with: pluginctl" + bus_advice() + " load nowhere\n");
        }
        EXPECT_EQ(ctl({ "send", "nowhere", "x" }), 4);
        EXPECT_EQ(ctl({ "notify", "nowhere", "x" }), 4);
        EXPECT_EQ(ctl({ "load", "nowhere" }), 4);
        EXPECT_CONTAINS(err, "nowhere");
        EXPECT_EQ(ctl({ "verify", "/nowhere/x.json" }), 4);
}

TEST_P(Pluginctl, ListsSessions) {
        bad_plugin("one");
        talking_plugin("two");
        start();
        EXPECT_EQ(ctl({}), 0);
        EXPECT_EQ(out, "No sessions are loaded.\n");
        EXPECT_EQ(ctl({ "list", "--json=short" }), 0);
        EXPECT_EQ(out, "[]\n");

        EXPECT_EQ(ctl({ "load", "one", "two" }), 0);
        EXPECT_EQ(out, "one\ntwo\n");
        EXPECT_EQ(ctl({ "start", "one" }), 0) << err;
        EXPECT_EQ(out + err, "");
        EXPECT_EQ(ctl({ "list" }), 0);
        EXPECT_MATCH(out, "^ID  STATE    DESIRED +RUNTIME DIALECT +PID DESCRIPTION\n"
                          "one active   active +" +
                                  runtime_name() +
                                  " +jsonrpc +[0-9]+ -\n"
                                  "two inactive [a-z]+ +" +
                                  runtime_name() + " +plugind +- Talks\\\\u202e\n\n2 sessions loaded.\n$");
        EXPECT_EQ(ctl({ "list", "--no-legend" }), 0);
        EXPECT_MATCH(out, "^one .*\ntwo [^\n]*\n$");

        EXPECT_EQ(ctl({ "list", "--json=short" }), 0);
        EXPECT_CONTAINS(out, "\"id\":\"two\",\"path\":\"/org/plugind1/session/two\"");
        EXPECT_CONTAINS(out, "\"description\":\"Talks\\u202e\"");
        EXPECT_MATCH(out, "\"id\":\"one\".*\"state\":\"active\",\"desired\":\"active\".*\"pid\":[0-9]+.*\"id\":\"two\".*\"pid\":null");
        EXPECT_EQ(ctl({ "list", "--json=pretty" }), 0);
        EXPECT_CONTAINS(out, "[\n  {\n    \"id\": \"one\",\n");
}

TEST_P(Pluginctl, OnATerminalLinesFitAndHaveColours) {
        manifest("one", "{\"manifestVersion\": 1, \"command\": \"" + bad_plugin_program() +
                                "\", \"args\": [\"good\"], \"dialect\": \"jsonrpc\", \"description\": "
                                "\"A description that is so long that it does not fit on a line of a terminal\"}");
        start();
        EXPECT_EQ(ctl({ "load", "one" }), 0) << err;
        EXPECT_EQ(ctl({ "start", "one" }), 0) << err;
        EXPECT_EQ(ctl({ "list", "--no-pager" }, "", true), 0);
        EXPECT_CONTAINS(out, "\x1b[0;1;32mactive\x1b[0m");
        EXPECT_MATCH(out, "A description [^\n]*…\n");
        EXPECT_EQ(ctl({ "list", "--no-pager", "--full" }, "", true), 0);
        EXPECT_CONTAINS(out, "on a line of a terminal\n");
        EXPECT_EQ(ctl({ "status", "one", "--no-pager" }, "", true), 0);
        EXPECT_EQ(out.find("\x1b[0;1;32m●\x1b[0m one - A description"), 0u) << out;

        auto plain = environment();
        plain["NO_COLOR"] = "1";
        Command command(line({ "status", "one", "--no-pager" }), plain, "", true);
        EXPECT_EQ(command.wait(), 0);
        EXPECT_EQ(command.out.find('\x1b'), std::string::npos) << command.out;
}

TEST_P(Pluginctl, LongOutputGoesThroughThePager) {
        bad_plugin("one");
        start();
        EXPECT_EQ(ctl({ "load", "one" }), 0);

        auto paged = environment();
        paged["SYSTEMD_PAGER"] = "sed s/^/paged:/";
        Command command(line({ "list" }), paged, "", true);
        EXPECT_EQ(command.wait(), 0);
        EXPECT_EQ(command.out.find("paged:"), 0u) << command.out;
        Command piped(line({ "list" }), paged);
        EXPECT_EQ(piped.wait(), 0);
        EXPECT_EQ(piped.out.find("paged:"), std::string::npos);
        paged["SYSTEMD_PAGER"] = "/nowhere/pager";
        Command missing(line({ "list" }), paged, "", true);
        EXPECT_EQ(missing.wait(), 0);
        EXPECT_CONTAINS(missing.out, "1 session loaded.");
}

TEST_P(Pluginctl, StatusTellsHowASessionIs) {
        talking_plugin("talker");
        start();
        EXPECT_EQ(ctl({ "load", "talker" }), 0);
        EXPECT_EQ(ctl({ "status", "talker" }), 3);
        EXPECT_EQ(out.find("○ talker - Talks\\u202e\n     Loaded: loaded (" + plugin_folder() + "/talker.json)\n     Active: inactive"), 0u)
                << out;

        EXPECT_EQ(ctl({ "send", "talker", "log", "{\"text\": \"<3>a line \\u001b[2J\"}" }), 0) << err;
        EXPECT_EQ(out, "null\n");
        EXPECT_TRUE(logged("talker", "a line")) << out << err;
        EXPECT_EQ(ctl({ "status", "talker" }), 0);
        EXPECT_MATCH(
                out,
                "^● talker - .*\n     Active: active since [A-Z][a-z]{2} [0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8} UTC; [0-9]+m?s ago\n"
                "    Desired: [a-z]+\n     Daemon: since [^\n]*; [0-9]+m?s ago\n    Dialect: plugind 1\n     Server: talker 7\n   Main PID: [0-9]+ \\(python3[^)]*\\)\n"
                "(       Unit: plugind-strict-talker-[0-9]+\\.service\n)?"
                "      Tasks: 1\n     Memory: [0-9.]+[KM]\n        CPU: [0-9a-z ]+\n   Requests: 1 answered; half within [0-9.]+[um]?s, 99% within [0-9.]+[um]?s\n\n[A-Z][a-z]{2} [0-9]{2} [0-9:]{8} talker: a line ");
        EXPECT_EQ(out.find('\x1b'), std::string::npos);
        EXPECT_EQ(ctl({ "status", "talker", "-n0" }), 0);
        EXPECT_EQ(out.find("a line"), std::string::npos);

        EXPECT_EQ(ctl({ "status", "talker", "--json=short" }), 0);
        EXPECT_MATCH(out, "^\\[\\{.*\"ReportedState\":\"active\".*\"LogLines\":\\[\\{\"time\":[0-9]+,\"session\":\"talker\",\"priority\":3,"
                          ".*\"text\":\"a line .*\"MemoryBytes\":[0-9]+,\"Tasks\":1,\"CPUUsageNSec\":[0-9]+\\}\\]\n$");
        EXPECT_EQ(ctl({ "status", "talker", "nowhere" }), 4);
        EXPECT_CONTAINS(out, "● talker");
}

TEST_P(Pluginctl, StatusWithoutAnIdIsAnOverview) {
        bad_plugin("one");
        bad_plugin("two", "jsonrpc", "good");
        start();
        EXPECT_EQ(ctl({ "load", "one", "two" }), 0);
        EXPECT_EQ(ctl({ "start", "two" }), 0);
        EXPECT_EQ(ctl({ "status" }), 0);
        EXPECT_MATCH(out, ("^● plugind [0-9.]+ on the " + bus_words() +
                           "\n     Daemon: since [^\n]*; [0-9]+m?s ago\n   Sessions: 2 loaded: 1 active, 1 inactive\n    Runtime: " +
                           runtime_name() +
                           "\n"
                           "(   Features: .*\n)?\n○ one inactive .*\n● two active "));
        EXPECT_EQ(ctl({ "status", "--json=short" }), 0);
        EXPECT_MATCH(out, "^\\{\"host\":\\{.*\"Version\":.*\\},\"sessions\":\\[\\{\"id\":\"one\"");
}

TEST_P(Pluginctl, WhoDoesNotWaitForeverSaysSo) {
        bad_plugin("one");
        start();
        EXPECT_EQ(ctl({ "load", "one" }), 0);
        daemon.signal(SIGSTOP);
        for (const std::vector<std::string> &line : std::vector<std::vector<std::string>>{
                     { "list" }, { "status", "one" }, { "start", "one" }, { "send", "one", "echo", "[1]" } }) {
                std::vector<std::string> arguments = line;
                arguments.push_back("--timeout=100ms");
                EXPECT_EQ(ctl(arguments), 1) << line[0];
                EXPECT_CONTAINS(err, "no answer from plugind within --timeout=");
        }
        daemon.signal(SIGCONT);
}

TEST_P(Pluginctl, ErroredSessionsSayWhy) {
        bad_plugin("broken", "jsonrpc", "exit", "\"restart\": {\"policy\": \"never\"}");
        manifest("broken", "{\"manifestVersion\": 1, \"command\": \"" + bad_plugin_program() +
                                   "\", \"args\": [\"exit\", \"125\"], \"dialect\": \"mcp\"}");
        start();
        EXPECT_EQ(ctl({ "load", "broken" }), 0) << err;
        EXPECT_EQ(ctl({ "start", "broken" }), 1);
        EXPECT_MATCH(err, "^pluginctl: broken: .*125");
        EXPECT_CONTAINS(err, "See also: pluginctl" + bus_advice() + " status broken; pluginctl" + bus_advice() + " logs broken\n");
        EXPECT_EQ(ctl({ "status", "broken" }), 3);
        EXPECT_MATCH(out, "^× broken\n");
        EXPECT_MATCH(out, "\n      Error: .*125.*\n             .*exit-status=125");
        EXPECT_EQ(ctl({ "list", "--no-legend" }), 0);
        EXPECT_MATCH(out, "^broken errored ");

        EXPECT_EQ(ctl({ "reset-failed" }), 0) << err;
        EXPECT_EQ(ctl({ "show", "broken", "-p", "ReportedState", "--value" }), 0);
        EXPECT_EQ(out, "inactive\n");
}

TEST_P(Pluginctl, ShowsProperties) {
        bad_plugin("one");
        start();
        EXPECT_EQ(ctl({ "load", "one" }), 0);
        EXPECT_EQ(ctl({ "show", "one" }), 0);
        EXPECT_CONTAINS(out, "Id=one\n");
        EXPECT_CONTAINS(out, "Supervised=yes\n");
        EXPECT_CONTAINS(out, "MainPID=0\n");
        EXPECT_CONTAINS(out, "ErrorDetails={}\n");
        EXPECT_EQ(ctl({ "show", "one", "-p", "Dialect,Id", "--property=Type" }), 0);
        EXPECT_EQ(out, "Dialect=jsonrpc\nId=one\nType=process\n");
        EXPECT_EQ(ctl({ "show", "one", "-p", "Id", "--json=short" }), 0);
        EXPECT_EQ(out, "{\"Id\":\"one\"}\n");
        EXPECT_EQ(ctl({ "show", "one", "-p", "Nix" }), 1);
        EXPECT_CONTAINS(err, "one has no property \"Nix\"");
        EXPECT_EQ(ctl({ "show", "-p", "Sessions,RuntimeProvider" }), 0);
        EXPECT_EQ(out, "Sessions=1\nRuntimeProvider=" + runtime_name() + "\n");
}

TEST_P(Pluginctl, ShowsAndVerifiesManifests) {
        talking_plugin("one");
        manifest("wrong", "{\"manifestVersion\": 1, \"dialect\": \"mcp\", \"command\": 7}");
        start();
        EXPECT_EQ(ctl({ "load", "one" }), 0);
        EXPECT_EQ(ctl({ "cat", "one" }), 0);
        EXPECT_EQ(out.find("# " + plugin_folder() + "/one.json\n{\"manifestVersion\": 1, \"description\": \"Talks\\u202e\""), 0u) << out;

        EXPECT_EQ(ctl({ "verify", plugin_folder() + "/one.json" }), 0) << err;
        EXPECT_EQ(out, plugin_folder() + "/one.json: ok\n");
        EXPECT_EQ(ctl({ "verify", plugin_folder() + "/wrong.json" }), 1);
        std::string verified = err;
        EXPECT_CONTAINS(verified, plugin_folder() + "/wrong.json: command");
        EXPECT_EQ(ctl({ "load", plugin_folder() + "/wrong.json" }), 1);
        EXPECT_EQ(err.substr(0, err.find('\n')).substr(err.find(plugin_folder())),
                  verified.substr(0, verified.find('\n')).substr(verified.find(plugin_folder())))
                << "the daemon says the same";
}

TEST_P(Pluginctl, LoadsFromPathsAndInline) {
        bad_plugin("one");
        start();
        EXPECT_EQ(ctl({ "load", plugin_folder() + "/./one.json" }), 0) << err;
        EXPECT_EQ(out, "one\n");
        EXPECT_EQ(ctl({ "load", "-q", "one" }), 0);
        EXPECT_EQ(out, "");

        std::string text = "{\"manifestVersion\": 1, \"command\": \"" + bad_plugin_program() +
                           "\", \"args\": [\"good\"], \"dialect\": \"jsonrpc\"}";
        EXPECT_EQ(ctl({ "load", "piped", "--manifest=-" }, text), 0) << err;
        EXPECT_EQ(out, "piped\n");
        EXPECT_EQ(ctl({ "cat", "piped" }), 1);
        EXPECT_CONTAINS(err, "given inline");
        EXPECT_EQ(ctl({ "load", "filed", "--manifest=@" + plugin_folder() + "/one.json" }), 0) << err;
        EXPECT_EQ(ctl({ "load", "x", "--manifest=@/nowhere" }), 1);
        EXPECT_CONTAINS(err, "--manifest=: cannot read /nowhere: No such file or directory");

        EXPECT_EQ(ctl({ "unload", "piped", "one" }), 0);
        EXPECT_EQ(ctl({ "list", "--no-legend" }), 0);
        EXPECT_MATCH(out, "^filed [^\n]*\n$");
        EXPECT_EQ(ctl({ "reload" }), 0) << err;
}

TEST_P(Pluginctl, WhatOthersHoldIsUnloadedByForce) {
        bad_plugin("one");
        start();
        Client client(address());

        ASSERT_TRUE(client.host("Load", "sa{sv}", "one", 1, "bind", "b", 1).ok());
        EXPECT_EQ(ctl({ "unload", "one" }), 1);
        EXPECT_CONTAINS(err, "Unload it all the same with --force.\n");
        EXPECT_EQ(ctl({ "unload", "--force", "one" }), 0) << err;
        EXPECT_EQ(client.get_host("Sessions"), "0");
}

TEST_P(Pluginctl, LosingTheDaemonIsAFailure) {
        bad_plugin("one");
        start();
        Client client(address());
        EXPECT_EQ(ctl({ "load", "one" }), 0);
        EXPECT_EQ(ctl({ "start", "one" }), 0);
        Command command(line({ "send", "one", "never" }), environment());

        ASSERT_TRUE(client.poll([&] { return client.get("one", "InFlight") == "1"; }));
        pid_t plugin = std::stoi(client.get("one", "MainPID"));
        expect_failure = true;
        daemon.signal(SIGKILL);
        EXPECT_EQ(command.wait(), 1);
        EXPECT_EQ(command.out, "");
        EXPECT_CONTAINS(command.err, "pluginctl: one: ");
        daemon.wait();
        if (booted()) {
                EXPECT_TRUE(client.poll([&] { return kill(plugin, 0) < 0; })) << "it ends with its input";
                again();
                start();
                EXPECT_EQ(left_in_time(), "") << "of what the next one found";
                return;
        }
        EXPECT_EQ(process_wait(plugin, patience_usec), 0) << "it ends with its input, and is ours to wait for";
        EXPECT_EQ(ctl({ "list" }), 1);
        EXPECT_CONTAINS(err, "plugind is not running");
}

TEST_P(Pluginctl, ConfigurationReachesThePlugin) {
        start();
        std::string text = "{\"manifestVersion\": 1, \"command\": \"" + bad_plugin_program() +
                           "\", \"args\": [\"good\"], \"dialect\": \"jsonrpc\"}";
        EXPECT_EQ(ctl({ "load", "x", "--manifest=" + text, "--configuration={\"a\": 1}" }), 0) << err;
        EXPECT_EQ(ctl({ "load", "y", "--manifest=" + text, "--configuration=[1" }), 1);
        EXPECT_CONTAINS(err, "configuration");
}

TEST_P(Pluginctl, SendsFromArgumentsFilesAndPipes) {
        bad_plugin("one");
        start();
        std::string file = std::string(folder) + "/params.json";
        ASSERT_TRUE(g_file_set_contents(file.c_str(), "{\"from\":\n \"a file\"}\n", -1, nullptr));

        EXPECT_EQ(ctl({ "load", "one" }), 0);
        EXPECT_EQ(ctl({ "send", "one", "echo", "{\"n\": 1.0, \"big\": 12345678901234567890}" }), 0) << err;
        EXPECT_EQ(out, "{\"n\":1.0,\"big\":12345678901234567890}\n");
        EXPECT_EQ(ctl({ "send", "one", "echo", "-" }, "{\"from\": \"a pipe\"}"), 0);
        EXPECT_EQ(out, "{\"from\":\"a pipe\"}\n");
        EXPECT_EQ(ctl({ "send", "one", "echo", "@" + file }), 0);
        EXPECT_EQ(out, "{\"from\":\"a file\"}\n");
        EXPECT_EQ(ctl({ "send", "one", "echo" }), 0);
        EXPECT_EQ(out, "{}\n");
        EXPECT_EQ(ctl({ "send", "one", "echo", "[1]", "--json=pretty" }), 0);
        EXPECT_EQ(out, "[\n  1\n]\n");
        EXPECT_EQ(ctl({ "send", "one", "echo", "[1]" }, "", true), 0);
        EXPECT_EQ(out, "[\n  1\n]\n");
        EXPECT_EQ(ctl({ "send", "one", "echo", "[1]", "--envelope" }), 0);
        EXPECT_CONTAINS(out, "\"jsonrpc\":\"2.0\"");
        EXPECT_CONTAINS(out, "\"id\":\"pluginctl\"");
        EXPECT_CONTAINS(out, "\"result\":[1]");
        EXPECT_EQ(ctl({ "send", "one", "nix", "--envelope" }), 0);
        EXPECT_CONTAINS(out, "\"error\":");
}

TEST_P(Pluginctl, WhatPluginsRefuseIsAFailure) {
        talking_plugin("talker");
        bad_plugin("one");
        start();
        EXPECT_EQ(ctl({ "load", "talker", "one" }), 0);
        EXPECT_EQ(ctl({ "send", "talker", "fail" }), 1);
        EXPECT_EQ(out, "");
        EXPECT_CONTAINS(err, "talker: ");
        EXPECT_CONTAINS(err, "no \\x1b[31mway");
        EXPECT_EQ(ctl({ "send", "one", "nix" }), 1);
        EXPECT_CONTAINS(err, "nix: no such method");
        EXPECT_EQ(ctl({ "send", "one", "echo", "{" }), 1);
        EXPECT_EQ(ctl({ "send", "one", "echo", "\"\xff\"" }), 1);
        EXPECT_CONTAINS(err, "params: byte 2 is not UTF-8");
        EXPECT_EQ(ctl({ "send", "one", "never", "--timeout=200ms" }), 1);
        EXPECT_CONTAINS(err, "Wait longer with --timeout=SECONDS.\n");
        EXPECT_EQ(ctl({ "send", "one", "crash" }), 1);
        EXPECT_CONTAINS(err, "See also: pluginctl" + bus_advice() + " status one; pluginctl" + bus_advice() + " logs one\n");
}

TEST_P(Pluginctl, WhatNeedsAnActiveSessionExitsWith3) {
        bad_plugin("one", "jsonrpc", "good", "\"activation\": \"manual\"");
        start();
        EXPECT_EQ(ctl({ "load", "one" }), 0);
        EXPECT_EQ(ctl({ "send", "one", "echo" }), 3);
        EXPECT_CONTAINS(err, "Start it with: pluginctl" + bus_advice() + " start one\n");
        EXPECT_EQ(ctl({ "kill", "one" }), 3);
}

TEST_P(Pluginctl, ProgressIsShownOnStderr) {
        talking_plugin("talker");
        start();
        EXPECT_EQ(ctl({ "load", "talker" }), 0);
        EXPECT_EQ(ctl({ "send", "talker", "work", "{\"end\": true}" }), 0) << err;
        EXPECT_EQ(out, "\"whole\"\n");
        EXPECT_EQ(err, "plugind/progress {\"value\":\"half\\u009b\"}\n");
        EXPECT_EQ(ctl({ "send", "-q", "talker", "work", "{\"end\": true}" }), 0);
        EXPECT_EQ(err, "");
}

TEST_P(Pluginctl, CtrlCCancelsARequest) {
        talking_plugin("talker");
        start();
        EXPECT_EQ(ctl({ "load", "talker" }), 0);
        Client client(address());
        Command command(line({ "send", "talker", "work", "{}", "--timeout=infinity" }), environment());

        ASSERT_TRUE(command.wait_err("plugind/progress")) << command.err;
        command.signal(SIGINT);
        EXPECT_EQ(command.wait(), 130);
        EXPECT_CONTAINS(command.err, "pluginctl: talker: cancelled\n");
        EXPECT_TRUE(client.wait_property("talker", "InFlight", "0"));
        EXPECT_EQ(client.send("talker", "echo", "[1]"), "[1]");
        EXPECT_TRUE(logged("talker", "talker: was cancelled\n")) << out << err;
}

TEST_P(Pluginctl, StartsStopsAndRestarts) {
        bad_plugin("one");
        bad_plugin("two");
        start();
        Client client(address());

        EXPECT_EQ(ctl({ "load", "one", "two" }), 0);
        EXPECT_EQ(ctl({ "start", "one", "two" }), 0) << err;
        EXPECT_EQ(client.get("one", "ReportedState"), "active");
        EXPECT_EQ(client.get("two", "ReportedState"), "active");
        std::string pid = client.get("one", "MainPID");
        EXPECT_EQ(ctl({ "restart", "one" }), 0) << err;
        EXPECT_EQ(client.get("one", "ReportedState"), "active");
        EXPECT_NE(client.get("one", "MainPID"), pid);
        EXPECT_EQ(ctl({ "stop", "one", "nowhere", "two" }), 4);
        EXPECT_EQ(client.get("one", "ReportedState"), "inactive");
        EXPECT_EQ(client.get("two", "ReportedState"), "inactive");
        EXPECT_EQ(ctl({ "start", "--no-block", "one" }), 0);
        EXPECT_TRUE(client.wait_property("one", "ReportedState", "active"));
}

TEST_P(Pluginctl, KillsAndMonitors) {
        talking_plugin("talker");
        bad_plugin("other");
        start();
        Client client(address());
        EXPECT_EQ(ctl({ "load", "talker", "other" }), 0);
        EXPECT_EQ(ctl({ "start", "talker", "other" }), 0);

        Command one(line({ "monitor", "talker", "--json=short" }), environment()), all(line({ "monitor" }), environment());
        ASSERT_TRUE(says_after(one, "\n", { "notify", "talker", "tell", "{\"x\": 1.0}" })) << one.out << one.err;
        ASSERT_TRUE(says_after(all, "other StateChanged connecting -> active", { "restart", "other" })) << all.out << all.err;
        EXPECT_MATCH(one.out, "^\\{\"time\":[0-9]+,\"session\":\"talker\",\"signal\":\"Notification\",\"request\":\"\",\"method\":\"told\","
                              "\"params\":\\{\"x\":1.0\\}\\}\n");
        EXPECT_EQ(ctl({ "kill", "other", "--signal=KILL", "--kill-whom=main" }), 0) << err;
        ASSERT_TRUE(all.wait_out("other StateChanged active -> restarting (")) << all.out;
        EXPECT_TRUE(all.wait_out("other Ended killed, signal 9\n")) << all.out;
        EXPECT_EQ(all.out.find("Notification"), std::string::npos) << all.out;

        EXPECT_EQ(ctl({ "kill", "talker", "--signal=9" }), 0) << err;
        ASSERT_TRUE(one.wait_out("\"signal\":\"Ended\",\"reason\":\"killed\",\"status\":9}\n")) << one.out;
        EXPECT_TRUE(one.wait_out("\"signal\":\"StateChanged\",\"new\":\"restarting\",\"old\":\"active\",\"reason\":\"")) << one.out;
        EXPECT_EQ(one.out.find("other"), std::string::npos);

        one.signal(SIGINT);
        EXPECT_EQ(one.wait(), 0) << one.err;
        EXPECT_EQ(stop(), 0);
        EXPECT_EQ(all.wait(), 1);
        EXPECT_CONTAINS(all.err, "plugind has left the bus");
}

TEST_P(Pluginctl, MonitorFindsASessionAgain) {
        talking_plugin("talker");
        start();
        EXPECT_EQ(ctl({ "load", "talker" }), 0);
        Command monitor(line({ "monitor", "talker" }), environment());

        ASSERT_TRUE(says_after(monitor, "connecting -> active", { "restart", "talker" })) << monitor.out << monitor.err;
        EXPECT_EQ(ctl({ "unload", "talker" }), 0);
        ASSERT_TRUE(monitor.wait_out("talker SessionRemoved (unload")) << monitor.out << monitor.err;
        EXPECT_EQ(ctl({ "load", "talker" }), 0);
        EXPECT_EQ(ctl({ "start", "talker" }), 0);
        ASSERT_TRUE(monitor.wait_out("SessionNew\n")) << monitor.out;
        EXPECT_EQ(ctl({ "notify", "talker", "tell", "[]" }), 0);
        EXPECT_TRUE(monitor.wait_out("talker Notification told []\n")) << monitor.out;
        monitor.signal(SIGINT);
        EXPECT_EQ(monitor.wait(), 0) << monitor.err;
}

TEST_P(Pluginctl, LogsAreShownAndFollowed) {
        talking_plugin("talker");
        start();
        EXPECT_EQ(ctl({ "load", "talker" }), 0);
        for (const char *text : { "first", "<3>second", "third" })
                EXPECT_EQ(ctl({ "send", "talker", "log", std::string("{\"text\": \"") + text + "\"}" }), 0) << err;

        ASSERT_TRUE(logged("talker", "talker: third\n")) << out << err;
        Command follow(line({ "logs", "talker", "-f", "-n2" }), environment());
        ASSERT_TRUE(follow.wait_out("talker: third\n")) << follow.out << follow.err;
        EXPECT_EQ(follow.out.find("first"), std::string::npos);
        EXPECT_CONTAINS(follow.out, "talker: second\n");
        EXPECT_EQ(ctl({ "send", "talker", "log", "{\"text\": \"fourth\"}" }), 0) << err;
        ASSERT_TRUE(follow.wait_out("talker: fourth\n")) << follow.out << follow.err;

        EXPECT_EQ(ctl({ "logs", "talker" }), 0) << err;
        EXPECT_MATCH(out, "talker: first\n.*talker: second\n.*talker: third\n.*talker: fourth\n");
        EXPECT_EQ(ctl({ "logs", "talker", "--since=-1h", "-n2" }), 0) << err;
        EXPECT_MATCH(out, "^[^\n]*talker: third\n[^\n]*talker: fourth\n$");
        EXPECT_EQ(ctl({ "logs", "talker", "--since=+1h" }), 0) << err;
        EXPECT_EQ(out + err, "");
        EXPECT_EQ(ctl({ "logs", "talker", "--since=soon" }), 2);
        EXPECT_CONTAINS(err, "--since=: found \"soon\", expected a time such as ");
        EXPECT_EQ(ctl({ "logs", "talker", "-n1", "--json=short" }), 0);
        EXPECT_MATCH(out, "^\\{\"time\":[0-9]+,\"session\":\"talker\",\"priority\":6,\"identifier\":\"talker\",\"text\":\"fourth\"\\}\n$");
}

/* What would be ssh joins the private bus, as the real one joins the other machine's. */
TEST_P(Pluginctl, AnotherMachineIsReachedOverSsh) {
        if (access("/usr/bin/systemd-stdio-bridge", X_OK) != 0)
                GTEST_SKIP() << "systemd-stdio-bridge is not installed";
        talking_plugin("talker");
        start({ "--system" });
        std::string ssh = std::string(folder) + "/ssh";
        ASSERT_TRUE(g_file_set_contents(ssh.c_str(), ("#!/bin/sh\nexec systemd-stdio-bridge -p " + std::string(address()) + "\n").c_str(),
                                        -1, nullptr));
        ASSERT_EQ(chmod(ssh.c_str(), 0755), 0);
        auto remote = environment();
        remote["PATH"] = std::string(folder) + ":" + getenv("PATH");
        auto run = [&](const std::vector<std::string> &arguments) {
                std::vector<std::string> all = { pluginctl_program(), "-H", "other" };
                all.insert(all.end(), arguments.begin(), arguments.end());
                Command command(all, remote);
                int status = command.wait();
                out = command.out;
                err = command.err;
                return status;
        };

        EXPECT_EQ(run({ "load", "talker" }), 0) << err;
        EXPECT_EQ(run({ "send", "talker", "log", "{\"text\": \"seen from afar\"}" }), 0) << err;
        ASSERT_TRUE(Client(address()).poll([&] { return run({ "logs", "talker" }) == 0 && !out.empty(); })) << err;
        EXPECT_CONTAINS(out, "talker: seen from afar\n");
        EXPECT_CONTAINS(err, "last lines, from plugind: the journal and the files are on another machine");
        EXPECT_EQ(run({ "logs", "-f", "talker" }), 1);
        EXPECT_EQ(run({ "status", "talker" }), 0);
        EXPECT_EQ(out.find("Memory"), std::string::npos) << "that would be of a process here";
        EXPECT_EQ(run({ "cat", "talker" }), 1);
        EXPECT_EQ(run({ "send", "nowhere", "x" }), 4);
        EXPECT_CONTAINS(err, "Load it with: pluginctl -H other load nowhere\n");

        ASSERT_TRUE(g_file_set_contents(ssh.c_str(), "#!/bin/sh\nexit 255\n", -1, nullptr));
        EXPECT_EQ(run({ "list" }), 1);
        EXPECT_CONTAINS(err,
                        "the connection to the system bus of other was closed\nIt needs this to work: ssh other systemd-stdio-bridge\n");
}

TEST_P(Pluginctl, OutputThatCannotBeWrittenIsAFailure) {
        start();
        Command command({ "/bin/sh", "-c", "exec \"$0\" \"$1\" show >/dev/full", pluginctl_program(), bus_option() }, environment());

        EXPECT_EQ(command.wait(), 1);
        EXPECT_CONTAINS(command.err, "cannot write to standard output");
}

BOTH_BUSES(Pluginctl);

} // namespace
