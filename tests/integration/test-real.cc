/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What plugind is for, with programs of others as they are: the MCP reference server of npm ($PLUGIND_TEST_MCP_SERVER, the path of its
 * mcp-server-everything) and clangd; and with the example plugin in Python, what a plugin's death and a restart of plugind leave.
 */
#include "command.h"
#include "fixture.h"

#include <algorithm>
#include <cctype>
#include <csignal>
#include <cstdlib>
#include <glib.h>

namespace {

constexpr char busctl[] = "/usr/bin/busctl";

#define EXPECT_CONTAINS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

/* Params of tools/call. TOKEN: of the progress, as JSON. */
std::string tool(const std::string &name, const std::string &arguments, const std::string &token = "") {
        return "{\"name\": \"" + name + "\", \"arguments\": " + arguments +
               (token.empty() ? "" : ", \"_meta\": {\"progressToken\": " + token + "}") + "}";
}

std::string echo_tool(const std::string &text, const std::string &token = "") {
        return tool("echo", "{\"message\": \"" + text + "\"}", token);
}

std::string echoed(const std::string &text) {
        return "\"text\":\"Echo: " + text + "\"";
}

std::string long_tool(const std::string &seconds, int steps, const std::string &token = "") {
        return tool("trigger-long-running-operation", "{\"duration\": " + seconds + ", \"steps\": " + std::to_string(steps) + "}", token);
}

/* Of the signals that CLIENT has got, those of MEMBER. */
std::vector<std::string> texts_of(const Client &client, const std::string &member) {
        std::vector<std::string> texts;

        for (const Signal &signal : client.signals)
                if (signal.member == member)
                        texts.push_back(signal.text);
        return texts;
}

/* ID stands in a response, and not only the beginning of a longer one. */
bool has_id(const std::string &response, int id) {
        size_t at = response.find("\"id\":" + std::to_string(id));

        return at != std::string::npos && !isdigit(response[response.find(':', at) + 1 + std::to_string(id).size()]);
}

/* Notifications of METHOD that CLIENT has got. */
std::vector<std::string> heard(const Client &client, const std::string &method) {
        std::vector<std::string> texts = texts_of(client, "Notification");

        texts.erase(std::remove_if(texts.begin(), texts.end(),
                                   [&](const std::string &text) { return text.find(", " + method + ", ") == std::string::npos; }),
                    texts.end());
        return texts;
}

class Real : public Daemon {
      protected:
        /* LINES: the whole manifest, which is a short one. */
        void short_manifest(const std::string &id, const std::string &lines) {
                ASSERT_LT(std::count(lines.begin(), lines.end(), '\n'), 10);
                manifest(id, lines);
        }

        void everything(Client &client) {
                short_manifest("everything", "{\n"
                                             "    \"manifestVersion\": 1,\n"
                                             "    \"command\": \"" +
                                                     visible(getenv("PLUGIND_TEST_MCP_SERVER")) +
                                                     "\",\n"
                                                     "    \"args\": [\"stdio\"],\n"
                                                     "    \"dialect\": \"mcp\",\n"
                                                     "    \"timeouts\": {\"start\": 120, \"request\": 120}\n"
                                                     "}\n");
                load(client, "everything");
        }

        void echo_python(Client &client, const std::string &id, const std::string &configuration = "") {
                manifest(id, "{\"manifestVersion\": 1, \"command\": \"python3\", \"args\": [\"" + echo_python_program() +
                                     "\"], \"dialect\": \"plugind\"}");
                if (configuration.empty())
                        load(client, id);
                else
                        ASSERT_EQ(client.host("Load", "sa{sv}", id.c_str(), 1, "configuration", "s", configuration.c_str()).outcome(),
                                  "ok");
        }

        /* What a program says on stdout; it must succeed. */
        std::string run(const std::vector<std::string> &line) {
                Command command(line, { { "DBUS_SESSION_BUS_ADDRESS", address() }, { "LC_ALL", "C.UTF-8" } });

                EXPECT_EQ(command.wait(), 0) << line[0] << ": " << command.out << command.err;
                return command.out;
        }
        std::string ctl_send(const std::string &id, const std::string &method, const std::string &params) {
                return run({ pluginctl_program(), bus_option(), "--json=short", "send", id, method, params });
        }
        std::string busctl_send(const std::string &id, const std::string &method, const std::string &params) {
                return run({ busctl, bus_option(), "--timeout=120", "--json=short", "call", "org.plugind1", session_path(id),
                             "org.plugind1.Session", "Send", "ssa{sv}", method, params, "0" });
        }

        void kill_in_the_middle(const std::string &id, const char *method, const std::string &params, const char *next,
                                const std::string &next_params, const std::string &next_answer);
};

#define NEEDS_MCP_SERVER()                                                                                                                 \
        if (!getenv("PLUGIND_TEST_MCP_SERVER"))                                                                                            \
        GTEST_SKIP() << "PLUGIND_TEST_MCP_SERVER does not name an mcp-server-everything (./dev test installs one from npm)"

/* -- Model Context Protocol -- */

TEST_P(Real, AnMcpServerAnswersHoweverItIsCalled) {
        NEEDS_MCP_SERVER();
        start();
        Client client(address());
        everything(client);

        EXPECT_CONTAINS(client.send("everything", "tools/list"), "\"name\":\"echo\"");
        EXPECT_CONTAINS(client.send("everything", "tools/call", echo_tool("sd-bus")), echoed("sd-bus"));
        EXPECT_CONTAINS(ctl_send("everything", "tools/list", "{}"), "\"name\":\"echo\"");
        EXPECT_CONTAINS(ctl_send("everything", "tools/call", echo_tool("pluginctl")), echoed("pluginctl"));
        /* Its answer is a string within JSON. */
        EXPECT_CONTAINS(busctl_send("everything", "tools/list", "{}"), "\\\"name\\\":\\\"echo\\\"");
        EXPECT_CONTAINS(busctl_send("everything", "tools/call", echo_tool("busctl")), "\\\"Echo: busctl\\\"");
        EXPECT_CONTAINS(client.get("everything", "Greeting"), "\"serverInfo\"");
        EXPECT_EQ(client.get("everything", "Restarts"), "0");
}

/* Two callers with the same id and the same progress token at the same time, and one that subscribed to all there is. */
TEST_P(Real, ProgressOfAnMcpServerReachesItsCallerAlone) {
        NEEDS_MCP_SERVER();
        start();
        Client one(address()), two(address()), subscriber(address());
        everything(one);
        for (Client *client : { &one, &two, &subscriber })
                client->match("member='Notification'");
        ASSERT_EQ(subscriber.session("everything", "Subscribe", "asa{sv}", 0, 0).outcome(), "ok");

        Client::Pending first = one.session_async("everything", "Send", "ssa{sv}", "tools/call", long_tool("0.6", 3, "\"same\"").c_str(), 1,
                                                  "id", "s", "7");
        Client::Pending second = two.session_async("everything", "Send", "ssa{sv}", "tools/call", long_tool("0.4", 2, "\"same\"").c_str(),
                                                   1, "id", "s", "7");
        ASSERT_TRUE(one.wait(first));
        ASSERT_TRUE(two.wait(second));
        EXPECT_CONTAINS(first->text, "Steps: 3.");
        EXPECT_CONTAINS(second->text, "Steps: 2.");

        const std::pair<Client *, size_t> expected[] = { { &one, 3 }, { &two, 2 } };
        for (auto [client, steps] : expected) {
                std::vector<std::string> progress = heard(*client, "notifications/progress");

                ASSERT_EQ(progress.size(), steps);
                for (size_t step = 1; step <= steps; step++) {
                        EXPECT_EQ(progress[step - 1].find("7, "), 0u) << progress[step - 1];
                        EXPECT_CONTAINS(progress[step - 1], "\"progress\":" + std::to_string(step) + ",");
                        EXPECT_CONTAINS(progress[step - 1], "\"total\":" + std::to_string(steps) + ",");
                        EXPECT_CONTAINS(progress[step - 1], "\"progressToken\":\"same\"");
                }
                EXPECT_EQ(client->signals.size(), steps); /* they did not subscribe to anything else */
        }
        subscriber.catch_up();
        EXPECT_EQ(heard(subscriber, "notifications/progress"), std::vector<std::string>());
}

TEST_P(Real, AHundredCallersOfAnMcpServerWithEqualIdsEachGetTheirOwnAnswers) {
        NEEDS_MCP_SERVER();
        const int n_callers = 100, n_sends = 100;
        start();
        std::vector<std::unique_ptr<Client>> clients;
        std::vector<std::vector<Client::Pending>> answers(n_callers);

        for (int i = 0; i < n_callers; i++)
                clients.push_back(std::make_unique<Client>(address()));
        everything(*clients[0]);
        for (int j = 0; j < n_sends; j++)
                for (int i = 0; i < n_callers; i++) {
                        std::string params = echo_tool(std::to_string(i) + "/" + std::to_string(j), std::to_string(j));

                        answers[i].push_back(clients[i]->session_async("everything", "Send", "ssa{sv}", "tools/call", params.c_str(), 2,
                                                                       "id", "i", j, "envelope", "b", 1));
                }
        for (int i = 0; i < n_callers; i++)
                for (int j = 0; j < n_sends; j++) {
                        const Client::Pending &answer = answers[i][j];

                        ASSERT_TRUE(clients[i]->wait(answer));
                        ASSERT_EQ(answer->outcome(), "ok");
                        ASSERT_NE(answer->text.find(echoed(std::to_string(i) + "/" + std::to_string(j))), std::string::npos)
                                << answer->text;
                        ASSERT_TRUE(has_id(answer->text, j)) << answer->text;
                }
}

/* -- Language Server Protocol -- */

TEST_P(Real, ClangdOpensAFileHoversAndTellsTheSubscriberWhatIsWrong) {
        g_autofree char *clangd = g_find_program_in_path("clangd");
        if (!clangd)
                GTEST_SKIP() << "clangd is not installed";
        const std::string uri = "file://" + std::string(folder) + "/answer.c", document = "\"textDocument\": {\"uri\": \"" + uri + "\"";
        const std::string text = "/** What it is all about. */\\nint answer = 42;\\nint main(void) { return anser; }\\n";
        const std::string hover = "{" + document + "}, \"position\": {\"line\": 1, \"character\": 5}}";

        short_manifest("clangd", "{\n"
                                 "    \"manifestVersion\": 1,\n"
                                 "    \"command\": \"clangd\",\n"
                                 "    \"args\": [\"--background-index=false\", \"--log=error\", \"-j=1\"],\n"
                                 "    \"dialect\": \"lsp\",\n"
                                 "    \"timeouts\": {\"start\": 120, \"request\": 120}\n"
                                 "}\n");
        start();
        Client editor(address()), other(address()), stranger(address());
        load(editor, "clangd");
        for (Client *client : { &editor, &other, &stranger })
                client->match("member='Notification'");
        ASSERT_EQ(editor.session("clangd", "Subscribe", "asa{sv}", 1, "textDocument/publishDiagnostics", 0).outcome(), "ok");
        ASSERT_EQ(other.session("clangd", "Subscribe", "asa{sv}", 1, "window/showMessage", 0).outcome(), "ok");
        Reply opened = editor.session("clangd", "Notify", "ssa{sv}", "textDocument/didOpen",
                                      ("{" + document + ", \"languageId\": \"c\", \"version\": 1, \"text\": \"" + text + "\"}}").c_str(),
                                      0);
        ASSERT_EQ(opened.outcome(), "ok");

        EXPECT_CONTAINS(editor.send("clangd", "textDocument/hover", hover), "What it is all about.");
        EXPECT_CONTAINS(stranger.send("clangd", "textDocument/hover", hover), "What it is all about.");
        EXPECT_CONTAINS(ctl_send("clangd", "textDocument/hover", hover), "What it is all about.");
        EXPECT_CONTAINS(busctl_send("clangd", "textDocument/hover", hover), "What it is all about.");

        std::optional<Signal> diagnostics = editor.take("Notification", 4 * patience_usec);
        ASSERT_TRUE(diagnostics);
        EXPECT_EQ(diagnostics->destination, editor.name());
        EXPECT_EQ(diagnostics->text.find(", textDocument/publishDiagnostics, {"), 0u) << diagnostics->text;
        EXPECT_CONTAINS(diagnostics->text, uri);
        EXPECT_CONTAINS(diagnostics->text, "anser");
        for (Client *client : { &other, &stranger }) {
                client->catch_up();
                EXPECT_EQ(texts_of(*client, "Notification"), std::vector<std::string>());
        }
}

/* -- the death of a plugin -- */

uint64_t kill_to_answer_max() {
        const char *wrapper = getenv("PLUGIND_TEST_WRAPPER");

        return wrapper && *wrapper ? 5'000'000 : 100'000;
}

/* Several calls of two callers are in METHOD when the plugin is killed; NEXT is sent as soon as they have their answers. */
void Real::kill_in_the_middle(const std::string &id, const char *method, const std::string &params, const char *next,
                              const std::string &next_params, const std::string &next_answer) {
        Client one(address()), two(address()), watcher(address());
        std::vector<std::pair<Client *, Client::Pending>> calls;

        for (Client *client : { &one, &two, &one, &two }) {
                calls.emplace_back(client, client->session_async(id, "Send", "ssa{sv}", method, params.c_str(), 0));
                ASSERT_NE(client->send(id, next, next_params).find(next_answer), std::string::npos); /* so it has got that call */
        }
        EXPECT_EQ(watcher.get(id, "InFlight"), "4");
        EXPECT_EQ(watcher.get(id, "ReportedState"), "active");
        pid_t pid = std::stoi(watcher.get(id, "MainPID"));
        watcher.match_session(id);
        ASSERT_GT(pid, 1);

        int64_t killed = g_get_monotonic_time();
        ASSERT_EQ(kill(pid, SIGKILL), 0);
        for (const auto &[client, call] : calls)
                ASSERT_TRUE(client->wait(call));
        int64_t took = g_get_monotonic_time() - killed;
        EXPECT_LE(took, (int64_t) kill_to_answer_max()) << "microseconds from the kill to the last answer";
        RecordProperty("kill_to_answers_usec", std::to_string(took));
        for (const auto &[client, call] : calls)
                EXPECT_EQ(call->error, "org.plugind1.Error.ConnectionLost") << call->outcome();

        EXPECT_CONTAINS(one.send(id, next, next_params), next_answer);
        EXPECT_NE(watcher.get(id, "MainPID"), std::to_string(pid));
        EXPECT_EQ(watcher.get(id, "Restarts"), "1");
        EXPECT_EQ(texts_of(watcher, "StateChanged"), (std::vector<std::string>{
                                                             "restarting, active, killed",
                                                             "starting, restarting, restart",
                                                             "connecting, starting, started",
                                                             "active, connecting, connected",
                                                     }));
        EXPECT_EQ(texts_of(watcher, "Ended"), std::vector<std::string>{ "killed, 9" });
}

TEST_P(Real, AKilledPluginAnswersConnectionLostAtOnceAndIsThereAgain) {
        start();
        Client client(address());
        echo_python(client, "echo");
        kill_in_the_middle("echo", "delay", "{\"ms\": 600000}", "echo", "[\"next\"]", "[\"next\"]");
}

TEST_P(Real, AKilledMcpServerAnswersConnectionLostAtOnceAndIsThereAgain) {
        NEEDS_MCP_SERVER();
        start();
        Client client(address());
        everything(client);
        kill_in_the_middle("everything", "tools/call", long_tool("600", 1), "tools/call", echo_tool("next"), echoed("next"));
}

/* -- a restart of plugind -- */

TEST_P(Real, DesiredStatesAndConfigurationsSurviveARestartOfTheDaemon) {
        const std::string ran = "{\"station\":\"EDDF\",\"above\":[35.5,null]}", stopped = "{\"station\":\"ENGM\"}";
        start();
        {
                Client client(address());

                echo_python(client, "ran", ran);
                echo_python(client, "stopped", stopped);
                echo_python(client, "asleep");
                EXPECT_CONTAINS(client.send("ran", "info"), "\"configuration\":" + ran); /* on demand */
                EXPECT_CONTAINS(client.send("stopped", "info"), "\"configuration\":" + stopped);
                ASSERT_EQ(client.session("stopped", "SetActiveState", "sa{sv}", "inactive", 1, "wait", "b", 1).outcome(), "ok");
        }
        ASSERT_EQ(stop(), 0) << daemon.output();
        again();

        start();
        Client client(address());
        EXPECT_EQ(client.get_host("Sessions"), "3");
        EXPECT_TRUE(client.wait_property("ran", "ReportedState", "active")); /* though nobody calls it */
        EXPECT_EQ(client.get("ran", "DesiredState"), "active");
        EXPECT_CONTAINS(client.send("ran", "info"), "\"configuration\":" + ran);
        EXPECT_EQ(client.get("asleep", "DesiredState"), "active");
        EXPECT_EQ(client.get("asleep", "ReportedState"), "inactive");
        EXPECT_CONTAINS(client.send("asleep", "info"), "\"configuration\":{}");
        EXPECT_EQ(client.get("stopped", "DesiredState"), "inactive");
        EXPECT_EQ(client.get("stopped", "ReportedState"), "inactive");
        EXPECT_EQ(client.session("stopped", "Send", "ssa{sv}", "echo", "", 0).error, "org.plugind1.Error.NotActive");
        ASSERT_EQ(client.session("stopped", "SetActiveState", "sa{sv}", "active", 1, "wait", "b", 1).outcome(), "ok");
        EXPECT_CONTAINS(client.send("stopped", "info"), "\"configuration\":" + stopped);
}

/* -- whose notification -- */

TEST_P(Real, OfTwoHundredSubscribersOnlyTheOneThatAskedHearsItsNotification) {
        const int n = 200, asking = 137;
        start();
        std::vector<std::unique_ptr<Client>> clients;
        auto all_catch_up = [&] {
                for (const auto &client : clients)
                        client->catch_up();
        };

        for (int i = 0; i < n; i++) {
                clients.push_back(std::make_unique<Client>(address()));
                if (i == 0)
                        echo_python(*clients[0], "echo");
                clients[i]->match("member='Notification'");
                ASSERT_EQ(clients[i]->session("echo", "Subscribe", "asa{sv}", 0, 0).outcome(), "ok");
        }
        Reply reply = clients[asking]->session("echo", "Send", "ssa{sv}", "progress", "{\"steps\": 2}", 1, "id", "s", "mine");
        EXPECT_EQ(reply.outcome(), "ok");
        all_catch_up();
        for (int i = 0; i < n; i++)
                EXPECT_EQ(heard(*clients[i], "plugind/progress").size(), i == asking ? 2u : 0u) << i;

        /* What belongs to nobody's call is for all of them. */
        EXPECT_EQ(clients[0]->send("echo", "notify", "{\"method\": \"news\"}"), "{\"sent\":1}");
        all_catch_up();
        for (int i = 0; i < n; i++)
                EXPECT_EQ(heard(*clients[i], "news").size(), 1u) << i;

        /* All at once, with one id: each hears what its own call was about. */
        std::vector<Client::Pending> answers;
        for (int i = 0; i < n; i++) {
                clients[i]->signals.clear();
                answers.push_back(clients[i]->session_async("echo", "Send", "ssa{sv}", "progress",
                                                            ("{\"steps\": " + std::to_string(i % 5) + "}").c_str(), 1, "id", "u", 1u));
        }
        for (int i = 0; i < n; i++)
                ASSERT_TRUE(clients[i]->wait(answers[i]));
        all_catch_up();
        for (int i = 0; i < n; i++) {
                std::vector<std::string> expected;

                for (int step = 1; step <= i % 5; step++)
                        expected.push_back("1, plugind/progress, {\"value\":{\"step\":" + std::to_string(step) +
                                           ",\"of\":" + std::to_string(i % 5) + "}}");
                EXPECT_EQ(texts_of(*clients[i], "Notification"), expected) << i;
        }
}

BOTH_BUSES(Real);

} // namespace
