/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bundled plugins and the SDK, without a host: this program is the other end of their socket. The three echo plugins, in C,
 * Python and JavaScript, have to answer alike.
 */
#include <fcntl.h>
#include <gtest/gtest.h>
#include <json-glib/json-glib.h>
#include <poll.h>
#include <spawn.h>
#include <string>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

extern char **environ;

namespace {

constexpr int PATIENCE_MS = 30000;

/* The same message always as the same text, whatever white space and escapes it came with. */
std::string canonical(const std::string &json) {
        g_autoptr(JsonParser) parser = json_parser_new();
        g_autofree char *text = nullptr;

        if (!json_parser_load_from_data(parser, json.data(), (gssize) json.size(), nullptr))
                return "no JSON: " + json;
        text = json_to_string(json_parser_get_root(parser), false);
        return text;
}

class Plugin {
      public:
        explicit Plugin(const std::vector<std::string> &command) {
                posix_spawn_file_actions_t actions;
                std::vector<char *> argv;
                int sockets[2], errors[2];

                for (const auto &word : command)
                        argv.push_back(const_cast<char *>(word.c_str()));
                argv.push_back(nullptr);
                EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
                EXPECT_EQ(pipe2(errors, O_CLOEXEC), 0);
                posix_spawn_file_actions_init(&actions);
                posix_spawn_file_actions_adddup2(&actions, sockets[1], 0);
                posix_spawn_file_actions_adddup2(&actions, sockets[1], 1);
                posix_spawn_file_actions_adddup2(&actions, errors[1], 2);
                EXPECT_EQ(posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ), 0) << argv[0];
                posix_spawn_file_actions_destroy(&actions);
                close(sockets[1]);
                close(errors[1]);
                fd = sockets[0];
                fd_log = errors[0];
        }
        ~Plugin() {
                if (pid > 0) {
                        kill(pid, SIGKILL);
                        waitpid(pid, nullptr, 0);
                }
                close(fd);
                close(fd_log);
        }
        Plugin(const Plugin &) = delete;
        Plugin &operator=(const Plugin &) = delete;

        void say(std::string line) {
                line += '\n';
                for (size_t at = 0; at < line.size();) {
                        ssize_t n = send(fd, line.data() + at, line.size() - at, MSG_NOSIGNAL);
                        ASSERT_GT(n, 0);
                        at += (size_t) n;
                }
        }
        /* The next message, "" at the end. */
        std::string hear() {
                size_t end;

                while ((end = heard.find('\n')) == std::string::npos)
                        if (!more(fd, &heard))
                                return "";
                std::string line = heard.substr(0, end);
                heard.erase(0, end + 1);
                return canonical(line);
        }
        std::string ask(const std::string &line) {
                say(line);
                return hear();
        }
        void greet(const std::string &session = "test", const std::string &configuration = "{}") {
                std::string answer = ask(R"({"jsonrpc":"2.0","id":"hi","method":"plugind/initialize","params":{"protocol":1,"session":")" +
                                         session + R"(","dataDir":"/data","configuration":)" + configuration + "}}");
                EXPECT_NE(answer.find(R"("result":{"protocol":1)"), std::string::npos) << answer;
        }
        void end_input() {
                shutdown(fd, SHUT_WR);
        }
        std::string log() {
                std::string text;

                while (more(fd_log, &text))
                        ;
                return text;
        }
        /* Waits for the end; the status as of waitpid(). */
        int end() {
                int status = -1;

                EXPECT_EQ(hear(), "");
                EXPECT_EQ(waitpid(pid, &status, 0), pid);
                pid = -1;
                return status;
        }

      private:
        static bool more(int from, std::string *into) {
                struct pollfd p = { from, POLLIN, 0 };
                char buffer[65536];
                ssize_t n;

                if (poll(&p, 1, PATIENCE_MS) <= 0) {
                        ADD_FAILURE() << "nothing came";
                        return false;
                }
                n = read(from, buffer, sizeof buffer);
                if (n <= 0)
                        return false;
                into->append(buffer, (size_t) n);
                return true;
        }

        pid_t pid = -1;
        int fd = -1, fd_log = -1;
        std::string heard;
};

std::string request(int id, const std::string &method, const std::string &params = "") {
        return R"({"jsonrpc":"2.0","id":)" + std::to_string(id) + R"(,"method":")" + method + "\"" +
               (params.empty() ? "" : ",\"params\":" + params) + "}";
}

std::string result(int id, const std::string &value) {
        return R"({"jsonrpc":"2.0","id":)" + std::to_string(id) + R"(,"result":)" + value + "}";
}

std::string error(int id, int code, const std::string &message) {
        return R"({"jsonrpc":"2.0","id":)" + std::to_string(id) + R"(,"error":{"code":)" + std::to_string(code) + R"(,"message":")" +
               message + "\"}}";
}

std::string notification(const std::string &method, const std::string &params) {
        return R"({"jsonrpc":"2.0","method":")" + method + R"(","params":)" + params + "}";
}

/* --- the echo plugin, in three languages */

struct Language {
        const char *name;
        std::vector<std::string> command;
};

class EchoTest : public testing::TestWithParam<Language> {};

TEST_P(EchoTest, AnswersWhatItIsGiven) {
        Plugin p(GetParam().command);

        p.greet();
        for (const char *params : { R"({"text":"ä \" \\ \n 🐧"})", "[1,-2.5,true,null]", "{}", "[]" })
                EXPECT_EQ(p.ask(request(1, "echo", params)), canonical(result(1, params)));
        EXPECT_EQ(p.ask(request(2, "echo")), result(2, "null"));

        std::string large = "{\"text\":\"" + std::string(3000000, 'x') + "\"}";
        EXPECT_EQ(p.ask(request(3, "echo", large)), result(3, large));
}

TEST_P(EchoTest, AnswersLaterWithoutKeepingOthersWaiting) {
        Plugin p(GetParam().command);

        p.greet();
        p.say(request(1, "delay", R"({"ms":3600000})"));
        EXPECT_EQ(p.ask(request(2, "echo")), result(2, "null"));
        EXPECT_EQ(p.ask(request(3, "delay", R"({"ms":1})")), result(3, R"({"ms":1})"));
        EXPECT_EQ(p.ask(request(4, "delay", R"({"ms":"soon"})")), error(4, -32602, "ms: expected a whole number, 0 or more"));
}

TEST_P(EchoTest, StopsWhatIsCancelled) {
        Plugin p(GetParam().command);

        p.greet();
        p.say(request(1, "delay", R"({"ms":3600000})"));
        p.say(notification("plugind/cancel", R"({"id":2})"));
        EXPECT_EQ(p.ask(notification("plugind/cancel", R"({"id":1})")), error(1, -32800, "cancelled"));
        EXPECT_EQ(p.ask(request(3, "echo")), result(3, "null"));
}

TEST_P(EchoTest, FailsAsAsked) {
        Plugin p(GetParam().command);

        p.greet();
        EXPECT_EQ(p.ask(request(1, "fail", R"({"code":-7,"message":"no \"luck\""})")), error(1, -7, R"(no \"luck\")"));
        EXPECT_EQ(p.ask(request(2, "fail")), error(2, 1, "failed, as asked"));
        EXPECT_EQ(p.ask(request(3, "nothing")), error(3, -32601, "nothing: no such method"));
        EXPECT_EQ(p.ask(request(4, "plugind/unheard-of")), error(4, -32601, "plugind/unheard-of: no such method"));
}

TEST_P(EchoTest, Notifies) {
        Plugin p(GetParam().command);

        p.greet();
        p.say(request(1, "notify", R"({"method":"news","params":{"a":1},"count":2})"));
        EXPECT_EQ(p.hear(), notification("news", R"({"a":1})"));
        EXPECT_EQ(p.hear(), notification("news", R"({"a":1})"));
        EXPECT_EQ(p.hear(), result(1, R"({"sent":2})"));

        p.say(request(2, "progress", R"({"steps":2})"));
        EXPECT_EQ(p.hear(), notification("plugind/progress", R"({"id":2,"value":{"step":1,"of":2}})"));
        EXPECT_EQ(p.hear(), notification("plugind/progress", R"({"id":2,"value":{"step":2,"of":2}})"));
        EXPECT_EQ(p.hear(), result(2, R"({"steps":2})"));

        EXPECT_EQ(p.ask(notification("knock", "[1]")), notification("knock", "[1]"));
}

TEST_P(EchoTest, KnowsItsSessionAndConfiguration) {
        Plugin p(GetParam().command);
        std::string answer;

        p.greet("it", R"({"colour":"red"})");
        answer = p.ask(request(1, "info"));
        EXPECT_NE(answer.find(R"("session":"it","dataDir":"/data","configuration":{"colour":"red"})"), std::string::npos) << answer;
        EXPECT_EQ(p.ask(request(2, "plugind/configure", R"({"configuration":{"colour":"blue"}})")), result(2, "{}"));
        answer = p.ask(request(3, "info"));
        EXPECT_NE(answer.find(R"("configuration":{"colour":"blue"})"), std::string::npos) << answer;
        EXPECT_EQ(p.ask(request(4, "plugind/ping")), result(4, "{}"));
}

TEST_P(EchoTest, LogsToStandardError) {
        Plugin p(GetParam().command);

        p.greet();
        EXPECT_EQ(p.ask(request(1, "log", R"({"level":4,"message":"careful"})")), result(1, "null"));
        p.end_input();
        EXPECT_EQ(p.end(), 0);
        EXPECT_EQ(p.log(), "<4>careful\n");
}

TEST_P(EchoTest, LeavesWhenToldAndAtTheEndOfItsInput) {
        Plugin told(GetParam().command), ended(GetParam().command);

        told.greet();
        EXPECT_EQ(told.ask(request(1, "plugind/shutdown", R"({"reason":"test"})")), result(1, "{}"));
        told.end_input();
        EXPECT_EQ(told.end(), 0);
        ended.greet();
        ended.end_input();
        EXPECT_EQ(ended.end(), 0);
}

TEST_P(EchoTest, DiesAsAsked) {
        Plugin leaves(GetParam().command), crashes(GetParam().command);
        int status;

        leaves.greet();
        leaves.say(request(1, "exit", R"({"status":17})"));
        status = leaves.end();
        EXPECT_TRUE(WIFEXITED(status));
        EXPECT_EQ(WEXITSTATUS(status), 17);
        crashes.greet();
        crashes.say(request(1, "crash", R"({"signal":9})"));
        status = crashes.end();
        EXPECT_TRUE(WIFSIGNALED(status));
        EXPECT_EQ(WTERMSIG(status), SIGKILL);
}

std::vector<Language> languages() {
        std::vector<Language> all = { { "C", { ECHO_C } }, { "Python", { PYTHON, ECHO_PYTHON } } };
        g_autofree char *node = g_find_program_in_path("node");

        if (node)
                all.push_back({ "JavaScript", { node, ECHO_JAVASCRIPT } });
        return all;
}

INSTANTIATE_TEST_SUITE_P(Languages, EchoTest, testing::ValuesIn(languages()),
                         [](const auto &info) { return std::string(info.param.name); });

/* --- the SDK */

TEST(Sdk, ExampleOfUnderThirtyLines) {
        Plugin p({ HELLO });

        p.greet();
        EXPECT_EQ(p.ask(request(1, "hello", R"({"name":"\"Ada\""})")), canonical(result(1, R"({"hello":"\"Ada\""})")));
        EXPECT_EQ(p.ask(request(2, "hello", R"({"name":7})")), error(2, -32602, "name: expected a string"));
        EXPECT_EQ(p.ask(request(3, "bye")), error(3, -32601, "bye: no such method"));
}

TEST(Sdk, WaitsForOtherThings) {
        Plugin p({ SDK_PLUGIN });

        p.greet();
        EXPECT_EQ(p.ask(request(1, "watch")), result(1, R"({"read":"hello"})"));
        EXPECT_EQ(p.ask(request(2, "watch")), result(2, R"({"read":"hello"})"));
        EXPECT_EQ(p.ask(request(3, "thread")), result(3, "\"deferred\""));
        p.say(request(4, "timers"));
        EXPECT_EQ(p.hear(), notification("timer", "[1]"));
        EXPECT_EQ(p.hear(), notification("timer", "[2]"));
        EXPECT_EQ(p.hear(), result(4, "null"));
        p.end_input();
        EXPECT_EQ(p.end(), 0);
        EXPECT_EQ(p.log(), "<6>two\n<6>lines\n");
}

TEST(Sdk, NeverSaysWhatIsNoMessage) {
        Plugin p({ SDK_PLUGIN });

        p.greet();
        EXPECT_EQ(p.ask(request(1, "raw", R"({"text":"{\"a\":\n\n1}"})")), result(1, R"({"a":1})"));
        for (const char *text : { "", "{", "1 2", "{'a':1}" }) {
                std::string answer = p.ask(request(2, "raw", std::string(R"({"text":")") + text + "\"}"));
                EXPECT_EQ(answer.find(R"({"jsonrpc":"2.0","id":2,"error":{"code":-32603,"message":"raw: the plugin's answer is no JSON)"),
                          0u)
                        << answer;
        }
        EXPECT_EQ(p.ask(request(3, "notify", R"({"json":1})")), result(3, "\"refused\""));
        p.say(request(4, "notify", R"({"json":[1]})"));
        EXPECT_EQ(p.hear(), notification("n", "[1]"));
        EXPECT_EQ(p.hear(), result(4, "null"));
}

TEST(Sdk, TurnsErrnoIntoAnswers) {
        Plugin p({ SDK_PLUGIN });

        p.greet();
        EXPECT_EQ(p.ask(request(1, "errno", "{\"errno\":" + std::to_string(EINVAL) + "}")), error(1, -32602, "errno: invalid parameters"));
        EXPECT_EQ(p.ask(request(2, "errno", "{\"errno\":" + std::to_string(ENOSPC) + "}")),
                  error(2, -32603, "errno: No space left on device"));
}

TEST(Sdk, ReadsWholeNumbers) {
        Plugin p({ SDK_PLUGIN });

        p.greet();
        for (const char *good : { "0", "-1", "9223372036854775807", "-9223372036854775807" })
                EXPECT_EQ(p.ask(request(1, "integer", std::string(R"({"json":{"n":)") + good + "}}")), result(1, good));
        for (const char *bad : { "1.5", "1e3", "\"1\"", "9223372036854775808", "true", "-0.5" })
                EXPECT_EQ(p.ask(request(2, "integer", std::string(R"({"json":{"n":)") + bad + "}}")), result(2, "\"none\""));
        EXPECT_EQ(p.ask(request(3, "integer", R"({"json":[1]})")), result(3, "\"none\""));
        EXPECT_EQ(p.ask(request(4, "integer")), result(4, "\"none\""));
}

TEST(Sdk, RefusesAConfiguration) {
        Plugin p({ SDK_PLUGIN }), never({ SDK_PLUGIN });
        int status;

        p.greet();
        EXPECT_EQ(p.ask(request(1, "plugind/configure", R"({"configuration":{"a":"wrong"}})")),
                  error(1, -32602, "plugind/configure: invalid parameters"));
        EXPECT_EQ(p.ask(request(2, "configured")), result(2, "2"));

        EXPECT_EQ(never.ask(request(1, "plugind/initialize", R"({"protocol":1,"session":"s","configuration":{"a":"wrong"}})")),
                  error(1, -32602, "configuration: invalid parameters"));
        status = never.end();
        EXPECT_TRUE(WIFEXITED(status));
        EXPECT_EQ(WEXITSTATUS(status), 125) << "a host would start it again, for nothing";
}

TEST(Sdk, GreetsOnceAndFirst) {
        Plugin p({ SDK_PLUGIN }), fails({ SDK_PLUGIN });
        int status;

        EXPECT_EQ(p.ask(request(1, "configured")), error(1, -32600, "plugind/initialize has to come first"));
        p.greet();
        EXPECT_EQ(p.ask(request(2, "plugind/initialize", R"({"protocol":1})")), error(2, -32600, "plugind/initialize came twice"));

        EXPECT_EQ(fails.ask(request(1, "plugind/initialize", R"({"protocol":1,"session":"fail"})")),
                  error(1, -32603, "start: No medium found"));
        status = fails.end();
        EXPECT_TRUE(WIFEXITED(status));
        EXPECT_EQ(WEXITSTATUS(status), 1);
}

TEST(Sdk, OutlivesRubbish) {
        Plugin p({ SDK_PLUGIN });

        p.greet();
        p.say("rubbish");
        p.say("{\"jsonrpc\":");
        p.say("");
        p.say(R"({"jsonrpc":"2.0","id":99,"result":1})");
        p.say(R"({"jsonrpc":"2.0","method":"plugind/unknown"})");
        EXPECT_EQ(p.ask(request(1, "configured")), result(1, "1"));
}

/* A host that does not read for a while finds every message once it does. */
TEST(Sdk, WaitsForASlowHost) {
        Plugin p({ ECHO_C });
        std::string filler(1000, 'x');

        p.greet();
        p.say(request(1, "notify", R"({"method":"n","params":[")" + filler + R"("],"count":10000})"));
        for (int i = 0; i < 10000; i++)
                ASSERT_EQ(p.hear(), notification("n", "[\"" + filler + "\"]")) << i;
        EXPECT_EQ(p.hear(), result(1, R"({"sent":10000})"));
}

} // namespace
