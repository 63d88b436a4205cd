/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bus policy file and our own rule say the same of every member that there is. */
#include <fstream>
#include <gtest/gtest.h>
#include <regex>
#include <set>
#include <sstream>

extern "C" {
#include "bus/authorize.h"
}

namespace {

std::string read(const std::string &path) {
        std::ifstream file(path);
        std::stringstream text;

        text << file.rdbuf();
        return text.str();
}

std::set<std::string> all(const std::string &text, const std::string &pattern, const std::string &prefix = "") {
        std::regex regex(pattern);
        std::set<std::string> found;

        for (std::sregex_iterator i(text.begin(), text.end(), regex), end; i != end; ++i)
                found.insert(prefix + i->str(1) + (i->size() > 2 ? "." + i->str(2) : ""));
        return found;
}

TEST(Policy, OnTheBusEveryoneMayCallWhatOursGivesToAll) {
        std::string policy = read(SOURCE_ROOT "/systemd/system/org.plugind1.conf");
        std::string rest = policy.substr(policy.find("<policy context=\"default\">"));
        std::set<std::string> allowed = all(rest, "send_interface=\"(org\\.plugind1\\.[A-Za-z]+)\" send_member=\"([A-Za-z]+)\"");
        std::set<std::string> readable;

        EXPECT_NE(rest.find("<deny send_destination=\"org.plugind1\"/>"), std::string::npos);
        EXPECT_EQ(all(rest, "send_interface=\"(org\\.plugind1[^\"]*)\"/>"), std::set<std::string>()) << "no whole interface of ours";
        for (const char *interface : { "org.plugind1.Host", "org.plugind1.Session" }) {
                std::set<std::string> members = all(read(std::string(SOURCE_ROOT "/dbus-interfaces/") + interface + ".xml"),
                                                    "<method name=\"([A-Za-z]+)\"");

                EXPECT_FALSE(members.empty()) << interface;
                for (const std::string &member : members)
                        if (authorize_right(interface, member.c_str()) == RIGHT_READ)
                                readable.insert(std::string(interface) + "." + member);
        }
        EXPECT_FALSE(readable.empty());
        EXPECT_EQ(allowed, readable);
}

} // namespace
