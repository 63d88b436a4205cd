/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Good manifests made bad in every way that a hand or a disk can: none crashes, each error names the file and the place in it. */
#include <gtest/gtest.h>

#include "manifest-support.h"

#include <json-glib/json-glib.h>
#include <random>

namespace {

const std::string good[] = {
        R"({
    "manifestVersion": 1, "id": "x", "name": "Files", "dialect": "mcp", "command": "tool",
    "args": ["-y", "server", "/srv"], "env": {"NODE_ENV": "production", "DEBUG": ""}, "mcp": {"era": "modern"}
})",
        R"({
    "manifestVersion": 1, "dialect": "lsp", "command": "/bin/sh", "cwd": "/srv", "framing": "headers",
    "lsp": {"rootUri": "file:///srv/a%20b", "initializationOptions": {"a": [1, 2.5, null]}}, "timeouts": {"idle": 1800, "start": 0.5}
})",
        R"({
    "$schema": "s", "_meta": {"k": []}, "manifestVersion": 1, "dialect": "plugind", "command": "tool", "activation": "boot", "version": "1",
    "description": "D", "restart": {"policy": "always", "maxDelay": 10, "burst": 3, "preventExit": [78, 1]},
    "health": {"interval": 10, "timeout": 2, "failures": 2}, "configuration": {"station": "EDDF", "alarm": {"above": [35.5]}}
})",
        R"({
    "manifestVersion": 1, "dialect": "mcp", "command": "tool", "sandbox": {"profile": "network", "readWritePaths": ["/srv/a", "/srv/b"],
    "readOnlyPaths": ["/home/x"], "devices": ["/dev/dri/card0"], "syscalls": ["@debug", "ptrace"], "memoryMax": "512M", "tasksMax": 20,
    "cpuQuota": "150%", "user": "www-data"}
})", R"({"manifestVersion": 1, "type": "external", "dialect": "jsonrpc", "timeouts": {"request": 5}, "health": false})",
};

class Mutator {
      public:
        std::string mutate(const std::string &text) {
                switch (random(6)) {
                case 0:
                        return reshape(text, [](JsonObject *object, const char *key) { json_object_remove_member(object, key); });
                case 1:
                        return reshape(text, [this](JsonObject *object, const char *key) {
                                std::string name = key;

                                name[random(name.size())] ^= 1 << random(5);
                                json_object_set_member(object, name.c_str(), json_node_copy(json_object_get_member(object, key)));
                                json_object_remove_member(object, key);
                        });
                case 2:
                        return replace_mark(reshape(
                                text, [](JsonObject *object, const char *key) { json_object_set_string_member(object, key, "@MARK@"); }));
                case 3:
                        return text.substr(0, random(text.size() - 1) + 1);
                case 4:
                        return duplicate(text);
                default:
                        return flip(text);
                }
        }

      private:
        std::mt19937 generator_{ 20260729 };
        const char *values_[15] = { "null",       "true", "-1",  "1e999999",    "\"\"",     "\"\\u0000\"", "\"%q\"",       "[[]]",
                                    "{\"a\":{}}", "[1]",  "300", "\"\\ud800\"", "{\"\":0}", "\"512Q\"",    "[\"/a/../b\"]" };

        size_t random(size_t below) {
                return generator_() % below;
        }

        template <typename Change> std::string reshape(const std::string &text, Change change) {
                g_autoptr(JsonNode) document = json_from_string(text.c_str(), nullptr);
                JsonObject *object = json_node_get_object(document);

                for (;;) {
                        g_autoptr(GList) keys = json_object_get_members(object);
                        const char *key = static_cast<const char *>(g_list_nth_data(keys, random(g_list_length(keys))));
                        JsonNode *member = json_object_get_member(object, key);

                        if (JSON_NODE_HOLDS_OBJECT(member) && json_object_get_size(json_node_get_object(member)) > 0 && random(2))
                                object = json_node_get_object(member);
                        else {
                                const std::string copy = key;

                                change(object, copy.c_str());
                                break;
                        }
                }
                g_autofree char *changed = json_to_string(document, random(2));
                return changed;
        }

        /* Values that json-glib would not take stand in the text alone. */
        std::string replace_mark(std::string text) {
                const std::string mark = "\"@MARK@\"";

                return text.replace(text.find(mark), mark.size(), values_[random(std::size(values_))]);
        }

        /* A member of the outermost object once more. */
        std::string duplicate(const std::string &text) {
                g_autoptr(JsonNode) document = json_from_string(text.c_str(), nullptr);
                g_autoptr(GList) keys = json_object_get_members(json_node_get_object(document));
                const char *key = static_cast<const char *>(g_list_nth_data(keys, random(g_list_length(keys))));
                g_autofree char *member = json_to_string(json_object_get_member(json_node_get_object(document), key), FALSE);

                return text.substr(0, text.rfind('}')) + ", \"" + key + "\": " + member + "}";
        }

        std::string flip(std::string text) {
                for (size_t n = random(3) + 1; n > 0; n--)
                        text[random(text.size())] ^= static_cast<char>(1 << random(8));
                return text;
        }
};

} // namespace

TEST(ManifestMutations, NoneCrashesAndEachErrorNamesFileAndPlace) {
        const char *expected = "^(line [0-9]+, column [0-9]+: .+|[^:]+: found .+, expected .+)$";
        Commands commands;
        Folder folder;
        Mutator mutator;
        unsigned n_refused = 0, n_keys = 0;

        for (unsigned i = 0; i < 200; i++) {
                const std::string text = mutator.mutate(good[i % std::size(good)]);
                const std::string file = folder.write("x.json", text);
                Parsed parsed = load(file);

                EXPECT_EQ(parsed.result == 0, parsed.manifest != nullptr);
                if (parsed.result == 0)
                        continue;
                n_refused++;
                EXPECT_EQ(parsed.code, PLUGIND_ERROR_INVALID_MANIFEST) << text;
                ASSERT_EQ(parsed.message.substr(0, file.size() + 2), file + ": ");
                std::string rest = parsed.message.substr(file.size() + 2);
                EXPECT_TRUE(
                        g_regex_match_simple(expected, rest.c_str(), static_cast<GRegexCompileFlags>(0), static_cast<GRegexMatchFlags>(0)))
                        << text << "\n"
                        << rest;
                EXPECT_EQ(rest.find('\n'), std::string::npos);
                EXPECT_TRUE(g_utf8_validate(rest.c_str(), -1, nullptr)) << rest;
                EXPECT_LT(rest.size(), 700U);
                n_keys += rest.substr(0, 5) != "line ";
        }
        EXPECT_GT(n_refused, 120U);
        EXPECT_LT(n_refused, 200U);
        EXPECT_GT(n_keys, 40U);
        for (const std::string &text : good)
                EXPECT_EQ(load(folder.write("x.json", text)).message, "");
}
