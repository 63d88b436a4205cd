/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

extern "C" {
#include "basic/deadline.h"
#include "host/quota.h"
}

namespace {

struct Timed {
        Deadline deadline{};
        uint64_t due = 0;
        std::vector<uint64_t> *fired = nullptr;
};

class DeadlineTest : public testing::Test {
      protected:
        void SetUp() override {
                ASSERT_GE(sd_event_new(&event), 0);
                ASSERT_EQ(deadlines_new(event, &deadlines), 0);
        }
        void TearDown() override {
                deadlines_free(deadlines);
                sd_event_unref(event);
        }
        sd_event *event = nullptr;
        Deadlines *deadlines = nullptr;
};

void fired(Deadline *d) {
        auto *timed = reinterpret_cast<Timed *>(d);
        timed->fired->push_back(timed->due);
}

} // namespace

TEST_F(DeadlineTest, FireInOrderAndDisarmedOnesNever) {
        std::mt19937 random(7);
        std::vector<uint64_t> order, expected;
        std::vector<Timed> all(500);

        for (auto &timed : all) {
                timed.deadline.expired = fired;
                timed.fired = &order;
                deadline_arm(deadlines, &timed.deadline, random() % 20000);
                timed.due = timed.deadline.usec;
        }
        for (size_t i = 0; i < all.size(); i++) {
                if (i % 3 == 0)
                        deadline_disarm(deadlines, &all[i].deadline);
                else if (i % 3 == 1) {
                        deadline_arm(deadlines, &all[i].deadline, random() % 20000);
                        all[i].due = all[i].deadline.usec;
                }
                if (i % 3 != 0)
                        expected.push_back(all[i].due);
        }
        while (order.size() < expected.size())
                ASSERT_GT(sd_event_run(event, 5 * USEC_PER_SEC), 0);
        std::sort(expected.begin(), expected.end());
        EXPECT_EQ(order, expected);
        for (auto &timed : all)
                EXPECT_FALSE(deadline_armed(&timed.deadline));
}

TEST_F(DeadlineTest, AnEarlierOneIsNotHeldUpByALaterOne) {
        std::vector<uint64_t> order;
        Timed later, earlier;

        for (Timed *timed : { &later, &earlier }) {
                timed->deadline.expired = fired;
                timed->fired = &order;
        }
        later.due = 1;
        deadline_arm(deadlines, &later.deadline, 3600 * USEC_PER_SEC);
        deadline_arm(deadlines, &earlier.deadline, 1000);
        ASSERT_GT(sd_event_run(event, 5 * USEC_PER_SEC), 0);
        EXPECT_EQ(order, std::vector<uint64_t>{ 0 });
        deadline_arm(deadlines, &later.deadline, USEC_INFINITY);
        EXPECT_FALSE(deadline_armed(&later.deadline));
}

TEST(Quota, ChargesAreLimitedPerUserAndReleased) {
        Quota *quota = quota_new();
        uint64_t limit = quota_limit(quota, QUOTA_SESSIONS);
        Charge all{}, one{}, other{};
        PlugindError error{};

        EXPECT_EQ(quota_charge(quota, 1000, QUOTA_SESSIONS, limit, &all, nullptr), 0);
        EXPECT_EQ(quota_charge(quota, 1000, QUOTA_SESSIONS, 1, &one, &error), -EDQUOT);
        EXPECT_EQ(error.code, PLUGIND_ERROR_LIMITS_EXCEEDED);
        EXPECT_NE(strstr(error.message, "sessions"), nullptr) << error.message;
        plugind_error_clear(&error);
        EXPECT_EQ(quota_charge(quota, 1001, QUOTA_SESSIONS, 1, &other, nullptr), 0);
        EXPECT_EQ(quota_charge(quota, 1001, QUOTA_REQUESTS, UINT64_MAX, &one, nullptr), -EDQUOT);
        charge_release(&all);
        EXPECT_EQ(quota_charge(quota, 1000, QUOTA_SESSIONS, 1, &one, nullptr), 0);
        charge_release(&one);
        charge_release(&one);
        charge_release(&other);
        quota_free(quota);
}
