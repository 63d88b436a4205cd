/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pluginctl.h"

#include <clocale>
#include <gtest/gtest.h>

static std::string json_text(const std::string &json, bool pretty) {
        GString *out = g_string_new(nullptr);

        json_text_append(out, json.data(), json.size(), pretty, 0);
        return taken(g_string_free(out, false));
}

TEST(PluginctlJson, OneLineKeepsWhatWasWritten) {
        EXPECT_EQ(json_text(" { \"b\" : [ 1.0 , 1e400, -0 ],\n\"a\":\"x , y\\n\" , \"a\" : 12345678901234567890 }\n", false),
                  "{\"b\":[1.0,1e400,-0],\"a\":\"x , y\\n\",\"a\":12345678901234567890}");
        EXPECT_EQ(json_text("\"a \\\" b\"", false), "\"a \\\" b\"");
        EXPECT_EQ(json_text("", false), "");
}

TEST(PluginctlJson, PrettyIndents) {
        EXPECT_EQ(json_text("{\"a\":[1,{\"b\":null}],\"c\":{ },\"d\":[\n]}", true), "{\n"
                                                                                    "  \"a\": [\n"
                                                                                    "    1,\n"
                                                                                    "    {\n"
                                                                                    "      \"b\": null\n"
                                                                                    "    }\n"
                                                                                    "  ],\n"
                                                                                    "  \"c\": {},\n"
                                                                                    "  \"d\": []\n"
                                                                                    "}");
        EXPECT_EQ(json_text("true", true), "true");
}

TEST(PluginctlJson, WhatATerminalObeysIsEscapedAsJsonDoes) {
        EXPECT_EQ(json_text("\"\u009b31m\x7f\u202e\U000e0041\"", false), "\"\\u009b31m\\u007f\\u202e\\udb40\\udc41\"");
        EXPECT_EQ(json_text("\"\xff\"", false), "\"\\ufffd\"");
}

TEST(PluginctlJson, TextThatIsNoJsonDoesNoHarm) {
        EXPECT_EQ(json_text("]}\"abc", false), "]}\"abc");
        EXPECT_EQ(json_text("\"\\", false), "\"\\");
        EXPECT_EQ(json_text("\x1b[2J", false).find('\x1b'), std::string::npos);
        EXPECT_LT(json_text(std::string(2000, '['), true).size(), 4u * 1024 * 1024);
}

static const char *const headers[] = { "ID", "PID", "DESCRIPTION" };

class PluginctlTable : public testing::Test {
      protected:
        Table *table = table_new(headers, 3);

        void TearDown() override {
                table_free(table);
        }
        void row(const char *id, const char *pid, const char *description, const char *colour = nullptr) {
                table_add(table, id, colour);
                table_add(table, pid, nullptr);
                table_add(table, description, nullptr);
        }
        std::string print(size_t width, bool header = true, bool colours = false) {
                TableStyle style = {};
                style.width = width;
                style.header = header;
                style.colours = colours;
                GString *out = g_string_new(nullptr);
                table_print(table, &style, out);
                return taken(g_string_free(out, false));
        }
};

TEST_F(PluginctlTable, ColumnsAreAsWideAsNeeded) {
        table_align_right(table, 1);
        row("echo", "17", "says it again");
        row("日本", "4711", "");
        EXPECT_EQ(table_rows(table), 2u);
        EXPECT_EQ(print(SIZE_MAX), "ID    PID DESCRIPTION\n"
                                   "echo   17 says it again\n"
                                   "日本 4711 -\n");
        EXPECT_EQ(print(SIZE_MAX, false), "echo   17 says it again\n"
                                          "日本 4711 -\n");
}

TEST_F(PluginctlTable, CellsCannotBreakRows) {
        row("a\nb", nullptr, "\x1b[31m");
        EXPECT_EQ(print(SIZE_MAX, false), "a\\nb - \\x1b[31m\n");
}

TEST_F(PluginctlTable, TheLastColumnIsCutFirstThenTheWidest) {
        ASSERT_NE(setlocale(LC_CTYPE, "C.UTF-8"), nullptr);
        row("an-identifier-of-30-characters", "4711", "a description of some length");
        std::string line = print(50, false);
        line.pop_back();
        EXPECT_EQ(text_width(line.c_str()), 50u);
        EXPECT_EQ(line, "an-identifier-of-30-characters 4711 a description…");

        line = print(30, false);
        line.pop_back();
        EXPECT_EQ(line, "an-identifie… 4711 a descript…");
        EXPECT_EQ(text_width(line.c_str()), 30u);
        setlocale(LC_CTYPE, "C");
}

TEST_F(PluginctlTable, ColoursSurroundTheTextAlone) {
        row("e", "1", "d", ANSI_RED);
        EXPECT_EQ(print(SIZE_MAX, false, true), ANSI_RED "e" ANSI_NORMAL " 1 d\n");
        std::string with_header = print(SIZE_MAX, true, true);
        EXPECT_EQ(with_header.substr(0, with_header.find('\n')),
                  ANSI_UNDERLINE "ID" ANSI_NORMAL " " ANSI_UNDERLINE "PID" ANSI_NORMAL " " ANSI_UNDERLINE "DESCRIPTION" ANSI_NORMAL);
}

static std::pair<std::string, std::string> greeting(const char *json) {
        Greeting greeting;

        greeting_parse(json, &greeting);
        std::pair<std::string, std::string> result = { greeting.protocol ? greeting.protocol : "-",
                                                       greeting.server ? greeting.server : "-" };
        greeting_clear(&greeting);
        return result;
}

TEST(PluginctlGreeting, EachDialectsAnswerIsRead) {
        using P = std::pair<std::string, std::string>;

        EXPECT_EQ(greeting("{\"protocolVersion\":\"2025-06-18\",\"serverInfo\":{\"name\":\"everything\",\"version\":\"1.0\"}}"),
                  P("2025-06-18", "everything 1.0"));
        EXPECT_EQ(greeting("{\"supportedVersions\":[\"2025-11-25\",\"2026-07-28\",7],\"serverInfo\":{\"name\":\"x\"}}"),
                  P("2026-07-28", "x"));
        EXPECT_EQ(greeting("{\"capabilities\":{},\"serverInfo\":{\"name\":\"clangd\",\"version\":\"14\"}}"), P("-", "clangd 14"));
        EXPECT_EQ(greeting("{\"protocol\":1,\"name\":\"echo\",\"version\":\"2\"}"), P("1", "echo 2"));
}

TEST(PluginctlGreeting, WhatIsNotExpectedIsLeftOut) {
        using P = std::pair<std::string, std::string>;

        for (const char *json : { "", "null", "[]", "{", "{}", "{\"serverInfo\":[],\"supportedVersions\":{},\"protocol\":\"1\"}",
                                  "{\"serverInfo\":{\"name\":7},\"protocol\":-1}" })
                EXPECT_EQ(greeting(json), P("-", "-")) << json;
}

/* As of the JSON texts HOST and SESSION, a minute after the daemon was started. */
static std::string daemon_line_of(const char *host, const char *session) {
        JsonNode *host_node = json_from_string(host, nullptr), *session_node = session ? json_from_string(session, nullptr) : nullptr;
        char *line = daemon_line(host_node ? json_node_get_object(host_node) : nullptr,
                                 session_node ? json_node_get_object(session_node) : nullptr, 1795284061000000);

        g_clear_pointer(&host_node, json_node_unref);
        g_clear_pointer(&session_node, json_node_unref);
        return taken(line);
}

TEST(PluginctlStatus, TheDaemonAndItsHandOversAreALine) {
        const char *old = getenv("TZ");
        std::string zone = old ? old : "";
        setenv("TZ", "UTC", 1);
        std::string since = "since Sat 2026-11-21 18:00:01 UTC; 1min ago";

        EXPECT_EQ(daemon_line_of("{\"StartedAt\":1795284001000000,\"HandOvers\":0}", "{\"HandOvers\":0}"), since);
        EXPECT_EQ(daemon_line_of("{\"StartedAt\":1795284001000000,\"HandOvers\":1}", nullptr), since + ", 1 hand-over");
        EXPECT_EQ(daemon_line_of("{\"StartedAt\":1795284001000000,\"HandOvers\":2}", "{\"HandOvers\":1}"),
                  since + ", 2 hand-overs (this session: 1)");
        EXPECT_EQ(daemon_line_of("{\"StartedAt\":1795284001000000,\"HandOvers\":2}", "{\"HandOvers\":0}"),
                  since + ", 2 hand-overs (this session: 0)");
        old ? setenv("TZ", zone.c_str(), 1) : unsetenv("TZ");
}

TEST(PluginctlStatus, AnOlderDaemonThatDoesNotSayHasNone) {
        EXPECT_EQ(daemon_line_of("{\"Version\":\"0.1.0\"}", "{}"), "(null)");
        EXPECT_EQ(daemon_line_of("{\"StartedAt\":\"\",\"HandOvers\":[]}", "{}"), "(null)");
        EXPECT_EQ(daemon_line_of("", nullptr), "(null)");
        EXPECT_EQ(daemon_line_of("{\"StartedAt\":1795284001000000,\"HandOvers\":3}", "{}"),
                  "since Sat 2026-11-21 18:00:01 UTC; 1min ago, 3 hand-overs");
}
