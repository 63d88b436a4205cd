/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pluginctl top and plot, on both buses. */
#include "pluginctl-fixture.h"

#include <csignal>

namespace {

class PluginctlWatch : public Pluginctl {};

TEST_P(PluginctlWatch, TopTellsWhatSessionsDoAndUse) {
        talking_plugin("busy");
        talking_plugin("idle");
        start();
        ASSERT_EQ(ctl({ "load", "busy", "idle" }), 0) << err;
        ASSERT_EQ(ctl({ "start", "busy" }), 0) << err;

        Command top(line({ "top", "-n0", "-d100ms", "--order=name" }), environment());
        ASSERT_TRUE(top.wait_out("idle")) << top.err; /* from here on counts for the next look */
        ASSERT_EQ(ctl({ "send", "busy", "hello", "{\"a\":1}" }), 0) << err;
        EXPECT_TRUE(top.wait_out("s\n○ idle")) << top.out;
        top.signal(SIGINT);
        EXPECT_EQ(top.wait(), 0) << top.err;
        EXPECT_MATCH(top.out, "^  ID       STATE       MEMORY   CPU% TASKS RESTARTS IN FLIGHT  CALLS/S    P99\n"
                              "● busy     active      +[0-9.]+M +[0-9.]+ +1 +0 +0 +0.0 +-\n"
                              "○ idle     inactive +- +- +- +0 +0 +0.0 +-\n"
                              "\n"
                              "  ID ");
        EXPECT_MATCH(top.out, "\n● busy     active      +[0-9.]+M +[0-9.]+ +1 +0 +0 +[0-9.]*[1-9][0-9.]* +[0-9.]+[mu]s\n○ idle ");

        EXPECT_EQ(ctl({ "top", "-d50ms", "--json=short" }), 0) << err;
        EXPECT_MATCH(
                out,
                "^\\[\\{\"id\":\"(busy|idle)\",\"state\":.*\"memory\":[0-9]+,\"cpuPercent\":[0-9.]+,\"cpuUsageNSec\":[0-9]+,\"tasks\":1,"
                "\"restarts\":0,\"inFlight\":0,\"answered\":1,\"pluginErrors\":0,\"failed\":0,\"callsPerSecond\":0.0,\"p99\":null\\}");
        EXPECT_MATCH(out, "\"id\":\"idle\",\"state\":\"inactive\",\"pid\":null,\"unit\":\"\",\"memory\":null");
}

TEST_P(PluginctlWatch, TopHasTheWholeScreenAndGivesItBack) {
        talking_plugin("busy");
        start();
        ASSERT_EQ(ctl({ "load", "busy" }), 0) << err;

        Command top(line({ "top", "-d100ms" }), environment(), "", true);
        ASSERT_TRUE(top.wait_out("[q]uit"));
        EXPECT_EQ(top.out.find("\x1b[?1049h\x1b[?25l"), 0u);
        EXPECT_CONTAINS(top.out, "1 session, 0 active");
        ASSERT_EQ(ctl({ "start", "busy" }), 0) << err;
        EXPECT_TRUE(top.wait_out("1 session, 1 active")) << "it looks again";
        stop();
        EXPECT_TRUE(top.wait_out("plugind is not running")) << "and waits for it to come back";
        top.signal(SIGINT);
        EXPECT_EQ(top.wait(), 0) << top.err;
        EXPECT_EQ(top.out.substr(top.out.size() - 14), "\x1b[?25h\x1b[?1049l");
}

TEST_P(PluginctlWatch, TopEndsWhenThereIsNobodyToAsk) {
        NOT_INSTALLED("the bus starts it");
        EXPECT_EQ(ctl({ "top" }), 1);
        EXPECT_CONTAINS(err, "plugind is not running");
        Command top(line({ "top" }), environment(), "", true);
        EXPECT_EQ(top.wait(), 1);
        EXPECT_EQ(top.out.substr(top.out.size() - 14), "\x1b[?25h\x1b[?1049l");
        EXPECT_CONTAINS(top.err, "plugind is not running");
        EXPECT_EQ(ctl({ "top", "--order=size" }), 2);
        EXPECT_CONTAINS(err, "--order=: found \"size\", expected name, cpu, memory");
}

TEST_P(PluginctlWatch, PlotDrawsWhatSessionsWentThrough) {
        talking_plugin("ran");
        talking_plugin("never-ran");
        start();
        EXPECT_EQ(ctl({ "plot" }), 0) << err;
        EXPECT_CONTAINS(out, "</svg>\n");
        ASSERT_EQ(ctl({ "load", "ran", "never-ran" }), 0) << err;
        ASSERT_EQ(ctl({ "start", "ran" }), 0) << err;
        ASSERT_EQ(ctl({ "stop", "ran" }), 0) << err;

        EXPECT_EQ(ctl({ "plot" }), 0) << err;
        EXPECT_EQ(out.find("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg "), 0u);
        EXPECT_CONTAINS(out, ">ran</text>");
        EXPECT_CONTAINS(out, "connecting -&gt; active (connected)");
        EXPECT_CONTAINS(out, "1 session that never ran is left out.");
        EXPECT_EQ(ctl({ "plot", "never-ran" }), 0) << err;
        EXPECT_CONTAINS(out, ">never-ran</text>");
        EXPECT_EQ(out.find(">ran</text>"), std::string::npos);

        EXPECT_EQ(ctl({ "plot", "--json=short" }), 0) << err;
        EXPECT_MATCH(
                out,
                "^\\[\\{\"id\":\"ran\",\"changes\":\\[\\{\"time\":[0-9]+,\"new\":\"starting\",\"old\":\"inactive\",\"reason\":\"requested\"\\},");
        EXPECT_EQ(ctl({ "plot", "--json=short", "--since=+1h" }), 0) << err;
        EXPECT_EQ(out, "[{\"id\":\"ran\",\"changes\":[]}]\n");
        EXPECT_EQ(ctl({ "plot", "nowhere" }), 4);
        EXPECT_CONTAINS(err, "no session \"nowhere\" is loaded");
}

BOTH_BUSES(PluginctlWatch);

} // namespace
