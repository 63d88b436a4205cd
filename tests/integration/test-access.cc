/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who may do what, on a private bus that plugind takes for the system bus and on direct connections, with a caller of another uid. */
#include "fixture.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <regex>
#include <sstream>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

const uid_t nobody = 65534;
const char *const access_denied = "org.freedesktop.DBus.Error.AccessDenied";

class Access : public Daemon {
      protected:
        void SetUp() override {
                Daemon::SetUp();
                if (IsSkipped() || HasFatalFailure())
                        return;
                if (geteuid() != 0)
                        GTEST_SKIP() << "needs root, to be somebody else";
                bad_plugin("x");
                direct = listen();
                start({ "--system" });
                root = std::make_unique<Client>(address());
                load(*root, "x");
        }

        void TearDown() override {
                root.reset();
                Daemon::TearDown();
        }

        /* Runs CODE in a process of uid nobody, on a connection of its own; what it returns. On a direct connection the same must come. */
        std::string as_nobody(const std::function<std::string(Client &)> &code) {
                std::string on_bus = as_nobody_at(address(), code), directly = as_nobody_at(direct, code);

                if (booted() && on_bus.find(access_denied) == 0)
                        EXPECT_EQ(directly.find(access_denied), 0u) << directly;
                else
                        EXPECT_EQ(without_name(directly), without_name(on_bus));
                return on_bus;
        }

        /* ":1.7" and ":direct.7" are both ":name". */
        static std::string without_name(const std::string &text) {
                return std::regex_replace(text, std::regex(":(1|direct)\\.[0-9]+"), ":name");
        }

        std::string as_nobody_at(const std::string &where, const std::function<std::string(Client &)> &code) {
                int ends[2];
                std::string text;
                char buffer[4096];
                ssize_t n;

                EXPECT_EQ(pipe(ends), 0);
                pid_t pid = fork();
                if (pid == 0) {
                        std::string said = "cannot become nobody";

                        close(ends[0]);
                        if (setresgid(nobody, nobody, nobody) == 0 && setresuid(nobody, nobody, nobody) == 0) {
                                Client client(where);
                                said = code(client);
                        }
                        _exit(write(ends[1], said.data(), said.size()) == (ssize_t) said.size() ? 0 : 1);
                }
                close(ends[1]);
                while ((n = read(ends[0], buffer, sizeof(buffer))) > 0)
                        text.append(buffer, n);
                close(ends[0]);
                waitpid(pid, nullptr, 0);
                return text;
        }

        /* The system bus refuses by its own policy, and says so in its own words. */
        static void expect_denied(const std::string &outcome, const std::string &message) {
                EXPECT_EQ(outcome.find(std::string(access_denied) + ": " + (booted() ? "" : message)), 0u) << outcome;
        }

        std::unique_ptr<Client> root;
        std::string direct;
};

std::string session_call(Client &client, const char *member) {
        std::string m(member);

        if (m == "Send" || m == "Notify")
                return client.session("x", member, "ssa{sv}", "echo", "", 0).outcome();
        if (m == "SendBytes")
                return client.session("x", member, "saya{sv}", "echo", 0, 0).outcome();
        if (m == "Cancel" || m == "SetActiveState")
                return client.session("x", member, "sa{sv}", m == "Cancel" ? "1" : "active", 0).outcome();
        if (m == "Subscribe")
                return client.session("x", member, "asa{sv}", 0, 0).outcome();
        if (m == "Kill")
                return client.session("x", member, "sia{sv}", "all", 15, 0).outcome();
        if (m == "Connect")
                return client.session("x", member, "ha{sv}", 0, 0).outcome();
        return client.session("x", member, "a{sv}", 0).outcome();
}

TEST_P(Access, WhatChangesOrSendsIsForRootAlone) {
        for (const char *member : { "Send", "SendBytes", "Notify", "Cancel", "SetActiveState", "Restart", "Subscribe", "Unsubscribe",
                                    "Kill", "Connect", "ResetFailed", "GetLogLines" }) {
                auto call = [&](Client &client) { return session_call(client, member); };
                /* On a direct connection a stranger's descriptors do not pass at all. */
                std::string outcome = strcmp(member, "Connect") == 0 ? as_nobody_at(address(), call) : as_nobody(call);

                expect_denied(outcome, std::string("org.plugind1.Session.") + member + " is for root only");
        }
        for (const char *member : { "Load", "Unload" }) {
                std::string outcome = as_nobody([&](Client &client) { return client.host(member, "sa{sv}", "x", 0).outcome(); });

                expect_denied(outcome, std::string("org.plugind1.Host.") + member + " is for root only");
        }
        EXPECT_EQ(as_nobody([&](Client &client) { return client.host("Reload", "a{sv}", 0).error; }), access_denied);
        EXPECT_EQ(as_nobody_at(address(), [](Client &client) { return client.host("Connect", "sha{sv}", "x", 0, 0).error; }),
                  access_denied);
        EXPECT_EQ(root->get("x", "ReportedState"), "inactive"); /* nothing was started */
        EXPECT_EQ(root->get_host("Sessions"), "1");
}

TEST_P(Access, ReadingIsForAll) {
        EXPECT_EQ(as_nobody([](Client &client) { return client.get("x", "ReportedState"); }), "inactive");
        EXPECT_EQ(as_nobody([](Client &client) { return client.host("GetSession", "s", "x").text; }), session_path("x"));
        EXPECT_EQ(as_nobody([](Client &client) { return client.host("ListSessions", "a{sv}", 0).text; }).find("[(x, "), 0u);
        EXPECT_EQ(as_nobody([](Client &client) { return client.host("GetStatistics", "a{sv}", 0).text; }).find("[(x, "), 0u);
        EXPECT_EQ(as_nobody([](Client &client) { return client.session("x", "GetHistory", "a{sv}", 0).text; }), "[]");
        EXPECT_EQ(as_nobody([](Client &client) { return client.get_host("Sessions"); }), "1");
        EXPECT_EQ(as_nobody([](Client &client) {
                          return client.call("org.plugind1", "/org/plugind1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", "")
                                  .outcome();
                  }),
                  "ok");
}

TEST_P(Access, WhoMayOnlyReadHasFewDirectConnections) {
        std::string n = as_nobody_at(direct, [&](Client &) {
                std::vector<std::unique_ptr<Client>> more;

                try {
                        for (int i = 0; i < 40; i++)
                                more.push_back(std::make_unique<Client>(direct));
                } catch (const std::exception &) {
                }
                return std::to_string(1 + more.size());
        });
        EXPECT_EQ(n, "16");
        EXPECT_EQ(Client(direct).get_host("Sessions"), "1");
}

/* A message that never ends may bring any number of descriptors with it. */
TEST_P(Access, WhoMayOnlyReadLeavesNoDescriptorsBehind) {
        const std::string hello = std::string(1, 0) + "AUTH EXTERNAL 3635353334\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n"; /* user 65534 */
        const char message[64] = { 'l', 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 100 };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), before = settled_fds(), most = 0;
        sockaddr_un a = {};

        a.sun_family = AF_UNIX;
        (void) direct.copy(a.sun_path, sizeof(a.sun_path) - 1, strlen("unix:path="));
        ASSERT_EQ(seteuid(nobody), 0);
        int r = connect(fd, (sockaddr *) &a, sizeof(a));
        ASSERT_EQ(seteuid(0), 0);
        ASSERT_EQ(r, 0) << strerror(errno);
        ASSERT_EQ(send(fd, hello.data(), hello.size(), MSG_NOSIGNAL), (ssize_t) hello.size());
        EXPECT_EQ(root->get_host("Sessions"), "1");

        for (const char &byte : message) {
                alignas(cmsghdr) char control[CMSG_SPACE(100 * sizeof(int))] = {};
                iovec iov = { (void *) &byte, 1 };
                msghdr m = {};

                m.msg_iov = &iov;
                m.msg_iovlen = 1;
                m.msg_control = control;
                m.msg_controllen = sizeof(control);
                cmsghdr *header = CMSG_FIRSTHDR(&m);
                header->cmsg_level = SOL_SOCKET;
                header->cmsg_type = SCM_RIGHTS;
                header->cmsg_len = CMSG_LEN(100 * sizeof(int)); /* fd 0, a hundred times */
                if (sendmsg(fd, &m, MSG_NOSIGNAL) < 0)
                        break;
                EXPECT_EQ(root->get_host("Sessions"), "1");
                most = std::max(most, daemon.fds());
        }
        EXPECT_LE(most, before + 1);
        close(fd);
}

/* In kB; 0: it is gone. */
static unsigned long memory_of(const std::string &status) {
        std::ifstream file(status);
        unsigned long kib = 0;

        for (std::string line; std::getline(file, line);)
                if (sscanf(line.c_str(), "RssAnon: %lu", &kib) == 1)
                        break;
        return kib;
}

/* What a plugin answered to the greeting is a property, and may be long. */
TEST_P(Access, WhoMayOnlyReadAndDoesNotIsKeptWaiting) {
        NOT_INSTALLED("the memory of the installed daemon is looked at in vain");
        const std::string status = "/proc/" + std::to_string(daemon.pid()) + "/status";

        bad_plugin("big", "plugind", "big-greeting\", \"900000");
        load(*root, "big");
        ASSERT_EQ(root->send("big", "echo", "[1]"), "[1]");
        ASSERT_GT(root->get("big", "Greeting").size(), 900'000u);
        unsigned long before = memory_of(status);
        std::string grown = as_nobody_at(direct, [&](Client &deaf) {
                auto nothing = [](sd_bus_message *, void *, sd_bus_error *) { return 0; };
                Client other(direct);

                for (int i = 0; i < 200; i++)
                        if (sd_bus_call_method_async(deaf.get(), nullptr, "org.plugind1", session_path("big").c_str(),
                                                     "org.freedesktop.DBus.Properties", "GetAll", nothing, nullptr, "s",
                                                     "org.plugind1.Session") < 0)
                                return std::string("cannot ask");
                for (int i = 0; i < 200; i++) /* each has it look at the other connection as well */
                        other.get_host("Sessions");
                return std::to_string(memory_of(status));
        });
        EXPECT_GT(std::stoul(grown), 0u);
        EXPECT_LT(std::stoul(grown), before + 32 * 1024);
}

/* The first call that needs a right is held while the bus is asked; what was sent behind it must not overtake it. */
TEST_P(Access, CallsOfAnUnknownCallerKeepTheirOrder) {
        NOT_INSTALLED("the policy of the bus refuses what needs a right before plugind hears of it");
        std::string order = as_nobody([](Client &client) {
                std::vector<Client::Pending> all;

                for (int i = 0; i < 50; i++) {
                        all.push_back(client.session_async("x", "ResetFailed", "a{sv}", 0));
                        all.push_back(client.host_async("ListSessions", "a{sv}", 0));
                }
                for (const Client::Pending &pending : all)
                        client.wait(pending);
                std::string text;
                for (const std::string &entry : client.log)
                        text += entry == "reply of ResetFailed" ? "r" : entry == "reply of ListSessions" ? "l" : "?";
                return text;
        });
        std::string expected;

        for (int i = 0; i < 50; i++)
                expected += "rl";
        EXPECT_EQ(order, expected);
}

TEST_P(Access, NothingThatAPluginSaysIsBroadcast) {
        root->match("member='Notification'");
        ASSERT_EQ(root->session("x", "Subscribe", "asa{sv}", 0, 0).outcome(), "ok");
        int ready[2], stop[2];
        ASSERT_EQ(pipe(ready), 0);
        ASSERT_EQ(pipe(stop), 0);
        pid_t pid = fork();
        if (pid == 0) {
                bool ok = setresgid(nobody, nobody, nobody) == 0 && setresuid(nobody, nobody, nobody) == 0;
                char byte = 0;

                Client spy(address());
                spy.match("member='Notification'");
                ok = ok && write(ready[1], &byte, 1) == 1 && read(stop[0], &byte, 1) == 1;
                spy.catch_up();
                _exit(ok && spy.signals.empty() ? 0 : 1);
        }
        char byte = 0;
        int status = -1;
        ASSERT_EQ(read(ready[0], &byte, 1), 1);
        root->send("x", "flood", "{\"count\": 5}");
        root->catch_up();
        EXPECT_EQ(root->signals.size(), 5u);
        ASSERT_EQ(write(stop[1], &byte, 1), 1);
        waitpid(pid, &status, 0);
        EXPECT_EQ(status, 0);
        for (int fd : { ready[0], ready[1], stop[0], stop[1] })
                close(fd);
}

BOTH_BUSES(Access);

class UserAccess : public Daemon {};

/* With --user root is a stranger too. */
TEST_P(UserAccess, OnASessionBusOnlyTheOwnUidMay) {
        NOT_INSTALLED("it is the system's");
        if (geteuid() != 0)
                GTEST_SKIP() << "needs root, to be somebody else";
        /* the daemon as nobody, through setpriv; this test stays root */
        std::string wrapper = "setpriv --reuid=65534 --regid=65534 --clear-groups ";
        if (system((wrapper + "test -x " PLUGIND_BINARY).c_str()) != 0)
                GTEST_SKIP() << "uid nobody cannot reach " PLUGIND_BINARY;
        bad_plugin("x");
        ASSERT_EQ(chown(folder, nobody, nobody), 0);
        const char *outer = getenv("PLUGIND_TEST_WRAPPER");
        std::string before = outer ? outer : "";
        setenv("PLUGIND_TEST_WRAPPER", (wrapper + before).c_str(), 1);
        start();
        before.empty() ? unsetenv("PLUGIND_TEST_WRAPPER") : setenv("PLUGIND_TEST_WRAPPER", before.c_str(), 1);
        Client client(address());

        Reply reply = client.host("Load", "sa{sv}", "x", 0);
        EXPECT_EQ(reply.error, access_denied);
        EXPECT_NE(reply.message.find("Load is for uid 65534 only"), std::string::npos) << reply.message;
        EXPECT_EQ(client.get_host("Sessions"), "0");
}

BOTH_BUSES(UserAccess);

} // namespace
