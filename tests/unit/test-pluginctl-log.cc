/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pluginctl.h"

#include <csignal>
#include <fstream>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

TEST(PluginctlLog, LinesOfFilesAreRead) {
        LogLine line;

        log_line_parse("2026-11-21T11:28:14.123456Z <3> it <broke>", &line);
        EXPECT_EQ(line.realtime_usec, UINT64_C(1795260494123456));
        EXPECT_EQ(line.priority, 3);
        EXPECT_STREQ(line.text, "it <broke>");
        log_line_clear(&line);

        for (const char *text : { "", "x", "2026-11-21T11:28:14.123456Z", "2026-11-21T11:28:14.123456Z <8> x",
                                  "2026-11-21T11:28:14.123456Z <3", "yesterday <3> x" }) {
                log_line_parse(text, &line);
                EXPECT_EQ(line.realtime_usec, 0u) << text;
                EXPECT_EQ(line.priority, 6) << text;
                EXPECT_STREQ(line.text, text);
                log_line_clear(&line);
        }
}

class PluginctlLogTail : public testing::Test {
      protected:
        std::string directory, path;
        pid_t follower = 0;
        FILE *followed = nullptr;

        void SetUp() override {
                char pattern[] = "/tmp/pluginctl-log.XXXXXX";
                ASSERT_NE(mkdtemp(pattern), nullptr);
                directory = pattern;
                path = directory + "/x.log";
        }
        void TearDown() override {
                if (follower > 0) {
                        kill(follower, SIGKILL);
                        waitpid(follower, nullptr, 0);
                        fclose(followed);
                }
                for (const char *suffix : { "", ".1", ".2" })
                        unlink((path + suffix).c_str());
                rmdir(directory.c_str());
        }
        void write(const std::string &text, const char *suffix = "") {
                std::ofstream(path + suffix, std::ios::app) << text;
        }
        std::vector<std::string> read(int n, int expected = 0) {
                std::vector<std::string> lines;
                EXPECT_EQ(log_tail_read(
                                  path.c_str(), n, false,
                                  [](const char *line, void *userdata) { ((std::vector<std::string> *) userdata)->push_back(line); },
                                  &lines),
                          expected);
                return lines;
        }
        void rotate() {
                rename((path + ".1").c_str(), (path + ".2").c_str());
                rename(path.c_str(), (path + ".1").c_str());
        }
        void follow(int n) {
                int fds[2];
                ASSERT_EQ(pipe(fds), 0);
                follower = fork();
                if (follower == 0) {
                        log_tail_read(
                                path.c_str(), n, true, [](const char *line, void *userdata) { dprintf(*(int *) userdata, "%s\n", line); },
                                &fds[1]);
                        _exit(1);
                }
                close(fds[1]);
                followed = fdopen(fds[0], "r");
                setvbuf(followed, nullptr, _IONBF, 0);
        }
        std::string next() {
                char line[256];
                struct pollfd fd = { fileno(followed), POLLIN, 0 };
                if (poll(&fd, 1, 10000) <= 0 || !fgets(line, sizeof(line), followed))
                        return "(nothing)";
                line[strcspn(line, "\n")] = '\0';
                return line;
        }
};

using Lines = std::vector<std::string>;

TEST_F(PluginctlLogTail, OldestFilesComeFirst) {
        write("1\n2\n", ".2");
        write("3\n4\n", ".1");
        write("5\n6");
        EXPECT_EQ(read(-1), (Lines{ "1", "2", "3", "4", "5", "6" }));
        EXPECT_EQ(read(3), (Lines{ "4", "5", "6" }));
        EXPECT_EQ(read(100), (Lines{ "1", "2", "3", "4", "5", "6" }));
        EXPECT_EQ(read(0), Lines{});
}

TEST_F(PluginctlLogTail, AMissingFileIsToldAsSuch) {
        EXPECT_EQ(read(-1, -ENOENT), Lines{});
        ASSERT_EQ(mkdir(path.c_str(), 0700), 0);
        EXPECT_EQ(read(-1, -EBADF), Lines{});
        rmdir(path.c_str());
}

TEST_F(PluginctlLogTail, EndlessLinesAreBroken) {
        write(std::string(200 * 1024, 'x') + "\ny\n");
        Lines lines = read(-1);
        ASSERT_EQ(lines.size(), 5u);
        EXPECT_EQ(lines[0].size(), 64u * 1024);
        EXPECT_EQ(lines[4], "y");
}

TEST_F(PluginctlLogTail, FollowingSurvivesRotation) {
        write("1\n2\n3\n");
        follow(2);
        EXPECT_EQ(next(), "2");
        EXPECT_EQ(next(), "3");
        write("4 is ");
        write("whole\n");
        EXPECT_EQ(next(), "4 is whole");
        write("5\n");
        rotate();
        write("6\n");
        EXPECT_EQ(next(), "5");
        EXPECT_EQ(next(), "6");

        kill(follower, SIGSTOP); /* two rotations that it sleeps through */
        write("7\n");
        rotate();
        write("8\n");
        rotate();
        write("9\n");
        kill(follower, SIGCONT);
        EXPECT_EQ(next(), "7");
        EXPECT_EQ(next(), "8");
        EXPECT_EQ(next(), "9");
}

TEST_F(PluginctlLogTail, FollowingWaitsForAFileToBeMade) {
        follow(10);
        write("first\n");
        EXPECT_EQ(next(), "first");
}
