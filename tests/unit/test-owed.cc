/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Signals that one daemon leaves for the next, as JSON that is read with distrust. */
#include <gtest/gtest.h>
#include <string>
#include <vector>

extern "C" {
#include "bus/owed.h"
}

namespace {

struct Heard {
        std::vector<std::string> signals;
        bool accept = true;
};

bool hear(const char *member, const char *id, char *const *arguments, void *userdata) {
        auto *heard = static_cast<Heard *>(userdata);
        std::string text = std::string(member) + " " + id;

        for (; *arguments; arguments++)
                text += std::string(" ") + *arguments;
        heard->signals.push_back(text);
        return heard->accept;
}

std::vector<std::string> paid(Owed *owed) {
        Heard heard;

        owed_pay(owed, hear, &heard);
        EXPECT_TRUE(owed_is_empty(owed));
        return heard.signals;
}

std::vector<std::string> read(const std::string &text) {
        g_autoptr(Owed) owed = owed_new();

        owed_read(owed, text.data(), text.size());
        return paid(owed);
}

using Signals = std::vector<std::string>;

TEST(Owed, IsPaidInOrderAndOnce) {
        g_autoptr(Owed) owed = owed_new();

        EXPECT_TRUE(owed_is_empty(owed));
        owed_add(owed, "SessionNew", "a", NULL);
        owed_add(owed, "StateChanged", "a", "starting", "inactive", "boot", NULL);
        EXPECT_FALSE(owed_is_empty(owed));
        EXPECT_EQ(paid(owed), (Signals{ "SessionNew a", "StateChanged a starting inactive boot" }));
        EXPECT_EQ(paid(owed), Signals{});
}

TEST(Owed, WhatIsWrittenIsReadAsItWas) {
        g_autoptr(Owed) owed = owed_new();
        const char *names[] = { "Name", "MainPID", NULL };

        owed_add(owed, "SessionRemoved", "x", "un\"bo\nund", NULL);
        owed_addv(owed, "PropertiesChanged", "y@1", names);
        g_autofree char *text = owed_write(owed);
        EXPECT_STREQ(text, "[[\"SessionRemoved\",\"x\",\"un\\\"bo\\nund\"],[\"PropertiesChanged\",\"y@1\",\"Name\",\"MainPID\"]]");
        EXPECT_EQ(read(text), (Signals{ "SessionRemoved x un\"bo\nund", "PropertiesChanged y@1 Name MainPID" }));
}

TEST(Owed, WhatIsNoListIsLeftOut) {
        for (const char *text :
             { "", "[", "{}", "null", "1", "\"[]\"", "[[\"StateChanged\",\"a\"]", "[] []", "\xff", "[\"SessionNew\",\"a\"" })
                EXPECT_EQ(read(text), Signals{}) << text;
        EXPECT_EQ(read(std::string(100'000, '[')), Signals{});
}

TEST(Owed, WhatIsNoSignalInItIsLeftOutAndTheRestIsNot) {
        EXPECT_EQ(
                read("[1, null, {}, [], [\"a\"], [\"a\", 1], [\"a\", \"b\", [\"c\"]], [\"nul\", \"\\u0000\"], [\"SessionNew\", \"a\"], {\"x\": []}]"),
                Signals{ "SessionNew a" });
}

TEST(Owed, ASignalHasSoManyWordsAtMost) {
        std::string text = "[[\"PropertiesChanged\",\"a\"";

        for (int i = 0; i < 62; i++)
                text += ",\"x\"";
        EXPECT_EQ(read(text + "]]").size(), 1u);
        EXPECT_EQ(read(text + ",\"x\"]]").size(), 0u);
}

TEST(Owed, WhatMakesNoSenseToWhoSendsItIsDoneWithToo) {
        g_autoptr(Owed) owed = owed_new();
        Heard heard;

        heard.accept = false;
        owed_add(owed, "Nonsense", "a", NULL);
        owed_add(owed, "SessionNew", "a", NULL);
        owed_pay(owed, hear, &heard);
        EXPECT_EQ(heard.signals.size(), 2u);
        EXPECT_TRUE(owed_is_empty(owed));
}

} // namespace
