/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What of bus/ needs no bus: options, rights, error names. */
#include <fstream>
#include <gtest/gtest.h>
#include <set>
#include <sstream>
#include <sys/socket.h>
#include <unistd.h>

extern "C" {
#include "bus/authorize.h"
#include "bus/bus-errors.h"
#include "bus/options.h"
}

namespace {

struct Target {
        bool flag = false;
        const char *text = nullptr;
        uint64_t usec = 7;
        char *name = nullptr;
};

const Option table[] = {
        { "flag", OPTION_BOOL, offsetof(Target, flag) },
        { "text", OPTION_STRING, offsetof(Target, text) },
        { "usec", OPTION_USEC, offsetof(Target, usec) },
        { "name", OPTION_JSON_NAME, offsetof(Target, name) },
        {},
};

/* sd-bus only makes messages for a bus that was started. */
class Options : public testing::Test {
      protected:
        void SetUp() override {
                int ends[2];

                ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
                other = ends[1];
                ASSERT_GE(sd_bus_new(&bus), 0);
                ASSERT_GE(sd_bus_set_fd(bus, ends[0], ends[0]), 0);
                ASSERT_GE(sd_bus_start(bus), 0);
        }

        void TearDown() override {
                plugind_error_clear(&error);
                free(target.name);
                sd_bus_message_unref(message);
                sd_bus_close_unref(bus);
                close(other);
        }

        int read(const Option *options, const char *types, ...) {
                va_list args;

                sd_bus_message_unref(message);
                message = nullptr;
                plugind_error_clear(&error);
                EXPECT_GE(sd_bus_message_new_method_call(bus, &message, nullptr, "/", "a.b", "Do"), 0);
                va_start(args, types);
                EXPECT_GE(sd_bus_message_appendv(message, types, args), 0);
                va_end(args);
                EXPECT_GE(sd_bus_message_seal(message, 1, 0), 0);
                return options_read(message, options, &target, &error);
        }

        std::string refused() const {
                EXPECT_EQ(error.code, PLUGIND_ERROR_INVALID_ARGS);
                return error.message ? error.message : "";
        }

        int other = -1;
        sd_bus *bus = nullptr;
        sd_bus_message *message = nullptr;
        Target target;
        PlugindError error = PLUGIND_ERROR_INIT;
};

TEST_F(Options, NoneLeaveTheDefaults) {
        EXPECT_EQ(read(table, "a{sv}", 0), 0);
        EXPECT_FALSE(target.flag);
        EXPECT_EQ(target.usec, 7u);
        EXPECT_EQ(read(nullptr, "a{sv}", 0), 0);
}

TEST_F(Options, AllAtOnce) {
        EXPECT_EQ(read(table, "a{sv}", 4, "name", "s", "a\"b", "flag", "b", 1, "usec", "u", 5u, "text", "s", "hello"), 0);
        EXPECT_TRUE(target.flag);
        EXPECT_STREQ(target.text, "hello");
        EXPECT_EQ(target.usec, 5u);
        EXPECT_STREQ(target.name, "\"a\\\"b\"");
}

TEST_F(Options, EveryIntegerTypeIsANumber) {
        EXPECT_EQ(read(table, "a{sv}", 1, "usec", "y", 200), 0);
        EXPECT_EQ(target.usec, 200u);
        EXPECT_EQ(read(table, "a{sv}", 1, "usec", "n", 201), 0);
        EXPECT_EQ(target.usec, 201u);
        EXPECT_EQ(read(table, "a{sv}", 1, "usec", "q", 65535), 0);
        EXPECT_EQ(target.usec, 65535u);
        EXPECT_EQ(read(table, "a{sv}", 1, "usec", "i", INT32_MAX), 0);
        EXPECT_EQ(target.usec, uint64_t(INT32_MAX));
        EXPECT_EQ(read(table, "a{sv}", 1, "usec", "x", INT64_MAX), 0);
        EXPECT_EQ(target.usec, uint64_t(INT64_MAX));
        EXPECT_EQ(read(table, "a{sv}", 1, "usec", "t", UINT64_MAX), 0);
        EXPECT_EQ(target.usec, UINT64_MAX);
}

TEST_F(Options, AnIntegerNameStaysAnInteger) {
        EXPECT_EQ(read(table, "a{sv}", 1, "name", "x", INT64_MIN), 0);
        EXPECT_STREQ(target.name, "-9223372036854775808");
}

TEST_F(Options, AnUnknownOneIsRefusedByName) {
        EXPECT_LT(read(table, "a{sv}", 1, "speed", "u", 5u), 0);
        EXPECT_EQ(refused(), "Do has no option \"speed\" (it has: flag, text, usec, name)");
        EXPECT_LT(read(nullptr, "a{sv}", 1, "speed", "u", 5u), 0);
        EXPECT_EQ(refused(), "Do has no option \"speed\" (it has: none)");
}

TEST_F(Options, AWrongTypeNamesOptionFoundAndExpected) {
        EXPECT_LT(read(table, "a{sv}", 1, "flag", "s", "yes"), 0);
        EXPECT_EQ(refused(), "option \"flag\" of Do: found type \"s\", expected a boolean (b)");
        EXPECT_LT(read(table, "a{sv}", 1, "usec", "b", 1), 0);
        EXPECT_NE(refused().find("option \"usec\" of Do: found type \"b\", expected an integer"), std::string::npos);
        EXPECT_LT(read(table, "a{sv}", 1, "usec", "i", -1), 0);
        EXPECT_NE(refused().find("option \"usec\" of Do: found -1, expected an integer"), std::string::npos);
        EXPECT_LT(read(table, "a{sv}", 1, "text", "as", 1, "x"), 0);
        EXPECT_EQ(refused(), "option \"text\" of Do: found type \"as\", expected a string (s)");
}

TEST_F(Options, TwiceIsRefused) {
        EXPECT_LT(read(table, "a{sv}", 2, "name", "s", "a", "name", "s", "b"), 0);
        EXPECT_EQ(refused(), "option \"name\" of Do: found it twice, expected it once");
}

std::set<std::string> methods_of(const std::string &interface) {
        std::ifstream file(std::string(SOURCE_ROOT "/dbus-interfaces/") + interface + ".xml");
        std::stringstream text;
        std::set<std::string> methods;
        const std::string before = "<method name=\"";

        text << file.rdbuf();
        std::string xml = text.str();
        for (size_t at = 0; (at = xml.find(before, at)) != std::string::npos;) {
                at += before.size();
                methods.insert(xml.substr(at, xml.find('"', at) - at));
        }
        return methods;
}

TEST(Authorize, OnlyWhatIsMeantToBeReadByAllIs) {
        const std::set<std::string> for_all = { "GetHistory", "GetSession", "GetStatistics", "ListSessions" };

        for (const char *interface : { "org.plugind1.Host", "org.plugind1.Session" }) {
                std::set<std::string> methods = methods_of(interface);

                EXPECT_GE(methods.size(), 6u);
                for (const std::string &method : methods)
                        EXPECT_EQ(authorize_right(interface, method.c_str()), for_all.count(method) ? RIGHT_READ : RIGHT_CHANGE) << method;
        }
        EXPECT_EQ(authorize_right("org.plugind1.Host", "Unheard"), RIGHT_CHANGE);
        EXPECT_EQ(authorize_right("org.plugind1.Session", "ListSessions"), RIGHT_CHANGE);
}

TEST(Authorize, OneUidMayAndTheOthersAreToldWhich) {
        Caller caller = {};
        PlugindError error = PLUGIND_ERROR_INIT;
        char name[] = ":1.7";

        caller.name = name;
        caller.uid = 0;
        EXPECT_EQ(authorize_change(&caller, 0, "org.plugind1.Host", "Load", &error), 0);
        EXPECT_LT(authorize_change(&caller, 1000, "org.plugind1.Host", "Load", &error), 0);
        EXPECT_EQ(error.code, PLUGIND_ERROR_ACCESS_DENIED);
        EXPECT_STREQ(error.message, "org.plugind1.Host.Load is for uid 1000 only, and :1.7 is uid 0");
        plugind_error_clear(&error);
        caller.uid = 1000;
        EXPECT_EQ(authorize_change(&caller, 1000, "org.plugind1.Host", "Load", &error), 0);
        EXPECT_LT(authorize_change(&caller, 0, "org.plugind1.Host", "Load", &error), 0);
        EXPECT_STREQ(error.message, "org.plugind1.Host.Load is for root only, and :1.7 is uid 1000");
        plugind_error_clear(&error);
}

TEST(BusErrors, EveryCodeHasANameOfItsOwnThatEndsAsTheCodeIsCalled) {
        std::set<std::string> names;

        for (int code = PLUGIND_ERROR_FAILED; code < _PLUGIND_ERROR_MAX; code++) {
                std::string name = bus_error_name(PlugindErrorCode(code)), last = plugind_error_code_name(PlugindErrorCode(code));

                EXPECT_TRUE(names.insert(name).second) << name;
                EXPECT_EQ(name.substr(name.rfind('.') + 1), last);
        }
}

TEST(BusErrors, AMessageThatIsNoUtf8IsSentAllTheSame) {
        sd_bus_error e = SD_BUS_ERROR_NULL;
        PlugindError error = PLUGIND_ERROR_INIT;

        plugind_error_set(&error, PLUGIND_ERROR_NOT_ACTIVE,
                          "the file a\xff"
                          "b");
        EXPECT_LT(bus_error_set(&e, -1, &error), 0);
        EXPECT_STREQ(e.name, "org.plugind1.Error.NotActive");
        EXPECT_STREQ(e.message, "the file a\xef\xbf\xbd"
                                "b");
        sd_bus_error_free(&e);
        plugind_error_clear(&error);
}

} // namespace
