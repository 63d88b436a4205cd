/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gtest/gtest.h>

#include <fcntl.h>
#include <fstream>
#include <functional>
#include <poll.h>
#include <sched.h>
#include <sstream>
#include <string>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <thread>
#include <unistd.h>
#include <vector>

extern "C" {
#include "runtime/log-file.h"
#include "runtime/plugin-log.h"
#include <glib.h>
}

namespace {

std::string read_file(const std::string &path) {
        std::ifstream file(path, std::ios::binary);
        std::stringstream text;
        text << file.rdbuf();
        return text.str();
}

std::vector<std::string> split_lines(const std::string &text) {
        std::vector<std::string> lines;
        std::stringstream stream(text);
        for (std::string line; std::getline(stream, line);)
                lines.push_back(line);
        return lines;
}

class PluginLogTest : public testing::Test {
      protected:
        std::string directory;
        sd_event *event = nullptr;
        Worker *worker = nullptr;
        LogSink *sink = nullptr;
        PluginLog *log = nullptr;
        int plugin = -1; /* what the plugin writes to */

        void SetUp() override {
                char path[] = "/tmp/plugind-test-XXXXXX";
                ASSERT_TRUE(mkdtemp(path));
                directory = path;
                open_all(false);
        }
        void open_all(bool journal) {
                ASSERT_GE(sd_event_new(&event), 0);
                ASSERT_EQ(worker_new(&worker), 0);
                ASSERT_EQ(log_sink_new(event, worker, (directory + "/a/log").c_str(), journal, &sink), 0);
                ASSERT_EQ(plugin_log_new(sink, "echo", &log), 0);
                plugin = attach();
        }
        /* All that was written is in the file then. */
        void close_all() {
                if (plugin >= 0)
                        close(plugin);
                plugin = -1;
                log = plugin_log_free(log);
                sink = log_sink_free(sink);
                worker = worker_free(worker);
                event = sd_event_unref(event);
        }
        void TearDown() override {
                close_all();
                EXPECT_EQ(system(("rm -rf " + directory).c_str()), 0);
        }

        int attach() {
                int fds[2];
                EXPECT_EQ(pipe2(fds, O_CLOEXEC), 0);
                EXPECT_EQ(plugin_log_attach(log, fds[0]), 0);
                return fds[1];
        }
        /* In pieces that fit into the pipe, each read before the next. */
        void say(const std::string &text, int fd = -1) {
                fd = fd < 0 ? plugin : fd;
                for (size_t i = 0; i < text.size(); i += 60000) {
                        size_t n = std::min<size_t>(60000, text.size() - i);
                        ASSERT_EQ(write(fd, text.data() + i, n), (ssize_t) n);
                        run_loop();
                }
        }
        void run_loop() {
                int r;
                while ((r = sd_event_run(event, 0)) > 0)
                        ;
                ASSERT_EQ(r, 0);
        }
        std::vector<PluginLogLine> kept() {
                size_t n = 0;
                const PluginLogLine *lines = plugin_log_lines(log, &n);
                return std::vector<PluginLogLine>(lines, lines + n);
        }
        std::vector<std::string> texts() {
                std::vector<std::string> all;
                for (const PluginLogLine &line : kept())
                        all.push_back(line.text);
                return all;
        }
        std::string path(const char *suffix = "") {
                return directory + "/a/log/echo.log" + suffix;
        }
};

using Strings = std::vector<std::string>;

TEST_F(PluginLogTest, LinesAndLevels) {
        say("plain\n<3>an error\n<9>no level\n\n<7>\ncrlf\r\n<4>half");
        EXPECT_EQ(texts(), (Strings{ "plain", "an error", "<9>no level", "crlf" }));
        say(" and half\n");
        ASSERT_EQ(texts().back(), "half and half");
        EXPECT_EQ(kept()[0].priority, LOG_INFO);
        EXPECT_EQ(kept()[1].priority, LOG_ERR);
        EXPECT_EQ(kept()[2].priority, LOG_INFO);
        EXPECT_EQ(kept()[4].priority, LOG_WARNING);
        EXPECT_NEAR((double) kept()[0].realtime_usec, (double) g_get_real_time(), 60e6);
}

TEST_F(PluginLogTest, LastWordsWithoutALineEnd) {
        say("a\nb");
        close(plugin);
        plugin = -1;
        run_loop();
        EXPECT_EQ(texts(), (Strings{ "a", "b" }));
}

TEST_F(PluginLogTest, LastWordsAreReadWhenItIsFreed) {
        ASSERT_EQ(write(plugin, "unread\nhalf", 11), 11);
        std::string file = path();
        close_all();
        std::string text = read_file(file);
        EXPECT_NE(text.find("unread\n"), std::string::npos) << text;
        EXPECT_NE(text.find("half\n"), std::string::npos) << text;
}

TEST_F(PluginLogTest, KeepsTheLastOnes) {
        for (int i = 0; i < 50; i++)
                say("line " + std::to_string(i) + "\n");
        ASSERT_EQ(texts().size(), (size_t) PLUGIN_LOG_KEPT);
        EXPECT_EQ(texts().front(), "line 30");
        EXPECT_EQ(texts().back(), "line 49");
}

TEST_F(PluginLogTest, OldAndNewRunAtOnce) {
        int second = attach();
        say("old ");
        say("new\n", second);
        say("run\n");
        close(second);
        EXPECT_EQ(texts(), (Strings{ "new", "old run" }));
}

TEST_F(PluginLogTest, WhatIsShownIsSafe) {
        say(std::string("tab\there \x1b[31mred\x07 nul") + '\0' + "\x7f \xc2\x9b \xc3\xa9 \xff\xfe \xe2\x82 \xed\xa0\x80 \xc0\xaf\n");
        EXPECT_EQ(texts().at(0), "tab\there \\x1b[31mred\\x07 nul\\x00\\x7f \\x9b \xc3\xa9 \xef\xbf\xbd\xef\xbf\xbd "
                                 "\xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd");
}

TEST_F(PluginLogTest, CharactersSplitBetweenReadsStayWhole) {
        say("\xe2");
        say("\x82");
        say("\xac\n");
        EXPECT_EQ(texts(), (Strings{ "\xe2\x82\xac" }));
}

TEST_F(PluginLogTest, LongLinesAreSplitAndMarked) {
        std::string text = "<4>";
        while (text.size() < 20000)
                text += "\xe2\x82\xac"; /* 3 bytes: no multiple of the size of a piece */
        say(text + "\n");

        std::string joined;
        ASSERT_EQ(kept().size(), 3u);
        for (size_t i = 0; i < 3; i++) {
                std::string piece = kept()[i].text;
                EXPECT_EQ(kept()[i].priority, LOG_WARNING);
                EXPECT_TRUE(g_utf8_validate(piece.c_str(), -1, nullptr));
                EXPECT_LT(piece.size(), 8300u);
                if (i > 0) {
                        EXPECT_EQ(piece.substr(0, 3), "\xe2\x80\xa6");
                        piece = piece.substr(3);
                }
                if (i < 2) {
                        EXPECT_EQ(piece.substr(piece.size() - 3), "\xe2\x80\xa6");
                        piece = piece.substr(0, piece.size() - 3);
                }
                joined += piece;
        }
        EXPECT_EQ(joined, text.substr(3));
        say("next\n");
        EXPECT_EQ(texts().back(), "next");
        EXPECT_EQ(kept().back().priority, LOG_INFO);
}

TEST_F(PluginLogTest, EscapingDoesNotMakeLinesTooLong) {
        say(std::string(8000, '\x01') + "\n");
        EXPECT_EQ(kept().size(), 4u);
        for (const std::string &text : texts())
                EXPECT_LT(text.size(), 8300u);
}

TEST_F(PluginLogTest, LineOfExactlyTheLimitIsNotSplit) {
        say(std::string(8192, 'x') + "\n" + std::string(8193, 'y') + "\n");
        ASSERT_EQ(kept().size(), 3u);
        EXPECT_EQ(texts()[0], std::string(8192, 'x'));
        EXPECT_EQ(texts()[2], "\xe2\x80\xa6y");
}

TEST_F(PluginLogTest, HostsOwnLines) {
        plugin_log_add(log, LOG_NOTICE, "skipped a line: \"%s\"", "ha\nha");
        EXPECT_EQ(texts(), (Strings{ "skipped a line: \"ha\\x0aha\"" }));
        EXPECT_EQ(kept()[0].priority, LOG_NOTICE);
        plugin_log_add(log, LOG_INFO, "%s", std::string(100000, 'x').c_str());
        EXPECT_LT(texts().back().size(), 8300u);
}

TEST_F(PluginLogTest, FileHasEveryLine) {
        g_autofree char *file = log_sink_file(sink, "echo");
        struct stat st;

        EXPECT_FALSE(log_sink_is_journal(sink));
        EXPECT_EQ(path(), file);
        say("<3>one\n");
        say("two\n");
        close_all();

        std::vector<std::string> lines = split_lines(read_file(path()));
        ASSERT_EQ(lines.size(), 2u);
        EXPECT_TRUE(g_regex_match_simple("^20\\d\\d-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{6}Z <3> one$", lines[0].c_str(), {}, {}))
                << lines[0];
        EXPECT_EQ(lines[1].substr(27), " <6> two");
        ASSERT_EQ(stat(path().c_str(), &st), 0);
        EXPECT_EQ(st.st_mode & 0137, 0u) << std::oct << st.st_mode;
        ASSERT_EQ(stat((directory + "/a/log").c_str(), &st), 0);
        EXPECT_EQ(st.st_mode & 0027, 0u) << std::oct << st.st_mode;
}

TEST_F(PluginLogTest, FileIsNoLinkAndNoFifo) {
        std::string target = directory + "/target";

        ASSERT_EQ(g_mkdir_with_parents((directory + "/a/log").c_str(), 0700), 0);
        ASSERT_EQ(symlink(target.c_str(), path().c_str()), 0);
        EXPECT_EQ(log_file_append((directory + "/a/log").c_str(), "echo.log", "x\n", 2), -ELOOP);
        EXPECT_EQ(access(target.c_str(), F_OK), -1);
        ASSERT_EQ(unlink(path().c_str()), 0);
        ASSERT_EQ(mkfifo(path().c_str(), 0600), 0);
        EXPECT_LT(log_file_append((directory + "/a/log").c_str(), "echo.log", "x\n", 2), 0);
}

TEST_F(PluginLogTest, FilesAreRotated) {
        std::string block(3 * 1000 * 1000, 'x');
        struct stat st;

        for (int i = 0; i < 14; i++) {
                block[0] = (char) ('a' + i);
                ASSERT_EQ(log_file_append(directory.c_str(), "echo.log", block.data(), block.size()), 0);
        }
        /* Three fit into one: abc, def and so on; abc and def are forgotten. */
        const struct {
                const char *name;
                char first;
                off_t size;
        } files[] = { { "echo.log.2", 'g', 9000000 }, { "echo.log.1", 'j', 9000000 }, { "echo.log", 'm', 6000000 } };
        for (const auto &file : files) {
                std::string name = directory + "/" + file.name;
                ASSERT_EQ(stat(name.c_str(), &st), 0) << name;
                EXPECT_EQ(st.st_size, file.size) << name;
                EXPECT_EQ(read_file(name)[0], file.first) << name;
        }
        EXPECT_EQ(access((directory + "/echo.log.3").c_str(), F_OK), -1);
}

TEST_F(PluginLogTest, FloodIsCounted) {
        for (int i = 0; i < 30; i++) {
                std::string text;
                for (int j = 0; j < 1000; j++)
                        text += "flood\n";
                say(text);
        }
        EXPECT_EQ(texts().back(), "flood");
        close_all();

        std::vector<std::string> lines = split_lines(read_file(path()));
        ASSERT_EQ(lines.size(), 10001u);
        EXPECT_EQ(lines.back().substr(27), " <4> 20000 lines were dropped");
}

TEST_F(PluginLogTest, FloodOfBytesIsCounted) {
        std::string line = std::string(7999, 'x') + "\n";
        for (int i = 0; i < 300; i++)
                say(line + line + line + line + line);
        close_all();

        uint64_t size = 0, dropped = 0, lines = 0;
        for (const char *suffix : { "", ".1", ".2" })
                for (const std::string &l : split_lines(read_file(path(suffix)))) {
                        size += l.size();
                        if (l.find(" lines were dropped") != std::string::npos)
                                dropped += std::stoul(l.substr(32));
                        else
                                lines++;
                }
        EXPECT_GT(dropped, 200u);
        EXPECT_EQ(dropped + lines, 1500u);
        EXPECT_LT(size, 10500000u);
}

TEST_F(PluginLogTest, SlowWorkerDropsAndCounts) {
        GMutex gate;
        std::string block;

        g_mutex_init(&gate);
        g_mutex_lock(&gate);
        worker_push(
                worker,
                [](void *data) {
                        g_mutex_lock((GMutex *) data);
                        g_mutex_unlock((GMutex *) data);
                },
                &gate);
        for (int i = 0; i < 7; i++)
                block += std::string(7999, 'x') + "\n";
        for (int i = 0; i < 150; i++) /* 8.4 MB: within the rate, more than may wait */
                say(block);
        g_mutex_unlock(&gate);
        close_all();

        uint64_t dropped = 0, lines = 0;
        for (const std::string &l : split_lines(read_file(path()))) {
                if (l.find(" lines were dropped") != std::string::npos)
                        dropped += std::stoul(l.substr(32));
                else
                        lines++;
        }
        EXPECT_EQ(dropped + lines, 1050u);
        EXPECT_GT(dropped, 400u);
        EXPECT_GT(lines, 400u);
        g_mutex_clear(&gate);
}

TEST_F(PluginLogTest, NameThatIsNoFileIsRefused) {
        PluginLog *other = nullptr;
        EXPECT_EQ(plugin_log_new(sink, "../x", &other), -EINVAL);
        EXPECT_EQ(plugin_log_new(sink, "", &other), -EINVAL);
        EXPECT_EQ(other, nullptr);
}

/* A journal of our own, in a mount namespace that only this thread sees. */
TEST_F(PluginLogTest, Journal) {
        bool skipped = false;

        close_all();
        std::thread([&] {
                struct sockaddr_un address = { AF_UNIX, "/run/systemd/journal/socket" };
                char datagram[4096];
                int fd;

                if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, nullptr) < 0 ||
                    mount("tmpfs", "/run", "tmpfs", 0, nullptr) < 0) {
                        skipped = true;
                        return;
                }
                ASSERT_EQ(g_mkdir_with_parents("/run/systemd/journal", 0755), 0);
                fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
                ASSERT_EQ(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);

                open_all(true);
                EXPECT_TRUE(log_sink_is_journal(sink));
                EXPECT_EQ(log_sink_file(sink, "echo"), nullptr);
                plugin_log_set_pid(log, 4711);
                say("<3>broken\n");
                close_all();

                ssize_t n = recv(fd, datagram, sizeof(datagram), MSG_DONTWAIT);
                ASSERT_GT(n, 0);
                std::string entry = "\n" + std::string(datagram, (size_t) n);
                for (const char *field : { "\nMESSAGE=broken\n", "\nPRIORITY=3\n", "\nSYSLOG_IDENTIFIER=echo\n", "\nPLUGIND_SESSION=echo\n",
                                           "\nSYSLOG_PID=4711\n" })
                        EXPECT_NE(entry.find(field), std::string::npos) << entry;
                EXPECT_EQ(recv(fd, datagram, sizeof(datagram), MSG_DONTWAIT), -1);
                close(fd);
        }).join();
        if (skipped)
                GTEST_SKIP() << "needs a mount namespace";
}

} // namespace
