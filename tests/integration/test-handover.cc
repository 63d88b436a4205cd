/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From one daemon to the next, with external plugins: those are taken over with --runtime=none too, where we are the service manager that
 * keeps the descriptors. Units are taken over in tests/system.
 */
#include "fixture.h"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

namespace {

/* The other end of a duplex, one JSON text a line. */
class Plugin {
      public:
        Plugin() {
                EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_), 0) << strerror(errno);
        }

        ~Plugin() {
                hang_up();
                close(ends_[1]);
        }

        void connect(Client &client, const std::string &id) {
                EXPECT_EQ(client.session(id, "Connect", "ha{sv}", ends_[1], 1, "framing", "s", "lines").outcome(), "ok");
                close(ends_[1]);
                ends_[1] = -1;
        }

        void hang_up() {
                close(ends_[0]);
                ends_[0] = -1;
        }

        void write(const std::string &text) {
                EXPECT_EQ(::write(ends_[0], text.data(), text.size()), (ssize_t) text.size());
        }

        void notify(const std::string &method, const std::string &params) {
                write("{\"jsonrpc\": \"2.0\", \"method\": \"" + method + "\", \"params\": [" + params + "]}\n");
        }

        /* Empty after a bound, or at the end. */
        std::string read() {
                char buffer[4096];
                size_t end;

                while ((end = read_.find('\n')) == std::string::npos) {
                        pollfd waiting = { ends_[0], POLLIN, 0 };

                        if (poll(&waiting, 1, (int) (patience_usec / 1000)) <= 0)
                                return "";
                        ssize_t n = ::read(ends_[0], buffer, sizeof(buffer));
                        if (n <= 0)
                                return "";
                        read_.append(buffer, n);
                }
                std::string line = read_.substr(0, end);
                read_.erase(0, end + 1);
                return line;
        }

        /* The request that has come last; answered with RESULT. */
        void answer(const std::string &request, const std::string &result) {
                write("{\"jsonrpc\": \"2.0\", \"id\": " + id_of(request) + ", \"result\": " + result + "}\n");
        }

        static std::string id_of(const std::string &request) {
                size_t at = request.find("\"id\":");

                return at == std::string::npos ? "null" : request.substr(at + 5, request.find_first_of(",}", at) - at - 5);
        }

      private:
        int ends_[2] = { -1, -1 };
        std::string read_;
};

class HandOver : public Daemon {
      protected:
        void SetUp() override {
                NOT_INSTALLED("we are the service manager here");
                Daemon::SetUp();
                if (IsSkipped() || HasFatalFailure())
                        return;
                store = std::make_unique<FdStore>();
                manifest("x", "{\"manifestVersion\": 1, \"type\": \"external\", \"dialect\": \"jsonrpc\"}");
                expect_failure = true; /* 75 is no failure here */
        }

        void TearDown() override {
                if (daemon.pid() > 0) {
                        daemon.signal(SIGINT);
                        EXPECT_EQ(exit_status(), 0) << daemon.output();
                        EXPECT_EQ(pairs(), 0u);
                }
                Daemon::TearDown();
        }

        void begin() {
                start({ "--user", "--runtime=none" });
        }

        void next() {
                again();
                begin();
        }

        /* It has the name a moment before it says so. */
        bool says(const std::string &text) {
                for (int i = 0; i < 1000 && daemon.output().find(text) == std::string::npos; i++)
                        usleep(10'000);
                return daemon.output().find(text) != std::string::npos;
        }

        int exit_status() {
                int status = daemon.wait();

                return WIFEXITED(status) && status >= 0 ? WEXITSTATUS(status) : -1;
        }

        /* SIGTERM, of which no service manager knows. */
        void hand_over() {
                daemon.signal(SIGTERM);
                EXPECT_EQ(exit_status(), EX_TEMPFAIL) << daemon.output();
        }

        void crash() {
                daemon.signal(SIGKILL);
                daemon.wait();
        }

        /* Descriptors of duplexes in the store. */
        size_t pairs() {
                size_t n = 0;

                for (const FdStore::Stored &stored : store->stored())
                        n += isdigit(stored.name[0]) != 0;
                return n;
        }

        void subscribe(Client &client, const std::string &id) {
                client.match_session(id);
                EXPECT_EQ(client.session(id, "Subscribe", "asa{sv}", 0, 0).outcome(), "ok");
        }

        /* The params of the next notification. */
        std::string notified(Client &client) {
                std::optional<Signal> signal = client.take("Notification");

                return signal ? signal->text : "nothing";
        }
};

TEST_P(HandOver, ConnectionSubscriptionAndCountsGoOn) {
        begin();
        Client client(address());
        Plugin plugin;
        load(client, "x");
        EXPECT_EQ(client.get_host("HandOvers"), "0");
        plugin.connect(client, "x");
        subscribe(client, "x");
        plugin.notify("tick", "0");
        EXPECT_EQ(notified(client), ", tick, [0]");
        std::string since = client.get("x", "StartedAt");

        for (int i = 1; i <= 3; i++) {
                hand_over();
                next();
                EXPECT_EQ(client.get("x", "ReportedState"), "active");
                EXPECT_EQ(client.get("x", "HandOvers"), std::to_string(i));
                EXPECT_EQ(client.get_host("HandOvers"), std::to_string(i));
                EXPECT_EQ(client.get("x", "StartedAt"), since);
                EXPECT_NE(client.get_host("Features").find("hand-over"), std::string::npos);
                plugin.notify("tick", std::to_string(i));
                EXPECT_EQ(notified(client), ", tick, [" + std::to_string(i) + "]");
        }
        Client::Pending pending = client.session_async("x", "Send", "ssa{sv}", "m", "[1]", 0);
        sd_bus_flush(client.get());
        plugin.answer(plugin.read(), "[2]");
        EXPECT_TRUE(client.wait(pending));
        EXPECT_EQ(pending->text, "[2]");
        client.catch_up();
        EXPECT_FALSE(client.take("StateChanged", 0)); /* nothing has happened to it */
}

TEST_P(HandOver, WhatThePluginSaysMeanwhileIsDeliveredOnceAndInOrder) {
        begin();
        Client client(address());
        Plugin plugin;
        load(client, "x");
        plugin.connect(client, "x");
        subscribe(client, "x");

        for (int i = 0; i < 300; i += 3) {
                plugin.notify("tick", std::to_string(i));
                if (i % 60 == 0) {
                        if (i % 120 == 0) {
                                hand_over();
                                plugin.notify("tick", std::to_string(i + 1));
                        } else { /* it has not read that when it hears the signal */
                                daemon.signal(SIGSTOP);
                                plugin.notify("tick", std::to_string(i + 1));
                                daemon.signal(SIGTERM);
                                daemon.signal(SIGCONT);
                                EXPECT_EQ(exit_status(), EX_TEMPFAIL) << daemon.output();
                        }
                        plugin.write("{\"jsonrpc\": \"2.0\", \"meth");
                        next();
                        plugin.write("od\": \"tick\", \"params\": [" + std::to_string(i + 2) + "]}\n");
                } else {
                        plugin.notify("tick", std::to_string(i + 1));
                        plugin.notify("tick", std::to_string(i + 2));
                }
        }
        for (int i = 0; i < 300; i++)
                ASSERT_EQ(notified(client), ", tick, [" + std::to_string(i) + "]");
}

/* One at a time is on its way to the bus: that one may be lost. */
TEST_P(HandOver, AKilledDaemonLosesNothingThatHasCome) {
        begin();
        Client client(address());
        Plugin plugin;
        int sent = 0, last = -1, lost = 0;
        load(client, "x");
        plugin.connect(client, "x");
        subscribe(client, "x");

        for (int kills = 0; kills < 10; kills++) {
                for (int i = 0; i < 50 + kills; i++)
                        plugin.notify("tick", std::to_string(sent++));
                crash();
                plugin.notify("tick", std::to_string(sent++));
                next();
        }
        plugin.notify("tick", std::to_string(sent));
        while (last < sent) {
                std::optional<Signal> signal = client.take("Notification");

                ASSERT_TRUE(signal) << daemon.output();
                int number = std::stoi(signal->text.substr(strlen(", tick, [")));
                ASSERT_GT(number, last);
                lost += number - last - 1;
                last = number;
        }
        EXPECT_LE(lost, 10);
        EXPECT_EQ(client.get("x", "HandOvers"), "10");
}

TEST_P(HandOver, WhatIsAskedIsAnsweredBeforeItLeaves) {
        begin();
        Client client(address());
        Plugin plugin;
        load(client, "x");
        plugin.connect(client, "x");
        Client::Pending pending = client.session_async("x", "Send", "ssa{sv}", "m", "[1]", 0);
        sd_bus_flush(client.get());
        std::string request = plugin.read();

        daemon.signal(SIGTERM);
        EXPECT_TRUE(store->wait_told("STATUS=Restarting: waiting for x (1 call)")) << daemon.output();
        EXPECT_TRUE(client.poll([&] { return !client.has_owner("org.plugind1"); }));
        EXPECT_EQ(process_wait(daemon.pid(), 100'000), -ETIME);
        plugin.answer(request, "[2]");
        EXPECT_TRUE(client.wait(pending));
        EXPECT_EQ(pending->text, "[2]");
        EXPECT_EQ(exit_status(), EX_TEMPFAIL);
        EXPECT_NE(daemon.output().find("waiting for x (1 call)"), std::string::npos);
        next();
        EXPECT_EQ(client.get("x", "ReportedState"), "active");
}

TEST_P(HandOver, WhatTakesTooLongIsAnsweredWithConnectionLost) {
        begin();
        Client client(address());
        Plugin plugin;
        load(client, "x");
        plugin.connect(client, "x");
        Client::Pending pending = client.session_async("x", "Send", "ssa{sv}", "m", "[1]", 1, "timeout-usec", "t", (uint64_t) 60'000'000);
        sd_bus_flush(client.get());
        std::string request = plugin.read();

        hand_over();
        EXPECT_TRUE(client.wait(pending));
        EXPECT_EQ(pending->error, "org.plugind1.Error.ConnectionLost") << pending->message;
        next();
        EXPECT_EQ(client.get("x", "ReportedState"), "active");
        plugin.answer(request, "[\"late\"]"); /* of a request that the next daemon has never sent */
        pending = client.session_async("x", "Send", "ssa{sv}", "m", "[1]", 0);
        sd_bus_flush(client.get());
        for (std::string line; (line = plugin.read()).find("\"method\"") == std::string::npos || line.find("\"m\"") == std::string::npos;)
                ASSERT_NE(line, ""); /* nobody waits for the other one any more: it may have been cancelled */
        plugin.answer("", "0");
        EXPECT_FALSE(client.wait([&] { return pending->answered; }, 50'000));
        crash();
        EXPECT_TRUE(client.wait(pending));
        EXPECT_FALSE(pending->ok());
        next();
}

TEST_P(HandOver, WhoHasLeftMeanwhileHoldsNothing) {
        begin();
        Client watcher(address());
        watcher.match("member='SessionRemoved'");
        {
                Client client(address());
                EXPECT_EQ(client.host("Load", "sa{sv}", "x", 1, "bind", "b", 1).outcome(), "ok");
                hand_over();
        }
        next();
        std::optional<Signal> removed = watcher.take("SessionRemoved");
        ASSERT_TRUE(removed);
        EXPECT_EQ(removed->text, "x, " + session_path("x") + ", unbound");
        EXPECT_EQ(watcher.get_host("Sessions"), "0");
}

TEST_P(HandOver, WhoIsStillThereGoesOnHolding) {
        begin();
        Client client(address()), other(address());
        EXPECT_EQ(client.host("Load", "sa{sv}", "x", 1, "bind", "b", 1).outcome(), "ok");
        hand_over();
        next();
        EXPECT_EQ(client.get_host("Sessions"), "1");
        EXPECT_EQ(other.host("Unload", "sa{sv}", "x", 0).error, "org.plugind1.Error.Busy");
        crash();
        next();
        EXPECT_EQ(other.host("Unload", "sa{sv}", "x", 0).error, "org.plugind1.Error.Busy");
}

TEST_P(HandOver, ThePluginOfABoundSessionIsNotToldOfIt) {
        begin();
        Client client(address());
        Plugin plugin;
        EXPECT_EQ(client.host("Load", "sa{sv}", "x", 1, "bind", "b", 1).outcome(), "ok");
        plugin.connect(client, "x");
        hand_over();
        next();
        EXPECT_EQ(client.get("x", "ReportedState"), "active");
        EXPECT_EQ(client.get("x", "HandOvers"), "1");
        EXPECT_EQ(client.session("x", "Notify", "ssa{sv}", "first", "[]", 0).outcome(), "ok");
        EXPECT_NE(plugin.read().find("\"first\""), std::string::npos);
}

TEST_P(HandOver, DocumentsStayOpenUntilTheirCallerLeaves) {
        const char *open = "{\"textDocument\": {\"uri\": \"file:///a\", \"languageId\": \"c\", \"version\": 1, \"text\": \"\"}}";
        Plugin plugin;

        manifest("lsp", "{\"manifestVersion\": 1, \"type\": \"external\", \"dialect\": \"lsp\"}");
        begin();
        Client other(address());
        {
                Client client(address());
                load(client, "lsp");
                plugin.connect(client, "lsp");
                plugin.answer(plugin.read(), "{\"capabilities\": {}}");
                EXPECT_NE(plugin.read().find("\"initialized\""), std::string::npos);
                EXPECT_EQ(client.session("lsp", "Notify", "ssa{sv}", "textDocument/didOpen", open, 0).outcome(), "ok");
                EXPECT_NE(plugin.read().find("didOpen"), std::string::npos);
                hand_over();
                next();
                EXPECT_EQ(client.get("lsp", "ReportedState"), "active");
                EXPECT_EQ(other.session("lsp", "Notify", "ssa{sv}", "textDocument/didOpen", open, 0).error, "org.plugind1.Error.Busy");
                EXPECT_EQ(other.session("lsp", "Notify", "ssa{sv}", "$/marker", "{}", 0).outcome(), "ok");
                EXPECT_NE(plugin.read().find("$/marker"), std::string::npos);
        }
        EXPECT_NE(plugin.read().find("didClose"), std::string::npos);
}

/* Names of another bus say nothing, even if somebody of that name is there. */
TEST_P(HandOver, OnAnotherBusNobodyIsKnown) {
        PrivateBus *first = bus;

        begin();
        {
                Client client(address());
                EXPECT_EQ(client.host("Load", "sa{sv}", "x", 1, "bind", "b", 1).outcome(), "ok");
                hand_over();
        }
        ASSERT_EQ(private_bus_new(GetParam(), &bus), 0);
        {
                std::vector<std::unique_ptr<Client>> clients; /* unique names count from the bus' start */

                for (int i = 0; i < 4; i++)
                        clients.push_back(std::make_unique<Client>(address()));
                next();
                EXPECT_TRUE(clients[0]->poll([&] { return clients[0]->get_host("Sessions") == "0"; }));
        }
        private_bus_free(first);
}

/* A lost bus is the end of what was asked, and of nothing else. */
TEST_P(HandOver, WithoutTheBusPluginsAreHandedOver) {
        begin();
        Plugin plugin;
        {
                Client client(address());
                load(client, "x");
                plugin.connect(client, "x");
        }
        private_bus_free(bus);
        bus = nullptr;
        EXPECT_EQ(exit_status(), EXIT_FAILURE) << daemon.output();
        ASSERT_EQ(private_bus_new(GetParam(), &bus), 0);
        next();
        Client client(address());
        EXPECT_EQ(client.get("x", "ReportedState"), "active");
        EXPECT_EQ(client.get("x", "HandOvers"), "1");
}

/* The bus is held, so that a call and the release of the name are on their way at the same time. Which one it takes first is its choice. */
TEST_P(HandOver, WhatHappensAfterTheReleaseIsSignalledByTheNext) {
        std::string outcome;

        begin();
        for (int attempt = 0; attempt < 50 && outcome != "ok"; attempt++) {
                Client client(address()), watcher(address());
                watcher.match("member='SessionNew'");
                kill(private_bus_pid(bus), SIGSTOP);
                Client::Pending pending = client.host_async("Load", "sa{sv}", "x", 1, "bind", "b", 1);
                daemon.signal(SIGTERM);
                bool told = store->wait_told("STOPPING=1");
                kill(private_bus_pid(bus), SIGCONT);

                ASSERT_TRUE(told) << daemon.output();
                ASSERT_TRUE(client.wait(pending));
                outcome = pending->outcome();
                EXPECT_EQ(exit_status(), EX_TEMPFAIL) << daemon.output();
                watcher.catch_up();
                bool early = watcher.take("SessionNew", 0).has_value();
                next();
                if (outcome != "ok")
                        continue;
                EXPECT_FALSE(early);
                std::optional<Signal> signal = watcher.take("SessionNew");
                ASSERT_TRUE(signal);
                EXPECT_EQ(signal->text, "x, " + session_path("x"));
                EXPECT_EQ(client.get_host("Sessions"), "1"); /* bound, and still there */
                watcher.catch_up();
                EXPECT_FALSE(watcher.take("SessionNew", 0)) << "told twice";
        }
        EXPECT_EQ(outcome, "ok");
}

/* The same where it left since nothing was loaded. */
TEST_P(HandOver, WhatIsLoadedAtTheLastMomentOfAnIdleDaemonIsNotLost) {
        std::string outcome;

        for (int attempt = 0; attempt < 50 && outcome != "ok"; attempt++) {
                again();
                store = std::make_unique<FdStore>();
                start({ "--user", "--runtime=none", "--exit-idle=0.2" });
                Client client(address());
                kill(private_bus_pid(bus), SIGSTOP);
                Client::Pending pending = client.host_async("Load", "sa{sv}", "x", 1, "bind", "b", 1);
                bool told = store->wait_told("STOPPING=1");
                kill(private_bus_pid(bus), SIGCONT);

                ASSERT_TRUE(told) << daemon.output();
                ASSERT_TRUE(client.wait(pending));
                outcome = pending->outcome();
                EXPECT_EQ(exit_status(), outcome == "ok" ? EX_TEMPFAIL : 0) << daemon.output();
                if (outcome == "ok") {
                        next();
                        EXPECT_EQ(client.get_host("Sessions"), "1");
                }
        }
        EXPECT_EQ(outcome, "ok");
}

TEST_P(HandOver, APluginThatHangsUpMeanwhileIsFoundGone) {
        begin();
        Client client(address());
        Plugin plugin;
        load(client, "x");
        plugin.connect(client, "x");
        subscribe(client, "x");
        hand_over();
        plugin.notify("last", "\"words\"");
        plugin.hang_up();
        next();
        EXPECT_EQ(notified(client), ", last, [\"words\"]");
        std::optional<Signal> changed = client.take("StateChanged");
        ASSERT_TRUE(changed);
        EXPECT_EQ(changed->text, "connecting, active, connection-lost");
        EXPECT_EQ(pairs(), 0u);
}

TEST_P(HandOver, ASecondSignalChangesNothingAndAnInterruptStops) {
        begin();
        Client client(address());
        Plugin plugin;
        load(client, "x");
        plugin.connect(client, "x");
        Client::Pending pending = client.session_async("x", "Send", "ssa{sv}", "m", "[1]", 0);
        sd_bus_flush(client.get());
        plugin.read();

        daemon.signal(SIGTERM);
        EXPECT_TRUE(store->wait_told("STOPPING=1"));
        daemon.signal(SIGTERM);
        EXPECT_EQ(process_wait(daemon.pid(), 200'000), -ETIME) << daemon.output();
        daemon.signal(SIGINT);
        EXPECT_TRUE(client.wait(pending));
        EXPECT_FALSE(pending->ok());
        EXPECT_EQ(plugin.read(), ""); /* the end */
        plugin.hang_up();
        EXPECT_EQ(exit_status(), 0) << daemon.output();
}

TEST_P(HandOver, WithoutDescriptorsThePluginIsLostAndTheRestIsNot) {
        begin();
        Client client(address());
        Plugin plugin;
        load(client, "x");
        plugin.connect(client, "x");
        hand_over();
        for (int digit = 0; digit < 10; digit++)
                store->drop(std::to_string(digit));
        next();
        EXPECT_EQ(client.get("x", "ReportedState"), "connecting");
        hand_over();
        store->drop("arena");
        next();
        Plugin second;
        second.connect(client, "x");
        hand_over();
        next();
        EXPECT_TRUE(says("is ready, 1 plugin loaded, 1 taken over\n")) << daemon.output();
        hand_over();
        store->drop("arena");
        next();
        EXPECT_TRUE(says("is ready, 1 plugin loaded, 0 taken over\n")) << daemon.output();
        EXPECT_EQ(client.get("x", "ReportedState"), "connecting");
        hand_over();
        EXPECT_EQ(pairs(), 0u);
        store->drop("");
        next();
        EXPECT_EQ(client.get_host("HandOvers"), "0");
        EXPECT_EQ(client.get_host("Sessions"), "1"); /* as after a reboot */
}

/* As a GDBusProxy does, which has not heard yet that the name has no owner any more. The bus is held, so that the call and the release of the name
 * are on their way at the same time; which one it takes first is its choice. */
TEST_P(HandOver, WhoCallsItsUniqueNameIsAnswered) {
        begin();
        for (int attempt = 0; attempt < 20; attempt++) {
                Client client(address());
                std::string outcome, owner = client.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                                         "GetNameOwner", "s", "org.plugind1")
                                                     .text;
                auto answered = [](sd_bus_message *reply, void *userdata, sd_bus_error *) {
                        const sd_bus_error *error = sd_bus_message_get_error(reply);

                        *static_cast<std::string *>(userdata) = error ? error->message : "ok";
                        return 0;
                };

                kill(private_bus_pid(bus), SIGSTOP);
                daemon.signal(SIGTERM);
                bool told = store->wait_told("STOPPING=1");
                EXPECT_GE(sd_bus_call_method_async(client.get(), nullptr, owner.c_str(), "/org/plugind1", "org.plugind1.Host",
                                                   "ListSessions", answered, &outcome, "a{sv}", 0),
                          0);
                kill(private_bus_pid(bus), SIGCONT);
                EXPECT_TRUE(told) << daemon.output();
                EXPECT_TRUE(client.wait([&] { return !outcome.empty(); }));
                EXPECT_EQ(outcome, "ok") << "attempt " << attempt;
                EXPECT_EQ(exit_status(), EX_TEMPFAIL) << daemon.output();
                next();
                if (HasFailure())
                        break;
        }
}

TEST_P(HandOver, ADirectConnectionEndsWhenAllIsAnswered) {
        std::string direct = listen();

        begin();
        Client client(address());
        Plugin plugin;
        load(client, "x");
        plugin.connect(client, "x");
        {
                Client caller(direct);
                Client::Pending pending = caller.session_async("x", "Send", "ssa{sv}", "m", "[1]", 0), late;
                sd_bus_flush(caller.get());
                std::string request = plugin.read();
                daemon.signal(SIGTERM);
                EXPECT_TRUE(store->wait_told("STOPPING=1"));
                late = caller.session_async("x", "Send", "ssa{sv}", "m", "[2]", 0);
                sd_bus_flush(caller.get());
                plugin.answer(request, "[3]");
                EXPECT_TRUE(caller.wait(pending));
                EXPECT_EQ(pending->text, "[3]");
                EXPECT_TRUE(caller.wait(late));
                EXPECT_FALSE(late->ok());
        }
        EXPECT_EQ(exit_status(), EX_TEMPFAIL) << daemon.output();
        next();
        Client caller(direct);
        EXPECT_EQ(caller.get("x", "ReportedState"), "active");
}

BOTH_BUSES(HandOver);

} // namespace
