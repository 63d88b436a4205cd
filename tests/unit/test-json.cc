/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <vector>

extern "C" {
#include "basic/json.h"
}

using std::string;

static JsonRange range(const string &text) {
        return JsonRange{ text.data(), text.size() };
}

static string text_of(JsonRange r) {
        return r.data ? string(r.data, r.size) : "(absent)";
}

static string owned(char *text) {
        string copy = text ? text : "(null)";

        g_free(text);
        return copy;
}

/* The fault as "offset what", or "ok". A copy of exactly the size lets ASan see a byte too many. */
static string check(const string &text) {
        std::vector<char> exact(text.begin(), text.end());
        JsonFault fault = {};

        if (json_check(JsonRange{ exact.data(), exact.size() }, nullptr, &fault) == 0)
                return "ok";
        return std::to_string(fault.offset) + " " + fault.what;
}

TEST(Json, AcceptsWhatRfc8259Says) {
        for (const char *text : { "{}",
                                  "[]",
                                  "\"\"",
                                  "0",
                                  "-0",
                                  "-1",
                                  "10",
                                  "1.5",
                                  "1e5",
                                  "1E+5",
                                  "1e-5",
                                  "0.0e0",
                                  "true",
                                  "false",
                                  "null",
                                  " \t\r\n1 \t\r\n",
                                  "[1,2]",
                                  "{\"\":1}",
                                  "{\"a\":{\"b\":[{},[],null]},\"c\":\"d\"}",
                                  "[ [ ] , { } ]",
                                  "{ \"a\" : 1 , \"b\" : 2 }",
                                  "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uD834\\udd1e\"",
                                  "\"\\ud800\"",
                                  "\"\x7f\"",
                                  "{\"a\":1,\"a\":2}",
                                  "123456789012345678901234567890",
                                  "1e999" })
                EXPECT_EQ(check(text), "ok") << text;
}

TEST(Json, RefusesWithOffsetAndReason) {
        const struct {
                const char *text, *fault;
        } cases[] = {
                { "", "0 the text ends where a value is expected" },
                { "  ", "2 the text ends where a value is expected" },
                { "\xef\xbb\xbf{}", "0 a byte order mark" },
                { "01", "0 a number with a leading zero" },
                { "-01", "1 a number with a leading zero" },
                { "-", "1 a minus sign without digits" },
                { "- 1", "1 a minus sign without digits" },
                { "+1", "0 a value is expected" },
                { ".5", "0 a value is expected" },
                { "1.", "2 a decimal point without digits behind it" },
                { "1.e5", "2 a decimal point without digits behind it" },
                { "1e", "2 an exponent without digits" },
                { "1e+", "3 an exponent without digits" },
                { "0x10", "1 something behind the value" },
                { "[1,]", "3 a closing bracket where a value is expected" },
                { "[,1]", "1 a value is expected" },
                { "[1 2]", "3 a comma or ] is expected" },
                { "[1}", "2 a comma or ] is expected" },
                { "[", "1 the text ends where a value is expected" },
                { "[1", "2 the text ends inside an array" },
                { "{\"a\":1,}", "7 a comma before the end of an object" },
                { "{,}", "1 a key in double quotes is expected" },
                { "{a:1}", "1 a key in double quotes is expected" },
                { "{1:1}", "1 a key in double quotes is expected" },
                { "{\"a\" 1}", "5 a colon is expected behind a key" },
                { "{\"a\"}", "4 a colon is expected behind a key" },
                { "{\"a\":}", "5 a closing bracket where a value is expected" },
                { "{\"a\":1 \"b\":2}", "7 a comma or } is expected" },
                { "{\"a\":1]", "6 a comma or } is expected" },
                { "{", "1 the text ends inside an object" },
                { "{\"a\":1", "6 the text ends inside an object" },
                { "{\"a\":1,", "7 the text ends inside an object" },
                { "]", "0 a closing bracket where a value is expected" },
                { "{}}", "2 something behind the value" },
                { "1 2", "2 something behind the value" },
                { "{} {}", "3 something behind the value" },
                { "'a'", "0 a single quote: strings take double quotes" },
                { "\"abc", "4 the text ends inside a string" },
                { "\"\\", "2 the text ends inside a string" },
                { "\"\\u12", "5 the text ends inside a string" },
                { "\"\\u12g4\"", "5 \\u is not followed by four hexadecimal digits" },
                { "\"\\x41\"", "2 an unknown escape in a string" },
                { "\"a\nb\"", "2 a raw control character in a string" },
                { "\"\x1f\"", "1 a raw control character in a string" },
                { "truE", "0 a word that is neither true, false nor null" },
                { "nul", "0 a word that is neither true, false nor null" },
                { "nulll", "4 something behind the value" },
                { "NaN", "0 a value is expected" },
                { "Infinity", "0 a value is expected" },
                { "/**/1", "0 a value is expected" },
                { "1\v", "1 something behind the value" },
                { "\v1", "0 a value is expected" },
        };

        for (const auto &c : cases)
                EXPECT_EQ(check(c.text), c.fault) << c.text;
        EXPECT_EQ(check(string("\"a\0b\"", 5)), "2 a NUL byte");
        EXPECT_EQ(check(string("\0", 1)), "0 a NUL byte");
        EXPECT_EQ(check(string("1\0", 2)), "1 a NUL byte");
}

/* Every byte sequence of up to four bytes with a leading byte that is not ASCII, judged by GLib. */
TEST(Json, Utf8IsWhatGlibSaysItIs) {
        const unsigned char interesting[] = { 0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf,
                                              0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff };
        unsigned good = 0;

        for (unsigned first = 0x80; first < 0x100; first++)
                for (unsigned char second : interesting)
                        for (unsigned char third : interesting)
                                for (unsigned char fourth : { 0x41, 0x7f, 0x80, 0xbf, 0xc0 }) {
                                        string bytes{ (char) first, (char) second, (char) third, (char) fourth };
                                        bool expected = g_utf8_validate_len(bytes.data(), bytes.size(), nullptr) &&
                                                        !memchr(bytes.data(), 0, 4);

                                        good += expected;
                                        ASSERT_EQ(check("\"" + bytes + "\"") == "ok", expected)
                                                << std::hex << first << " " << (int) second << " " << (int) third << " " << (int) fourth;
                                }
        EXPECT_GT(good, 500u);
        EXPECT_EQ(check("\"a\xed\xa0\x80\""), "2 a byte that is no UTF-8");
        EXPECT_EQ(check("\"\xe2\x82"), "1 a byte that is no UTF-8");
}

/* What stops a run of plain bytes is found at every place of a 16 byte block, an 8 byte block and the rest. */
TEST(Json, EveryByteIsSeenAtEveryPlace) {
        for (size_t size = 1; size < 70; size++)
                for (size_t place = 0; place < size; place++)
                        for (const char *bad : { "\x01", "\x1f", "\n", "\x80", "\xff", "\"" }) {
                                string text(size, 'x');

                                text[place] = *bad;
                                ASSERT_NE(check("\"" + text + "\""), "ok") << size << " " << place;
                                text[place] = ' ';
                                ASSERT_EQ(check("\"" + text + "\""), "ok");
                        }
}

TEST(Json, DepthIsBounded) {
        string deep = string(JSON_DEPTH_MAX, '[') + string(JSON_DEPTH_MAX, ']');
        string objects;

        EXPECT_EQ(check(deep), "ok");
        EXPECT_EQ(check("[" + deep + "]"), std::to_string(JSON_DEPTH_MAX) + " nested deeper than 512 levels");
        for (int i = 0; i < JSON_DEPTH_AROUND; i++)
                deep = "[" + deep + "]";
        EXPECT_EQ(json_check_around(JSON_RANGE(deep.c_str()), nullptr, nullptr), 0);
        deep = "[" + deep + "]";
        EXPECT_EQ(json_check_around(JSON_RANGE(deep.c_str()), nullptr, nullptr), -EBADMSG);
        for (int i = 0; i < JSON_DEPTH_MAX / 2; i++)
                objects += "{\"a\":[";
        for (int i = 0; i < JSON_DEPTH_MAX / 2; i++)
                objects += "]}";
        EXPECT_EQ(check(objects), "ok");
        objects[objects.size() - 40] = '}';
        EXPECT_NE(check(objects), "ok"); /* which bracket is open is known at every level */
        EXPECT_NE(check(string(32 << 20, '[')), "ok");
}

TEST(Json, CheckTrimsWhiteSpace) {
        JsonRange value;

        EXPECT_EQ(json_check(JSON_RANGE(" \n[1] "), &value, nullptr), 0);
        EXPECT_EQ(text_of(value), "[1]");
        EXPECT_EQ(json_check(JsonRange{ nullptr, 0 }, &value, nullptr), -EBADMSG);
        EXPECT_EQ(text_of(value), "[1]"); /* untouched */
}

TEST(Json, ScanValueStopsBehindTheValue) {
        string text = " {\"a\":1} , [2]";
        size_t position = 0;
        JsonRange value;
        JsonFault fault;

        EXPECT_EQ(json_scan_value(range(text), &position, &value, &fault), 0);
        EXPECT_EQ(text_of(value), "{\"a\":1}");
        EXPECT_EQ(position, 8u);
        EXPECT_EQ(json_scan_value(range(text), &position, &value, &fault), -EBADMSG);
        EXPECT_EQ(fault.offset, 9u);
        EXPECT_EQ(position, 8u);
}

TEST(Json, NextWalksObjectsAndArrays) {
        string object = "{ \"a\" : 1 , \"b\\n\":[2, 3] ,\"c\":{} }", seen;
        JsonRange key, value;

        for (size_t cursor = 0; json_next(range(object), &cursor, &key, &value);)
                seen += text_of(key) + "=" + text_of(value) + ";";
        EXPECT_EQ(seen, "\"a\"=1;\"b\\n\"=[2, 3];\"c\"={};");
        seen.clear();
        for (size_t cursor = 0; json_next(JSON_RANGE("[ 1,\"x\", [ ] ]"), &cursor, nullptr, &value);)
                seen += text_of(value) + ";";
        EXPECT_EQ(seen, "1;\"x\";[ ];");
        for (const char *empty : { "{}", "[]", "[ ]", "{\n}", "1", "\"a\"", "null" }) {
                size_t cursor = 0;

                EXPECT_FALSE(json_next(JSON_RANGE(empty), &cursor, &key, &value)) << empty;
        }
}

TEST(Json, FindComparesDecodedKeysAndTakesTheFirst) {
        string object = "{\"x\":{\"id\":1},\"\\u0069d\":2,\"id\":3,\"\":4}";
        JsonRange value = {};

        EXPECT_TRUE(json_find(range(object), "id", &value));
        EXPECT_EQ(text_of(value), "2");
        EXPECT_TRUE(json_find(range(object), "", &value));
        EXPECT_EQ(text_of(value), "4");
        EXPECT_FALSE(json_find(range(object), "i", &value));
        EXPECT_FALSE(json_find(JSON_RANGE("[\"id\",1]"), "id", &value));
        EXPECT_EQ(text_of(value), "4");
}

TEST(Json, StringEquals) {
        EXPECT_TRUE(json_string_equals(JSON_RANGE("\"abc\""), "abc"));
        EXPECT_FALSE(json_string_equals(JSON_RANGE("\"abc\""), "ab"));
        EXPECT_FALSE(json_string_equals(JSON_RANGE("\"abc\""), "abcd"));
        EXPECT_TRUE(json_string_equals(JSON_RANGE("\"a\\u00e4\\n\\/\""), "a\xc3\xa4\n/"));
        EXPECT_TRUE(json_string_equals(JSON_RANGE("\"\\ud834\\udd1e\""), "\xf0\x9d\x84\x9e"));
        EXPECT_FALSE(json_string_equals(JSON_RANGE("\"a\\u0000\""), "a"));
        EXPECT_FALSE(json_string_equals(JSON_RANGE("\"\\u0000\""), ""));
        EXPECT_FALSE(json_string_equals(JSON_RANGE("12"), "12"));
        EXPECT_FALSE(json_string_equals(JsonRange{}, ""));
        EXPECT_TRUE(json_string_equals(JSON_RANGE("\"\""), ""));
}

TEST(Json, StringDecode) {
        EXPECT_EQ(owned(json_string_decode(JSON_RANGE("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00E4x\""))), "\"\\/\b\f\n\r\t\xc3\xa4x");
        EXPECT_EQ(owned(json_string_decode(JSON_RANGE("\"\\ud834\\udd1e\""))), "\xf0\x9d\x84\x9e");
        for (const char *lone : { "\"\\ud834\"", "\"\\udd1e\"" })
                EXPECT_EQ(owned(json_string_decode(JSON_RANGE(lone))), "\xef\xbf\xbd") << lone;
        EXPECT_EQ(owned(json_string_decode(JSON_RANGE("\"\\ud834\\u0041\""))), "\xef\xbf\xbd"
                                                                               "A");
        EXPECT_EQ(owned(json_string_decode(JSON_RANGE("\"\\ud834\\ud834\\udd1e\""))), "\xef\xbf\xbd\xf0\x9d\x84\x9e");
        EXPECT_EQ(owned(json_string_decode(JSON_RANGE("\"a\\u0000\""))), "(null)");
        EXPECT_EQ(owned(json_string_decode(JSON_RANGE("1"))), "(null)");
        EXPECT_TRUE(json_string_is_text(JSON_RANGE("\"\\ud834\\udd1e\\\\u0000\"")));
        EXPECT_FALSE(json_string_is_text(JSON_RANGE("\"\\u0000\"")));
        EXPECT_FALSE(json_string_is_text(JSON_RANGE("\"x\\udd1e\"")));
        EXPECT_TRUE(json_string_is_text(JSON_RANGE("\"\\ufffd\"")));
}

TEST(Json, GetUint64) {
        uint64_t number = 7;

        EXPECT_TRUE(json_get_uint64(JSON_RANGE("18446744073709551615"), &number));
        EXPECT_EQ(number, UINT64_MAX);
        EXPECT_TRUE(json_get_uint64(JSON_RANGE("0"), &number));
        EXPECT_EQ(number, 0u);
        number = 7;
        for (const char *other : { "18446744073709551616", "99999999999999999999", "-1", "-0", "1.0", "1e3", "\"1\"", "null" })
                EXPECT_FALSE(json_get_uint64(JSON_RANGE(other), &number)) << other;
        EXPECT_FALSE(json_get_uint64(JsonRange{}, &number));
        EXPECT_EQ(number, 7u);
}

static string appended(const string &text) {
        GString *out = g_string_new("x");

        json_append_string(out, text.data(), text.size());
        return owned(g_string_free(out, FALSE));
}

TEST(Json, AppendString) {
        EXPECT_EQ(appended(""), "x\"\"");
        EXPECT_EQ(appended("a\"\\/\b\f\n\r\t\x01\x7f\xc3\xa4"), "x\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\x7f\xc3\xa4\"");
        EXPECT_EQ(appended(string("a\0b\0", 4)), "x\"a\\u0000b\\u0000\"");
        EXPECT_EQ(appended("\xff\xff"
                           "a\xc3"),
                  "x\"\xef\xbf\xbd\xef\xbf\xbd"
                  "a\xef\xbf\xbd\"");
        EXPECT_EQ(appended(string("\0\xff\n", 3)), "x\"\\u0000\xef\xbf\xbd\\n\"");
}

/* Whatever goes in, what comes out is JSON; text comes back as it was. */
TEST(Json, AppendedStringsAreJson) {
        guint32 seed = 1;

        for (int i = 0; i < 3000; i++) {
                string text;
                GString *out = g_string_new(nullptr);

                for (int n = i % 37; n > 0; n--) {
                        seed = seed * 1664525 + 1013904223;
                        text += (char) (seed >> 24);
                }
                json_append_string(out, text.data(), text.size());
                EXPECT_EQ(json_check(JsonRange{ out->str, out->len }, nullptr, nullptr), 0);
                if (g_utf8_validate(text.data(), (gssize) text.size(), nullptr)) {
                        EXPECT_EQ(owned(json_string_decode(JsonRange{ out->str, out->len })), text);
                }
                g_string_free(out, TRUE);
        }
}

TEST(Json, CopyOneLine) {
        for (size_t size = 0; size < 50; size++)
                for (size_t place = 0; place < MAX(size, 1); place++) {
                        std::vector<char> source(size, 'x'), target(size, 0), expected(size, 'x');

                        if (size > 0) {
                                source[place] = place % 2 ? '\n' : '\r';
                                expected[place] = ' ';
                        }
                        EXPECT_EQ(json_copy_one_line(target.data(), JsonRange{ source.data(), size }), size);
                        EXPECT_EQ(target, expected);
                }
}

TEST(Json, Quote) {
        string text = string(79, 'x') + "\xc3\xa4";

        EXPECT_EQ(owned(json_quote("a\n\x01\xff\xc3\xa4\x7f", 7)), "a\\x0a\\x01\\xff\xc3\xa4\\x7f");
        EXPECT_EQ(owned(json_quote("a\0b", 3)), "a\\x00b");
        EXPECT_EQ(owned(json_quote("\xc3", 1)), "\\xc3");
        EXPECT_EQ(owned(json_quote("", 0)), "");
        EXPECT_EQ(owned(json_quote(text.data(), text.size())), string(79, 'x') + "...");
        EXPECT_EQ(owned(json_quote(text.data(), 80)), string(79, 'x') + "\\xc3");
        EXPECT_EQ(owned(json_quote(string(81, '\0').data(), 81)).size(), 80u * 4 + 3);
}

static string tree(const string &text) {
        JsonNode *node = nullptr;
        char *message = nullptr;
        string result;

        if (json_parse_tree(range(text), &node, &message) < 0) {
                EXPECT_EQ(node, nullptr);
                return owned(message);
        }
        EXPECT_EQ(message, nullptr);
        result = owned(json_to_string(node, FALSE));
        json_node_unref(node);
        return result;
}

TEST(Json, ParseTree) {
        EXPECT_EQ(tree(" {\"a\": [1, 2.5, \"\\u00e4\", null, true, {}], \"b\": {\"a\": -9223372036854775808}} "),
                  "{\"a\":[1,2.5,\"\xc3\xa4\",null,true,{}],\"b\":{\"a\":-9223372036854775808}}");
        EXPECT_EQ(tree("1"), "1");
}

TEST(Json, ParseTreeNamesLineAndColumn) {
        EXPECT_EQ(tree("{\n  \"\xc3\xa4\": 'x'\n}"), "line 2, column 8: a single quote: strings take double quotes");
        EXPECT_EQ(tree("{\"a\": 1,\n \"b\": {\"a\": 2},\n \"\\u0061\": 3}"), "line 3, column 2: the key \"a\" appears twice");
        EXPECT_EQ(tree("[{\"a\":1},{\"a\":2,\"b\":{},\"b\":1}]"), "line 1, column 24: the key \"b\" appears twice");
        EXPECT_EQ(tree("[\"a\\u0000b\"]"), "line 1, column 2: a string with \\u0000 or half of a surrogate pair");
        EXPECT_EQ(tree("{\"\\udc00\":1}"), "line 1, column 2: a string with \\u0000 or half of a surrogate pair");
        EXPECT_EQ(tree("[1,9223372036854775808]"), "line 1, column 4: an integer too large for 64 bits");
        EXPECT_EQ(tree("[-9223372036854775809]"), "line 1, column 2: an integer too large for 64 bits");
        EXPECT_EQ(tree("1e999"), "line 1, column 1: a number too large for a double");
        EXPECT_EQ(tree(""), "line 1, column 1: the text ends where a value is expected");
        EXPECT_EQ(tree("/* c */ {}"), "line 1, column 1: a value is expected");
}
