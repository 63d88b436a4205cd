/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The daemon is killed, at any moment: plugins go on, calls in flight fail with the bus' own error, nothing comes torn or twice. */
#include "fixture.h"
#include "load.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <mutex>
#include <random>
#include <thread>
#include <unistd.h>

namespace {

class Crash : public ServiceTest {
      protected:
        Load::WriteManifest writer() {
                return [this](const std::string &id, const std::string &json) { manifest(id, json); };
        }

        /* The daemon's process of this moment; waits for one that is just being started. */
        pid_t daemon() const {
                for (int64_t end = now_usec() + (int64_t) patience_usec; now_usec() < end; usleep(2'000))
                        if (pid_t pid = service.pid(); pid > 0)
                                return pid;
                return 0;
        }
        static bool is_there(pid_t pid) {
                return ::kill(pid, 0) == 0;
        }
        /* False after a bound. */
        static bool wait_gone(pid_t pid) {
                for (int64_t end = now_usec() + (int64_t) patience_usec; now_usec() < end; usleep(1'000))
                        if (!is_there(pid))
                                return true;
                return false;
        }

        /* SIGNAL to the daemon; how long it then took until another one said that every session is as it was. */
        double kill_and_wait(Load &load, int signal) {
                const pid_t pid = daemon();
                const int64_t start = now_usec();

                load.killing();
                EXPECT_EQ(::kill(pid, signal), 0);
                EXPECT_TRUE(wait_gone(pid));
                load.killed();
                EXPECT_EQ(load.differences(), "");
                return (double) (now_usec() - start) / 1e6;
        }

        /* CALLERS can have one call, or a burst of four, in flight at a kill. */
        static void expect_only_what_is_promised(const LoadFigures &figures, unsigned kills) {
                EXPECT_EQ(figures.failed, 0u) << figures.wrong;
                EXPECT_LE(figures.excused, 4ul * kills * figures.callers);
                EXPECT_EQ(figures.doubles, 0u) << figures.wrong;
                EXPECT_EQ(figures.torn, 0u) << figures.wrong;
                EXPECT_LE(figures.most_lost, kills) << "one that was being delivered";
                EXPECT_EQ(figures.states, 0u) << figures.wrong;
                EXPECT_EQ(figures.wrong, "");
        }
};

TEST_F(Crash, AtAnyMomentUnderLoad) {
        const unsigned n = repeat(12);
        std::mt19937 random(seed());
        std::uniform_int_distribution<useconds_t> soon(0, 250'000), at_once(0, 120'000);
        std::vector<double> times;
        Load load(LoadPlan(), writer());

        ASSERT_EQ(load.start(), "");
        for (unsigned i = 0; i < n; i++) {
                usleep(soon(random));
                if (i % 4 == 3) { /* the next one as well, wherever it is with its coming back */
                        const pid_t pid = daemon();
                        load.killing();
                        ASSERT_EQ(::kill(pid, SIGKILL), 0);
                        ASSERT_TRUE(wait_gone(pid));
                        load.killed();
                        ASSERT_GT(daemon(), 0);
                        usleep(at_once(random));
                        i++;
                }
                times.push_back(kill_and_wait(load, SIGKILL));
        }
        std::sort(times.begin(), times.end());
        LoadFigures figures = load.finish();
        fprintf(stderr, "%u kills, every session active again after %.2f s (median), %.2f s (longest): %s\n", n, times[times.size() / 2],
                times.back(), figures.text().c_str());
        expect_only_what_is_promised(figures, n);
        EXPECT_LE(times[times.size() / 2], 2.0);
        EXPECT_LE(times.back(), 4.0) << "2 s on a machine with nothing else to do";
        EXPECT_GE(figures.calls, 10ul * n);
        EXPECT_GE(figures.large, n);
        EXPECT_GE(figures.ticks, 10ul * n);
}

TEST_F(Crash, InEveryOtherWay) {
        LoadPlan plan;
        plan.c = 12, plan.python = 3, plan.headers = 1, plan.everything = 1, plan.clangd = 1, plan.small = 6, plan.large = 6;
        service.configure({}, {}, { "WatchdogSec=1" });
        ASSERT_TRUE(service.restart());
        Load load(plan, writer());
        unsigned n = 0;

        ASSERT_EQ(load.start(), "");
        fprintf(stderr, "after SIGABRT %.2f s", kill_and_wait(load, SIGABRT));
        fprintf(stderr, ", SIGSEGV %.2f s", kill_and_wait(load, SIGSEGV));
        fprintf(stderr, ", stuck until the watchdog (1 s) saw it %.2f s", kill_and_wait(load, SIGSTOP));
        n += 3;

        for (const char *verb : { "daemon-reload", "daemon-reexec" }) {
                const pid_t pid = daemon();
                load.killing();
                ASSERT_EQ(::kill(pid, SIGKILL), 0);
                ASSERT_EQ(run({ "systemctl", verb }).status, 0);
                load.killed();
                EXPECT_EQ(load.differences(), "") << verb;
                ASSERT_EQ(run({ "systemctl", verb }).status, 0);
                ASSERT_TRUE(service.restart()) << verb;
                EXPECT_EQ(load.differences(), "") << verb;
                n++;
        }
        for (useconds_t delay : { 0, 1'000, 5'000, 20'000, 60'000 }) { /* in the middle of leaving */
                const pid_t pid = daemon();
                load.killing();
                ASSERT_EQ(::kill(pid, SIGTERM), 0);
                usleep(delay);
                ::kill(pid, SIGKILL);
                ASSERT_TRUE(wait_gone(pid));
                load.killed();
                EXPECT_EQ(load.differences(), "") << delay;
                n++;
        }
        LoadFigures figures = load.finish();
        fprintf(stderr, "\n%u ends of other kinds: %s\n", n, figures.text().c_str());
        expect_only_what_is_promised(figures, n);
}

/* Sessions are loaded, started, called and unloaded all the time, by four callers with five ids each. */
class Churn : public Crash {
      protected:
        void begin() {
                manifest("churn@", "{\"manifestVersion\": 1, \"command\": \"" + build_path("tests/plugins/numbered") +
                                           R"(", "args": ["--period=0"], "dialect": "jsonrpc", "sandbox": {"profile": "trusted"}})");
                for (unsigned i = 0; i < 4; i++)
                        threads_.emplace_back([this, i] { churn(i); });
        }
        /* Errors, each with how often it was seen. */
        std::map<std::string, unsigned> end() {
                ending_ = true;
                for (std::thread &thread : threads_)
                        thread.join();
                return errors_;
        }
        /* Nothing is left of a session that is gone: not in systemd, not in the store. */
        void expect_nothing_left(const std::string &stored) {
                /* Some are on their way out already, for one who was answered by nobody. */
                for (const auto &[id, info] : sessions_of(*client)) {
                        std::string outcome = client->host("Unload", "sa{sv}", id.c_str(), 0).outcome();

                        EXPECT_TRUE(outcome == "ok" || outcome.find("Error.NoSuchSession") != std::string::npos) << outcome;
                }
                EXPECT_EQ(left_in_time(), "");
                EXPECT_TRUE(client->poll([&] { return service.get("NFileDescriptorStore") == stored; }))
                        << service.get("NFileDescriptorStore");
        }
        std::string stored() const {
                return service.get("NFileDescriptorStore");
        }
        std::atomic<unsigned> calls{ 0 };

      private:
        void note(const std::string &outcome) {
                calls++;
                if (outcome == "ok")
                        return;
                std::lock_guard<std::mutex> lock(mutex_);
                errors_[outcome]++;
        }
        void churn(unsigned number) {
                Client caller(system_bus_address);

                for (unsigned i = 0; !ending_; i++) {
                        const std::string id = "churn@" + std::to_string(number) + "-" + std::to_string(i % 5);
                        note(caller.host("Load", "sa{sv}", id.c_str(), 0).outcome());
                        note(caller.session(id, "Send", "ssa{sv}", "quiet", "", 0).outcome());
                        if (i % 3)
                                note(caller.host("Unload", "sa{sv}", id.c_str(), 0).outcome());
                }
        }

        std::vector<std::thread> threads_;
        std::atomic<bool> ending_{ false };
        std::mutex mutex_;
        std::map<std::string, unsigned> errors_;
};

TEST_F(Churn, OverRestartsNothingFails) {
        const std::string before = stored();

        begin();
        for (unsigned i = 0; i < repeat(12); i++)
                ASSERT_TRUE(service.restart());
        std::string text;
        for (const auto &[error, n] : end())
                text += std::to_string(n) + " times " + error + "\n";
        fprintf(stderr, "%u restarts, %u calls that load, start, unload\n%s", repeat(12), calls.load(), text.c_str());
        EXPECT_EQ(text, "");
        expect_nothing_left(before);
}

TEST_F(Churn, OverKillsNothingIsLeft) {
        std::mt19937 random(seed());
        std::uniform_int_distribution<useconds_t> soon(50'000, 450'000);
        const std::string before = stored();
        std::string text;

        begin();
        for (unsigned i = 0; i < repeat(12); i++) {
                const pid_t pid = daemon();
                ASSERT_EQ(::kill(pid, SIGKILL), 0);
                ASSERT_TRUE(wait_gone(pid));
                usleep(soon(random));
        }
        for (const auto &[error, n] : end()) {
                text += std::to_string(n) + " times " + error + "\n";
                EXPECT_TRUE(error.rfind("org.freedesktop.DBus.Error.", 0) == 0 || error.rfind("org.plugind1.Error.NoSuchSession", 0) == 0)
                        << error;
        }
        fprintf(stderr, "%u kills, %u calls that load, start, unload\n%s", repeat(12), calls.load(), text.c_str());
        expect_nothing_left(before);
}

/* Callers are gone with it, plugins are not. */
TEST_F(Crash, TheBusIsStartedAgain) {
        bad_plugin("x");
        ASSERT_EQ(client->host("Load", "sa{sv}", "x", 0).outcome(), "ok");
        ASSERT_EQ(client->session("x", "Subscribe", "asa{sv}", 0, 0).outcome(), "ok");
        ASSERT_EQ(client->send("x", "echo", "[1]"), "[1]");
        const std::string pid = client->get("x", "MainPID");

        for (int n = 2; n < 6; n++) { /* systemd may come to it before us, or after */
                const pid_t old = daemon();
                const std::string text = "[" + std::to_string(n) + "]";
                ASSERT_EQ(run({ "systemctl", "restart", "dbus.service" }).status, 0);
                ASSERT_TRUE(wait_gone(old));
                client = std::make_unique<Client>(system_bus_address);
                EXPECT_EQ(client->send("x", "echo", text), text);
                EXPECT_EQ(client->get("x", "MainPID"), pid);
        }
        client->match("member='Notification'");
        EXPECT_EQ(client->send("x", "flood", "{\"count\": 1}"), "{\"sent\": 1}");
        client->catch_up();
        EXPECT_TRUE(client->signals.empty()) << "it was somebody else who subscribed";
}

/* It is started a thousand times if need be. */
TEST_F(Crash, ManyInARowUseNothingUp) {
        bad_plugin("x");
        ASSERT_EQ(client->host("Load", "sa{sv}", "x", 0).outcome(), "ok");
        ASSERT_EQ(client->send("x", "echo", "[1]"), "[1]");
        const std::string pid = client->get("x", "MainPID"), stored = service.get("NFileDescriptorStore");

        for (int i = 0; i < 12; i++) {
                const pid_t old = daemon();
                ASSERT_EQ(::kill(old, SIGKILL), 0);
                ASSERT_TRUE(wait_gone(old));
        }
        EXPECT_EQ(client->send("x", "echo", "[2]"), "[2]");
        EXPECT_EQ(client->get("x", "MainPID"), pid);
        EXPECT_TRUE(client->poll([&] { return service.get("NFileDescriptorStore") == stored; })) << service.get("NFileDescriptorStore");
}

} // namespace
