/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Why a service is told to end: own-unit-says.c asks, as a service of systemd's and of a user's manager. */
#include "fixture.h"

#include "integration/command.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <glib.h>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

namespace fs = std::filesystem;

namespace {

constexpr char name[] = "own-unit-test.service";
constexpr char folder[] = "/srv/own-unit-test", said[] = "/srv/own-unit-test/said", told[] = "/srv/own-unit-test/said.told";

class OwnUnitTest : public testing::Test {
      protected:
        void SetUp() override {
                if (!booted())
                        GTEST_SKIP() << "runs in a container of tests/system/run only";
                fs::create_directories(folder);
                chmod(folder, 0777);
        }
        void TearDown() override {
                if (!booted())
                        return;
                EXPECT_TRUE(end());
                fs::remove_all(folder);
        }

        /* It takes no SIGTERM, and may be about to start once more: nothing of it is queued any more, then it is killed, then forgotten. */
        bool end() const {
                for (int64_t end = g_get_monotonic_time() + (int64_t) patience_usec; g_get_monotonic_time() < end; usleep(1'000)) {
                        systemctl({ "stop", "--no-block", name });
                        systemctl({ "kill", "--signal=KILL", name });
                        systemctl({ "reset-failed", name });
                        if (output({ "show", "--value", "-p", "LoadState", name }).out == "not-found\n")
                                return true;
                }
                return false;
        }

        std::string program() const {
                return build_path("tests/system/own-unit-says");
        }
        Outcome output(std::vector<std::string> line) const {
                line.insert(line.begin(), "systemctl");
                if (user)
                        line.insert(line.begin() + 1, "--user");
                return user ? run_as_user(line) : run(line);
        }
        int systemctl(const std::vector<std::string> &line) const {
                return output(line).status;
        }
        int start(const std::vector<std::string> &more = {}) const {
                std::vector<std::string> line = { "systemd-run", "--quiet", "--service-type=notify", std::string("--unit=") + name };

                if (user)
                        line.push_back("--user");
                line.insert(line.end(), more.begin(), more.end());
                line.push_back(program());
                line.push_back(said);
                if (user)
                        line.push_back("user");
                return (user ? run_as_user(line) : run(line)).status;
        }
        static bool is_there(const char *path) {
                for (int64_t end = g_get_monotonic_time() + (int64_t) patience_usec; g_get_monotonic_time() < end; usleep(1'000))
                        if (fs::exists(path))
                                return true;
                return false;
        }
        /* What it says when it is asked now. */
        std::string ask() const {
                std::stringstream text;

                if (systemctl({ "kill", "--kill-whom=main", "--signal=USR1", name }) != 0 || !is_there(said))
                        return "nothing";
                text << std::ifstream(said).rdbuf();
                return text.str();
        }
        /* What it says when it has been told to end by LINE. */
        std::string when(std::vector<std::string> line) const {
                line.push_back(name);
                if (systemctl(line) != 0)
                        return "systemctl failed";
                return is_there(told) ? ask() : "not told to end";
        }

        bool user = false;
};

TEST_F(OwnUnitTest, Stop) {
        ASSERT_EQ(start(), 0);
        EXPECT_EQ(when({ "stop", "--no-block" }), "stop");
}

TEST_F(OwnUnitTest, Restart) {
        for (const char *verb : { "restart", "try-restart", "reload-or-restart" }) {
                ASSERT_EQ(start(), 0);
                EXPECT_EQ(when({ verb, "--no-block" }), "restart") << verb;
                TearDown();
                SetUp();
        }
}

TEST_F(OwnUnitTest, ASignalIsNoJob) {
        ASSERT_EQ(start(), 0);
        EXPECT_EQ(when({ "kill" }), "none");
}

TEST_F(OwnUnitTest, AStartThatWaitsForTheEndIsARestart) {
        ASSERT_EQ(start(), 0);
        ASSERT_EQ(systemctl({ "stop", "--no-block", name }), 0);
        ASSERT_TRUE(is_there(told));
        EXPECT_EQ(when({ "start", "--no-block" }), "restart");
}

TEST_F(OwnUnitTest, AStopThatFollowsARestartIsAStop) {
        ASSERT_EQ(start(), 0);
        ASSERT_EQ(systemctl({ "restart", "--no-block", name }), 0);
        ASSERT_TRUE(is_there(told));
        EXPECT_EQ(when({ "stop", "--no-block" }), "stop");
}

/* As plugind.service is stopped at shutdown: by a conflict with shutdown.target, not by its name. */
TEST_F(OwnUnitTest, AConflictIsAStop) {
        ASSERT_EQ(start({ "--property=Conflicts=own-unit-test.target" }), 0);
        std::ofstream("/run/systemd/system/own-unit-test.target") << "[Unit]\nDescription=Test\n";
        ASSERT_EQ(systemctl({ "daemon-reload" }), 0);
        ASSERT_EQ(systemctl({ "start", "--no-block", "own-unit-test.target" }), 0);
        ASSERT_TRUE(is_there(told));
        EXPECT_EQ(ask(), "stop");
        systemctl({ "stop", "own-unit-test.target" });
        fs::remove("/run/systemd/system/own-unit-test.target");
        systemctl({ "daemon-reload" });
}

TEST_F(OwnUnitTest, AReloadEndsNothing) {
        ASSERT_EQ(start({ "--property=ExecReload=sleep infinity" }), 0);
        ASSERT_EQ(systemctl({ "reload", "--no-block", name }), 0);
        EXPECT_EQ(when({ "kill", "--kill-whom=main" }), "none");
}

TEST_F(OwnUnitTest, OfAUserToo) {
        ASSERT_TRUE(start_user_manager());
        user = true;
        for (const auto &[verb, job] : { std::pair("stop", "stop"), { "restart", "restart" } }) {
                ASSERT_EQ(start(), 0);
                EXPECT_EQ(when({ verb, "--no-block" }), job);
                TearDown();
                SetUp();
        }
        ASSERT_EQ(start(), 0);
        EXPECT_EQ(when({ "kill" }), "none");
}

/* It is in the unit of this test then, for which a start job runs. */
TEST_F(OwnUnitTest, WhatSystemdDidNotStartHasNoUnitOfItsOwn) {
        Command command({ program(), said }, {});

        ASSERT_TRUE(command.wait_out("ready"));
        command.signal(SIGUSR1);
        ASSERT_TRUE(is_there(said));
        std::stringstream text;
        text << std::ifstream(said).rdbuf();
        EXPECT_EQ(text.str(), "unknown");
        EXPECT_EQ(command.wait(), 0);
}

} // namespace
