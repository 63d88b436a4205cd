/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What systemd is to a service that keeps descriptors with it: hears what it tells (sd_notify()), stores what it wants stored, and passes
 * that on when the service is started again. Lives longer than one daemon.
 */
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

class FdStore {
      public:
        struct Stored {
                std::string name;
                int fd;
        };

        FdStore();
        ~FdStore();
        FdStore(const FdStore &) = delete;
        FdStore &operator=(const FdStore &) = delete;

        /* For NOTIFY_SOCKET. */
        const std::string &address() const {
                return address_;
        }
        /* All it has been told until now, one message each, but for what is stored and removed. */
        std::vector<std::string> told();
        /* One of them contains TEXT. */
        bool was_told(const std::string &text);
        /* False if that is not so within a bound. */
        bool wait_told(const std::string &text);
        /* Another daemon is about to be started. */
        void begin();
        /* Descriptors stay the store's. */
        std::vector<Stored> stored();
        /* Those whose name begins with PREFIX are closed, as if they had never been stored. */
        void drop(const std::string &prefix);

      private:
        void listen();
        void take(const std::string &text, std::vector<int> fds);

        int socket_ = -1, stop_ = -1;
        std::string address_;
        std::thread thread_;
        std::mutex mutex_;
        std::condition_variable changed_;
        std::vector<std::string> told_;
        std::vector<Stored> stored_;
};
