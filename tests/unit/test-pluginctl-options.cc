/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pluginctl.h"

#include <gtest/gtest.h>
#include <vector>

class PluginctlOptions : public testing::Test {
      protected:
        Ctl ctl = {};
        std::vector<std::string> args;

        void TearDown() override {
                ctl_clear(&ctl);
        }
        int parse(std::vector<std::string> words) {
                std::vector<char *> argv = { (char *) "pluginctl" };
                char **rest = nullptr;

                ctl_clear(&ctl);
                ctl = {};
                ctl.lines = -1;
                kept = words; /* values are pointers into it */
                for (auto &word : kept)
                        argv.push_back(word.data());
                argv.push_back(nullptr);
                int r = options_parse(&ctl, (int) argv.size() - 1, argv.data(), &rest);
                args.clear();
                for (; r == EXIT_OK && *rest; rest++)
                        args.push_back(*rest);
                return r;
        }

      private:
        std::vector<std::string> kept;
};

using Words = std::vector<std::string>;

TEST_F(PluginctlOptions, OptionsMayStandAnywhere) {
        ASSERT_EQ(parse({ "show", "--user", "echo", "-p", "Id,Name", "--property=Version", "--value", "--json=pretty" }), EXIT_OK);
        EXPECT_EQ(args, (Words{ "show", "echo" }));
        EXPECT_TRUE(ctl.user);
        EXPECT_TRUE(ctl.value);
        EXPECT_EQ(ctl.json, JSON_PRETTY);
        ASSERT_EQ(ctl.properties->len, 3u);
        EXPECT_STREQ((char *) ctl.properties->pdata[2], "Version");
        EXPECT_TRUE(options_fit(&ctl, "show"));
        EXPECT_FALSE(options_fit(&ctl, "list"));
}

TEST_F(PluginctlOptions, WhatFollowsTwoDashesIsNoOption) {
        ASSERT_EQ(parse({ "send", "echo", "add", "--", "-5" }), EXIT_OK);
        EXPECT_EQ(args, (Words{ "send", "echo", "add", "-5" }));
        ASSERT_EQ(parse({ "send", "echo", "add", "-" }), EXIT_OK);
        EXPECT_EQ(args, (Words{ "send", "echo", "add", "-" }));
}

TEST_F(PluginctlOptions, ValuesAreChecked) {
        ASSERT_EQ(parse({ "--timeout=1min 30s", "-n", "7", "--signal=USR1", "-q", "-f" }), EXIT_OK);
        EXPECT_EQ(ctl.timeout_usec, 90000000u);
        EXPECT_EQ(ctl.lines, 7);
        EXPECT_EQ(ctl.signal, SIGUSR1);
        EXPECT_TRUE(ctl.quiet);
        EXPECT_TRUE(ctl.follow);

        for (const char *word : { "--json=yes", "--json", "--timeout=0", "--timeout=soon", "-n-1", "-nx", "--lines=99999999999",
                                  "--signal=NIX", "--kill-whom=both", "--host=", "-H-oProxyCommand=x", "--nix", "-x", "--user=1" })
                EXPECT_EQ(parse({ word }), EXIT_USAGE) << word;
        EXPECT_EQ(parse({ "-H", "a", "-M", "b" }), EXIT_USAGE);
        EXPECT_EQ(parse({ "-H", "a", "--user" }), EXIT_USAGE);
        EXPECT_EQ(parse({ "-M", "a", "--user" }), EXIT_OK);
}

TEST_F(PluginctlOptions, TopHasItsOwn) {
        ASSERT_EQ(parse({ "top", "-b", "-d500ms", "--order=p99", "--iterations=3" }), EXIT_OK);
        EXPECT_TRUE(ctl.batch);
        EXPECT_EQ(ctl.delay_usec, 500'000u);
        EXPECT_STREQ(ctl.order, "p99");
        EXPECT_EQ(ctl.iterations, 3u);
        EXPECT_TRUE(options_fit(&ctl, "top"));
        EXPECT_FALSE(options_fit(&ctl, "list"));
        ASSERT_EQ(parse({ "top", "-n", "5" }), EXIT_OK);
        EXPECT_TRUE(options_fit(&ctl, "top"));
        for (const char *word : { "-d0", "-dsoon", "-d9ms", "--delay=infinity", "--order=size", "--iterations=-1", "--iterations=x" })
                EXPECT_EQ(parse({ word }), EXIT_USAGE) << word;
}

TEST_F(PluginctlOptions, TheLastOneCounts) {
        ASSERT_EQ(parse({ "--user", "--no-block", "--json=short", "--system", "--wait", "--json=off" }), EXIT_OK);
        EXPECT_FALSE(ctl.user);
        EXPECT_FALSE(ctl.no_block);
        EXPECT_EQ(ctl.json, JSON_OFF);
        EXPECT_EQ(parse({ "--help", "--nix" }), OPTIONS_HELP);
        EXPECT_EQ(parse({ "--version" }), OPTIONS_VERSION);
}

TEST_F(PluginctlOptions, ArgumentsAreReadFromFiles) {
        char path[] = "/tmp/pluginctl-argument.XXXXXX";
        int fd = mkstemp(path);
        ASSERT_GE(fd, 0);
        ASSERT_EQ(write(fd, "[1]\n", 4), 4);
        EXPECT_EQ(taken(read_argument((std::string("@") + path).c_str(), "params")), "[1]\n");
        ASSERT_EQ(write(fd, "\0", 1), 1);
        EXPECT_EQ(read_argument((std::string("@") + path).c_str(), "params"), nullptr);
        close(fd);
        unlink(path);
        EXPECT_EQ(read_argument((std::string("@") + path).c_str(), "params"), nullptr);
        EXPECT_EQ(taken(read_argument("{}", "params")), "{}");
}
