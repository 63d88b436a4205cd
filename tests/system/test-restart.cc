/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `systemctl restart plugind`: nobody notices. `systemctl stop plugind`: nothing stays. */
#include "fixture.h"
#include "integration/command.h"
#include "load.h"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

namespace {

namespace fs = std::filesystem;

#define EXPECT_CONTAINS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

class Restart : public ServiceTest {
      protected:
        Load::WriteManifest writer() {
                return [this](const std::string &id, const std::string &json) { manifest(id, json); };
        }
        void sharing(const std::string &id, const std::string &dialect, const std::string &framing, const std::string &more = "") {
                manifest(id, "{\"manifestVersion\": 1, \"command\": \"" + source_path("tests/plugins/sharing.py") + "\", \"args\": [\"" +
                                     framing + "\"], \"dialect\": \"" + dialect + "\"" + more + "}");
        }
        void load(const std::string &id) {
                ASSERT_EQ(client->host("Load", "sa{sv}", id.c_str(), 0).outcome(), "ok");
                ASSERT_EQ(client->session(id, "SetActiveState", "sa{sv}", "active", 1, "wait", "b", 1).outcome(), "ok");
        }
        /* What sharing.py has heard. */
        std::string heard(Client &by, const std::string &id) {
                return by.send(id, id == "lsp" ? "workspace/symbol" : "tools/call",
                               id == "lsp" ? R"({"query": ""})" : R"({"name": "heard"})");
        }
        static size_t count(const std::string &text, const std::string &part) {
                size_t n = 0;

                for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at++)
                        n++;
                return n;
        }
        /* What the daemon has open, and what its memory that survives takes. */
        std::pair<size_t, size_t> held() {
                size_t n = 0, bytes = 0;

                for (const auto &entry : fs::directory_iterator("/proc/" + std::to_string(service.pid()) + "/fd")) {
                        struct stat st;
                        std::error_code error;
                        n++;
                        if (fs::read_symlink(entry, error).string().rfind("/memfd:", 0) == 0 && stat(entry.path().c_str(), &st) == 0)
                                bytes += (size_t) st.st_blocks * 512;
                }
                return { n, bytes };
        }
        static void expect_nothing_wrong(const LoadFigures &figures) {
                EXPECT_EQ(figures.failed, 0u) << figures.wrong;
                EXPECT_EQ(figures.excused, 0u) << figures.wrong;
                EXPECT_EQ(figures.lost, 0u) << figures.wrong;
                EXPECT_EQ(figures.doubles, 0u) << figures.wrong;
                EXPECT_EQ(figures.torn, 0u) << figures.wrong;
                EXPECT_EQ(figures.states, 0u) << figures.wrong;
                EXPECT_EQ(figures.wrong, "");
        }
};

/* The other tests are worth what this one finds. */
TEST_F(Restart, TheLoadNoticesWhatIsMissingAndWhatIsThereTwice) {
        LoadPlan plan;
        plan.c = 1, plan.headers = plan.python = plan.everything = plan.clangd = plan.large = 0, plan.small = 1;
        plan.period_ms = 20;
        plan.arguments = R"(, "--skip=5", "--twice=8")";
        Load load(plan, writer());

        ASSERT_EQ(load.start(), "");
        usleep(400'000);
        LoadFigures figures = load.finish();
        EXPECT_EQ(figures.lost, 2u) << "by either subscriber";
        EXPECT_EQ(figures.doubles, 2u);
        EXPECT_EQ(figures.most_lost, 1u);
        EXPECT_CONTAINS(figures.wrong, "c@0: number 6 after 4");
        EXPECT_EQ(figures.torn, 0u);
        EXPECT_EQ(figures.failed, 0u);
        ASSERT_EQ(client->host("Unload", "sa{sv}", "c@0", 0).outcome(), "ok");
        EXPECT_CONTAINS(load.differences(), "c@0: is not there");
}

TEST_F(Restart, NobodyNoticesUnderLoad) {
        const unsigned n = repeat(12);
        Load load(LoadPlan(), writer());
        int64_t longest = 0, began;

        ASSERT_EQ(load.start(), "");
        usleep(500'000); /* under way */
        ASSERT_TRUE(service.restart());
        const std::string stored = service.get("NFileDescriptorStore");
        const auto [open, bytes] = held();
        began = now_usec();
        for (unsigned i = 0; i < n; i++) {
                const int64_t start = now_usec();
                ASSERT_TRUE(service.restart()) << i;
                longest = std::max(longest, now_usec() - start);
        }
        const int64_t took = now_usec() - began;
        EXPECT_EQ(load.differences(), "");
        LoadFigures figures = load.finish();
        fprintf(stderr, "%u restarts in %.1f s (the longest %.2f s): %s\n", n, (double) took / 1e6, (double) longest / 1e6,
                figures.text().c_str());
        expect_nothing_wrong(figures);
        EXPECT_EQ(service.get("NFileDescriptorStore"), stored);
        const auto [open_after, bytes_after] = held();
        fprintf(stderr, "descriptors: %zu, then %zu; memory that survives: %zu KiB, then %zu KiB\n", open, open_after, bytes / 1024,
                bytes_after / 1024);
        EXPECT_LE(open_after, open + 5);
        EXPECT_LE(bytes_after, 2 * bytes + 32 * 1024 * 1024);
        EXPECT_GE(figures.calls, 10ul * n);
        EXPECT_GE(figures.large, n);
        EXPECT_GE(figures.ticks, 10ul * n);
}

/* Not by systemd: the daemon cannot know that it is to stay away, and comes back. */
TEST_F(Restart, NobodyNoticesASignalEither) {
        LoadPlan plan;
        plan.c = 8, plan.headers = plan.python = 1, plan.everything = plan.clangd = 0, plan.large = 4, plan.small = 4;
        Load load(plan, writer());

        ASSERT_EQ(load.start(), "");
        for (int i = 0; i < 5; i++) {
                const pid_t pid = service.pid();
                service.kill(SIGTERM);
                ASSERT_TRUE(client->poll([&] { return service.pid() > 0 && service.pid() != pid; }));
                ASSERT_TRUE(service.wait("SubState", "running"));
        }
        EXPECT_EQ(load.differences(), "");
        LoadFigures figures = load.finish();
        fprintf(stderr, "5 times SIGTERM: %s\n", figures.text().c_str());
        expect_nothing_wrong(figures);
}

/* It is waited for as long as the drain lasts. */
TEST_F(Restart, ASendThatLastsLongerIsAnsweredAndThePluginToldToCancel) {
        bad_plugin("long", "plugind");
        load("long");
        const std::string pid = client->get("long", "MainPID");
        Client::Pending pending = client->session_async("long", "Send", "ssa{sv}", "never", "", 1, "timeout-usec", "t",
                                                        (uint64_t) 60'000'000);
        client->catch_up();
        ASSERT_TRUE(client->wait_property("long", "InFlight", "1"));

        const int64_t start = now_usec();
        ASSERT_EQ(run({ "systemctl", "restart", "--no-block", "plugind.service" }).status, 0);
        EXPECT_TRUE(client->poll([&] { return service.get("StatusText").find("long") != std::string::npos; }))
                << "it says what it waits for: " << service.get("StatusText");
        ASSERT_TRUE(client->wait(pending));
        const double seconds = (double) (now_usec() - start) / 1e6;
        fprintf(stderr, "a Send that lasts longer: %.1f s, %s\n", seconds, pending->outcome().c_str());
        EXPECT_EQ(pending->error, "org.plugind1.Error.ConnectionLost");
        EXPECT_GE(seconds, 8);
        EXPECT_LE(seconds, 13);
        const std::string info = client->send("long", "info");
        EXPECT_EQ(client->get("long", "MainPID"), pid);
        EXPECT_CONTAINS(info, "\"cancelled\": [");
        EXPECT_EQ(info.find("\"cancelled\": []"), std::string::npos) << info;
        EXPECT_CONTAINS(journal_since({ "-u", "plugind.service" }), "long (1 call");
}

TEST_F(Restart, WhatCallersHoldIsTheirsAfterwards) {
        const std::string file = R"("textDocument": {"uri": "file:///x.c")";
        const std::string opened = "{" + file + R"(, "languageId": "c", "version": 1, "text": ""}})",
                          changed = "{" + file + R"(, "version": 2}, "contentChanges": [{"text": "x"}]})";
        auto alice = std::make_unique<Client>(system_bus_address);
        Client bob(system_bus_address);

        sharing("mcp", "mcp", "lines", R"(, "mcp": {"era": "legacy"})");
        sharing("lsp", "lsp", "headers");
        bad_plugin("bound");
        load("mcp");
        load("lsp");
        ASSERT_EQ(alice->host("Load", "sa{sv}", "bound", 1, "bind", "b", 1).outcome(), "ok");
        ASSERT_EQ(alice->send("bound", "echo", "[1]"), "[1]");
        alice->match("member='Notification'");
        bob.match("member='Notification'");
        for (Client *caller : { alice.get(), &bob })
                ASSERT_EQ(caller->session("mcp", "Subscribe", "asa{sv}", 0, 0).outcome(), "ok");
        ASSERT_EQ(alice->send("mcp", "resources/subscribe", R"({"uri": "demo://1"})"), "{}");
        ASSERT_EQ(alice->session("lsp", "Notify", "ssa{sv}", "textDocument/didOpen", opened.c_str(), 0).outcome(), "ok");
        const auto before = sessions_of(bob);

        for (int i = 0; i < 3; i++) {
                ASSERT_TRUE(service.restart());
                const auto now = sessions_of(bob);
                for (const auto &[id, info] : before) {
                        ASSERT_TRUE(now.count(id)) << id;
                        EXPECT_EQ(now.at(id).pid, info.pid) << id;
                }
                bob.send("mcp", "tools/call", R"({"name": "touch"})");
                auto updated = alice->take("Notification");
                ASSERT_TRUE(updated);
                EXPECT_CONTAINS(updated->text, "demo://1");
                EXPECT_EQ(bob.session("lsp", "Notify", "ssa{sv}", "textDocument/didChange", changed.c_str(), 0).error,
                          "org.plugind1.Error.Busy");
                EXPECT_EQ(alice->session("lsp", "Notify", "ssa{sv}", "textDocument/didChange", changed.c_str(), 0).outcome(), "ok");
        }
        bob.catch_up();
        alice->catch_up();
        EXPECT_TRUE(bob.signals.empty()) << bob.signals.front().text;
        EXPECT_TRUE(alice->signals.empty()) << alice->signals.front().text;
        EXPECT_EQ(count(heard(bob, "mcp"), "initialize"), 2u) << "initialize and notifications/initialized: " << heard(bob, "mcp");
        EXPECT_EQ(count(heard(bob, "mcp"), "resources/subscribe"), 1u) << heard(bob, "mcp");
        EXPECT_EQ(count(heard(bob, "lsp"), "didOpen"), 1u) << heard(bob, "lsp");
        EXPECT_EQ(count(heard(bob, "lsp"), "didChange"), 3u) << heard(bob, "lsp");

        alice.reset();
        EXPECT_TRUE(bob.poll([&] { return heard(bob, "lsp").find("didClose file:///x.c") != std::string::npos; })) << heard(bob, "lsp");
        EXPECT_TRUE(bob.poll([&] { return heard(bob, "mcp").find("unsubscribe demo://1") != std::string::npos; })) << heard(bob, "mcp");
        EXPECT_TRUE(bob.poll([&] { return sessions_of(bob).count("bound") == 0; }));
        EXPECT_EQ(bob.session("lsp", "Notify", "ssa{sv}", "textDocument/didOpen", opened.c_str(), 0).outcome(), "ok");
}

/* A restart begins no wait anew, and ends none. */
TEST_F(Restart, TimersAndCountersGoOn) {
        bad_plugin("idle", "jsonrpc", "good", "\"timeouts\": {\"idle\": 4}");
        bad_plugin("counts", "jsonrpc", "good", "\"restart\": {\"delay\": 0, \"burst\": 3}");
        manifest("waits",
                 "{\"manifestVersion\": 1, \"command\": \"" + source_path("tests/plugins/bad.py") +
                         "\", \"args\": [\"exit\", \"1\"], \"dialect\": \"plugind\", \"restart\": {\"delay\": 4, \"maxDelay\": 4}}");
        load("counts");
        for (int i = 0; i < 2; i++) {
                client->send("counts", "crash");
                ASSERT_EQ(client->send("counts", "echo", "[1]"), "[1]");
        }
        load("idle");
        client->match_session("waits");
        client->match_session("idle");
        ASSERT_EQ(client->host("Load", "sa{sv}", "waits", 0).outcome(), "ok");
        ASSERT_EQ(client->session("waits", "SetActiveState", "sa{sv}", "active", 0).outcome(), "ok");
        ASSERT_TRUE(client->wait_property("waits", "ReportedState", "restarting"));
        ASSERT_EQ(client->send("idle", "echo", "[1]"), "[1]");
        const int64_t start = now_usec();
        const std::string error = client->get("counts", "ErrorMessage"), history = client->session("counts", "GetHistory", "a{sv}", 0).text;
        ASSERT_NE(error, "");
        client->signals.clear();

        usleep(1'500'000); /* of the four seconds */
        ASSERT_TRUE(service.restart());
        EXPECT_EQ(client->get("waits", "ReportedState"), "restarting");
        EXPECT_EQ(client->get("idle", "ReportedState"), "active");
        EXPECT_EQ(client->get("counts", "Restarts"), "2");
        EXPECT_EQ(client->get("counts", "ErrorMessage"), error);
        EXPECT_EQ(client->session("counts", "GetHistory", "a{sv}", 0).text, history);

        std::map<std::string, double> when; /* their next change, seconds after START */
        while (when.size() < 2) {
                auto changed = client->take("StateChanged");
                ASSERT_TRUE(changed) << when.size();
                const bool idle = changed->path == session_path("idle");
                if (!when.emplace(idle ? "idle" : "waits", (double) (now_usec() - start) / 1e6).second)
                        continue;
                EXPECT_EQ(changed->text, idle ? "stopping, active, idle" : "starting, restarting, restart");
        }
        fprintf(stderr, "back-off of 4 s (20 %% more or less): over after %.1f s, idle time of 4 s: after %.1f s\n", when["waits"],
                when["idle"]);
        EXPECT_GE(when["waits"], 3.0);
        EXPECT_LE(when["waits"], 5.3);
        EXPECT_GE(when["idle"], 3.8);
        EXPECT_LE(when["idle"], 5.3);
        client->send("counts", "crash");
        EXPECT_TRUE(client->wait_property("counts", "ReportedState", "errored")) << "the third of three";
}

/* With a daemon that waits for something: a Send that nobody answers before its own time is over. */
class Drain : public Restart {
      protected:
        void SetUp() override {
                Restart::SetUp();
                if (IsSkipped() || HasFatalFailure())
                        return;
                bad_plugin("long");
                load("long");
        }
        void begins(const char *verb) {
                pending_ = client->session_async("long", "Send", "ssa{sv}", "never", "", 1, "timeout-usec", "t", (uint64_t) 2'000'000);
                ASSERT_TRUE(client->wait_property("long", "InFlight", "1"));
                ASSERT_EQ(run({ "systemctl", verb, "--no-block", "plugind.service" }).status, 0);
                ASSERT_TRUE(client->poll([&] { return service.get("StatusText").find("long") != std::string::npos; }));
        }
        void ends(const char *with = "org.plugind1.Error.RequestTimedOut") {
                ASSERT_TRUE(client->wait(pending_));
                EXPECT_EQ(pending_->error, with);
        }

      private:
        Client::Pending pending_;
};

TEST_F(Drain, APluginThatDiesMeanwhileIsNotWaitedFor) {
        bad_plugin("dies");
        load("dies");
        client->match_session("dies");
        const std::string pid = client->get("dies", "MainPID");
        Client::Pending lost = client->session_async("dies", "Send", "ssa{sv}", "never", "", 0);
        ASSERT_TRUE(client->wait_property("dies", "InFlight", "1"));

        begins("restart");
        const int64_t start = now_usec();
        ASSERT_EQ(::kill((pid_t) std::stoi(pid), SIGKILL), 0);
        ASSERT_TRUE(client->wait(lost));
        EXPECT_EQ(lost->error, "org.plugind1.Error.ConnectionLost");
        EXPECT_LE(now_usec() - start, 1'500'000) << "it is lost, whatever else is waited for";
        ends();
        auto ended = client->take("Ended");
        ASSERT_TRUE(ended) << "by the next daemon";
        EXPECT_EQ(ended->text, "killed, 9");
        EXPECT_EQ(client->send("dies", "echo", "[1]"), "[1]");
        EXPECT_EQ(client->get("dies", "Restarts"), "1");
}

TEST_F(Drain, APluginThatIsStartingHasItsCallAnswered) {
        bad_plugin("slow", "plugind", "slow\", \"1000");
        bad_plugin("slower", "plugind", "slow\", \"3500");
        for (const char *id : { "slow", "slower" })
                ASSERT_EQ(client->host("Load", "sa{sv}", id, 0).outcome(), "ok");
        Client::Pending call = client->session_async("slow", "Send", "ssa{sv}", "echo", "[1]", 0);
        ASSERT_EQ(client->session("slower", "SetActiveState", "sa{sv}", "active", 0).outcome(), "ok");
        begins("restart");
        ASSERT_TRUE(client->wait(call));
        EXPECT_EQ(call->text, "[1]") << call->outcome();
        const std::string pid = client->send("slow", "info");
        ends();
        EXPECT_TRUE(client->wait_property("slow", "ReportedState", "active"));
        EXPECT_TRUE(client->wait_property("slower", "ReportedState", "active"));
        EXPECT_EQ(client->get("slower", "ErrorMessage"), "") << "it was nobody's fault";
        EXPECT_EQ(client->send("slow", "echo", "[2]"), "[2]");
        EXPECT_EQ(populated_plugin_units(), 3);
}

TEST_F(Drain, AStopThatComesMeanwhileIsAStop) {
        begins("restart");
        ASSERT_TRUE(service.stop());
        ends("org.plugind1.Error.ConnectionLost");
        EXPECT_EQ(left_in_time(), "");
        EXPECT_EQ(service.get("ActiveState"), "inactive");
        EXPECT_EQ(service.get("NFileDescriptorStore"), "0");
}

TEST_F(Restart, AStopOfAPluginGoesOn) {
        bad_plugin("stubborn", "plugind", "stubborn", "\"timeouts\": {\"stop\": 3}");
        load("stubborn");
        client->match_session("stubborn");
        const int64_t start = now_usec();
        ASSERT_EQ(client->session("stubborn", "SetActiveState", "sa{sv}", "inactive", 0).outcome(), "ok");
        ASSERT_TRUE(service.restart());
        EXPECT_TRUE(client->wait_property("stubborn", "ReportedState", "inactive"));
        EXPECT_LE(now_usec() - start, 8'000'000);
        EXPECT_TRUE(client->poll([] { return leftovers().empty(); })) << leftovers();
}

/* What does not fit into the store is started again, and nothing waits for it for ever. */
TEST_F(Restart, AStoreThatIsFull) {
        service.configure({}, {}, { "FileDescriptorStoreMax=10" });
        ASSERT_TRUE(service.restart());
        for (int i = 0; i < 6; i++) {
                bad_plugin("full-" + std::to_string(i));
                load("full-" + std::to_string(i));
        }
        const auto before = sessions_of(*client);
        ASSERT_TRUE(service.restart());
        unsigned kept = 0;
        for (const auto &[id, info] : before) {
                EXPECT_EQ(client->send(id, "echo", "[1]"), "[1]") << id;
                kept += sessions_of(*client)[id].pid == info.pid;
        }
        EXPECT_GE(kept, 1u);
        EXPECT_LT(kept, 6u);
        EXPECT_TRUE(client->poll([] { return populated_plugin_units() == 6; })) << leftovers();
}

TEST_F(Restart, AUsersOwnDaemonDoesTheSame) {
        auto ctl = [](const std::vector<std::string> &words) {
                std::vector<std::string> line = { "pluginctl", "--user" };
                line.insert(line.end(), words.begin(), words.end());
                const Outcome outcome = run_as_user(line);
                return outcome.out + outcome.err;
        };
        auto pid = [] {
                return run_as_user({ "busctl", "--user", "get-property", "org.plugind1", session_path("echo"), "org.plugind1.Session",
                                     "MainPID" })
                        .out;
        };

        ASSERT_TRUE(start_user_manager());
        ASSERT_EQ(run_as_user({ "systemctl", "--user", "start", "plugind.socket", "plugind.service" }).status, 0);
        EXPECT_EQ(ctl({ "load", "echo" }), "echo\n");
        EXPECT_CONTAINS(ctl({ "send", "echo", "echo", "[1]" }), "[1]");
        const std::string before = pid();
        EXPECT_CONTAINS(before, "u ");
        for (int i = 0; i < 3; i++) {
                ASSERT_EQ(run_as_user({ "systemctl", "--user", i == 1 ? "kill" : "restart", i == 1 ? "-sKILL" : "-q", "plugind.service" })
                                  .status,
                          0);
                EXPECT_CONTAINS(ctl({ "send", "echo", "echo", "[2]" }), "[2]");
                EXPECT_EQ(pid(), before);
        }
        ctl({ "unload", "echo" });
        EXPECT_EQ(run_as_user({ "systemctl", "--user", "stop", "plugind.service", "plugind.socket" }).status, 0);
}

TEST_F(Restart, TheStoreHasWhatThereIsAndNoMore) {
        const std::string nothing = service.get("NFileDescriptorStore");
        auto stored = [&] { return atoi(service.get("NFileDescriptorStore").c_str()) - atoi(nothing.c_str()); };

        for (int round = 0; round < 2; round++) {
                for (int i = 0; i < 5; i++) {
                        bad_plugin("stored-" + std::to_string(i));
                        load("stored-" + std::to_string(i));
                }
                EXPECT_TRUE(client->poll([&] { return stored() == 10; })) << stored();
                ASSERT_TRUE(service.restart());
                EXPECT_TRUE(client->poll([&] { return stored() == 10; })) << stored();
                client->send("stored-0", "crash");
                EXPECT_EQ(client->send("stored-0", "echo", "[1]"), "[1]");
                EXPECT_TRUE(client->poll([&] { return stored() == 10; })) << "after a crash " << stored();
                for (int i = 0; i < 5; i++)
                        ASSERT_EQ(client->host("Unload", "sa{sv}", ("stored-" + std::to_string(i)).c_str(), 0).outcome(), "ok");
                EXPECT_TRUE(client->poll([&] { return stored() == 0; })) << stored();
                ASSERT_TRUE(service.restart());
                EXPECT_EQ(stored(), 0);
        }
}

TEST_F(Restart, AStopEndsEverythingInOrder) {
        LoadPlan plan;
        plan.small = plan.large = 0, plan.everything = plan.clangd = 1, plan.c = 20;
        Load load(plan, writer());

        ASSERT_EQ(load.start(), "");
        ASSERT_TRUE(service.restart());
        ASSERT_EQ(load.differences(), "");
        client->match("member='Ended'");
        client->catch_up();
        load.finish(); /* who calls starts it again */
        const int64_t start = now_usec();
        ASSERT_TRUE(service.stop());
        const double seconds = (double) (now_usec() - start) / 1e6;
        EXPECT_EQ(left_in_time(), "");
        EXPECT_EQ(service.get("ActiveState"), "inactive");
        EXPECT_EQ(service.get("Result"), "success");
        EXPECT_EQ(service.get("NFileDescriptorStore"), "0");
        EXPECT_LE(seconds, 15) << "timeouts.stop is 5 s";
        client->catch_up();
        EXPECT_EQ(client->signals.size(), load.plugins());
        for (const Signal &signal : client->signals)
                EXPECT_EQ(signal.text, "shutdown, 0") << signal.path;
        fprintf(stderr, "stop of %u plugins: %.1f s\n", load.plugins(), seconds);

        ASSERT_TRUE(service.start());
        EXPECT_TRUE(client->poll([&] {
                auto sessions = sessions_of(*client);
                return sessions.size() == load.plugins() &&
                       std::all_of(sessions.begin(), sessions.end(), [](const auto &session) { return session.second.state == "active"; });
        })) << "what ran is started again";
}

} // namespace
