/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What plugind-exec believes of the kernel's table of mounts, and of what plugind sent. */
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

extern "C" {
#include "launcher/mountinfo.h"
#include "launcher/spec.h"
}

namespace {

struct Table {
        std::string text;
        MountTable table = {};
        bool good;

        explicit Table(std::string given) : text(std::move(given)) {
                good = mountinfo_parse(text.data(), &table) == 0;
        }
        ~Table() {
                free(table.mounts);
        }
        size_t n() const {
                return table.n;
        }
        const Mount &operator[](size_t i) const {
                return table.mounts[i];
        }
};

std::string unescaped(std::string text) {
        mountinfo_unescape(text.data());
        return text.c_str();
}

std::string packed(LaunchSpec head, const std::vector<std::string> &strings) {
        std::string body;

        for (const std::string &string : strings)
                body += string + '\0';
        head.size = static_cast<uint32_t>(body.size());
        return std::string(reinterpret_cast<const char *>(&head), sizeof head) + body;
}

/* What is wrong with it; "" if nothing is. */
std::string refusal(const std::string &bytes) {
        std::vector<uint64_t> aligned(bytes.size() / 8 + 1);
        const char *why = "";
        Spec spec;

        memcpy(aligned.data(), bytes.data(), bytes.size());
        if (spec_parse(aligned.data(), bytes.size(), &spec, &why) == 0)
                spec_clear(&spec);
        return why;
}

} // namespace

TEST(MountInfo, ReadsEveryField) {
        Table table("36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n"
                    "7 36 0:5 / / ro shared:2 - tmpfs tmpfs rw\n");

        ASSERT_EQ(table.n(), 2U);
        EXPECT_EQ(table[0].id, 36U);
        EXPECT_EQ(table[0].parent, 35U);
        EXPECT_STREQ(table[0].root, "/mnt1");
        EXPECT_STREQ(table[0].point, "/mnt2");
        EXPECT_STREQ(table[0].type, "ext3");
        EXPECT_TRUE(table[0].slave);
        EXPECT_STREQ(table[1].point, "/");
        EXPECT_FALSE(table[1].slave);
}

TEST(MountInfo, TakesAnyNumberOfOptionalFieldsAndNoEndOfLine) {
        for (const char *fields : { "", "shared:1 ", "shared:1 master:2 propagate_from:3 unbindable ", "new:thing " }) {
                Table table(std::string("36 35 98:0 / /x rw ") + fields + "- ext3 /dev/root rw");

                ASSERT_EQ(table.n(), 1U) << fields;
                EXPECT_STREQ(table[0].type, "ext3");
        }
        EXPECT_EQ(Table("").n(), 0U);
        EXPECT_TRUE(Table("").good);
}

/* A mount point may be called " - tmpfs": the kernel writes its spaces as \040. */
TEST(MountInfo, UndoesTheKernelsEscapesAndNoOthers) {
        Table table(R"(36 35 98:0 /a\040-\040b /c\011d\012e\134f rw - fuse.x /dev/root rw)");

        ASSERT_EQ(table.n(), 1U);
        EXPECT_STREQ(table[0].root, "/a - b");
        EXPECT_STREQ(table[0].point, "/c\td\ne\\f");
        EXPECT_EQ(unescaped(R"(\\040)"), "\\ ");
        for (const char *kept : { R"(\)", R"(\04)", R"(\09x)", R"(\888)", R"(\400)", "a\\" })
                EXPECT_EQ(unescaped(kept), kept);
        EXPECT_EQ(unescaped(R"(\377)"), "\xff");
}

TEST(MountInfo, RefusesTheWholeTableForOneLineThatIsNone) {
        const std::string good = "36 35 98:0 / /x rw - ext3 /dev/root rw\n";

        for (const char *bad :
             { "x 35 98:0 / /x rw - ext3 d rw", "36 -1 98:0 / /x rw - ext3 d rw", "36 35 98:0 / x rw - ext3 d rw",
               "36 35 98:0 / /x rw shared:1 ext3 d rw", "36 35 98:0 / /x rw -", "36 35 98:0 / /x rw - ext3", "36", " ",
               "36 35 98:0  /x rw - ext3 d rw", "36 35 98:0 / /x rw -  d rw", "99999999999999999999 35 98:0 / /x rw - ext3 d rw" }) {
                EXPECT_FALSE(Table(bad).good) << bad;
                EXPECT_FALSE(Table(good + bad + "\n" + good).good) << bad;
        }
        EXPECT_FALSE(Table(good + "\n" + good).good) << "an empty line";
}

TEST(MountInfo, OfThisMachineIsReadAndFindsWhatAPathLeadsInto) {
        MountTable table, none = {};

        ASSERT_EQ(mountinfo_read(&table), 0);
        ASSERT_GT(table.n, 0U);
        const Mount *proc = mountinfo_of(&table, "/proc/self/status");
        ASSERT_NE(proc, nullptr);
        EXPECT_STREQ(proc->point, "/proc");
        EXPECT_STREQ(proc->type, "proc");
        EXPECT_EQ(mountinfo_of(&table, "/nonexistent"), nullptr);
        EXPECT_EQ(mountinfo_of(&none, "/proc"), nullptr);
        mountinfo_clear(&table);
}

TEST(LaunchSpec, IsTakenApart) {
        std::string bytes = packed({ .n_args = 2, .n_env = 1, .n_writable = 1, .uid = 7, .n_readable = 2 },
                                   { "/bin/x", "/srv", "x", "-y", "A=b", "/w", "/r", "/s" });
        std::vector<uint64_t> aligned(bytes.size() / 8 + 1);
        const char *why = nullptr;
        Spec spec;

        memcpy(aligned.data(), bytes.data(), bytes.size());
        ASSERT_EQ(spec_parse(aligned.data(), bytes.size(), &spec, &why), 0) << why;
        EXPECT_EQ(spec.head->uid, 7U);
        EXPECT_STREQ(spec.command, "/bin/x");
        EXPECT_STREQ(spec.cwd, "/srv");
        EXPECT_STREQ(spec.args[1], "-y");
        EXPECT_EQ(spec.args[2], nullptr);
        EXPECT_STREQ(spec.env[0], "A=b");
        EXPECT_EQ(spec.env[1], nullptr);
        EXPECT_STREQ(spec.writable[0], "/w");
        EXPECT_STREQ(spec.readable[1], "/s");
        EXPECT_EQ(spec.readable[2], nullptr);
        spec_clear(&spec);
}

TEST(LaunchSpec, IsRefusedWhenItIsNotWhatItSays) {
        const LaunchSpec one = { .n_args = 1 };
        const std::string good = packed(one, { "/x", "/", "x" });

        EXPECT_EQ(refusal(good), "");
        EXPECT_NE(refusal(""), "");
        EXPECT_NE(refusal(good.substr(0, sizeof(LaunchSpec) - 1)), "");
        EXPECT_NE(refusal(good.substr(0, good.size() - 1)), "");
        EXPECT_NE(refusal(good + '\0'), "");
        EXPECT_NE(refusal(packed({ .n_args = 0 }, { "/x", "/" })), "") << "no argv[0]";
        EXPECT_NE(refusal(packed({ .n_args = 2 }, { "/x", "/", "x" })), "") << "too few strings";
        EXPECT_NE(refusal(packed(one, { "/x", "/", "x", "y" })), "") << "too many";
        EXPECT_NE(refusal(packed({ .n_args = 1, .n_env = UINT32_MAX }, { "/x", "/", "x" })), "");
        EXPECT_NE(refusal(packed(one, { "x", "/", "x" })), "") << "a command that is not absolute";
        EXPECT_NE(refusal(packed(one, { "/x", "", "x" })), "") << "no directory";
        std::string endless = good;
        endless.back() = 'x';
        EXPECT_NE(refusal(endless), "") << "no NUL";
}
