/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pluginctl.h"

#include <clocale>
#include <csignal>
#include <gtest/gtest.h>

static std::string safe(const std::string &text, int keep = TEXT_KEEP_NOTHING) {
        return taken(text_safe(text.data(), text.size(), (TextKeep) keep));
}

TEST(PluginctlText, SafeEscapesWhatATerminalObeys) {
        EXPECT_EQ(safe("plain äöü 日本 👩‍💻"), "plain äöü 日本 👩‍💻");
        EXPECT_EQ(safe("\x1b[2J"), "\\x1b[2J");
        EXPECT_EQ(safe("a\nb\tc\rd\x7f"), "a\\nb\\tc\\rd\\x7f");
        EXPECT_EQ(safe("\u009b31m"), "\\u009b31m");
        EXPECT_EQ(safe("user\u202etxt\u2028"), "user\\u202etxt\\u2028");
        EXPECT_EQ(safe("\U000e0041"), "\\U000e0041");
        EXPECT_EQ(safe(std::string("a\0b", 3)), "a\\x00b");
}

TEST(PluginctlText, SafeEscapesBytesThatAreNotUtf8) {
        EXPECT_EQ(safe("\xff"
                       "a\xc3"),
                  "\\xffa\\xc3");
        EXPECT_EQ(safe("\xed\xa0\x80"), "\\xed\\xa0\\x80"); /* a surrogate */
}

TEST(PluginctlText, SafeKeepsWhatItIsTold) {
        EXPECT_EQ(safe("a\tb\nc", TEXT_KEEP_TABS), "a\tb\\nc");
        EXPECT_EQ(safe("a\tb\nc", TEXT_KEEP_NEWLINES), "a\\tb\nc");
        EXPECT_EQ(safe("a\tb\nc\r", TEXT_KEEP_TABS | TEXT_KEEP_NEWLINES), "a\tb\nc\\r");
}

TEST(PluginctlText, WidthCountsColumns) {
        EXPECT_EQ(text_width(""), 0u);
        EXPECT_EQ(text_width("abc"), 3u);
        EXPECT_EQ(text_width("äöü"), 3u);
        EXPECT_EQ(text_width("日本"), 4u);
        EXPECT_EQ(text_width("e\u0301"), 1u);
}

TEST(PluginctlText, EllipsizeCutsAtTheWidth) {
        ASSERT_NE(setlocale(LC_CTYPE, "C.UTF-8"), nullptr);
        EXPECT_EQ(taken(text_ellipsize("abcdef", 6)), "abcdef");
        EXPECT_EQ(taken(text_ellipsize("abcdef", 5)), "abcd…");
        EXPECT_EQ(taken(text_ellipsize("日本語", 5)), "日本…");
        EXPECT_EQ(taken(text_ellipsize("日本語", 4)), "日…");
        EXPECT_EQ(taken(text_ellipsize("abc", 1)), "…");
        EXPECT_EQ(taken(text_ellipsize("abc", 0)), "");

        setlocale(LC_CTYPE, "C");
        EXPECT_EQ(taken(text_ellipsize("abcdef", 5)), "ab...");
        EXPECT_EQ(taken(text_ellipsize("abcdef", 2)), "..");
}

TEST(PluginctlText, AgoIsAsSystemctlSaysIt) {
        const uint64_t s = 1000000, now = 2000000000 * s;

        EXPECT_EQ(taken(text_ago(now, now)), "0ms ago");
        EXPECT_EQ(taken(text_ago(now - 250000, now)), "250ms ago");
        EXPECT_EQ(taken(text_ago(now - 59 * s, now)), "59s ago");
        EXPECT_EQ(taken(text_ago(now - 185 * s, now)), "3min ago");
        EXPECT_EQ(taken(text_ago(now - 3600 * s, now)), "1h ago");
        EXPECT_EQ(taken(text_ago(now - 3720 * s, now)), "1h 2min ago");
        EXPECT_EQ(taken(text_ago(now - 47 * 3600 * s, now)), "47h ago");
        EXPECT_EQ(taken(text_ago(now - 50 * 3600 * s, now)), "2 days ago");
        EXPECT_EQ(taken(text_ago(now - 9 * 86400 * s, now)), "1 week 2 days ago");
        EXPECT_EQ(taken(text_ago(now - 800 * 86400 * s, now)), "2 years 2 months ago");
        EXPECT_EQ(taken(text_ago(now + 5 * s, now)), "5s left");
}

TEST(PluginctlText, TimestampsBeyondTheCalendarAreNoCrash) {
        setenv("TZ", "UTC", 1);
        tzset();
        EXPECT_EQ(taken(text_timestamp(1795260494 * UINT64_C(1000000))), "Sat 2026-11-21 11:28:14 UTC");
        EXPECT_EQ(taken(text_timestamp(UINT64_MAX)), "n/a");
}

TEST(PluginctlText, Timespans) {
        uint64_t usec = 0;

        for (auto [text, expected] : std::initializer_list<std::pair<const char *, uint64_t>>{
                     { "5", 5000000 },
                     { "1.5", 1500000 },
                     { "250ms", 250000 },
                     { "1min 30s", 90000000 },
                     { " 2h1m ", 7260000000 },
                     { "7us", 7 },
                     { "infinity", UINT64_MAX },
                     { "0", 0 },
             }) {
                EXPECT_EQ(text_parse_timespan(text, &usec), 0) << text;
                EXPECT_EQ(usec, expected) << text;
        }
        for (const char *text : { "", " ", "s", "-1", "5x", "nan", "inf", "1e400", "0x10", "5 5 parsecs", "99999999999999999999d", "1,5" })
                EXPECT_EQ(text_parse_timespan(text, &usec), -EINVAL) << text;
}

TEST(PluginctlText, BytesAndSpans) {
        EXPECT_EQ(taken(text_bytes(0)), "0B");
        EXPECT_EQ(taken(text_bytes(1023)), "1023B");
        EXPECT_EQ(taken(text_bytes(1024)), "1.0K");
        EXPECT_EQ(taken(text_bytes(50436506)), "48.1M");
        EXPECT_EQ(taken(text_bytes(UINT64_MAX)), "16.0E");
}

TEST(PluginctlText, Signals) {
        int number = 0;

        for (auto [text, expected] : std::initializer_list<std::pair<const char *, int>>{
                     { "TERM", SIGTERM }, { "sigkill", SIGKILL }, { "9", 9 }, { "USR1", SIGUSR1 }, { "64", 64 } }) {
                EXPECT_EQ(text_parse_signal(text, &number), 0) << text;
                EXPECT_EQ(number, expected) << text;
        }
        for (const char *text : { "", "0", "-9", "65", "999999999999", "NIX", "9x", "SIG", " 9" })
                EXPECT_EQ(text_parse_signal(text, &number), -EINVAL) << text;
}
