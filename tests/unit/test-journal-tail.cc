/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading the journal in the worker: always answered, and never waited for too long. What is read is a matter of tests/system. */
#include <gtest/gtest.h>

#include <semaphore.h>
#include <string>
#include <vector>

extern "C" {
#include "runtime/journal-tail.h"
}

class JournalTailTest : public testing::Test {
      protected:
        sd_event *event = nullptr;
        Deadlines *deadlines = nullptr;
        Worker *worker = nullptr;
        JournalTail *tail = nullptr;
        sem_t go{};
        std::vector<std::string> answers;

        void SetUp() override {
                ASSERT_GE(sd_event_new(&event), 0);
                ASSERT_EQ(deadlines_new(event, &deadlines), 0);
                ASSERT_EQ(worker_new(&worker), 0);
                sem_init(&go, 0, 0);
        }
        void TearDown() override {
                sem_post(&go);
                tail = journal_tail_free(tail);
                worker_free(worker);
                deadlines_free(deadlines);
                sd_event_unref(event);
                sem_destroy(&go);
        }
        void open(uint64_t timeout_usec) {
                JournalTailConfig config = { event, deadlines, worker, 0, false, timeout_usec };
                ASSERT_EQ(journal_tail_new(&config, &tail), 0);
        }
        /* The worker is busy until `go`. */
        void hold() {
                worker_push(
                        worker,
                        [](void *semaphore) {
                                while (sem_wait((sem_t *) semaphore) < 0)
                                        ;
                        },
                        &go);
        }
        int read(const char *session, PlugindError *error) {
                return journal_tail_read(
                        tail, session,
                        [](const PluginLogLine *, size_t n, const PlugindError *failure, void *userdata) {
                                ((std::vector<std::string> *) userdata)->push_back(failure ? failure->message : std::to_string(n));
                        },
                        &answers, error);
        }
        void until(size_t n) {
                uint64_t end, now;

                sd_event_now(event, CLOCK_MONOTONIC, &end);
                for (end += 10 * USEC_PER_SEC, now = 0; answers.size() < n && now < end; sd_event_now(event, CLOCK_MONOTONIC, &now))
                        sd_event_run(event, USEC_PER_SEC);
                ASSERT_EQ(answers.size(), n);
        }
};

TEST_F(JournalTailTest, WhoeverAsksIsAnsweredLater) {
        open(0);
        ASSERT_EQ(read("no-such-session", nullptr), 0);
        EXPECT_TRUE(answers.empty());
        until(1);
        EXPECT_EQ(answers[0], "0") << "with or without a journal on this machine";
}

TEST_F(JournalTailTest, AJournalThatHangsIsNotWaitedFor) {
        open(1000);
        hold();
        ASSERT_EQ(read("x", nullptr), 0);
        until(1);
        EXPECT_EQ(answers[0], "the journal did not give the lines of session \"x\" within 0.001 s");
        sem_post(&go);
        ASSERT_EQ(read("y", nullptr), 0);
        until(2); /* and the late one is not answered again */
}

TEST_F(JournalTailTest, TooManyAreRefused) {
        PlugindError error = PLUGIND_ERROR_INIT;
        size_t n = 0;

        open(60 * USEC_PER_SEC);
        hold();
        while (n < 1000 && read("x", &error) == 0)
                n++;
        EXPECT_EQ(n, 32u);
        EXPECT_EQ(error.code, PLUGIND_ERROR_LIMITS_EXCEEDED);
        plugind_error_clear(&error);
        sem_post(&go);
        until(n);
        EXPECT_EQ(read("x", &error), 0) << "there is room again";
        until(n + 1);
}

TEST_F(JournalTailTest, AtTheEndAllAreAnswered) {
        open(60 * USEC_PER_SEC);
        hold();
        for (int i = 0; i < 3; i++)
                ASSERT_EQ(read("x", nullptr), 0);
        tail = journal_tail_free(tail);
        EXPECT_EQ(answers, std::vector<std::string>(3, "plugind is shutting down"));
}
