/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Many callers: everybody gets their own answer, nobody waits for another, nothing is left of those who have gone. */
#include "fixture.h"

#include <csignal>
#include <fstream>
#include <unistd.h>

namespace {

class Crowd : public Daemon {
      protected:
        void SetUp() override {
                Daemon::SetUp();
                if (IsSkipped() || HasFatalFailure())
                        return;
                bad_plugin("x");
                start();
                Client client(address());
                load(client, "x");
                client.send("x", "echo");
        }
};

TEST_P(Crowd, AHundredCallersWithEqualIdsEachGetTheirOwnAnswers) {
        const int n_callers = 100, n_sends = 100;
        std::vector<std::unique_ptr<Client>> clients;
        std::vector<std::vector<Client::Pending>> answers(n_callers);

        for (int i = 0; i < n_callers; i++)
                clients.push_back(std::make_unique<Client>(address()));
        for (int j = 0; j < n_sends; j++)
                for (int i = 0; i < n_callers; i++)
                        answers[i].push_back(clients[i]->session_async("x", "Send", "ssa{sv}", "echo",
                                                                       ("[" + std::to_string(i * n_sends + j) + "]").c_str(), 2, "id", "i",
                                                                       j, "envelope", "b", 1));
        for (int i = 0; i < n_callers; i++)
                for (int j = 0; j < n_sends; j++) {
                        ASSERT_TRUE(clients[i]->wait(answers[i][j]));
                        ASSERT_EQ(answers[i][j]->outcome(), "ok");
                        ASSERT_NE(answers[i][j]->text.find("[" + std::to_string(i * n_sends + j) + "]"), std::string::npos)
                                << answers[i][j]->text;
                        ASSERT_NE(answers[i][j]->text.find("\"id\":" + std::to_string(j)), std::string::npos) << answers[i][j]->text;
                }
}

TEST_P(Crowd, AThousandCallersAtOnce) {
        std::vector<std::unique_ptr<Client>> clients;
        std::vector<Client::Pending> answers;
        int fds = settled_fds();

        for (int i = 0; i < 1000; i++) {
                clients.push_back(std::make_unique<Client>(address()));
                answers.push_back(clients[i]->session_async("x", "Send", "ssa{sv}", "echo", ("[" + std::to_string(i) + "]").c_str(), 0));
                sd_bus_flush(clients[i]->get());
        }
        for (int i = 0; i < 1000; i++) {
                ASSERT_TRUE(clients[i]->wait(answers[i]));
                ASSERT_EQ(answers[i]->text, "[" + std::to_string(i) + "]") << answers[i]->outcome();
        }
        clients.clear();
        EXPECT_TRUE(wait_counts(fds, 1));
}

TEST_P(Crowd, SomebodyWhoSendsAndLeavesDisturbsNobody) {
        Client steady(address());

        for (int i = 0; i < 50; i++) {
                Client fleeting(address());

                fleeting.session_async("x", "Send", "ssa{sv}", "never", "", 0);
                sd_bus_flush(fleeting.get());
        }
        EXPECT_EQ(steady.send("x", "echo", "[1]"), "[1]");
        EXPECT_TRUE(steady.poll([&] { return steady.get("x", "InFlight") == "0"; }));
}

/* The session goes with who bound it, at once since nothing of it runs; others who wait for it hear of that. */
TEST_P(Crowd, WhoLeavesTakesNobodyElsesAnswersAlong) {
        auto leaver = std::make_unique<Client>(address());
        Client other(address());

        bad_plugin("bound", "jsonrpc", "die", "\"restart\": {\"delay\": 60, \"maxDelay\": 60}");
        ASSERT_EQ(leaver->host("Load", "sa{sv}", "bound", 1, "bind", "b", 1).outcome(), "ok");
        ASSERT_EQ(other.session("bound", "SetActiveState", "sa{sv}", "active", 0).outcome(), "ok");
        ASSERT_TRUE(other.wait_property("bound", "ReportedState", "restarting"));
        Client::Pending answer = other.session_async("bound", "Send", "ssa{sv}", "echo", "[1]", 0);
        ASSERT_TRUE(other.poll([&] { return other.get("bound", "InFlight") == "1"; }));
        leaver.reset();
        ASSERT_TRUE(other.wait([&] { return answer->answered; }, 5'000'000));
        EXPECT_EQ(answer->error, "org.plugind1.Error.NotActive") << answer->outcome();
}

/* While its caller does not read, the bus takes no more, and then the plugin is not read; when it reads again all is there. */
TEST_P(Crowd, ASlowReaderLosesNothing) {
        Client slow(address()), other(address());
        std::vector<Client::Pending> answers;
        const int n = 300, size = 200'000;

        slow.match("member='Notification'");
        ASSERT_EQ(slow.session("x", "Subscribe", "asa{sv}", 0, 0).outcome(), "ok");
        Client::Pending sent = other.session_async(
                "x", "Send", "ssa{sv}", "flood", ("{\"count\": " + std::to_string(n) + ", \"size\": " + std::to_string(size) + "}").c_str(),
                0);
        sd_bus_flush(other.get());
        ASSERT_TRUE(other.wait(sent));
        EXPECT_EQ(sent->outcome(), "ok");
        EXPECT_TRUE(slow.wait([&] { return slow.signals.size() == n; })) << slow.signals.size();
        for (int i = 0; i < (int) slow.signals.size(); i++)
                ASSERT_NE(slow.signals[i].text.find("{\"number\": " + std::to_string(i + 1) + ","), std::string::npos) << i;
}

/* Of a process in /proc: user time in clock ticks, resident memory in kB. */
unsigned long ticks_of(pid_t pid) {
        std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
        std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
        unsigned long user = 0, system = 0;

        sscanf(text.c_str() + text.rfind(')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
        return user + system;
}

unsigned long memory_of(pid_t pid) {
        std::ifstream file("/proc/" + std::to_string(pid) + "/status");
        unsigned long kib = 0;

        for (std::string line; std::getline(file, line);)
                if (sscanf(line.c_str(), "RssAnon: %lu", &kib) == 1)
                        break;
        return kib;
}

/* A plugin that notifies without end, and a bus that takes nothing: plugind stops reading instead of hoarding, and goes on when it can. */
TEST_P(Crowd, AStuckBusStopsTheReadingOfPlugins) {
        NOT_INSTALLED("systemd itself waits for a bus that does not answer");
        bad_plugin("flooder", "jsonrpc", "flood", "\"activation\": \"manual\"");
        Client listener(address()), steady(address());
        load(listener, "flooder");
        listener.match("member='Notification'");
        ASSERT_EQ(listener.session("flooder", "Subscribe", "asa{sv}", 0, 0).outcome(), "ok");
        unsigned long before = memory_of(daemon.pid());
        ASSERT_EQ(listener.session("flooder", "SetActiveState", "sa{sv}", "active", 1, "wait", "b", 1).outcome(), "ok");

        kill(bus_pid(), SIGSTOP);
        unsigned long ticks = ticks_of(daemon.pid()) - 1;
        for (int quiet = 0, i = 0; quiet < 5 && i < 300; i++) {
                usleep(100'000); /* nothing tells that a process does nothing */
                quiet = ticks_of(daemon.pid()) == ticks ? quiet + 1 : 0;
                ticks = ticks_of(daemon.pid());
        }
        EXPECT_EQ(ticks_of(daemon.pid()), ticks);
        EXPECT_LT(memory_of(daemon.pid()), before + 64 * 1024);
        kill(bus_pid(), SIGCONT);
        size_t had = listener.signals.size();
        EXPECT_TRUE(listener.wait([&] { return listener.signals.size() > had + 5000; })); /* it goes on */
        EXPECT_EQ(steady.send("x", "echo", "[1]"), "[1]");
        EXPECT_EQ(steady.host("Unload", "sa{sv}", "flooder", 0).outcome(), "ok");
}

TEST_P(Crowd, TooMuchBeforeItIsKnownWhoItIsIsRefused) {
        Client client(address());
        std::string params = "[\"" + std::string(1'000'000, 'x') + "\"]";
        std::vector<Client::Pending> answers;
        int refused = 0, answered = 0;

        /* The bus cannot be asked who it is while it is stopped; then all of it comes at once. */
        daemon.signal(SIGSTOP);
        for (int i = 0; i < 40; i++)
                answers.push_back(client.session_async("x", "Send", "ssa{sv}", "echo", params.c_str(), 0));
        while (sd_bus_process(client.get(), nullptr) > 0)
                ;
        daemon.signal(SIGCONT);
        for (const Client::Pending &answer : answers) {
                ASSERT_TRUE(client.wait(answer));
                refused += answer->error == "org.plugind1.Error.LimitsExceeded";
                answered += answer->text == params;
        }
        EXPECT_EQ(refused + answered, 40);
        EXPECT_GT(answered, 0);
        EXPECT_EQ(client.send("x", "echo", "[1]"), "[1]");
}

BOTH_BUSES(Crowd);

} // namespace
