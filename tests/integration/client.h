/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A caller of plugind, with sd-bus: calls, now or pipelined; signals, waited for with a bound. Failures are values, for EXPECT_EQ. */
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <systemd/sd-bus.h>
#include <vector>

/* Longer than anything takes, under valgrind too; only a failing test waits for it. */
constexpr uint64_t patience_usec = 30'000'000;

struct Reply {
        bool answered = false;
        std::string error;   /* name of the bus error; empty: none */
        std::string message; /* of the error */
        std::string text;    /* the body as text_of() */

        bool ok() const {
                return answered && error.empty();
        }
        /* "ok", or the error's name and message. */
        std::string outcome() const;
};

struct Signal {
        std::string path, interface, member, destination;
        std::string text; /* text_of() the body */
};

/* The body of a message: strings as they are, arrays [a, b], structs (a, b), dictionaries {k: v}; several values with ", " between. */
std::string text_of(sd_bus_message *message);

/* Of the session ID. */
std::string session_path(const std::string &id);

class Client {
      public:
        explicit Client(const std::string &address);
        ~Client();
        Client(const Client &) = delete;
        Client &operator=(const Client &) = delete;

        using Pending = std::shared_ptr<Reply>;

        Reply call(const std::string &destination, const std::string &path, const std::string &interface, const char *member,
                   const char *types, ...);
        Reply host(const char *member, const char *types, ...);
        Reply session(const std::string &id, const char *member, const char *types, ...);
        /* Not waited for. */
        Pending session_async(const std::string &id, const char *member, const char *types, ...);
        Pending host_async(const char *member, const char *types, ...);
        /* False after a bound. */
        bool wait(const Pending &pending);
        bool wait(const std::function<bool()> &condition, uint64_t timeout_usec = patience_usec);

        /* Asks again and again, where nothing tells of a change. False after a bound. */
        bool poll(const std::function<bool()> &condition);

        /* The body's text, or "error: NAME: MESSAGE". */
        std::string send(const std::string &id, const std::string &method, const std::string &params = "");
        std::string get(const std::string &id, const char *property);
        std::string get_host(const char *property);
        /* False if it is not so within a bound. */
        bool wait_property(const std::string &id, const char *property, const std::string &value);

        /* From now on matching signals are kept in `signals`, in order. */
        void match(const std::string &rule);
        void match_session(const std::string &id); /* all signals of its object */
        /* The first kept signal that MEMBER names, removed; nothing after a bound. */
        std::optional<Signal> take(const std::string &member, uint64_t timeout_usec = patience_usec);
        /* Handles what has come until now, and no more. */
        void catch_up();

        const char *name() const;
        /* Whether somebody has NAME now; starts nobody. */
        bool has_owner(const std::string &name);
        sd_bus *get() const {
                return bus_;
        }

        std::deque<Signal> signals;
        std::vector<std::string> log; /* members of signals and "reply of MEMBER", in order of arrival */

      private:
        sd_bus_message *new_call(const std::string &destination, const std::string &path, const std::string &interface, const char *member,
                                 const char *types, va_list args);
        Reply finish(sd_bus_message *message);
        Pending start(sd_bus_message *message);

        sd_bus *bus_ = nullptr;
};
