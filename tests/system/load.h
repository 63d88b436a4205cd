/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Plugins and callers that are busy all the time, and notice whatever is lost, doubled or torn on the way between them while something is done to
 * the daemon. Most plugins are tests/plugins/numbered.c: what they notify of is numbered and follows from its number, and they check what they are told.
 */
#pragma once

#include "service.h"

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <sys/types.h>
#include <vector>

int64_t now_usec();

struct SessionInfo {
        std::string state;
        pid_t pid;
        unsigned restarts;
};

/* ListSessions. Waits for a daemon that is coming back. Empty if that failed. */
std::map<std::string, SessionInfo> sessions_of(Client &client);

/* How often a test is to do what it does again and again: TIMES, or what PLUGIND_TEST_REPEAT says. */
unsigned repeat(unsigned times);
/* Of a test's random choices: printed, and taken from PLUGIND_TEST_SEED if that is set. */
unsigned seed();

/* Pads are pieces of this, which has more letters than any of them. */
const std::string &load_alphabet();
/* For a person. */
std::string load_start_of(const std::string &text);

struct LoadPlan {
        unsigned c = 40, headers = 2, python = 5; /* numbered plugins */
        unsigned everything = 2, clangd = 1;      /* if they are there to be run */
        unsigned small = 13, large = 16;          /* callers of numbered plugins; each of the others has one of its own */
        unsigned period_ms = 100;                 /* between two notifications of a plugin */
        std::string arguments;                    /* more JSON of numbered.c's arguments, as R"(, "--skip=5")" */
};

struct LoadFigures {
        unsigned plugins = 0, callers = 0;
        unsigned long calls = 0, large = 0, notes = 0; /* that were answered as they should be */
        unsigned long failed = 0, excused = 0;         /* excused: in flight when the daemon was killed */
        unsigned long ticks = 0, lost = 0, doubles = 0, torn = 0;
        unsigned long most_lost = 0; /* of one subscription */
        unsigned long states = 0;    /* StateChanged, Ended ...: of which there should be none */
        std::string wrong;           /* the first of all that, in words */
        std::map<std::string, unsigned> errors;

        std::string text() const;
};

class Load {
      public:
        using WriteManifest = std::function<void(const std::string &id, const std::string &json)>;

        Load(LoadPlan plan, const WriteManifest &manifest);
        ~Load();
        Load(const Load &) = delete;
        Load &operator=(const Load &) = delete;

        /* Loads and starts everything, and begins. "", or what went wrong. */
        std::string start();
        /* The daemon is killed now, or stuck from now on until it was: what is in flight may fail with the error that the bus has for this. */
        void killing();
        void killed();
        /* What is not as at the start, one a line: sessions that are not active, or whose process is another. Waits for a daemon that is coming back. */
        std::string differences();
        unsigned plugins() const {
                return (unsigned) ids_.size();
        }
        /* Ends the calls, has the plugins say what their last number was, waits until that has come, and counts. */
        LoadFigures finish();

      private:
        friend class LoadCaller;
        friend class LoadSubscriber;

        std::string start_sessions();
        void quiet(LoadFigures &figures);
        void judge(LoadFigures &figures);
        void wrong(const std::string &what);

        struct Failure {
                std::string error, what;
                int64_t sent, failed;
        };

        const LoadPlan plan_;
        std::vector<std::string> ids_, numbered_, everything_, clangd_;
        Client client_{ system_bus_address };
        std::map<std::string, pid_t> pids_;
        std::vector<std::unique_ptr<class LoadCaller>> callers_;
        std::vector<std::unique_ptr<class LoadSubscriber>> subscribers_;
        std::atomic<bool> ending_{ false };

        std::mutex mutex_; /* of all below */
        LoadFigures figures_;
        std::vector<Failure> failures_;
        std::vector<std::pair<int64_t, int64_t>> kills_; /* from, to */
};
