/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What pluginctl asks systemd: a stand-in for it on a private bus, since where tests run it may account nothing. */
#include <json-glib/json-glib.h>

#include <atomic>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <systemd/sd-bus.h>
#include <thread>
#include <unistd.h>
#include <vector>

extern "C" {
#include "options.h"
#include "support/private-bus.h"
#include "usage.h"
}

namespace {

/* Answers when nothing more comes for a while: as many calls as that were pending at once. */
class FakeSystemd {
      public:
        explicit FakeSystemd(const char *address) {
                EXPECT_GE(sd_bus_new(&bus_), 0);
                EXPECT_GE(sd_bus_set_address(bus_, address), 0);
                EXPECT_GE(sd_bus_set_bus_client(bus_, true), 0);
                EXPECT_GE(sd_bus_start(bus_), 0);
                EXPECT_GE(sd_bus_add_fallback(bus_, nullptr, "/org/freedesktop/systemd1/unit", on_call, this), 0);
                EXPECT_GE(sd_bus_request_name(bus_, "org.freedesktop.systemd1", 0), 0);
                thread_ = std::thread([this] { serve(); });
        }
        ~FakeSystemd() {
                stop_ = true;
                thread_.join();
                sd_bus_flush_close_unref(bus_);
        }
        std::atomic<size_t> most_pending{ 0 }, calls{ 0 };

      private:
        static int on_call(sd_bus_message *message, void *userdata, sd_bus_error *) {
                auto *self = static_cast<FakeSystemd *>(userdata);

                self->held_.push_back(sd_bus_message_ref(message));
                self->calls++;
                return 1;
        }
        void serve() {
                while (!stop_) {
                        while (sd_bus_process(bus_, nullptr) > 0)
                                ;
                        if (sd_bus_wait(bus_, 20'000) == 0)
                                answer();
                }
        }
        void answer() {
                if (held_.size() > most_pending)
                        most_pending = held_.size();
                for (sd_bus_message *message : held_) {
                        const char *interface, *property;

                        EXPECT_GT(sd_bus_message_read(message, "ss", &interface, &property), 0);
                        EXPECT_STREQ(interface, "org.freedesktop.systemd1.Service");
                        if (strstr(sd_bus_message_get_path(message), "gone"))
                                sd_bus_reply_method_errorf(message, "org.freedesktop.systemd1.NoSuchUnit", "no");
                        else
                                sd_bus_reply_method_return(message, "v", "t", value(property));
                        sd_bus_message_unref(message);
                }
                held_.clear();
        }
        static uint64_t value(const std::string &property) {
                return property == "MemoryCurrent" ? 4096 : property == "CPUUsageNSec" ? 5'000'000 : UINT64_MAX;
        }

        sd_bus *bus_ = nullptr;
        std::vector<sd_bus_message *> held_;
        std::atomic<bool> stop_{ false };
        std::thread thread_;
};

class UsageOfUnits : public testing::Test {
      protected:
        PrivateBus *bus = nullptr;
        std::unique_ptr<FakeSystemd> systemd;
        Ctl ctl = CTL_INIT;

        void SetUp() override {
                ASSERT_EQ(private_bus_new(BUS_DBUS_DAEMON, &bus), 0);
                systemd = std::make_unique<FakeSystemd>(private_bus_address(bus));
                ASSERT_GE(sd_bus_new(&ctl.bus), 0);
                ASSERT_GE(sd_bus_set_address(ctl.bus, private_bus_address(bus)), 0);
                ASSERT_GE(sd_bus_set_bus_client(ctl.bus, true), 0);
                ASSERT_GE(sd_bus_start(ctl.bus), 0);
        }
        void TearDown() override {
                ctl_clear(&ctl);
                systemd.reset();
                private_bus_free(bus);
        }
};

TEST_F(UsageOfUnits, ComesFromSystemdAndElseFromProcHere) {
        Usage usage = { "plugind-strict-a-1.service", getpid(), 0, 0, 0 };

        usage_get(&ctl, &usage);
        EXPECT_EQ(usage.memory, 4096u);
        EXPECT_EQ(usage.cpu_nsec, 5'000'000u);
        EXPECT_NE(usage.tasks, USAGE_UNKNOWN) << "systemd did not account it, /proc does";

        ctl.host = "elsewhere";
        usage_get(&ctl, &usage);
        EXPECT_EQ(usage.memory, 4096u);
        EXPECT_EQ(usage.tasks, USAGE_UNKNOWN) << "the pid is none of this machine";
        usage.unit = "gone.service";
        usage_get(&ctl, &usage);
        EXPECT_EQ(usage.memory, USAGE_UNKNOWN);
        EXPECT_EQ(systemd->calls, 9u);
        usage.unit = "";
        usage_get(&ctl, &usage);
        EXPECT_EQ(usage.memory, USAGE_UNKNOWN);
        EXPECT_EQ(systemd->calls, 9u) << "there is no unit to ask about";
}

TEST_F(UsageOfUnits, AsManyAreAskedForAsTheBusTakesAtOnce) {
        std::vector<Usage> usages(100, Usage{ "plugind-strict-a-1.service", 0, 0, 0, 0 });
        GPtrArray *array = g_ptr_array_new();
        bool done = false;

        for (Usage &usage : usages)
                g_ptr_array_add(array, &usage);
        UsageQuery *query = usage_ask(
                &ctl, array, [](void *flag) { *(bool *) flag = true; }, &done);
        for (int i = 0; !done && i < 10'000; i++)
                if (sd_bus_process(ctl.bus, nullptr) == 0)
                        sd_bus_wait(ctl.bus, 1'000'000);
        ASSERT_TRUE(done);
        EXPECT_EQ(systemd->calls, 300u);
        EXPECT_LE(systemd->most_pending, 128u) << "dbus-daemon's max_replies_per_connection on the system bus";
        for (const Usage &usage : usages)
                EXPECT_EQ(usage.memory, 4096u);
        usage_query_free(query);
        g_ptr_array_unref(array);
}

} // namespace
