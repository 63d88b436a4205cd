/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The units: what starts the service, when it leaves, and that no call is lost over that; what it may. */
#include "fixture.h"

#include <atomic>
#include <csignal>
#include <mutex>
#include <random>
#include <sstream>
#include <thread>
#include <unistd.h>

namespace {

const std::string direct = "unix:path=/run/plugind/bus";
const char *const busctl_arguments[] = { "call", "org.plugind1", "/org/plugind1", "org.plugind1.Host", "ListSessions", "a{sv}", "0" };

class Activation : public SystemTest {
      protected:
        void SetUp() override {
                SystemTest::SetUp();
                if (IsSkipped() || HasFatalFailure())
                        return;
                ASSERT_TRUE(service.stop());
                ASSERT_TRUE(socket.start());
        }

        static std::vector<std::string> busctl(const std::string &where) {
                std::vector<std::string> line = { "busctl", where };

                line.insert(line.end(), std::begin(busctl_arguments), std::end(busctl_arguments));
                return line;
        }

        size_t count(const std::string &word) {
                std::istringstream lines(journal_since({ "-u", "plugind.service" }));
                size_t n = 0;

                for (std::string line; std::getline(lines, line);)
                        n += line.find(word) != std::string::npos;
                return n;
        }

        Service socket{ "plugind.socket" };
};

TEST_F(Activation, ACallStartsIt) {
        ASSERT_EQ(service.get("ActiveState"), "inactive");
        Outcome outcome = run(busctl("--system"));
        EXPECT_EQ(outcome.out, "a(soa{sv}) 0\n") << outcome.err;
        EXPECT_EQ(service.get("ActiveState"), "active");
}

TEST_F(Activation, AConnectionStartsIt) {
        ASSERT_EQ(service.get("ActiveState"), "inactive");
        Outcome outcome = run(busctl("--address=" + direct));
        EXPECT_EQ(outcome.out, "a(soa{sv}) 0\n") << outcome.err;
        EXPECT_EQ(service.get("ActiveState"), "active");
}

TEST_F(Activation, AnOrdinaryUserStartsItAndChangesNothing) {
        for (const std::string &where : { std::string("--system"), "--address=" + direct }) {
                ASSERT_TRUE(service.stop());
                Outcome outcome = run_as_user(busctl(where));
                EXPECT_EQ(outcome.out, "a(soa{sv}) 0\n") << outcome.err;
                outcome = run_as_user(
                        { "busctl", where, "call", "org.plugind1", "/org/plugind1", "org.plugind1.Host", "Load", "sa{sv}", "echo", "0" });
                EXPECT_NE(outcome.status, 0);
                EXPECT_NE(outcome.err.find("ccess denied"), std::string::npos) << outcome.err;
        }
        EXPECT_EQ(Client(system_bus_address).get_host("Sessions"), "0");
}

TEST_F(Activation, WithNothingLoadedItLeavesAndComesBack) {
        service.configure({ "--system", "--exit-idle=0.3" });
        for (int i = 0; i < 3; i++) {
                ASSERT_EQ(run(busctl(i % 2 ? "--system" : "--address=" + direct)).status, 0);
                EXPECT_TRUE(service.wait("ActiveState", "inactive"));
                EXPECT_EQ(service.get("Result"), "success");
        }
        bad_plugin("x");
        Client client(system_bus_address);
        ASSERT_EQ(client.host("Load", "sa{sv}", "x", 0).outcome(), "ok");
        std::string invocation = service.get("InvocationID");
        EXPECT_EQ(client.send("x", "echo", "[1]"), "[1]");
        usleep(1'500'000); /* five times as long as it takes to leave */
        EXPECT_EQ(client.send("x", "echo", "[2]"), "[2]");
        EXPECT_EQ(service.get("InvocationID"), invocation);
        ASSERT_EQ(client.host("Unload", "sa{sv}", "x", 0).outcome(), "ok");
        EXPECT_TRUE(service.wait("ActiveState", "inactive"));
        EXPECT_EQ(service.get("Result"), "success");
}

/* What 10,000 calls need not wait for: each burst is followed by a pause around the time in which the daemon leaves. */
class Bursts {
      public:
        explicit Bursts(unsigned seed) : random_(seed) {
        }

        void pause() {
                usleep(std::uniform_int_distribution<useconds_t>(0, 80'000)(random_));
        }
        unsigned size() {
                return std::uniform_int_distribution<unsigned>(1, 60)(random_);
        }

      private:
        std::mt19937 random_;
};

struct Tally {
        std::atomic<unsigned> calls{ 0 };
        std::atomic<unsigned> failed{ 0 };
        std::mutex mutex;
        std::string first;

        void add(const std::string &outcome) {
                calls++;
                if (outcome == "ok")
                        return;
                std::lock_guard<std::mutex> lock(mutex);
                if (failed++ == 0)
                        first = outcome;
        }
};

void burst(Client &client, unsigned n, Tally &tally) {
        std::vector<Client::Pending> answers;

        for (unsigned i = 0; i < n; i++)
                answers.push_back(client.host_async("ListSessions", "a{sv}", 0));
        for (const Client::Pending &answer : answers) {
                client.wait(answer);
                tally.add(answer->outcome());
        }
}

/* A session in passing: it is remembered if the daemon leaves meanwhile. */
void visit(Client &client, const std::string &id, Tally &tally) {
        std::string text;

        tally.add(client.host("Load", "sa{sv}", id.c_str(), 0).outcome());
        text = client.send(id, "echo", "[1]");
        tally.add(text == "[1]" ? "ok" : text);
        tally.add(client.host("Unload", "sa{sv}", id.c_str(), 0).outcome());
}

TEST_F(Activation, TenThousandCallsOverLeavingsAndStartsAreAllAnswered) {
        Tally tally;

        bad_plugin("bus", "jsonrpc", "good", "\"sandbox\": {\"profile\": \"trusted\"}");
        bad_plugin("socket", "jsonrpc", "good", "\"sandbox\": {\"profile\": \"trusted\"}");
        service.configure({ "--system", "--exit-idle=0.02" });
        std::thread bus([&] {
                Bursts bursts(1);
                Client client(system_bus_address);

                for (unsigned i = 0; tally.calls < 8'000; i++) {
                        burst(client, bursts.size(), tally);
                        if (i % 20 == 0)
                                visit(client, "bus", tally);
                        bursts.pause();
                }
        });
        std::thread sockets([&] {
                Bursts bursts(2);

                for (unsigned i = 0; tally.calls < 8'000; i++) {
                        Client client(direct);

                        burst(client, bursts.size(), tally);
                        if (i % 20 == 0)
                                visit(client, "socket", tally);
                        bursts.pause();
                }
        });
        bus.join();
        sockets.join();
        Bursts bursts(3); /* one alone: it leaves nearly every time */
        Client client(system_bus_address);
        while (tally.calls < 10'000) {
                burst(client, bursts.size(), tally);
                bursts.pause();
                burst(*std::make_unique<Client>(direct), bursts.size(), tally);
                bursts.pause();
        }

        EXPECT_EQ(tally.failed, 0u) << tally.first;
        EXPECT_GE(tally.calls, 10'000u);
        size_t starts = count("is ready");
        EXPECT_GE(starts, 20u);
        RecordProperty("calls", (int) tally.calls);
        RecordProperty("starts", (int) starts);
        fprintf(stderr, "%u calls, %zu starts, %u failed\n", tally.calls.load(), starts, tally.failed.load());
        EXPECT_TRUE(service.wait("ActiveState", "inactive"));
}

/* The bus is held, so that a call and the release of the name are on their way at the same time. Which one it takes first is its choice: in the
 * one case systemd starts the daemon since it ended with 75, in the other since the bus wants it. */
TEST_F(Activation, WhatIsLoadedWhileItLeavesIsThere) {
        Client client(system_bus_address);
        std::vector<pid_t> bus = processes_of("dbus.service");
        size_t n = 0;

        ASSERT_FALSE(bus.empty());
        bad_plugin("x", "jsonrpc", "good", "\"sandbox\": {\"profile\": \"trusted\"}");
        service.configure({ "--system", "--exit-idle=0.5" });
        for (int attempt = 0; attempt < 40 && n < 3; attempt++) {
                ASSERT_EQ(client.get_host("Sessions"), "0");
                for (pid_t pid : bus)
                        kill(pid, SIGSTOP);
                Client::Pending pending = client.host_async("Load", "sa{sv}", "x", 0);
                bool leaving = service.wait("ActiveState", "deactivating");
                for (pid_t pid : bus)
                        kill(pid, SIGCONT);
                ASSERT_TRUE(leaving);
                client.wait(pending);
                ASSERT_EQ(pending->outcome(), "ok");
                ASSERT_EQ(client.send("x", "echo", "[1]"), "[1]");
                ASSERT_EQ(client.host("Unload", "sa{sv}", "x", 0).outcome(), "ok");
                n = count("Scheduled restart job");
        }
        EXPECT_GE(n, 3u);
}

TEST_F(Activation, RestartingTheSocketTakesTheServiceAlong) {
        ASSERT_EQ(run(busctl("--address=" + direct)).status, 0);
        ASSERT_TRUE(socket.restart());
        EXPECT_EQ(socket.get("ActiveState"), "active");
        Outcome outcome = run(busctl("--address=" + direct));
        EXPECT_EQ(outcome.out, "a(soa{sv}) 0\n") << outcome.err;
}

TEST_F(Activation, StoppingTheServiceLeavesTheSocket) {
        ASSERT_EQ(run(busctl("--address=" + direct)).status, 0);
        ASSERT_TRUE(service.stop());
        EXPECT_EQ(socket.get("ActiveState"), "active");
        EXPECT_EQ(service.get("Result"), "success");
        EXPECT_EQ(run(busctl("--address=" + direct)).status, 0);
}

TEST_F(Activation, APluginThatTakesLongToStopHasItsTime) {
        bad_plugin("slow", "plugind", "stubborn", "\"timeouts\": {\"stop\": 4}, \"sandbox\": {\"profile\": \"trusted\"}");
        service.configure({}, {}, { "TimeoutStopSec=2" });
        ASSERT_TRUE(service.start());
        {
                Client client(system_bus_address);
                ASSERT_EQ(client.host("Load", "sa{sv}", "slow", 0).outcome(), "ok");
                ASSERT_EQ(client.session("slow", "SetActiveState", "sa{sv}", "active", 1, "wait", "b", 1).outcome(), "ok");
        }
        ASSERT_TRUE(service.stop());
        EXPECT_EQ(service.get("Result"), "success");
}

TEST_F(Activation, AStuckDaemonIsKilledAndStartedAgain) {
        service.configure({}, {}, { "WatchdogSec=1" });
        ASSERT_TRUE(service.start());
        usleep(2'500'000); /* it is not stuck as long as it runs */
        EXPECT_EQ(service.get("NRestarts"), "0");
        service.kill(SIGSTOP);
        EXPECT_TRUE(service.wait("NRestarts", "1"));
        EXPECT_TRUE(service.wait("SubState", "running"));
        EXPECT_EQ(run(busctl("--system")).status, 0);
}

TEST_F(Activation, CrashesNeverUseItUp) {
        ASSERT_TRUE(service.start());
        for (int i = 1; i <= 8; i++) {
                service.kill(SIGKILL);
                ASSERT_TRUE(service.wait("NRestarts", std::to_string(i)));
                ASSERT_TRUE(service.wait("SubState", "running"));
        }
        EXPECT_EQ(run(busctl("--system")).status, 0);
}

TEST_F(Activation, TheUnitsAreWithoutFaultAndExposeLittle) {
        Outcome outcome = run({ "systemd-analyze", "verify", "plugind.service", "plugind.socket", "plugind.slice" });
        EXPECT_EQ(outcome.out + outcome.err, "");
        outcome = run({ "systemd-analyze", "security", "--no-pager", "--threshold=29", "plugind.service" });
        EXPECT_EQ(outcome.status, 0) << outcome.out;
}

TEST_F(Activation, AUserHasTheSame) {
        std::string address = "--address=unix:path=/run/user/" + std::to_string(ordinary_uid) + "/plugind/bus";

        ASSERT_TRUE(start_user_manager());
        ASSERT_EQ(run_as_user({ "systemctl", "--user", "start", "plugind.socket" }).status, 0);
        for (const std::string &where : { std::string("--user"), address }) {
                Outcome outcome = run_as_user(busctl(where));
                EXPECT_EQ(outcome.out, "a(soa{sv}) 0\n") << outcome.err;
                EXPECT_EQ(run_as_user({ "systemctl", "--user", "is-active", "plugind.service" }).out, "active\n");
                EXPECT_EQ(run_as_user({ "systemctl", "--user", "stop", "plugind.service" }).status, 0);
        }
        Outcome outcome = run_as_user({ "systemd-analyze", "--user", "verify", "plugind.service", "plugind.socket", "plugind.slice" });
        EXPECT_EQ(outcome.out + outcome.err, "");
        EXPECT_EQ(run_as_user({ "systemctl", "--user", "stop", "plugind.socket" }).status, 0);
}

} // namespace
