/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gtest/gtest.h>

#include <fcntl.h>
#include <functional>
#include <sched.h>
#include <string>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

extern "C" {
#include "basic/log.h"
#include <glib.h>
}

namespace {

/* What BODY writes to stderr, which is a pipe for so long. */
std::string captured(const std::function<void(int)> &body) {
        char buffer[65536];
        int fds[2], saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);

        EXPECT_EQ(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
        dup2(fds[1], STDERR_FILENO);
        body(fds[1]);
        dup2(saved, STDERR_FILENO);
        close(saved);
        close(fds[1]);
        ssize_t n = read(fds[0], buffer, sizeof(buffer));
        close(fds[0]);
        log_open(LOG_TARGET_STDERR, LOG_INFO);
        return std::string(buffer, n > 0 ? (size_t) n : 0);
}

TEST(Log, StderrHasLevelSessionAndOneLine) {
        EXPECT_EQ(captured([](int) {
                          log_open(LOG_TARGET_STDERR, LOG_INFO);
                          log_warning("%s is %i", "it", 7);
                          log_session(LOG_ERR, "files", "two\nlines\ttab \x1b[0m");
                          log_debug("not this");
                  }),
                  "<4>it is 7\n<3>files: two lines\ttab  [0m\n");
}

TEST(Log, Levels) {
        captured([](int) {
                log_open(LOG_TARGET_STDERR, LOG_DEBUG);
                EXPECT_TRUE(log_enabled(LOG_DEBUG));
                log_open(LOG_TARGET_STDERR, LOG_WARNING);
                EXPECT_TRUE(log_enabled(LOG_WARNING));
                EXPECT_FALSE(log_enabled(LOG_NOTICE));
        });
        EXPECT_EQ(log_priority_from_string("err"), LOG_ERR);
        EXPECT_EQ(log_priority_from_string("debug"), LOG_DEBUG);
        EXPECT_EQ(log_priority_from_string("0"), LOG_EMERG);
        EXPECT_EQ(log_priority_from_string("7"), LOG_DEBUG);
        for (const char *bad : { "", "8", "77", "loud", "-1" })
                EXPECT_EQ(log_priority_from_string(bad), -EINVAL) << bad;
}

TEST(Log, KeepsErrno) {
        captured([](int) {
                log_open(LOG_TARGET_STDERR, LOG_INFO);
                close(STDERR_FILENO); /* the write fails */
                errno = EDOM;
                log_info("x");
                EXPECT_EQ(errno, EDOM);
        });
}

TEST(Log, NobodyReadingDoesNotBlock) {
        captured([](int pipe) {
                char page[4096] = {};
                while (write(pipe, page, sizeof(page)) > 0)
                        ;
                fcntl(pipe, F_SETFL, 0); /* the writer would wait now */
                log_open(LOG_TARGET_STDERR, LOG_INFO);
                log_info("x");
        });
}

TEST(Log, LongMessagesAreCut) {
        std::string text = captured([](int) {
                log_open(LOG_TARGET_STDERR, LOG_INFO);
                log_info("%s", std::string(100000, 'x').c_str());
        });
        EXPECT_LT(text.size(), 4096u);
        EXPECT_EQ(text.back(), '\n');
}

TEST(Log, NoJournalMeansStderr) {
        if (log_journal_listens())
                GTEST_SKIP() << "there is a journal";
        EXPECT_EQ(captured([](int) {
                          log_open(LOG_TARGET_JOURNAL, LOG_INFO);
                          log_info("x");
                  }),
                  "<6>x\n");
}

/* A journal of our own, in a mount namespace that only this thread sees. */
TEST(Log, JournalIsUsedIfStderrLeadsThere) {
        bool skipped = false;

        std::thread([&] {
                struct sockaddr_un address = { AF_UNIX, "/run/systemd/journal/socket" };
                char datagram[4096];
                struct stat st;
                int fd;

                if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, nullptr) < 0 ||
                    mount("tmpfs", "/run", "tmpfs", 0, nullptr) < 0) {
                        skipped = true;
                        return;
                }
                ASSERT_EQ(g_mkdir_with_parents("/run/systemd/journal", 0755), 0);
                fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
                ASSERT_EQ(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
                EXPECT_TRUE(log_journal_listens());

                /* AUTO: only with the right JOURNAL_STREAM. */
                EXPECT_EQ(captured([](int) {
                                  setenv("JOURNAL_STREAM", "1:2", 1);
                                  log_open(LOG_TARGET_AUTO, LOG_INFO);
                                  log_info("to stderr");
                          }),
                          "<6>to stderr\n");
                EXPECT_EQ(recv(fd, datagram, sizeof(datagram), MSG_DONTWAIT), -1);
                EXPECT_EQ(captured([&](int pipe) {
                                  fstat(pipe, &st);
                                  std::string stream = std::to_string(st.st_dev) + ":" + std::to_string(st.st_ino);
                                  setenv("JOURNAL_STREAM", stream.c_str(), 1);
                                  log_open(LOG_TARGET_AUTO, LOG_INFO);
                                  log_session(LOG_NOTICE, "files", "hello");
                          }),
                          "");
                unsetenv("JOURNAL_STREAM");

                ssize_t n = recv(fd, datagram, sizeof(datagram), MSG_DONTWAIT);
                ASSERT_GT(n, 0);
                std::string entry = "\n" + std::string(datagram, (size_t) n);
                for (const char *field : { "\nMESSAGE=files: hello\n", "\nPRIORITY=5\n", "\nSYSLOG_IDENTIFIER=plugind\n",
                                           "\nPLUGIND_SESSION=files\n", "\nCODE_FUNC=", "\nCODE_LINE=", "\nCODE_FILE=" })
                        EXPECT_NE(entry.find(field), std::string::npos) << entry;
                close(fd);
        }).join();
        if (skipped)
                GTEST_SKIP() << "needs a mount namespace";
}

} // namespace
