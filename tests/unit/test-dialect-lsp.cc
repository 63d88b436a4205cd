/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-dialect-peer.h"

static const std::string greeting = "{\"capabilities\":{\"hoverProvider\":true},\"serverInfo\":{\"name\":\"clangd\",\"version\":\"19\"}}";

class LspDialect : public DialectTest {
      protected:
        void start() {
                make(&dialect_lsp);
                greet();
        }

        void greet() {
                connect();
                answer("initialize", greeting);
                take();
        }

        Out document(Caller *caller, const std::string &method, const std::string &uri, uint64_t id = 0) {
                return send(caller, id, "textDocument/" + method, "{\"textDocument\":{\"uri\":\"" + uri + "\"}}");
        }
};

TEST_F(LspDialect, GreetsWithRootAndOptions) {
        setup.lsp_root_uri = "file:///home/me/my%20project";
        setup.lsp_initialization_options = "{\"x\":[1]}";
        make(&dialect_lsp);
        connect();
        std::string said_first = take().at(0);
        EXPECT_EQ(said_first.rfind("> initialize {\"processId\":null,", 0), 0u) << said_first;
        JsonFault fault = {};
        EXPECT_EQ(json_check(range(said_first.substr(strlen("> initialize "))), nullptr, &fault), 0)
                << fault.what << " at " << fault.offset;
        for (const char *part : { "\"rootUri\":\"file:///home/me/my%20project\"", "\"initializationOptions\":{\"x\":[1]}",
                                  "\"workspaceFolders\":[{\"uri\":\"file:///home/me/my%20project\",\"name\":\"my project\"}]",
                                  "\"configuration\":true", "\"workDoneProgress\":true", "\"publishDiagnostics\":{" })
                EXPECT_NE(said_first.find(part), std::string::npos) << part;
        EXPECT_EQ(said_first.find("\"dynamicRegistration\":true"), std::string::npos);
        answer("initialize", greeting);
        EXPECT_EQ(take(), Lines{ "! initialized {}" });
        EXPECT_EQ(events, Lines{ "greeted" });
        EXPECT_EQ(greeted_name, "clangd");
        EXPECT_EQ(greeted_version, "19");
        EXPECT_EQ(greeted_answer, greeting);
}

TEST_F(LspDialect, GreetsWithoutRoot) {
        make(&dialect_lsp);
        connect();
        std::string said_first = take().at(0);
        EXPECT_NE(said_first.find("\"rootUri\":null,\"workspaceFolders\":null,"), std::string::npos) << said_first;
        EXPECT_EQ(said_first.find("initializationOptions"), std::string::npos);
}

TEST_F(LspDialect, SettingsAreSent) {
        setup.configuration = "{\"pylsp\":{\"x\":1}}";
        make(&dialect_lsp);
        connect();
        take();
        answer("initialize", "{\"capabilities\":{}}");
        EXPECT_EQ(take(), (Lines{ "! initialized {}", "! workspace/didChangeConfiguration {\"settings\":{\"pylsp\":{\"x\":1}}}" }));
        EXPECT_EQ(events, Lines{ "greeted" });
}

TEST_F(LspDialect, WrongAnswersNameWhatWasFoundAndExpected) {
        const struct {
                const char *answer, *failure;
        } cases[] = {
                { "null", "the answer to \"initialize\": found null, expected an object" },
                { "{}", "the answer to \"initialize\": capabilities: found nothing, expected an object" },
                { "{\"capabilities\":7}", "the answer to \"initialize\": capabilities: found 7, expected an object" },
                { "{\"capabilities\":{},\"serverInfo\":\"clangd\"}",
                  "the answer to \"initialize\": serverInfo: found \"clangd\", expected an object" },
                { "{\"capabilities\":{},\"serverInfo\":{\"name\":1}}",
                  "the answer to \"initialize\": serverInfo.name: found 1, expected a string" },
        };

        for (const auto &c : cases) {
                make(&dialect_lsp);
                connect();
                answer("initialize", c.answer);
                EXPECT_EQ(failure, c.failure);
                EXPECT_EQ(failure_code, PLUGIND_ERROR_PROTOCOL_ERROR);
                dialect_free(d);
                d = nullptr;
        }
        make(&dialect_lsp);
        connect();
        refuse("initialize", -32603, "no compiler");
        EXPECT_NE(failure.find("no compiler"), std::string::npos);
}

TEST_F(LspDialect, SaysGoodbyeInTwoSteps) {
        start();
        d->ops->goodbye(d);
        EXPECT_EQ(take(), Lines{ "> shutdown" });
        EXPECT_EQ(events.back(), "greeted");
        answer("shutdown", "null");
        EXPECT_EQ(take(), Lines{ "! exit" });
        EXPECT_EQ(events.back(), "farewell");
}

TEST_F(LspDialect, AnUngreetedServerIsJustToldToExit) {
        make(&dialect_lsp);
        connect();
        take();
        d->ops->goodbye(d);
        EXPECT_EQ(take(), Lines{ "! exit" });
        EXPECT_EQ(events, Lines{ "farewell" });
}

TEST_F(LspDialect, ReservedMethods) {
        start();
        EXPECT_EQ(send(alice, 1, "initialize", "{\"processId\":1}").answer, greeting);
        EXPECT_EQ(send(alice, 0, "initialized", "{}").verdict, DIALECT_ANSWER);
        EXPECT_EQ(send(alice, 1, "shutdown").code, PLUGIND_ERROR_NOT_SUPPORTED);
        EXPECT_NE(send(alice, 1, "shutdown").message.find("Session.SetActiveState"), std::string::npos);
        EXPECT_EQ(send(alice, 0, "exit").code, PLUGIND_ERROR_NOT_SUPPORTED);
        EXPECT_EQ(send(alice, 0, "$/setTrace").code, PLUGIND_ERROR_NOT_SUPPORTED);
        EXPECT_EQ(send(alice, 0, "$/cancelRequest", "{\"id\":1}").code, PLUGIND_ERROR_NOT_SUPPORTED);
        EXPECT_EQ(send(alice, 1, "textDocument/hover", "{}").verdict, DIALECT_FORWARD);
        EXPECT_EQ(take(), Lines{});
        d->ops->cancel(d, 3, "x");
        EXPECT_EQ(take(), Lines{ "! $/cancelRequest {\"id\":3}" });
}

TEST_F(LspDialect, ADocumentHasOneWriter) {
        start();
        Out out = document(alice, "didOpen", "file:///a.c");
        EXPECT_EQ(out.verdict, DIALECT_FORWARD);
        EXPECT_TRUE(out.holds);
        EXPECT_EQ(document(alice, "didChange", "file:///a.c").verdict, DIALECT_FORWARD);
        for (const char *method : { "didOpen", "didChange", "didSave", "didClose", "willSave" }) {
                Out refused = document(bob, method, "file:///a.c");

                EXPECT_EQ(refused.code, PLUGIND_ERROR_BUSY) << method;
                EXPECT_NE(refused.message.find("file:///a.c is open for writing by :1.1"), std::string::npos) << refused.message;
        }
        EXPECT_EQ(document(bob, "willSaveWaitUntil", "file:///a.c", 9).code, PLUGIND_ERROR_BUSY);
        EXPECT_EQ(document(bob, "hover", "file:///a.c", 9).verdict, DIALECT_FORWARD);
        EXPECT_EQ(document(bob, "didOpen", "file:///b.c").verdict, DIALECT_FORWARD);
        out = document(alice, "didChange", "file:///b.c");
        EXPECT_NE(out.message.find("another caller"), std::string::npos) << out.message;

        EXPECT_EQ(document(alice, "didClose", "file:///a.c").verdict, DIALECT_FORWARD);
        EXPECT_EQ(document(bob, "didOpen", "file:///a.c").verdict, DIALECT_FORWARD);
}

TEST_F(LspDialect, WhatIsNotOpenCannotBeChanged) {
        start();
        EXPECT_EQ(document(alice, "didChange", "file:///a.c").code, PLUGIND_ERROR_INVALID_ARGS);
        EXPECT_EQ(document(alice, "didClose", "file:///a.c").verdict, DIALECT_ANSWER);
        EXPECT_EQ(document(alice, "didOpen", "file:///a.c", 4).code, PLUGIND_ERROR_INVALID_ARGS); /* a Send of a notification */
        EXPECT_NE(document(alice, "didOpen", "file:///a.c", 4).message.find("Session.Notify"), std::string::npos);
        EXPECT_EQ(send(alice, 0, "textDocument/didOpen", "{\"textDocument\":{}}").code, PLUGIND_ERROR_INVALID_ARGS);
        EXPECT_EQ(send(alice, 0, "textDocument/didOpen").code, PLUGIND_ERROR_INVALID_ARGS);
        EXPECT_EQ(send(alice, 0, "textDocument/didOpen", "[]").code, PLUGIND_ERROR_INVALID_ARGS);
        EXPECT_EQ(document(alice, "didOpen", "a\\u0000b").code, PLUGIND_ERROR_INVALID_ARGS);
}

TEST_F(LspDialect, CommandsAndWorkspaceChangesAreTheWriters) {
        start();
        EXPECT_EQ(send(bob, 1, "workspace/executeCommand", "{}").verdict, DIALECT_FORWARD);
        document(alice, "didOpen", "file:///a.c");
        EXPECT_EQ(send(bob, 1, "workspace/executeCommand", "{}").code, PLUGIND_ERROR_BUSY);
        EXPECT_EQ(send(bob, 0, "workspace/didChangeConfiguration", "{}").code, PLUGIND_ERROR_BUSY);
        EXPECT_EQ(send(bob, 1, "workspace/willRenameFiles", "{}").code, PLUGIND_ERROR_BUSY);
        EXPECT_EQ(send(bob, 1, "workspace/symbol", "{}").verdict, DIALECT_FORWARD);
        EXPECT_EQ(send(alice, 1, "workspace/executeCommand", "{}").verdict, DIALECT_FORWARD);
        document(bob, "didOpen", "file:///b.c");
        EXPECT_EQ(send(bob, 1, "workspace/executeCommand", "{}").verdict, DIALECT_FORWARD);
}

TEST_F(LspDialect, AWriterThatLeavesClosesItsDocuments) {
        start();
        document(alice, "didOpen", "file:///a.c");
        document(bob, "didOpen", "file:///b.c");
        d->ops->caller_gone(d, alice);
        EXPECT_EQ(take(), Lines{ "! textDocument/didClose {\"textDocument\":{\"uri\":\"file:///a.c\"}}" });
        EXPECT_EQ(document(bob, "didOpen", "file:///a.c").verdict, DIALECT_FORWARD);
        d->ops->caller_gone(d, carol);
        EXPECT_EQ(take(), Lines{});
}

TEST_F(LspDialect, ARestartClosesAllDocuments) {
        start();
        document(alice, "didOpen", "file:///a.c");
        drop();
        d->ops->caller_gone(d, carol);
        greet();
        EXPECT_EQ(take(), Lines{});
        Out out = document(alice, "didChange", "file:///a.c");
        EXPECT_EQ(out.code, PLUGIND_ERROR_INVALID_ARGS);
        EXPECT_NE(out.message.find("restart"), std::string::npos) << out.message;
        EXPECT_EQ(document(bob, "didOpen", "file:///a.c").verdict, DIALECT_FORWARD);
        EXPECT_EQ(document(alice, "didOpen", "file:///a.c").code, PLUGIND_ERROR_BUSY);
        d->ops->caller_gone(d, alice);
        EXPECT_EQ(take(), Lines{});
}

TEST_F(LspDialect, DocumentsAreBounded) {
        start();
        for (int i = 0; i < 4096; i++)
                ASSERT_EQ(document(alice, "didOpen", "file:///" + std::to_string(i)).verdict, DIALECT_FORWARD);
        EXPECT_EQ(document(alice, "didOpen", "file:///more").code, PLUGIND_ERROR_LIMITS_EXCEEDED);
        EXPECT_EQ(document(bob, "didOpen", "file:///more").verdict, DIALECT_FORWARD);
        EXPECT_EQ(document(bob, "didOpen", "file:///" + std::string(9000, 'x')).code, PLUGIND_ERROR_LIMITS_EXCEEDED);
        document(alice, "didClose", "file:///7");
        EXPECT_EQ(document(alice, "didOpen", "file:///more2").verdict, DIALECT_FORWARD);
}

TEST_F(LspDialect, ProgressTokensAreRewrittenAndRestored) {
        start();
        Out a = send(alice, 21, "textDocument/references", "{\"workDoneToken\": 1, \"x\":0,\"partialResultToken\":\"p\"}");
        Out b = send(bob, 22, "textDocument/references", "{\"workDoneToken\":1}");

        EXPECT_EQ(a.params, "{\"workDoneToken\": \"plugind:w:21\", \"x\":0,\"partialResultToken\":\"plugind:p:21\"}");
        EXPECT_EQ(b.params, "{\"workDoneToken\":\"plugind:w:22\"}");
        EXPECT_TRUE(a.tracked && b.tracked);
        EXPECT_EQ(hear("$/progress", "{\"token\":\"plugind:p:21\",\"value\":[]}"), "21 {\"token\":\"p\",\"value\":[]}");
        EXPECT_EQ(hear("$/progress", "{\"value\":[],\"token\":\"plugind:w:22\"}"), "22 {\"value\":[],\"token\":1}");
        EXPECT_EQ(hear("$/progress", "{\"token\":\"plugind:p:22\",\"value\":[]}"), "nobody");
        EXPECT_EQ(hear("$/progress", "{\"token\":\"backgroundIndexProgress\",\"value\":{}}"), "abc");
        EXPECT_EQ(hear("$/progress", "{\"token\":5}"), "abc");
        EXPECT_EQ(hear("$/progress", "{\"token\":\"plugind:w:\"}"), "abc");
        finish(21, "[]");
        EXPECT_EQ(hear("$/progress", "{\"token\":\"plugind:w:21\",\"value\":[]}"), "nobody");
        EXPECT_EQ(hear("textDocument/publishDiagnostics", "{\"uri\":\"x:\"}"), "abc");
}

TEST_F(LspDialect, TokensAreBoundedAndOnlyOnesOwnProgressIsCancelled) {
        start();
        EXPECT_EQ(send(alice, 1, "x", "{\"workDoneToken\":\"" + std::string(2000, 'x') + "\"}").code, PLUGIND_ERROR_LIMITS_EXCEEDED);
        EXPECT_EQ(send(alice, 1, "x", "{\"workDoneToken\":null}").params, "{\"workDoneToken\":null}");
        send(alice, 2, "x", "{\"workDoneToken\":\"t\"}");
        EXPECT_EQ(send(alice, 0, "window/workDoneProgress/cancel", "{\"token\":\"t\"}").params, "{\"token\":\"plugind:w:2\"}");
        EXPECT_EQ(send(bob, 0, "window/workDoneProgress/cancel", "{\"token\":\"t\"}").code, PLUGIND_ERROR_NOT_SUPPORTED);
}

TEST_F(LspDialect, AnswersWhatServersAsk) {
        setup.lsp_root_uri = "file:///r";
        setup.configuration = "{\"a\":{\"b\":{\"c\":7}},\"x.y\":true}";
        start();
        ask("1", "workspace/configuration",
            "{\"items\":[{\"section\":\"a.b\"},{\"section\":\"x.y\"},{\"section\":\"a.q\"},{\"scopeUri\":\"file:///\"},{\"section\":\"\"},7]}");
        ask("2", "client/registerCapability", "{}");
        ask("3", "client/unregisterCapability", "{}");
        ask("4", "window/workDoneProgress/create", "{}");
        ask("5", "workspace/inlayHint/refresh");
        ask("6", "workspace/workspaceFolders");
        ask("7", "workspace/applyEdit", "{}");
        ask("8", "window/showDocument", "{}");
        ask("9", "window/showMessageRequest", "{}");
        ask("\"ten\"", "something/else", "{}");
        const std::string all = setup.configuration;
        EXPECT_EQ(take(), (Lines{ "= 1 [{\"c\":7},true,null," + all + "," + all + "," + all + "]", "= 2 null", "= 3 null", "= 4 null",
                                  "= 5 null", "= 6 [{\"uri\":\"file:///r\",\"name\":\"r\"}]",
                                  "= 7 {\"applied\":false,\"failureReason\":\"plugind applies no edits\"}", "= 8 {\"success\":false}",
                                  "= 9 null", "x \"ten\" -32601" }));
}

TEST_F(LspDialect, WithoutConfigurationTheAnswersAreNull) {
        start();
        ask("1", "workspace/configuration", "{\"items\":[{\"section\":\"a\"},{}]}");
        ask("2", "workspace/configuration", "{\"items\":{}}");
        ask("3", "workspace/configuration");
        ask("4", "workspace/workspaceFolders");
        EXPECT_EQ(take(), (Lines{ "= 1 [null,null]", "x 2 -32602", "x 3 -32602", "= 4 null" }));
}

TEST_F(LspDialect, AnAnswerDoesNotGrowWithoutBound) {
        setup.message_max = 4096;
        std::string configuration = "{\"a\":\"" + std::string(1000, 'x') + "\"}", items;
        setup.configuration = configuration.c_str();
        start();
        for (int i = 0; i < 10; i++)
                items += (i ? ",{}" : "{}");
        ask("1", "workspace/configuration", "{\"items\":[" + items + "]}");
        ask("2", "workspace/configuration", "{\"items\":[{}]}");
        items = "{\"section\":\"b\"}";
        for (int i = 0; i < 256; i++)
                items += ",{\"section\":\"b\"}";
        ask("3", "workspace/configuration", "{\"items\":[" + items + "]}");
        EXPECT_EQ(take(), (Lines{ "x 1 -32602", "= 2 [" + configuration + "]", "x 3 -32602" }));
}
