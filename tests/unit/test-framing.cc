/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gtest/gtest.h>

#include <string>
#include <vector>

extern "C" {
#include "duplex/framing.h"
}

using std::string;

/* What the scanner says of STREAM when it arrives in pieces of STEP bytes, as "verdict:text;". */
static string scan(Framing framing, const string &stream, size_t step, size_t limit = 1000) {
        FrameScanner scanner = {};
        string buffer, seen;

        scanner.framing = framing;
        scanner.limit = limit;
        for (size_t position = 0; position < stream.size(); position += step) {
                buffer += stream.substr(position, step);
                for (;;) {
                        std::vector<char> exact(buffer.begin(), buffer.end());
                        Frame frame = frame_scan(&scanner, exact.data(), exact.size());
                        string bytes = buffer.substr(frame.offset, frame.size);

                        if (frame.verdict == FRAME_MORE)
                                break;
                        EXPECT_LE(frame.offset + frame.size, buffer.size());
                        EXPECT_LE(frame.consumed, buffer.size());
                        if (frame.verdict == FRAME_BROKEN)
                                return seen + "BROKEN:" + bytes;
                        EXPECT_GT(frame.consumed, 0u);
                        if (frame.verdict == FRAME_MESSAGE)
                                seen += "MESSAGE:" + bytes + ";";
                        else if (frame.verdict == FRAME_SKIP)
                                seen += "SKIP:" + bytes + ";";
                        else if (frame.verdict == FRAME_OVERSIZE)
                                seen += "OVERSIZE:" + bytes + ";";
                        buffer.erase(0, frame.consumed);
                }
        }
        return seen + "rest:" + buffer;
}

static void expect_however_cut(Framing framing, const string &stream, const string &seen, size_t limit = 1000) {
        for (size_t step = 1; step <= stream.size(); step++)
                EXPECT_EQ(scan(framing, stream, step, limit), seen) << "in pieces of " << step;
}

TEST(Framing, Names) {
        EXPECT_EQ(framing_from_string("lines"), FRAMING_LINES);
        EXPECT_EQ(framing_from_string("headers"), FRAMING_HEADERS);
        EXPECT_EQ(framing_from_string("Lines"), _FRAMING_INVALID);
        EXPECT_EQ(framing_from_string(nullptr), _FRAMING_INVALID);
        EXPECT_STREQ(framing_to_string(FRAMING_HEADERS), "headers");
        EXPECT_EQ(framing_to_string(_FRAMING_INVALID), nullptr);
}

TEST(Framing, Lines) {
        expect_however_cut(FRAMING_LINES, "{\"a\":1}\n{}\r\nhello\n\n\r\n  {x} \n\t\n[1]\n{tail",
                           "MESSAGE:{\"a\":1};MESSAGE:{};SKIP:hello;SKIP:;SKIP:;MESSAGE:{x} ;SKIP:;SKIP:[1];rest:{tail");
}

TEST(Framing, LongLinesAreDroppedWhole) {
        expect_however_cut(FRAMING_LINES, "{12345678}\n{123456789}\n{}\n", "MESSAGE:{12345678};OVERSIZE:{123456789;MESSAGE:{};rest:", 10);
        expect_however_cut(FRAMING_LINES, "{12345678}\r\n{}\n", "MESSAGE:{12345678};MESSAGE:{};rest:", 10);
        expect_however_cut(FRAMING_LINES, "{123456789}\r\n{}\n", "OVERSIZE:{123456789;MESSAGE:{};rest:", 10);
        expect_however_cut(FRAMING_LINES, "{" + string(500, 'x') + "\n{}\n", "OVERSIZE:{xxxxxxxxx;MESSAGE:{};rest:", 10);
        expect_however_cut(FRAMING_LINES, string(500, 'x'), "OVERSIZE:xxxxxxxxxx;rest:", 10);
}

TEST(Framing, Headers) {
        expect_however_cut(FRAMING_HEADERS,
                           "Content-Length: 2\r\n\r\n{}content-length:3\nContent-Type: application/vscode-jsonrpc; charset=utf-8\n\n{\n}"
                           "Content-Length: 0\r\n\r\nContent-Length: 5\r\n\r\n{",
                           "MESSAGE:{};MESSAGE:{\n};MESSAGE:;rest:Content-Length: 5\r\n\r\n{");
}

TEST(Framing, HeadersThatAreNone) {
        const struct {
                const char *stream, *seen;
        } cases[] = {
                { "hello\nContent-Length: 2\r\n\r\n{}", "BROKEN:hello" },
                { "{\"jsonrpc\":1}\n", "BROKEN:{\"jsonrpc\":1}" },
                { "\r\nContent-Length: 2\r\n\r\n{}", "BROKEN:" },
                { "Content-Type: x\r\n\r\n{}", "BROKEN:" },
                { "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", "BROKEN:Content-Length: 2" },
                { "Content-Length: -1\r\n\r\n", "BROKEN:Content-Length: -1" },
                { "Content-Length: 2x\r\n\r\n", "BROKEN:Content-Length: 2x" },
                { "Content-Length: 0x2\r\n\r\n", "BROKEN:Content-Length: 0x2" },
                { "Content-Length:\r\n\r\n", "BROKEN:Content-Length:" },
                { "Content-Length: 1 2\r\n\r\n", "BROKEN:Content-Length: 1 2" },
                { "Content-Length: 18446744073709551618\r\n\r\n", "BROKEN:Content-Length: 18446744073709551618" },
                { ": 2\r\n\r\n", "BROKEN:: 2" },
                { "Content Length: 2\r\n\r\n", "BROKEN:Content Length: 2" },
        };

        for (const auto &c : cases)
                expect_however_cut(FRAMING_HEADERS, c.stream, c.seen);
        /* a block without an end */
        EXPECT_EQ(scan(FRAMING_HEADERS, string(9999, 'x'), 7), "BROKEN:" + string(FRAMING_HEADER_MAX, 'x'));
        EXPECT_EQ(scan(FRAMING_HEADERS, string(9999, 'x'), 9999), "BROKEN:" + string(FRAMING_HEADER_MAX, 'x'));
}

TEST(Framing, LargeBodiesAreDroppedWhole) {
        expect_however_cut(FRAMING_HEADERS, "Content-Length: 11\r\n\r\n{123456789}Content-Length: 2\r\n\r\n{}",
                           "OVERSIZE:{123456789;MESSAGE:{};rest:", 10);
        expect_however_cut(FRAMING_HEADERS, "Content-Length: 10\r\n\r\n{12345678}Content-Length: 2\r\n\r\n{}",
                           "MESSAGE:{12345678};MESSAGE:{};rest:", 10);
        expect_however_cut(FRAMING_HEADERS, "Content-Length: 999999999999999\r\n\r\n" + string(300, 'x'), "OVERSIZE:xxxxxxxxxx;rest:", 10);
}

/* The bytes before `searched` are known: they may even change without being seen. */
TEST(Framing, ALongLineIsSearchedOnce) {
        FrameScanner scanner = {};
        string line = "{" + string(100, 'x');

        scanner.limit = 1000;
        EXPECT_EQ(frame_scan(&scanner, line.data(), line.size()).verdict, FRAME_MORE);
        line[50] = '\n';
        EXPECT_EQ(frame_scan(&scanner, line.data(), line.size()).verdict, FRAME_MORE);
        line += "\n";
        EXPECT_EQ(frame_scan(&scanner, line.data(), line.size()).consumed, line.size());
}
