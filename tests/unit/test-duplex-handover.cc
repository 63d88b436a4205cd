/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A duplex that goes from one daemon to the next. Both are in this process: the first one holds, keeps its arena and frees its duplex, the
 * second one has duplicates of the descriptors, as from the fd store. Answers may come before their turn while it is held, all else comes
 * once and in order.
 */
#include "step-through.h"

#include <csignal>
#include <fcntl.h>
#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

extern "C" {
#include "duplex/duplex.h"
}

using std::string;
using Texts = std::vector<string>;

namespace {

constexpr size_t MESSAGE_MAX = 4000;

struct Param {
        Framing framing;
        bool socket;
};

class HandoverTest : public testing::TestWithParam<Param> {
      protected:
        sd_event *event = nullptr;
        Arena *arena = nullptr;
        Duplex *duplex = nullptr;
        int in = -1, out = -1;               /* the ends in the fd store */
        int plugin_in = -1, plugin_out = -1; /* what the plugin reads from and writes to */
        Texts told, answers, closed;         /* told in order; answers in order among themselves */
        unsigned told_while_held = 0;        /* of `told` */
        bool held = false, ready = true;
        unsigned asked = 0;
        std::function<void()> on_ahead;

        static void on_message(Duplex *, const JsonRpcMessage *m, void *userdata) {
                auto test = (HandoverTest *) userdata;

                test->tell(m->kind == JSONRPC_RESULT ? test->answers : test->told, string(m->whole.data, m->whole.size));
        }
        static void on_bad(Duplex *, JsonRange, const PlugindError *error, void *userdata) {
                auto test = (HandoverTest *) userdata;

                test->tell(test->told, string("bad ") + error->message);
        }
        static void on_skipped(Duplex *, const char *line, size_t size, void *userdata) {
                auto test = (HandoverTest *) userdata;

                test->tell(test->told, "skipped " + string(line, size));
        }
        static void on_closed(Duplex *, const PlugindError *error, void *userdata) {
                ((HandoverTest *) userdata)->closed.push_back(error->message);
        }
        static bool is_ready(Duplex *, void *userdata) {
                auto test = (HandoverTest *) userdata;

                test->asked++;
                return test->ready;
        }
        static bool ahead(Duplex *, const JsonRpcMessage *m, void *userdata) {
                auto test = (HandoverTest *) userdata;

                EXPECT_TRUE(test->held);
                if (m->kind != JSONRPC_RESULT)
                        return false;
                test->answers.emplace_back(m->whole.data, m->whole.size);
                if (test->on_ahead)
                        test->on_ahead();
                return true;
        }
        void tell(Texts &where, const string &what) {
                told_while_held += held;
                where.push_back(what);
        }

        static constexpr DuplexOps ops = { on_message, on_bad, on_skipped, on_closed, is_ready, ahead };

        void SetUp() override {
                signal(SIGPIPE, SIG_IGN);
                ASSERT_GE(sd_event_new(&event), 0);
        }
        void TearDown() override {
                end();
                sd_event_unref(event);
        }

        static void close_fd(int &fd) {
                if (fd >= 0)
                        close(fd);
                fd = -1;
        }
        void end() {
                duplex = duplex_free(duplex);
                arena = arena_free(arena);
                for (int *fd : { &in, &out, &plugin_in, &plugin_out })
                        close_fd(*fd);
        }
        static int copy(int fd) {
                return fcntl(fd, F_DUPFD_CLOEXEC, 3);
        }

        void start() {
                int to[2], from[2];

                end();
                for (Texts *texts : { &told, &answers, &closed })
                        texts->clear();
                told_while_held = 0;
                held = false;
                ASSERT_EQ(arena_new(MESSAGE_MAX, 1, &arena), 0);
                if (GetParam().socket) {
                        ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, to), 0);
                        in = out = -1;
                        in = to[0];
                        plugin_in = to[1];
                        plugin_out = copy(to[1]);
                } else {
                        ASSERT_EQ(pipe2(to, O_CLOEXEC), 0);
                        ASSERT_EQ(pipe2(from, O_CLOEXEC), 0);
                        in = from[0];
                        out = to[1];
                        plugin_in = to[0];
                        plugin_out = from[1];
                }
                fcntl(plugin_in, F_SETFL, O_NONBLOCK);
                int mine = copy(in);
                ASSERT_EQ(duplex_new(event, arena, mine, out < 0 ? mine : copy(out), GetParam().framing, &ops, this, &duplex), 0);
        }
        void hold() {
                held = true;
                duplex_hold(duplex);
        }
        /* The next daemon. */
        void hand_over() {
                int fds[_ARENA_FD_MAX], dups[_ARENA_FD_MAX], mine = copy(in);
                unsigned slot = duplex_slot(duplex);
                Arena *next = nullptr;

                arena_descriptors(arena, fds);
                for (int i = 0; i < _ARENA_FD_MAX; i++)
                        ASSERT_GE(dups[i] = copy(fds[i]), 0);
                arena_keep(arena);
                duplex = duplex_free(duplex);
                arena = arena_free(arena);
                held = false;
                ASSERT_EQ(arena_adopt(dups, MESSAGE_MAX, 2, &next), 0);
                arena = next;
                ASSERT_EQ(duplex_adopt(event, arena, slot, mine, out < 0 ? mine : copy(out), GetParam().framing, &ops, this, &duplex), 0);
                EXPECT_EQ(duplex_slot(duplex), slot);
                arena_adopted(arena);
        }
        /* Turns the loop until nothing more happens by itself, which has to come. */
        void settle() {
                for (int i = 0; i < 100'000; i++)
                        if (sd_event_run(event, 0) == 0)
                                return;
                FAIL() << "the loop does not come to rest";
        }
        void plugin_writes(const string &text) {
                for (size_t done = 0; done < text.size();) {
                        ssize_t n = write(plugin_out, text.data() + done, MIN(text.size() - done, (size_t) 32768));

                        ASSERT_GT(n, 0);
                        done += (size_t) n;
                        settle();
                }
        }
        string plugin_reads() {
                char buffer[65536];
                string text;
                ssize_t n;

                while ((n = read(plugin_in, buffer, sizeof(buffer))) > 0) {
                        text += string(buffer, (size_t) n);
                        settle();
                }
                return n == 0 ? text + "EOF" : text;
        }
        static string frame(const string &body) {
                return GetParam().framing == FRAMING_LINES ? body + "\n"
                                                           : "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
        }
        static string notification(int i, size_t size = 0) {
                return "{\"method\":\"n" + std::to_string(i) + string(size, 'x') + "\"}";
        }
        static string answer(int i) {
                return "{\"id\":" + std::to_string(i) + ",\"result\":{\"a\":[{\"b\":1}]}}";
        }
};

INSTANTIATE_TEST_SUITE_P(, HandoverTest,
                         testing::Values(Param{ FRAMING_LINES, false }, Param{ FRAMING_LINES, true }, Param{ FRAMING_HEADERS, false },
                                         Param{ FRAMING_HEADERS, true }),
                         [](const testing::TestParamInfo<Param> &info) {
                                 return string(info.param.framing == FRAMING_LINES ? "Lines" : "Headers") +
                                        (info.param.socket ? "Socket" : "Pipes");
                         });

/* Held at every byte, handed over then or later, at bytes that are other places in a message. */
TEST_P(HandoverTest, EveryNotificationOnceAndInOrderEveryAnswerOnceWhereverItIsCut) {
        Texts notifications, all_answers;
        string stream;

        for (int i = 0; i < 5; i++) {
                notifications.push_back(notification(i));
                all_answers.push_back(answer(i));
                stream += (i % 2 ? frame(notification(i)) + frame(answer(i)) : frame(answer(i)) + frame(notification(i)));
        }
        if (GetParam().framing == FRAMING_LINES) {
                stream.insert(stream.find("{\"method\":\"n2"), "a banner\n\n");
                notifications.insert(notifications.begin() + 2, "skipped a banner");
        }
        for (size_t first = 0; first <= stream.size(); first++)
                for (size_t second : { first, first + 1, first + 50, first + 131, stream.size() }) {
                        string held_part, context = "held at byte " + std::to_string(first) + ", handed over at " + std::to_string(second);

                        if (second > stream.size())
                                continue;
                        start();
                        plugin_writes(stream.substr(0, first));
                        hold();
                        settle();
                        plugin_writes(stream.substr(first, second - first));
                        size_t expected = 0;
                        for (const string &a : all_answers)
                                expected += stream.find(frame(a)) + frame(a).size() <= second;
                        ASSERT_EQ(answers.size(), expected) << context;
                        ASSERT_EQ(told_while_held, 0u) << context;
                        hand_over();
                        settle();
                        plugin_writes(stream.substr(second));
                        ASSERT_EQ(told, notifications) << context;
                        ASSERT_EQ(answers, all_answers) << context;
                        close_fd(plugin_in);
                        close_fd(plugin_out);
                        settle();
                        ASSERT_EQ(closed, Texts{ "the plugin closed its output" }) << context;
                }
}

TEST_P(HandoverTest, ManyTimesInARow) {
        Texts notifications, all_answers;

        start();
        for (int i = 0; i < 60; i++) {
                string text = frame(notification(i, (size_t) i * 50)) + frame(answer(i));
                size_t cut = text.size() * (size_t) (i % 11) / 11;

                notifications.push_back(notification(i, (size_t) i * 50));
                all_answers.push_back(answer(i));
                if (i % 3 != 2)
                        hold();
                plugin_writes(text.substr(0, cut));
                if (i % 2)
                        duplex_pause(duplex, true);
                hand_over();
                settle();
                plugin_writes(text.substr(cut));
        }
        EXPECT_EQ(told, notifications);
        EXPECT_EQ(answers, all_answers);
}

TEST_P(HandoverTest, WhatThePluginHasNotTakenIsFinished) {
        string params = "[\"" + string(3000, 'x') + "\"]", expected, got, small = "{\"jsonrpc\":\"2.0\",\"method\":\"last\"}";
        int size = 4096;

        start();
        if (GetParam().socket) {
                ASSERT_EQ(setsockopt(in, SOL_SOCKET, SO_SNDBUF, &size, sizeof(int)), 0);
        }
        while (duplex_notify(duplex, "m", JSON_RANGE(params.c_str())) == 0)
                expected += frame("{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"params\":" + params + "}");
        ASSERT_GT(duplex_queued(duplex), 10'000u);
        hold();
        settle();
        for (int i = 0; i < 5 && duplex_queued(duplex) > 0; i++) {
                char buffer[30'001];
                ssize_t n;

                hand_over(); /* in the midst of one message or another */
                duplex_pause(duplex, true);
                n = read(plugin_in, buffer, sizeof(buffer));
                if (n > 0)
                        got += string(buffer, (size_t) n);
                settle();
        }
        duplex_pause(duplex, false);
        got += plugin_reads();
        ASSERT_EQ(duplex_notify(duplex, "last", JsonRange{}), 0);
        got += plugin_reads();
        EXPECT_TRUE(got == expected + frame(small));
        EXPECT_EQ(duplex_queued(duplex), 0u);
}

TEST_P(HandoverTest, WhatIsWrittenWhileHeldGoesOut) {
        start();
        hold();
        settle();
        ASSERT_EQ(duplex_notify(duplex, "a", JsonRange{}), 0);
        ASSERT_EQ(duplex_notify(duplex, "b", JsonRange{}), 0);
        hand_over(); /* what was gathered is written by then */
        EXPECT_EQ(plugin_reads(), frame("{\"jsonrpc\":\"2.0\",\"method\":\"a\"}") + frame("{\"jsonrpc\":\"2.0\",\"method\":\"b\"}"));
}

/* Held before it is known to be too large, within what is dropped of it, or after. */
TEST_P(HandoverTest, AnOversizeMessageCostsOnlyItselfWhereverItIsCut) {
        string big = "{\"id\":5,\"result\":\"" + string(20'000, 'x') + "\"}",
               stream = frame(notification(1)) + frame(big) + frame(notification(2));
        Texts expected = { notification(1), "bad the plugin sent a message of more than 4000 bytes: " + big.substr(0, 80) + "...",
                           notification(2) };

        for (size_t first = 0; first <= stream.size(); first += first > 100 && first < stream.size() - 100 ? 613 : 1)
                for (size_t second : { first, first + 1, first + 3000, stream.size() }) {
                        start();
                        plugin_writes(stream.substr(0, first));
                        hold();
                        settle();
                        plugin_writes(stream.substr(first, second > first ? second - first : 0));
                        hand_over();
                        settle();
                        if (second < stream.size())
                                plugin_writes(stream.substr(second));
                        ASSERT_EQ(told, expected) << first << " " << second;
                        ASSERT_EQ(closed, Texts{});
                }
}

/* Every notification is read, told and forgotten as ever, but the answers behind what fills the buffer wait for the next daemon. */
TEST_P(HandoverTest, AFullBufferIsLeftAndCostsNoTime) {
        Texts notifications;
        string flood;
        size_t written = 0;

        start();
        hold();
        fcntl(plugin_out, F_SETFL, O_NONBLOCK);
        for (int i = 0; i < 400; i++) {
                notifications.push_back(notification(i, 3000));
                flood += frame(notification(i, 3000));
        }
        flood += frame(answer(1));
        auto write_more = [&] {
                for (;;) {
                        ssize_t n = write(plugin_out, flood.data() + written, flood.size() - written);

                        settle();
                        if (n <= 0)
                                return;
                        written += (size_t) n;
                }
        };
        write_more();
        ASSERT_LT(written, flood.size());
        EXPECT_GT(duplex_received_bytes(duplex), 100'000u);
        EXPECT_EQ(sd_event_run(event, 0), 0);
        duplex_pause(duplex, true);
        duplex_pause(duplex, false);
        settle();
        EXPECT_EQ(told.size() + answers.size() + closed.size(), 0u);
        hand_over();
        settle();
        write_more();
        EXPECT_EQ(written, flood.size());
        EXPECT_EQ(told, notifications);
        EXPECT_EQ(answers, Texts{ answer(1) });
}

TEST_P(HandoverTest, EndOfInputWhileHeldIsToldOnceAndTheRestIsStillThere) {
        start();
        hold();
        plugin_writes(frame(notification(1)) + frame(answer(1)) + frame(notification(2)) +
                      answer(2)); /* without an end of line, or headers */
        close_fd(plugin_in);
        close_fd(plugin_out);
        settle();
        if (GetParam().framing == FRAMING_LINES) {
                EXPECT_EQ(answers, (Texts{ answer(1), answer(2) })) << "a last line without its end is one";
                EXPECT_EQ(closed, Texts{ "the plugin closed its output" });
        } else {
                EXPECT_EQ(answers, Texts{ answer(1) });
                EXPECT_EQ(closed.size(), 1u);
        }
        EXPECT_EQ(told, Texts{});
        duplex_drain(duplex);
        EXPECT_EQ(closed.size(), 1u);
        hand_over();
        settle();
        EXPECT_EQ(told, (Texts{ notification(1), notification(2) }));
        EXPECT_EQ(closed.size(), 2u);
}

TEST_P(HandoverTest, ThePluginDiesWhileHeld) {
        start();
        hold();
        duplex_pause(duplex, true);
        plugin_writes(frame(notification(1)) + frame(answer(1)));
        duplex_drain(duplex);
        EXPECT_EQ(answers, Texts{ answer(1) });
        EXPECT_EQ(closed, Texts{ "the plugin is gone" });
        hand_over();
        settle();
        EXPECT_EQ(told, Texts{ notification(1) });
}

TEST_P(HandoverTest, APausedOneIsHeldAndAHeldOneIsPaused) {
        start();
        duplex_pause(duplex, true);
        hold();
        plugin_writes(frame(notification(1)) + frame(answer(1)));
        EXPECT_EQ(answers, Texts{});
        duplex_pause(duplex, false);
        settle();
        EXPECT_EQ(answers, Texts{ answer(1) });
        duplex_pause(duplex, true);
        plugin_writes(frame(answer(2)));
        EXPECT_EQ(answers.size(), 1u);
        hand_over();
        duplex_pause(duplex, true);
        settle();
        EXPECT_EQ(told, Texts{});
        duplex_pause(duplex, false);
        settle();
        EXPECT_EQ(told, Texts{ notification(1) });
        EXPECT_EQ(answers, (Texts{ answer(1), answer(2) }));
}

TEST_P(HandoverTest, WhoIsNotReadyIsPausedUntilToldToGoOn) {
        for (bool also_held : { false, true }) {
                start();
                if (also_held)
                        hold();
                settle();
                asked = 0;
                ready = false;
                plugin_writes(frame(answer(1)) + frame(answer(2)));
                EXPECT_EQ(asked, 1u) << "it is asked once, and then paused";
                plugin_writes(frame(answer(3)));
                EXPECT_EQ(asked, 1u);
                EXPECT_EQ(answers, Texts{});
                ready = true;
                settle();
                EXPECT_EQ(answers, Texts{});
                duplex_pause(duplex, false);
                settle();
                EXPECT_EQ(answers, (Texts{ answer(1), answer(2), answer(3) }));
                ready = false;
                plugin_writes(frame(answer(4)));
                duplex_drain(duplex);
                EXPECT_EQ(answers.size(), 4u) << "what a dead plugin said is told all the same";
                EXPECT_EQ(closed.size(), 1u);
                ready = true;
        }
}

/* The slot that it lies in stays mapped meanwhile. */
TEST_P(HandoverTest, AnAnswerAheadOfItsTurnMayFreeTheDuplex) {
        start();
        hold();
        on_ahead = [&] { duplex = duplex_free(duplex); };
        plugin_writes(frame(notification(1)) + frame(answer(1)) + frame(answer(2)));
        EXPECT_EQ(duplex, nullptr);
        EXPECT_EQ(answers, Texts{ answer(1) });
}

/* What a copy of the slot MAP would have the next daemon deliver: numbers of notifications. */
std::vector<int> remaining(Slot *copy, Framing framing) {
        FrameScanner scanner = { .framing = framing, .limit = MESSAGE_MAX, .discard = slot_discard(copy) };
        std::vector<int> numbers;

        for (;;) {
                size_t size;
                const char *data = buffer_peek(&copy->in, &size);
                Frame frame = frame_scan(&scanner, data, size);
                string text(data + frame.offset, frame.size);
                int number = -1;

                if (frame.verdict == FRAME_MORE)
                        return numbers;
                EXPECT_EQ(frame.verdict, FRAME_MESSAGE);
                EXPECT_EQ(sscanf(text.c_str(), "{\"method\":\"n%d\"}", &number), 1) << text;
                numbers.push_back(number);
                buffer_take(&copy->in, frame.consumed);
        }
}

TEST_P(HandoverTest, WhereverItIsKilledNothingIsToldTwiceAndOneIsLostAtMost) {
        constexpr int count = 4;
        struct Progress {
                volatile bool delivering;
                volatile int begun;
        } *progress = (Progress *) mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        static Progress *shared;
        static const DuplexOps recording = { .message = [](Duplex *, const JsonRpcMessage *, void *) {
                shared->begun = shared->begun + 1;
        } };
        int fds[_ARENA_FD_MAX], plugin[2];
        Slot *first, *next;
        char *view;
        long steps;
        unsigned lost = 0;

        ASSERT_NE((void *) progress, MAP_FAILED);
        shared = progress;
        ASSERT_EQ(arena_new(MESSAGE_MAX, 1, &arena), 0);
        ASSERT_EQ(slot_new(arena, &first), 0);
        ASSERT_EQ(slot_new(arena, &next), 0);
        arena_descriptors(arena, fds);
        view = (char *) mmap(nullptr, 8192, PROT_READ, MAP_SHARED, fds[ARENA_FD_MEMORY], 0);
        ASSERT_NE((void *) view, MAP_FAILED);
        slot_free(first); /* for the child */
        ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, plugin), 0);
        for (int i = 0; i < count; i++)
                ASSERT_GT(write(plugin[1], frame(notification(i)).data(), frame(notification(i)).size()), 0);
        steps = step_through(
                [&] {
                        sd_event *mine = nullptr;
                        Duplex *d = nullptr;

                        if (sd_event_new(&mine) < 0 ||
                            duplex_new(mine, arena, plugin[0], plugin[0], GetParam().framing, &recording, nullptr, &d) < 0)
                                _exit(1);
                        progress->delivering = true;
                        while (progress->begun < count)
                                sd_event_run(mine, UINT64_MAX);
                        progress->delivering = false;
                },
                [&] {
                        int unread = 0, begun = progress->begun;

                        if (!progress->delivering)
                                return;
                        ASSERT_EQ(ioctl(plugin[0], FIONREAD, &unread), 0);
                        memcpy(next->map, view, 8192);
                        buffer_recover(&next->in, 0);
                        std::vector<int> numbers = remaining(next, GetParam().framing);
                        if (unread > 0) {
                                ASSERT_EQ(begun + numbers.size(), 0u);
                                return;
                        }
                        ASSERT_LE(numbers.size() + begun, (size_t) count) << "twice";
                        ASSERT_GE(numbers.size() + begun + 1, (size_t) count) << "more than one is lost";
                        lost += numbers.size() + begun < (size_t) count;
                        for (size_t i = 0; i < numbers.size(); i++)
                                ASSERT_EQ(numbers[i], count - (int) (numbers.size() - i));
                });
        slot_free(next);
        munmap(view, 8192);
        munmap(progress, 4096);
        close(plugin[0]);
        close(plugin[1]);
        if (steps < 0)
                GTEST_SKIP() << "no ptrace here";
        EXPECT_GT(steps, 1000);
        EXPECT_GT(lost, 0u) << "the one being delivered, or nothing was looked at";
}

} // namespace
