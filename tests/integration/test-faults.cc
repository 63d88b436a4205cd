/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Plugins and callers that misbehave. After each: the caller has an answer that says what was wrong, a good plugin next door answers,
 * and once the bad one is unloaded the daemon holds as many descriptors and children as before.
 */
#include "fixture.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>

namespace {

const char *const error_prefix = "error: org.plugind1.Error.";

class Faults : public Daemon {
      protected:
        void SetUp() override {
                Daemon::SetUp();
                if (IsSkipped() || HasFatalFailure())
                        return;
                bad_plugin("good");
                start();
                client = std::make_unique<Client>(address());
                load(*client, "good");
                neighbour_answers();
                fds = settled_fds() + (booted() ? 1 : 0); /* the journal's socket stays open from the first word about a plugin on */
                children = daemon.children();
        }

        void TearDown() override {
                if (client) {
                        neighbour_answers();
                        for (const std::string &id : loaded)
                                EXPECT_EQ(client->host("Unload", "sa{sv}", id.c_str(), 0).outcome(), "ok");
                        EXPECT_TRUE(wait_counts(fds, children)) << daemon.fds() << " descriptors, " << fds << " before; "
                                                                << daemon.children() << " children, " << children << " before";
                }
                client.reset();
                Daemon::TearDown();
        }

        void neighbour_answers() {
                EXPECT_EQ(client->send("good", "echo", "[1]"), "[1]");
        }

        /* A plugin that misbehaves by MODE (and its argument) from its start, loaded as "bad". */
        void load_bad(const std::string &mode, const std::string &more = "", const std::string &dialect = "plugind") {
                size_t space = mode.find(' ');
                std::string words = space == std::string::npos ? mode : mode.substr(0, space) + "\", \"" + mode.substr(space + 1);

                bad_plugin("bad", dialect, words, more);
                load(*client, "bad");
                loaded.push_back("bad");
        }

        /* The error that starting it ends with. */
        std::string start_outcome() {
                return client->session("bad", "SetActiveState", "sa{sv}", "active", 1, "wait", "b", 1).outcome();
        }

        static void expect_error(const std::string &got, const std::string &name, const std::string &part) {
                EXPECT_EQ(got.find(error_prefix + name), 0u) << got;
                EXPECT_NE(got.find(part), std::string::npos) << got << "\nlacks: " << part;
        }

        std::unique_ptr<Client> client;
        std::vector<std::string> loaded;
        int fds = 0, children = 0;
};

const char *const no_restart = "\"restart\": \"never\"";

/* -- from the start -- */

TEST_P(Faults, ExitsAtOnce) {
        load_bad("exit 1", "\"restart\": {\"delay\": 0.01, \"burst\": 3}");
        EXPECT_NE(start_outcome().find("exited with status 1 before it was active"), std::string::npos);
        EXPECT_EQ(client->get("bad", "ReportedState"), "errored");
        EXPECT_EQ(client->get("bad", "Restarts"), "2");
        EXPECT_NE(client->get("bad", "ErrorDetails").find("exit-status"), std::string::npos);
}

TEST_P(Faults, Exits125AndIsNotRestarted) {
        load_bad("exit 125");
        EXPECT_NE(start_outcome().find("exited with status 125"), std::string::npos);
        EXPECT_EQ(client->get("bad", "Restarts"), "0");
}

TEST_P(Faults, DemandsASandboxThatChildProcessesCannotHave) {
        NOT_INSTALLED("units can have it");
        const std::string mark = state_folder() + "/ran";

        for (const char *sandbox : { "{}", R"({"profile": "network"})", R"({"profile": "trusted", "memoryMax": "1G"})" }) {
                manifest("bad", R"({"manifestVersion": 1, "command": "touch", "args": [")" + mark +
                                        R"("], "dialect": "jsonrpc", "sandbox": )" + sandbox + "}");
                load(*client, "bad");
                std::string outcome = start_outcome();

                EXPECT_EQ(outcome.find("org.plugind1.Error.SandboxUnavailable: "), 0u) << outcome;
                EXPECT_NE(outcome.find("its manifest demands a sandbox (profile \""), std::string::npos) << outcome;
                EXPECT_NE(client->get("bad", "ErrorDetails").find("SandboxUnavailable"), std::string::npos);
                expect_error(client->send("bad", "echo", "[1]"), "NotActive", "the runtime \"local\" has none");
                EXPECT_EQ(client->get("bad", "ReportedState"), "errored");
                EXPECT_NE(client->get("bad", "ErrorMessage").find("the runtime \"local\" has none"), std::string::npos);
                EXPECT_EQ(client->get("bad", "Restarts"), "0");
                EXPECT_FALSE(std::filesystem::exists(mark));
                EXPECT_EQ(client->host("Unload", "sa{sv}", "bad", 0).outcome(), "ok");
        }
        load_bad("good", R"("sandbox": {"profile": "trusted"})");
        EXPECT_EQ(start_outcome(), "ok");
}

TEST_P(Faults, NeverGreets) {
        load_bad("silent", "\"timeouts\": {\"start\": 0.3, \"stop\": 0.2}, " + std::string(no_restart));
        EXPECT_NE(start_outcome().find("did not finish its greeting"), std::string::npos);
}

TEST_P(Faults, ClosesItsOutputButLives) {
        load_bad("close-stdout", "\"timeouts\": {\"stop\": 0.2}, " + std::string(no_restart));
        EXPECT_NE(start_outcome().find("closed its output but did not exit"), std::string::npos);
}

TEST_P(Faults, RefusesTheGreeting) {
        load_bad("refuse", no_restart);
        EXPECT_NE(start_outcome().find("not today"), std::string::npos);
}

TEST_P(Faults, GreetsWithSomethingElse) {
        load_bad("wrong-greeting", no_restart);
        std::string outcome = start_outcome();

        EXPECT_NE(outcome.find("hello"), std::string::npos) << outcome;
}

TEST_P(Faults, ABannerAndGarbageBeforeTheGreetingAreSkipped) {
        for (const char *mode : { "banner", "garbage", "binary" }) {
                load_bad(mode);
                EXPECT_EQ(client->send("bad", "echo", "[2]"), "[2]") << mode;
                EXPECT_EQ(client->host("Unload", "sa{sv}", "bad", 0).outcome(), "ok");
                loaded.clear();
        }
}

TEST_P(Faults, IgnoresSigtermAndIsKilled) {
        load_bad("stubborn", "\"timeouts\": {\"stop\": 0.3}");
        EXPECT_EQ(client->send("bad", "echo", "[2]"), "[2]");
        client->match_session("bad");
        EXPECT_EQ(client->session("bad", "SetActiveState", "sa{sv}", "inactive", 1, "wait", "b", 1).outcome(), "ok");
        auto ended = client->take("Ended");
        ASSERT_TRUE(ended);
        EXPECT_EQ(ended->text, "killed, 9");
}

TEST_P(Faults, LeavesAGrandchild) {
        for (const char *mode : { "child", "orphan" }) {
                load_bad(mode, "\"timeouts\": {\"stop\": 0.3}");
                std::string info = client->send("bad", "info");
                size_t at = info.find("\"children\": [");
                ASSERT_NE(at, std::string::npos) << info;
                pid_t left = (pid_t) std::stol(info.substr(at + strlen("\"children\": [")));
                EXPECT_EQ(kill(left, 0), 0);
                EXPECT_EQ(client->host("Unload", "sa{sv}", "bad", 0).outcome(), "ok");
                loaded.clear();
                EXPECT_TRUE(client->poll([&] { return kill(left, 0) < 0 && errno == ESRCH; }))
                        << mode << ": process " << left << " is still there";
        }
}

TEST_P(Faults, AGrandchildDiesWithACrashToo) {
        load_bad("good", "\"timeouts\": {\"stop\": 0.3}");
        for (const char *method : { "child", "orphan" }) {
                std::string answer = client->send("bad", method);
                pid_t left = (pid_t) std::stol(answer.substr(answer.find(": ") + 2));
                expect_error(client->send("bad", "crash"), "ConnectionLost", "SIGKILL");
                EXPECT_TRUE(client->poll([&] { return kill(left, 0) < 0 && errno == ESRCH; })) << method;
        }
}

TEST_P(Faults, DoesNotAnswerPings) {
        load_bad("no-pong", "\"timeouts\": {\"stop\": 0.2}, \"health\": {\"interval\": 0.1, \"timeout\": 0.1, \"failures\": 2}, " +
                                    std::string(no_restart));
        EXPECT_EQ(start_outcome(), "ok");
        EXPECT_TRUE(client->wait_property("bad", "ReportedState", "errored"));
        EXPECT_NE(client->get("bad", "ErrorMessage").find("2 pings"), std::string::npos);
}

/* -- in a conversation -- */

TEST_P(Faults, ALineOf100MiB) {
        load_bad("good");
        EXPECT_EQ(client->send("bad", "huge"), "{\"said\": true}");
        expect_error(client->send("bad", "huge-answer"), "ProtocolError", "16777216");
        EXPECT_EQ(client->send("bad", "echo", "[2]"), "[2]");
        EXPECT_EQ(client->get("bad", "Restarts"), "0");
}

TEST_P(Faults, UnknownDuplicateAndStringIds) {
        load_bad("good");
        EXPECT_EQ(client->send("bad", "wrong-ids"), "\"right\"");
        Reply reply = client->session("bad", "Send", "ssa{sv}", "string-id", "", 1, "timeout-usec", "t", (uint64_t) 200000);
        EXPECT_EQ(reply.error, "org.plugind1.Error.RequestTimedOut");
        EXPECT_EQ(client->send("bad", "echo", "[2]"), "[2]");
}

TEST_P(Faults, AnswersThatAreNoneFailTheirRequestAlone) {
        load_bad("good");
        for (const char *method : { "both", "neither", "bad-utf8", "raw-nul", "deep" }) {
                expect_error(client->send("bad", method), "ProtocolError", "the plugin sent");
                EXPECT_EQ(client->send("bad", "echo", "[2]"), "[2]") << method;
        }
        EXPECT_EQ(client->send("bad", "nul"), "\"a\\u0000b\"");
        EXPECT_EQ(client->send("bad", "pieces"), "\"in pieces\"");
        EXPECT_EQ(client->send("bad", "no-object"), "\"right\"");
        EXPECT_EQ(client->get("bad", "Restarts"), "0");
}

TEST_P(Faults, HalfAnAnswerAndDeath) {
        load_bad("good");
        expect_error(client->send("bad", "half"), "ConnectionLost", "SIGKILL");
        EXPECT_EQ(client->send("bad", "echo", "[2]"), "[2]");
}

TEST_P(Faults, FloodsStderr) {
        load_bad("good", "\"timeouts\": {\"request\": 0}");
        EXPECT_EQ(client->send("bad", "flood-stderr", "{\"bytes\": 67108864}"), "{}");
}

TEST_P(Faults, FloodsNotifications) {
        load_bad("good");
        EXPECT_EQ(client->session("bad", "Subscribe", "asa{sv}", 0, 0).outcome(), "ok");
        client->match("member='Notification'");
        Client::Pending sent = client->session_async("bad", "Send", "ssa{sv}", "flood", "{\"count\": 20000}", 0);
        ASSERT_TRUE(client->wait(sent));
        EXPECT_EQ(sent->outcome(), "ok");
        ASSERT_TRUE(client->wait([&] { return client->signals.size() == 20000; })) << client->signals.size();
        EXPECT_NE(client->signals.back().text.find("\"last\": true"), std::string::npos);
}

TEST_P(Faults, FloodsNotificationsThatNobodyWants) {
        load_bad("flood", "\"timeouts\": {\"stop\": 0.2}", "jsonrpc");
        EXPECT_EQ(start_outcome(), "ok");
        for (int i = 0; i < 20; i++)
                neighbour_answers();
}

TEST_P(Faults, StopsReadingItsInput) {
        load_bad("good", "\"timeouts\": {\"stop\": 0.2}");
        EXPECT_EQ(client->send("bad", "stop-reading"), "{}");
        std::string params = "[\"" + std::string(900 * 1024, 'x') + "\"]";
        bool refused = false;
        for (int i = 0; i < 80 && !refused; i++) {
                Client::Pending sent = client->session_async("bad", "Send", "ssa{sv}", "echo", params.c_str(), 0);
                neighbour_answers();
                refused = sent->answered && sent->error == "org.plugind1.Error.LimitsExceeded";
        }
        EXPECT_TRUE(refused);
}

/* -- callers -- */

TEST_P(Faults, ParamsThatAreNone) {
        const char *const invalid = "error: org.freedesktop.DBus.Error.InvalidArgs";
        std::string deep = std::string(16 * 1024 * 1024, '[') + std::string(16 * 1024 * 1024, ']');

        for (const char *params : { "{", "{} {}", "nul", "{\"a\": \"\n\"}", "\"scalar\"", "{\"a\" 1}" })
                EXPECT_EQ(client->send("good", "echo", params).find(invalid), 0u) << params;
        EXPECT_EQ(client->send("good", "echo", "{\"a\":\n\"\\u0000\"}"), "{\"a\": \"\\u0000\"}");
        expect_error(client->send("good", "echo", deep), "LimitsExceeded", "1048576");
        EXPECT_EQ(client->send("good", "echo", std::string(300000, '[')).find(invalid), 0u);
        Reply reply = client->session("good", "Send", "ssa{sv}", "echo", "", 1, "colour", "s", "red");
        EXPECT_EQ(reply.error, "org.freedesktop.DBus.Error.InvalidArgs");
        EXPECT_NE(reply.message.find("colour"), std::string::npos) << reply.message;
}

TEST_P(Faults, ACallerThatLeavesInTheMiddleOfItsCall) {
        load_bad("good");
        EXPECT_EQ(client->send("bad", "echo", "[2]"), "[2]");
        {
                Client leaving(address());
                for (int i = 0; i < 10; i++)
                        leaving.session_async("bad", "Send", "ssa{sv}", "never", "", 0);
                EXPECT_EQ(leaving.send("bad", "echo", "[3]"), "[3]");
                EXPECT_EQ(client->get("bad", "InFlight"), "10");
        }
        EXPECT_TRUE(client->poll([&] { return client->get("bad", "InFlight") == "0"; }));
}

TEST_P(Faults, AThousandCallersAtOnce) {
        std::vector<std::unique_ptr<Client>> callers;
        std::vector<Client::Pending> sent;

        for (int i = 0; i < 1000; i++) {
                callers.push_back(std::make_unique<Client>(address()));
                sent.push_back(
                        callers.back()->session_async("good", "Send", "ssa{sv}", "echo", ("[" + std::to_string(i) + "]").c_str(), 0));
        }
        for (int i = 0; i < 1000; i++) {
                ASSERT_TRUE(callers[i]->wait(sent[i])) << i;
                EXPECT_EQ(sent[i]->text, "[" + std::to_string(i) + "]");
        }
}

BOTH_BUSES(Faults);

} // namespace
