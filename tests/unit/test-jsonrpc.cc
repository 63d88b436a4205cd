/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gtest/gtest.h>

#include <cerrno>
#include <climits>
#include <string>
#include <vector>

extern "C" {
#include "duplex/jsonrpc.h"
}

using std::string;

static string text_of(JsonRange r) {
        return r.data ? string(r.data, r.size) : "-";
}

/* kind id method params result error, and the fault if there is one */
static string parse(const string &text) {
        static const char *const kinds[] = { "request", "notification", "result", "error" };
        std::vector<char> exact(text.begin(), text.end());
        JsonRpcMessage m;
        JsonFault fault = {};
        int r = jsonrpc_parse(JsonRange{ exact.data(), exact.size() }, &m, &fault);
        string seen = string(kinds[m.kind]) + " " + text_of(m.id) + " " + text_of(m.method) + " " + text_of(m.params) + " " +
                      text_of(m.result) + " " + text_of(m.error);

        EXPECT_TRUE(r == 0 || r == -EBADMSG);
        return r == 0 ? seen : seen + " | " + std::to_string(fault.offset) + " " + fault.what;
}

TEST(JsonRpc, FindsTheFourKinds) {
        EXPECT_EQ(parse("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"a/b\",\"params\":{\"x\":[1]}}"), "request 7 \"a/b\" {\"x\":[1]} - -");
        EXPECT_EQ(parse(" { \"method\" : \"m\" , \"jsonrpc\" : \"2.0\" } \n"), "notification - \"m\" - - -");
        EXPECT_EQ(parse("{\"id\":\"x\",\"result\":null}"), "result \"x\" - - null -");
        EXPECT_EQ(parse("{\"result\":{\"id\":3},\"id\":4,\"jsonrpc\":\"2.0\"}"), "result 4 - - {\"id\":3} -");
        EXPECT_EQ(parse("{\"id\":null,\"error\":{\"code\":-32700,\"message\":\"no\"}}"),
                  "error null - - - {\"code\":-32700,\"message\":\"no\"}");
        EXPECT_EQ(parse("{\"id\":1,\"method\":\"m\",\"params\":null}"), "request 1 \"m\" - - -");
        EXPECT_EQ(parse("{\"id\":1,\"method\":\"m\",\"params\":[]}"), "request 1 \"m\" [] - -");
        EXPECT_EQ(parse("{\"extra\":{\"method\":1},\"\\u0069d\":1,\"result\":1,\"extra\":2}"), "result 1 - - 1 -");
}

TEST(JsonRpc, WholeIsTheObject) {
        const char *text = "  {\"method\":\"m\"} ";
        JsonRpcMessage m;

        ASSERT_EQ(jsonrpc_parse(JSON_RANGE(text), &m, nullptr), 0);
        EXPECT_EQ(m.whole.data, text + 2);
        EXPECT_EQ(text_of(m.whole), "{\"method\":\"m\"}");
        EXPECT_EQ(m.method.data, text + 12);
}

TEST(JsonRpc, RefusesWhatIsNoMessage) {
        const struct {
                const char *text, *seen;
        } cases[] = {
                { "", "result - - - - - | 0 the text ends where a value is expected" },
                { "nonsense", "result - - - - - | 0 a word that is neither true, false nor null" },
                { "[1]", "result - - - - - | 0 a message is an object" },
                { "{}", "result - - - - - | 0 neither \"method\" nor \"result\" nor \"error\"" },
                { "{\"id\":1}", "result 1 - - - - | 0 neither \"method\" nor \"result\" nor \"error\"" },
                { "{\"result\":1}", "result - - - 1 - | 0 an answer without \"id\"" },
                { "{\"id\":null,\"result\":1}", "result null - - 1 - | 0 a \"result\" whose \"id\" is null" },
                { "{\"id\":1,\"result\":1,\"error\":{\"code\":1,\"message\":\"\"}}",
                  "error 1 - - 1 {\"code\":1,\"message\":\"\"} | 0 both \"result\" and \"error\"" },
                { "{\"id\":1,\"method\":\"m\",\"result\":1}",
                  "request 1 \"m\" - 1 - | 0 a \"method\" together with a \"result\" or \"error\"" },
                { "{\"id\":1,\"result\":1,\"params\":[]}", "request 1 - [] 1 - | 0 \"params\" without a \"method\"" },
                { "{\"id\":1,\"error\":null}", "error 1 - - - - | 16 \"error\" is no object" },
                { "{\"id\":1,\"error\":{\"message\":\"\"}}", "error 1 - - - - | 16 \"error\" has no \"code\" that is a number" },
                { "{\"id\":1,\"error\":{\"code\":\"1\",\"message\":\"\"}}",
                  "error 1 - - - - | 16 \"error\" has no \"code\" that is a number" },
                { "{\"id\":1,\"error\":{\"code\":1}}", "error 1 - - - - | 16 \"error\" has no \"message\" that is a string" },
                { "{\"id\":true,\"result\":1}", "result - - - - - | 6 \"id\" is neither string, number nor null" },
                { "{\"id\":[1],\"result\":1}", "result - - - - - | 6 \"id\" is neither string, number nor null" },
                { "{\"method\":1}", "notification - - - - - | 10 \"method\" is no string" },
                { "{\"method\":\"m\",\"params\":1}", "notification - \"m\" - - - | 23 \"params\" is neither object nor array" },
                { "{\"jsonrpc\":\"1.0\",\"method\":\"m\"}", "result - - - - - | 11 a version of \"jsonrpc\" other than \"2.0\"" },
                { "{\"jsonrpc\":2.0,\"method\":\"m\"}", "result - - - - - | 11 a version of \"jsonrpc\" other than \"2.0\"" },
                { "{\"id\":1,\"id\":1,\"result\":1}", "result 1 - - - - | 8 a member of the message appears twice" },
                { "{\"id\":1,\"result\":1,\"r\\u0065sult\":1}", "result 1 - - 1 - | 19 a member of the message appears twice" },
                { "{\"id\":1,\"result\":[1,]}", "result 1 - - - - | 20 a closing bracket where a value is expected" },
                { "{\"id\":1,\"result\":\"\xff\"}", "result 1 - - - - | 18 a byte that is no UTF-8" },
                { "{\"id\":1,\"params\":[1,],\"method\":\"m\"}", "request 1 - - - - | 20 a closing bracket where a value is expected" },
                { "{\"id\":1,\"result\":1} x", "result 1 - - 1 - | 20 something behind the message" },
                { "{\"id\":1,\"result\":1}{", "result 1 - - 1 - | 19 something behind the message" },
                { "{\"id\":1,\"result\":1", "result 1 - - 1 - | 18 the text ends inside an object" },
                { "{\"id\":1,\"result\":1,}", "result 1 - - 1 - | 19 a key in double quotes is expected" },
                { "{\"id\":1,\"result\":1]", "result 1 - - 1 - | 18 a comma or } is expected" },
                { "{\"id\" 1}", "result - - - - - | 6 a colon is expected behind a key" },
                { "{", "result - - - - - | 1 a key in double quotes is expected" },
        };

        for (const auto &c : cases)
                EXPECT_EQ(parse(c.text), c.seen) << c.text;
}

/* Cut anywhere, a message is no message; and nothing behind the cut is looked at (ASan). */
TEST(JsonRpc, PrefixesAreRefused) {
        string text =
                "{\"jsonrpc\":\"2.0\",\"id\":12,\"error\":{\"code\":-1,\"message\":\"\\u00e4\xc3\xa4\",\"data\":[true,false,null,1.5e+3]}}";

        ASSERT_EQ(parse(text).find('|'), string::npos);
        for (size_t size = 0; size < text.size(); size++)
                EXPECT_NE(parse(text.substr(0, size)).find('|'), string::npos) << size;
}

TEST(JsonRpc, WhatCheckTakesIsTakenAsAMember) {
        string deep = string(JSON_DEPTH_MAX, '[') + string(JSON_DEPTH_MAX, ']');

        EXPECT_EQ(json_check(JSON_RANGE(deep.c_str()), nullptr, nullptr), 0);
        EXPECT_EQ(parse("{\"id\":1,\"result\":" + deep + "}"), "result 1 - - " + deep + " -");
        EXPECT_NE(parse("{\"id\":1,\"result\":[" + deep + "]}").find("nested deeper"), string::npos);
}

static std::pair<int, string> error_of(const char *text) {
        char *message;
        int code;

        jsonrpc_error_get(JSON_RANGE(text), &code, &message);
        string copy = message;
        g_free(message);
        return { code, copy };
}

TEST(JsonRpc, ErrorGet) {
        using P = std::pair<int, string>;

        EXPECT_EQ(error_of("{\"code\":-32601,\"message\":\"no \\\"x\\\"\"}"), P(-32601, "no \"x\""));
        EXPECT_EQ(error_of("{\"message\":\"m\",\"code\":0}"), P(0, "m"));
        EXPECT_EQ(error_of("{\"code\":2147483647,\"message\":\"\"}"), P(INT_MAX, ""));
        for (const char *large :
             { "{\"code\":2147483648,\"message\":\"m\"}", "{\"code\":1.5,\"message\":\"m\"}", "{\"code\":-99999999999,\"message\":\"m\"}" })
                EXPECT_EQ(error_of(large), P(JSONRPC_INTERNAL_ERROR, "m")) << large;
        EXPECT_EQ(error_of("{\"code\":1,\"message\":\"\\u0000\"}"), P(1, "(an error without a message)"));
}
