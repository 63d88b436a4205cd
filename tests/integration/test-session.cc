/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.plugind1.Session over the bus: the conversation, its signals, and their order. */
#include "fixture.h"

#include <algorithm>
#include <csignal>
#include <cstring>

namespace {

const char *const invalid_args = "org.freedesktop.DBus.Error.InvalidArgs";

class Talk : public Daemon {
      protected:
        void SetUp() override {
                Daemon::SetUp();
                if (IsSkipped() || HasFatalFailure())
                        return;
                bad_plugin("x");
                start();
                client = std::make_unique<Client>(address());
                load(*client, "x");
        }

        void TearDown() override {
                client.reset();
                Daemon::TearDown();
        }

        /* An unanswered Send whose request the plugin has got for sure. */
        Client::Pending unanswered(Client &who, const char *id) {
                Client::Pending pending = who.session_async("x", "Send", "ssa{sv}", "never", "", 1, "id", "s", id);

                EXPECT_EQ(who.send("x", "echo", "[0]"), "[0]");
                return pending;
        }

        std::unique_ptr<Client> client;
};

TEST_P(Talk, SendAnswersWithTheResult) {
        EXPECT_EQ(client->send("x", "echo", "{\"a\": [1, 2.5, null, \"\xc3\xa9\"]}"), "{\"a\": [1, 2.5, null, \"\\u00e9\"]}");
        EXPECT_EQ(client->send("x", "echo"), "{}"); /* no params: the plugin makes {} of that */
        EXPECT_EQ(client->get("x", "ReportedState"), "active");
        EXPECT_EQ(client->get("x", "DesiredState"), "active"); /* it may run */
}

TEST_P(Talk, SendBytesIsTheSameWithBytes) {
        sd_bus_message *m = nullptr;
        const void *data;
        size_t size;
        const char params[] = "{\"bytes\": true}";

        ASSERT_GE(sd_bus_message_new_method_call(client->get(), &m, "org.plugind1", session_path("x").c_str(), "org.plugind1.Session",
                                                 "SendBytes"),
                  0);
        sd_bus_message_append(m, "s", "echo");
        sd_bus_message_append_array(m, 'y', params, strlen(params));
        sd_bus_message_append(m, "a{sv}", 0);
        sd_bus_message *reply = nullptr;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        ASSERT_GE(sd_bus_call(client->get(), m, patience_usec, &error, &reply), 0) << error.message;
        ASSERT_GE(sd_bus_message_read_array(reply, 'y', &data, &size), 0);
        EXPECT_EQ(std::string((const char *) data, size), params);
        sd_bus_message_unref(m);
        sd_bus_message_unref(reply);
        sd_bus_error_free(&error);
}

TEST_P(Talk, WhatThePluginRefusesKeepsItsMessage) {
        Reply reply = client->session("x", "Send", "ssa{sv}", "no-such", "", 0);

        EXPECT_EQ(reply.error, "org.plugind1.Error.MethodNotFound");
        EXPECT_EQ(reply.message, "no-such: no such method");
}

TEST_P(Talk, ParamsThatAreNoJsonAreInvalidArgs) {
        for (const char *params : { "{", "1 2", "{\"a\": 01}", "\"a\nb\"", "nul", "\"\\u12\"", "{\"a\":1,}" }) {
                Reply reply = client->session("x", "Send", "ssa{sv}", "echo", params, 0);

                EXPECT_EQ(reply.error, invalid_args) << params << ": " << reply.outcome();
                EXPECT_EQ(client->session("x", "Notify", "ssa{sv}", "echo", params, 0).error, invalid_args) << params;
        }
        EXPECT_EQ(client->get("x", "ReportedState"), "inactive"); /* nothing was started for it */
}

TEST_P(Talk, ParamsThatAreTooLargeOrTooDeepAreRefused) {
        std::string large = "[\"" + std::string(2'000'000, 'x') + "\"]", deep(100'000, '['), huge(32 * 1024 * 1024, '[');

        Reply reply = client->session("x", "Send", "ssa{sv}", "echo", large.c_str(), 0);
        EXPECT_EQ(reply.error, "org.plugind1.Error.LimitsExceeded") << reply.message;
        EXPECT_NE(reply.message.find("2000004"), std::string::npos) << reply.message;
        EXPECT_EQ(client->session("x", "Send", "ssa{sv}", "echo", deep.c_str(), 0).error, invalid_args);
        EXPECT_EQ(client->session("x", "Send", "ssa{sv}", "echo", huge.c_str(), 0).error, "org.plugind1.Error.LimitsExceeded");
        EXPECT_EQ(client->session("x", "Send", "ssa{sv}", "", "", 0).error, invalid_args); /* no method */
        EXPECT_EQ(client->session("x", "Send", "ssa{sv}", std::string(1000, 'm').c_str(), "", 0).outcome().find("ok"), std::string::npos);
        EXPECT_EQ(client->send("x", "echo", "[1]"), "[1]");
}

TEST_P(Talk, SendRefusesOptionsItDoesNotKnow) {
        Reply reply = client->session("x", "Send", "ssa{sv}", "echo", "", 1, "timeout", "u", 5u);
        EXPECT_EQ(reply.error, invalid_args);
        EXPECT_EQ(reply.message, "Send has no option \"timeout\" (it has: id, timeout-usec, envelope)");
        reply = client->session("x", "Send", "ssa{sv}", "echo", "", 1, "timeout-usec", "d", 0.5);
        EXPECT_EQ(reply.error, invalid_args);
        EXPECT_EQ(reply.message.find("option \"timeout-usec\" of Send: found type \"d\", expected an integer"), 0u) << reply.message;
        EXPECT_EQ(client->get("x", "ReportedState"), "inactive");
}

TEST_P(Talk, EnvelopeGivesTheWholeResponseWithTheCallersId) {
        Reply reply = client->session("x", "Send", "ssa{sv}", "echo", "[7]", 2, "envelope", "b", 1, "id", "s", "my \"id\"");
        EXPECT_EQ(reply.outcome(), "ok");
        EXPECT_NE(reply.text.find("\"id\":\"my \\\"id\\\"\""), std::string::npos) << reply.text;
        EXPECT_NE(reply.text.find("[7]"), std::string::npos) << reply.text;

        reply = client->session("x", "Send", "ssa{sv}", "no-such", "", 2, "envelope", "b", 1, "id", "x", INT64_C(-42));
        EXPECT_EQ(reply.outcome(), "ok");
        EXPECT_NE(reply.text.find("\"id\":-42"), std::string::npos) << reply.text;
        EXPECT_NE(reply.text.find("-32601"), std::string::npos) << reply.text;
}

TEST_P(Talk, CancelEndsASendOfTheSameCaller) {
        Client other(address());
        Client::Pending mine = unanswered(*client, "7");
        Client::Pending numbered = client->session_async("x", "Send", "ssa{sv}", "never", "", 1, "id", "u", 8u);

        EXPECT_EQ(client->get("x", "InFlight"), "2");
        Reply reply = other.session("x", "Cancel", "sa{sv}", "7", 0);
        EXPECT_EQ(reply.error, invalid_args) << reply.message;
        EXPECT_EQ(client->session("x", "Cancel", "sa{sv}", "7", 0).outcome(), "ok");
        ASSERT_TRUE(client->wait(mine));
        EXPECT_EQ(mine->error, "org.plugind1.Error.Cancelled");
        EXPECT_EQ(client->session("x", "Cancel", "sa{sv}", "8", 0).outcome(), "ok");
        ASSERT_TRUE(client->wait(numbered));
        EXPECT_EQ(numbered->error, "org.plugind1.Error.Cancelled");
        EXPECT_EQ(client->session("x", "Cancel", "sa{sv}", "8", 0).error, invalid_args);
        EXPECT_EQ(client->get("x", "InFlight"), "0");
}

TEST_P(Talk, ACallerThatVanishesCancelsWhatItSent) {
        {
                Client other(address());

                unanswered(other, "1");
                EXPECT_EQ(client->get("x", "InFlight"), "1");
        }
        EXPECT_TRUE(client->poll([&] { return client->get("x", "InFlight") == "0"; }));
        EXPECT_EQ(client->send("x", "echo", "[1]"), "[1]");
}

TEST_P(Talk, ADeadlinePasses) {
        client->send("x", "echo");
        for (const char *type : { "u", "t", "x", "i" }) {
                Reply reply = type[0] == 'u' || type[0] == 'i'
                                      ? client->session("x", "Send", "ssa{sv}", "never", "", 1, "timeout-usec", type, 30000)
                                      : client->session("x", "Send", "ssa{sv}", "never", "", 1, "timeout-usec", type, INT64_C(30000));
                EXPECT_EQ(reply.error, "org.plugind1.Error.RequestTimedOut") << reply.message;
        }
        EXPECT_EQ(client->get("x", "InFlight"), "0");
}

TEST_P(Talk, ADyingPluginAnswersConnectionLost) {
        Client::Pending pending = unanswered(*client, "1");

        EXPECT_EQ(client->session("x", "Kill", "sia{sv}", "main", SIGKILL, 0).outcome(), "ok");
        ASSERT_TRUE(client->wait(pending));
        EXPECT_EQ(pending->error, "org.plugind1.Error.ConnectionLost");
        EXPECT_EQ(client->send("x", "echo", "[1]"), "[1]"); /* the next one works */
}

TEST_P(Talk, StepsComeInOrderAndPropertiesAfterThem) {
        client->match_session("x");
        client->send("x", "echo");
        pid_t pid = std::stoi(client->get("x", "MainPID"));
        ASSERT_GT(pid, 1);
        kill(pid, SIGKILL);
        client->wait([&] {
                return std::count_if(client->signals.begin(), client->signals.end(),
                                     [](const Signal &s) { return s.text.find("active, connecting") == 0; }) == 2;
        });

        std::vector<std::string> steps;
        for (const Signal &signal : client->signals)
                if (signal.member == "StateChanged")
                        steps.push_back(signal.text);
        EXPECT_EQ(steps, (std::vector<std::string>{
                                 "starting, inactive, on-demand",
                                 "connecting, starting, started",
                                 "active, connecting, connected",
                                 "restarting, active, killed",
                                 "starting, restarting, restart",
                                 "connecting, starting, started",
                                 "active, connecting, connected",
                         }));
        std::optional<Signal> ended = client->take("Ended");
        ASSERT_TRUE(ended);
        EXPECT_EQ(ended->text, "killed, 9");
        EXPECT_TRUE(client->wait_property("x", "ReportedState", "active"));
        EXPECT_EQ(client->get("x", "Restarts"), "1");
}

TEST_P(Talk, ChangedPropertiesComeBeforeTheAnswerThatDependsOnThem) {
        client->match("path='" + session_path("x") + "'");
        Client::Pending answer = client->session_async("x", "SetActiveState", "sa{sv}", "active", 1, "wait", "b", 1);

        ASSERT_TRUE(client->wait(answer));
        EXPECT_EQ(answer->outcome(), "ok");
        std::string changed;
        for (const Signal &signal : client->signals)
                if (signal.member == "PropertiesChanged")
                        changed = signal.text;
        EXPECT_NE(changed.find("ReportedState: active"), std::string::npos) << changed;
        EXPECT_EQ(client->log.back(), "reply of SetActiveState");
        EXPECT_EQ(client->get("x", "DesiredState"), "active");
        EXPECT_NE(client->get("x", "StartedAt"), "0");
        EXPECT_NE(client->get("x", "StateChangedAt"), "0");
        EXPECT_NE(client->get("x", "MainPID"), "0");
}

TEST_P(Talk, SetActiveStateInactiveStops) {
        ASSERT_EQ(client->session("x", "SetActiveState", "sa{sv}", "active", 1, "wait", "b", 1).outcome(), "ok");
        EXPECT_EQ(daemon.children(), 1);
        ASSERT_EQ(client->session("x", "SetActiveState", "sa{sv}", "inactive", 1, "wait", "b", 1).outcome(), "ok");
        EXPECT_EQ(daemon.children(), 0);
        EXPECT_EQ(client->get("x", "ReportedState"), "inactive");
        EXPECT_EQ(client->get("x", "MainPID"), "0");
        Reply reply = client->session("x", "SetActiveState", "sa{sv}", "paused", 0);
        EXPECT_EQ(reply.error, invalid_args);
        EXPECT_EQ(reply.message, "state: found \"paused\", expected \"active\" or \"inactive\"");
}

TEST_P(Talk, RestartIsOneStep) {
        client->send("x", "echo");
        std::string before = client->get("x", "MainPID");

        ASSERT_EQ(client->session("x", "Restart", "a{sv}", 1, "wait", "b", 1).outcome(), "ok");
        EXPECT_EQ(client->get("x", "ReportedState"), "active");
        EXPECT_NE(client->get("x", "MainPID"), before);
        EXPECT_EQ(client->send("x", "echo", "[1]"), "[1]");
}

TEST_P(Talk, NotificationsGoToSubscribersAlone) {
        Client other(address()), third(address());

        other.match("member='Notification'");
        client->match("member='Notification'");
        ASSERT_EQ(client->session("x", "Subscribe", "asa{sv}", 2, "wanted", "also", 0).outcome(), "ok");
        EXPECT_EQ(client->get("x", "ReportedState"), "inactive"); /* starts nothing */
        third.send("x", "flood", "{\"method\": \"wanted\", \"count\": 3}");
        third.send("x", "flood", "{\"method\": \"unwanted\"}");
        third.send("x", "flood", "{\"method\": \"also\"}");

        for (int number = 1; number <= 3; number++) {
                std::optional<Signal> signal = client->take("Notification");

                ASSERT_TRUE(signal);
                EXPECT_EQ(signal->path, session_path("x"));
                EXPECT_EQ(signal->destination, client->name()); /* unicast */
                EXPECT_EQ(signal->text.find(", wanted, {\"number\": " + std::to_string(number) + ","), 0u) << signal->text;
        }
        std::optional<Signal> last = client->take("Notification");
        ASSERT_TRUE(last);
        EXPECT_EQ(last->text.find(", also, "), 0u) << last->text;
        other.catch_up();
        EXPECT_TRUE(other.signals.empty());

        ASSERT_EQ(client->session("x", "Unsubscribe", "a{sv}", 0).outcome(), "ok");
        third.send("x", "flood", "{\"method\": \"wanted\"}");
        client->catch_up();
        EXPECT_TRUE(client->signals.empty());
        EXPECT_EQ(client->session("x", "Unsubscribe", "a{sv}", 0).outcome(), "ok");
}

TEST_P(Talk, AnEmptySubscriptionIsForAll) {
        client->match("member='Notification'");
        ASSERT_EQ(client->session("x", "Subscribe", "asa{sv}", 0, 0).outcome(), "ok");
        Client::Pending answer = client->session_async("x", "Send", "ssa{sv}", "flood", "{\"method\": \"any\", \"count\": 200}", 0);

        ASSERT_TRUE(client->wait(answer));
        EXPECT_EQ(client->signals.size(), 200u); /* all before the answer that came after them */
        EXPECT_EQ(client->log.back(), "reply of Send");
}

TEST_P(Talk, NotifyReachesThePlugin) {
        manifest("cat",
                 "{\"manifestVersion\": 1, \"command\": \"/bin/sh\", \"args\": [\"-c\", \"while read -r l; do echo \\\"$l\\\" >&2; done\"],"
                 " \"dialect\": \"jsonrpc\"}");
        load(*client, "cat");
        ASSERT_EQ(client->session("cat", "SetActiveState", "sa{sv}", "active", 1, "wait", "b", 1).outcome(), "ok");
        ASSERT_EQ(client->session("cat", "Notify", "ssa{sv}", "hello", "{\"who\": \"world\"}", 0).outcome(), "ok");

        EXPECT_TRUE(client->poll([&] {
                return client->session("cat", "GetLogLines", "a{sv}", 0)
                               .text.find("\"method\":\"hello\",\"params\":{\"who\": \"world\"}}") != std::string::npos;
        })) << client->session("cat", "GetLogLines", "a{sv}", 0).text;
}

TEST_P(Talk, LogLinesHaveTimePriorityAndText) {
        manifest(
                "chatter",
                "{\"manifestVersion\": 1, \"command\": \"/bin/sh\", \"args\": [\"-c\", \"echo '<3>bad news' >&2; echo fine >&2; cat >/dev/null\"],"
                " \"dialect\": \"jsonrpc\"}");
        load(*client, "chatter");
        EXPECT_EQ(client->session("chatter", "GetLogLines", "a{sv}", 0).text, "[]"); /* has not run */
        ASSERT_EQ(client->session("chatter", "SetActiveState", "sa{sv}", "active", 1, "wait", "b", 1).outcome(), "ok");
        std::string text;
        EXPECT_TRUE(client->poll([&] {
                text = client->session("chatter", "GetLogLines", "a{sv}", 0).text;
                return text.find("fine") != std::string::npos;
        }));
        EXPECT_NE(text.find(", 3, bad news, {})"), std::string::npos) << text;
        EXPECT_NE(text.find(", 6, fine, {})"), std::string::npos) << text;
        EXPECT_EQ(client->get("chatter", "LogFile"), booted() ? "" : state_folder() + "/log/chatter.log");
}

TEST_P(Talk, KillChecksWhatItIsTold) {
        Reply reply = client->session("x", "Kill", "sia{sv}", "everybody", 9, 0);
        EXPECT_EQ(reply.error, invalid_args);
        EXPECT_EQ(reply.message, "whom: found \"everybody\", expected \"main\" or \"all\"");
        EXPECT_EQ(client->session("x", "Kill", "sia{sv}", "all", 0, 0).error, invalid_args);
        EXPECT_EQ(client->session("x", "Kill", "sia{sv}", "all", 65, 0).error, invalid_args);
        EXPECT_EQ(client->session("x", "Kill", "sia{sv}", "all", 15, 0).error, "org.plugind1.Error.NotActive");
}

TEST_P(Talk, AFailedStartIsToldAndCanBeReset) {
        manifest("dead", "{\"manifestVersion\": 1, \"command\": \"" + bad_plugin_program() +
                                 "\", \"args\": [\"exit\", \"125\"], \"dialect\": \"plugind\"}");
        load(*client, "dead");
        Reply reply = client->session("dead", "SetActiveState", "sa{sv}", "active", 1, "wait", "b", 1);

        EXPECT_EQ(reply.error, "org.plugind1.Error.StartFailed");
        EXPECT_EQ(client->get("dead", "ReportedState"), "errored");
        EXPECT_NE(client->get("dead", "ErrorMessage"), "");
        std::string details = client->get("dead", "ErrorDetails");
        EXPECT_NE(details.find("exit-status: 125"), std::string::npos) << details;
        EXPECT_NE(details.find("runtime: " + runtime_name()), std::string::npos) << details;
        EXPECT_EQ(client->session("dead", "ResetFailed", "a{sv}", 0).outcome(), "ok");
        EXPECT_EQ(client->get("dead", "ReportedState"), "inactive");
        EXPECT_EQ(client->get("dead", "ErrorMessage"), "");
        EXPECT_EQ(client->get("dead", "ErrorDetails"), "{}");
}

TEST_P(Talk, GreetingIsInvalidatedAndThenThere) {
        bad_plugin("greets", "plugind");
        load(*client, "greets");
        EXPECT_EQ(client->get("greets", "Greeting"), "");
        client->match_session("greets");
        client->send("greets", "echo");
        client->catch_up();

        bool invalidated = false;
        for (const Signal &signal : client->signals)
                invalidated = invalidated || (signal.member == "PropertiesChanged" && signal.text.find("[Greeting]") != std::string::npos);
        EXPECT_TRUE(invalidated);
        EXPECT_NE(client->get("greets", "Greeting").find("\"protocol\""), std::string::npos) << client->get("greets", "Greeting");
        EXPECT_EQ(client->get("greets", "Name"), "bad"); /* what it calls itself */
}

TEST_P(Talk, AnAnswerThatIsTooLargeForTheBusIsRefused) {
        Reply reply = client->session("x", "Send", "ssa{sv}", "huge-answer", "{\"bytes\": 2000000}", 0);

        EXPECT_EQ(reply.error, "org.plugind1.Error.LimitsExceeded");
        EXPECT_NE(reply.message.find("2000002"), std::string::npos) << reply.message;
        EXPECT_NE(client->send("x", "huge-answer", "{\"bytes\": 1000000}").find("xxxx"), std::string::npos);
}

BOTH_BUSES(Talk);

} // namespace
