/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fd-store.h"

#include "client.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <poll.h>
#include <sstream>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

FdStore::FdStore() {
        sockaddr_un address = {};
        socklen_t size = sizeof(address);

        address.sun_family = AF_UNIX; /* without a path the kernel chooses an abstract one */
        stop_ = eventfd(0, EFD_CLOEXEC);
        socket_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (bind(socket_, (sockaddr *) &address, sizeof(address.sun_family)) < 0 || getsockname(socket_, (sockaddr *) &address, &size) < 0)
                return;
        address_ = "@" + std::string(address.sun_path + 1, size - offsetof(sockaddr_un, sun_path) - 1);
        thread_ = std::thread([this] { listen(); });
}

FdStore::~FdStore() {
        uint64_t one = 1;

        if (write(stop_, &one, sizeof(one)) == sizeof(one) && thread_.joinable())
                thread_.join();
        drop("");
        close(socket_);
        close(stop_);
}

/* A thread, since who tells something waits when ten messages have not been heard. */
void FdStore::listen() {
        pollfd fds[] = { { socket_, POLLIN, 0 }, { stop_, POLLIN, 0 } };

        while (poll(fds, 2, -1) > 0 && !fds[1].revents) {
                alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 253)];
                char text[4096];
                iovec part = { text, sizeof(text) };
                msghdr message = {};
                std::vector<int> passed;

                message.msg_iov = &part;
                message.msg_iovlen = 1;
                message.msg_control = control;
                message.msg_controllen = sizeof(control);
                ssize_t n = recvmsg(socket_, &message, MSG_CMSG_CLOEXEC);
                if (n < 0)
                        continue;
                for (cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
                        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                                continue;
                        passed.resize((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
                        memcpy(passed.data(), CMSG_DATA(c), passed.size() * sizeof(int));
                }
                take(std::string(text, n), passed);
        }
}

static std::string value_of(const std::string &text, const std::string &key) {
        std::istringstream lines(text);
        std::string line;

        while (std::getline(lines, line))
                if (line.find(key + "=") == 0)
                        return line.substr(key.size() + 1);
        return "";
}

void FdStore::take(const std::string &text, std::vector<int> fds) {
        std::string name = value_of(text, "FDNAME");

        if (value_of(text, "FDSTORE") == "1") {
                std::lock_guard<std::mutex> lock(mutex_);

                for (int fd : fds)
                        stored_.push_back({ name.empty() ? "stored" : name, fd });
                fds.clear();
        } else if (value_of(text, "FDSTOREREMOVE") == "1") {
                std::lock_guard<std::mutex> lock(mutex_);

                stored_.erase(std::remove_if(stored_.begin(), stored_.end(),
                                             [&](const Stored &stored) { return stored.name == name && close(stored.fd) == 0; }),
                              stored_.end());
        } else {
                std::lock_guard<std::mutex> lock(mutex_);

                told_.push_back(text);
        }
        for (int fd : fds) /* BARRIER=1 waits for that */
                close(fd);
        changed_.notify_all();
}

std::vector<std::string> FdStore::told() {
        std::lock_guard<std::mutex> lock(mutex_);

        return told_;
}

bool FdStore::was_told(const std::string &text) {
        std::lock_guard<std::mutex> lock(mutex_);

        return std::any_of(told_.begin(), told_.end(), [&](const std::string &t) { return t.find(text) != std::string::npos; });
}

bool FdStore::wait_told(const std::string &text) {
        std::unique_lock<std::mutex> lock(mutex_);

        return changed_.wait_for(lock, std::chrono::microseconds(patience_usec), [&] {
                return std::any_of(told_.begin(), told_.end(), [&](const std::string &t) { return t.find(text) != std::string::npos; });
        });
}

void FdStore::begin() {
        std::lock_guard<std::mutex> lock(mutex_);

        told_.clear();
}

std::vector<FdStore::Stored> FdStore::stored() {
        std::lock_guard<std::mutex> lock(mutex_);

        return stored_;
}

void FdStore::drop(const std::string &prefix) {
        std::lock_guard<std::mutex> lock(mutex_);

        stored_.erase(std::remove_if(stored_.begin(), stored_.end(),
                                     [&](const Stored &stored) { return stored.name.find(prefix) == 0 && close(stored.fd) == 0; }),
                      stored_.end());
}
