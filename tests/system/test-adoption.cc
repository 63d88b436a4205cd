/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Units that go from one daemon to the next: the runtime alone, made and freed in this process as often as it takes. */
#include "fixture.h"

#include <csignal>
#include <filesystem>
#include <glib.h>
#include <map>
#include <optional>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

extern "C" {
#include "runtime/proc.h"
#include "runtime/runtime.h"
#include "runtime/systemd-own-unit.h"
#include "store/store.h"
}

/* In place of service/store: it keeps descriptors as systemd does. */
struct Store {
        std::map<unsigned, std::pair<int, int>> pairs;
        unsigned last = 0;
        int fails = 0;
};

extern "C" int store_put_pair(Store *store, int fd_in, int fd_out, unsigned *ret) {
        if (store->fails < 0)
                return store->fails;
        *ret = ++store->last;
        store->pairs[*ret] = { dup(fd_in), dup(fd_out) };
        return 0;
}

extern "C" void store_drop_pair(Store *store, unsigned number) {
        auto pair = store->pairs.find(number);

        if (pair == store->pairs.end())
                return;
        close(pair->second.first);
        close(pair->second.second);
        store->pairs.erase(pair);
}

namespace {

/* A line is answered with itself, "exit N" with that, the end of input with exit status 0. After "stubborn" it takes no SIGTERM, after
 * "polite" it exits with 0 then. */
constexpr char echo[] =
        "while read -r word status; do case \"$word\" in exit) exit \"$status\" ;; stubborn) trap '' TERM ;; polite) trap 'exit 0' TERM ;; esac;"
        " echo \"$word $status\"; done";

struct Plugin {
        Unit *unit = nullptr;
        pid_t pid = 0;
        int in = -1, out = -1;
        std::optional<UnitExit> exit;
        std::string by, result, failure;
        bool gone = false;

        void close_fds() {
                if (in >= 0)
                        close(in);
                if (out >= 0)
                        close(out);
                in = out = -1;
        }
        ~Plugin() {
                unit = unit_free(unit);
                close_fds();
        }
        UnitIdentity identity() const {
                UnitIdentity identity = {};

                if (unit)
                        unit->runtime->ops->unit_identify(unit, &identity);
                return identity;
        }
        void hold(bool held) const {
                unit->runtime->ops->unit_hold(unit, held);
        }
        /* What it answers to a line. */
        std::string say(const std::string &line) const {
                std::string text, whole = line + "\n";

                if (write(out, whole.data(), whole.size()) != (ssize_t) whole.size())
                        return "it does not read";
                for (char c; text.empty() || text.back() != '\n'; text += c) {
                        struct pollfd p = { in, POLLIN, 0 };

                        if (poll(&p, 1, (int) (patience_usec / 1000)) <= 0 || read(in, &c, 1) != 1)
                                return "it does not answer";
                }
                text.pop_back();
                return text;
        }
};

void on_started(Unit *, pid_t pid, int in, int out, int, void *userdata) {
        Plugin *plugin = static_cast<Plugin *>(userdata);

        EXPECT_EQ(plugin->pid, 0) << "started twice";
        plugin->pid = pid;
        plugin->in = in;
        plugin->out = out;
}

void on_failed(Unit *unit, const PlugindError *error, void *userdata) {
        Plugin *plugin = static_cast<Plugin *>(userdata);

        plugin->failure = error->message;
        plugin->unit = unit_free(unit);
}

void on_exited(Unit *, const UnitExit *exit, void *userdata) {
        Plugin *plugin = static_cast<Plugin *>(userdata);

        EXPECT_FALSE(plugin->exit) << "told twice";
        plugin->by = exit->by ?: "";
        plugin->result = exit->result ?: "";
        plugin->exit = *exit;
}

void on_gone(Unit *unit, void *userdata) {
        Plugin *plugin = static_cast<Plugin *>(userdata);

        EXPECT_TRUE(plugin->exit) << "gone before exited";
        plugin->gone = true;
        plugin->unit = unit_free(unit);
}

const UnitEvents events = { on_started, on_failed, on_exited, on_gone };

/* What of a daemon runs units. */
class Half {
      public:
        explicit Half(Store *store, bool user = false) : user(user) {
                EXPECT_GE(sd_event_new(&event), 0);
                if (user)
                        setenv("DBUS_SESSION_BUS_ADDRESS", user_bus_address, 1);
                EXPECT_GE(user ? sd_bus_open_user(&bus) : sd_bus_open_system(&bus), 0);
                EXPECT_GE(runtime_systemd_new(event, bus, user, store, &runtime), 0);
                EXPECT_GE(sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL), 0);
        }
        Half(const Half &) = delete;
        Half &operator=(const Half &) = delete;
        ~Half() {
                runtime = runtime_free(runtime);
                sd_bus_flush_close_unref(bus);
                sd_event_unref(event);
        }

        bool until(const std::function<bool()> &done) {
                for (int64_t end = g_get_monotonic_time() + (int64_t) patience_usec; !done();)
                        if (g_get_monotonic_time() > end || sd_event_run(event, 100'000) < 0)
                                return false;
                return true;
        }
        /* All that the bus and systemd had to say until now has been heard. */
        void settle() {
                bool answered = false;

                for (int i = 0; i < 5; i++, answered = false) {
                        ASSERT_GE(sd_bus_call_method_async(
                                          bus, nullptr, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                                          "org.freedesktop.DBus.Peer", "Ping",
                                          [](sd_bus_message *, void *userdata, sd_bus_error *) {
                                                  *static_cast<bool *>(userdata) = true;
                                                  return 0;
                                          },
                                          &answered, ""),
                                  0);
                        ASSERT_TRUE(until([&] { return answered; }));
                }
        }

        int begin(Plugin &plugin, const std::string &id, PlugindError *error, SandboxProfile profile = SANDBOX_TRUSTED) {
                Sandbox sandbox = {};
                char minus_c[] = "-c", *args[] = { minus_c, const_cast<char *>(echo), nullptr }, *env[] = { nullptr };
                std::string data_dir = "/var/lib/plugind-data/" + id;
                UnitSpec spec = {};

                sandbox.profile = profile;
                sandbox.memory_max = sandbox.tasks_max = sandbox.cpu_quota_usec = SANDBOX_UNSET;
                spec.session = id.c_str();
                spec.command = "/bin/sh";
                spec.args = args;
                spec.env = env;
                spec.sandbox = &sandbox;
                spec.data_dir = user ? nullptr : data_dir.c_str();
                spec.stop_usec = 300'000;
                return runtime->ops->unit_start(runtime, &spec, &events, &plugin, &plugin.unit, error);
        }
        void start(Plugin &plugin, const std::string &id, SandboxProfile profile = SANDBOX_TRUSTED) {
                PlugindError error = PLUGIND_ERROR_INIT;

                ASSERT_GE(begin(plugin, id, &error, profile), 0) << error.message;
                ASSERT_TRUE(until([&] { return plugin.pid > 0 || !plugin.failure.empty(); }));
                ASSERT_EQ(plugin.failure, "");
        }
        /* As host and daemon do: with what was stored. */
        int adopt(Plugin &plugin, const UnitIdentity &identity, Store *store) {
                int r = runtime->ops->unit_adopt(runtime, &identity, &events, &plugin, &plugin.unit);

                EXPECT_FALSE(plugin.exit) << "told from within";
                if (r < 0 || store->pairs.count(identity.pair) == 0)
                        return r;
                plugin.pid = identity.pid;
                plugin.in = dup(store->pairs[identity.pair].first);
                plugin.out = dup(store->pairs[identity.pair].second);
                return r;
        }
        int adopted() {
                return runtime->ops->runtime_adopted(runtime);
        }
        void keep() {
                runtime->ops->runtime_keep(runtime);
        }
        void kill(const Plugin &plugin, int signal) {
                EXPECT_EQ(runtime->ops->unit_kill(plugin.unit, KILL_ALL, signal), 0);
        }

        const bool user;
        sd_event *event = nullptr;
        sd_bus *bus = nullptr;
        Runtime *runtime = nullptr;
};

/* Its name is of the one who has it. */
struct Known {
        std::string name;
        UnitIdentity identity = {};

        Known(Known &&) = default; /* the name stays where it is */
        explicit Known(const Plugin &plugin) : identity(plugin.identity()) {
                name = identity.name ?: "";
                identity.name = name.c_str();
        }
        /* Waits until its process is no more, which systemd has seen then. */
        bool ended() const {
                uint64_t start;

                for (int64_t end = g_get_monotonic_time() + (int64_t) patience_usec; g_get_monotonic_time() < end; usleep(1'000))
                        if (proc_start_time(identity.pid, &start) < 0 || start != identity.start_time)
                                return true;
                return false;
        }
};

class Adoption : public SystemTest {
      protected:
        void TearDown() override {
                EXPECT_TRUE(store.pairs.empty()) << "descriptors are still stored";
                SystemTest::TearDown();
                for (const char *folder : { "/run/systemd/transient", "/run/systemd/units" })
                        for (const auto &entry : std::filesystem::directory_iterator(folder))
                                EXPECT_EQ(entry.path().filename().string().find("plugind-"), std::string::npos) << entry.path();
        }

        /* Starts ID in a daemon that leaves; how it is known. */
        Known leave_running(const std::string &id, SandboxProfile profile = SANDBOX_TRUSTED) {
                Half half(&store);
                Plugin plugin;

                half.start(plugin, id, profile);
                EXPECT_EQ(plugin.say("before"), "before ");
                Known known(plugin);
                EXPECT_EQ(known.identity.pid, plugin.pid);
                half.keep();
                plugin.unit = unit_free(plugin.unit);
                return known;
        }

        /* To what is kept for KNOWN, as the plugin of nobody. */
        void say(const Known &known, const std::string &line) {
                std::string whole = line + "\n";

                ASSERT_EQ(write(store.pairs.at(known.identity.pair).second, whole.data(), whole.size()), (ssize_t) whole.size());
        }

        /* Adopts KNOWN, which has ended. */
        void find_end(const Known &known, Plugin &plugin) {
                Half half(&store);

                ASSERT_EQ(half.adopt(plugin, known.identity, &store), 0);
                ASSERT_EQ(half.adopted(), 0);
                ASSERT_TRUE(half.until([&] { return plugin.gone; }));
        }

        Store store;
};

TEST_F(Adoption, TalksOverTheSamePipes) {
        for (const char *id : { "plain", "template@instance" }) {
                Known known = leave_running(id);
                for (int daemon = 0; daemon < 3; daemon++) {
                        Half half(&store);
                        Plugin plugin;

                        ASSERT_EQ(half.adopt(plugin, known.identity, &store), 0);
                        EXPECT_EQ(half.adopted(), 0);
                        EXPECT_EQ(plugin.say("after " + std::to_string(daemon)), "after " + std::to_string(daemon));
                        half.settle();
                        EXPECT_FALSE(plugin.exit);
                        EXPECT_EQ(plugin.identity().pid, known.identity.pid);
                        EXPECT_EQ(plugin.identity().start_time, known.identity.start_time);
                        EXPECT_EQ(plugin.identity().pair, known.identity.pair);
                        EXPECT_STREQ(unit_name(plugin.unit), known.name.c_str());
                        half.keep();
                        plugin.unit = unit_free(plugin.unit);
                }
                Half last(&store);
                Plugin plugin;
                ASSERT_EQ(last.adopt(plugin, known.identity, &store), 0);
                last.kill(plugin, SIGTERM);
                ASSERT_TRUE(last.until([&] { return plugin.gone; }));
                EXPECT_EQ(plugin.exit->code, CLD_KILLED);
                EXPECT_EQ(plugin.exit->status, SIGTERM);
                EXPECT_FALSE(plugin.exit->stopped);
                EXPECT_TRUE(store.pairs.empty());
        }
}

TEST_F(Adoption, ASandboxedOneToo) {
        Known known = leave_running("sandboxed", SANDBOX_STRICT);
        Half half(&store);
        Plugin plugin;

        ASSERT_EQ(half.adopt(plugin, known.identity, &store), 0);
        EXPECT_EQ(plugin.say("after"), "after ");
        plugin.unit = unit_free(plugin.unit);
        ASSERT_TRUE(half.until([] { return leftovers().empty(); }));
}

TEST_F(Adoption, OfAUsersManagerToo) {
        ASSERT_TRUE(start_user_manager());
        EXPECT_EQ(as_user([&]() -> std::string {
                          std::optional<Known> known;
                          Plugin before, after;
                          {
                                  Half half(&store, true);
                                  half.start(before, "users");
                                  known.emplace(before);
                                  half.keep();
                                  before.unit = unit_free(before.unit);
                          }
                          Half half(&store, true);
                          if (half.adopt(after, known->identity, &store) < 0 || half.adopted() < 0)
                                  return "not adopted";
                          std::string said = after.say("after");
                          half.settle();
                          if (after.exit)
                                  return "ended";
                          kill(after.pid, SIGUSR1);
                          if (!half.until([&] { return after.gone; }))
                                  return "does not end";
                          return said + std::to_string(after.exit->status);
                  }),
                  "after " + std::to_string(SIGUSR1));
}

TEST_F(Adoption, TellsHowItEndedMeanwhile) {
        struct {
                const char *id;
                std::function<void(const Known &)> end;
                int code, status;
                bool stopped;
                const char *result;
        } cases[] = {
                { "exits", [&](const Known &known) { say(known, "exit 3"); }, CLD_EXITED, 3, false, "exit-code" },
                { "exits-well", [&](const Known &known) { say(known, "exit 0"); }, CLD_EXITED, 0, false, "success" },
                { "is-killed", [&](const Known &known) { kill(known.identity.pid, SIGKILL); }, CLD_KILLED, SIGKILL, false, "signal" },
                { "unit-killed",
                  [&](const Known &known) {
                          run({ "systemctl", "kill", "--signal=USR1", known.name });
                  },
                  CLD_KILLED, SIGUSR1, false, "signal" },
                { "unit-stopped",
                  [&](const Known &known) {
                          run({ "systemctl", "stop", known.name });
                  },
                  CLD_KILLED, SIGTERM, true, "success" },
        };

        for (auto &c : cases) {
                SCOPED_TRACE(c.id);
                Known known = leave_running(c.id);
                Plugin plugin;

                c.end(known);
                ASSERT_TRUE(known.ended());
                find_end(known, plugin);
                ASSERT_TRUE(plugin.exit);
                EXPECT_EQ(plugin.exit->code, c.code);
                EXPECT_EQ(plugin.exit->status, c.status);
                EXPECT_EQ(plugin.exit->stopped, c.stopped);
                EXPECT_EQ(plugin.result, c.result);
                EXPECT_EQ(plugin.by, "");
                EXPECT_EQ(left_in_time(), "");
        }
}

TEST_F(Adoption, OneThatHadToBeKilledToBeStoppedWasStopped) {
        Known known = leave_running("stubborn");
        Plugin plugin;

        say(known, "stubborn");
        ASSERT_EQ(run({ "systemctl", "stop", known.name }).status, 0);
        ASSERT_TRUE(known.ended());
        find_end(known, plugin);
        ASSERT_TRUE(plugin.exit);
        EXPECT_EQ(plugin.exit->status, SIGKILL);
        EXPECT_EQ(plugin.result, "timeout");
        EXPECT_TRUE(plugin.exit->stopped);
}

TEST_F(Adoption, OneThatEndsAtThatMomentIsToldOnce) {
        for (int round = 0; round < 20; round++) {
                Known known = leave_running("moment");
                Plugin plugin;

                kill(known.identity.pid, SIGKILL);
                for (volatile int i = 0; i < round * 20'000; i = i + 1) {
                }
                find_end(known, plugin);
                ASSERT_TRUE(plugin.exit);
                EXPECT_EQ(plugin.exit->code, CLD_KILLED);
                EXPECT_EQ(plugin.exit->status, SIGKILL);
                EXPECT_EQ(plugin.result, "signal");
                EXPECT_FALSE(plugin.exit->stopped);
        }
}

/* That it exited with 0 nobody knows any more but for our reference to its unit. */
TEST_F(Adoption, OneThatIsStoppedAfterwardsIsRemembered) {
        Known known = leave_running("referred");
        Half half(&store);
        Plugin plugin;

        ASSERT_EQ(half.adopt(plugin, known.identity, &store), 0);
        EXPECT_EQ(plugin.say("polite"), "polite ");
        half.settle();
        ASSERT_EQ(run({ "systemctl", "stop", known.name }).status, 0);
        ASSERT_TRUE(half.until([&] { return plugin.gone; }));
        EXPECT_TRUE(plugin.exit->stopped);
        EXPECT_EQ(plugin.exit->code, CLD_EXITED);
        EXPECT_EQ(plugin.exit->status, 0);
}

TEST_F(Adoption, WhatNobodyTakesIsStopped) {
        Known taken = leave_running("taken"), left = leave_running("left"), ended = leave_running("ended");
        Half half(&store);
        Plugin plugin, next;

        say(ended, "exit 1");
        ASSERT_TRUE(ended.ended());
        ASSERT_EQ(half.adopt(plugin, taken.identity, &store), 0);
        half.start(next, "left"); /* before it is stopped: its name is another one */
        ASSERT_EQ(half.adopted(), 0);
        EXPECT_EQ(half.adopted(), 0) << "nothing is left to be stopped";
        ASSERT_TRUE(left.ended());
        ASSERT_TRUE(half.until([&] { return units_like("plugind-*-*.service").size() == 2; }));
        EXPECT_EQ(plugin.say("still"), "still ");
        EXPECT_EQ(next.say("new"), "new ");
        EXPECT_FALSE(plugin.exit);
        for (const Known *known : { &left, &ended })
                store_drop_pair(&store, known->identity.pair); /* store_taken_over() does */
        half.kill(plugin, SIGKILL);
        half.kill(next, SIGKILL);
        ASSERT_TRUE(half.until([&] { return plugin.gone && next.gone; }));
}

TEST_F(Adoption, NumbersGoOnAboveAllThatWereSeen) {
        auto number = [](const std::string &name) { return std::stoul(name.substr(name.rfind('-') + 1)); };
        Known first = leave_running("first"), second = leave_running("second");
        Half half(&store);
        Plugin one, two, next;

        EXPECT_GT(number(second.name), number(first.name));
        run({ "systemctl", "stop", second.name });
        ASSERT_EQ(half.adopt(one, first.identity, &store), 0);
        ASSERT_EQ(half.adopt(two, second.identity, &store), 0);
        half.start(next, "next");
        EXPECT_GT(number(unit_name(next.unit)), number(second.name));
        ASSERT_TRUE(half.until([&] { return two.gone; }));
        half.kill(one, SIGKILL);
        half.kill(next, SIGKILL);
        ASSERT_TRUE(half.until([&] { return one.gone && next.gone; }));
}

TEST_F(Adoption, AnEndThatIsHeldIsToldLater) {
        Half half(&store);
        Plugin plugin;

        half.start(plugin, "held");
        Known known(plugin);
        plugin.hold(true);
        kill(plugin.pid, SIGUSR2);
        ASSERT_TRUE(known.ended());
        half.settle();
        EXPECT_FALSE(plugin.exit);
        EXPECT_EQ(plugin.identity().pid, known.identity.pid) << "it is for the next daemon to find";
        plugin.hold(false);
        EXPECT_FALSE(plugin.exit) << "told from within";
        ASSERT_TRUE(half.until([&] { return plugin.gone; }));
        EXPECT_EQ(plugin.exit->status, SIGUSR2);
}

TEST_F(Adoption, AnEndThatSystemdIsAskedAboutCanStillBeHeld) {
        Half half(&store);
        Plugin plugin;

        half.start(plugin, "asked");
        half.settle();
        Known known(plugin);
        kill(plugin.pid, SIGUSR2);
        ASSERT_TRUE(known.ended());
        ASSERT_GT(sd_event_run(half.event, 0), 0) << "the pidfd";
        plugin.hold(true);
        half.settle();
        EXPECT_FALSE(plugin.exit);
        plugin.hold(false);
        ASSERT_TRUE(half.until([&] { return plugin.gone; }));
        EXPECT_EQ(plugin.exit->status, SIGUSR2);
}

TEST_F(Adoption, AnEndThatIsHeldIsFoundByTheNextDaemon) {
        std::optional<Known> known;
        Plugin found;
        {
                Half half(&store);
                Plugin plugin;

                half.start(plugin, "held");
                known.emplace(plugin);
                plugin.hold(true);
                kill(plugin.pid, SIGUSR2);
                ASSERT_TRUE(known->ended());
                half.settle();
                half.keep();
                plugin.unit = unit_free(plugin.unit);
        }
        find_end(*known, found);
        ASSERT_TRUE(found.exit);
        EXPECT_EQ(found.exit->status, SIGUSR2);
}

TEST_F(Adoption, OneThatHasEndedMayBeHeldToo) {
        Known known = leave_running("held");
        say(known, "exit 3");
        ASSERT_TRUE(known.ended());
        Half half(&store);
        Plugin plugin;

        ASSERT_EQ(half.adopt(plugin, known.identity, &store), 0);
        plugin.hold(true);
        half.settle();
        EXPECT_FALSE(plugin.exit);
        plugin.hold(false);
        ASSERT_TRUE(half.until([&] { return plugin.gone; }));
        EXPECT_EQ(plugin.exit->status, 3);
}

TEST_F(Adoption, OneThatWasStartingIsStopped) {
        for (int turns = 0; turns < 8; turns++) {
                {
                        PlugindError error = PLUGIND_ERROR_INIT;
                        Half half(&store);
                        Plugin plugin;

                        ASSERT_GE(half.begin(plugin, "starting", &error), 0) << error.message;
                        EXPECT_EQ(plugin.identity().name, nullptr);
                        EXPECT_EQ(plugin.identity().pair, 0u);
                        for (int i = 0; i < turns; i++)
                                sd_event_run(half.event, 5'000);
                        half.keep();
                        plugin.unit = unit_free(plugin.unit);
                        EXPECT_EQ(plugin.failure, "");
                }
                Half next(&store);
                EXPECT_EQ(next.adopted(), 0);
                ASSERT_TRUE(next.until([] { return leftovers().empty(); })) << "after " << turns << " turns: " << leftovers();
                store_drop_pair(&store, store.last);
        }
}

TEST_F(Adoption, OnceItIsReleasedClosingIsTheEndOfItsInput) {
        Half half(&store);
        Plugin plugin;

        half.start(plugin, "released");
        EXPECT_EQ(store.pairs.size(), 1u);
        unit_release(plugin.unit);
        EXPECT_TRUE(store.pairs.empty());
        plugin.close_fds();
        ASSERT_TRUE(half.until([&] { return plugin.gone; }));
        EXPECT_EQ(plugin.exit->code, CLD_EXITED);
        EXPECT_EQ(plugin.exit->status, 0);
}

/* The next daemon waits for its end. */
TEST_F(Adoption, OneThatWasReleasedEndsWithTheNextDaemon) {
        std::optional<Known> known;
        Plugin ending, plugin;
        {
                Half half(&store);

                half.start(ending, "ending");
                unit_release(ending.unit);
                known.emplace(ending);
                EXPECT_EQ(known->identity.pid, ending.pid);
                EXPECT_EQ(known->identity.pair, 0u);
                half.keep();
                ending.unit = unit_free(ending.unit);
        }
        Half half(&store);
        ASSERT_EQ(half.adopt(plugin, known->identity, &store), 0);
        ASSERT_EQ(half.adopted(), 0);
        half.settle();
        EXPECT_FALSE(plugin.exit);
        ending.close_fds();
        ASSERT_TRUE(half.until([&] { return plugin.gone; }));
        EXPECT_EQ(plugin.exit->code, CLD_EXITED);
        EXPECT_EQ(plugin.exit->status, 0);
}

TEST_F(Adoption, AnotherProcessOfThatNumberIsNotTaken) {
        Known known = leave_running("later");
        Plugin plugin;

        known.identity.start_time++;
        find_end(known, plugin);
        EXPECT_TRUE(plugin.exit);
        EXPECT_EQ(left_in_time(), "");
}

TEST_F(Adoption, AProcessOfAnotherUnitIsNotTaken) {
        Known known = leave_running("elsewhere");
        Plugin plugin;

        known.identity.pid = getpid();
        ASSERT_EQ(proc_start_time(getpid(), &known.identity.start_time), 0);
        find_end(known, plugin);
        EXPECT_TRUE(plugin.exit);
        EXPECT_EQ(left_in_time(), "");
}

TEST_F(Adoption, WhatIsNotOursIsRefused) {
        Known known = leave_running("ours");
        Half half(&store);
        Plugin plugin, again;

        for (const char *name :
             { "dbus.service", "plugind.service", "plugind-strict-x.service", "plugind-other-x-1.service", "strict-x-1.service", "" }) {
                UnitIdentity identity = known.identity;

                identity.name = name;
                EXPECT_EQ(half.adopt(again, identity, &store), -ESRCH) << name;
        }
        UnitIdentity none = {};
        EXPECT_EQ(half.adopt(again, none, &store), -ESRCH);
        ASSERT_EQ(half.adopt(plugin, known.identity, &store), 0);
        EXPECT_EQ(half.adopt(again, known.identity, &store), -EBUSY);
        EXPECT_EQ(plugin.say("one"), "one ");
        half.kill(plugin, SIGKILL);
        ASSERT_TRUE(half.until([&] { return plugin.gone; }));
}

TEST_F(Adoption, WhatCannotBeStoredIsNotStarted) {
        PlugindError error = PLUGIND_ERROR_INIT;
        Half half(&store);
        Plugin plugin;

        store.fails = -ENOSPC;
        EXPECT_EQ(half.begin(plugin, "full", &error), -ENOSPC);
        EXPECT_EQ(error.code, PLUGIND_ERROR_START_FAILED);
        EXPECT_NE(std::string(error.message).find("store"), std::string::npos) << error.message;
        EXPECT_NE(std::string(error.message).find("No space left on device"), std::string::npos) << error.message;
        plugind_error_clear(&error);
}

TEST_F(Adoption, WithoutAStoreThereIsNothingToTakeOver) {
        Half half(nullptr);
        Plugin plugin;

        half.start(plugin, "unstored");
        EXPECT_EQ(plugin.identity().name, nullptr);
        EXPECT_EQ(plugin.say("works"), "works ");
        half.kill(plugin, SIGKILL);
        ASSERT_TRUE(half.until([&] { return plugin.gone; }));
}

} // namespace
