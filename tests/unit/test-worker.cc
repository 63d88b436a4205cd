/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <pthread.h>
#include <signal.h>
#include <vector>

extern "C" {
#include "basic/worker.h"
}

namespace {

struct Order {
        std::vector<int> *seen;
        int number;
};

void note(void *data) {
        Order *order = static_cast<Order *>(data);

        order->seen->push_back(order->number);
        delete order;
}

void wait_for(void *data) {
        static_cast<std::future<void> *>(data)->wait();
}

void look_around(void *data) {
        auto *found = static_cast<std::pair<pthread_t, sigset_t> *>(data);

        found->first = pthread_self();
        pthread_sigmask(SIG_SETMASK, nullptr, &found->second);
}

} // namespace

TEST(Worker, FreeRunsWhatWasQueuedInOrder) {
        std::vector<int> seen, expected;
        Worker *worker = nullptr;

        ASSERT_EQ(worker_new(&worker), 0);
        for (int i = 0; i < 1000; i++) {
                worker_push(worker, note, new Order{ &seen, i });
                expected.push_back(i);
        }
        EXPECT_EQ(worker_free(worker), nullptr);
        EXPECT_EQ(seen, expected);
}

TEST(Worker, CountsWhatHasNotEnded) {
        std::promise<void> gate;
        std::future<void> opened = gate.get_future();
        std::vector<int> seen;
        Worker *worker = nullptr;

        ASSERT_EQ(worker_new(&worker), 0);
        EXPECT_EQ(worker_queued(worker), 0U);
        worker_push(worker, wait_for, &opened);
        worker_push(worker, note, new Order{ &seen, 1 });
        worker_push(worker, note, new Order{ &seen, 2 });
        EXPECT_EQ(worker_queued(worker), 3U);
        gate.set_value();
        while (worker_queued(worker) > 0)
                sched_yield();
        EXPECT_EQ(seen.size(), 2U);
        worker_free(worker);
}

TEST(Worker, RunsInAThreadOfItsOwnThatTakesNoSignals) {
        std::pair<pthread_t, sigset_t> found = { pthread_self(), {} };
        sigset_t mine;
        Worker *worker = nullptr;

        ASSERT_EQ(worker_new(&worker), 0);
        worker_push(worker, look_around, &found);
        worker_free(worker);
        EXPECT_FALSE(pthread_equal(found.first, pthread_self()));
        for (int signal : { SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGUSR1, SIGALRM })
                EXPECT_EQ(sigismember(&found.second, signal), 1) << signal;
        pthread_sigmask(SIG_SETMASK, nullptr, &mine);
        EXPECT_EQ(sigismember(&mine, SIGTERM), 0);
}

TEST(Worker, FreeOfNothingIsFine) {
        EXPECT_EQ(worker_free(nullptr), nullptr);
}
