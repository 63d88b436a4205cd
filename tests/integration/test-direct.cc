/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Direct connections: the same objects without a bus between, on a socket that systemd would have passed. */
#include "command.h"
#include "fixture.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <gio/gio.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

namespace {

const char *const driver = "org.freedesktop.DBus";
const char *const driver_path = "/org/freedesktop/DBus";

class Direct : public Daemon {
      protected:
        void SetUp() override {
                Daemon::SetUp();
                if (IsSkipped() || HasFatalFailure())
                        return;
                direct = listen();
                bad_plugin("x");
                start();
                bus_client = std::make_unique<Client>(address());
                load(*bus_client, "x");
                EXPECT_EQ(bus_client->send("x", "echo", "[1]"), "[1]");
        }

        void TearDown() override {
                if (bus_client) {
                        EXPECT_EQ(bus_client->send("x", "echo", "[1]"), "[1]");
                }
                bus_client.reset();
                Daemon::TearDown();
        }

        /* A connection that has not said anything yet. */
        int raw() const {
                sockaddr_un a = {};
                int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

                a.sun_family = AF_UNIX;
                (void) direct.copy(a.sun_path, sizeof(a.sun_path) - 1, strlen("unix:path="));
                EXPECT_EQ(connect(fd, (sockaddr *) &a, sizeof(a)), 0) << strerror(errno);
                return fd;
        }

        std::string direct;
        std::unique_ptr<Client> bus_client;
};

std::string handshake() {
        std::string uid = std::to_string(geteuid()), hex;

        for (char digit : uid)
                hex += "3" + std::string(1, digit);
        return std::string(1, 0) + "AUTH EXTERNAL " + hex + "\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n";
}

std::string message(const char *destination, const char *path, const char *interface, const char *member, GVariant *body = nullptr,
                    unsigned serial = 1) {
        GDBusMessage *m = g_dbus_message_new_method_call(destination, path, interface, member);
        gsize size = 0;

        g_dbus_message_set_serial(m, serial);
        if (body)
                g_dbus_message_set_body(m, body);
        guchar *blob = g_dbus_message_to_blob(m, &size, G_DBUS_CAPABILITY_FLAGS_NONE, nullptr);
        std::string bytes((const char *) blob, size);
        g_free(blob);
        g_object_unref(m);
        return bytes;
}

std::string hello() {
        return message(driver, driver_path, driver, "Hello");
}

bool write_all(int fd, const std::string &bytes) {
        return send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) == (ssize_t) bytes.size();
}

/* Whether PATTERN comes, perhaps after other things. */
bool comes(int fd, const std::string &pattern) {
        std::string text;
        char buffer[4096];

        for (;;) {
                pollfd p = { fd, POLLIN, 0 };
                ssize_t n;

                if (poll(&p, 1, (int) (patience_usec / 1000)) <= 0 || (n = read(fd, buffer, sizeof(buffer))) <= 0)
                        return false;
                text.append(buffer, n);
                if (text.find(pattern) != std::string::npos)
                        return true;
        }
}

/* Whether it is closed from the other side within a bound; what is still to be read is dropped. */
bool ends(int fd) {
        char buffer[65536];
        ssize_t n = 1;

        while (n > 0) {
                pollfd p = { fd, POLLIN, 0 };

                if (poll(&p, 1, (int) (patience_usec / 1000)) <= 0)
                        return false;
                n = read(fd, buffer, sizeof(buffer));
        }
        return n == 0 || errno == ECONNRESET;
}

TEST_P(Direct, ServesWhatTheBusServes) {
        Client client(direct);
        const char *introspectable = "org.freedesktop.DBus.Introspectable", *manager = "org.freedesktop.DBus.ObjectManager";

        EXPECT_EQ(client.send("x", "echo", "[1, null]"), "[1, null]");
        EXPECT_EQ(client.get("x", "ReportedState"), "active");
        EXPECT_EQ(client.host("ListSessions", "a{sv}", 0).text, bus_client->host("ListSessions", "a{sv}", 0).text);
        for (const std::string &path : { std::string("/org/plugind1"), session_path("x") }) {
                EXPECT_EQ(client.call("org.plugind1", path, introspectable, "Introspect", "").text,
                          bus_client->call("org.plugind1", path, introspectable, "Introspect", "").text);
        }
        EXPECT_EQ(client.call("org.plugind1", "/org/plugind1", manager, "GetManagedObjects", "").text,
                  bus_client->call("org.plugind1", "/org/plugind1", manager, "GetManagedObjects", "").text);
        EXPECT_EQ(client.session("y", "ResetFailed", "a{sv}", 0).error, SD_BUS_ERROR_UNKNOWN_OBJECT);
        EXPECT_EQ(client.host("Unload", "sa{sv}", "y", 0).error, "org.plugind1.Error.NoSuchSession");
}

TEST_P(Direct, WhoHasAMatchHearsSignals) {
        Client listener(direct), other(direct);

        listener.match("path_namespace='/org/plugind1'");
        ASSERT_EQ(other.session("x", "Restart", "a{sv}", 1, "wait", "b", 1).outcome(), "ok");
        for (const char *state : { "stopping", "inactive", "starting", "connecting", "active" }) {
                std::optional<Signal> signal = listener.take("StateChanged");

                ASSERT_TRUE(signal) << state;
                EXPECT_EQ(signal->text.find(state), 0u) << signal->text;
                EXPECT_EQ(signal->path, session_path("x"));
        }
        EXPECT_TRUE(listener.take("PropertiesChanged"));
        bad_plugin("new");
        load(*bus_client, "new");
        EXPECT_TRUE(listener.take("InterfacesAdded"));
        EXPECT_TRUE(listener.take("SessionNew"));
        other.catch_up();
        EXPECT_TRUE(other.signals.empty());
}

/* As GDBusConnection does it without G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION: no Hello, no matches, every signal. */
TEST_P(Direct, WhoTakesItForNoBusHearsEverySignal) {
        int fd = raw();

        ASSERT_TRUE(write_all(fd, handshake() + message(nullptr, "/org/plugind1", "org.freedesktop.DBus.Peer", "Ping")));
        EXPECT_TRUE(comes(fd, ":direct.0")); /* the answer */
        bad_plugin("new");
        load(*bus_client, "new");
        EXPECT_TRUE(comes(fd, "SessionNew"));
        close(fd);
}

TEST_P(Direct, NotificationsGoToTheSubscriberAlone) {
        Client subscriber(direct), other(direct);

        subscriber.match("member='Notification'");
        other.match("member='Notification'");
        bus_client->match("member='Notification'");
        ASSERT_EQ(subscriber.session("x", "Subscribe", "asa{sv}", 1, "news", 0).outcome(), "ok");
        ASSERT_EQ(other.send("x", "flood", "{\"method\": \"news\"}"), "{\"sent\": 1}");
        std::optional<Signal> signal = subscriber.take("Notification");
        ASSERT_TRUE(signal);
        EXPECT_EQ(signal->text.find(", news, {"), 0u) << signal->text;
        other.catch_up();
        bus_client->catch_up();
        EXPECT_TRUE(other.signals.empty());
        EXPECT_TRUE(bus_client->signals.empty());
}

TEST_P(Direct, EqualIdsOfManyNeverMeet) {
        std::vector<std::unique_ptr<Client>> clients;
        std::vector<Client::Pending> answers;

        for (int i = 0; i < 50; i++) {
                clients.push_back(std::make_unique<Client>(direct));
                for (int j = 0; j < 20; j++)
                        answers.push_back(clients.back()->session_async("x", "Send", "ssa{sv}", "echo",
                                                                        ("[" + std::to_string(i * 100 + j) + "]").c_str(), 1, "id", "s",
                                                                        std::to_string(j).c_str()));
        }
        for (int i = 0; i < 50; i++)
                for (int j = 0; j < 20; j++) {
                        ASSERT_TRUE(clients[i]->wait(answers[i * 20 + j]));
                        EXPECT_EQ(answers[i * 20 + j]->text, "[" + std::to_string(i * 100 + j) + "]");
                }
}

TEST_P(Direct, TheEndOfTheConnectionIsTheEndOfTheCaller) {
        bad_plugin("bound");
        bus_client->match("member='SessionRemoved'");
        {
                Client client(direct);
                ASSERT_EQ(client.host("Load", "sa{sv}", "bound", 1, "bind", "b", 1).outcome(), "ok");
                client.session_async("bound", "Send", "ssa{sv}", "never", "", 0);
                client.catch_up();
        }
        std::optional<Signal> signal = bus_client->take("SessionRemoved");
        ASSERT_TRUE(signal);
        EXPECT_EQ(signal->text, "bound, " + session_path("bound") + ", unbound");
}

TEST_P(Direct, WhatSomebodySentWhoLeftAtOnceIsDone) {
        bad_plugin("y");
        bus_client->match("member='SessionNew'");
        for (int i = 0; i < 20; i++) {
                bus_client->match("member='SessionRemoved'");
                {
                        Client client(direct);
                        client.host_async("Load", "sa{sv}", "y", 0);
                }
                ASSERT_TRUE(bus_client->take("SessionNew"));
                {
                        Client client(direct);
                        client.host_async("Unload", "sa{sv}", "y", 0);
                }
                ASSERT_TRUE(bus_client->take("SessionRemoved"));
        }
}

/* The answer has nobody to go to, and finds that out in peace. */
TEST_P(Direct, AnswersThatComeAfterTheEndDisturbNobody) {
        bad_plugin("slow", "plugind", "slow\", \"300");
        {
                Client client(direct);
                client.host_async("Load", "sa{sv}", "slow", 1, "wait", "b", 1);
                client.session_async("slow", "SetActiveState", "sa{sv}", "active", 1, "wait", "b", 1);
                client.session_async("slow", "Restart", "a{sv}", 1, "wait", "b", 1);
                client.host_async("Unload", "sa{sv}", "none", 0);
                client.catch_up();
        }
        EXPECT_TRUE(bus_client->wait_property("slow", "ReportedState", "active"));
}

TEST_P(Direct, DescriptorsPass) {
        int ends_of[2];

        ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_of), 0);
        manifest("outside", "{\"manifestVersion\": 1, \"type\": \"external\", \"dialect\": \"jsonrpc\"}");
        Client client(direct);
        load(client, "outside");
        EXPECT_EQ(client.host("Connect", "sha{sv}", "outside", ends_of[0], 0).outcome(), "ok");
        close(ends_of[0]);
        Client::Pending pending = client.session_async("outside", "Send", "ssa{sv}", "question", "", 0);
        client.catch_up();
        EXPECT_TRUE(comes(ends_of[1], "question"));
        close(ends_of[1]);
        EXPECT_TRUE(client.wait(pending));
        EXPECT_EQ(pending->error, "org.plugind1.Error.ConnectionLost");
}

TEST_P(Direct, PluginctlNeedsNoBus) {
        auto pluginctl = [&](std::vector<std::string> arguments) {
                arguments.insert(arguments.begin(), { PLUGINCTL_BINARY, "--user" });
                Command command(arguments, { { "DBUS_SESSION_BUS_ADDRESS", direct } });

                command.wait();
                return command.out + command.err;
        };

        EXPECT_EQ(pluginctl({ "send", "x", "echo", "[1]" }), "[1]\n");
        EXPECT_NE(pluginctl({ "list" }).find("x "), std::string::npos);
        EXPECT_NE(pluginctl({ "status", "x" }).find("active"), std::string::npos);
        bad_plugin("new");
        EXPECT_EQ(pluginctl({ "load", "new" }), "new\n");
        EXPECT_EQ(pluginctl({ "unload", "new" }), "");

        Command monitor({ PLUGINCTL_BINARY, "--user", "monitor" }, { { "DBUS_SESSION_BUS_ADDRESS", direct } });
        EXPECT_TRUE(bus_client->poll([&] {
                bus_client->session("x", "Restart", "a{sv}", 1, "wait", "b", 1);
                return monitor.wait_out("active", 100'000);
        }));
        monitor.signal(SIGINT);
        monitor.wait();
}

TEST_P(Direct, TellsWhoIsThere) {
        Client client(direct);
        auto ask = [&](const char *member, const char *name) {
                Reply reply = client.call(driver, driver_path, driver, member, "s", name);

                return reply.ok() ? reply.text : reply.error;
        };

        EXPECT_EQ(client.call(driver, driver_path, driver, "ListNames", "").text,
                  std::string("[org.freedesktop.DBus, org.plugind1, :direct.0, ") + client.name() + "]");
        EXPECT_EQ(ask("GetNameOwner", "org.plugind1"), ":direct.0");
        EXPECT_EQ(ask("GetNameOwner", client.name()), client.name());
        EXPECT_EQ(ask("GetNameOwner", ":direct.77"), SD_BUS_ERROR_NAME_HAS_NO_OWNER);
        EXPECT_EQ(ask("NameHasOwner", "org.plugind1"), "true");
        EXPECT_EQ(ask("NameHasOwner", "org.freedesktop.systemd1"), "false");
        EXPECT_EQ(ask("GetConnectionUnixUser", client.name()), std::to_string(geteuid()));
        EXPECT_EQ(ask("GetConnectionUnixProcessID", client.name()), std::to_string(getpid()));
        EXPECT_EQ(ask("GetConnectionUnixProcessID", "org.plugind1"), std::to_string(daemon.pid()));
        EXPECT_EQ(client.call(driver, driver_path, driver, "StartServiceByName", "su", "org.plugind1", 0).text, "2");
        EXPECT_EQ(ask("RemoveMatch", "member='NeverAdded'"), SD_BUS_ERROR_MATCH_RULE_NOT_FOUND);
        for (int i = 0; i < 1024; i++)
                ASSERT_EQ(ask("AddMatch", ("arg0='" + std::to_string(i / 2) + "'").c_str()), "");
        EXPECT_EQ(ask("AddMatch", "arg0='too many'"), SD_BUS_ERROR_LIMITS_EXCEEDED);
        EXPECT_EQ(ask("RemoveMatch", "arg0='1'"), "");
        EXPECT_EQ(ask("RemoveMatch", "arg0='1'"), "");
        EXPECT_EQ(ask("RemoveMatch", "arg0='1'"), SD_BUS_ERROR_MATCH_RULE_NOT_FOUND);
        EXPECT_EQ(ask("AddMatch", std::string(1025, 'x').c_str()), SD_BUS_ERROR_LIMITS_EXCEEDED);
}

/* sd-bus has then read more than it looks at before the next byte comes. */
TEST_P(Direct, MessagesThatComeWithTheHandshakeAreAnsweredAtOnce) {
        std::string all = handshake() + hello();
        int fd = raw();

        for (unsigned serial = 2; serial < 40; serial++)
                all += message("org.plugind1", "/org/plugind1", "org.freedesktop.DBus.Peer", "GetMachineId", nullptr, serial);
        all += message("org.plugind1", "/org/plugind1", "org.plugind1.Host", "GetSession", g_variant_new("(s)", "x"), 40);
        ASSERT_TRUE(write_all(fd, all));
        EXPECT_TRUE(comes(fd, session_path("x")));
        close(fd);
}

TEST_P(Direct, AByteAtATime) {
        std::string all = handshake() + hello() +
                          message("org.plugind1", "/org/plugind1", "org.plugind1.Host", "GetSession", g_variant_new("(s)", "x"), 2);
        int fd = raw();

        for (char byte : all)
                ASSERT_TRUE(write_all(fd, std::string(1, byte)));
        EXPECT_TRUE(comes(fd, session_path("x")));
        close(fd);
}

TEST_P(Direct, GarbageIsTheEndOfItsConnection) {
        std::string wrong_uid = std::string(1, 0) + "AUTH EXTERNAL 3737373737\r\nBEGIN\r\n";
        std::string no_message = handshake() + "GET / HTTP/1.1\r\nHost: plugind\r\n\r\n";
        std::string too_long = std::string(1, 0) + std::string(1 << 20, 'A');
        std::string huge = hello();

        huge[4] = huge[5] = huge[6] = '\xff'; /* the size of its body: 255 GB and more are claimed */
        huge[7] = '\x7f';
        for (const std::string &garbage :
             { std::string("GET / HTTP/1.1\r\n\r\n"), std::string(4096, '\xff'), wrong_uid, no_message, too_long, handshake() + huge }) {
                int fd = raw();

                (void) write_all(fd, garbage);
                shutdown(fd, SHUT_WR);
                EXPECT_TRUE(ends(fd)) << garbage.substr(0, 40);
                close(fd);
        }
}

/* More than one turn takes: the next one finds that what woke it has been read already, which is not half a message. */
TEST_P(Direct, WhoHasSentManyMessagesAtOnceMayBeSilentThen) {
        NOT_INSTALLED("it lasts more than 10 s, and no bus and no unit has a part in it");
        std::string all;
        int fd = raw();

        ASSERT_TRUE(write_all(fd, handshake() + hello()));
        ASSERT_TRUE(comes(fd, ":direct."));
        for (unsigned serial = 2; serial < 200; serial++)
                all += message("org.plugind1", "/org/plugind1", "org.freedesktop.DBus.Peer", "Ping", nullptr, serial);
        all += message("org.plugind1", "/org/plugind1", "org.plugind1.Host", "GetSession", g_variant_new("(s)", "x"), 200);
        ASSERT_TRUE(write_all(fd, all));
        EXPECT_TRUE(comes(fd, session_path("x")));
        pollfd p = { fd, POLLIN, 0 };
        EXPECT_EQ(poll(&p, 1, 11'000), 0) << daemon.output(); /* half a message would have had 10 s */
        close(fd);
}

/* Half a message at the end of nearly every turn, for as long as GO is. */
std::string stream(const std::string &address, const std::atomic<bool> &go) {
        std::string params = "[\"" + std::string(200'000, 'x') + "\"]", outcome = "ok";
        std::deque<Client::Pending> answers;
        Client client(address);

        while (go && outcome == "ok") {
                while (answers.size() < 8)
                        answers.push_back(client.session_async("x", "Send", "ssa{sv}", "echo", params.c_str(), 0));
                client.wait(answers.front());
                outcome = answers.front()->outcome();
                answers.pop_front();
        }
        return outcome;
}

/* Far behind all the time, for as long as GO is, but never at rest. */
std::string read_slowly(int fd, const std::string &questions, const std::atomic<bool> &go) {
        char buffer[16384];

        if (!write_all(fd, questions))
                return "cannot write";
        while (go) {
                pollfd p = { fd, POLLIN, 0 };

                if (poll(&p, 1, 100) == 0)
                        continue; /* on a slow machine all is read before GO is over */
                if (p.revents & (POLLHUP | POLLERR) || read(fd, buffer, sizeof(buffer)) <= 0)
                        return "disconnected";
                usleep(100'000);
        }
        return "ok";
}

/* Nothing of this may take longer than its bound, while everybody else is answered. */
TEST_P(Direct, WhoKeepsItWaitingIsDisconnected) {
        NOT_INSTALLED("it lasts more than 10 s, and no bus and no unit has a part in it");
        std::string questions, ends_of_streams[2];
        std::atomic<bool> go = true;
        int slow = raw();

        for (unsigned i = 1; i < 700; i++)
                questions += message("org.plugind1", session_path("x").c_str(), "org.freedesktop.DBus.Introspectable", "Introspect",
                                     nullptr, i);
        ASSERT_TRUE(write_all(slow, handshake()));
        ASSERT_TRUE(comes(slow, "OK "));
        std::thread streamer([&] { ends_of_streams[0] = stream(direct, go); });
        std::thread reader([&] { ends_of_streams[1] = read_slowly(slow, questions, go); });
        std::string half = message("org.plugind1", "/org/plugind1", "org.plugind1.Host", "ListSessions");
        int silent = raw(), half_way = raw(), deaf = raw();
        ssize_t sent = 0;

        ASSERT_TRUE(write_all(half_way, handshake() + hello()));
        ASSERT_TRUE(comes(half_way, ":direct."));

        /* What it asks is answered until the kernel takes no more; then it is not read any more, and at last cannot write either. */
        ASSERT_TRUE(write_all(deaf, handshake()));
        ASSERT_TRUE(comes(deaf, "OK "));
        ASSERT_EQ(fcntl(deaf, F_SETFL, O_NONBLOCK), 0);
        std::string question = message("org.plugind1", session_path("x").c_str(), "org.freedesktop.DBus.Introspectable", "Introspect");
        for (pollfd p = { deaf, POLLOUT, 0 }; poll(&p, 1, 1000) == 1 && !(p.revents & POLLHUP);) {
                ssize_t n = send(deaf, question.data() + sent % question.size(), question.size() - sent % question.size(), MSG_NOSIGNAL);
                sent += n > 0 ? n : 0;
                ASSERT_LT(sent, 64 << 20) << "it reads from who does not read";
        }
        Client client(direct);
        EXPECT_EQ(client.send("x", "echo", "[2]"), "[2]");
        ASSERT_TRUE(write_all(half_way, half.substr(0, half.size() / 2)));

        EXPECT_TRUE(ends(silent));
        EXPECT_TRUE(ends(half_way));
        EXPECT_TRUE(client.poll([&] {
                return daemon.output().find("does not read what it is sent") != std::string::npos &&
                       daemon.output().find("has sent half a message") != std::string::npos &&
                       daemon.output().find("does not say a word") != std::string::npos;
        })) << daemon.output();
        EXPECT_TRUE(ends(deaf));
        EXPECT_EQ(client.send("x", "echo", "[3]"), "[3]");
        go = false;
        streamer.join();
        reader.join();
        EXPECT_EQ(ends_of_streams[0], "ok");
        EXPECT_EQ(ends_of_streams[1], "ok");
        close(slow);
        for (int fd : { silent, half_way, deaf })
                close(fd);
}

TEST_P(Direct, WhoCannotBeWrittenToIsGone) {
        int before = settled_fds(), children = daemon.children(), fd = raw();

        ASSERT_TRUE(write_all(fd, handshake() + hello()));
        ASSERT_TRUE(comes(fd, ":direct."));
        ASSERT_EQ(shutdown(fd, SHUT_RD), 0);
        ASSERT_TRUE(write_all(fd, message("org.plugind1", "/org/plugind1", "org.freedesktop.DBus.Peer", "Ping", nullptr, 2)));
        EXPECT_TRUE(wait_counts(before, children));
        close(fd);
}

TEST_P(Direct, ASlowReaderLosesNothing) {
        std::vector<Client::Pending> answers;
        Client client(direct);

        for (int i = 0; i < 20'000; i++)
                answers.push_back(client.host_async("ListSessions", "a{sv}", 0));
        for (const Client::Pending &answer : answers) {
                ASSERT_TRUE(client.wait(answer));
                ASSERT_EQ(answer->outcome(), "ok");
        }
}

TEST_P(Direct, AThousandConnectionsOfOneUserAreTooMany) {
        int before = settled_fds();
        std::vector<int> fds;
        int served = 0;

        for (int i = 0; i < 1000; i++)
                fds.push_back(raw());
        for (int fd : fds) {
                (void) write_all(fd, handshake() + hello());
                served += comes(fd, ":direct.0");
        }
        EXPECT_EQ(served, 256);
        EXPECT_EQ(bus_client->send("x", "echo", "[2]"), "[2]");
        for (int fd : fds)
                close(fd);
        EXPECT_TRUE(wait_counts(before, daemon.children()));
        Client client(direct);
        EXPECT_EQ(client.send("x", "echo", "[3]"), "[3]");
}

TEST_P(Direct, WithoutADescriptorLeftItTriesAgainLater) {
        rlimit before = {}, few = {};

        ASSERT_EQ(prlimit(daemon.pid(), RLIMIT_NOFILE, nullptr, &before), 0);
        few = { 3, before.rlim_max };
        ASSERT_EQ(prlimit(daemon.pid(), RLIMIT_NOFILE, &few, nullptr), 0);
        int fd = raw();
        ASSERT_TRUE(write_all(fd, handshake() + hello()));
        ASSERT_TRUE(bus_client->poll([&] { return daemon.output().find("Cannot accept a direct connection") != std::string::npos; }));
        ASSERT_EQ(prlimit(daemon.pid(), RLIMIT_NOFILE, &before, nullptr), 0);
        EXPECT_TRUE(comes(fd, ":direct."));
        std::string said = daemon.output();
        size_t first = said.find("Cannot accept a direct connection");
        EXPECT_EQ(said.find("Cannot accept a direct connection", first + 1), std::string::npos) << said; /* not all the time */
        close(fd);
}

/* Nothing of it depends on the bus. */
INSTANTIATE_TEST_SUITE_P(Bus, Direct, testing::Values(BUS_DBUS_DAEMON), [](const auto &) { return std::string("daemon"); });

} // namespace
