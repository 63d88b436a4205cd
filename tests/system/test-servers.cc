/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Servers of others as they are, in the sandbox that every plugin gets if its manifest says nothing, called through plugind. */
#include "fixture.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace {

namespace fs = std::filesystem;

#define EXPECT_CONTAINS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

class Servers : public ServiceTest {
      protected:
        /* MORE: the keys that say what it is. PROFILE: that it runs under. */
        void load(const std::string &id, const std::string &more, const std::string &profile = "strict") {
                manifest(id, R"({"manifestVersion": 1, "timeouts": {"start": 60, "request": 60}, )" + more + "}");
                ASSERT_EQ(client->host("Load", "sa{sv}", id.c_str(), 0).outcome(), "ok");
                ASSERT_EQ(client->session(id, "SetActiveState", "sa{sv}", "active", 1, "wait", "b", 1).outcome(), "ok");
                EXPECT_EQ(client->get(id, "Unit").rfind("plugind-" + profile + "-" + id + "-", 0), 0u);
                EXPECT_EQ(unit_property(client->get(id, "Unit"), "PrivateNetwork"), profile == "strict" ? "yes" : "no");
        }
        void ran_well(const std::string &id) {
                EXPECT_EQ(client->get(id, "ReportedState"), "active");
                EXPECT_EQ(client->get(id, "Restarts"), "0");
                EXPECT_EQ(client->host("Unload", "sa{sv}", id.c_str(), 0).outcome(), "ok");
        }
};

TEST_F(Servers, TheReferenceServerOfMcpUnderStrict) {
        const char *handed_in = getenv("PLUGIND_TEST_MCP_SERVER");
        if (!handed_in)
                GTEST_SKIP() << "PLUGIND_TEST_MCP_SERVER does not name an mcp-server-everything (./dev test installs one from npm)";
        /* Where it lives may be in a home; the build folder is to be seen elsewhere as well. */
        std::string server = handed_in;
        size_t npm = server.find("/npm/node_modules/");
        ASSERT_NE(npm, std::string::npos) << server << ": expected one of .ci/npm";
        server = build_path(server.substr(npm + 1));
        ASSERT_TRUE(fs::exists(server)) << server;

        load("everything", R"("command": ")" + server + R"(", "args": ["stdio"], "dialect": "mcp")");
        EXPECT_CONTAINS(client->get("everything", "Greeting"), "\"serverInfo\"");
        EXPECT_CONTAINS(client->send("everything", "tools/list"), "\"name\":\"echo\"");
        EXPECT_CONTAINS(client->send("everything", "tools/call", R"({"name": "echo", "arguments": {"message": "from the sandbox"}})"),
                        "\"text\":\"Echo: from the sandbox\"");
        EXPECT_CONTAINS(client->send("everything", "tools/call", R"({"name": "get-sum", "arguments": {"a": 40, "b": 2}})"), "42");
        EXPECT_CONTAINS(client->send("everything", "resources/list"), "\"resources\":[");
        EXPECT_CONTAINS(client->send("everything", "prompts/list"), "\"prompts\":[");

        client->match("member='Notification'");
        EXPECT_CONTAINS(client->send("everything", "tools/call",
                                     R"({"name": "trigger-long-running-operation", "arguments": {"duration": 0.2, "steps": 2},)"
                                     R"( "_meta": {"progressToken": 1}})"),
                        "Steps: 2.");
        EXPECT_TRUE(client->take("Notification"));
        std::string environment = client->send("everything", "tools/call", R"({"name": "get-env", "arguments": {}})");
        EXPECT_CONTAINS(environment, "/var/lib/plugind-data/everything");
        EXPECT_EQ(environment.find("NOTIFY_SOCKET"), std::string::npos) << environment;
        ran_well("everything");
}

TEST_F(Servers, ClangdUnderStrictSeesTheProjectThatItsManifestNames) {
        if (run({ "which", "clangd" }).status != 0)
                GTEST_SKIP() << "clangd is not installed";
        const std::string project = "/home/" + std::string(ordinary_user) + "/project", file = project + "/answer.c";
        const std::string uri = "\"uri\": \"file://" + file + "\"";

        fs::create_directories(project);
        std::ofstream(project + "/answer.h") << "/** What it is all about. */\nextern int answer;\n";
        std::ofstream(file) << "#include \"answer.h\"\nint answer = 42;\nint main(void) { return anser; }\n";
        std::ofstream(project + "/compile_flags.txt") << "-xc\n-Wall\n";
        ASSERT_EQ(run({ "chmod", "-R", "a+rX", "/home/" + std::string(ordinary_user) }).status, 0);
        load("clangd", R"("command": "clangd", "args": ["--background-index=false", "--log=error", "-j=1"], "dialect": "lsp", "sandbox": {)"
                       R"("readOnlyPaths": [")" +
                               project + "\"]}");
        client->match("member='Notification'");
        ASSERT_EQ(client->session("clangd", "Subscribe", "asa{sv}", 1, "textDocument/publishDiagnostics", 0).outcome(), "ok");
        std::string opened =
                "{\"textDocument\": {" + uri +
                R"(, "languageId": "c", "version": 1, "text": "#include \"answer.h\"\nint answer = 42;\nint main(void) { return anser; }\n"}})";
        ASSERT_EQ(client->session("clangd", "Notify", "ssa{sv}", "textDocument/didOpen", opened.c_str(), 0).outcome(), "ok");
        /* The comment is in the header, on the disk. */
        EXPECT_CONTAINS(client->send("clangd", "textDocument/hover",
                                     "{\"textDocument\": {" + uri + R"(}, "position": {"line": 1, "character": 5}})"),
                        "What it is all about.");
        auto diagnostics = client->take("Notification", 2 * patience_usec);
        ASSERT_TRUE(diagnostics);
        EXPECT_CONTAINS(diagnostics->text, "anser");
        EXPECT_EQ(diagnostics->text.find("answer.h' file not found"), std::string::npos) << diagnostics->text;
        ran_well("clangd");
        fs::remove_all(project);
}

TEST_F(Servers, AnEchoInPythonUnderStrict) {
        load("python",
             R"("command": "python3", "args": [")" + source_path("plugins/examples/python/echo.py") + R"("], "dialect": "plugind")");
        EXPECT_EQ(client->send("python", "echo", R"({"a":[1,"ü",null]})"), R"({"a":[1,"ü",null]})");
        EXPECT_CONTAINS(client->send("python", "info"), "\"dataDir\":\"/var/lib/plugind-data/python\"");
        client->match("member='Notification'");
        EXPECT_EQ(client->send("python", "progress", R"({"steps": 2})"), R"({"steps":2})");
        EXPECT_TRUE(client->take("Notification"));
        client->send("python", "log", R"({"level": 4, "message": "said in the sandbox"})");
        EXPECT_TRUE(client->poll(
                [&] { return journal_since({ "SYSLOG_IDENTIFIER=python" }).find("said in the sandbox") != std::string::npos; }));
        ran_well("python");
}

TEST_F(Servers, AnEchoInJavaScriptUnderStrict) {
        if (run({ "which", "node" }).status != 0)
                GTEST_SKIP() << "node is not installed";
        load("node",
             R"("command": "node", "args": [")" + source_path("plugins/examples/javascript/echo.mjs") + R"("], "dialect": "plugind")");
        EXPECT_EQ(client->send("node", "echo", R"({"a":[1,"ü",null]})"), R"({"a":[1,"ü",null]})");
        ran_well("node");
}

/* An HTTP server of one answer to whoever asks. */
class HttpServer {
      public:
        HttpServer() {
                struct sockaddr_in address = { AF_INET, 0, { htonl(INADDR_LOOPBACK) }, {} };
                socklen_t size = sizeof(address);

                fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
                EXPECT_EQ(bind(fd_, (struct sockaddr *) &address, size), 0);
                EXPECT_EQ(listen(fd_, 10), 0);
                EXPECT_EQ(getsockname(fd_, (struct sockaddr *) &address, &size), 0);
                port = ntohs(address.sin_port);
                thread_ = std::thread([fd = fd_] {
                        const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\nConnection: close\r\n\r\nfrom the server";
                        char request[4096];
                        int client;

                        while ((client = accept(fd, nullptr, nullptr)) >= 0) {
                                if (read(client, request, sizeof(request)) > 0) {
                                        EXPECT_EQ(write(client, answer.data(), answer.size()), (ssize_t) answer.size());
                                }
                                close(client);
                        }
                });
        }
        ~HttpServer() {
                shutdown(fd_, SHUT_RDWR);
                thread_.join();
                close(fd_);
        }

        int port;

      private:
        int fd_;
        std::thread thread_;
};

/* Node with its own fetch(), its threads for names, its children. */
constexpr char fetching[] = R"js(
import { createInterface } from "node:readline";
import { execFileSync } from "node:child_process";
import { lookup } from "node:dns/promises";
const methods = {
        fetch: async ({ url }) => (await fetch(url)).text(),
        lookup: async ({ name }) => (await lookup(name)).address,
        child: async ({ text }) => execFileSync("echo", [text]).toString().trim(),
};
for await (const line of createInterface({ input: process.stdin })) {
        const { id, method, params } = JSON.parse(line);
        let answer;
        try {
                answer = { result: await methods[method](params) };
        } catch (e) {
                answer = { error: { code: 1, message: String(e.cause?.code ?? e.code ?? e) } };
        }
        console.log(JSON.stringify({ jsonrpc: "2.0", id, ...answer }));
}
)js";

TEST_F(Servers, NodeFetchesUnderNetworkAndCannotUnderStrict) {
        if (run({ "which", "node" }).status != 0)
                GTEST_SKIP() << "node is not installed";
        HttpServer server;
        const std::string url = R"({"url": "http://127.0.0.1:)" + std::to_string(server.port) + "/\"}",
                          script = "/srv/plugind-test/fetching.mjs";
        const std::string node = R"("command": "node", "args": [")" + script + R"("], "dialect": "jsonrpc")";

        std::ofstream(script) << fetching;
        load("fetching", node + R"(, "sandbox": {"profile": "network"})", "network");
        EXPECT_EQ(client->send("fetching", "fetch", url), "\"from the server\"");
        EXPECT_EQ(client->send("fetching", "lookup", R"({"name": "localhost"})").find("error"), std::string::npos);
        EXPECT_EQ(client->send("fetching", "child", R"({"text": "of a child"})"), "\"of a child\"");
        ran_well("fetching");

        load("offline", node);
        EXPECT_CONTAINS(client->send("offline", "fetch", url), "error: ");
        EXPECT_EQ(client->send("offline", "child", R"({"text": "of a child"})"), "\"of a child\"");
        ran_well("offline");
        fs::remove(script);
}

} // namespace
