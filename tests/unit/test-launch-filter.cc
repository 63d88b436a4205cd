/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The launcher's own filter of system calls, in processes that end with the test. */
extern "C" {
#include "launcher/filter.h"
}

#include <cerrno>
#include <csignal>
#include <functional>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

/* CODE's errno behind the filter, 0 for success; 128 and a signal if that killed it. */
int filtered(const std::function<long()> &code) {
        pid_t pid = fork();
        int status;

        if (pid == 0) {
                char text[256];

                if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || !filter_apply(text, sizeof(text)))
                        _exit(255);
                _exit(code() < 0 ? errno : 0);
        }
        waitpid(pid, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int pair(int type) {
        return filtered([type] {
                int ends[2];
                return socketpair(AF_UNIX, type, 0, ends);
        });
}

TEST(LaunchFilter, PairsAreConnectedForGood) {
        for (int flags : { 0, (int) SOCK_CLOEXEC, (int) SOCK_NONBLOCK, SOCK_CLOEXEC | SOCK_NONBLOCK }) {
                EXPECT_EQ(pair(SOCK_STREAM | flags), 0);
                EXPECT_EQ(pair(SOCK_SEQPACKET | flags), 0);
                EXPECT_EQ(pair(SOCK_DGRAM | flags), EPERM);
                EXPECT_EQ(pair(SOCK_RAW | flags), EPERM);
        }
        EXPECT_EQ(pair(0), EPERM);
}

/* Each with arguments that the kernel itself refuses otherwise. */
TEST(LaunchFilter, MountsAndNamespacesAreRefused) {
        EXPECT_EQ(filtered([] { return mount("", "", "", 0, nullptr); }), EPERM);
        EXPECT_EQ(filtered([] { return umount2("", ~0); }), EPERM);
        EXPECT_EQ(filtered([] { return syscall(SYS_pivot_root, "", ""); }), EPERM);
        EXPECT_EQ(filtered([] { return chroot(""); }), EPERM);
        EXPECT_EQ(filtered([] { return setns(-1, 0); }), EPERM);
        for (int flag : { CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET }) {
                EXPECT_EQ(filtered([flag] { return unshare(flag | CLONE_PARENT); }), EPERM);
                EXPECT_EQ(filtered([flag] { return syscall(SYS_clone, flag | CLONE_SIGHAND, 0, 0, 0, 0); }), EPERM);
        }
}

TEST(LaunchFilter, WhatProgramsDoGoesOn) {
        EXPECT_EQ(filtered([] { return unshare(CLONE_FILES); }), 0);
        EXPECT_EQ(filtered([] {
                          pid_t child = fork();
                          int status = 0;

                          if (child == 0)
                                  _exit(0);
                          return child > 0 && waitpid(child, &status, 0) == child && status == 0 ? 0 : -1;
                  }),
                  0);
        EXPECT_EQ(filtered([] { return socket(AF_UNIX, SOCK_DGRAM, 0) < 0 ? -1 : 0; }), 0) << "that is for the unit to say";
}

#ifdef __x86_64__
TEST(LaunchFilter, OtherNumbersOfTheSameCallsKill) {
        EXPECT_EQ(filtered([] { return syscall(0x40000000 | 53, AF_UNIX, SOCK_DGRAM, 0, nullptr); }), 128 + SIGSYS);
        EXPECT_EQ(filtered([] {
                          int result;

                          __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory");
                          return result;
                  }),
                  128 + SIGSYS);
}
#endif

} // namespace
