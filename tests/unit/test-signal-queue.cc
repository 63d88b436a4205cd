/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A bus that does not take what it is sent: sd-bus' queue would die with us, so that it never holds more than what comes of one message of a
 * plugin. The bus is a peer in this process that processes nothing when told so. */
#include "host-fixture.h"

#include <sys/socket.h>

extern "C" {
#include "bus/connection.h"
#include "store/store.h"
}

using std::string;

namespace {

class SignalQueueTest : public HostTest {
      protected:
        sd_bus *ours = nullptr, *peer = nullptr;
        Bus bus{};
        Connection *connection = nullptr;
        Session *session = nullptr;
        unsigned subscribers = 1; /* so many messages for each of the plugin's */
        uint64_t most_unwritten = 0;
        std::vector<string> arrived;

        void SetUp() override {
                HostTest::SetUp();
                sd_id128_t id{};
                int ends[2], small = 4096;

                ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
                ASSERT_GE(sd_bus_new(&ours), 0);
                ASSERT_GE(sd_bus_new(&peer), 0);
                ASSERT_GE(sd_bus_set_fd(ours, ends[0], ends[0]), 0);
                ASSERT_GE(sd_bus_set_fd(peer, ends[1], ends[1]), 0);
                ASSERT_GE(sd_bus_set_server(peer, true, id), 0);
                ASSERT_GE(sd_bus_set_anonymous(peer, true), 0);
                ASSERT_GE(sd_bus_add_filter(peer, nullptr, on_arrived, this), 0);
                ASSERT_GE(sd_bus_start(ours), 0);
                ASSERT_GE(sd_bus_start(peer), 0);
                ASSERT_GE(sd_bus_attach_event(ours, event, 0), 0);
                ASSERT_GE(sd_bus_attach_event(peer, event, 0), 0);
                until([&] { return sd_bus_is_ready(ours) > 0 && sd_bus_is_ready(peer) > 0; });
                ASSERT_EQ(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(int)), 0);

                bus.config.event = event;
                bus.host = host;
                list_init(&bus.connections);
                ASSERT_EQ(connection_new(&bus, ours, &connection), 0);
                list_append(&bus.connections, &connection->connections);
                ASSERT_EQ(signal_queue_new(&bus, &bus.signals), 0);

                session = load("x", manifest());
                session_set_desired(session, true, "test", nullptr, nullptr);
                ASSERT_EQ(session_subscribe(session, alice, nullptr, nullptr), 0);
                until([&] { return session->state == SESSION_ACTIVE; });
                Hooks hooks{};
                hooks.notification = on_notification;
                hooks.userdata = this;
                host_set_hooks(host, &hooks);
        }
        void TearDown() override {
                host_set_hooks(host, &bus.hooks);
                signal_queue_free(bus.signals);
                connection_unref(connection);
                sd_bus_close_unref(ours);
                sd_bus_close_unref(peer);
                HostTest::TearDown();
        }

        static void on_notification(Session *, Caller *, const char *, const char *, JsonRange params, void *userdata) {
                auto test = (SignalQueueTest *) userdata;
                string text(params.data, params.size);

                for (unsigned i = 0; i < test->subscribers; i++) {
                        EXPECT_GE(sd_bus_emit_signal(test->ours, "/x", "a.b", "Note", "s", text.c_str()), 0);
                        signal_queue_sent(test->bus.signals, test->connection, params.size);
                }
                test->most_unwritten = MAX(test->most_unwritten, test->unwritten());
        }
        static int on_arrived(sd_bus_message *message, void *userdata, sd_bus_error *) {
                const char *text = nullptr;

                if (sd_bus_message_is_signal(message, "a.b", "Note") > 0 && sd_bus_message_read(message, "s", &text) >= 0)
                        ((SignalQueueTest *) userdata)->arrived.emplace_back(text);
                return 0;
        }
        uint64_t unwritten() {
                uint64_t n = 0;

                EXPECT_GE(sd_bus_get_n_queued_write(ours, &n), 0);
                return n;
        }
        /* As much as its pipe takes at a time. */
        void say(int first, int last, size_t size) {
                string text;

                for (int i = first; i < last; i++)
                        text += "{\"method\":\"m\",\"params\":[" + std::to_string(i) + ",\"" + string(size, 'x') + "\"]}\n";
                for (size_t done = 0; done < text.size();) {
                        ssize_t n = write(process(0)->out, text.data() + done, MIN(text.size() - done, (size_t) 16384));

                        ASSERT_GT(n, 0);
                        done += (size_t) n;
                        settle();
                }
        }
        void settle() {
                while (sd_event_run(event, 0) > 0)
                        ;
        }
        void expect_arrived(unsigned n) {
                ASSERT_EQ(arrived.size(), (size_t) n * subscribers);
                for (size_t i = 0; i < arrived.size(); i++)
                        ASSERT_EQ(arrived[i].substr(0, arrived[i].find(',')), "[" + std::to_string(i / subscribers));
        }
};

TEST_F(SignalQueueTest, ABusThatTakesEverythingIsNeverWaitedFor) {
        for (int i = 0; i < 50; i++)
                say(i * 10, i * 10 + 10, 10);
        EXPECT_EQ(most_unwritten, 0u);
        expect_arrived(500);
}

/* What a SIGKILL would lose then. */
TEST_F(SignalQueueTest, ABusThatTakesNothingIsGivenOneMessageMoreAtMost) {
        ASSERT_GE(sd_bus_detach_event(peer), 0);
        say(0, 40, 1000);
        EXPECT_EQ(most_unwritten, 1u);
        EXPECT_EQ(unwritten(), 1u);
        say(40, 60, 1000);
        EXPECT_EQ(unwritten(), 1u);
        EXPECT_EQ(sd_event_run(event, 0), 0) << "the loop is at rest meanwhile";
        ASSERT_GE(sd_bus_attach_event(peer, event, 0), 0);
        until([&] { return arrived.size() == 60; });
        expect_arrived(60);
        EXPECT_EQ(most_unwritten, 1u);
        say(60, 70, 1000);
        expect_arrived(70);
}

TEST_F(SignalQueueTest, OneMessageToManySubscribersGoesOutAsOne) {
        subscribers = 30;
        ASSERT_GE(sd_bus_detach_event(peer), 0);
        say(0, 10, 1000);
        EXPECT_GT(unwritten(), 1u);
        EXPECT_LE(most_unwritten, subscribers);
        ASSERT_GE(sd_bus_attach_event(peer, event, 0), 0);
        until([&] { return arrived.size() == (size_t) 10 * subscribers; });
        expect_arrived(10);
        EXPECT_LE(most_unwritten, subscribers);
}

/* Who reads slowly, but reads, is not charged for all that it was ever sent. */
TEST_F(SignalQueueTest, WhatIsUnwrittenIsEstimatedFromWhatIsLeft) {
        string text(1000, 'x');
        size_t most = 0;

        subscribers = 0;
        ASSERT_GE(sd_bus_detach_event(peer), 0);
        for (int i = 0; i < 200; i++) {
                ASSERT_GE(sd_bus_emit_signal(ours, "/x", "a.b", "Note", "s", ("[" + std::to_string(i) + "," + text).c_str()), 0);
                connection_unwritten(connection, text.size());
        }
        EXPECT_GT(unwritten(), 100u);
        for (int i = 0; i < 2000; i++) {
                ASSERT_GE(sd_bus_process(peer, nullptr), 0);
                if (unwritten() < 100) {
                        ASSERT_GE(sd_bus_emit_signal(ours, "/x", "a.b", "Note", "s", text.c_str()), 0);
                        connection_unwritten(connection, text.size());
                }
                settle();
                connection_unwritten(connection, 0);
                most = MAX(most, connection->unwritten);
        }
        EXPECT_LE(most, 201 * text.size());
        EXPECT_LE(connection->unwritten, 130 * text.size());
        EXPECT_GE(connection->unwritten, 50 * text.size());
        ASSERT_GE(sd_bus_attach_event(peer, event, 0), 0);
        until([&] { return unwritten() == 0; });
        EXPECT_EQ(connection_unwritten(connection, 0), 0u);
        EXPECT_EQ(connection->unwritten, 0u);
}

/* So that a SIGKILL loses none of it. */
TEST_F(SignalQueueTest, WhatIsOwedIsInTheStoreAtTheEndOfTheTurn) {
        Hooks hooks{};
        size_t size = 0;

        bus.config.store = store;
        signal_queue_hold(bus.signals);
        signal_queue_hooks(bus.signals, &hooks);
        host_set_hooks(host, &hooks);
        EXPECT_EQ(store_get(store, "owed", &size), nullptr);
        session_set_desired(session, false, "test", nullptr, nullptr);
        settle();
        const char *owed = store_get(store, "owed", &size);
        ASSERT_NE(owed, nullptr);
        EXPECT_NE(string(owed, size).find("StateChanged"), string::npos) << string(owed, size);
        EXPECT_NE(string(owed, size).find("DesiredState"), string::npos) << string(owed, size);
}

} // namespace
