/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Besides the plain behaviour: a SIGKILL at every single instruction. A child works on the buffer and is stepped through with ptrace; after each
 * instruction, what is in the shared memory is copied, taken over as the next daemon would do it, and compared with what may be there.
 */
#include "step-through.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

extern "C" {
#include "duplex/arena.h"
}

using std::string;

#define CAPACITY 256 /* small, so that it is full soon; the real one is what is measured at the end */

class ArenaTest : public testing::Test {
      protected:
        Arena *arena = nullptr;

        void SetUp() override {
                ASSERT_EQ(arena_new(1 << 20, 3, &arena), 0);
        }

        void TearDown() override {
                arena_free(arena);
        }
};

static string peek(const Buffer &buffer) {
        size_t size;
        const char *data = buffer_peek(&buffer, &size);

        return string(data, size);
}

static void put(Buffer &buffer, const string &text) {
        size_t room;
        char *data = buffer_reserve(&buffer, text.size(), &room);

        ASSERT_NE(data, nullptr);
        memcpy(data, text.data(), text.size());
        buffer_commit(&buffer, text.size());
}

static bool all_nul(const Buffer &buffer, size_t start, size_t end) {
        return std::all_of(buffer.data + start, buffer.data + end, [](char c) { return c == 0; });
}

TEST_F(ArenaTest, RefusesWhatAnIndexCannotHold) {
        Arena *other = nullptr;

        EXPECT_EQ(arena_new(0, 1, &other), -EINVAL);
        EXPECT_EQ(arena_new((size_t) 4 << 30, 1, &other), -EINVAL);
        EXPECT_EQ(other, nullptr);
        EXPECT_EQ(arena_epoch(arena), 3u);
        EXPECT_EQ(arena_message_max(arena), (size_t) 1 << 20);
}

TEST_F(ArenaTest, ABufferIsAQueueOfBytes) {
        Slot *slot = nullptr;

        ASSERT_EQ(slot_new(arena, &slot), 0);
        EXPECT_GE(slot->in.capacity, 2 * (size_t) (1 << 20) + 64 * 1024);
        for (Buffer *buffer : { &slot->in, &slot->out }) {
                size_t room;

                EXPECT_EQ(peek(*buffer), "");
                put(*buffer, "hello ");
                put(*buffer, "world");
                EXPECT_EQ(peek(*buffer), "hello world");
                buffer_consume(buffer, 6);
                EXPECT_EQ(peek(*buffer), "world");
                buffer_consume(buffer, 5);
                EXPECT_EQ(peek(*buffer), "");
                EXPECT_EQ(buffer_reserve(buffer, 1, &room), buffer->data); /* starts over */
                EXPECT_EQ(room, buffer->capacity);
        }
        EXPECT_TRUE(all_nul(slot->in, 0, 11));
        slot_free(slot);
}

TEST_F(ArenaTest, CompactsWhenTheCopyLeavesTheOriginalWhole) {
        Slot *slot = nullptr;
        size_t room = 0;

        ASSERT_EQ(slot_new(arena, &slot), 0);
        slot->in.capacity = CAPACITY;
        put(slot->in, string(200, 'a'));
        put(slot->in, string(40, 'b'));
        EXPECT_EQ(buffer_reserve(&slot->in, 17, &room), nullptr);
        EXPECT_NE(buffer_reserve(&slot->in, 16, &room), nullptr);
        EXPECT_EQ(room, 16u);
        buffer_consume(&slot->in, 100);
        EXPECT_EQ(buffer_reserve(&slot->in, 17, &room), nullptr); /* 140 bytes do not fit before 100 */
        buffer_consume(&slot->in, 40);
        EXPECT_EQ(buffer_reserve(&slot->in, CAPACITY, &room), nullptr);
        EXPECT_EQ(buffer_reserve(&slot->in, 17, &room), slot->in.data + 100);
        EXPECT_EQ(room, CAPACITY - 100u);
        EXPECT_EQ(peek(slot->in), string(60, 'a') + string(40, 'b'));
        EXPECT_TRUE(all_nul(slot->in, 100, CAPACITY));
        slot_free(slot);
}

TEST_F(ArenaTest, BytesReadAndNotCountedAreFound) {
        Slot *slot = nullptr;

        ASSERT_EQ(slot_new(arena, &slot), 0);
        put(slot->in, "counted ");
        memcpy(slot->in.data + 8, "not counted", 11);
        buffer_recover(&slot->in, 0);
        EXPECT_EQ(peek(slot->in), "counted not counted");
        /* behind a NUL nothing is believed, and nothing is left to be believed next time */
        memcpy(slot->in.data + 19, "a\0b", 3);
        slot->in.data[900000] = 'c';
        buffer_recover(&slot->in, 0);
        EXPECT_EQ(peek(slot->in), "counted not counteda");
        EXPECT_TRUE(all_nul(slot->in, 20, slot->in.capacity));
        /* output is not read by anyone else: what is not counted was never there */
        put(slot->out, "x");
        slot->out.data[1] = 'y';
        buffer_recover(&slot->out, 0);
        EXPECT_EQ(peek(slot->out), "x");
        slot_free(slot);
}

TEST_F(ArenaTest, AFreedSlotIsEmptyWhenItIsUsedAgain) {
        Slot *first = nullptr, *second = nullptr;
        unsigned number;

        ASSERT_EQ(slot_new(arena, &first), 0);
        ASSERT_EQ(slot_new(arena, &second), 0);
        EXPECT_NE(first->number, second->number);
        put(second->in, "second");
        number = first->number;
        put(first->in, string(100000, 'x'));
        put(first->out, "y");
        slot_free(first);
        ASSERT_EQ(slot_new(arena, &first), 0);
        EXPECT_EQ(first->number, number);
        EXPECT_EQ(peek(first->in), "");
        EXPECT_EQ(peek(first->out), "");
        EXPECT_TRUE(all_nul(first->in, 0, first->in.capacity));
        EXPECT_EQ(peek(second->in), "second");
        slot_free(first);
        slot_free(second);
}

/* Pages of the arena's memfd that exist. */
static long resident_pages() {
        for (int fd = 3; fd < 1024; fd++) {
                char target[64] = {};
                struct stat st;

                if (readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), target, sizeof target - 1) > 0 &&
                    strstr(target, "plugind-duplexes") && fstat(fd, &st) == 0)
                        return (long) (st.st_blocks * 512 / 4096);
        }
        return -1;
}

TEST_F(ArenaTest, OnlyWhatIsTouchedCostsMemory) {
        Slot *slot = nullptr;

        ASSERT_EQ(slot_new(arena, &slot), 0);
        EXPECT_EQ(resident_pages(), 1); /* what says where its buffers lie */
        for (int i = 0; i < 1000; i++) {
                put(slot->in, string(100, 'x'));
                put(slot->out, string(100, 'x'));
                buffer_consume(&slot->in, 100);
                buffer_consume(&slot->out, 100);
        }
        EXPECT_EQ(resident_pages(), 3);
        put(slot->in, string(1000000, 'x'));
        put(slot->out, string(1000000, 'x'));
        EXPECT_GT(resident_pages(), 480);
        buffer_consume(&slot->in, 1000000);
        buffer_consume(&slot->out, 1000000);
        EXPECT_LE(resident_pages(), 1 + 2 * 65); /* a message that was large gives its memory back, but for 256 KiB */
        EXPECT_TRUE(all_nul(slot->in, 0, 1000000));
        slot_free(slot);
        EXPECT_EQ(resident_pages(), 0);
}

TEST_F(ArenaTest, ABufferThatIsNeverEmptyDoesNotWalkOverNewMemory) {
        Slot *slot = nullptr;
        size_t size;

        ASSERT_EQ(slot_new(arena, &slot), 0);
        put(slot->in, "rest");
        for (int i = 0; i < 100; i++) {
                put(slot->in, string(50000, (char) ('a' + i % 26)) + "rest");
                buffer_consume(&slot->in, 50004);
                ASSERT_EQ(peek(slot->in), "rest");
        }
        EXPECT_LE(resident_pages(), 1 + 64);
        EXPECT_TRUE(all_nul(slot->in, (size_t) (buffer_peek(&slot->in, &size) - slot->in.data) + 4, 300000));
        slot_free(slot);
}

TEST(Arena, AThousandSlotsOfSixteenMebibyteMessages) {
        std::vector<Slot *> slots(1000);
        Arena *arena = nullptr;

        ASSERT_EQ(arena_new(16 << 20, 1, &arena), 0);
        for (auto &slot : slots) {
                ASSERT_EQ(slot_new(arena, &slot), 0);
                put(slot->in, std::to_string(slot->number));
        }
        EXPECT_EQ(resident_pages(), 2000);
        for (auto &slot : slots) {
                EXPECT_EQ(peek(slot->in), std::to_string(slot->number));
                slot_free(slot);
        }
        EXPECT_EQ(resident_pages(), 0);
        arena_free(arena);
}

/* What the child has begun and what it has done, in bytes of the stream. */
struct Progress {
        volatile size_t read_begun, read_done, consume_begun, consume_done;
};

static char stream_byte(size_t i) {
        return (char) (1 + i % 251);
}

static string stream(size_t start, size_t size) {
        string text;

        for (size_t i = 0; i < size; i++)
                text += stream_byte(start + i);
        return text;
}

/* A read() that is interrupted leaves a part of its bytes. */
static void child_reads(Buffer *buffer, Progress *progress, size_t size) {
        size_t room, start = progress->read_done;
        char *data = buffer_reserve(buffer, size, &room);

        if (!data)
                _exit(1);
        progress->read_begun = start + size;
        for (size_t i = 0; i < size; i++)
                ((volatile char *) data)[i] = stream_byte(start + i);
        buffer_commit(buffer, size);
        progress->read_done = start + size;
}

static void child_consumes(Buffer *buffer, Progress *progress, size_t size) {
        progress->consume_begun = progress->consume_done + size;
        buffer_consume(buffer, size);
        progress->consume_done = progress->consume_begun;
}

/* Everything that a buffer does: filled in pieces, emptied in pieces, emptied whole, moved to its start. */
static void child_works(Buffer *buffer, Progress *progress) {
        child_reads(buffer, progress, 7);
        child_consumes(buffer, progress, 7);
        child_reads(buffer, progress, 150);
        child_consumes(buffer, progress, 100);
        child_reads(buffer, progress, 60);
        child_consumes(buffer, progress, 20);
        child_reads(buffer, progress, 70); /* compacts */
        child_consumes(buffer, progress, 160);
        child_reads(buffer, progress, 3);
}

/* Index page and data, as found in shared memory. */
static string snapshot(const Slot *slot) {
        return string((const char *) slot->map, sizeof(uint64_t) * 6) + string(slot->in.data, CAPACITY);
}

static void restore(Slot *slot, const string &state) {
        memcpy(slot->map, state.data(), sizeof(uint64_t) * 6);
        memcpy(slot->in.data, state.data() + sizeof(uint64_t) * 6, CAPACITY);
}

struct Expected {
        size_t consume_done, consume_begun, read_done, read_begun;
};

/* After a take-over: a piece of the stream without a gap, that begins and ends where it may. */
static void expect_piece(const Buffer &buffer, const Expected &e) {
        string text = peek(buffer);
        size_t size, head = (size_t) (buffer_peek(&buffer, &size) - buffer.data) + text.size();
        bool found = false;

        for (size_t start : { e.consume_done, e.consume_begun })
                found = found ||
                        (text == stream(start, text.size()) && start + text.size() >= e.read_done && start + text.size() <= e.read_begun);
        ASSERT_TRUE(found) << "consumed " << e.consume_done << " to " << e.consume_begun << ", read " << e.read_done << " to "
                           << e.read_begun << ", found " << text.size() << " bytes from " << (text.empty() ? 0 : (unsigned char) text[0]);
        ASSERT_TRUE(all_nul(buffer, head, CAPACITY));
}

TEST_F(ArenaTest, NothingIsLostOrDoubledWhereverItIsKilled) {
        Progress *progress = (Progress *) mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        Slot *slot = nullptr, *next = nullptr, *last = nullptr;
        std::vector<std::pair<string, Expected>> states;
        std::set<string> seen;
        long steps, recoveries = 0;

        ASSERT_NE((void *) progress, MAP_FAILED);
        for (Slot **s : { &slot, &next, &last }) {
                ASSERT_EQ(slot_new(arena, s), 0);
                (*s)->in.capacity = CAPACITY;
        }
        steps = step_through(
                [&] { child_works(&slot->in, progress); },
                [&] {
                        string state = snapshot(slot);
                        Expected e = { progress->consume_done, progress->consume_begun, progress->read_done, progress->read_begun };

                        restore(next, state);
                        buffer_recover(&next->in, 0);
                        expect_piece(next->in, e);
                        if (seen.insert(state).second)
                                states.emplace_back(state, e);
                });
        if (steps >= 0) {
                EXPECT_GT(steps, 500);
                EXPECT_EQ(progress->read_done, 290u);
                EXPECT_EQ(progress->consume_done, 287u);
        }
        /* The one who takes over is killed as well. */
        for (size_t i = 0; i < states.size() && steps >= 0 && !HasFatalFailure(); i += 40) {
                restore(next, states[i].first);
                recoveries += step_through([&] { buffer_recover(&next->in, 0); },
                                           [&] {
                                                   restore(last, snapshot(next));
                                                   buffer_recover(&last->in, 0);
                                                   expect_piece(last->in, states[i].second);
                                           });
        }
        for (Slot *s : { slot, next, last })
                slot_free(s);
        munmap(progress, 4096);
        if (steps < 0)
                GTEST_SKIP() << "no ptrace here";
        EXPECT_GT(recoveries, 1000);
}
