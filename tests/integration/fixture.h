/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * build/service/plugind on a private bus, with folders of its own. Each test runs on both buses:
 *
 *     TEST_P(Daemon, DoesThis) { manifest("x", ...); start(); Client client(address()); ... }
 *
 * At the end the daemon is told to stop and must exit with 0, leaving no process behind. PLUGIND_TEST_WRAPPER="valgrind ..." is put
 * before its command line.
 *
 * In a container of tests/system/run the same cases meet plugind as it is installed there: the bus is the system bus, the daemon is
 * plugind.service with the options of the case, plugins are units in plugind.slice. What cannot be so there says NOT_INSTALLED().
 */
#pragma once

#include "client.h"
#include "fd-store.h"
#include "system/service.h"

#include <gtest/gtest.h>
#include <map>

extern "C" {
#include "support/private-bus.h"
#include "support/process.h"
}

class Plugind {
      public:
        Plugind() = default;
        ~Plugind();
        Plugind(const Plugind &) = delete;
        Plugind &operator=(const Plugind &) = delete;

        /* False if it ended before it was ready. READY: waits for READY=1 on its notify socket. STORE: as its service manager, it passes what an earlier
         * daemon stored. */
        bool start(const std::vector<std::string> &arguments, const std::map<std::string, std::string> &environment, bool ready = true,
                   int listening = -1, FdStore *store = nullptr);
        bool wait_ready();
        /* The same with plugind.service; OUTPUT: a file for what it says. */
        bool start_installed(const std::vector<std::string> &arguments, const std::map<std::string, std::string> &environment,
                             const std::string &output);
        /* In order: with SIGTERM, or by systemctl stop. */
        void stop();
        void signal(int number) const;
        /* Its wait status; -ETIME after a bound. */
        int wait();

        pid_t pid() const {
                return pid_;
        }
        int fds() const {
                return process_count_fds(pid_);
        }
        /* Processes that it started, or units. */
        int children() const {
                return process_count_children(pid_) + (service_ ? populated_plugin_units() : 0);
        }
        /* All it has said on stdout and stderr until now. */
        std::string output();
        /* All it has told systemd until now, one message each. */
        std::vector<std::string> notifications();

      private:
        pid_t pid_ = 0;
        int output_ = -1, notify_ = -1;
        FdStore *store_ = nullptr;
        std::unique_ptr<Service> service_;
        std::vector<std::string> told_;
};

class Daemon : public testing::TestWithParam<BusKind> {
      protected:
        void SetUp() override;
        void TearDown() override;
        void end_children();
        void clean_system();

        /* Like `plugind ARGUMENTS` on the private bus (--user if nothing else is said), ready to be called. MORE: environment. */
        void start(const std::vector<std::string> &arguments = { "--user" }, const std::map<std::string, std::string> &more = {});
        /* From the next start the daemon has a socket for direct connections; its address. */
        std::string listen();
        /* SIGTERM; its exit status. */
        int stop();

        /* Writes a manifest. */
        void manifest(const std::string &id, const std::string &json);
        /* One of tests/plugins/bad.py, which is a good one in mode "good". MORE: further keys. */
        void bad_plugin(const std::string &id, const std::string &dialect = "jsonrpc", const std::string &mode = "good",
                        const std::string &more = "");
        void load(Client &client, const std::string &id);

        /* After stop(): the next start is another process, with the same folders. */
        void again() {
                daemon.~Plugind();
                new (&daemon) Plugind();
        }

        const char *address() const {
                return booted() ? system_bus_address : private_bus_address(bus);
        }
        /* Of the process that passes the messages. */
        pid_t bus_pid() const;
        std::string plugin_folder() const;
        std::string state_folder() const;
        /* The daemon's descriptors, when what it does beside (files are written by a thread) is done. */
        int settled_fds();
        /* Descriptors and children of the daemon are no more than before, at once or within a bound (things end asynchronously; before, a file
         * of the state may have been in the writing). */
        bool wait_counts(int fds, int children);

        PrivateBus *bus = nullptr;
        char *folder = nullptr;
        Plugind daemon;
        int listening = -1;
        std::unique_ptr<FdStore> store; /* if a test wants one, before start() */
        bool expect_failure = false;    /* the test itself looks at how the daemon ends */
};

/* As plugins see them: below folders that no sandbox hides. A path in the source folder is there too. */
std::string visible(const std::string &path);
std::string bad_plugin_program();
std::string echo_python_program();
std::string plugind_program();
std::string pluginctl_program();

/* "--user" or "--system"; what pluginctl calls the bus, and the option that it repeats in its advice (" --user" or ""). */
std::string bus_option();
std::string bus_words();
std::string bus_advice();
/* "local" or "systemd" */
std::string runtime_name();

#define NOT_INSTALLED(reason)                                                                                                              \
        if (booted())                                                                                                                      \
        GTEST_SKIP() << "not with the installed service: " << reason

/* Both buses; in a container the one that is there. */
std::vector<BusKind> bus_kinds();
#define BOTH_BUSES(suite)                                                                                                                  \
        INSTANTIATE_TEST_SUITE_P(Bus, suite, testing::ValuesIn(bus_kinds()), [](const testing::TestParamInfo<BusKind> &info) {             \
                return std::string(info.param == BUS_DBUS_DAEMON ? "daemon" : "broker");                                                   \
        })
