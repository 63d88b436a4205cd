/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* plugind.service as it is installed, and what systemd, the journal and the kernel tell of it and of what it started. Only in a container
 * of tests/system/run, where all of it may be changed. */
#pragma once

#include "integration/client.h"

#include <map>
#include <string>
#include <sys/types.h>
#include <vector>

/* Whether this is such a container; its bus, "dbus-broker" or "dbus-daemon". */
bool booted();
std::string booted_broker();
/* The process that passes the messages of the system bus. */
pid_t booted_bus_pid();

constexpr char system_bus_address[] = "unix:path=/run/dbus/system_bus_socket";

struct Outcome {
        int status = -1; /* exit status, 128 and a signal, or -1 if it has not ended */
        std::string out, err;
};

/* A program, found in PATH, to its end. */
Outcome run(const std::vector<std::string> &line, const std::map<std::string, std::string> &environment = {},
            const std::string &input = "");

/* A property of a unit, as `systemctl show` prints it. */
std::string unit_property(const std::string &unit, const std::string &property);
/* The names of the units that systemd has in memory, but for plugind.slice: those whose names match PATTERN, as "plugind-*.service". */
std::vector<std::string> units_like(const std::string &pattern);
/* The folders of control groups at and below that of UNIT, and the processes in them. */
std::vector<std::string> cgroups_of(const std::string &unit);
std::vector<pid_t> processes_of(const std::string &unit);
/* Units of plugins in which processes are. */
int populated_plugin_units();
/* What is there of plugins: units, processes, control groups, one a line; "" if nothing is. The second waits, within a bound, until nothing
 * is: things end asynchronously. */
std::string leftovers();
std::string left_in_time();

/* Whether the container has CONTROLLER ("memory", "pids", "cpu") to give: if not, what depends on it is accepted and does nothing. */
bool controller_works(const std::string &controller);

/* The journal's messages, one a line, that match ("_SYSTEMD_UNIT=plugind.service", "-u", ...), synced before. */
std::string journal(const std::vector<std::string> &matches = {});
/* For journal(): only what comes after now. */
std::string journal_now();

class Service {
      public:
        explicit Service(std::string unit = "plugind.service") : unit_(std::move(unit)) {
        }
        Service(const Service &) = delete;
        Service &operator=(const Service &) = delete;

        /* From the next start: these arguments in place of its own, this environment and these lines of [Service] in addition. */
        void configure(const std::vector<std::string> &arguments, const std::map<std::string, std::string> &environment = {},
                       const std::vector<std::string> &lines = {});
        void unconfigure();

        /* Each waits for its job; false and a word on stderr if that failed. */
        bool start();
        bool stop();
        bool restart();
        void reset_failed();
        void kill(int signal) const;
        /* Waits for the end of its main process: what wait() would say of it. -ETIME after a bound. */
        int wait_status();

        pid_t pid() const;
        std::string get(const std::string &property) const {
                return unit_property(unit_, property);
        }
        /* False if it is not so within a bound. */
        bool wait(const std::string &property, const std::string &value) const;
        const std::string &unit() const {
                return unit_;
        }

      private:
        std::string drop_in() const;
        void hold();

        std::string unit_;
        std::unique_ptr<Client> holder_; /* so that systemd remembers how it ended */
};
