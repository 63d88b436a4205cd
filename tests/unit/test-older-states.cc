/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an earlier version of the daemon kept (state/README.md) is taken over by this one. Its plugins, and the memory of their duplexes, are played. */
#include "host-fixture.h"
#include "played-store.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <sys/mman.h>
#include <sys/socket.h>

extern "C" {
#include "host/session-private.h"
#include "store/state.h"
#include "store/store.h"
}

class OlderState : public HostTest {
      protected:
        void SetUp() override {
                uint16_t one = 1;

                if (*(uint8_t *) &one != 1 || sizeof(void *) < 8)
                        GTEST_SKIP() << "the files are of another machine";
                HostTest::SetUp();
                ops = *runtime.runtime.ops;
                ops.unit_adopt = adopt;
                runtime.runtime.ops = &ops;
        }

        void TearDown() override {
                if (event)
                        HostTest::TearDown();
                forget_stored();
                if (external >= 0)
                        ::close(external);
        }

        /* Whatever unit is asked for runs. */
        static int adopt(Runtime *played, const UnitIdentity *identity, const UnitEvents *events, void *userdata, Unit **ret) {
                auto *test = static_cast<OlderState *>(reinterpret_cast<TestRuntime *>(played)->test);
                int to[2], from[2];

                EXPECT_EQ(pipe2(to, O_CLOEXEC), 0);
                EXPECT_EQ(pipe2(from, O_CLOEXEC), 0);
                auto process = std::make_unique<Process>();
                process->unit = Unit{ played, events, userdata };
                process->test = test;
                process->pid = identity->pid;
                process->in = to[0];
                process->out = from[1];
                stored[identity->pair] = { from[0], to[1] };
                *ret = &process->unit;
                test->adopted[identity->name] = process.get();
                test->processes.push_back(std::move(process));
                return 0;
        }

        /* An arena in which all slots are empty. */
        void left() override {
                Slot *slots[16];
                int fds[_ARENA_FD_MAX];

                for (Slot *&slot : slots)
                        ASSERT_EQ(slot_new(arena, &slot), 0);
                arena_keep(arena);
                for (Slot *slot : slots)
                        slot_free(slot);
                arena_descriptors(arena, fds);
                for (int &fd : fds)
                        fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
                arena = arena_free(arena);
                ASSERT_EQ(arena_adopt(fds, DUPLEX_MESSAGE_MAX, 2, &arena), 0);
        }

        /* The texts of the state in FILE. */
        void read(const std::string &file) {
                std::ifstream stream(SOURCE_ROOT "/tests/unit/state/" + file, std::ios::binary);
                std::string data((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
                int fd = memfd_create("state", MFD_CLOEXEC);
                State *state = nullptr, *empty = nullptr;
                off_t size;

                ASSERT_EQ(state_new(&empty), 0);
                size = lseek(state_fd(empty), 0, SEEK_END);
                state_free(empty);
                ASSERT_EQ(ftruncate(fd, size), 0);
                ASSERT_EQ(pwrite(fd, data.data(), data.size(), 0), (ssize_t) data.size());
                ASSERT_EQ(state_open(fd, &state), 0);
                EXPECT_FALSE(state_was_sealed(state)) << "it was killed";
                state_foreach(
                        state, "",
                        [](const char *key, const char *text, size_t n, void *to) { store_set(static_cast<Store *>(to), key, text, n); },
                        store);
                state_free(state);
        }

        void manifest_file(const std::string &id) {
                std::ofstream(std::string(directory) + "/" + id + ".json") << manifest();
        }

        /* Another daemon, which finds FILE. */
        void restore(const std::string &file) {
                hand_over([&](Host *next) {
                        int ends[2];

                        read(file);
                        ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
                        stored[9] = { ends[0], fcntl(ends[0], F_DUPFD_CLOEXEC, 3) }; /* of the session `connected` */
                        external = ends[1];
                        char **path = g_new0(char *, 2);
                        path[0] = g_strdup(directory);
                        g_strfreev(next->config.search_path);
                        next->config.search_path = path;
                        host_restore(
                                next,
                                [](const char *name, uid_t uid, void *test) {
                                        Caller **alice = &static_cast<OlderState *>(test)->alice;

                                        EXPECT_EQ(uid, 0u);
                                        if (!g_str_equal((*alice)->name, name)) { /* it is the only one */
                                                *alice = caller_free(*alice);
                                                caller_new(name, uid, nullptr, alice);
                                        }
                                        return *alice;
                                },
                                this);
                });
        }

        SessionState state_of(const char *id) {
                Session *session = host_find(host, id);

                EXPECT_TRUE(session) << id;
                return session ? session->state : SESSION_INACTIVE;
        }

        static Attachment *attachment_of(Session *session) {
                return list_first(&session->attachments, Attachment, by_session);
        }

        std::map<std::string, Process *> adopted;
        RuntimeOps ops{};
        int external = -1;
};

/* Sessions as tests/system/dump-state.cc makes them. */
TEST_F(OlderState, SessionsOfVersion1GoOn) {
        for (const char *id : { "idle", "unwanted", "errored" }) /* what does not run is read again */
                manifest_file(id);
        restore("version-1-sessions");

        EXPECT_EQ(host_n_sessions(host), 12u);
        for (const char *id : { "active", "bound", "mcp", "lsp", "connected" }) {
                EXPECT_EQ(state_of(id), SESSION_ACTIVE) << id;
                EXPECT_EQ(host_find(host, id)->hand_overs, 1u) << id;
                EXPECT_GT(host_find(host, id)->started_at, 0u) << id;
        }
        EXPECT_EQ(state_of("idle"), SESSION_INACTIVE);
        EXPECT_EQ(state_of("unwanted"), SESSION_INACTIVE);
        EXPECT_EQ(state_of("errored"), SESSION_ERRORED);
        EXPECT_EQ(state_of("restarting"), SESSION_RESTARTING);
        EXPECT_EQ(state_of("stopping"), SESSION_STOPPING);
        EXPECT_EQ(state_of("waiting"), SESSION_CONNECTING);
        EXPECT_NE(state_of("connecting"), SESSION_ERRORED);
        EXPECT_TRUE(host_find(host, "idle")->desired_active);
        EXPECT_FALSE(host_find(host, "unwanted")->desired_active);
        EXPECT_TRUE(host_find(host, "connecting")->desired_active);

        Session *active = host_find(host, "active");
        EXPECT_EQ(active->main_pid, adopted["plugind-strict-active-1.service"]->pid);
        ASSERT_TRUE(active->statistics);
        EXPECT_EQ(active->statistics->answered, 2u);
        EXPECT_EQ(active->statistics->plugin_errors, 1u);
        EXPECT_STREQ(active->server_name, "bad");
        EXPECT_STREQ(active->source, "active");
        ASSERT_TRUE(attachment_of(active));
        EXPECT_TRUE(attachment_of(active)->subscribed);
        EXPECT_EQ(attachment_of(active)->methods, nullptr);

        Attachment *bound = attachment_of(host_find(host, "bound"));
        ASSERT_TRUE(bound);
        EXPECT_TRUE(bound->bound);
        ASSERT_TRUE(bound->methods && bound->methods[0] && bound->methods[1]);
        EXPECT_STREQ(bound->methods[1], "two");

        EXPECT_EQ(host_find(host, "errored")->failure.exit_status, 125);
        EXPECT_STREQ(host_find(host, "errored")->failure.stage, "greeting");
        EXPECT_EQ(host_find(host, "restarting")->run->n_failed, 1u);
}

TEST_F(OlderState, PluginsOfVersion1AnswerAndAreStillTheirCallers) {
        restore("version-1-sessions");

        Sent sent, mcp;
        Process *process = adopted["plugind-strict-active-1.service"];
        send(host_find(host, "active"), bob, "echo", "[7]", &sent);
        std::string line = process->line();
        size_t at = line.find("\"id\":");
        ASSERT_NE(at, std::string::npos) << line;
        process->say(R"({"jsonrpc":"2.0","id":)" + line.substr(at + 5, line.find_first_of(",}", at) - at - 5) + R"(,"result":[7]})");
        EXPECT_EQ(sent.result, "[7]") << sent.message;
        process->say(R"({"jsonrpc":"2.0","method":"told","params":{}})");
        EXPECT_EQ(events.back(), std::string("note ") + alice->name + " '' told {}") << "it has subscribed";

        send(host_find(host, "mcp"), bob, "initialize", "{}", &mcp);
        EXPECT_NE(mcp.result.find("\"sharing\""), std::string::npos) << mcp.result << mcp.message;

        PlugindError error{};
        EXPECT_LT(session_notify(host_find(host, "lsp"), bob, "textDocument/didOpen",
                                 JSON_RANGE(R"({"textDocument":{"uri":"file:///x.c"}})"), nullptr, nullptr, &error),
                  0);
        EXPECT_NE(std::string(error.message ?: "").find(std::string("open for writing by ") + alice->name), std::string::npos)
                << error.message;
        plugind_error_clear(&error);

        alice = caller_free(alice); /* and takes with it what it held */
        EXPECT_NE(adopted["plugind-strict-mcp-3.service"]->line().find("resources/unsubscribe"), std::string::npos);
}
