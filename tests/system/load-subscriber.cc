/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "load-subscriber.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <unistd.h>

LoadSubscriber::LoadSubscriber(Load &load, size_t step) : load_(load) {
        for (size_t i = 0; i < load.numbered_.size(); i += step)
                tracks_[session_path(load.numbered_[i])].id = load.numbered_[i];
        sd_bus_add_filter(client_.get(), nullptr, on_message, this);
}

LoadSubscriber::~LoadSubscriber() {
        end();
}

std::string LoadSubscriber::subscribe() {
        for (const auto &[path, track] : tracks_) {
                std::string outcome = client_.session(track.id, "Subscribe", "asa{sv}", 0, 0).outcome();
                if (outcome != "ok")
                        return "Subscribe to " + track.id + ": " + outcome;
        }
        return "";
}

void LoadSubscriber::listen() {
        client_.match("member='StateChanged'");
        client_.match("member='Ended'");
        client_.match("member='SessionNew'");
        client_.match("member='SessionRemoved'");
        client_.catch_up();
        thread_ = std::thread([this] {
                while (!ending_)
                        client_.wait([this] { return ending_.load(); }, 50'000);
        });
}

bool LoadSubscriber::wait_for(const std::string &id, unsigned long n, int64_t end) {
        for (;; usleep(5'000)) {
                std::lock_guard<std::mutex> lock(load_.mutex_);
                auto found = tracks_.find(session_path(id));
                if (found == tracks_.end() || found->second.last >= n)
                        return true;
                if (now_usec() > end)
                        return false;
        }
}

void LoadSubscriber::end() {
        ending_ = true;
        if (thread_.joinable())
                thread_.join();
}

void LoadSubscriber::count(LoadFigures &figures) const {
        for (const auto &[path, track] : tracks_) {
                figures.ticks += track.n;
                figures.lost += track.lost;
                figures.doubles += track.doubles;
                figures.torn += track.torn;
                figures.most_lost = std::max(figures.most_lost, track.lost);
        }
}

int LoadSubscriber::on_message(sd_bus_message *m, void *userdata, sd_bus_error *) {
        auto *self = static_cast<LoadSubscriber *>(userdata);
        const char *request, *method, *params;

        if (sd_bus_message_is_signal(m, "org.plugind1.Session", "Notification") <= 0)
                return 0;
        auto track = self->tracks_.find(sd_bus_message_get_path(m));
        if (track == self->tracks_.end() || sd_bus_message_read(m, "sss", &request, &method, &params) < 0) {
                self->load_.wrong(std::string("a notification of somebody else's: ") + sd_bus_message_get_path(m));
                return 0;
        }
        std::lock_guard<std::mutex> lock(self->load_.mutex_);
        self->take(track->second, std::string(method) == "tick" ? params : "");
        return 0;
}

/* The same as in tests/plugins/numbered.c. */
static size_t tick_size(unsigned long n) {
        return n % 50 == 49 ? 100'000 + n * 7919 % 200'000 : n * 37 % 1500;
}

static bool is_whole(unsigned long n, const char *params) {
        const char *pad = strstr(params, ",\"pad\":\"");
        size_t size = tick_size(n);

        return pad && strlen(pad += 8) == size + 2 && memcmp(pad, load_alphabet().data() + n % 26, size) == 0 &&
               strcmp(pad + size, "\"}") == 0;
}

void LoadSubscriber::take(Track &track, const char *params) {
        unsigned long n = 0, faults = 0;

        if (sscanf(params, "{\"n\":%lu,\"faults\":%lu,", &n, &faults) != 2 || !is_whole(n, params)) {
                track.torn++;
                tell(track, "torn: " + load_start_of(params));
                return;
        }
        if (faults > track.faults) {
                track.faults = faults;
                tell(track, "the plugin found: " + load_start_of(params));
        }
        if (n <= track.last) {
                track.doubles++;
                tell(track, "number " + std::to_string(n) + " after " + std::to_string(track.last));
                return;
        }
        if (n > track.last + 1) {
                track.lost += n - track.last - 1;
                if (load_.kills_.empty())
                        tell(track, "number " + std::to_string(n) + " after " + std::to_string(track.last));
        }
        track.last = n;
        track.n++;
}

/* The mutex is held. */
void LoadSubscriber::tell(const Track &track, const std::string &what) {
        if (load_.figures_.wrong.empty())
                load_.figures_.wrong = track.id + ": " + what;
}
