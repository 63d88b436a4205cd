/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parser, schema and documentation tell the same: the schema is asked about every value that the parser is asked about, at every key. */
#include <gtest/gtest.h>

#include "json-schema.h"
#include "manifest-support.h"

#include <functional>
#include <set>

extern "C" {
#include "host/manifest-reader.h"
}

namespace {

using NodePointer = std::unique_ptr<JsonNode, decltype(&json_node_unref)>;
using Path = std::vector<std::string>;

NodePointer from_text(const std::string &text) {
        g_autoptr(GError) error = nullptr;
        JsonNode *node = json_from_string(text.c_str(), &error);

        if (!node)
                throw std::runtime_error(text.substr(0, 200) + ": " + (error ? error->message : "empty"));
        return NodePointer(node, json_node_unref);
}

std::string to_text(JsonNode *node) {
        g_autofree char *text = json_to_string(node, FALSE);

        return text;
}

/* As somebody would write it. */
std::string told(JsonNode *value) {
        if (json_node_get_value_type(value) == G_TYPE_STRING)
                return json_node_get_string(value);
        if (json_node_get_value_type(value) != G_TYPE_DOUBLE)
                return to_text(value);
        g_autofree char *text = g_strdup_printf("%.15g", json_node_get_double(value));
        return text;
}

std::string join(const Path &path) {
        std::string joined;

        for (const std::string &key : path)
                joined += (joined.empty() ? "" : ".") + key;
        return joined;
}

/* Calls FOUND for each key that SCHEMA knows, also within its alternatives. */
void each_key(JsonNode *schema, const Path &outer, const std::function<void(const Path &, JsonNode *)> &found) {
        if (!JSON_NODE_HOLDS_OBJECT(schema))
                return;
        JsonObject *object = json_node_get_object(schema);

        if (json_object_has_member(object, "oneOf")) {
                JsonArray *alternatives = json_object_get_array_member(object, "oneOf");

                for (guint i = 0; i < json_array_get_length(alternatives); i++)
                        each_key(json_array_get_element(alternatives, i), outer, found);
        }
        if (!json_object_has_member(object, "properties"))
                return;
        JsonObjectIter iter;
        const char *name;
        JsonNode *member;

        json_object_iter_init(&iter, json_object_get_object_member(object, "properties"));
        while (json_object_iter_next(&iter, &name, &member)) {
                Path path = outer;

                path.push_back(name);
                found(path, member);
                each_key(member, path, found);
        }
}

void each_parser_key(const ManifestKey *keys, const std::string &outer, std::set<std::string> *all) {
        for (const ManifestKey *key = keys; key->name; key++) {
                all->insert(outer + key->name);
                if (key->members)
                        each_parser_key(key->members, outer + key->name + ".", all);
        }
}

/* BASE with VALUE at PATH. */
NodePointer put(const std::string &base, const Path &path, const std::string &value) {
        NodePointer document = from_text(base);
        JsonObject *object = json_node_get_object(document.get());

        for (size_t i = 0; i + 1 < path.size(); i++) {
                if (!json_object_has_member(object, path[i].c_str()) ||
                    !JSON_NODE_HOLDS_OBJECT(json_object_get_member(object, path[i].c_str())))
                        json_object_set_object_member(object, path[i].c_str(), json_object_new());
                object = json_object_get_object_member(object, path[i].c_str());
        }
        json_object_set_member(object, path.back().c_str(), from_text(value).release());
        return document;
}

std::string repeated(const std::string &item, size_t n) {
        std::string list = "[";

        for (size_t i = 0; i < n; i++)
                list += (i > 0 ? "," : "") + item;
        return list + "]";
}

std::string variables(size_t n) {
        std::string object = "{";

        for (size_t i = 0; i < n; i++)
                object += (i > 0 ? ",\"V" : "\"V") + std::to_string(i) + "\":\"\"";
        return object + "}";
}

std::string text_of(size_t size, const std::string &head = "") {
        return "\"" + head + std::string(size - head.size(), 'a') + "\"";
}

void add_sized(size_t size, std::vector<std::string> *all) {
        for (const char *head : { "", "/", "/dev/", "a:" })
                all->push_back(text_of(size, head));
        all->push_back("[" + text_of(size, "/dev/") + "]");
        all->push_back("[" + text_of(size) + "]");
        all->push_back("{" + text_of(size) + ": \"\"}");
        if (size > 1025)
                return;
        all->push_back(repeated("1", size));
        all->push_back(repeated("\"\"", size));
        all->push_back(variables(size));
}

/* Values at and beyond every bound of the schema, and of every type. */
std::vector<std::string> values(JsonNode *schema) {
        std::vector<std::string> all = {
                "null",
                "true",
                "false",
                "0",
                "1",
                "-1",
                "1.0",
                "1.5",
                "2",
                "0.0005",
                "0.001",
                "255",
                "256",
                "10000",
                "10001",
                "86400",
                "86401",
                "31536000",
                "31536001",
                "1e300",
                R"("")",
                R"("x")",
                R"("tool")",
                R"("bogus")",
                R"("/x")",
                R"("/bin/sh")",
                R"("file:///x%20y")",
                R"("file:///%zz")",
                R"(":x")",
                R"("x\u0007y")",
                R"("x\u007fy")",
                R"("x y")",
                R"("-x")",
                "[]",
                R"(["x"])",
                R"(["x", 1])",
                "[1]",
                "[1.5]",
                "[256]",
                "[0, 255]",
                "{}",
                R"({"A": "x"})",
                R"({"A": 1})",
                R"({"PLUGIND_A": "x"})",
                R"({"1A": "x"})",
                R"({"zzz": 1})",
                R"({"": ""})",
                R"(["/x"])",
                R"(["/x/y", "/z"])",
                R"(["/"])",
                R"(["/x/"])",
                R"(["/x//y"])",
                R"(["/x/../y"])",
                R"(["/x/.."])",
                R"(["/./x"])",
                R"(["/.../..x"])",
                R"(["/dev/x"])",
                R"(["/dev"])",
                R"(["/device"])",
                R"(["ptrace", "@debug"])",
                R"(["@"])",
                R"(["~ptrace"])",
                R"(["@a_b"])",
                R"(["a-b"])",
                R"("512M")",
                R"("1024K")",
                R"("1024T")",
                R"("0M")",
                R"("M")",
                R"("512m")",
                R"("512MB")",
                R"("1%")",
                R"("150%")",
                R"("100000%")",
                R"("100001%")",
                R"("0%")",
                R"("1.5%")",
                R"("root")",
                R"("www-data")",
                R"("a.b")",
                "1048575",
                "1048576",
                "1048576.5",
                "4194304",
                "4194305",
                "1125899906842624",
                "1125899906842625",
        };
        if (json_object_has_member(json_node_get_object(schema), "enum")) {
                JsonArray *words = json_object_get_array_member(json_node_get_object(schema), "enum");

                for (guint i = 0; i < json_array_get_length(words); i++)
                        all.push_back(to_text(json_array_get_element(words, i)));
        }
        for (const char *word : { R"("always")", R"("on-failure")", R"("never")" })
                all.push_back(word);
        for (size_t bound : { 31, 64, 128, 256, 1024, 4095, 4096, 131071 })
                if (to_text(schema).find(":" + std::to_string(bound)) != std::string::npos)
                        for (size_t size : { bound, bound + 1 })
                                add_sized(size, &all);
        return all;
}

class ManifestSchema : public testing::Test {
      protected:
        Commands commands;
        NodePointer schema = from_text(Folder::read(SOURCE_ROOT "/docs/manifest.schema.json"));

        /* What no schema can tell. */
        static bool beyond_a_schema(const Path &path, const std::string &value) {
                if (path == Path{ "command" }) /* it has to be there */
                        return value[0] == '"' && value != R"("tool")" && value != R"("/bin/sh")" && value != R"("")";
                if (path == Path{ "restart", "maxDelay" }) /* not below delay */
                        return value == "0" || value == "0.0005" || value == "0.001";
                return false;
        }
};

const std::string bases[] = {
        R"({"manifestVersion": 1, "dialect": "mcp", "command": "tool"})",
        R"({"manifestVersion": 1, "dialect": "lsp", "command": "tool"})",
        R"({"manifestVersion": 1, "dialect": "jsonrpc", "command": "tool"})",
        R"({"manifestVersion": 1, "dialect": "plugind", "type": "external"})",
};

} // namespace

TEST_F(ManifestSchema, KnowsTheKeysOfTheParserAndNoOthers) {
        std::set<std::string> by_schema, by_parser;

        each_key(schema.get(), {}, [&](const Path &path, JsonNode *) { by_schema.insert(join(path)); });
        each_parser_key(manifest_keys, "", &by_parser);
        EXPECT_EQ(by_schema, by_parser);
}

TEST_F(ManifestSchema, AgreesWithTheParserOnEveryKeyAndValue) {
        unsigned n = 0, n_fine = 0;

        for (const std::string &base : bases)
                each_key(schema.get(), {}, [&](const Path &path, JsonNode *of_key) {
                        for (const std::string &value : values(of_key)) {
                                if (beyond_a_schema(path, value))
                                        continue;
                                NodePointer document = put(base, path, value);
                                Parsed parsed = parse(to_text(document.get()), path == Path{ "id" } ? nullptr : "x");
                                bool fine = parsed.result == 0;

                                if (path != Path{ "id" } || value[0] != '"' || schema_allows(of_key, from_text(value).get())) {
                                        EXPECT_EQ(schema_allows(schema.get(), document.get()), fine)
                                                << join(path) << " = " << value.substr(0, 100) << " in " << base << ": " << parsed.message;
                                }
                                n++;
                                n_fine += fine;
                        }
                });
        EXPECT_GT(n_fine, 1000U);
        EXPECT_GT(n - n_fine, 4000U);
}

TEST_F(ManifestSchema, RequiresWhatTheParserRequires) {
        for (const std::string &base : bases) {
                EXPECT_TRUE(schema_allows(schema.get(), from_text(base).get())) << base;
                EXPECT_EQ(parse(base).message, "");
                for (const char *key : { "manifestVersion", "dialect", "command", "type" }) {
                        NodePointer document = from_text(base);

                        json_object_remove_member(json_node_get_object(document.get()), key);
                        EXPECT_EQ(schema_allows(schema.get(), document.get()), parse(to_text(document.get())).result == 0)
                                << base << " without " << key;
                }
        }
}

TEST_F(ManifestSchema, TellsTheDefaultsOfTheParser) {
        unsigned n = 0;

        each_key(schema.get(), {}, [&](const Path &path, JsonNode *of_key) {
                JsonNode *value = json_object_get_member(json_node_get_object(of_key), "default");
                const std::string &base = bases[path[0] == "lsp" ? 1 : 0];

                if (!value)
                        return;
                Parsed given = parse(to_text(put(base, path, to_text(value)).get())), omitted = parse(base);

                ASSERT_NE(given.manifest, nullptr) << join(path) << ": " << given.message;
                EXPECT_EQ(dump(given.manifest.get()), dump(omitted.manifest.get())) << join(path);
                n++;
        });
        EXPECT_GE(n, 20U);
}

TEST_F(ManifestSchema, EveryKeyIsDescribed) {
        each_key(schema.get(), {}, [&](const Path &path, JsonNode *of_key) {
                EXPECT_TRUE(json_object_has_member(json_node_get_object(of_key), "description")) << join(path);
        });
}

TEST_F(ManifestSchema, EveryKeyIsDocumentedWithItsDefault) {
        const std::string page = Folder::read(SOURCE_ROOT "/docs/manifest.md");

        each_key(schema.get(), {}, [&](const Path &path, JsonNode *of_key) {
                size_t row = page.find("\n| `" + join(path) + "` |");

                ASSERT_NE(row, std::string::npos) << join(path);
                JsonNode *value = json_object_get_member(json_node_get_object(of_key), "default");
                std::string line = page.substr(row + 1, page.find('\n', row + 1) - row - 1);

                if (!value)
                        return;
                if (JSON_NODE_HOLDS_VALUE(value)) {
                        EXPECT_TRUE(line.find("| " + told(value)) != std::string::npos ||
                                    line.find("| `" + told(value) + "`") != std::string::npos)
                                << line << " should tell " << told(value);
                } else if (path != Path{ "health" }) {
                        EXPECT_NE(line.find("| `" + to_text(value) + "` |"), std::string::npos) << line;
                }
        });
}

TEST_F(ManifestSchema, TheExamplesOfTheDocumentationAreFine) {
        const std::string page = Folder::read(SOURCE_ROOT "/docs/manifest.md");
        const char *ids[] = { "files", "clangd@kernel", "weather" };
        Commands installed({ "npx", "clangd", "python3" });
        const std::string head = "```json\n", tail = "```";
        size_t n = 0;

        for (size_t at = page.find(head); at != std::string::npos; at = page.find(head, at + 1), n++) {
                const size_t begin = at + head.size();
                const std::string example = page.substr(begin, page.find(tail, begin) - begin);

                ASSERT_LT(n, std::size(ids));

                EXPECT_EQ(parse(example, ids[n]).message, "") << example;
                EXPECT_TRUE(schema_allows(schema.get(), from_text(example).get())) << example;
        }
        EXPECT_EQ(n, std::size(ids));
}
