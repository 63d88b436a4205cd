/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gtest/gtest.h>

#include "manifest-support.h"

extern "C" {
#include "basic/deadline.h"
}

namespace {

const std::string minimal = R"({"manifestVersion": 1, "dialect": "mcp", "command": "tool"})";

/* A manifest that is fine but for MEMBERS. */
std::string with(const std::string &members, const std::string &dialect = "mcp") {
        return R"({"manifestVersion": 1, "dialect": ")" + dialect + R"(", "command": "tool", )" + members + "}";
}

std::string external(const std::string &members) {
        return R"({"manifestVersion": 1, "dialect": "plugind", "type": "external")" + (members.empty() ? "" : ", " + members) + "}";
}

std::vector<std::string> strings(char **list) {
        std::vector<std::string> all;

        for (; list && *list; list++)
                all.push_back(*list);
        return all;
}

class ManifestTest : public testing::Test {
      protected:
        Commands commands;

        void expect_error(const std::string &text, const std::string &message, const char *id = "x") {
                Parsed parsed = parse(text, id);

                EXPECT_EQ(parsed.result, -EBADMSG) << text;
                EXPECT_EQ(parsed.manifest, nullptr);
                EXPECT_EQ(parsed.code, PLUGIND_ERROR_INVALID_MANIFEST);
                EXPECT_EQ(parsed.message, "FILE: " + message) << text;
        }
        void expect_fine(const std::string &text, const char *id = "x") {
                EXPECT_EQ(parse(text, id).message, "") << text;
        }
};

} // namespace

TEST_F(ManifestTest, DefaultsAreThoseOfTheDocumentation) {
        Parsed parsed = parse(minimal);
        const Manifest *m = parsed.manifest.get();

        ASSERT_NE(m, nullptr) << parsed.message;
        EXPECT_STREQ(m->id, "x");
        EXPECT_EQ(m->path, nullptr);
        EXPECT_EQ(m->name, nullptr);
        EXPECT_EQ(m->type, MANIFEST_PROCESS);
        EXPECT_EQ(m->command, commands.folder() / "tool");
        EXPECT_EQ(m->args, nullptr);
        EXPECT_EQ(m->env, nullptr);
        EXPECT_EQ(m->cwd, nullptr);
        EXPECT_EQ(m->dialect, &dialect_mcp);
        EXPECT_EQ(m->framing, FRAMING_LINES);
        EXPECT_EQ(m->activation, ACTIVATION_ON_DEMAND);
        EXPECT_EQ(m->restart.policy, RESTART_ON_FAILURE);
        EXPECT_EQ(m->restart.delay_usec, 100 * USEC_PER_MSEC);
        EXPECT_EQ(m->restart.max_delay_usec, 30 * USEC_PER_SEC);
        EXPECT_EQ(m->restart.reset_after_usec, 30 * USEC_PER_SEC);
        EXPECT_EQ(m->restart.burst, 5U);
        EXPECT_EQ(m->restart.interval_usec, 60 * USEC_PER_SEC);
        EXPECT_EQ(m->restart.n_prevent_exit, 0U);
        EXPECT_EQ(m->timeouts.start_usec, 30 * USEC_PER_SEC);
        EXPECT_EQ(m->timeouts.stop_usec, 5 * USEC_PER_SEC);
        EXPECT_EQ(m->timeouts.request_usec, 20 * USEC_PER_SEC);
        EXPECT_EQ(m->timeouts.idle_usec, 300 * USEC_PER_SEC);
        EXPECT_EQ(m->health.interval_usec, 30 * USEC_PER_SEC);
        EXPECT_EQ(m->health.timeout_usec, 5 * USEC_PER_SEC);
        EXPECT_EQ(m->health.failures, 3U);
        EXPECT_EQ(m->configuration, nullptr);
        EXPECT_EQ(m->lsp_root_uri, nullptr);
        EXPECT_EQ(m->mcp_era, nullptr);
}

TEST_F(ManifestTest, EveryKeyArrivesInItsField) {
        Parsed parsed = parse(R"({
                "$schema": 1, "_meta": {"x": "%d"}, "manifestVersion": 1, "id": "x", "type": "process", "dialect": "lsp", "command": "/bin/sh",
                "name": "N\u00e4me", "version": "1.2", "description": "D",
                "args": ["a", "", "100%%"], "env": {"B": "2", "_a1": ""}, "cwd": "/srv",
                "framing": "lines", "activation": "manual",
                "restart": {"policy": "always", "delay": 0, "maxDelay": 1.5, "resetAfter": 2, "burst": 7, "interval": 8, "preventExit": [0, 255]},
                "timeouts": {"start": 0, "stop": 0.25, "request": 1e1, "idle": 31536000},
                "configuration": {"a": [1.50, {"b
"   : "x"}],
                        "big": 1234567890123456789}, "health": false,
                "lsp": {"rootUri": "file:///srv/a%20b", "initializationOptions": [null,
                        "%d"]}
        })");
        /* The raw line feed within a name is no JSON. */
        EXPECT_NE(parsed.message.find("line 8, column"), std::string::npos) << parsed.message;

        parsed = parse(R"({
                "$schema": 1, "_meta": {"x": "%d"}, "manifestVersion": 1, "id": "x", "type": "process", "dialect": "lsp", "command": "/bin/sh",
                "name": "N\u00e4me", "version": "1.2", "description": "D",
                "args": ["a", "", "100%%"], "env": {"B": "2", "_a1": ""}, "cwd": "/srv",
                "framing": "lines", "activation": "manual",
                "restart": {"policy": "always", "delay": 0, "maxDelay": 1.5, "resetAfter": 2, "burst": 7, "interval": 8, "preventExit": [0, 255]},
                "timeouts": {"start": 0, "stop": 0.25, "request": 1e1, "idle": 31536000},
                "configuration": {"a%d": [1.50, {"b" : "50%%\n"}],
                        "big": 1234567890123456789}, "health": false,
                "lsp": {"rootUri": "file:///srv/a%20b", "initializationOptions": [null,
                        "%d"]}
        })");
        const Manifest *m = parsed.manifest.get();

        ASSERT_NE(m, nullptr) << parsed.message;
        EXPECT_STREQ(m->command, "/bin/sh");
        EXPECT_STREQ(m->name, "Näme");
        EXPECT_STREQ(m->version, "1.2");
        EXPECT_STREQ(m->description, "D");
        EXPECT_EQ(strings(m->args), (std::vector<std::string>{ "a", "", "100%" }));
        EXPECT_EQ(strings(m->env), (std::vector<std::string>{ "B=2", "_a1=" }));
        EXPECT_STREQ(m->cwd, "/srv");
        EXPECT_EQ(m->dialect, &dialect_lsp);
        EXPECT_EQ(m->framing, FRAMING_LINES);
        EXPECT_EQ(m->activation, ACTIVATION_MANUAL);
        EXPECT_EQ(m->restart.policy, RESTART_ALWAYS);
        EXPECT_EQ(m->restart.delay_usec, 0U);
        EXPECT_EQ(m->restart.max_delay_usec, 1500 * USEC_PER_MSEC);
        EXPECT_EQ(m->restart.reset_after_usec, 2 * USEC_PER_SEC);
        EXPECT_EQ(m->restart.burst, 7U);
        EXPECT_EQ(m->restart.interval_usec, 8 * USEC_PER_SEC);
        ASSERT_EQ(m->restart.n_prevent_exit, 2U);
        EXPECT_EQ(m->restart.prevent_exit[0], 0);
        EXPECT_EQ(m->restart.prevent_exit[1], 255);
        EXPECT_EQ(m->timeouts.start_usec, USEC_INFINITY);
        EXPECT_EQ(m->timeouts.stop_usec, 250 * USEC_PER_MSEC);
        EXPECT_EQ(m->timeouts.request_usec, 10 * USEC_PER_SEC);
        EXPECT_EQ(m->timeouts.idle_usec, 31536000 * USEC_PER_SEC);
        EXPECT_EQ(m->health.interval_usec, USEC_INFINITY);
        EXPECT_EQ(std::string(m->configuration).find('\n'), std::string::npos);
        EXPECT_NE(std::string(m->configuration).find(R"("a%d": [1.50, {"b" : "50%\n"}],)"), std::string::npos) << m->configuration;
        EXPECT_NE(std::string(m->configuration).find(R"("big": 1234567890123456789})"), std::string::npos) << m->configuration;
        EXPECT_STREQ(m->lsp_root_uri, "file:///srv/a%20b");
        EXPECT_EQ(std::string(m->lsp_initialization_options).substr(0, 6), "[null,");
        EXPECT_EQ(std::string(m->lsp_initialization_options).find('\n'), std::string::npos);
}

TEST_F(ManifestTest, TheDialectTellsFramingAndWhetherThereIsAPing) {
        EXPECT_EQ(parse(with(R"("name": "n")", "lsp")).manifest->framing, FRAMING_HEADERS);
        EXPECT_EQ(parse(with(R"("framing": "headers")", "mcp")).manifest->framing, FRAMING_HEADERS);
        EXPECT_EQ(parse(with(R"("name": "n")", "jsonrpc")).manifest->health.interval_usec, USEC_INFINITY);
        EXPECT_EQ(parse(with(R"("health": {"interval": 7})", "plugind")).manifest->health.interval_usec, 7 * USEC_PER_SEC);
        expect_fine(with(R"("health": false)", "lsp"));
        expect_error(with(R"("health": {})", "lsp"), R"(health: found an object, expected false or nothing: dialect "lsp" has no ping)");
}

TEST_F(ManifestTest, RestartIsAPolicyOrAllOfIt) {
        EXPECT_EQ(parse(with(R"("restart": "never")")).manifest->restart.policy, RESTART_NEVER);
        EXPECT_EQ(parse(with(R"("restart": {"delay": 60})")).manifest->restart.max_delay_usec, 60 * USEC_PER_SEC);
        expect_error(with(R"("restart": {"maxDelay": 1, "delay": 2})"), "restart.maxDelay: found 1, expected no less than restart.delay");
        expect_error(with(R"("restart": "sometimes")"),
                     R"(restart: found "sometimes", expected "always", "on-failure" or "never", or an object)");
        expect_error(with(R"("restart": {"preventExit": [1, 256]})"),
                     "restart.preventExit[1]: found 256, expected a whole number, 0 to 255");
}

TEST_F(ManifestTest, AnExternalPluginIsNotStarted) {
        Parsed parsed = parse(external(""));

        ASSERT_NE(parsed.manifest, nullptr) << parsed.message;
        EXPECT_EQ(parsed.manifest->type, MANIFEST_EXTERNAL);
        EXPECT_EQ(parsed.manifest->command, nullptr);
        EXPECT_EQ(parsed.manifest->activation, ACTIVATION_MANUAL);
        EXPECT_EQ(parsed.manifest->timeouts.idle_usec, USEC_INFINITY);
        for (const char *member : { R"("command": "tool")", R"("args": [])", R"("env": {})", R"("cwd": "/")", R"("restart": "never")",
                                    R"("activation": "boot")", R"("timeouts": {"idle": 1})" }) {
                parsed = parse(external(member));
                EXPECT_NE(parsed.message.find("expected no such key with type \"external\""), std::string::npos)
                        << member << parsed.message;
        }
        expect_fine(external(R"("timeouts": {"start": 1, "stop": 1, "request": 1}, "health": {"interval": 1})"));
}

TEST_F(ManifestTest, ErrorsNameTheKeyWhatWasFoundAndWhatWasExpected) {
        expect_error("[]", "found a list, expected an object");
        expect_error("{}", "manifestVersion: found nothing, expected 1");
        expect_error(R"({"manifestVersion": 2, "flavour": 1})", "manifestVersion: found 2, expected 1, the only version there is");
        expect_error(R"({"manifestVersion": 1, "dialekt": "mcp"})",
                     R"(dialekt: found an unknown key, expected a known one: did you mean "dialect"?)");
        expect_error(R"({"manifestVersion": 1})", R"(dialect: found nothing, expected "plugind", "jsonrpc", "mcp" or "lsp")");
        expect_error(R"({"manifestVersion": 1, "dialect": "smtp"})",
                     R"(dialect: found "smtp", expected "plugind", "jsonrpc", "mcp" or "lsp")");
        expect_error(R"({"manifestVersion": 1, "dialect": "mcp"})", "command: found nothing, expected a value: this key is required");
        expect_error(with(R"("timeouts": {"start": "abc"})"),
                     R"(timeouts.start: found "abc", expected a number of seconds, 0 (never) to 31536000)");
        expect_error(with(R"("timeouts": {"start": -0.1})"),
                     "timeouts.start: found -0.1, expected a number of seconds, 0 (never) to 31536000");
        expect_error(with(R"("timeouts": {"strat": 1})"),
                     R"(timeouts.strat: found an unknown key, expected a known one: did you mean "start"?)");
        expect_error(with(R"("timeouts": {"flavour": 1})"),
                     "timeouts.flavour: found an unknown key, expected one of start, stop, request, idle");
        expect_error(with(R"("timeouts": [])"), "timeouts: found a list, expected an object");
        expect_error(with(R"("health": true)"), "health: found true, expected false or an object");
        expect_error(with(R"("name": {})"), "name: found an object, expected a string");
        expect_error(with(R"("name": "")"), R"(name: found "", expected text that is not empty)");
        expect_error(with(R"("name": ")" + std::string(257, 'a') + "\""), "name: found 257 bytes, expected at most 256");
        expect_error(with(R"("args": "-v")"), R"(args: found "-v", expected a list of strings)");
        expect_error(with(R"("args": ["a", 1])"), "args[1]: found 1, expected a string");
        expect_error(with(R"("cwd": "srv")"), R"(cwd: found "srv", expected an absolute path)");
        expect_error(with(R"("lsp": {})"), R"(lsp: found an object, expected no such key with dialect "mcp")");
        expect_error(with(R"("mcp": {})", "lsp"), R"(mcp: found an object, expected no such key with dialect "lsp")");
        expect_error(with(R"("mcp": {"era": "bronze"})"), R"(mcp.era: found "bronze", expected "modern" or "legacy")");
        expect_error(with(R"("lsp": {"rootUri": "/srv"})", "lsp"),
                     R"(lsp.rootUri: found "/srv", expected a URI such as "file:///srv/project")");
        expect_error(with(R"("clients": {})").c_str(), parse(with(R"("clients": {})")).message.substr(6));
        EXPECT_NE(parse(with(R"("clients": {})")).message.find("clients: found an unknown key"), std::string::npos);
}

TEST_F(ManifestTest, SyntaxErrorsNameLineAndColumn) {
        Parsed parsed = parse("{\n  \"manifestVersion\": 1,\n  \"dialect\": mcp\n}");

        EXPECT_EQ(parsed.message.substr(0, 23), "FILE: line 3, column 14") << parsed.message;
        EXPECT_NE(parse("").message.find("FILE: line 1, column 1"), std::string::npos);
        EXPECT_NE(parse(with(R"("name": "a\u0000b")")).message.find("FILE: line 1, column "), std::string::npos);
        EXPECT_NE(parse(with(R"("configuration": {"a": "\u0000"})")).message.find("FILE: line 1, column "), std::string::npos);
        EXPECT_NE(parse(R"({"manifestVersion": 1, "manifestVersion": 1})").message.find("FILE: line 1, column "), std::string::npos);
}

TEST_F(ManifestTest, TheIdIsThatOfTheFile) {
        expect_fine(with(R"("id": "x")"));
        expect_error(with(R"("id": "y")"), R"(id: found "y", expected "x", as the file name says)");
        expect_error(with(R"("id": "../y")"),
                     R"(id: found "../y", expected an id: letters, digits and "._-@", a letter or digit first, at most 128 bytes)");
        expect_error(minimal, "id: found nothing, expected an id, since no file name tells it", nullptr);
        EXPECT_STREQ(parse(with(R"("id": "y")"), nullptr).manifest->id, "y");
        EXPECT_EQ(parse(minimal, "a/b").code, PLUGIND_ERROR_INVALID_MANIFEST);
}

TEST_F(ManifestTest, EnvironmentNamesAreCheckedAndValuesNeverShown) {
        expect_error(with(R"("env": {"PLUGIND_X": ""})"),
                     "env.PLUGIND_X: found a reserved name, expected one that does not begin with PLUGIND_");
        expect_error(with(R"("env": {"1A": ""})"),
                     R"(env: found "1A", expected names of variables: letters, digits and "_", no digit first, at most 256 bytes)");
        EXPECT_NE(parse(with(R"("env": {"": ""})")).result, 0);
        EXPECT_NE(parse(with(R"("env": {"A=B": ""})")).result, 0);
        expect_error(with(R"("env": {"A": 4711})"), "env.A: found a value that is no string, expected a string");
        EXPECT_EQ(parse(with(R"("env": {"A": "s3cret\u0000"})")).message.find("s3cret"), std::string::npos);
        EXPECT_EQ(parse(with(R"("env": {"A": "s3cret%"})")).message.find("s3cret"), std::string::npos);
        EXPECT_NE(parse(with(R"("env": {"A": ")" + std::string(131072, 'a') + "\"}")).result, 0);
}

TEST_F(ManifestTest, CommandsAreFoundOnThePath) {
        Folder other;

        other.write("second", "#!/bin/sh\n", 0755);
        other.write("tool", "#!/bin/sh\n", 0755);
        other.write("data", "", 0644);
        std::filesystem::create_directory(other / "folder");
        manifest_set_command_path(("relative::" + commands.folder().path() + ":" + other.path()).c_str());

        auto command = [&](const std::string &given) {
                return parse(R"({"manifestVersion": 1, "dialect": "mcp", "command": ")" + given + "\"}");
        };
        EXPECT_EQ(command("second").manifest->command, other / "second");
        EXPECT_EQ(command("tool").manifest->command, commands.folder() / "tool");
        EXPECT_EQ(command("data").message, R"(FILE: command: found "data", expected an absolute path or the name of an executable in )" +
                                                   std::string(manifest_command_path()));
        EXPECT_EQ(command("folder").result, -EBADMSG);
        EXPECT_EQ(command("./second").result, -EBADMSG);
        EXPECT_EQ(command("..").result, -EBADMSG);
        EXPECT_EQ(command(other / "data").message,
                  "FILE: command: found \"" + other / "data" + "\", expected an executable file (Permission denied)");
        EXPECT_EQ(command("/").message, R"(FILE: command: found "/", expected an executable file (Is a directory))");
        EXPECT_EQ(command("/dev/null").result, -EBADMSG);
        EXPECT_EQ(command(other / "none").message,
                  "FILE: command: found \"" + other / "none" + "\", expected an executable file (No such file or directory)");
        manifest_set_command_path(nullptr);
        EXPECT_STREQ(manifest_command_path(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        EXPECT_EQ(command("second").result, -EBADMSG);
}

TEST_F(ManifestTest, TheInstanceOfATemplateIsFilledIn) {
        const std::string text =
                R"({"manifestVersion": 1, "id": "t@", "dialect": "plugind", "command": "%iool", "args": ["-%i", "%%i", "%i%i"],
                "env": {"I": "%i"}, "cwd": "/srv/%i", "configuration": {"%i": ["%i", "\u0025i", {"k": "%%"}], "n": 1}, "name": "%i"})";
        Parsed parsed = parse(text, "t@t");
        const Manifest *m = parsed.manifest.get();

        ASSERT_NE(m, nullptr) << parsed.message;
        EXPECT_STREQ(m->id, "t@t");
        EXPECT_EQ(m->command, commands.folder() / "tool");
        EXPECT_EQ(strings(m->args), (std::vector<std::string>{ "-t", "%i", "tt" }));
        EXPECT_EQ(strings(m->env), (std::vector<std::string>{ "I=t" }));
        EXPECT_STREQ(m->cwd, "/srv/t");
        EXPECT_STREQ(m->name, "%i");
        EXPECT_STREQ(m->configuration, R"({"%i": ["t", "t", {"k": "%"}], "n": 1})");

        EXPECT_EQ(strings(parse(R"({"manifestVersion": 1, "dialect": "mcp", "command": "tool", "args": ["-%i"]})", "t@").manifest->args),
                  (std::vector<std::string>{ "-" }));
        EXPECT_EQ(strings(parse(R"({"manifestVersion": 1, "dialect": "mcp", "command": "tool", "args": ["-%i"]})", "t@a@b").manifest->args),
                  (std::vector<std::string>{ "-a@b" }));
        expect_error(with(R"("args": ["%i"])"),
                     R"(args[0]: found "%i", expected it in the manifest of a template ("NAME@.json") alone, or "%%" for a percent sign)");
        expect_error(with(R"("args": ["%d"])"),
                     R"(args[0]: found "%d", expected "%i" (the instance of a template) or "%%" (a percent sign))");
        EXPECT_EQ(parse(with(R"("args": ["%"])")).result, -EBADMSG);
        EXPECT_EQ(parse(with(R"("configuration": {"a": [{"b": "100%"}]})")).result, -EBADMSG);
}

TEST_F(ManifestTest, WhatAnInstanceMakesOfItIsBounded) {
        const std::string id = "t@" + std::string(126, 'i');
        std::string many = "\"";

        for (int i = 0; i < 1000; i++)
                many += "%i";
        many += "\"";
        std::string list = many;
        for (int i = 0; i < 20; i++)
                list += ", " + many;
        EXPECT_NE(parse(with("\"args\": [" + list + "]"), id.c_str()).message.find("too many long texts"), std::string::npos);
        expect_fine(with("\"args\": [" + many + "]"), id.c_str());
        EXPECT_NE(parse(with("\"args\": [" + std::string("\"").append(many.substr(1, 2000)) + many.substr(1) + "]"), id.c_str())
                          .message.find("after %i is replaced"),
                  std::string::npos);
        EXPECT_NE(parse(std::string(MANIFEST_SIZE_MAX + 1, ' ')).message.find("expected at most 1048576"), std::string::npos);
}

TEST_F(ManifestTest, KeysOfAnyBytesAreQuotedWithinBounds) {
        Parsed parsed = parse(with("\"" + std::string(100000, 'k') + "\": 1"));

        EXPECT_EQ(parsed.result, -EBADMSG);
        EXPECT_LT(parsed.message.size(), 600U);
        parsed = parse(with(R"("a\u0000\u001b[31mb": 1)"));
        EXPECT_EQ(parsed.result, -EBADMSG);
        EXPECT_EQ(parsed.message.find('\033'), std::string::npos);
        parsed = parse(with(R"("env": {"\u001b": 1})"));
        EXPECT_EQ(parsed.message.find('\033'), std::string::npos);
}

TEST_F(ManifestTest, IsCounted) {
        Parsed parsed = parse(minimal);
        Manifest *manifest = manifest_ref(parsed.manifest.get());

        parsed.manifest.reset();
        EXPECT_STREQ(manifest->id, "x");
        manifest_unref(manifest);
        EXPECT_EQ(manifest_unref(nullptr), nullptr);
}
