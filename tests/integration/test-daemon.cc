/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The program: its options, how it comes and how it leaves. */
#include "fixture.h"

#include <csignal>
#include <glib.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using Program = Daemon;

/* plugind ARGUMENTS, to its end. */
std::pair<int, std::string> run(const std::vector<std::string> &arguments, const std::map<std::string, std::string> &environment = {}) {
        Plugind program;

        program.start(arguments, environment, false);
        int status = program.wait();
        return { WIFEXITED(status) ? WEXITSTATUS(status) : -1, program.output() };
}

TEST(Options, HelpAndVersion) {
        auto [help_status, help] = run({ "--help" });
        EXPECT_EQ(help_status, 0);
        for (const char *option :
             { "--user", "--system", "--runtime=", "--state-dir=", "--exit-idle=", "--log-level=", "--log-target=", "--version" })
                EXPECT_NE(help.find(option), std::string::npos) << option;
        auto [version_status, version] = run({ "--version" });
        EXPECT_EQ(version_status, 0);
        EXPECT_EQ(version, "plugind " PROJECT_VERSION "\n");
}

TEST(Options, WrongOnesNameWhatWasExpected) {
        const std::pair<const char *, const char *> wrong[] = {
                { "--runtime=docker", "plugind: --runtime: found \"docker\", expected auto, local, systemd or none\n" },
                { "--exit-idle=soon", "plugind: --exit-idle: found \"soon\", expected a number of seconds, up to 31536000\n" },
                { "--exit-idle=0", "plugind: --exit-idle: found \"0\", expected a number of seconds" },
                { "--state-dir=here", "plugind: --state-dir: found \"here\", expected an absolute path\n" },
                { "--log-level=loud", "plugind: --log-level: found \"loud\", expected emerg, " },
                { "--log-target=printer", "plugind: --log-target: found \"printer\", expected auto, journal or stderr\n" },
                { "start", "plugind: arguments: found \"start\", expected none\n" },
                { "--frobnicate", "unrecognized option" },
        };

        for (const auto &[argument, message] : wrong) {
                auto [status, output] = run({ argument });

                EXPECT_EQ(status, 1) << argument;
                EXPECT_NE(output.find(message), std::string::npos) << output;
        }
}

TEST(Options, NoBusIsAnErrorThatSaysWhichWasTried) {
        char *state = temporary_folder_new();
        auto [status, output] = run({ "--user", "--log-target=stderr", std::string("--state-dir=") + state },
                                    { { "DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere" } });

        EXPECT_EQ(status, 1);
        EXPECT_NE(output.find("Cannot connect to the session bus (DBUS_SESSION_BUS_ADDRESS"), std::string::npos) << output;
        temporary_folder_free(state);
}

TEST_P(Program, IsReadyWhenItCanBeCalledAndTellsWhenItStops) {
        bad_plugin("x");
        start();
        Client client(address());
        load(client, "x");
        client.send("x", "echo");

        EXPECT_EQ(stop(), 0) << daemon.output();
        EXPECT_FALSE(client.has_owner("org.plugind1"));
        if (booted())
                return; /* systemd was told */
        std::vector<std::string> told = daemon.notifications();
        ASSERT_GE(told.size(), 2u);
        EXPECT_EQ(told.front().find("READY=1"), 0u) << told.front();
        EXPECT_EQ(told.back().find("STOPPING=1"), 0u) << told.back();
}

TEST_P(Program, StoppingAnswersWhatIsInFlight) {
        bad_plugin("x");
        start();
        Client client(address());
        load(client, "x");
        Client::Pending pending = client.session_async("x", "Send", "ssa{sv}", "never", "", 0);
        client.send("x", "echo");

        EXPECT_EQ(stop(), 0) << daemon.output();
        ASSERT_TRUE(client.wait(pending));
        EXPECT_EQ(pending->error, "org.plugind1.Error.ConnectionLost") << pending->outcome();
}

TEST_P(Program, SessionsAreRememberedAndRunAgain) {
        bad_plugin("wanted", "plugind");
        bad_plugin("idle");
        start();
        {
                Client client(address());
                load(client, "wanted");
                load(client, "idle");
                bad_plugin("bound");
                ASSERT_EQ(client.host("Load", "sa{sv}", "bound", 1, "bind", "b", 1).outcome(), "ok");
                ASSERT_EQ(client.host("Load", "sa{sv}", "inline", 1, "manifest", "s",
                                      "{\"manifestVersion\": 1, \"type\": \"external\", \"dialect\": \"jsonrpc\"}")
                                  .outcome(),
                          "ok");
                ASSERT_EQ(client.session("idle", "SetActiveState", "sa{sv}", "inactive", 1, "wait", "b", 1).outcome(), "ok");
                ASSERT_EQ(client.session("wanted", "SetActiveState", "sa{sv}", "active", 1, "wait", "b", 1).outcome(), "ok");
        }
        ASSERT_EQ(stop(), 0) << daemon.output();
        again();

        start();
        Client client(address());
        EXPECT_EQ(client.get_host("Sessions"), "2");
        EXPECT_EQ(client.get("wanted", "DesiredState"), "active");
        EXPECT_TRUE(client.wait_property("wanted", "ReportedState", "active"));
        EXPECT_EQ(client.get("idle", "DesiredState"), "inactive");
        EXPECT_EQ(client.get("idle", "ReportedState"), "inactive");
        EXPECT_EQ(client.session("idle", "Send", "ssa{sv}", "echo", "", 0).error, "org.plugind1.Error.NotActive");
}

TEST_P(Program, ASecondOneSaysThatTheNameIsTakenAndByWhom) {
        bad_plugin("x", "jsonrpc", "good", "\"activation\": \"boot\"");
        start();
        EXPECT_TRUE(Client(address()).wait_property("x", "ReportedState", "active"));
        char *state = temporary_folder_new();
        auto [status, output] = run({ "--user", "--log-target=stderr", std::string("--state-dir=") + state },
                                    { { "DBUS_SESSION_BUS_ADDRESS", address() }, { "PLUGIND_PLUGIN_PATH", plugin_folder() } });

        EXPECT_EQ(status, 1);
        EXPECT_NE(output.find("The name org.plugind1 is already taken by process " + std::to_string(daemon.pid())), std::string::npos)
                << output;
        EXPECT_EQ(daemon.children(), 1); /* the plugin of the first one, whom nobody disturbed */
        temporary_folder_free(state);
}

TEST_P(Program, HangupReloads) {
        bad_plugin("x");
        start();
        Client client(address());
        client.match("member='SessionNew'");
        bad_plugin("boot", "jsonrpc", "good", "\"activation\": \"boot\"");

        daemon.signal(SIGHUP);
        std::optional<Signal> signal = client.take("SessionNew");
        ASSERT_TRUE(signal);
        EXPECT_EQ(signal->text, "boot, " + session_path("boot"));
        if (booted())
                return; /* systemd was told */
        EXPECT_TRUE(client.poll([&] { return daemon.notifications().back() == "READY=1"; }));
        std::vector<std::string> told = daemon.notifications();
        EXPECT_EQ(told[told.size() - 2].find("RELOADING=1\nMONOTONIC_USEC="), 0u) << told[told.size() - 2];
}

TEST_P(Program, LosingTheBusEndsItAndItsPlugins) {
        NOT_INSTALLED("the system bus stays");
        bad_plugin("x");
        start();
        {
                Client client(address());
                load(client, "x");
                client.send("x", "echo");
        }
        expect_failure = true;
        private_bus_kill(bus);
        int status = daemon.wait();
        EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1) << status << daemon.output();
        EXPECT_NE(daemon.output().find("The connection to the bus is lost"), std::string::npos);
}

TEST_P(Program, LeavesEvenIfTheBusIsStuck) {
        NOT_INSTALLED("systemd, which has to stop its plugins, is reached over that bus only; TimeoutStopSec= is the bound then");
        bad_plugin("x");
        start();
        {
                Client client(address());
                load(client, "x");
                client.send("x", "echo");
        }
        expect_failure = true;
        kill(bus_pid(), SIGSTOP);
        EXPECT_EQ(stop(), 0) << daemon.output();
        kill(bus_pid(), SIGCONT);
        EXPECT_NE(daemon.output().find("The bus does not take our last messages"), std::string::npos);
}

TEST_P(Program, WithoutARuntimeNothingIsStarted) {
        bad_plugin("x");
        start({ "--user", "--runtime=none" });
        Client client(address());
        load(client, "x");

        EXPECT_EQ(client.get_host("RuntimeProvider"), "none");
        Reply reply = client.session("x", "Send", "ssa{sv}", "echo", "", 0);
        EXPECT_EQ(reply.error, "org.plugind1.Error.StartFailed");
        EXPECT_NE(reply.message.find("--runtime=none"), std::string::npos) << reply.message;
        EXPECT_NE(client.get("x", "ErrorDetails").find("error: RuntimeUnavailable"), std::string::npos) << client.get("x", "ErrorDetails");
        EXPECT_EQ(daemon.children(), 0);
}

BOTH_BUSES(Program);

} // namespace
