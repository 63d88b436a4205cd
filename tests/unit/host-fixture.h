/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A host whose runtime is played by the test: it sees what is started and killed, holds the plugin's ends of the streams, and says when a
 * process exits. Everything else is the real thing. */
#pragma once

#include <gtest/gtest.h>

#include <fcntl.h>
#include <functional>
#include <memory>
#include <string>
#include <unistd.h>
#include <vector>

extern "C" {
#include "host/host.h"
}

class HostTest : public testing::Test {
      public:
        /* One run of a plugin, seen from its side. */
        struct Process {
                Unit unit{}; /* first: what the host is given */
                HostTest *test = nullptr;
                pid_t pid = 0;
                int in = -1, out = -1, log = -1;                /* the plugin's stdin, stdout, stderr */
                int host_in = -1, host_out = -1, host_log = -1; /* the host's ends, until it is told that it runs */
                std::vector<int> signals;
                std::string unread;
                bool freed = false;

                /* The next line that the host wrote; "" at the end of input or when nothing comes within 2 s. */
                std::string line();
                void say(const std::string &text);
                void close_stdout();
                void exit(int code, int status); /* CLD_EXITED or CLD_KILLED; nothing of it is left then */
                void exit(const UnitExit &exit);
                /* With `slow_start`: the plugin's code runs, or never will. */
                void start();
                void fail(PlugindErrorCode code, const std::string &message);
                void hang_up();
        };

        /* An answer, or what is still to become one; may be gone before that. */
        struct Sent {
                Sent() : self(std::make_shared<Sent *>(this)) {
                }
                Sent(const Sent &) = delete;
                Sent &operator=(const Sent &) = delete;
                ~Sent() {
                        *self = nullptr;
                }
                std::shared_ptr<Sent *> self;
                bool done = false;
                std::string result;
                PlugindErrorCode code = PLUGIND_ERROR_NONE;
                std::string message;
        };

      private:
        void new_host();

      protected:
        void SetUp() override;
        void TearDown() override;

        Session *load(const std::string &id, const std::string &manifest, bool bind = false, Caller *caller = nullptr);
        /* A manifest of dialect jsonrpc with EXTRA members (",...": key first). */
        static std::string manifest(const std::string &extra = "");
        void send(Session *session, Caller *caller, const std::string &method, const std::string &params, Sent *sent,
                  const char *id = nullptr, bool envelope = false, uint64_t timeout = 0);
        /* Turns the loop until CONDITION holds; fails after 5 s. */
        void until(const std::function<bool()> &condition);
        void turn(); /* whatever is ready now */
        Process *process(size_t n);
        /* The host leaves, and another restores what it left, by itself or as RESTORE does. */
        void hand_over(const std::function<void(Host *)> &restore = nullptr, bool killed = false);
        virtual void leave(bool killed); /* the host does, or is about to vanish */
        virtual void left();             /* it is gone, and the next one is not there yet */
        std::string states() const;      /* "starting(on-demand) connecting(started) ..." since the last call */

      public:
        sd_event *event = nullptr;
        Deadlines *deadlines = nullptr;
        Arena *arena = nullptr;
        Store *store = nullptr;
        Worker *worker = nullptr;
        LogSink *sink = nullptr;
        char directory[32] = "/tmp/plugind-unit.XXXXXX";
        Host *host = nullptr;
        Caller *alice = nullptr, *bob = nullptr;
        std::function<void()> meanwhile; /* what happens while no host is there */
        std::vector<std::unique_ptr<Process>> processes;
        std::string unit_name = "plugind-test-1.service"; /* of all of them, as systemd's; "": none */
        PlugindError start_error{};                       /* set: the next start fails with it */
        bool slow_start = false;                          /* starts are settled by Process.start() or fail() */
        mutable std::string log;                          /* of StateChanged */
        std::vector<std::string>
                events; /* "new x", "removed x reason", "ended x reason status", "note <caller> <request> <method> <params>" */
        uint32_t changed = 0;
        struct TestRuntime {
                Runtime runtime;
                HostTest *test;
        } runtime{};
};
