/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes what plugind keeps of sessions of every kind, for tests/unit/state: to be run once for each version of the state that ever is on anybody's
 * machine, by hand (tests/unit/state/README.md).
 */
#include "fixture.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sys/socket.h>
#include <unistd.h>

namespace fs = std::filesystem;

namespace {

void manifest(const std::string &id, const std::string &json) {
        fs::create_directories("/etc/plugind/plugins.d");
        std::ofstream("/etc/plugind/plugins.d/" + id + ".json") << json;
}

void plugin(const std::string &id, const std::string &dialect, const std::string &program, const std::string &arguments,
            const std::string &more = "") {
        manifest(id, "{\"manifestVersion\": 1, \"command\": \"" + source_path("tests/plugins/" + program) + "\", \"args\": [" + arguments +
                             "], \"dialect\": \"" + dialect + "\"" + more + "}");
}

void expect(const std::string &what, const Reply &reply) {
        if (!reply.ok())
                fprintf(stderr, "%s: %s\n", what.c_str(), reply.outcome().c_str());
}

void load(Client &client, const std::string &id) {
        expect("Load " + id, client.host("Load", "sa{sv}", id.c_str(), 0));
}

void start(Client &client, const std::string &id, bool wait = true) {
        Reply reply = client.session(id, "SetActiveState", "sa{sv}", "active", 1, "wait", "b", wait);

        if (wait)
                expect("start " + id, reply);
}

/* Of each kind one, by its name. */
void make_sessions(Client &client) {
        int ends[2];

        plugin("active", "plugind", "bad.py", "\"good\"", R"(, "configuration": {"a": [1]})");
        load(client, "active");
        start(client, "active");
        client.send("active", "echo", "[1]");
        client.send("active", "echo", "[2]");
        client.send("active", "no-such-method");
        expect("Subscribe", client.session("active", "Subscribe", "asa{sv}", 0, 0));

        expect("Load bound",
               client.host("Load", "sa{sv}", "bound", 2, "manifest", "s",
                           R"({"manifestVersion": 1, "command": "/bin/cat", "dialect": "jsonrpc", "activation": "boot"})", "bind", "b", 1));
        client.wait_property("bound", "ReportedState", "active");
        expect("Subscribe", client.session("bound", "Subscribe", "asa{sv}", 2, "one", "two", 0));

        plugin("mcp", "mcp", "sharing.py", "\"lines\"", R"(, "mcp": {"era": "legacy"})");
        load(client, "mcp");
        start(client, "mcp");
        client.send("mcp", "resources/subscribe", R"({"uri": "demo://1"})");

        plugin("lsp", "lsp", "sharing.py", "\"headers\"");
        load(client, "lsp");
        start(client, "lsp");
        expect("didOpen", client.session("lsp", "Notify", "ssa{sv}", "textDocument/didOpen",
                                         R"({"textDocument": {"uri": "file:///x.c", "languageId": "c", "version": 1, "text": ""}})", 0));

        plugin("idle", "jsonrpc", "bad.py", "\"good\"");
        load(client, "idle");
        plugin("unwanted", "jsonrpc", "bad.py", "\"good\"");
        load(client, "unwanted");
        expect("stop", client.session("unwanted", "SetActiveState", "sa{sv}", "inactive", 1, "wait", "b", 1));

        plugin("errored", "plugind", "bad.py", R"("exit", "125")");
        load(client, "errored");
        start(client, "errored", false);
        client.wait_property("errored", "ReportedState", "errored");
        plugin("restarting", "plugind", "bad.py", R"("exit", "1")", R"(, "restart": {"delay": 3600, "maxDelay": 3600})");
        load(client, "restarting");
        start(client, "restarting", false);
        client.poll([&] { return unit_property("plugind-strict-restarting-1.service", "ActiveState") != "active"; });
        client.wait_property("restarting", "ReportedState", "restarting");

        plugin("connecting", "plugind", "bad.py", "\"silent\"", R"(, "timeouts": {"start": 600})");
        load(client, "connecting");
        start(client, "connecting", false);
        client.wait_property("connecting", "ReportedState", "connecting");
        plugin("stopping", "plugind", "bad.py", "\"stubborn\"", R"(, "timeouts": {"stop": 600})");
        load(client, "stopping");
        start(client, "stopping");
        client.session_async("stopping", "SetActiveState", "sa{sv}", "inactive", 0);
        client.wait_property("stopping", "ReportedState", "stopping");

        for (const char *id : { "waiting", "connected" }) {
                manifest(id, R"({"manifestVersion": 1, "type": "external", "dialect": "jsonrpc"})");
                load(client, id);
                start(client, id, false);
        }
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0) /* the other end stays open until we end */
                expect("Connect", client.host("Connect", "sha{sv}", "connected", ends[0], 0));
}

/* The memfd that holds it, without the NULs at its end. */
std::string state_of(pid_t pid) {
        for (const fs::directory_entry &entry : fs::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
                std::error_code gone;
                if (fs::read_symlink(entry.path(), gone).string().rfind("/memfd:plugind-state", 0) != 0)
                        continue;
                std::string data(1024 * 1024, '\0');
                std::ifstream(entry.path(), std::ios::binary).read(data.data(), (std::streamsize) data.size());
                data.resize((data.find_last_not_of('\0') + 8) / 8 * 8);
                return data;
        }
        return "";
}

} // namespace

int main() {
        Service service;

        if (!booted() || !service.start())
                return 1;
        Client client(system_bus_address);
        make_sessions(client);
        for (const char *id : { "active", "bound", "mcp", "lsp", "idle", "unwanted", "errored", "restarting", "connecting", "stopping",
                                "waiting", "connected" })
                printf("%-12s %s\n", id, client.get(id, "ReportedState").c_str());
        std::string data = state_of(service.pid());
        std::ofstream("/opt/plugind-test/results/state", std::ios::binary) << data;
        printf("%zu bytes\n", data.size());
        service.kill(SIGKILL);
        return data.empty();
}
