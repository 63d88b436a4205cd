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

static std::string time_of(const char *text, uint64_t now) {
        uint64_t usec;

        return text_parse_time(text, now, &usec) < 0 ? "" : taken(text_timestamp(usec));
}

TEST(PluginctlTime, WhatJournalctlTakes) {
        const uint64_t now = UINT64_C(1795260494123456); /* Sat 2026-11-21 11:28:14 UTC */

        setenv("TZ", "Europe/Berlin", 1);
        tzset();
        const struct {
                const char *text, *expected;
        } cases[] = {
                { "2026-11-20 13:05:10", "Fri 2026-11-20 13:05:10 CET" },
                { "2026-11-20T13:05:10", "Fri 2026-11-20 13:05:10 CET" },
                { "2026-11-20 13:05:10 UTC", "Fri 2026-11-20 14:05:10 CET" },
                { "2026-07-20T13:05:10Z", "Mon 2026-07-20 15:05:10 CEST" },
                { "2026-11-20 13:05", "Fri 2026-11-20 13:05:00 CET" },
                { "2026-11-20", "Fri 2026-11-20 00:00:00 CET" },
                { "13:05", "Sat 2026-11-21 13:05:00 CET" },
                { "01:02:03", "Sat 2026-11-21 01:02:03 CET" },
                { "now", "Sat 2026-11-21 12:28:14 CET" },
                { "today", "Sat 2026-11-21 00:00:00 CET" },
                { "yesterday", "Fri 2026-11-20 00:00:00 CET" },
                { "-1h", "Sat 2026-11-21 11:28:14 CET" },
                { "-1h 30min", "Sat 2026-11-21 10:58:14 CET" },
                { "+5min", "Sat 2026-11-21 12:33:14 CET" },
                { "10 min ago", "Sat 2026-11-21 12:18:14 CET" },
                { "2 weeks ago", "Sat 2026-11-07 12:28:14 CET" },
                { "@1795260494", "Sat 2026-11-21 12:28:14 CET" },
        };
        for (const auto &c : cases)
                EXPECT_EQ(time_of(c.text, now), c.expected) << c.text;
        for (const char *text : { "", "soon", "1h", "-", "+", "-1h ago", "2026-02-30", "2026-11-20 25:00", "2026-11-20 13:05:10 x", "13",
                                  "@", "@-1", "@99999999999999999999", "10 ago", "ago", "infinity ago", "-infinity" })
                EXPECT_EQ(time_of(text, now), text == std::string("10 ago") ? "Sat 2026-11-21 12:28:04 CET" : "") << text;
        unsetenv("TZ");
        tzset();
}
