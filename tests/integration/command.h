/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A program run by a test, with what it reads and what it says. */
#pragma once

#include "client.h"

#include <map>
#include <string>
#include <sys/types.h>
#include <vector>

class Command {
      public:
        /* Starts it. TERMINAL: stdout is one, of 80 columns. */
        Command(const std::vector<std::string> &line, const std::map<std::string, std::string> &environment, const std::string &input = "",
                bool terminal = false);
        ~Command();
        Command(const Command &) = delete;
        Command &operator=(const Command &) = delete;

        /* Waits for its end: the exit status, 128 and the signal, or -1 after a bound. `out` and `err` are whole then. */
        int wait();
        /* Reads until what it has said on stdout (stderr) contains TEXT; false after a bound or at its end. */
        bool wait_out(const std::string &text, uint64_t timeout_usec = patience_usec);
        bool wait_err(const std::string &text, uint64_t timeout_usec = patience_usec);
        void signal(int number) const;

        std::string out, err;

      private:
        bool read_some(uint64_t timeout_usec);

        pid_t pid_ = -1;
        int out_ = -1, err_ = -1;
};
