/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing that survives a SIGKILL. A child writes lines and is stepped through with ptrace; after each instruction a copy of its buffer is
 * recovered, and what that says was written is compared with what the plugin's end has really got.
 */
#include "step-through.h"

#include <climits>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

extern "C" {
#include "duplex/output.h"
}

using std::string;

constexpr size_t MESSAGE_MAX = 1024 * 1024;

namespace {

class OutputTest : public testing::TestWithParam<bool> {
      protected:
        void SetUp() override {
                ASSERT_EQ(arena_new(MESSAGE_MAX, 1, &arena), 0);
                ASSERT_EQ(slot_new(arena, &slot), 0);
                if (GetParam())
                        ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
                else
                        ASSERT_EQ(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
        }
        void TearDown() override {
                slot_free(slot);
                arena_free(arena);
                close(ends[0]);
                close(ends[1]);
        }

        static void queue(Slot *s, const string &text) {
                size_t room;
                char *data = buffer_reserve(&s->out, text.size(), &room);

                ASSERT_NE(data, nullptr);
                memcpy(data, text.data(), text.size());
                buffer_commit(&s->out, text.size());
        }
        static size_t queued(Slot *s) {
                size_t size;

                buffer_peek(&s->out, &size);
                return size;
        }
        string take() const {
                string text(4 * MESSAGE_MAX, '\0');
                ssize_t n = read(ends[0], text.data(), text.size());

                text.resize(n > 0 ? n : 0);
                return text;
        }
        size_t unread() const {
                int n = 0;

                EXPECT_EQ(ioctl(ends[0], FIONREAD, &n), 0);
                return (size_t) n;
        }
        size_t staged() const {
                int n = 0;

                EXPECT_EQ(ioctl(arena_staging(arena), FIONREAD, &n), 0);
                return (size_t) n;
        }

        Arena *arena = nullptr;
        Slot *slot = nullptr;
        int ends[2] = { -1, -1 };
};

string line(size_t size, char c) {
        return string(size - 1, c) + "\n";
}

TEST_P(OutputTest, SmallAndLargeArriveWhole) {
        string all, got;

        for (size_t size : { (size_t) 2, (size_t) PIPE_BUF, (size_t) PIPE_BUF + 1, (size_t) 20'000, (size_t) 900'000, (size_t) 10 }) {
                string text = line(size, 'a' + (char) (size % 26));

                queue(slot, text);
                all += text;
                while (queued(slot) > 0) {
                        ssize_t n = output_write(arena, &slot->out, ends[1]);

                        ASSERT_TRUE(n > 0 || n == -EAGAIN) << n;
                        if (n == -EAGAIN)
                                got += take();
                }
        }
        for (string more; !(more = take()).empty();)
                got += more;
        EXPECT_TRUE(got == all);
        EXPECT_EQ(staged(), 0u);
        EXPECT_EQ(output_write(arena, &slot->out, ends[1]), 0) << "nothing is queued";
}

TEST_P(OutputTest, AFullPipeTakesNothingAndAClosedOneFails) {
        queue(slot, line(900'000, 'x'));
        while (output_write(arena, &slot->out, ends[1]) > 0)
                ;
        EXPECT_EQ(output_write(arena, &slot->out, ends[1]), -EAGAIN);
        EXPECT_EQ(staged(), 0u);
        size_t left = queued(slot);
        EXPECT_EQ(left + unread(), 900'000u);
        close(ends[0]);
        signal(SIGPIPE, SIG_IGN);
        EXPECT_EQ(output_write(arena, &slot->out, ends[1]), -EPIPE);
        signal(SIGPIPE, SIG_DFL);
        EXPECT_EQ(queued(slot), left);
}

TEST_P(OutputTest, WhereverItIsKilledTheNextOneKnowsHowMuchWasWritten) {
        struct Progress {
                volatile size_t begun, done; /* bytes queued */
        } *progress = (Progress *) mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        string lines[] = { line(100, 'a'), line(PIPE_BUF + 500, 'b'), line(20'000, 'c') };
        Slot *next = nullptr;
        int small = 4096;
        long steps;

        ASSERT_NE((void *) progress, MAP_FAILED);
        ASSERT_EQ(slot_new(arena, &next), 0);
        /* Less than all of them. */
        if (GetParam())
                ASSERT_EQ(setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(int)), 0);
        else
                ASSERT_GT(fcntl(ends[1], F_SETPIPE_SZ, 16384), 0);
        steps = step_through(
                [&] {
                        /* One atomic write, one that is staged, one that is staged and taken in part, and then not at all. */
                        for (const string &text : lines) {
                                progress->begun = progress->done + text.size();
                                queue(slot, text);
                                progress->done = progress->begun;
                                output_write(arena, &slot->out, ends[1]);
                        }
                        while (output_write(arena, &slot->out, ends[1]) > 0)
                                ;
                },
                [&] {
                        size_t arrived = unread(), held = staged(), found;

                        memcpy(next->map, slot->map, 4096); /* the indices */
                        buffer_recover(&next->out, held);
                        found = arrived + queued(next);
                        if (arrived == 0 && found == 0)
                                return; /* an atomic write that was begun counts as done, or nothing is queued yet */
                        ASSERT_TRUE(found == progress->begun || found == progress->done)
                                << arrived << " have arrived, " << queued(next) << " are to be written, " << held << " are staged; "
                                << progress->done << " to " << progress->begun << " were queued";
                });
        slot_free(next);
        munmap(progress, 4096);
        if (steps < 0)
                GTEST_SKIP() << "no ptrace here";
        EXPECT_GT(steps, 1000);
        EXPECT_GT(unread(), (size_t) PIPE_BUF + 600);
}

TEST_P(OutputTest, TheNextOneGoesOnWhereTheLastOneWasKilled) {
        Arena *next = nullptr;
        Slot *taken = nullptr;
        int fds[_ARENA_FD_MAX], dups[_ARENA_FD_MAX];
        string text = line(700'000, 'y') + line(50, 'z'), got;

        queue(slot, text);
        ASSERT_GT(output_write(arena, &slot->out, ends[1]), 0);
        arena_descriptors(arena, fds);
        for (int i = 0; i < _ARENA_FD_MAX; i++)
                ASSERT_GE(dups[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3), 0);
        ASSERT_EQ(arena_adopt(dups, MESSAGE_MAX, 2, &next), 0);
        EXPECT_EQ(arena_epoch(next), 2u);
        EXPECT_EQ(slot_adopt(next, 1, &taken), -ENOENT);
        ASSERT_EQ(slot_adopt(next, slot->number, &taken), 0);
        EXPECT_EQ(slot_adopt(next, slot->number, &taken), -EBUSY);
        arena_adopted(next);
        for (;;) {
                string more = take();

                got += more;
                if (more.empty() && queued(taken) == 0)
                        break;
                output_write(next, &taken->out, ends[1]);
        }
        EXPECT_TRUE(got == text);
        slot_free(taken);
        arena_free(next);
}

TEST(Adoption, WhatIsNoArenaIsRefused) {
        int pipe_ends[2], memory = memfd_create("x", MFD_CLOEXEC);
        Arena *arena = nullptr;
        auto adopt = [&](int first, int second, size_t message_max) {
                int fds[_ARENA_FD_MAX] = { first, second, pipe_ends[1] };

                return arena_adopt(fds, message_max, 2, &arena);
        };

        ASSERT_EQ(pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK), 0);
        ASSERT_EQ(ftruncate(memory, 12345), 0);
        EXPECT_EQ(adopt(memory, pipe_ends[0], MESSAGE_MAX), -EBADMSG);
        EXPECT_EQ(adopt(pipe_ends[0], pipe_ends[0], MESSAGE_MAX), -EBADMSG);
        ASSERT_EQ(ftruncate(memory, 0), 0);
        EXPECT_EQ(adopt(memory, memory, MESSAGE_MAX), -EBADMSG);
        EXPECT_EQ(adopt(memory, pipe_ends[0], 0), -EINVAL);
        ASSERT_EQ(adopt(memory, pipe_ends[0], MESSAGE_MAX), 0) << "an empty one is one";
        arena_adopted(arena);
        arena_free(arena);
}

TEST(Adoption, SlotsThatNobodyAdoptsAreEmptiedAndUsedAgain) {
        int fds[_ARENA_FD_MAX], dups[_ARENA_FD_MAX];
        Arena *arena = nullptr, *next = nullptr;
        Slot *slots[3], *kept, *fresh;
        size_t size;

        ASSERT_EQ(arena_new(MESSAGE_MAX, 1, &arena), 0);
        for (Slot *&slot : slots) {
                ASSERT_EQ(slot_new(arena, &slot), 0);
                memcpy(buffer_reserve(&slot->in, 5, &size), "hello", 5);
                buffer_commit(&slot->in, 5);
        }
        *(uint64_t *) slots[2]->map = (uint64_t) 5 << 32 | 3; /* a tail beyond its head */
        arena_descriptors(arena, fds);
        for (int i = 0; i < _ARENA_FD_MAX; i++)
                ASSERT_GE(dups[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3), 0);
        ASSERT_EQ(arena_adopt(dups, MESSAGE_MAX, 2, &next), 0);
        ASSERT_EQ(slot_adopt(next, slots[1]->number, &kept), 0);
        EXPECT_EQ(slot_adopt(next, slots[2]->number, &fresh), -EBADMSG);
        arena_adopted(next);
        EXPECT_EQ(string(buffer_peek(&kept->in, &size), 5), "hello");
        for (int i = 0; i < 2; i++) {
                ASSERT_EQ(slot_new(next, &fresh), 0);
                EXPECT_LT(fresh->number, 3u);
                buffer_peek(&fresh->in, &size);
                EXPECT_EQ(size, 0u);
                EXPECT_EQ(fresh->in.data[0], 0);
                slot_free(fresh);
        }
        slot_free(kept);
        arena_free(next);
        for (Slot *slot : slots)
                slot_free(slot);
        arena_free(arena);
}

INSTANTIATE_TEST_SUITE_P(Kind, OutputTest, testing::Bool(),
                         [](const testing::TestParamInfo<bool> &info) { return std::string(info.param ? "Socket" : "Pipe"); });

} // namespace
