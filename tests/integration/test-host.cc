/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.plugind1.Host over the bus: loading, finding, listing, unloading, and who is told. */
#include "fixture.h"

#include <csignal>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using Host = Daemon;

const char *const no_such_plugin = "org.plugind1.Error.NoSuchPlugin";
const char *const no_such_session = "org.plugind1.Error.NoSuchSession";
const char *const invalid_args = "org.freedesktop.DBus.Error.InvalidArgs";

TEST_P(Host, LoadsByIdByPathAndInline) {
        bad_plugin("by-id");
        bad_plugin("by-path");
        start();
        Client client(address());

        EXPECT_EQ(client.host("Load", "sa{sv}", "by-id", 0).text, session_path("by-id"));
        EXPECT_EQ(client.host("Load", "sa{sv}", (plugin_folder() + "/by-path.json").c_str(), 0).text, session_path("by-path"));
        Reply reply = client.host(
                "Load", "sa{sv}", "inline", 1, "manifest", "s",
                ("{\"manifestVersion\": 1, \"command\": \"" + bad_plugin_program() + "\", \"args\": [\"good\"], \"dialect\": \"jsonrpc\"}")
                        .c_str());
        EXPECT_EQ(reply.outcome(), "ok");
        EXPECT_EQ(reply.text, session_path("inline"));
        EXPECT_EQ(client.get("by-path", "Manifest"), plugin_folder() + "/by-path.json");
        EXPECT_EQ(client.get("inline", "Manifest"), "");
        EXPECT_EQ(client.send("inline", "echo", "[1]"), "[1]");
        EXPECT_EQ(client.get_host("Sessions"), "3");
}

TEST_P(Host, LoadingWhatIsLoadedReturnsTheSame) {
        bad_plugin("x");
        start();
        Client client(address());

        load(client, "x");
        load(client, "x");
        EXPECT_EQ(client.get_host("Sessions"), "1");
}

TEST_P(Host, ErrorsNameWhatIsWrong) {
        manifest("broken", "{\"manifestVersion\": 1, \"dialect\": \"jsonrpc\", \"command\": 7}");
        start();
        Client client(address());

        Reply reply = client.host("Load", "sa{sv}", "nowhere", 0);
        EXPECT_EQ(reply.error, no_such_plugin);
        EXPECT_NE(reply.message.find("nowhere"), std::string::npos) << reply.message;
        reply = client.host("Load", "sa{sv}", "broken", 0);
        EXPECT_EQ(reply.error, "org.plugind1.Error.InvalidManifest");
        EXPECT_NE(reply.message.find("broken.json: command"), std::string::npos) << reply.message;
        reply = client.host("Load", "sa{sv}", "../etc/passwd", 0);
        EXPECT_FALSE(reply.ok());
        EXPECT_EQ(client.host("Unload", "sa{sv}", "nowhere", 0).error, no_such_session);
        reply = client.host("GetSession", "s", "nowhere");
        EXPECT_EQ(reply.error, no_such_session);
        EXPECT_NE(reply.message.find("nowhere"), std::string::npos) << reply.message;
        EXPECT_EQ(client.get("nowhere", "Id").substr(0, 7), "error: ");
}

TEST_P(Host, OptionsThatAreNotKnownAreRefusedByName) {
        bad_plugin("x");
        start();
        Client client(address());

        Reply reply = client.host("Load", "sa{sv}", "x", 1, "speed", "s", "fast");
        EXPECT_EQ(reply.error, invalid_args);
        EXPECT_EQ(reply.message, "Load has no option \"speed\" (it has: wait, manifest, configuration, bind)");
        reply = client.host("Load", "sa{sv}", "x", 1, "wait", "s", "yes");
        EXPECT_EQ(reply.error, invalid_args);
        EXPECT_EQ(reply.message, "option \"wait\" of Load: found type \"s\", expected a boolean (b)");
        reply = client.host("ListSessions", "a{sv}", 1, "all", "b", 1);
        EXPECT_EQ(reply.error, invalid_args);
        EXPECT_EQ(client.get_host("Sessions"), "0"); /* nothing was loaded on the way */
}

TEST_P(Host, ListsInTheOrderOfLoadingWithWhatATableWants) {
        bad_plugin("second", "jsonrpc", "good", "\"name\": \"Second\", \"description\": \"One line\"");
        bad_plugin("first", "plugind");
        start();
        Client client(address());
        load(client, "second");
        load(client, "first");
        client.send("first", "echo");

        std::string text = client.host("ListSessions", "a{sv}", 0).text;
        EXPECT_LT(text.find("(second, "), text.find("(first, ")) << text;
        EXPECT_NE(text.find("(second, " + session_path("second") +
                            ", {name: Second, description: One line, type: process, dialect: jsonrpc, runtime: " + runtime_name() +
                            ", desired-state: active, reported-state: inactive, state-changed-at: "),
                  std::string::npos)
                << text;
        EXPECT_NE(text.find("reported-state: active, state-changed-at: "), std::string::npos) << text;
        EXPECT_NE(text.find("main-pid: " + client.get("first", "MainPID") + ", restarts: 0, error-message: }"), std::string::npos) << text;
}

TEST_P(Host, UnloadStopsAndForgets) {
        bad_plugin("x");
        start();
        Client client(address());
        load(client, "x");
        int fds = settled_fds();
        client.send("x", "echo");
        pid_t pid = std::stoi(client.get("x", "MainPID"));
        EXPECT_GT(pid, 0);
        EXPECT_EQ(daemon.children(), 1);

        EXPECT_EQ(client.host("Unload", "sa{sv}", "x", 0).outcome(), "ok");
        EXPECT_NE(kill(pid, 0), 0); /* gone when the answer comes */
        EXPECT_EQ(client.host("GetSession", "s", "x").error, no_such_session);
        EXPECT_EQ(client.host("ListSessions", "a{sv}", 0).text, "[]");
        EXPECT_TRUE(wait_counts(fds, 0)) << daemon.fds() << " of " << fds;
}

TEST_P(Host, SignalsOfComingAndGoing) {
        bad_plugin("x");
        start();
        Client client(address());
        client.match("path='/org/plugind1'");
        load(client, "x");
        ASSERT_EQ(client.host("Unload", "sa{sv}", "x", 0).outcome(), "ok");
        client.catch_up();

        ASSERT_EQ(client.signals.size(), 4u);
        EXPECT_EQ(client.signals[0].member, "InterfacesAdded");
        EXPECT_EQ(client.signals[0].text.find(session_path("x") + ", {"), 0u) << client.signals[0].text;
        EXPECT_NE(client.signals[0].text.find("ReportedState: inactive"), std::string::npos);
        EXPECT_EQ(client.signals[1].member, "SessionNew");
        EXPECT_EQ(client.signals[1].text, "x, " + session_path("x"));
        EXPECT_EQ(client.signals[2].member, "SessionRemoved");
        EXPECT_EQ(client.signals[2].text, "x, " + session_path("x") + ", unloaded");
        EXPECT_EQ(client.signals[3].member, "InterfacesRemoved");
        EXPECT_EQ(client.signals[3].text.find(session_path("x") + ", ["), 0u) << client.signals[3].text;
        EXPECT_NE(client.signals[3].text.find("org.plugind1.Session"), std::string::npos);
}

TEST_P(Host, BoundSessionsEndWithTheirLastBoundCaller) {
        bad_plugin("x");
        start();
        Client watcher(address());
        watcher.match("member='SessionRemoved'");
        {
                Client second(address());
                {
                        Client first(address());

                        ASSERT_EQ(first.host("Load", "sa{sv}", "x", 1, "bind", "b", 1).outcome(), "ok");
                        ASSERT_EQ(second.host("Load", "sa{sv}", "x", 1, "bind", "b", 1).outcome(), "ok");
                        Reply reply = first.host("Unload", "sa{sv}", "x", 0);
                        EXPECT_EQ(reply.error, "org.plugind1.Error.Busy") << reply.message;
                }
                EXPECT_EQ(second.send("x", "echo", "[1]"), "[1]");
        }
        std::optional<Signal> removed = watcher.take("SessionRemoved");
        ASSERT_TRUE(removed);
        EXPECT_EQ(removed->text.find("x, "), 0u);

        Client other(address());
        ASSERT_EQ(other.host("Load", "sa{sv}", "x", 1, "bind", "b", 1).outcome(), "ok");
        EXPECT_EQ(watcher.host("Unload", "sa{sv}", "x", 0).error, "org.plugind1.Error.Busy");
        EXPECT_EQ(watcher.host("Unload", "sa{sv}", "x", 1, "force", "b", 1).outcome(), "ok");
}

TEST_P(Host, LoadWithWaitAnswersWhenSettled) {
        start(); /* before they are there: they are not loaded at boot */
        manifest("boot", "{\"manifestVersion\": 1, \"command\": \"" + bad_plugin_program() +
                                 "\", \"args\": [\"slow\", \"300\"], \"dialect\": \"plugind\", \"activation\": \"boot\"}");
        manifest("dead", "{\"manifestVersion\": 1, \"command\": \"" + bad_plugin_program() +
                                 "\", \"args\": [\"exit\", \"125\"], \"dialect\": \"plugind\", \"activation\": \"boot\"}");
        Client client(address());

        Reply reply = client.host("Load", "sa{sv}", "boot", 1, "wait", "b", 1);
        EXPECT_EQ(reply.outcome(), "ok");
        EXPECT_EQ(client.get("boot", "ReportedState"), "active");
        reply = client.host("Load", "sa{sv}", "dead", 1, "wait", "b", 1);
        EXPECT_EQ(reply.error, "org.plugind1.Error.StartFailed") << reply.message;
        EXPECT_EQ(client.get("dead", "ReportedState"), "errored");
}

TEST_P(Host, Properties) {
        start();
        Client client(address());

        EXPECT_EQ(client.get_host("Version"), PROJECT_VERSION);
        EXPECT_EQ(client.get_host("Features"),
                  booted() ? "[history, log-lines, lsp, mcp, statistics, hand-over]" : "[history, log-lines, lsp, mcp, statistics]");
        EXPECT_EQ(client.get_host("RuntimeProvider"), runtime_name());
        EXPECT_EQ(client.get_host("RuntimeProviders"), booted() ? "[local, systemd]" : "[local]");
        EXPECT_NE(client.get_host("Limits").find("send-bytes: 1048576"), std::string::npos) << client.get_host("Limits");
        EXPECT_NE(client.get_host("Limits").find("requests: "), std::string::npos);
}

TEST_P(Host, ReloadCountsFromTheNextStart) {
        bad_plugin("x", "jsonrpc", "good", "\"description\": \"old\"");
        start();
        Client client(address());
        load(client, "x");
        client.send("x", "echo");
        std::string pid = client.get("x", "MainPID");

        bad_plugin("x", "jsonrpc", "good", "\"description\": \"new\", \"env\": {\"COLOUR\": \"blue\"}");
        EXPECT_EQ(client.host("Reload", "a{sv}", 0).outcome(), "ok");
        EXPECT_EQ(client.get("x", "MainPID"), pid);
        ASSERT_EQ(client.session("x", "Restart", "a{sv}", 1, "wait", "b", 1).outcome(), "ok");
        EXPECT_EQ(client.get("x", "Description"), "new");
        EXPECT_NE(client.send("x", "info").find("\"COLOUR\": \"blue\""), std::string::npos);
}

TEST_P(Host, ReloadUnloadsWhatWasRemovedIfAsked) {
        bad_plugin("kept", "jsonrpc");
        bad_plugin("gone", "jsonrpc");
        start();
        Client client(address());
        load(client, "kept");
        load(client, "gone");
        ASSERT_EQ(client.host("Load", "sa{sv}", "inline", 1, "manifest", "s",
                              "{\"manifestVersion\": 1, \"type\": \"external\", \"dialect\": \"jsonrpc\"}")
                          .outcome(),
                  "ok");
        client.send("gone", "echo");
        std::string pid = client.get("gone", "MainPID");
        ASSERT_EQ(unlink((plugin_folder() + "/gone.json").c_str()), 0);

        EXPECT_EQ(client.host("Reload", "a{sv}", 0).outcome(), "ok");
        EXPECT_EQ(client.get("gone", "MainPID"), pid); /* as it always was: what runs keeps running */

        client.match("member='SessionRemoved'");
        EXPECT_EQ(client.host("Reload", "a{sv}", 1, "unload-removed", "b", 1).outcome(), "ok");
        std::optional<Signal> removed = client.take("SessionRemoved");
        ASSERT_TRUE(removed);
        EXPECT_EQ(removed->text, "gone, " + session_path("gone") + ", removed");
        EXPECT_EQ(client.host("GetSession", "s", "gone").error, no_such_session);
        EXPECT_EQ(client.host("GetSession", "s", "kept").outcome(), "ok");
        EXPECT_EQ(client.host("GetSession", "s", "inline").outcome(), "ok");
}

TEST_P(Host, ConnectAttachesAnExternalPlugin) {
        manifest("ext", "{\"manifestVersion\": 1, \"type\": \"external\", \"dialect\": \"jsonrpc\"}");
        bad_plugin("process");
        start();
        Client client(address());
        load(client, "ext");
        load(client, "process");
        int ends[2], pipe_ends[2];
        ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        ASSERT_EQ(pipe(pipe_ends), 0);

        Reply reply = client.host("Connect", "sha{sv}", "ext", pipe_ends[0], 0);
        EXPECT_EQ(reply.error, invalid_args);
        EXPECT_EQ(reply.message, "duplex: found a pipe, expected a connected stream socket");
        EXPECT_EQ(client.host("Connect", "sha{sv}", "process", ends[0], 0).error, "org.plugind1.Error.NotSupported");
        EXPECT_EQ(client.host("Connect", "sha{sv}", "nowhere", ends[0], 0).error, no_such_session);
        reply = client.host("Connect", "sha{sv}", "ext", ends[0], 1, "framing", "s", "words");
        EXPECT_EQ(reply.error, invalid_args);
        ASSERT_EQ(client.host("Connect", "sha{sv}", "ext", ends[0], 0).outcome(), "ok");
        close(ends[0]);
        EXPECT_TRUE(client.wait_property("ext", "ReportedState", "active"));
        EXPECT_EQ(client.get("ext", "Supervised"), "false");
        EXPECT_EQ(client.get("ext", "Type"), "external");

        Client::Pending answer = client.session_async("ext", "Send", "ssa{sv}", "hello", "{\"a\":1}", 0);
        sd_bus_flush(client.get());
        char line[256] = {};
        ASSERT_GT(read(ends[1], line, sizeof(line) - 1), 0);
        std::string text(line);
        EXPECT_NE(text.find("\"method\":\"hello\""), std::string::npos) << text;
        size_t at = text.find("\"id\":") + 5;
        std::string response = "{\"jsonrpc\":\"2.0\",\"id\":" + text.substr(at, text.find_first_of(",}", at) - at) +
                               ",\"result\":\"hi\"}\n";
        ASSERT_EQ(write(ends[1], response.data(), response.size()), (ssize_t) response.size());
        ASSERT_TRUE(client.wait(answer));
        EXPECT_EQ(answer->text, "\"hi\"");

        int others[2];
        ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, others), 0);
        EXPECT_EQ(client.session("ext", "Connect", "ha{sv}", others[0], 0).error, "org.plugind1.Error.AlreadyConnected");
        close(ends[1]);
        EXPECT_TRUE(client.wait_property("ext", "ReportedState", "connecting"));
        int fds = settled_fds();
        EXPECT_EQ(client.session("ext", "Connect", "ha{sv}", others[0], 0).outcome(), "ok"); /* it comes again */
        EXPECT_TRUE(client.wait_property("ext", "ReportedState", "active"));
        close(others[0]);
        close(others[1]);
        EXPECT_TRUE(client.wait_property("ext", "ReportedState", "connecting"));
        EXPECT_TRUE(wait_counts(fds, 0)) << daemon.fds() << " of " << fds;
        close(pipe_ends[0]);
        close(pipe_ends[1]);
}

BOTH_BUSES(Host);

} // namespace
