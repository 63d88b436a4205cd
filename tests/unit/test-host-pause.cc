/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Back-pressure of the bus, which may come with every single message. */
#include "host-fixture.h"

#include <algorithm>
#include <map>

using std::string;

namespace {

class HostPauseTest : public HostTest {
      protected:
        std::vector<Session *> sessions;
        std::map<string, std::vector<string>> heard; /* params, by method */
        unsigned n_heard = 0;
        bool full_at_once = false; /* the bus is full after each */

        static void on_notification(Session *session, Caller *, const char *, const char *, JsonRange params, void *userdata) {
                auto test = (HostPauseTest *) userdata;

                test->heard[session->id].emplace_back(params.data, params.size);
                test->n_heard++;
                if (test->full_at_once)
                        host_pause(test->host, true);
        }
        void start(size_t n) {
                Hooks hooks{};

                for (size_t i = 0; i < n; i++) {
                        sessions.push_back(load("s" + std::to_string(i), manifest()));
                        session_set_desired(sessions[i], true, "test", nullptr, nullptr);
                        ASSERT_EQ(session_subscribe(sessions[i], alice, nullptr, nullptr), 0);
                        until([&] { return sessions[i]->state == SESSION_ACTIVE; });
                }
                hooks.notification = on_notification;
                hooks.userdata = this;
                host_set_hooks(host, &hooks);
        }
        static string line(int n) {
                return "{\"method\":\"m\",\"params\":[" + std::to_string(n) + "]}\n";
        }
        /* Without a turn of the loop, and without waiting for it. */
        void say(size_t i, int first, int last) {
                string text;

                for (int n = first; n < last; n++)
                        text += line(n);
                ASSERT_EQ(write(process(i)->out, text.data(), text.size()), (ssize_t) text.size());
        }
        static std::vector<string> numbers(int n) {
                std::vector<string> texts;

                for (int i = 0; i < n; i++)
                        texts.push_back("[" + std::to_string(i) + "]");
                return texts;
        }
        /* Whatever is ready now and comes of it. */
        void settle() {
                while (sd_event_run(event, 0) > 0)
                        ;
        }
};

TEST_F(HostPauseTest, NothingIsToldWhilePausedAndAllOfItAfterwards) {
        start(3);
        host_pause(host, true);
        say(0, 0, 10);
        say(1, 0, 10);
        settle();
        say(1, 10, 20);
        settle();
        EXPECT_EQ(n_heard, 0u);
        host_pause(host, false);
        EXPECT_EQ(n_heard, 0u) << "not from within";
        host_pause(host, true);
        settle();
        EXPECT_EQ(n_heard, 0u) << "and not if it is full again meanwhile";
        host_pause(host, false);
        settle();
        EXPECT_EQ(heard["s0"], numbers(10));
        EXPECT_EQ(heard["s1"], numbers(20));
        say(2, 0, 1);
        settle();
        EXPECT_EQ(heard["s2"], numbers(1));
}

/* However often it is full, and whoever speaks most. */
TEST_F(HostPauseTest, EachHasItsTurn) {
        constexpr int count = 7;

        start(count);
        full_at_once = true;
        host_pause(host, true);
        for (int i = 0; i < count; i++)
                say((size_t) i, 0, i == 3 ? 300 : 40);
        settle();
        for (unsigned round = 1; round <= 40; round++) {
                std::vector<size_t> told;

                while (n_heard < round * count) {
                        unsigned before = n_heard;

                        host_pause(host, false);
                        settle();
                        ASSERT_EQ(n_heard, before + 1) << "one, and then it is full";
                }
                for (auto &[id, texts] : heard)
                        told.push_back(texts.size());
                ASSERT_EQ(told.size(), (size_t) count);
                auto [least, most] = std::minmax_element(told.begin(), told.end());
                ASSERT_LE(*most - *least, 1u) << "round " << round;
        }
        full_at_once = false;
        host_pause(host, false);
        settle();
        EXPECT_EQ(heard["s3"], numbers(300));
        EXPECT_EQ(n_heard, 300u + 40 * (count - 1));
}

TEST_F(HostPauseTest, WhoIsRefusedMayEndMeanwhile) {
        start(3);
        host_pause(host, true);
        for (size_t i = 0; i < 3; i++)
                say(i, 0, 5);
        settle();
        ASSERT_EQ(host_unload(host, "s0", alice, true, nullptr, nullptr, nullptr), 0);
        process(1)->exit(CLD_KILLED, SIGKILL);
        settle();
        EXPECT_EQ(heard["s1"], numbers(5)) << "what it had said is heard at once";
        host_pause(host, false);
        settle();
        EXPECT_EQ(heard["s2"], numbers(5));
}

} // namespace
