/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How MCP servers are greeted: both eras, and everything between. */
#include "fake-dialect-peer.h"

extern "C" {
#include "duplex/dialect-mcp.h"
}

static const std::string meta = "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","
                                "\"io.modelcontextprotocol/clientInfo\":{\"name\":\"plugind\",\"version\":\"" PROJECT_VERSION "\"},"
                                "\"io.modelcontextprotocol/clientCapabilities\":{}}";
static const std::string discover = "> server/discover {" + meta + "}";
static const std::string initialize =
        "> initialize {\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},\"clientInfo\":{\"name\":\"plugind\","
        "\"version\":\"" PROJECT_VERSION "\"}}";
static const std::string modern = "{\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{},\"_meta\":"
                                  "{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"New\",\"version\":\"2\"}}}";
static const std::string legacy =
        "{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{},\"serverInfo\":{\"name\":\"Old\",\"version\":\"1\"}}";

class McpGreeting : public DialectTest {
      protected:
        void start() {
                make(&dialect_mcp);
                connect();
        }

        bool waits() {
                return deadline_armed(&mcp(d)->silence);
        }

        /* Three seconds pass without a word. */
        void silence() {
                ASSERT_TRUE(waits());
                deadline_disarm(deadlines, &mcp(d)->silence);
                mcp(d)->silence.expired(&mcp(d)->silence);
        }
};

TEST_F(McpGreeting, AModernServerAnswersTheProbe) {
        start();
        EXPECT_EQ(take(), Lines{ discover });
        answer("server/discover", modern);
        EXPECT_EQ(events, (Lines{ "era modern", "greeted" }));
        EXPECT_EQ(greeted_name, "New");
        EXPECT_EQ(greeted_version, "2");
        EXPECT_EQ(greeted_answer, modern);
        EXPECT_EQ(take(), Lines{});
        EXPECT_FALSE(waits());
}

TEST_F(McpGreeting, AnyOtherErrorMeansLegacy) {
        start();
        take();
        refuse("server/discover", -32601, "Method not found");
        EXPECT_EQ(take(), Lines{ initialize });
        answer("initialize", legacy);
        EXPECT_EQ(take(), Lines{ "! notifications/initialized" });
        EXPECT_EQ(events, (Lines{ "era legacy", "greeted" }));
        EXPECT_EQ(greeted_name, "Old");
        EXPECT_FALSE(waits());
}

TEST_F(McpGreeting, SilenceMeansLegacy) {
        start();
        take();
        silence();
        EXPECT_EQ(take(), Lines{ initialize });
        answer("initialize", legacy);
        EXPECT_EQ(events, (Lines{ "era legacy", "greeted" }));
        answer("server/discover", modern); /* far too late */
        EXPECT_EQ(events, (Lines{ "era legacy", "greeted" }));
}

TEST_F(McpGreeting, TheTimerIsARealOne) {
        uint64_t before;

        start();
        before = deadlines_now(deadlines);
        take();
        while (!pending("initialize"))
                ASSERT_GE(sd_event_run(event, 10 * USEC_PER_SEC), 0);
        uint64_t now;
        ASSERT_GE(sd_event_now(event, CLOCK_MONOTONIC, &now), 0);
        EXPECT_GE(now - before, 3 * USEC_PER_SEC - USEC_PER_SEC / 10);
}

TEST_F(McpGreeting, ASlowModernServerWinsIfItsAnswerIsFirst) {
        start();
        silence();
        answer("server/discover", modern);
        refuse("initialize", -32601, "2026-07-28 only");
        EXPECT_EQ(events, (Lines{ "era modern", "greeted" }));
        EXPECT_FALSE(waits());
}

TEST_F(McpGreeting, ARefusalOfTheLateProbeIsNoSecondInitialize) {
        start();
        silence();
        take();
        refuse("server/discover", -32602, "x");
        EXPECT_EQ(take(), Lines{});
        answer("initialize", legacy);
        EXPECT_EQ(events, (Lines{ "era legacy", "greeted" }));
}

TEST_F(McpGreeting, InitializeRefusedBeforeTheProbeIsAnsweredWaits) {
        start();
        silence();
        refuse("initialize", -32601, "no such method");
        EXPECT_EQ(events, Lines{});
        answer("server/discover", modern);
        EXPECT_EQ(events, (Lines{ "era modern", "greeted" }));
}

TEST_F(McpGreeting, BothRefusedFailsWithTheReasonOfInitialize) {
        start();
        refuse("server/discover", -32601, "what?");
        refuse("initialize", -32000, "no license");
        EXPECT_EQ(events, Lines{ "failed" });
        EXPECT_NE(failure.find("no license"), std::string::npos) << failure;
        EXPECT_FALSE(waits());
}

TEST_F(McpGreeting, RefusedAndThenSilentFailsOnce) {
        start();
        silence();
        refuse("initialize", -32000, "no license");
        silence();
        EXPECT_EQ(events, Lines{ "failed" });
        answer("server/discover", modern);
        EXPECT_EQ(events, Lines{ "failed" });
}

TEST_F(McpGreeting, AResultThatIsNoDiscoveryMeansLegacy) {
        start();
        answer("server/discover", "{}");
        answer("initialize", legacy);
        EXPECT_EQ(events, (Lines{ "era legacy", "greeted" }));
}

TEST_F(McpGreeting, VersionsAreMatched) {
        start();
        answer("server/discover", "{\"supportedVersions\":[\"2099-01-01\"],\"capabilities\":{}}");
        EXPECT_EQ(events, Lines{ "failed" });
        EXPECT_NE(failure.find("2099-01-01"), std::string::npos) << failure;
        EXPECT_NE(failure.find("2026-07-28"), std::string::npos) << failure;
        EXPECT_EQ(failure_code, PLUGIND_ERROR_PROTOCOL_ERROR);
}

TEST_F(McpGreeting, AServerOfBothErasWithoutOurModernVersionIsLegacy) {
        start();
        answer("server/discover", "{\"supportedVersions\":[\"2099-01-01\",\"2025-06-18\"],\"capabilities\":{}}");
        answer("initialize", legacy);
        EXPECT_EQ(events, (Lines{ "era legacy", "greeted" }));
}

TEST_F(McpGreeting, UnsupportedVersionIsAModernAnswer) {
        start();
        take();
        refuse("server/discover", -32022, "Unsupported protocol version", "{\"supported\":[\"2099-01-01\"],\"requested\":\"2026-07-28\"}");
        EXPECT_EQ(take(), Lines{});
        EXPECT_EQ(events, Lines{ "failed" });
        EXPECT_NE(failure.find("2099-01-01"), std::string::npos) << failure;
}

TEST_F(McpGreeting, UnsupportedVersionWithALegacyOneLeadsToInitialize) {
        start();
        take();
        refuse("server/discover", -32022, "Unsupported", "{\"supported\":[\"2025-11-25\"]}");
        EXPECT_EQ(take(), Lines{ initialize });
}

TEST_F(McpGreeting, MalformedUnsupportedVersionLeadsToInitialize) {
        for (const char *data : { "", "7", "{\"supported\":7}", "{\"supported\":null}" }) {
                start();
                take();
                refuse("server/discover", -32022, "Unsupported", data);
                EXPECT_EQ(take(), Lines{ initialize }) << data;
                drop();
                dialect_free(d);
                d = nullptr;
        }
}

TEST_F(McpGreeting, WrongAnswersNameWhatWasFoundAndExpected) {
        const struct {
                const char *discover, *initialize, *failure;
        } cases[] = {
                { "{\"supportedVersions\":7}", "", "the answer to \"server/discover\": supportedVersions: found 7, expected an array" },
                { "{\"supportedVersions\":[\"2026-07-28\",7]}", "",
                  "the answer to \"server/discover\": supportedVersions[1]: found 7, expected a string" },
                { "{\"supportedVersions\":[\"2026-07-28\"]}", "",
                  "the answer to \"server/discover\": capabilities: found nothing, expected an object" },
                { "{\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{},\"_meta\":{\"io.modelcontextprotocol/serverInfo\":[]}}", "",
                  "the answer to \"server/discover\": _meta.io.modelcontextprotocol/serverInfo: found [], expected an object" },
                { "null", "[]", "the answer to \"initialize\": found [], expected an object" },
                { "[]", "{\"protocolVersion\":1}", "the answer to \"initialize\": protocolVersion: found 1, expected a string" },
                { "{}", "{\"protocolVersion\":\"1999\",\"capabilities\":{},\"serverInfo\":{}}",
                  "the answer to \"initialize\": protocolVersion: found \"1999\", expected one from \"2024-10-07\" to \"2025-11-25\"" },
                { "{}", "{\"protocolVersion\":\"2025-06-18\",\"capabilities\":[]}",
                  "the answer to \"initialize\": capabilities: found [], expected an object" },
                { "{}", "{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{},\"serverInfo\":{\"name\":null}}",
                  "the answer to \"initialize\": serverInfo.name: found null, expected a string" },
        };

        for (const auto &c : cases) {
                start();
                answer("server/discover", c.discover);
                if (*c.initialize)
                        answer("initialize", c.initialize);
                EXPECT_EQ(events, Lines{ "failed" });
                EXPECT_EQ(failure, c.failure);
                EXPECT_EQ(failure_code, PLUGIND_ERROR_PROTOCOL_ERROR);
                events.clear();
                drop();
                dialect_free(d);
                d = nullptr;
        }
}

TEST_F(McpGreeting, WhatIsRememberedIsNotProbedAgain) {
        setup.mcp_era = "legacy";
        start();
        EXPECT_EQ(take(), Lines{ initialize });
        answer("initialize", legacy);
        EXPECT_EQ(events, Lines{ "greeted" }); /* and not remembered again */
}

TEST_F(McpGreeting, AWrongMemoryIsCorrected) {
        setup.mcp_era = "legacy";
        start();
        take();
        refuse("initialize", -32601, "no such method");
        EXPECT_EQ(take(), Lines{ discover });
        answer("server/discover", modern);
        EXPECT_EQ(events, (Lines{ "era modern", "greeted" }));
}

TEST_F(McpGreeting, AServerThatWasModernMayBeLegacyNow) {
        setup.mcp_era = "modern";
        start();
        EXPECT_EQ(take(), Lines{ discover });
        silence();
        answer("initialize", legacy);
        EXPECT_EQ(events, (Lines{ "era legacy", "greeted" }));
}

TEST_F(McpGreeting, TheManifestIsObeyed) {
        setup.mcp_era_fixed = true;
        setup.mcp_era = "modern";
        start();
        EXPECT_FALSE(waits());
        refuse("server/discover", -32601, "Method not found");
        EXPECT_EQ(events, Lines{ "failed" });
        EXPECT_NE(failure.find("server/discover"), std::string::npos);
        EXPECT_EQ(pending("initialize"), nullptr);
        dialect_free(d);
        said.clear();
        events.clear();

        setup.mcp_era = "legacy";
        start();
        refuse("initialize", -32601, "Method not found");
        EXPECT_EQ(events, Lines{ "failed" });
        EXPECT_EQ(pending("server/discover"), nullptr);
}

TEST_F(McpGreeting, WhoDiesOfTheProbeIsAskedTheOtherWay) {
        start();
        drop();
        EXPECT_EQ(events, Lines{});
        EXPECT_FALSE(waits());
        take();
        connect();
        EXPECT_EQ(take(), Lines{ initialize });
        drop(); /* and if it dies of that, too, the probe has its turn again */
        connect();
        EXPECT_EQ(take(), Lines{ discover });
        answer("server/discover", modern);
        EXPECT_EQ(events, (Lines{ "era modern", "greeted" }));
}

TEST_F(McpGreeting, PingsInTheWordsOfItsEra) {
        start();
        answer("server/discover", modern);
        take();
        d->ops->ping(d);
        d->ops->ping(d);
        EXPECT_EQ(take(), Lines{ discover });
        answer("server/discover", modern);
        EXPECT_EQ(events.back(), "pong");
        drop();
        setup.mcp_era = "legacy";
        dialect_free(d);
        start();
        answer("initialize", legacy);
        take();
        d->ops->ping(d);
        EXPECT_EQ(take(), Lines{ "> ping" });
        refuse("ping", -1, "no");
        EXPECT_EQ(events.back(), "pong");
}

TEST_F(McpGreeting, RequestsOfTheServerAreAnsweredOnlyInTheLegacyEra) {
        start();
        refuse("server/discover", -32601, "Method not found");
        answer("initialize", legacy);
        take();
        ask("7", "ping");
        ask("\"r\"", "roots/list");
        EXPECT_EQ(take(), (Lines{ "= 7 {}", "x \"r\" -32601" }));
        dialect_free(d);
        said.clear();
        start();
        answer("server/discover", modern);
        size_t before = said.size();
        ask("7", "ping");
        ask("\"r\"", "roots/list");
        EXPECT_EQ(said.size(), before);
}

TEST_F(McpGreeting, GoodbyeAndCancel) {
        start();
        answer("server/discover", modern);
        take();
        d->ops->cancel(d, 9, "the \"caller\" left");
        d->ops->cancel(d, 10, nullptr);
        EXPECT_EQ(take(), (Lines{ "! notifications/cancelled {\"requestId\":9,\"reason\":\"the \\\"caller\\\" left\"}",
                                  "! notifications/cancelled {\"requestId\":10}" }));
        d->ops->goodbye(d);
        EXPECT_EQ(take(), Lines{});
        EXPECT_EQ(events.back(), "farewell");
}
