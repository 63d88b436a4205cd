/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <glib.h>
#include <sstream>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern "C" {
#include "runtime/proc.h"
}

namespace {

/* A child that waits to be killed. */
struct Child {
        pid_t pid;

        explicit Child(const char *name) : pid(fork()) {
                if (pid == 0) {
                        prctl(PR_SET_PDEATHSIG, SIGKILL);
                        prctl(PR_SET_NAME, name);
                        raise(SIGSTOP);
                        _exit(0);
                }
                waitpid(pid, nullptr, WUNTRACED);
        }
        ~Child() {
                kill(pid, SIGKILL);
                waitpid(pid, nullptr, 0);
        }
};

std::string file(const std::string &path) {
        std::stringstream text;
        text << std::ifstream(path).rdbuf();
        return text.str();
}

/* Field 22, counted from behind the name. */
uint64_t expected_start_time(pid_t pid) {
        std::string stat = file("/proc/" + std::to_string(pid) + "/stat"), word;
        std::istringstream fields(stat.substr(stat.rfind(')') + 1));

        for (int field = 3; field <= 22; field++)
                fields >> word;
        return std::stoull(word);
}

TEST(Proc, StartTimeIsField22WhateverTheNameIs) {
        for (const char *name : { "plain", "two words", ") R 1 2 (", "((", "a) S 3\n4" }) {
                Child child(name);
                uint64_t start = 0,
                         now = (uint64_t) (g_ascii_strtod(file("/proc/uptime").c_str(), nullptr) * (double) sysconf(_SC_CLK_TCK));

                ASSERT_EQ(proc_start_time(child.pid, &start), 0) << name;
                EXPECT_EQ(start, expected_start_time(child.pid)) << name;
                EXPECT_LE(start, now + 1) << name;
                EXPECT_GE(start + 100 * (uint64_t) sysconf(_SC_CLK_TCK), now) << name << ": it began just now";
        }
}

TEST(Proc, OfNobodyThereIsNoStartTime) {
        uint64_t start = 7;
        pid_t pid;
        {
                Child child("gone");
                pid = child.pid;
        }
        EXPECT_EQ(proc_start_time(pid, &start), -ESRCH);
        EXPECT_EQ(proc_start_time(0, &start), -ESRCH);
        EXPECT_EQ(start, 7u);
        EXPECT_FALSE(proc_is_in_unit(pid, "any.service"));
}

/* What it is where there is one, tests/system tells. */
TEST(Proc, NobodyIsInAUnitThatIsNotThere) {
        EXPECT_FALSE(proc_is_in_unit(getpid(), "plugind-strict-x-1.service"));
}

TEST(Proc, AFileIsReadWhole) {
        size_t size = 0;
        g_autofree char *maps = proc_read("/proc/self/maps", &size);

        ASSERT_NE(maps, nullptr);
        EXPECT_GT(size, 4096u) << "more than one read";
        EXPECT_EQ(strlen(maps), size);
        EXPECT_EQ(maps[size - 1], '\n');
        EXPECT_EQ(proc_read("/proc/self/nothing", &size), nullptr);
}

} // namespace
