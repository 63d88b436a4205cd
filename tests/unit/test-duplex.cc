/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gtest/gtest.h>

#include <csignal>
#include <fcntl.h>
#include <functional>
#include <string>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

extern "C" {
#include "duplex/duplex.h"
}

using std::string;

#define MESSAGE_MAX (256 * 1024)

static string text_of(JsonRange r) {
        return r.data ? string(r.data, r.size) : "-";
}

/* One duplex, the plugin's ends of it, and what it has told. */
class DuplexTest : public testing::Test {
      protected:
        sd_event *event = nullptr;
        Arena *arena = nullptr;
        Duplex *duplex = nullptr;
        int plugin_in = -1, plugin_out = -1; /* what the plugin reads from and writes to */
        std::vector<string> told;
        std::function<void(const JsonRpcMessage *)> on_message;
        std::function<void()> on_closed, on_bad, on_skipped;

        static void message(Duplex *d, const JsonRpcMessage *m, void *userdata) {
                auto test = (DuplexTest *) userdata;

                test->told.push_back("message " + text_of(m->whole));
                if (test->on_message)
                        test->on_message(m);
        }

        static void bad(Duplex *d, JsonRange id, const PlugindError *error, void *userdata) {
                auto test = (DuplexTest *) userdata;

                EXPECT_EQ(error->code, PLUGIND_ERROR_PROTOCOL_ERROR);
                test->told.push_back("bad " + text_of(id) + " " + error->message);
                if (test->on_bad)
                        test->on_bad();
        }

        static void skipped(Duplex *d, const char *line, size_t size, void *userdata) {
                auto test = (DuplexTest *) userdata;

                test->told.push_back("skipped " + string(line, size));
                if (test->on_skipped)
                        test->on_skipped();
        }

        static void closed(Duplex *d, const PlugindError *error, void *userdata) {
                auto test = (DuplexTest *) userdata;

                if (test->on_closed)
                        test->on_closed();
                test->told.push_back(string("closed ") + plugind_error_code_name(error->code) + " " + error->message);
        }

        void SetUp() override {
                signal(SIGPIPE, SIG_IGN);
                ASSERT_GE(sd_event_new(&event), 0);
                ASSERT_EQ(arena_new(MESSAGE_MAX, 1, &arena), 0);
        }

        void TearDown() override {
                duplex_free(duplex);
                arena_free(arena); /* asserts that the slot came back */
                sd_event_unref(event);
                close_plugin_in();
                close_plugin_out();
        }

        void open(Framing framing, bool socket) {
                static const DuplexOps ops = { message, bad, skipped, closed };
                int to[2], from[2];

                if (socket) {
                        ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, to), 0);
                        plugin_in = to[1];
                        plugin_out = dup(to[1]);
                        ASSERT_EQ(duplex_new(event, arena, to[0], to[0], framing, &ops, this, &duplex), 0);
                } else {
                        ASSERT_EQ(pipe2(to, O_CLOEXEC), 0);
                        ASSERT_EQ(pipe2(from, O_CLOEXEC), 0);
                        plugin_in = to[0];
                        plugin_out = from[1];
                        ASSERT_EQ(duplex_new(event, arena, from[0], to[1], framing, &ops, this, &duplex), 0);
                }
                fcntl(plugin_in, F_SETFL, O_NONBLOCK);
        }

        static void close_fd(int &fd) {
                if (fd >= 0)
                        close(fd);
                fd = -1;
        }

        void close_plugin_in() {
                close_fd(plugin_in);
        }

        void close_plugin_out() {
                close_fd(plugin_out);
        }

        /* Turns the loop until nothing more happens by itself. */
        void settle() {
                while (sd_event_run(event, 0) > 0)
                        ;
        }

        void plugin_writes(const string &text) {
                for (size_t done = 0; done < text.size();) {
                        ssize_t n = write(plugin_out, text.data() + done, MIN(text.size() - done, (size_t) 32768));

                        ASSERT_GT(n, 0);
                        done += (size_t) n;
                        settle();
                }
        }

        /* All that is there; at the end of input a final "EOF". */
        string plugin_reads() {
                char buffer[65536];
                string text;
                ssize_t n;

                for (;;) {
                        n = read(plugin_in, buffer, sizeof buffer);
                        if (n <= 0)
                                return n == 0 ? text + "EOF" : text;
                        text += string(buffer, (size_t) n);
                        settle();
                }
        }

        string all_told() {
                string all;

                for (const auto &t : told)
                        all += t + "\n";
                told.clear();
                return all;
        }
};

/* Each of these with pipes and with a socket. */
class DuplexBoth : public DuplexTest, public testing::WithParamInterface<bool> {};

INSTANTIATE_TEST_SUITE_P(Ends, DuplexBoth, testing::Values(false, true), [](const auto &info) { return info.param ? "Socket" : "Pipes"; });

TEST_P(DuplexBoth, WritesMessagesInLines) {
        open(FRAMING_LINES, GetParam());
        EXPECT_EQ(duplex_request(duplex, 4294967303, "tools/call", JSON_RANGE("{\"a\":\n[1]}")), 0);
        EXPECT_EQ(duplex_queued(duplex), 0u); /* without a turn of the loop */
        EXPECT_EQ(duplex_notify(duplex, "n", JsonRange{}), 0);
        EXPECT_EQ(duplex_request(duplex, 0, "\"\n\xc3\xa4", JsonRange{}), 0);
        EXPECT_EQ(duplex_respond(duplex, JSON_RANGE("\"x\""), JSON_RANGE("{}")), 0);
        EXPECT_EQ(duplex_respond_error(duplex, JSON_RANGE("null"), -32601, "no \"m\"\n"), 0);
        EXPECT_GT(duplex_queued(duplex), 0u); /* gathered, for the plugin has something to do */
        EXPECT_EQ(plugin_reads(), "{\"jsonrpc\":\"2.0\",\"id\":4294967303,\"method\":\"tools/call\",\"params\":{\"a\": [1]}}\n"
                                  "{\"jsonrpc\":\"2.0\",\"method\":\"n\"}\n"
                                  "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"\\\"\\n\xc3\xa4\"}\n"
                                  "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"result\":{}}\n"
                                  "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32601,\"message\":\"no \\\"m\\\"\\n\"}}\n");
}

TEST_P(DuplexBoth, GathersWhileThePluginHasSomethingToDo) {
        const string message = "{\"jsonrpc\":\"2.0\",\"method\":\"m\"}\n";

        open(FRAMING_LINES, GetParam());
        for (int i = 0; i < 3; i++)
                ASSERT_EQ(duplex_notify(duplex, "m", JsonRange{}), 0);
        EXPECT_EQ(duplex_queued(duplex), 2 * message.size());
        settle();
        EXPECT_EQ(duplex_queued(duplex), 0u);
        EXPECT_EQ(plugin_reads(), message + message + message);
        plugin_writes("{\"method\":\"heard\"}\n");
        ASSERT_EQ(duplex_notify(duplex, "m", JsonRange{}), 0);
        EXPECT_EQ(duplex_queued(duplex), 0u); /* at once again */
        string params = "[\"" + string(10000, 'x') + "\"]";
        ASSERT_EQ(duplex_notify(duplex, "m", JSON_RANGE(params.c_str())), 0);
        EXPECT_GT(duplex_queued(duplex), 0u);
        ASSERT_EQ(duplex_notify(duplex, "m", JSON_RANGE(params.c_str())), 0);
        EXPECT_EQ(duplex_queued(duplex), 0u); /* however busy the loop is */
}

TEST_P(DuplexBoth, WhatWasGatheredIsWrittenWhenItIsFreed) {
        const string message = "{\"jsonrpc\":\"2.0\",\"method\":\"m\"}\n";

        open(FRAMING_LINES, GetParam());
        ASSERT_EQ(duplex_notify(duplex, "m", JsonRange{}), 0);
        ASSERT_EQ(duplex_notify(duplex, "m", JsonRange{}), 0);
        duplex = duplex_free(duplex);
        EXPECT_EQ(plugin_reads(), message + message + "EOF");
}

TEST_P(DuplexBoth, WritesMessagesWithHeaders) {
        open(FRAMING_HEADERS, GetParam());
        EXPECT_EQ(duplex_request(duplex, UINT64_MAX, "m", JSON_RANGE("[]")), 0);
        EXPECT_EQ(duplex_respond(duplex, JSON_RANGE("1"), JSON_RANGE("null")), 0);
        EXPECT_EQ(plugin_reads(),
                  "Content-Length: 68\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":18446744073709551615,\"method\":\"m\",\"params\":[]}"
                  "Content-Length: 38\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null}");
}

TEST_P(DuplexBoth, DeliversInOrderAndClosesOnce) {
        open(FRAMING_LINES, GetParam());
        EXPECT_EQ(duplex_received_at(duplex), 0u);
        plugin_writes("banner\n\n{\"method\":\"a\"}\r\n{\"id\":1,\"result\":{}}\n{\"meth");
        EXPECT_EQ(all_told(), "skipped banner\nmessage {\"method\":\"a\"}\nmessage {\"id\":1,\"result\":{}}\n");
        EXPECT_GT(duplex_received_at(duplex), 0u);
        EXPECT_EQ(duplex_received_bytes(duplex), 51u);
        plugin_writes("od\":\"b\"}\n");
        EXPECT_EQ(all_told(), "message {\"method\":\"b\"}\n");
        plugin_writes("{\"method\":\"c\"}\n");
        close_plugin_in();
        close_plugin_out();
        settle();
        EXPECT_EQ(all_told(), "message {\"method\":\"c\"}\nclosed ConnectionLost the plugin closed its output\n");
        EXPECT_EQ(duplex_request(duplex, 1, "m", JsonRange{}), -ENOTCONN);
        EXPECT_EQ(duplex_notify(duplex, "m", JsonRange{}), -ENOTCONN);
        EXPECT_EQ(duplex_respond(duplex, JSON_RANGE("1"), JSON_RANGE("1")), -ENOTCONN);
        EXPECT_EQ(duplex_respond_error(duplex, JSON_RANGE("1"), 1, "m"), -ENOTCONN);
        settle();
        EXPECT_EQ(all_told(), "");
}

TEST_P(DuplexBoth, WhatIsThereWhenThePluginGoesIsDeliveredFirst) {
        open(FRAMING_LINES, GetParam());
        ASSERT_EQ(write(plugin_out, "{\"method\":\"a\"}\n{\"method\":\"b\"}", 29), 29);
        close_plugin_in();
        close_plugin_out();
        settle();
        EXPECT_EQ(all_told(),
                  "message {\"method\":\"a\"}\nmessage {\"method\":\"b\"}\nclosed ConnectionLost the plugin closed its output\n");
}

TEST_P(DuplexBoth, ATornMessageIsNotDelivered) {
        open(FRAMING_LINES, GetParam());
        ASSERT_EQ(write(plugin_out, "{\"id\":1,\"result\":1", 18), 18);
        close_plugin_in();
        close_plugin_out();
        settle();
        EXPECT_EQ(all_told(), "closed ConnectionLost the plugin closed its output in the middle of a message\n");
}

TEST_P(DuplexBoth, AWriteThatFailsLetsTheLastWordsBeHeard) {
        open(FRAMING_LINES, GetParam());
        ASSERT_EQ(write(plugin_out, "{\"method\":\"last\"}\nfew words", 27), 27);
        close_plugin_in();
        if (GetParam())
                close_plugin_out(); /* on a socket a write fails when the whole end is gone */
        EXPECT_EQ(duplex_request(duplex, 1, "m", JsonRange{}), 0);
        EXPECT_EQ(all_told(), ""); /* not from within */
        EXPECT_EQ(duplex_request(duplex, 2, "m", JsonRange{}), -ENOTCONN);
        settle();
        EXPECT_EQ(all_told(),
                  "message {\"method\":\"last\"}\nskipped few words\nclosed ConnectionLost writing to the plugin failed: Broken pipe\n");
}

TEST_P(DuplexBoth, BadMessagesCostOnlyThemselves) {
        open(FRAMING_LINES, GetParam());
        plugin_writes("{\"id\":7,\"result\":\"\xff\"}\n{\"id\":8,\"method\":\"m\",\"params\":3}\n{\"id\":9}\n{}\n{\"method\":\"ok\"}\n");
        EXPECT_EQ(
                all_told(),
                "bad 7 the plugin sent what is no JSON-RPC message (byte 18: a byte that is no UTF-8): {\"id\":7,\"result\":\"\\xff\"}\n"
                "bad - the plugin sent what is no JSON-RPC message (byte 30: \"params\" is neither object nor array): "
                "{\"id\":8,\"method\":\"m\",\"params\":3}\n"
                "bad 9 the plugin sent what is no JSON-RPC message (byte 0: neither \"method\" nor \"result\" nor \"error\"): {\"id\":9}\n"
                "bad - the plugin sent what is no JSON-RPC message (byte 0: neither \"method\" nor \"result\" nor \"error\"): {}\n"
                "message {\"method\":\"ok\"}\n");
}

TEST_P(DuplexBoth, TooLargeMessagesCostOnlyThemselves) {
        for (Framing framing : { FRAMING_LINES, FRAMING_HEADERS }) {
                string body = "{\"id\":5,\"result\":\"" + string(10 * MESSAGE_MAX, 'x') + "\"}", ok = "{\"method\":\"ok\"}";

                open(framing, GetParam());
                if (framing == FRAMING_LINES)
                        plugin_writes(body + "\n" + ok + "\n");
                else
                        plugin_writes("Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body + "Content-Length: 15\r\n\r\n" +
                                      ok);
                EXPECT_EQ(all_told(),
                          "bad 5 the plugin sent a message of more than 262144 bytes: " + body.substr(0, 80) + "...\nmessage " + ok + "\n");
                duplex = duplex_free(duplex);
                close_plugin_in();
                close_plugin_out();
        }
}

TEST_P(DuplexBoth, MessagesUpToTheLimitPass) {
        for (Framing framing : { FRAMING_LINES, FRAMING_HEADERS }) {
                string body = "{\"method\":\"" + string(MESSAGE_MAX - 13, 'x') + "\"}", stream;

                ASSERT_EQ(body.size(), (size_t) MESSAGE_MAX);
                open(framing, GetParam());
                for (int i = 0; i < 20; i++)
                        stream += framing == FRAMING_LINES ? body + "\n"
                                                           : "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
                plugin_writes(stream);
                EXPECT_EQ(told, std::vector<string>(20, "message " + body));
                told.clear();
                duplex = duplex_free(duplex);
                close_plugin_in();
                close_plugin_out();
        }
}

TEST_P(DuplexBoth, HeadersThatAreNoneEndTheConnection) {
        open(FRAMING_HEADERS, GetParam());
        plugin_writes("Content-Length: 14\r\n\r\n{\"method\":\"a\"}listening on stdio\nContent-Length: 14\r\n\r\n{\"method\":\"b\"}");
        EXPECT_EQ(
                all_told(),
                "message {\"method\":\"a\"}\nclosed ProtocolError the plugin sent what is no \"Content-Length: N\" header: listening on stdio\n");
        EXPECT_EQ(duplex_notify(duplex, "m", JsonRange{}), -ENOTCONN);
}

TEST_P(DuplexBoth, APluginThatDoesNotReadBlocksNobody) {
        string params = "[\"" + string(100000, 'x') + "\"]", expected;
        unsigned sent = 0;
        size_t queued;
        int r;

        open(FRAMING_LINES, GetParam());
        while ((r = duplex_notify(duplex, "m", JSON_RANGE(params.c_str()))) == 0 && sent < 1000) {
                expected += "{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"params\":" + params + "}\n";
                sent++;
        }
        EXPECT_EQ(r, -ENOBUFS);
        EXPECT_GE(sent, 5u);
        queued = duplex_queued(duplex);
        EXPECT_GT(queued, 0u);
        plugin_writes("{\"method\":\"still heard\"}\n");
        EXPECT_EQ(all_told(), "message {\"method\":\"still heard\"}\n");
        EXPECT_EQ(duplex_queued(duplex), queued); /* what did not fit left no trace */
        EXPECT_EQ(plugin_reads(), expected);
        EXPECT_EQ(duplex_queued(duplex), 0u);
        EXPECT_EQ(duplex_notify(duplex, "m", JsonRange{}), 0);
        EXPECT_EQ(plugin_reads(), "{\"jsonrpc\":\"2.0\",\"method\":\"m\"}\n");
        EXPECT_EQ(sd_event_run(event, 0), 0); /* nothing is armed any more */
}

TEST_P(DuplexBoth, EndOfOutputComesAfterWhatIsQueued) {
        string params = "[\"" + string(250000, 'x') + "\"]";

        open(FRAMING_LINES, GetParam());
        ASSERT_EQ(duplex_notify(duplex, "m", JSON_RANGE(params.c_str())), 0);
        ASSERT_EQ(duplex_notify(duplex, "last", JsonRange{}), 0);
        ASSERT_GT(duplex_queued(duplex), 0u);
        duplex_end_output(duplex);
        EXPECT_EQ(duplex_notify(duplex, "m", JsonRange{}), -ENOTCONN);
        string text = plugin_reads();
        EXPECT_EQ(text.substr(text.size() - 37), "{\"jsonrpc\":\"2.0\",\"method\":\"last\"}\nEOF");
        /* the other direction is still open */
        plugin_writes("{\"method\":\"bye\"}\n");
        close_plugin_in();
        close_plugin_out();
        settle();
        EXPECT_EQ(all_told(), "message {\"method\":\"bye\"}\nclosed ConnectionLost the plugin closed its output\n");
}

TEST_P(DuplexBoth, EndOfOutputIsAtOnceWhenNothingIsQueued) {
        open(FRAMING_LINES, GetParam());
        duplex_end_output(duplex);
        duplex_end_output(duplex);
        EXPECT_EQ(plugin_reads(), "EOF");
}

TEST_P(DuplexBoth, CallbacksMayAnswer) {
        open(FRAMING_LINES, GetParam());
        on_message = [&](const JsonRpcMessage *m) { EXPECT_EQ(duplex_respond(duplex, m->id, m->params), 0); };
        plugin_writes("{\"id\":1,\"method\":\"m\",\"params\":[1]}\n{\"id\":\"b\",\"method\":\"m\",\"params\":{}}\n");
        EXPECT_EQ(plugin_reads(), "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[1]}\n{\"jsonrpc\":\"2.0\",\"id\":\"b\",\"result\":{}}\n");
}

/* ... and read what they were given afterwards: the test copies the message after freeing when built with ASan. */
TEST_P(DuplexBoth, EveryCallbackMayFree) {
        const struct {
                Framing framing;
                const char *stream, *told;
        } cases[] = {
                { FRAMING_LINES, "{\"method\":\"a\"}\n{\"method\":\"b\"}\n", "message {\"method\":\"a\"}\n" },
                { FRAMING_LINES, "{}\n{\"method\":\"b\"}\n",
                  "bad - the plugin sent what is no JSON-RPC message (byte 0: neither \"method\" nor \"result\" nor \"error\"): {}\n" },
                { FRAMING_LINES, "banner\n{\"method\":\"b\"}\n", "skipped banner\n" },
                { FRAMING_HEADERS, "banner\n", "closed ProtocolError the plugin sent what is no \"Content-Length: N\" header: banner\n" },
        };

        for (const auto &c : cases) {
                auto free_it = [&] { duplex = duplex_free(duplex); };

                on_message = [&](const JsonRpcMessage *m) {
                        free_it();
                        EXPECT_EQ(text_of(m->method), "\"a\"");
                };
                on_bad = on_skipped = on_closed = free_it;
                open(c.framing, GetParam());
                ASSERT_GT(write(plugin_out, c.stream, strlen(c.stream)), 0);
                settle();
                EXPECT_EQ(duplex, nullptr);
                EXPECT_EQ(all_told(), c.told);
                EXPECT_EQ(plugin_reads(), "EOF"); /* its descriptors are closed */
                close_plugin_in();
                close_plugin_out();
        }
}

TEST_P(DuplexBoth, APausedDuplexReadsNothingAndLosesNothing) {
        open(FRAMING_LINES, GetParam());
        on_message = [&](const JsonRpcMessage *m) { duplex_pause(duplex, true); };
        ASSERT_GT(write(plugin_out, "{\"method\":\"a\"}\n{\"method\":\"b\"}\n{\"method\":\"c\"}", 44), 0);
        settle();
        EXPECT_EQ(all_told(), "message {\"method\":\"a\"}\n");
        close_plugin_in();
        close_plugin_out();
        settle();
        EXPECT_EQ(all_told(), "");
        duplex_pause(duplex, false);
        EXPECT_EQ(all_told(), "");
        settle();
        EXPECT_EQ(all_told(), "message {\"method\":\"b\"}\n");
        duplex_pause(duplex, false);
        settle();
        EXPECT_EQ(all_told(), "message {\"method\":\"c\"}\n");
        duplex_pause(duplex, false);
        settle();
        EXPECT_EQ(all_told(), "closed ConnectionLost the plugin closed its output\n");
}

/* However the consumer stops and goes on, the buffer never overflows. */
TEST_P(DuplexBoth, PausingAtEveryMessageOfAFlood) {
        string line = "{\"method\":\"" + string(5000, 'x') + "\"}\n", flood;
        size_t written = 0, total;

        open(FRAMING_LINES, GetParam());
        fcntl(plugin_out, F_SETFL, O_NONBLOCK);
        on_message = [&](const JsonRpcMessage *m) { duplex_pause(duplex, true); };
        for (int i = 0; i < 400; i++)
                flood += line;
        for (int i = 0; i < 2000 && told.size() < 400; i++) {
                ssize_t n = write(plugin_out, flood.data() + written, flood.size() - written);

                written += n > 0 ? (size_t) n : 0;
                duplex_pause(duplex, false);
                settle();
        }
        total = told.size();
        EXPECT_EQ(total, 400u);
}

TEST_P(DuplexBoth, APausedDuplexWhosePluginIsGoneDoesNotSpin) {
        string params = "[\"" + string(250000, 'x') + "\"]";

        open(FRAMING_LINES, GetParam());
        ASSERT_EQ(duplex_notify(duplex, "m", JSON_RANGE(params.c_str())), 0);
        ASSERT_EQ(duplex_notify(duplex, "m", JSON_RANGE(params.c_str())), 0);
        duplex_pause(duplex, true);
        close_plugin_in();
        close_plugin_out();
        for (int i = 0; i < 10; i++)
                sd_event_run(event, 0);
        EXPECT_EQ(sd_event_run(event, 0), 0);
        EXPECT_EQ(all_told(), "");
        duplex_pause(duplex, false);
        settle();
        EXPECT_EQ(told.size(), 1u);
        EXPECT_EQ(told[0].substr(0, 21), "closed ConnectionLost");
}

static size_t open_descriptors() {
        size_t count = 0;

        for (int fd = 0; fd < 1024; fd++)
                count += fcntl(fd, F_GETFD) >= 0;
        return count;
}

TEST_P(DuplexBoth, DescriptorsAreClosedOnce) {
        size_t before = open_descriptors();

        for (int i = 0; i < 4; i++) {
                open(FRAMING_LINES, GetParam());
                if (i & 1)
                        duplex_end_output(duplex);
                if (i & 2) {
                        close_plugin_in();
                        close_plugin_out();
                        settle();
                }
                duplex = duplex_free(duplex);
                close_plugin_in();
                close_plugin_out();
                EXPECT_EQ(open_descriptors(), before);
        }
}

TEST_F(DuplexTest, WhatCannotBeWaitedForIsRefusedAndStaysTheCallers) {
        static const DuplexOps ops = { message, bad, skipped, closed };
        int fd = ::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        EXPECT_LT(duplex_new(event, arena, fd, fd, FRAMING_LINES, &ops, this, &duplex), 0);
        EXPECT_EQ(duplex, nullptr);
        EXPECT_EQ(close(fd), 0);
        EXPECT_EQ(duplex_new(event, arena, -1, -1, FRAMING_LINES, &ops, this, &duplex), -EBADF);
}

/* A request and its answer: one write, one read, and the loop's own waits. */
TEST_F(DuplexTest, AReadTakesEverythingThatFits) {
        string stream;

        open(FRAMING_LINES, true);
        for (int i = 0; i < 1000; i++)
                stream += "{\"method\":\"m\"}\n";
        ASSERT_EQ(write(plugin_out, stream.data(), stream.size()), (ssize_t) stream.size());
        EXPECT_GT(sd_event_run(event, 0), 0);
        EXPECT_EQ(told.size(), 1000u);
}

/* The bus may ask for a pause because of what is being delivered; nobody would come back to the rest. */
TEST_F(DuplexTest, WhatADeadPluginSaidIsDeliveredThoughSomebodyPauses) {
        string three;

        open(FRAMING_LINES, false);
        on_message = [&](const JsonRpcMessage *) { duplex_pause(duplex, true); };
        for (int i = 0; i < 3; i++)
                three += "{\"jsonrpc\":\"2.0\",\"id\":" + std::to_string(i) + ",\"result\":1}\n";
        ASSERT_EQ(write(plugin_out, three.data(), three.size()), (ssize_t) three.size());
        close_plugin_out();
        duplex_drain(duplex);
        ASSERT_EQ(told.size(), 4u);
        EXPECT_EQ(told[3].substr(0, 6), "closed");
}
