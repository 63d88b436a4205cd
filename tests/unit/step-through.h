/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A SIGKILL at every single instruction, played with ptrace. */
#pragma once

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs WORK in a child, calling EACH after every instruction. Returns the number of instructions, -1 if that is not to be had here. */
template <typename Work, typename Each> static long step_through(Work work, Each each) {
        const char *preload = getenv("LD_PRELOAD");
        long steps = 0;
        int status;
        pid_t pid;

        if (preload && strstr(preload, "valgrind"))
                return -1;
        pid = fork();
        if (pid == 0) {
                if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) < 0)
                        _exit(125);
                raise(SIGSTOP);
                work();
                _exit(0);
        }
        if (pid < 0)
                return -1;
        for (;;) {
                if (waitpid(pid, &status, 0) < 0)
                        return -1;
                if (!WIFSTOPPED(status))
                        break;
                each();
                steps++;
                if (testing::Test::HasFatalFailure()) {
                        kill(pid, SIGKILL);
                        waitpid(pid, &status, 0);
                        return steps;
                }
                ptrace(PTRACE_SINGLESTEP, pid, nullptr, nullptr);
        }
        if (WIFEXITED(status) && WEXITSTATUS(status) == 125)
                return -1;
        EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
        return steps;
}
