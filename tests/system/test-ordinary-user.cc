/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an ordinary user may: look. Every method and property that the running service introspects is tried, over the bus and over the socket;
 * one that is not in the tables below is a failure, so that a new member gets a decision.
 */
#include "fixture.h"

#include <map>
#include <regex>
#include <set>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace {

const std::string host = "org.plugind1.Host", session = "org.plugind1.Session";
const char *const denied = "org.freedesktop.DBus.Error.AccessDenied";

/* Whoever wants to know. All else is for root. */
const std::set<std::string> for_all = {
        host + ".GetSession",
        host + ".GetStatistics",
        host + ".ListSessions",
        session + ".GetHistory",
};
const std::set<std::string> for_root = {
        host + ".Connect",        host + ".Load",           host + ".Reload",       host + ".Unload",       session + ".Cancel",
        session + ".Connect",     session + ".GetLogLines", session + ".Kill",      session + ".Notify",    session + ".ResetFailed",
        session + ".Restart",     session + ".Send",        session + ".SendBytes", session + ".Subscribe", session + ".SetActiveState",
        session + ".Unsubscribe",
};
const std::map<std::string, std::set<std::string>> properties = {
        { host, { "Features", "HandOvers", "Limits", "RuntimeProvider", "RuntimeProviders", "Sessions", "StartedAt", "Version" } },
        { session, { "Description", "DesiredState", "Dialect",        "ErrorDetails", "ErrorMessage", "Greeting", "HandOvers",
                     "Id",          "InFlight",     "LogFile",        "MainPID",      "Manifest",     "Name",     "ReportedState",
                     "Restarts",    "StartedAt",    "StateChangedAt", "Supervised",   "Type",         "Unit",     "Version" } },
};

class OrdinaryUser : public SystemTest, public testing::WithParamInterface<const char *> {
      protected:
        void SetUp() override {
                SystemTest::SetUp();
                if (IsSkipped() || HasFatalFailure())
                        return;
                bad_plugin("x");
                ASSERT_TRUE(service.start());
                root = std::make_unique<Client>(system_bus_address);
                ASSERT_EQ(root->host("Load", "sa{sv}", "x", 0).outcome(), "ok");
                ASSERT_EQ(root->send("x", "echo", "[1]"), "[1]");
        }
        void TearDown() override {
                root.reset();
                SystemTest::TearDown();
        }

        static std::string path_of(const std::string &interface) {
                return interface == host ? "/org/plugind1" : session_path("x");
        }

        /* Of the interface as the service has it: methods with their signatures, properties with their types. */
        void members(const std::string &interface, std::map<std::string, std::string> &methods, std::map<std::string, std::string> &found) {
                std::string xml = root->call("org.plugind1", path_of(interface), "org.freedesktop.DBus.Introspectable", "Introspect", "")
                                          .text;
                size_t begin = xml.find("<interface name=\"" + interface + "\">");
                ASSERT_NE(begin, std::string::npos) << xml;
                xml = xml.substr(begin, xml.find("</interface>", begin) - begin);
                const std::regex method("<method name=\"(\\w+)\">([\\s\\S]*?)</method>"), in("<arg type=\"([^\"]+)\"[^>]*direction=\"in\""),
                        property("<property name=\"(\\w+)\" type=\"([^\"]+)\"");

                for (std::sregex_iterator i(xml.begin(), xml.end(), method), end; i != end; ++i) {
                        const std::string arguments = (*i)[2];
                        std::string &signature = methods[(*i)[1]];
                        for (std::sregex_iterator j(arguments.begin(), arguments.end(), in); j != end; ++j)
                                signature += (*j)[1];
                }
                for (std::sregex_iterator i(xml.begin(), xml.end(), property), end; i != end; ++i)
                        found[(*i)[1]] = (*i)[2];
        }

        /* A call whose arguments are right but for what they mean. */
        static Reply call(Client &client, const std::string &interface, const std::string &member, const std::string &types) {
                std::string path = path_of(interface);
                const char *name = member.c_str(), *signature = types.c_str();
                auto with = [&](auto... arguments) { return client.call("org.plugind1", path, interface, name, signature, arguments...); };

                if (types == "a{sv}")
                        return with(0);
                if (types == "s")
                        return with("x");
                if (types == "sa{sv}")
                        return with("x", 0);
                if (types == "ssa{sv}")
                        return with("echo", "[2]", 0);
                if (types == "saya{sv}" || types == "asa{sv}")
                        return types[0] == 's' ? with("echo", 0, 0) : with(0, 0);
                if (types == "sia{sv}")
                        return with("all", 9, 0);
                if (types == "ha{sv}" || types == "sha{sv}") {
                        int ends[2];
                        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
                                return {};
                        Reply reply = types[0] == 'h' ? with(ends[0], 0) : with("x", ends[0], 0);
                        close(ends[0]);
                        close(ends[1]);
                        return reply;
                }
                ADD_FAILURE() << interface << "." << member << ": this test cannot make arguments " << types;
                return {};
        }

        std::unique_ptr<Client> root;
};

TEST_P(OrdinaryUser, MayCallWhatLooksAndNothingElse) {
        const std::string before = root->host("ListSessions", "a{sv}", 0).text;

        for (const std::string &interface : { host, session }) {
                std::map<std::string, std::string> methods, unused;
                members(interface, methods, unused);
                EXPECT_GE(methods.size(), 7u);
                for (const auto &[member, signature] : methods) {
                        const std::string method = member, types = signature, name = interface + "." + member;
                        EXPECT_EQ(for_all.count(name) + for_root.count(name), 1u) << name << ": who may? say it in this test";
                        /* On the socket a stranger's descriptors do not pass, so that libraries do not even build such a call. */
                        if (GetParam() != std::string(system_bus_address) && types.find('h') != std::string::npos)
                                continue;
                        std::string outcome = as_user([&] {
                                Client client(GetParam());
                                return call(client, interface, method, types).outcome();
                        });
                        if (for_all.count(name))
                                EXPECT_EQ(outcome, "ok") << name;
                        else
                                EXPECT_EQ(outcome.find(std::string(denied) + ": "), 0u) << name << ": " << outcome;
                }
        }
        EXPECT_EQ(root->host("ListSessions", "a{sv}", 0).text, before) << "something has changed";
        EXPECT_EQ(root->get("x", "InFlight"), "0");
}

TEST_P(OrdinaryUser, ReadsAllPropertiesAndSetsNone) {
        for (const std::string &interface : { host, session }) {
                std::map<std::string, std::string> unused, found;
                members(interface, unused, found);
                std::set<std::string> names;
                for (const auto &[name, type] : found)
                        names.insert(name);
                EXPECT_EQ(names, properties.at(interface));
                for (const std::string &name : names) {
                        std::string outcome = as_user([&] {
                                Client client(GetParam());
                                return client
                                        .call("org.plugind1", path_of(interface), "org.freedesktop.DBus.Properties", "Get", "ss",
                                              interface.c_str(), name.c_str())
                                        .outcome();
                        });
                        EXPECT_EQ(outcome, "ok") << interface << "." << name;
                        outcome = as_user([&] {
                                Client client(GetParam());
                                return client
                                        .call("org.plugind1", path_of(interface), "org.freedesktop.DBus.Properties", "Set", "ssv",
                                              interface.c_str(), name.c_str(), "s", "mine")
                                        .outcome();
                        });
                        EXPECT_NE(outcome, "ok") << interface << "." << name;
                        EXPECT_EQ(outcome.find("org.freedesktop.DBus.Error."), 0u) << outcome;
                }
                EXPECT_EQ(as_user([&] {
                                  Client client(GetParam());
                                  return client
                                          .call("org.plugind1", path_of(interface), "org.freedesktop.DBus.Properties", "GetAll", "s",
                                                interface.c_str())
                                          .outcome();
                          }),
                          "ok");
        }
}

TEST_P(OrdinaryUser, LooksAroundWithTheToolsThereAre) {
        const std::pair<const char *, const char *> calls[] = {
                { "org.freedesktop.DBus.Introspectable", "Introspect" },
                { "org.freedesktop.DBus.Peer", "Ping" },
                { "org.freedesktop.DBus.ObjectManager", "GetManagedObjects" },
        };

        for (const auto &call : calls)
                EXPECT_EQ(as_user([&] {
                                  return Client(GetParam()).call("org.plugind1", "/org/plugind1", call.first, call.second, "").outcome();
                          }),
                          "ok")
                        << call.second;
        for (const char *verb : { "tree", "introspect", "get-property" }) {
                std::vector<std::string> line = { "busctl", "--address=" + std::string(GetParam()), verb, "org.plugind1" };
                if (std::string(verb) != "tree")
                        line.push_back("/org/plugind1");
                if (std::string(verb) == "get-property")
                        line.insert(line.end(), { host, "Version" });
                Outcome outcome = run_as_user(line);
                EXPECT_EQ(outcome.status, 0) << verb << ": " << outcome.err;
        }
}

TEST_P(OrdinaryUser, HearsOfStatesAndNotOfWhatPluginsSay) {
        int ready[2], go[2];
        char byte = 0;
        ASSERT_EQ(pipe(ready), 0);
        ASSERT_EQ(pipe(go), 0);
        std::string heard;
        std::thread listener([&] {
                heard = as_user([&] {
                        Client client(GetParam());
                        std::string members;

                        client.match("path_namespace='/org/plugind1'");
                        if (write(ready[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 1)
                                return std::string("no pipe");
                        client.wait([&] { return client.take("Ended", 0).has_value(); });
                        client.wait([&] { return !client.signals.empty() && client.signals.back().member == "StateChanged"; });
                        client.catch_up();
                        for (const Signal &signal : client.signals)
                                members += signal.member + " ";
                        return members;
                });
        });
        ASSERT_EQ(read(ready[0], &byte, 1), 1);
        ASSERT_EQ(root->session("x", "Subscribe", "asa{sv}", 0, 0).outcome(), "ok");
        EXPECT_EQ(root->send("x", "flood", "{\"count\": 3}").find("error"), std::string::npos);
        ASSERT_EQ(root->session("x", "Kill", "sia{sv}", "main", 9, 0).outcome(), "ok");
        ASSERT_EQ(write(go[1], &byte, 1), 1);
        listener.join();
        EXPECT_NE(heard.find("StateChanged"), std::string::npos) << heard;
        EXPECT_EQ(heard.find("Notification"), std::string::npos) << heard;
        for (int fd : { ready[0], ready[1], go[0], go[1] })
                close(fd);
}

INSTANTIATE_TEST_SUITE_P(Over, OrdinaryUser, testing::Values(system_bus_address, "unix:path=/run/plugind/bus"),
                         [](const testing::TestParamInfo<const char *> &info) {
                                 return std::string(info.param == system_bus_address ? "bus" : "socket");
                         });

using OrdinaryUserWithTools = SystemTest;

TEST_F(OrdinaryUserWithTools, PluginctlShowsAndIsRefusedInWords) {
        bad_plugin("x");
        ASSERT_TRUE(service.start());
        Client root(system_bus_address);
        ASSERT_EQ(root.host("Load", "sa{sv}", "x", 0).outcome(), "ok");

        for (const std::vector<std::string> &arguments :
             std::vector<std::vector<std::string>>{ { "list" }, { "show", "x" }, { "status" } }) {
                std::vector<std::string> line = { "pluginctl" };
                line.insert(line.end(), arguments.begin(), arguments.end());
                Outcome outcome = run_as_user(line);
                EXPECT_EQ(outcome.status, 0) << arguments[0] << ": " << outcome.err;
                EXPECT_NE(outcome.out, "") << arguments[0];
        }
        for (const std::vector<std::string> &arguments : std::vector<std::vector<std::string>>{
                     { "load", "y" }, { "unload", "x" }, { "start", "x" }, { "send", "x", "echo" }, { "kill", "x" }, { "reload" } }) {
                std::vector<std::string> line = { "pluginctl" };
                line.insert(line.end(), arguments.begin(), arguments.end());
                Outcome outcome = run_as_user(line);
                EXPECT_EQ(outcome.status, 1) << arguments[0] << ": " << outcome.err;
                EXPECT_EQ(outcome.err.find("pluginctl: "), 0u) << outcome.err;
        }
        EXPECT_EQ(root.get("x", "ReportedState"), "inactive");
}

TEST_F(OrdinaryUserWithTools, CannotBePlugind) {
        EXPECT_EQ(as_user([] {
                          Client client(system_bus_address);
                          return client
                                  .call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName", "su",
                                        "org.plugind1", 0u)
                                  .error;
                  }),
                  denied);
}

} // namespace
