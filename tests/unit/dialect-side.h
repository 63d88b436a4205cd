/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A dialect before or after a hand-over: DialectTest (fake-dialect-peer.h) as an object, of which a test can have several. */
#pragma once

#include "fake-dialect-peer.h"

using std::string;

inline const string legacy_greeting =
        "{\"protocolVersion\":\"2025-06-18\", \"capabilities\":{},\n\"serverInfo\":{\"name\":\"Old\",\"version\":\"1\"}}";
inline const string lsp_greeting = "{\"capabilities\":{\"hoverProvider\":true}}";

/* One daemon's dialect. */
class Side : public DialectTest {
      public:
        using DialectTest::bob, DialectTest::carol, DialectTest::alice;
        using DialectTest::changes, DialectTest::events, DialectTest::holders, DialectTest::said, DialectTest::take, DialectTest::turn;
        using DialectTest::d, DialectTest::drop, DialectTest::hear, DialectTest::send, DialectTest::finish, DialectTest::answer,
                DialectTest::refuse, DialectTest::pending, DialectTest::save, DialectTest::connect, DialectTest::ask, DialectTest::setup,
                DialectTest::all_named, DialectTest::Out;

        explicit Side(const DialectOps *ops, const char *era = nullptr, bool fixed = false) {
                SetUp();
                all_named = true;
                setup.mcp_era = era;
                setup.mcp_era_fixed = fixed;
                make(ops);
        }
        ~Side() override {
                TearDown();
        }
        void TestBody() override {
        }

        int restore(const string &state, bool connected) {
                return d->ops->restore(d, range(state), connected);
        }

        /* Connects and lets the plugin answer the greeting. */
        void greet() {
                connect();
                if (d->ops == &dialect_lsp)
                        answer("initialize", lsp_greeting);
                else if (d->ops == &dialect_plugind)
                        answer("plugind/initialize", "{\"protocol\":1}");
                else if (pending("initialize"))
                        answer("initialize", legacy_greeting);
                else
                        answer("server/discover", "{\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{}}");
                if (d->ops->active)
                        d->ops->active(d);
        }

        Caller *caller(unsigned n) {
                return n == 0 ? alice : n == 1 ? bob : carol;
        }
};
