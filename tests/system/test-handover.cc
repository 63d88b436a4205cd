/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What happens to plugins while no daemon is there, what of the store is broken: the next daemon keeps what can be kept, and says the rest. And many. */
#include "fixture.h"
#include "integration/command.h"
#include "load.h"

#include <algorithm>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

namespace {

namespace fs = std::filesystem;

#define EXPECT_CONTAINS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

/* While this file is there, a daemon that has ended is not started again. */
const char *const gate = "/run/plugind-test.gate";

class HandOver : public ServiceTest {
      protected:
        void SetUp() override {
                if (booted())
                        service.configure({}, {},
                                          { std::string("ExecStartPre=/bin/sh -c 'while [ -e ") + gate + " ]; do sleep 0.02; done'" });
                ServiceTest::SetUp();
        }
        void TearDown() override {
                fs::remove(gate);
                ServiceTest::TearDown();
        }

        Load::WriteManifest writer() {
                return [this](const std::string &id, const std::string &json) { manifest(id, json); };
        }
        /* The daemon is killed, and stays away. */
        void goes() {
                const pid_t pid = service.pid();

                std::ofstream(gate).flush();
                ASSERT_EQ(::kill(pid, SIGKILL), 0);
                ASSERT_TRUE(service.wait("SubState", "start-pre"));
        }
        void comes() {
                fs::remove(gate);
                ASSERT_TRUE(service.wait("SubState", "running"));
        }
        void load(const std::string &id) {
                ASSERT_EQ(client->host("Load", "sa{sv}", id.c_str(), 0).outcome(), "ok");
                ASSERT_EQ(client->session(id, "SetActiveState", "sa{sv}", "active", 1, "wait", "b", 1).outcome(), "ok");
                client->match_session(id);
        }
        void numbered(const std::string &id, const std::string &arguments = "\"--period=50\"") {
                manifest(id, "{\"manifestVersion\": 1, \"command\": \"" + build_path("tests/plugins/numbered") + "\", \"args\": [" +
                                     arguments + "], \"dialect\": \"jsonrpc\"}");
        }
        static bool is_there(const std::string &pid) {
                return fs::exists("/proc/" + pid);
        }
        bool journal_says(const std::string &text) {
                return client->poll([&] { return journal_since({ "-u", "plugind.service" }).find(text) != std::string::npos; });
        }
};

TEST_F(HandOver, OneThatDiesMeanwhileIsToldAndStartedAgain) {
        bad_plugin("dies");
        bad_plugin("exits", "jsonrpc", "good", "\"restart\": {\"policy\": \"never\"}");
        bad_plugin("lives");
        for (const char *id : { "dies", "exits", "lives" })
                load(id);
        const std::string dies = client->get("dies", "MainPID"), exits = client->get("exits", "MainPID"),
                          lives = client->get("lives", "MainPID");
        client->catch_up();
        client->signals.clear();

        Client::Pending pending = client->session_async("exits", "Send", "ssa{sv}", "never", "", 0);
        ASSERT_TRUE(client->wait_property("exits", "InFlight", "1"));
        goes();
        ASSERT_TRUE(client->wait(pending));
        EXPECT_EQ(pending->error, "org.freedesktop.DBus.Error.NoReply");
        ASSERT_EQ(::kill((pid_t) std::stoi(dies), SIGSEGV), 0);
        ASSERT_EQ(::kill((pid_t) std::stoi(exits), SIGTERM), 0);
        ASSERT_TRUE(client->poll([&] { return !is_there(dies) && !is_there(exits); }));
        comes();
        std::map<std::string, std::string> ended;
        for (int i = 0; i < 2; i++) {
                auto signal = client->take("Ended");
                ASSERT_TRUE(signal);
                ended[signal->path] = signal->text;
        }
        EXPECT_EQ(ended[session_path("dies")], "killed, 11");
        EXPECT_EQ(ended[session_path("exits")], "killed, 15");
        ASSERT_TRUE(client->wait_property("dies", "ReportedState", "active"));
        EXPECT_NE(client->get("dies", "MainPID"), dies);
        EXPECT_EQ(client->get("dies", "Restarts"), "1");
        EXPECT_EQ(client->send("dies", "echo", "[1]"), "[1]");
        EXPECT_EQ(client->get("lives", "MainPID"), lives);
        EXPECT_EQ(client->get("lives", "ReportedState"), "active");
        EXPECT_EQ(client->send("lives", "echo", "[2]"), "[2]");
        EXPECT_EQ(client->get("exits", "MainPID"), "0");
}

TEST_F(HandOver, OneThatIsStoppedByHandMeanwhileStaysSo) {
        bad_plugin("hand", "jsonrpc", "good", "\"restart\": {\"policy\": \"always\"}");
        load("hand");
        const std::string name = client->get("hand", "Unit");

        goes();
        ASSERT_EQ(run({ "systemctl", "stop", name }).status, 0);
        comes();
        ASSERT_TRUE(client->wait_property("hand", "ReportedState", "inactive"));
        EXPECT_CONTAINS(client->get("hand", "ErrorMessage"), "stopped by somebody else");
        EXPECT_TRUE(client->poll([&] { return leftovers().empty(); })) << leftovers();
        EXPECT_EQ(client->send("hand", "echo", "[1]"), "[1]") << "the next call starts it again";
}

TEST_F(HandOver, OneThatFillsItsPipeMeanwhileLosesNothing) {
        LoadPlan plan;
        plan.c = 4, plan.headers = plan.python = 1, plan.small = plan.large = plan.everything = plan.clangd = 0;
        plan.period_ms = 2; /* more than a pipe holds in a second */
        Load load(plan, writer());

        ASSERT_EQ(load.start(), "");
        usleep(300'000);
        load.killing();
        goes();
        load.killed();
        usleep(1'500'000); /* until all of them wait for a reader */
        comes();
        EXPECT_EQ(load.differences(), "");
        LoadFigures figures = load.finish();
        fprintf(stderr, "full pipes: %s\n", figures.text().c_str());
        EXPECT_LE(figures.most_lost, 1u);
        EXPECT_EQ(figures.doubles + figures.torn + figures.failed + figures.states, 0u) << figures.wrong;
        EXPECT_EQ(figures.wrong, "");
        EXPECT_GE(figures.ticks, 500u);
}

TEST_F(HandOver, ManifestsThatChangeOrVanishMeanwhileChangeNothingOfWhatRuns) {
        const std::string folder = "/etc/plugind/plugins.d/";

        for (const char *id : { "gone", "broken", "changed" }) {
                bad_plugin(id);
                load(id);
        }
        const auto before = sessions_of(*client);
        goes();
        fs::remove(folder + "gone.json");
        std::ofstream(folder + "broken.json") << "{\"manifestVersion\": 1, \"command\": ";
        bad_plugin("changed", "jsonrpc", "good", "\"env\": {\"NEW\": \"of the new manifest\"}");
        comes();
        const auto now = sessions_of(*client);
        for (const auto &[id, info] : before) {
                ASSERT_TRUE(now.count(id)) << id;
                EXPECT_EQ(now.at(id).pid, info.pid) << id;
                EXPECT_EQ(now.at(id).state, "active") << id;
                EXPECT_EQ(client->send(id, "echo", "[1]"), "[1]");
        }
        const std::string log = journal_since({ "-u", "plugind.service" });
        EXPECT_CONTAINS(log, "gone");
        EXPECT_CONTAINS(log, "broken.json");
        EXPECT_EQ(client->send("changed", "info").find("of the new manifest"), std::string::npos);
        ASSERT_EQ(client->session("changed", "Restart", "a{sv}", 1, "wait", "b", 1).outcome(), "ok");
        EXPECT_CONTAINS(client->send("changed", "info"), "of the new manifest");
}

/* Callers who are gone by then hold nothing any more. */
TEST_F(HandOver, CallersThatLeaveMeanwhileAreMissed) {
        auto alice = std::make_unique<Client>(system_bus_address);

        bad_plugin("bound");
        ASSERT_EQ(alice->host("Load", "sa{sv}", "bound", 1, "bind", "b", 1).outcome(), "ok");
        ASSERT_EQ(alice->send("bound", "echo", "[1]"), "[1]");
        goes();
        alice.reset();
        comes();
        EXPECT_TRUE(client->poll([&] { return client->get_host("Sessions") == "0"; }));
        EXPECT_EQ(left_in_time(), "");
}

TEST_F(HandOver, UnitsThatNoStateKnowsAreStopped) {
        const std::string ghost = "plugind-trusted-ghost-1.service";

        bad_plugin("known");
        load("known");
        const std::string pid = client->get("known", "MainPID");
        ASSERT_EQ(run({ "systemd-run", "--quiet", "--collect", "--slice=plugind.slice", "--unit=" + ghost, "sleep", "1000" }).status, 0);
        ASSERT_TRUE(service.restart());
        EXPECT_TRUE(client->poll([&] { return unit_property(ghost, "LoadState") == "not-found"; }));
        EXPECT_EQ(client->get("known", "MainPID"), pid);
        EXPECT_EQ(client->send("known", "echo", "[1]"), "[1]");
}

/* A thousand if each thing is done a hundred times. */
TEST_F(HandOver, ManyRunningSessions) {
        LoadPlan plan;
        plan.c = 10 * repeat(12), plan.headers = plan.python = plan.everything = plan.clangd = 0;
        plan.small = 4, plan.large = 2;
        plan.period_ms = 4'000;
        Load load(plan, writer());
        int64_t start = now_usec();
        auto seconds = [&start] { return (double) (now_usec() - start) / 1e6; };

        ASSERT_EQ(load.start(), "");
        const double started = seconds();
        start = now_usec();
        ASSERT_TRUE(service.restart());
        const double restarted = seconds(), to_ready = (double) (std::stoll(service.get("ActiveEnterTimestampMonotonic")) -
                                                                 std::stoll(service.get("ExecMainStartTimestampMonotonic"))) /
                                                       1e6;
        ASSERT_EQ(load.differences(), "");
        load.killing();
        start = now_usec();
        const pid_t pid = service.pid();
        service.kill(SIGKILL);
        ASSERT_TRUE(client->poll([&] { return ::kill(pid, 0) != 0; }));
        load.killed();
        ASSERT_EQ(load.differences(), "");
        const double killed = seconds();
        LoadFigures figures = load.finish();
        start = now_usec();
        ASSERT_TRUE(service.stop());
        fprintf(stderr,
                "%u sessions: started in %.1f s, restart %.2f s (%.2f s from the start of the process to READY), all active %.2f s after a kill, stopped in %.1f s: %s\n",
                load.plugins(), started, restarted, to_ready, killed, seconds(), figures.text().c_str());
        EXPECT_LE(restarted, 6) << "3 s on a machine with nothing else to do";
        EXPECT_LE(killed, 8);
        EXPECT_EQ(figures.failed + figures.doubles + figures.torn + figures.states, 0u) << figures.wrong;
        EXPECT_LE(figures.most_lost, 1u) << "the kill may take one";
        EXPECT_EQ(figures.wrong, "");
}

/* -- a store that is not as it should be -- */

class BrokenState : public HandOver {
      protected:
        /* The running daemon's descriptor of its state, opened anew: that one has no access rights but root's. */
        int open_state() {
                for (const auto &entry : fs::directory_iterator("/proc/" + std::to_string(service.pid()) + "/fd")) {
                        std::error_code error;
                        if (fs::read_symlink(entry, error).string().rfind("/memfd:plugind-state", 0) == 0)
                                return open(entry.path().c_str(), O_RDWR | O_CLOEXEC);
                }
                return -1;
        }
        /* Three plugins run; DAMAGE is done to their state while the daemon is stopped, which is killed then. */
        void with(const std::function<void(int fd)> &damage, std::map<std::string, SessionInfo> *before = nullptr) {
                for (const char *id : { "one", "two", "three" }) {
                        bad_plugin(id);
                        load(id);
                }
                if (before)
                        *before = sessions_of(*client);
                const int fd = open_state();
                ASSERT_GE(fd, 0) << "of a memfd plugind-state";
                service.kill(SIGSTOP);
                damage(fd);
                close(fd);
                goes();
                comes();
        }
        /* Whatever was lost, it serves, and what it could not keep it has started anew or can start. */
        void expect_service() {
                for (const char *id : { "one", "two", "three" }) {
                        std::string outcome = client->host("Load", "sa{sv}", id, 0).outcome();
                        EXPECT_EQ(outcome, "ok") << id;
                        EXPECT_EQ(client->send(id, "echo", "[1]"), "[1]") << id;
                }
                EXPECT_TRUE(client->poll([] { return populated_plugin_units() == 3; })) << leftovers();
        }
        bool set_aside() const {
                return fs::exists("/var/lib/plugind/handover.bad");
        }
        /* How many of the three are what they were. */
        unsigned kept(const std::map<std::string, SessionInfo> &before) {
                unsigned n = 0;

                for (const auto &[id, info] : sessions_of(*client))
                        n += info.state == "active" && before.count(id) && before.at(id).pid == info.pid;
                return n;
        }
};

/* What store/state.c begins with; its texts follow. */
constexpr size_t header_size = 4096;

struct Texts {
        off_t at;
        std::string bytes;
};

/* In one of two halves of a file that is sparse, and large. */
Texts texts_of(int fd) {
        const off_t at = lseek(fd, (off_t) header_size, SEEK_DATA), hole = lseek(fd, at, SEEK_HOLE);
        std::string bytes((size_t) (hole - at), 0);

        EXPECT_EQ(pread(fd, bytes.data(), bytes.size(), at), (ssize_t) bytes.size());
        return { at, bytes.substr(0, bytes.find_last_not_of('\0') + 1) };
}

TEST_F(BrokenState, TruncatedToNothing) {
        with([](int fd) { ASSERT_EQ(ftruncate(fd, 100), 0); });
        EXPECT_TRUE(journal_says("it was cut off at 100 bytes"));
        expect_service();
}

TEST_F(BrokenState, TruncatedInTheMiddleOfTheLastText) {
        std::map<std::string, SessionInfo> before;

        with(
                [](int fd) {
                        const Texts texts = texts_of(fd);
                        ASSERT_EQ(ftruncate(fd, texts.at + (off_t) texts.bytes.size() - 100), 0);
                },
                &before);
        EXPECT_TRUE(journal_says("it was cut off at"));
        EXPECT_GE(kept(before), 2u);
        expect_service();
}

TEST_F(BrokenState, OfNothingButZeroes) {
        with([](int fd) {
                const std::string zeroes(header_size, 0);
                ASSERT_EQ(pwrite(fd, zeroes.data(), zeroes.size(), 0), (ssize_t) zeroes.size());
        });
        EXPECT_TRUE(set_aside());
        EXPECT_TRUE(journal_says("handover.bad"));
        expect_service();
}

uint32_t crc32c(const void *data, size_t size) {
        uint32_t crc = 0xffffffff;

        for (size_t i = 0; i < size; i++) {
                crc ^= static_cast<const uint8_t *>(data)[i];
                for (int bit = 0; bit < 8; bit++)
                        crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
        }
        return ~crc;
}

TEST_F(BrokenState, FromTheFuture) {
        with([](int fd) {
                uint32_t head[4]; /* magic, version, checksum of both */
                ASSERT_EQ(pread(fd, head, sizeof(head), 0), (ssize_t) sizeof(head));
                ASSERT_EQ(head[3], crc32c(head, 12));
                head[2] = 4711;
                head[3] = crc32c(head, 12);
                ASSERT_EQ(pwrite(fd, head, sizeof(head), 0), (ssize_t) sizeof(head));
        });
        EXPECT_TRUE(set_aside());
        EXPECT_TRUE(journal_says("of a later version"));
        expect_service();
}

/* Every 64th byte is the unit test's. */
TEST_F(BrokenState, ADamagedByteCostsOneTextAtMost) {
        std::map<std::string, SessionInfo> before;

        with([](int) {}, &before);
        EXPECT_EQ(kept(before), 3u);
        for (const char *id : { "one", "two", "three", "" }) {
                before = sessions_of(*client);
                service.kill(SIGSTOP);
                const int fd = open_state();
                ASSERT_GE(fd, 0);
                const Texts texts = texts_of(fd);
                const size_t found = texts.bytes.rfind(std::string("session/") + id + '\0'), at = *id ? found + 50 : texts.bytes.size() / 2;
                ASSERT_LT(at, texts.bytes.size()) << id;
                const char byte = (char) (texts.bytes[at] ^ 0x10);
                ASSERT_EQ(pwrite(fd, &byte, 1, texts.at + (off_t) at), 1);
                close(fd);
                goes();
                comes();
                EXPECT_GE(kept(before), 2u) << "with byte " << at << " damaged";
                EXPECT_TRUE(*id == 0 || journal_says(std::string("left out, their key reads session/") + id));
                expect_service();
        }
        EXPECT_FALSE(set_aside());
}

} // namespace
