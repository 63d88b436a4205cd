/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A dialect that is saved and restored in another process goes on as if nothing had been: random input, and state that is none. */
#include "dialect-side.h"

#include <algorithm>
#include <random>
#include <set>

/* The same state with every list and object in order. */
static string sorted(JsonRange value) {
        bool object = json_type(value) == JSON_OBJECT;
        std::multiset<string> members;
        JsonRange key, member;
        size_t cursor = 0;
        string out;

        if (!object && json_type(value) != JSON_ARRAY)
                return text(value);
        while (json_next(value, &cursor, &key, &member))
                members.insert((object ? text(key) + ":" : "") + sorted(member));
        for (const auto &m : members)
                out += (out.empty() ? "" : ",") + m;
        return (object ? "{" : "[") + out + (object ? "}" : "]");
}

/* The same random input for one side or two. */
class Script {
        std::mt19937 random;
        uint64_t id = 0;
        std::vector<uint64_t> underway; /* callers' requests that the plugin has not answered */

        unsigned below(unsigned bound) {
                return (unsigned) (random() % bound);
        }

        static string uri(unsigned n) {
                static const char *const uris[] = { "demo://1", "demo://1/x", "demo://\\u00e4\\\"", "" };

                return uris[n % 4];
        }

        static string told(Side &side) {
                Lines lines = side.take();
                string out;

                std::sort(lines.begin(), lines.end());
                for (const auto &line : lines)
                        out += "\n  " + line;
                for (const auto &event : side.events)
                        out += "\n  " + event;
                side.events.clear();
                return out;
        }

        static string shown(const Side::Out &out) {
                return "verdict " + std::to_string(out.verdict) + " " + out.params + " " + out.answer + " " + out.message + " " +
                       std::to_string(out.tracked) + std::to_string(out.endless) + std::to_string(out.holds);
        }

      public:
        explicit Script(unsigned seed) : random(seed) {
        }

        /* Does STEP with each side; false if they did not do the same. */
        template <typename Step> bool all(const std::vector<Side *> &sides, const string &name, Step step) {
                string first;

                for (Side *side : sides) {
                        string before = sorted_save(*side);
                        unsigned changes = side->changes;
                        string now = name + ": " + step(*side);
                        now += told(*side);

                        if (before != sorted_save(*side)) {
                                EXPECT_GT(side->changes, changes) << now;
                        }
                        now += "\n" + sorted_save(*side);
                        if (side == sides[0])
                                first = now;
                        EXPECT_EQ(first, now);
                        if (first != now || ::testing::Test::HasFailure())
                                return false;
                }
                return true;
        }

        static string sorted_save(Side &side) {
                return sorted(range(side.save()));
        }

        bool request(const std::vector<Side *> &sides, const string &method, const string &params) {
                unsigned who = below(3);
                uint64_t mine = ++id;

                underway.push_back(mine);
                return all(sides, method + " " + params + " of " + std::to_string(who),
                           [&](Side &side) { return shown(side.send(side.caller(who), mine, method, params)); });
        }

        bool notify(const std::vector<Side *> &sides, const string &method, const string &params) {
                unsigned who = below(3);

                return all(sides, method + " " + params, [&](Side &side) { return shown(side.send(side.caller(who), 0, method, params)); });
        }

        bool finish(const std::vector<Side *> &sides, size_t index, bool well) {
                uint64_t mine = underway[index];

                underway.erase(underway.begin() + (ssize_t) index);
                return all(sides, "finish " + std::to_string(mine), [&](Side &side) {
                        side.finish(mine, well ? "{}" : "");
                        return "";
                });
        }

        /* All that is under way is answered: there is nothing that a hand-over could lose. */
        bool settle(const std::vector<Side *> &sides) {
                while (!underway.empty())
                        if (!finish(sides, below((unsigned) underway.size()), below(3) > 0))
                                return false;
                return all(sides, "answers to the host", [](Side &side) {
                        for (size_t i = 0; i < side.said.size(); i++)
                                if (side.said[i].answered && !side.said[i].done) {
                                        Said one = side.said[i];

                                        side.said[i].done = true;
                                        one.answered(side.d, JSON_RANGE("{}"), nullptr, JsonRange{}, one.userdata);
                                }
                        return "";
                });
        }

        void forget() {
                underway.clear();
        }

        bool restart(const std::vector<Side *> &sides) {
                unsigned times = 1 + (below(4) == 0);

                forget();
                return all(sides, "restart", [&](Side &side) {
                        for (unsigned i = 0; i < times; i++) {
                                side.drop();
                                side.greet();
                        }
                        return "";
                });
        }

        bool mcp(const std::vector<Side *> &sides) {
                static const char *const levels[] = { "debug", "info", "warning", "emergency" };
                string one = "{\"uri\":\"" + uri(below(4)) + "\"}", level = string("{\"level\":\"") + levels[below(4)] + "\"}";

                switch (below(9)) {
                case 0:
                case 1:
                        return request(sides, "resources/subscribe", one);
                case 2:
                        return request(sides, "resources/unsubscribe", one);
                case 3:
                        return request(sides, "logging/setLevel", level);
                case 4:
                        return all(sides, "updated " + one, [&](Side &side) { return side.hear("notifications/resources/updated", one); });
                case 5:
                        return all(sides, "message " + level, [&](Side &side) { return side.hear("notifications/message", level); });
                case 6:
                        return request(sides, "tools/call", "{\"_meta\":{\"progressToken\":\"t\"}}") && request(sides, "initialize", "{}");
                default:
                        return common(sides);
                }
        }

        bool lsp(const std::vector<Side *> &sides) {
                static const char *const methods[] = { "didOpen", "didOpen", "didChange", "didClose", "didSave" };
                string one = "{\"textDocument\":{\"uri\":\"" + uri(below(4)) + "\"}}";

                switch (below(8)) {
                case 0:
                case 1:
                case 2:
                case 3:
                        return notify(sides, string("textDocument/") + methods[below(5)], one);
                case 4:
                        return request(sides, "textDocument/hover", one) && request(sides, "workspace/executeCommand", "{}");
                case 5:
                        return request(sides, "initialize", "{}");
                default:
                        return common(sides);
                }
        }

        bool common(const std::vector<Side *> &sides) {
                unsigned who = below(3);

                switch (below(8)) {
                case 0:
                        return all(sides, "gone", [&](Side &side) {
                                if (side.d->ops->caller_gone)
                                        side.d->ops->caller_gone(side.d, side.caller(who));
                                return std::to_string(who);
                        });
                case 1:
                        return restart(sides);
                case 2:
                        return all(sides, "ping", [](Side &side) {
                                if (side.d->ops->ping)
                                        side.d->ops->ping(side.d);
                                side.ask("1", "ping");
                                side.d->ops->cancel(side.d, 12345, "nobody knows it");
                                return "";
                        });
                default:
                        return underway.empty() || finish(sides, below((unsigned) underway.size()), below(3) > 0);
                }
        }

        bool step(const std::vector<Side *> &sides) {
                return sides[0]->d->ops == &dialect_lsp ? lsp(sides) : sides[0]->d->ops == &dialect_mcp ? mcp(sides) : common(sides);
        }
};

struct Kind {
        const char *name;
        const DialectOps *ops;
        const char *era;
};

class Handover : public ::testing::TestWithParam<Kind> {};

/* Nothing under way: whoever goes on, goes on the same. */
TEST_P(Handover, OfAPluginThatRunsIsNotNoticed) {
        for (unsigned seed = 0; seed < 150; seed++) {
                Side before(GetParam().ops, GetParam().era), after(GetParam().ops, GetParam().era);
                Script script(seed);

                SCOPED_TRACE(seed);
                before.greet();
                for (unsigned i = 0; i < seed % 40; i++)
                        ASSERT_TRUE(script.step({ &before }));
                ASSERT_TRUE(script.settle({ &before }));
                ASSERT_EQ(after.restore(before.save(), true), 0) << before.save();
                after.turn();
                ASSERT_EQ(after.take(), Lines{});
                ASSERT_EQ(after.events, Lines{});
                ASSERT_EQ(Script::sorted_save(after), Script::sorted_save(before));
                for (unsigned i = 0; i < 40; i++)
                        ASSERT_TRUE(script.step({ &before, &after }));
        }
}

/* Whatever is under way: as if the connection had broken. */
TEST_P(Handover, OfAPluginThatIsGoneIsADisconnection) {
        for (unsigned seed = 0; seed < 150; seed++) {
                Side before(GetParam().ops, GetParam().era), after(GetParam().ops, GetParam().era);
                Script script(seed);
                string state;

                SCOPED_TRACE(seed);
                before.greet();
                for (unsigned i = 0; i < seed % 40; i++)
                        ASSERT_TRUE(script.step({ &before }));
                state = before.save();
                before.drop();
                before.take();
                before.events.clear();
                ASSERT_EQ(after.restore(state, false), 0) << state;
                after.turn();
                ASSERT_EQ(after.take(), Lines{});
                ASSERT_EQ(Script::sorted_save(after), Script::sorted_save(before)) << state;
                ASSERT_TRUE(script.restart({ &before, &after }));
                for (unsigned i = 0; i < 40; i++)
                        ASSERT_TRUE(script.step({ &before, &after }));
        }
}

TEST_P(Handover, OfOneThatIsNotGreetedIsNoConnection) {
        Side before(GetParam().ops, GetParam().era), after(GetParam().ops, GetParam().era), refused(GetParam().ops, GetParam().era);

        before.connect();
        EXPECT_EQ(refused.restore(before.save(), true), -EBADMSG);
        EXPECT_EQ(after.restore(before.save(), false), 0);
        after.greet();
        EXPECT_EQ(after.events.back(), "greeted");
}

/* What is torn or wrong is refused or taken, and what is taken can be handed over again. */
TEST_P(Handover, StateIsDistrusted) {
        static const char *const pieces[] = { "null", "[", "]",    "{}",          "\"\\u0000\"", "[[[]]]",
                                              ",",    ":", "true", "\":1.1\":{}", "1e999",       "\"" };
        std::mt19937 random(1);

        for (unsigned seed = 0; seed < 20; seed++) {
                Side before(GetParam().ops, GetParam().era);
                Script script(seed);

                before.greet();
                for (unsigned i = 0; i < 30; i++)
                        ASSERT_TRUE(script.step({ &before }));
                string whole = before.save();
                for (size_t i = 0; i < 2 * whole.size(); i++) {
                        string state = whole.substr(0, i);
                        Side after(GetParam().ops, GetParam().era), again(GetParam().ops, GetParam().era);

                        if (i >= whole.size()) {
                                const char *piece = pieces[random() % G_N_ELEMENTS(pieces)];

                                state = whole;
                                state.replace(i - whole.size(), random() % 4, random() % 3 ? string(piece) : string(1, (char) random()));
                        }
                        int r = after.restore(state, i % 3 > 0);
                        ASSERT_TRUE(r == 0 || r == -EBADMSG) << r;
                        if (i < whole.size()) {
                                ASSERT_EQ(r, -EBADMSG) << state;
                        }
                        if (r < 0)
                                continue;
                        ASSERT_EQ(again.restore(after.save(), i % 3 > 0), 0) << state << "\n" << after.save();
                        ASSERT_EQ(Script::sorted_save(again), Script::sorted_save(after)) << state;
                        for (unsigned n = 0; n < 3; n++)
                                if (after.d->ops->caller_gone)
                                        after.d->ops->caller_gone(after.d, after.caller(n));
                        after.turn();
                }
        }
}

INSTANTIATE_TEST_SUITE_P(Dialects, Handover,
                         testing::Values(Kind{ "plugind", &dialect_plugind, nullptr }, Kind{ "lsp", &dialect_lsp, nullptr },
                                         Kind{ "legacy", &dialect_mcp, "legacy" }, Kind{ "modern", &dialect_mcp, nullptr }),
                         [](const auto &info) { return info.param.name; });
