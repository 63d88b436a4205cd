/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fd store, played by a test: what store_take_pair() finds (test-session-takeover.cc). */
#pragma once

#include <map>
#include <unistd.h>
#include <utility>

/* Pair number -> the host's ends, owned. */
inline std::map<unsigned, std::pair<int, int>> stored;

inline void forget_stored() {
        for (const auto &[number, fds] : stored) {
                ::close(fds.first);
                ::close(fds.second);
        }
        stored.clear();
}
