/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One who listens to the numbered plugins of a Load, on a connection of their own. */
#pragma once

#include "load.h"

#include <thread>

class LoadSubscriber {
      public:
        /* To every STEP-th of the numbered ones. */
        LoadSubscriber(Load &load, size_t step);
        ~LoadSubscriber();

        /* "", or what went wrong. */
        std::string subscribe();
        /* From now on changes of sessions are kept too: see signals(). */
        void listen();
        /* Until number N of ID has come; false at END. */
        bool wait_for(const std::string &id, unsigned long n, int64_t end);
        void end();

        /* All that follows: after end(). */
        void count(LoadFigures &figures) const;
        const std::deque<Signal> &signals() const {
                return client_.signals;
        }

      private:
        struct Track {
                std::string id;
                unsigned long n = 0, last = 0, lost = 0, doubles = 0, torn = 0, faults = 0;
        };

        static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error);
        void take(Track &track, const char *params);
        void tell(const Track &track, const std::string &what);

        Load &load_;
        Client client_{ system_bus_address };
        std::map<std::string, Track> tracks_; /* by the path of the session */
        std::atomic<bool> ending_{ false };
        std::thread thread_;
};
