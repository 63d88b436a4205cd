/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Besides the plain behaviour: a SIGKILL at every single instruction, a change of every 64th byte, and a file that ends there. Whoever opens what is left
 * finds of each key its old or its new text, and nothing that never was.
 */
#include "step-through.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

extern "C" {
#include "basic/log.h"
#include "store/state.h"
}

using std::string;
using Texts = std::map<string, string>;

#define HALF_SIZE ((off_t) 1 << (sizeof(void *) > 4 ? 30 : 27))
#define SECOND_HALF (4096 + HALF_SIZE)

static void set(State *state, const string &key, const string &text) {
        ASSERT_EQ(state_set(state, key.c_str(), text.data(), text.size()), 0) << key;
}

static string get(State *state, const string &key) {
        size_t size = 0;
        const char *text = state_get(state, key.c_str(), &size);

        if (!text)
                return "(nothing)";
        EXPECT_EQ(text[size], '\0');
        return string(text, size);
}

static std::vector<string> keys(State *state, const char *prefix = "") {
        std::vector<string> found;

        state_foreach(
                state, prefix,
                [](const char *key, const char *, size_t, void *userdata) { ((std::vector<string> *) userdata)->push_back(key); }, &found);
        return found;
}

static Texts texts(State *state) {
        Texts found;

        for (const string &key : keys(state))
                found[key] = get(state, key);
        return found;
}

static size_t memory(int fd) {
        struct stat st;

        EXPECT_EQ(fstat(fd, &st), 0);
        return (size_t) st.st_blocks * 512;
}

/* All that is data in the one is data in the other, and of the same size; -1 for SIZE: all of it. */
static void copy_into(int from, int to, off_t size = -1) {
        off_t start, end = 0;
        struct stat st;

        ASSERT_EQ(fstat(from, &st), 0);
        size = size < 0 ? st.st_size : size;
        ASSERT_EQ(ftruncate(to, 0), 0);
        ASSERT_EQ(ftruncate(to, size), 0);
        while ((start = lseek(from, end, SEEK_DATA)) >= 0 && start < size) {
                end = std::min(lseek(from, start, SEEK_HOLE), size);
                string data((size_t) (end - start), '\0');
                ASSERT_EQ(pread(from, &data[0], data.size(), start), (ssize_t) data.size());
                ASSERT_EQ(pwrite(to, data.data(), data.size(), start), (ssize_t) data.size());
        }
}

static int copy_of(int from, off_t size = -1) {
        int to = memfd_create("copy", MFD_CLOEXEC);

        copy_into(from, to, size);
        return to;
}

/* As the next daemon finds it. */
static State *reopened(int fd) {
        State *next = nullptr;

        EXPECT_EQ(state_open(fd, &next), 0);
        return next;
}

static string log_of(const std::function<void()> &body) {
        testing::internal::CaptureStderr();
        log_open(LOG_TARGET_STDERR, LOG_INFO);
        body();
        log_open(LOG_TARGET_AUTO, LOG_INFO);
        return testing::internal::GetCapturedStderr();
}

class StateTest : public testing::Test {
      protected:
        State *state = nullptr;

        void SetUp() override {
                ASSERT_EQ(state_new(&state), 0);
        }

        void TearDown() override {
                state_free(state);
        }

        /* Frees the one and goes on with what it leaves. */
        void reopen() {
                int fd = dup(state_fd(state));

                state_free(state);
                state = reopened(fd);
        }
};

TEST_F(StateTest, ATextIsWhatItWasLastSetTo) {
        string big(300'000, 'x');

        EXPECT_EQ(get(state, "bus"), "(nothing)");
        set(state, "session/echo", "{\"a\":1}");
        set(state, "bus", "abc");
        set(state, "owed", "");
        set(state, "session/echo", big);
        for (int i = 0; i < 2; i++) {
                EXPECT_EQ(get(state, "session/echo"), big);
                EXPECT_EQ(get(state, "bus"), "abc");
                EXPECT_EQ(get(state, "owed"), "");
                EXPECT_EQ(keys(state), (std::vector<string>{ "session/echo", "bus", "owed" }));
                EXPECT_EQ(keys(state, "session/"), (std::vector<string>{ "session/echo" }));
                reopen();
        }
        state_remove(state, "bus");
        state_remove(state, "bus");
        state_remove(state, "never set");
        reopen();
        EXPECT_EQ(get(state, "bus"), "(nothing)");
        set(state, "bus", "again");
        EXPECT_EQ(keys(state), (std::vector<string>{ "session/echo", "owed", "bus" }));
        EXPECT_EQ(state_epoch(state), 4u);
}

TEST_F(StateTest, BoundsAreKept) {
        string longest(255, 'k'), longer(256, 'k'), text(STATE_TEXT_MAX, 't');

        EXPECT_EQ(state_set(state, "", "x", 1), -EINVAL);
        EXPECT_EQ(state_set(state, longer.c_str(), "x", 1), -EINVAL);
        set(state, longest, "x");
        set(state, "big", "small");
        EXPECT_EQ(state_set(state, "big", text.data(), text.size() + 1), -E2BIG);
        EXPECT_EQ(get(state, "big"), "small");
        set(state, "big", text);
        reopen();
        EXPECT_EQ(get(state, longest), "x");
        EXPECT_TRUE(get(state, "big") == text);
}

TEST_F(StateTest, SealedIsKnownToTheNextOnly) {
        EXPECT_EQ(state_epoch(state), 1u);
        EXPECT_FALSE(state_was_sealed(state));
        state_seal(state);
        EXPECT_FALSE(state_was_sealed(state));
        reopen();
        EXPECT_TRUE(state_was_sealed(state));
        EXPECT_EQ(state_epoch(state), 2u);
        reopen();
        EXPECT_FALSE(state_was_sealed(state));
        EXPECT_EQ(state_epoch(state), 3u);
}

TEST_F(StateTest, KeyAndTextMayLieInTheState) {
        set(state, "a", string(1000, 'a'));
        for (int i = 0; i < 1000; i++) /* over several compactions */
                state_foreach(
                        state, "a",
                        [](const char *key, const char *text, size_t size, void *userdata) {
                                ASSERT_EQ(state_set((State *) userdata, key, text, size), 0);
                                ASSERT_EQ(state_set((State *) userdata, "b", text, size), 0);
                                state_remove((State *) userdata, "b");
                        },
                        state);
        EXPECT_EQ(get(state, "a"), string(1000, 'a'));
        EXPECT_EQ(keys(state).size(), 1u);
}

TEST_F(StateTest, MemoryIsThatOfWhatLives) {
        for (int round = 0; round < 5; round++)
                for (int i = 0; i < 10'000; i++)
                        set(state, "session/number" + std::to_string(i), string(400, (char) ('a' + round)));
        EXPECT_LT(memory(state_fd(state)), 2u * 10'000 * 456 + 256 * 1024);
        reopen();
        ASSERT_EQ(keys(state).size(), 10'000u);
        for (int i = 0; i < 10'000; i++) {
                ASSERT_EQ(get(state, "session/number" + std::to_string(i)), string(400, 'e'));
                state_remove(state, ("session/number" + std::to_string(i)).c_str());
        }
        EXPECT_LT(memory(state_fd(state)), 256u * 1024);
        reopen();
        EXPECT_EQ(keys(state).size(), 0u);
        for (int i = 0; i < 100'000; i++)
                set(state, "one", string((size_t) (i % 300), 'x'));
        EXPECT_LT(memory(state_fd(state)), 256u * 1024);
        reopen();
        EXPECT_EQ(get(state, "one"), string(99'999 % 300, 'x'));
}

/* 50 texts of all sizes, some of them changed, some removed. */
static Texts fill(State *state) {
        for (int round = 0; round < 2; round++)
                for (int i = 0; i < 55; i++)
                        if (round == 0 || i % 3 == 0)
                                set(state, "session/" + std::to_string(i),
                                    string((size_t) (i * 13 % 200), (char) ('A' + i)) + std::to_string(round));
        for (int i = 0; i < 5; i++)
                state_remove(state, ("session/" + std::to_string(i * 7)).c_str());
        return texts(state);
}

/* What is there is what was there, and at most LOSS are not. */
static void compare(State *found, const Texts &expected, size_t loss) {
        Texts have = texts(found);

        EXPECT_LE(have.size(), expected.size());
        EXPECT_GE(have.size() + loss, expected.size());
        for (const auto &entry : have)
                ASSERT_EQ(expected.count(entry.first) ? expected.at(entry.first) : "never set", entry.second) << entry.first;
}

static size_t end_of_data(int fd) {
        off_t start = 4096, end = lseek(fd, start, SEEK_HOLE);
        string data((size_t) (end - start), '\0');

        EXPECT_EQ(pread(fd, &data[0], data.size(), start), (ssize_t) data.size());
        return (size_t) start + data.find_last_not_of('\0') + 1;
}

TEST_F(StateTest, AChangedByteCostsOneTextAtMost) {
        Texts expected = fill(state);
        size_t end = end_of_data(state_fd(state));
        unsigned told = 0;

        ASSERT_EQ(expected.size(), 50u);
        for (size_t place = 0; place < end; place += place < 64 ? 1 : place == 64 ? 4096 - 64 : 9) { /* 9: each of 8 bytes of a word */
                int copy = copy_of(state_fd(state)), fd = dup(copy), r = 0;
                State *next = nullptr;
                uint8_t byte;

                SCOPED_TRACE(place);
                ASSERT_EQ(pread(copy, &byte, 1, (off_t) place), 1);
                byte = (uint8_t) (byte ^ (1 + place % 255));
                ASSERT_EQ(pwrite(copy, &byte, 1, (off_t) place), 1);
                string log = log_of([&] { r = state_open(copy, &next); });
                if (place < 16) {
                        ASSERT_EQ(r, -EBADMSG);
                        close(copy);
                } else {
                        ASSERT_EQ(r, 0);
                        EXPECT_EQ(state_epoch(next), 2u);
                        compare(next, expected, place < 4096 ? 0 : 1);
                        EXPECT_TRUE(log.find("damaged") != string::npos || (texts(next) == expected && (place < 32 || place >= 40)));
                        told += !log.empty();
                        /* once told, it is gone, and there is room for what comes */
                        set(next, "session/0", "anew");
                        state_free(next);
                        EXPECT_EQ(log_of([&] { ASSERT_EQ(state_open(fcntl(fd, F_DUPFD_CLOEXEC, 3), &next), 0); }), "");
                        EXPECT_EQ(get(next, "session/0"), "anew");
                        state_free(next);
                }
                close(fd);
                if (HasFailure())
                        return;
        }
        EXPECT_GT(told, 100u);
}

TEST_F(StateTest, AFileThatEndsEarlyKeepsWhatIsBefore) {
        Texts expected = fill(state);
        size_t end = end_of_data(state_fd(state)), most = 0;

        for (size_t place = 0; place < end; place += place < 64 || place >= 4096 ? 8 : 64) {
                int copy = copy_of(state_fd(state), (off_t) place), r = 0;
                State *next = nullptr;

                SCOPED_TRACE(place);
                string log = log_of([&] { r = state_open(copy, &next); });
                if (place < 40) {
                        ASSERT_EQ(r, -EBADMSG);
                        close(copy);
                        continue;
                }
                ASSERT_EQ(r, 0);
                EXPECT_NE(log.find("cut off at " + std::to_string(place) + " bytes"), string::npos);
                Texts have = texts(next);
                for (auto i = have.begin();
                     i != have.end();) /* of one that was set again there is still the first text, if it had not been erased */
                        i = i->second == expected[i->first] ? have.erase(i) : std::next(i);
                EXPECT_TRUE(have.empty());
                EXPECT_GE(texts(next).size(), most);
                most = texts(next).size();
                set(next, "after", "it");
                EXPECT_EQ(get(next, "after"), "it");
                state_free(next);
        }
        EXPECT_GE(most, 48u);
}

/* The other half is the active one, then the first one again; and the word that says so is damaged. */
TEST_F(StateTest, TheActiveHalfIsFoundWithoutItsWord) {
        Texts expected = fill(state);

        for (int compactions = 0; compactions < 4; compactions++) {
                do
                        set(state, "one", string(1000, (char) ('a' + compactions)));
                while ((lseek(state_fd(state), 4096, SEEK_DATA) >= SECOND_HALF) != compactions % 2);
                expected["one"] = get(state, "one");
                for (off_t place = 32; place < 40; place++) {
                        int copy = copy_of(state_fd(state));
                        State *next = nullptr;
                        uint8_t byte;

                        ASSERT_EQ(pread(copy, &byte, 1, place), 1);
                        byte ^= 0x80;
                        ASSERT_EQ(pwrite(copy, &byte, 1, place), 1);
                        EXPECT_NE(log_of([&] { ASSERT_EQ(state_open(copy, &next), 0); }).find("which half is active is damaged"),
                                  string::npos);
                        EXPECT_TRUE(texts(next) == expected);
                        state_free(next);
                }
        }
}

TEST_F(StateTest, ADamagedTextIsNamed) {
        string log, key = "session/\n\x1b[31m";
        State *next = nullptr;
        char text[4096];
        int copy;

        set(state, "bus", "abc");
        set(state, key, "the text of it");
        set(state, "owed", "def");
        copy = copy_of(state_fd(state));
        ASSERT_EQ(pread(copy, text, sizeof text, 4096), (ssize_t) sizeof text);
        ASSERT_EQ(pwrite(copy, "T", 1, 4096 + (off_t) string(text, sizeof text).find("the text of it")), 1);
        log = log_of([&] { ASSERT_EQ(state_open(copy, &next), 0); });
        EXPECT_NE(log.find("left out, their key reads session/\\x0a\\x1b[31m"), string::npos) << log;
        EXPECT_EQ(keys(next), (std::vector<string>{ "bus", "owed" }));
        state_free(next);
}

TEST_F(StateTest, ManyDamagedTextsAreCounted) {
        State *next = nullptr;
        int copy;

        for (int i = 0; i < 150; i++)
                set(state, std::to_string(i), "");
        copy = copy_of(state_fd(state));
        for (int i = 0; i < 150; i++)
                ASSERT_EQ(pwrite(copy, "x", 1, 4096 + i * 32 + 8), 1);
        string log = log_of([&] { ASSERT_EQ(state_open(copy, &next), 0); });
        EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 101);
        EXPECT_NE(log.find("50 more places are damaged"), string::npos) << log;
        EXPECT_TRUE(keys(next).empty());
        state_free(next);
}

/* state/version-1: the 40 bytes of the header and the beginning of the first half, as that version wrote them on a little-endian machine. A later
 * version adds a file, and reads all of them. */
TEST_F(StateTest, WhatAVersionOnceWroteIsReadByAllThatFollow) {
        std::ifstream file(SOURCE_ROOT "/tests/unit/state/version-1", std::ios::binary);
        string data((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
        int fd = memfd_create("version-1", MFD_CLOEXEC);
        State *next = nullptr;
        uint16_t one = 1;

        if (*(uint8_t *) &one != 1 || sizeof(void *) < 8)
                GTEST_SKIP() << "the file is of another machine";
        ASSERT_EQ(data.size(), 320u);
        ASSERT_EQ(ftruncate(fd, SECOND_HALF + HALF_SIZE), 0);
        ASSERT_EQ(pwrite(fd, data.data(), 40, 0), 40);
        ASSERT_EQ(pwrite(fd, data.data() + 40, 280, 4096), 280);
        EXPECT_EQ(log_of([&] { ASSERT_EQ(state_open(fd, &next), 0); }), "");
        EXPECT_EQ(state_epoch(next), 8u);
        EXPECT_TRUE(state_was_sealed(next));
        EXPECT_EQ(texts(next), (Texts{ { "session/echo", "{\"id\":\"echo\"}" }, { "bus", "0123456789abcdef" }, { "owed", "[]" } }));
        EXPECT_EQ(keys(next), (std::vector<string>{ "session/echo", "bus", "owed" }));
        state_free(next);
}

/* Plays a SIGKILL at every instruction of WORK, and compares what is found each time with what may be there: HISTORY, in that order. */
class StateKilled : public StateTest {
      protected:
        std::vector<Texts> history;
        size_t now = 0;
        bool sealed = false;

        void look(int copy) {
                State *next = reopened(dup(copy));
                Texts found;

                ASSERT_NE(next, nullptr);
                found = texts(next);
                ASSERT_FALSE(sealed && !state_was_sealed(next));
                sealed = state_was_sealed(next);
                state_free(next);
                while (now < history.size() && found != history[now])
                        now++;
                ASSERT_LT(now, history.size()) << "after " << found.size() << " texts";
        }

        /* What there is, holes left out, goes into DATA. False if it is what was in there: most instructions change nothing. */
        bool take(const char *map, std::map<off_t, string> *data) {
                bool same = true;
                size_t n = 0;

                for (off_t start, end = 0; (start = lseek(state_fd(state), end, SEEK_DATA)) >= 0; n++) {
                        end = lseek(state_fd(state), start, SEEK_HOLE);
                        string &known = (*data)[start];
                        if (known.size() == (size_t) (end - start) && memcmp(known.data(), map + start, known.size()) == 0)
                                continue;
                        known.assign(map + start, (size_t) (end - start));
                        same = false;
                }
                if (same && n == data->size())
                        return false;
                if (n != data->size()) { /* some of it has become a hole */
                        data->clear();
                        take(map, data);
                }
                return true;
        }

        void play(const std::function<void()> &work) {
                const size_t size = (size_t) (SECOND_HALF + HALF_SIZE);
                int copy = memfd_create("copy", MFD_CLOEXEC);
                char *map = (char *) mmap(nullptr, size, PROT_READ, MAP_SHARED, state_fd(state), 0);
                std::map<off_t, string> last;
                long steps;

                ASSERT_NE(map, MAP_FAILED);
                steps = step_through(work, [&] {
                        if (!take(map, &last))
                                return;
                        copy_into(state_fd(state), copy);
                        look(copy);
                });
                munmap(map, size);
                close(copy);
                if (steps < 0)
                        GTEST_SKIP() << "no ptrace here";
                EXPECT_GT(steps, 100);
                if (!HasFatalFailure())
                        look(state_fd(state));
                EXPECT_EQ(now, history.size() - 1);
        }
};

TEST_F(StateKilled, EveryTextIsTheOldOrTheNewOne) {
        Texts is;

        set(state, "a", "one");
        set(state, "b", "two, which is longer than the others are");
        history.push_back(is = texts(state));
        is["a"] = "three, which takes more room than what was there before it";
        history.push_back(is);
        is["c"] = "new";
        history.push_back(is);
        is["b"] = "";
        history.push_back(is);
        is.erase("a");
        history.push_back(is);
        EXPECT_EQ(log_of([&] {
                          play([&] {
                                  set(state, "a", "three, which takes more room than what was there before it");
                                  set(state, "c", "new");
                                  set(state, "b", "");
                                  state_remove(state, "a");
                                  state_seal(state);
                          });
                  }),
                  "");
        EXPECT_TRUE(sealed || IsSkipped());
}

TEST_F(StateKilled, ACopyOfAllThatLivesIsNotSeen) {
        for (int i = 0; i < 8; i++)
                set(state, "session/" + std::to_string(i), string(100, (char) ('a' + i)));
        for (int i = 0; i < 68; i++) /* the next one makes it too many */
                set(state, "garbage", string(966, 'g'));
        ASSERT_LT(lseek(state_fd(state), 4096, SEEK_DATA), SECOND_HALF);
        history.push_back(texts(state));
        history.push_back(history.back());
        history.back()["garbage"] = string(900, 'h');
        EXPECT_EQ(log_of([&] { play([&] { set(state, "garbage", string(900, 'h')); }); }), "");
        EXPECT_TRUE(IsSkipped() || lseek(state_fd(state), 4096, SEEK_DATA) >= SECOND_HALF);
}

TEST_F(StateKilled, TheNextOneMayBeKilledWhileItReads) {
        int fd = state_fd(state);
        Texts all;

        set(state, "a", "one");
        set(state, "damaged", "two");
        set(state, "b", "three");
        all = texts(state);
        all.erase("damaged");
        history.push_back(all);
        ASSERT_EQ(pwrite(fd, "x", 1, 4096 + 32 + 24), 1);                                         /* its key */
        ASSERT_EQ(pwrite(fd, "x", 1, 32), 1);                                                     /* which half */
        ASSERT_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, HALF_SIZE), 0); /* less to look through */
        testing::internal::CaptureStderr();
        play([&] {
                State *next = nullptr;

                if (state_open(dup(fd), &next) < 0)
                        _exit(1);
        });
        testing::internal::GetCapturedStderr();
}
