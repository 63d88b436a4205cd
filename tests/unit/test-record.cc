/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gtest/gtest.h>

#include "folder.h"

#include <fcntl.h>
#include <future>
#include <sched.h>
#include <unistd.h>
#include <vector>

extern "C" {
#include "host/record.h"
}

namespace {

char *text(const char *value) {
        return const_cast<char *>(value);
}

RecordEntry entry(const char *id, bool active = false) {
        RecordEntry made = {};

        made.id = text(id);
        made.source = text(id);
        made.desired_active = active;
        return made;
}

std::string ids(const Record *record) {
        std::string all;

        record_foreach(
                record, [](const RecordEntry *one, void *userdata) { *static_cast<std::string *>(userdata) += std::string(one->id) + " "; },
                &all);
        return all;
}

class RecordTest : public testing::Test {
      protected:
        Folder folder;
        std::string file = folder / "sessions.json";
        sd_event *event = nullptr;
        Worker *worker = nullptr;
        Record *record = nullptr;

        void SetUp() override {
                ASSERT_EQ(sd_event_new(&event), 0);
        }
        void TearDown() override {
                record_free(record);
                worker_free(worker);
                sd_event_unref(event);
        }
        void open(bool with_worker = false) {
                if (with_worker && !worker) {
                        ASSERT_EQ(worker_new(&worker), 0);
                }
                record = record_free(record);
                ASSERT_EQ(record_new(event, folder.path().c_str(), with_worker ? worker : nullptr, &record), 0);
        }
        ino_t inode() {
                struct stat st = {};

                return stat(file.c_str(), &st) < 0 ? 0 : st.st_ino;
        }
        bool exists(const std::string &name) {
                return access((folder / name).c_str(), F_OK) == 0;
        }
        void drain() {
                while (worker_queued(worker) > 0)
                        sched_yield();
        }
};

} // namespace

TEST_F(RecordTest, WhatWasSetIsThereAfterARestart) {
        RecordEntry full = entry("full", true);

        open();
        full.source = text("/srv/plugins/full.json");
        full.running = true;
        full.configuration = text("{\"a\": 1.50,\n \"b\": \"\\n\"}");
        full.mcp_era = text("legacy");
        record_set(record, &full);
        RecordEntry plain = entry("a@\"x");
        plain = entry("a@x");
        record_set(record, &plain);
        open();

        EXPECT_EQ(ids(record), "full a@x ");
        const RecordEntry *one = record_get(record, "full");
        ASSERT_NE(one, nullptr);
        EXPECT_STREQ(one->source, "/srv/plugins/full.json");
        EXPECT_TRUE(one->desired_active);
        EXPECT_TRUE(one->running);
        EXPECT_STREQ(one->configuration, "{\"a\": 1.50,  \"b\": \"\\n\"}");
        EXPECT_STREQ(one->mcp_era, "legacy");
        one = record_get(record, "a@x");
        ASSERT_NE(one, nullptr);
        EXPECT_STREQ(one->source, "a@x");
        EXPECT_FALSE(one->desired_active);
        EXPECT_FALSE(one->running);
        EXPECT_EQ(one->configuration, nullptr);
        EXPECT_EQ(one->mcp_era, nullptr);
        EXPECT_EQ(record_get(record, "none"), nullptr);

        record_remove(record, "full");
        record_remove(record, "none");
        open();
        EXPECT_EQ(ids(record), "a@x ");
}

TEST_F(RecordTest, AnEntryMayBeSetFromWhatWasGot) {
        open();
        RecordEntry one = entry("x");
        one.configuration = text("{}");
        record_set(record, &one);
        one = *record_get(record, "x");
        one.desired_active = true;
        record_set(record, &one);
        EXPECT_TRUE(record_get(record, "x")->desired_active);
        EXPECT_STREQ(record_get(record, "x")->configuration, "{}");
        one = *record_get(record, "x");
        one.source = text("/x.json");
        one.configuration = nullptr;
        record_set(record, &one);
        EXPECT_STREQ(record_get(record, "x")->id, "x");
        EXPECT_STREQ(record_get(record, "x")->source, "/x.json");
        EXPECT_EQ(record_get(record, "x")->configuration, nullptr);
}

TEST_F(RecordTest, TheFolderIsMadeAndTheFileIsPrivateAndWhole) {
        struct stat st;
        std::string deep = folder / "a/b";
        RecordEntry one = entry("x");

        ASSERT_EQ(record_new(event, deep.c_str(), nullptr, &record), 0);
        ASSERT_EQ(stat(deep.c_str(), &st), 0);
        EXPECT_EQ(st.st_mode & 07777, 0700U);
        record_set(record, &one);
        ASSERT_EQ(stat((deep + "/sessions.json").c_str(), &st), 0);
        EXPECT_EQ(st.st_mode & 07777, 0600U);
        EXPECT_EQ(Folder::read(deep + "/sessions.json"),
                  "{\"version\":1,\"sessions\":{\n\"x\":{\"desired\":\"inactive\",\"running\":false,\"source\":\"x\"}\n}}\n");
        EXPECT_EQ(access((deep + "/sessions.json.new").c_str(), F_OK), -1);
}

TEST_F(RecordTest, AFileIsReplacedNotOverwritten) {
        RecordEntry one = entry("x"), two = entry("y");

        open();
        record_set(record, &one);
        int old = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
        const std::string before = Folder::read(file);
        record_set(record, &two);
        EXPECT_NE(Folder::read(file), before);

        char buffer[1024];
        ssize_t n = read(old, buffer, sizeof buffer);
        ASSERT_GT(n, 0);
        EXPECT_EQ(std::string(buffer, n), before);
        close(old);
}

TEST_F(RecordTest, NothingIsWrittenWhenNothingChanged) {
        RecordEntry one = entry("x");

        open();
        EXPECT_EQ(inode(), 0U);
        record_set(record, &one);
        ino_t written = inode();
        ASSERT_NE(written, 0U);
        record_set(record, &one);
        record_remove(record, "y");
        EXPECT_EQ(inode(), written);
        open();
        EXPECT_EQ(inode(), written);
}

TEST_F(RecordTest, ManyChangesAreOneWriteByTheWorker) {
        open(true);
        for (int i = 0; i < 1000; i++) {
                std::string id = "s" + std::to_string(i);
                RecordEntry one = entry(id.c_str());

                record_set(record, &one);
        }
        EXPECT_EQ(worker_queued(worker), 0U);
        EXPECT_EQ(inode(), 0U);
        ASSERT_GT(sd_event_run(event, UINT64_MAX), 0);
        drain();
        ino_t written = inode();
        ASSERT_NE(written, 0U);
        EXPECT_EQ(sd_event_run(event, 0), 0);
        EXPECT_EQ(inode(), written);
        open();
        EXPECT_NE(record_get(record, "s999"), nullptr);
}

TEST_F(RecordTest, ASlowDiskQueuesOneJobAndTheLatestTextWins) {
        std::promise<void> gate;
        std::future<void> opened = gate.get_future();

        open(true);
        worker_push(
                worker, [](void *data) { static_cast<std::future<void> *>(data)->wait(); }, &opened);
        for (int i = 0; i < 3; i++) {
                std::string id = "s" + std::to_string(i);
                RecordEntry one = entry(id.c_str());

                record_set(record, &one);
                ASSERT_GT(sd_event_run(event, UINT64_MAX), 0);
                EXPECT_EQ(worker_queued(worker), 2U);
        }
        gate.set_value();
        drain();
        const std::string written = Folder::read(file);
        EXPECT_NE(written.find("\"s2\""), std::string::npos) << written;
}

TEST_F(RecordTest, FreeWritesWhatIsNotYetWritten) {
        RecordEntry one = entry("x", true);

        open(true);
        record_set(record, &one);
        EXPECT_EQ(inode(), 0U);
        open(true);
        ASSERT_NE(record_get(record, "x"), nullptr);
        EXPECT_TRUE(record_get(record, "x")->desired_active);
}

TEST_F(RecordTest, AWriteThatFailedIsDoneAgain) {
        RecordEntry one = entry("x"), two = entry("y");

        open();
        std::filesystem::create_directories(file + "/in-the-way");
        record_set(record, &one);
        EXPECT_FALSE(exists("sessions.json.new"));
        std::filesystem::remove_all(file);
        record_set(record, &two);
        open();
        EXPECT_EQ(ids(record), "x y ");

        std::filesystem::remove(file);
        std::filesystem::create_directories(file + "/in-the-way");
        record_remove(record, "x");
        std::filesystem::remove_all(file);
        open(); /* which frees the one that failed */
        EXPECT_EQ(ids(record), "y ");
}

TEST_F(RecordTest, UnreadableFilesAreSetAside) {
        for (const char *bad : { "", "[]", "{\"version\":1", "{\"version\":2,\"sessions\":{}}", "{\"sessions\":{}}", "{\"version\":1}",
                                 "{\"version\":1,\"sessions\":[]}", "{\"version\":1,\"sessions\":{\"a\":1,\"a\":1}}" }) {
                folder.write("sessions.json", bad);
                open();
                EXPECT_EQ(ids(record), "") << bad;
                EXPECT_FALSE(exists("sessions.json")) << bad;
                EXPECT_EQ(Folder::read(folder / "sessions.json.bad"), bad);
        }
        std::filesystem::create_directory(file);
        std::filesystem::remove(folder / "sessions.json.bad");
        open();
        EXPECT_TRUE(exists("sessions.json.bad"));
        EXPECT_FALSE(exists("sessions.json"));
}

TEST_F(RecordTest, BadEntriesAreLeftOutOneByOneAndKeptAside) {
        const std::string good = R"({"desired":"active","running":true,"source":"x"})";
        const std::vector<std::string> bad = {
                R"("a":1)",
                R"("../a":)" + good,
                R"("":)" + good,
                R"("a":{"desired":"active","running":true})",
                R"("a":{"desired":"active","source":"a"})",
                R"("a":{"running":true,"source":"a"})",
                R"("a":{"desired":"perhaps","running":true,"source":"a"})",
                R"("a":{"desired":"active","running":1,"source":"a"})",
                R"("a":{"desired":"active","running":true,"source":"a b"})",
                R"("a":{"desired":"active","running":true,"source":"a","configuration":"{}"})",
                R"("a":{"desired":"active","running":true,"source":"a","mcpEra":"bronze"})",
                R"("a":{"desired":"active","running":true,"source":"a","flavour":1})",
        };

        for (const std::string &one : bad) {
                const std::string text = R"({"version":1,"sessions":{"first":)" + good + "," + one + R"(,"last":)" + good + "}}";

                folder.write("sessions.json", text);
                open();
                EXPECT_EQ(ids(record), "first last ") << one;
                EXPECT_TRUE(record_get(record, "last")->running);
                EXPECT_EQ(Folder::read(folder / "sessions.json.bad"), text);
                record_remove(record, "first");
                EXPECT_EQ(Folder::read(folder / "sessions.json.bad"), text) << "the copy was overwritten";
        }
}
