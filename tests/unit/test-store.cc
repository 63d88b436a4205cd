/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One daemon after another, each a process of its own, with a process 1 that keeps what it is sent and passes it on. */
#include <gtest/gtest.h>

#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <functional>
#include <map>
#include <poll.h>
#include <set>
#include <sstream>
#include <string>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

extern "C" {
#include "basic/log.h"
#include "store/state.h"
#include "store/store.h"
}

using std::string;
using Names = std::set<string>;

class StoreTest : public testing::Test {
      protected:
        char folder[64] = "/tmp/plugind-test-store-XXXXXX";
        int notify = -1;
        std::vector<std::pair<string, int>> stored; /* the fd store */
        std::vector<std::pair<string, int>> sockets;
        bool has_store = true;
        string log;

        void SetUp() override {
                struct sockaddr_un address = {};
                string name = "plugind-test-store-" + std::to_string(getpid());

                ASSERT_NE(mkdtemp(folder), nullptr);
                notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
                address.sun_family = AF_UNIX;
                memcpy(address.sun_path + 1, name.data(), name.size());
                ASSERT_EQ(
                        bind(notify, (struct sockaddr *) &address, (socklen_t) (offsetof(struct sockaddr_un, sun_path) + 1 + name.size())),
                        0);
                setenv("NOTIFY_SOCKET", ("@" + name).c_str(), true);
        }

        void TearDown() override {
                unsetenv("NOTIFY_SOCKET");
                close(notify);
                for (auto list : { &stored, &sockets })
                        for (auto &entry : *list)
                                close(entry.second);
                unlink((string(folder) + "/handover.bad").c_str());
                EXPECT_EQ(rmdir(folder), 0);
        }

        void remove(const string &name) {
                for (auto i = stored.begin(); i != stored.end();)
                        if (i->first == name) {
                                close(i->second);
                                i = stored.erase(i);
                        } else
                                i++;
        }

        /* As systemd does it. */
        void obey(const string &message, std::vector<int> fds) {
                std::map<string, string> fields;
                std::stringstream lines(message);

                for (string line; std::getline(lines, line);)
                        fields[line.substr(0, line.find('='))] = line.substr(line.find('=') + 1);
                if (fields["FDSTOREREMOVE"] == "1")
                        remove(fields["FDNAME"]);
                if (fields["FDSTORE"] == "1") {
                        EXPECT_EQ(fields["FDPOLL"], "0");
                        for (int fd : fds)
                                stored.push_back({ fields["FDNAME"], fd });
                } else
                        EXPECT_TRUE(fds.empty());
        }

        void receive() {
                union {
                        struct cmsghdr header;
                        char space[CMSG_SPACE(sizeof(int) * 8)];
                } control;
                char text[4096];
                struct iovec iov = { text, sizeof text };

                for (;;) {
                        struct msghdr message = {};
                        std::vector<int> fds;
                        ssize_t n;

                        message.msg_iov = &iov;
                        message.msg_iovlen = 1;
                        message.msg_control = &control;
                        message.msg_controllen = sizeof control;
                        n = recvmsg(notify, &message, MSG_CMSG_CLOEXEC);
                        if (n < 0)
                                return;
                        for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
                                if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
                                        fds.resize((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
                                        memcpy(fds.data(), CMSG_DATA(c), fds.size() * sizeof(int));
                                }
                        obey(string(text, (size_t) n), fds);
                }
        }

        void pass() {
                std::vector<std::pair<string, int>> all = sockets;
                string names;
                int fd = 3;

                all.insert(all.end(), stored.begin(), stored.end());
                for (auto &entry : all)
                        entry.second = fcntl(entry.second, F_DUPFD, 500); /* out of the way */
                for (auto &entry : all) {
                        names += (fd > 3 ? ":" : "") + entry.first;
                        dup2(entry.second, fd++);
                        close(entry.second);
                }
                if (all.empty())
                        return;
                setenv("LISTEN_PID", std::to_string(getpid()).c_str(), true);
                setenv("LISTEN_FDS", std::to_string(all.size()).c_str(), true);
                setenv("LISTEN_FDNAMES", names.c_str(), true);
        }

        [[noreturn]] void child(const std::function<void(Store *)> &body, int log_fd) {
                Store *store = nullptr;

                dup2(log_fd, 2);
                pass();
                log_open(LOG_TARGET_STDERR, LOG_INFO);
                if (!has_store)
                        unsetenv("NOTIFY_SOCKET");
                EXPECT_EQ(store_open(folder, &store), 0);
                EXPECT_EQ(getenv("LISTEN_FDS"), nullptr);
                if (store)
                        body(store);
                store_free(store);
                fflush(stdout);
                _exit(HasFailure() ? 1 : 0);
        }

        /* A daemon that does BODY and ends, as if killed there. */
        void daemon(const std::function<void(Store *)> &body) {
                int status, log_fd = memfd_create("log", 0);
                char text[65536];
                pid_t pid = fork();

                if (pid == 0)
                        child(body, log_fd);
                for (pid_t ended = 0; ended == 0;) {
                        struct pollfd p = { notify, POLLIN, 0 };

                        ended = waitpid(pid, &status, WNOHANG);
                        if (ended == 0)
                                poll(&p, 1, 1);
                        receive();
                }
                ssize_t n = pread(log_fd, text, sizeof text, 0);
                log = string(text, n < 0 ? 0 : (size_t) n);
                close(log_fd);
                EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status << " " << log;
        }

        Names names() const {
                Names found;

                for (const auto &entry : stored)
                        EXPECT_TRUE(found.insert(entry.first).second) << entry.first << " twice";
                return found;
        }
};

static string get(Store *store, const char *key) {
        size_t size = 0;
        const char *text = store_get(store, key, &size);

        return text ? string(text, size) : "(nothing)";
}

static void set(Store *store, const char *key, const string &text) {
        store_set(store, key, text.data(), text.size());
}

/* FD is the very thing that has been written this into. */
static string read_from(int fd) {
        char text[64];
        ssize_t n = read(fd, text, sizeof text);

        return string(text, n < 0 ? 0 : (size_t) n);
}

TEST_F(StoreTest, TextsGoFromDaemonToDaemon) {
        daemon([](Store *store) {
                EXPECT_TRUE(store_lasts(store));
                EXPECT_EQ(store_epoch(store), 1u);
                EXPECT_FALSE(store_was_sealed(store));
                set(store, "session/a", "1");
                set(store, "session/b", "2");
                set(store, "bus", "3");
        });
        EXPECT_EQ(names(), Names{ "state" });
        daemon([](Store *store) {
                string all;

                EXPECT_EQ(store_epoch(store), 2u);
                EXPECT_FALSE(store_was_sealed(store));
                store_foreach(
                        store, "session/",
                        [](const char *key, const char *text, size_t size, void *userdata) {
                                *(string *) userdata += key + string(text, size);
                        },
                        &all);
                EXPECT_EQ(all, "session/a1session/b2");
                set(store, "session/a", "4");
                store_remove(store, "bus");
                store_seal(store);
                set(store, "session/a", "5");
                store_remove(store, "session/b");
        });
        daemon([](Store *store) {
                EXPECT_EQ(store_epoch(store), 3u);
                EXPECT_TRUE(store_was_sealed(store));
                EXPECT_EQ(get(store, "session/a"), "4");
                EXPECT_EQ(get(store, "session/b"), "2");
                EXPECT_EQ(get(store, "bus"), "(nothing)");
        });
        EXPECT_EQ(names(), Names{ "state" });
        EXPECT_EQ(log, "");
}

TEST_F(StoreTest, PairsGoFromDaemonToDaemon) {
        int b[2];

        ASSERT_EQ(pipe(b), 0);
        daemon([&](Store *store) {
                int a[2], c[2];
                unsigned number;

                ASSERT_EQ(pipe(a) | socketpair(AF_UNIX, SOCK_STREAM, 0, c), 0);
                ASSERT_EQ(store_put_pair(store, a[0], b[1], &number), 0);
                EXPECT_EQ(number, 1u);
                ASSERT_EQ(store_put_pair(store, c[0], c[0], &number), 0);
                EXPECT_EQ(number, 2u);
                ASSERT_EQ(store_put_pair(store, c[1], dup(c[1]), &number), 0); /* systemd would keep one of them */
                EXPECT_EQ(number, 3u);
                ASSERT_EQ(store_put_pair(store, a[0], b[1], &number), 0);
                store_drop_pair(store, number);
                store_drop_pair(store, number);
                store_drop_pair(store, 17);
                EXPECT_EQ(write(a[1], "a", 1), 1);
                EXPECT_EQ(write(b[1], "b", 1), 1);
                EXPECT_EQ(write(c[1], "c", 1), 1);
        });
        EXPECT_EQ(names(), (Names{ "1i", "1o", "2i", "3i", "state" }));
        daemon([](Store *store) {
                int in, out, fds[2];
                unsigned number;

                ASSERT_EQ(store_take_pair(store, 1, &in, &out), 0);
                EXPECT_TRUE(fcntl(in, F_GETFD) & FD_CLOEXEC);
                EXPECT_EQ(read_from(in), "a");
                EXPECT_EQ(write(out, "d", 1), 1);
                EXPECT_EQ(store_take_pair(store, 1, &in, &out), -ENOENT);
                ASSERT_EQ(store_take_pair(store, 2, &in, &out), 0);
                EXPECT_EQ(in, out);
                EXPECT_EQ(read_from(in), "c");
                EXPECT_EQ(store_take_pair(store, 4, &in, &out), -ENOENT);
                /* goes on above what it found */
                ASSERT_EQ(pipe(fds), 0);
                ASSERT_EQ(store_put_pair(store, fds[0], fds[1], &number), 0);
                EXPECT_EQ(number, 4u);
                store_taken_over(store); /* 3 was not wanted */
        });
        EXPECT_EQ(names(), (Names{ "1i", "1o", "2i", "4i", "4o", "state" }));
        daemon([](Store *store) {
                int in, out;

                store_drop_pair(store, 2); /* without having taken it */
                EXPECT_EQ(store_take_pair(store, 2, &in, &out), -ENOENT);
                ASSERT_EQ(store_take_pair(store, 1, &in, &out), 0);
                store_taken_over(store);
                store_drop_pair(store, 1);
        });
        EXPECT_EQ(names(), Names{ "state" });
        close(b[1]);
        EXPECT_EQ(read_from(b[0]), "bd");
        EXPECT_EQ(read_from(b[0]), ""); /* nobody holds the other end any more */
        close(b[0]);
}

TEST_F(StoreTest, APairThatIsSealedInStays) {
        daemon([](Store *store) {
                unsigned number;
                int fds[2];

                ASSERT_EQ(pipe(fds), 0);
                ASSERT_EQ(store_put_pair(store, fds[0], fds[1], &number), 0);
                store_seal(store);
                store_drop_pair(store, number);
        });
        EXPECT_EQ(names(), (Names{ "1i", "1o", "state" }));
}

TEST_F(StoreTest, HalfAPairIsNone) {
        int fds[2];

        ASSERT_EQ(pipe(fds), 0);
        stored.push_back({ "9o", fds[1] }); /* its daemon was killed before it could store the other one */
        close(fds[0]);
        daemon([](Store *store) {
                int in, out;

                EXPECT_EQ(store_take_pair(store, 9, &in, &out), -ENOENT);
                store_taken_over(store);
        });
        EXPECT_EQ(names(), Names{ "state" });
}

TEST_F(StoreTest, TheArenaGoesFromDaemonToDaemon) {
        daemon([](Store *store) {
                int fds[3] = { memfd_create("x", 0) }, found[3];

                EXPECT_EQ(store_take_arena(store, found), -ENOENT);
                ASSERT_EQ(pipe(fds + 1), 0);
                EXPECT_EQ(write(fds[2], "old", 3), 3);
                ASSERT_EQ(store_put_arena(store, fds), 0);
                ASSERT_EQ(pipe(fds + 1), 0);
                EXPECT_EQ(write(fds[2], "new", 3), 3);
                ASSERT_EQ(store_put_arena(store, fds), 0);
        });
        EXPECT_EQ(names(), (Names{ "arena0", "arena1", "arena2", "state" }));
        daemon([](Store *store) {
                int fds[3];

                ASSERT_EQ(store_take_arena(store, fds), 0);
                EXPECT_EQ(fcntl(fds[0], F_GET_SEALS), F_SEAL_SEAL);
                EXPECT_EQ(read_from(fds[1]), "new");
                EXPECT_EQ(write(fds[2], "again", 5), 5);
                EXPECT_EQ(store_take_arena(store, fds), -ENOENT);
                store_taken_over(store);
        });
        EXPECT_EQ(names(), (Names{ "arena0", "arena1", "arena2", "state" }));
        daemon([](Store *store) {
                int fds[3] = { memfd_create("x", 0) };

                /* another one, before what was there is dropped */
                ASSERT_EQ(pipe(fds + 1), 0);
                EXPECT_EQ(write(fds[2], "third", 5), 5);
                ASSERT_EQ(store_put_arena(store, fds), 0);
                store_taken_over(store);
        });
        daemon([](Store *store) {
                int fds[3];

                ASSERT_EQ(store_take_arena(store, fds), 0);
                EXPECT_EQ(read_from(fds[1]), "third");
        });
        remove("arena1");
        daemon([](Store *store) {
                int fds[3];

                EXPECT_EQ(store_take_arena(store, fds), -ENOENT);
                store_taken_over(store);
        });
        EXPECT_EQ(names(), Names{ "state" });
}

/* Whatever a socket unit calls its sockets: they are nobody else's. */
TEST_F(StoreTest, SocketsAreThose) {
        std::vector<string> given = { "plugind.socket",        "state",  "7i",     "", "01i", "0i", "1x", "1io", "4294967296i",
                                      "99999999999999999999i", "arena3", "arena00" };

        for (const string &name : given) {
                int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
                struct sockaddr_un address = {};

                address.sun_family = AF_UNIX;
                ASSERT_EQ(bind(fd, (struct sockaddr *) &address, sizeof(sa_family_t)), 0);
                ASSERT_EQ(listen(fd, 1), 0);
                sockets.push_back({ name, fd });
        }
        for (int i = 0; i < 2; i++)
                daemon([&](Store *store) {
                        const int *fds = nullptr;

                        EXPECT_EQ(store_epoch(store), i + 1u);
                        ASSERT_EQ(store_sockets(store, &fds), given.size());
                        for (size_t k = 0; k < given.size(); k++) {
                                EXPECT_EQ(fds[k], 3 + (int) k);
                                EXPECT_TRUE(fcntl(fds[k], F_GETFD) & FD_CLOEXEC);
                        }
                        store_taken_over(store);
                        EXPECT_GE(fcntl(fds[0], F_GETFD), 0);
                });
        EXPECT_EQ(names(), Names{ "state" });
}

TEST_F(StoreTest, WithoutAStoreAllIsTheSameAndEnds) {
        auto body = [](Store *store) {
                int fds[3], in, out;
                const int *none;
                unsigned number;

                EXPECT_FALSE(store_lasts(store));
                EXPECT_EQ(store_epoch(store), 1u);
                EXPECT_EQ(store_sockets(store, &none), 0u);
                set(store, "a", "b");
                EXPECT_EQ(get(store, "a"), "b");
                ASSERT_EQ(pipe(fds), 0);
                fds[2] = fds[0];
                EXPECT_EQ(store_put_pair(store, fds[0], fds[1], &number), 0);
                EXPECT_EQ(store_put_pair(store, fds[0], fds[1], &number), 0);
                EXPECT_EQ(number, 2u);
                EXPECT_EQ(store_put_arena(store, fds), 0);
                EXPECT_EQ(store_take_pair(store, number, &in, &out), -ENOENT);
                store_drop_pair(store, number);
                store_taken_over(store);
                store_seal(store);
                close(fds[0]);
                close(fds[1]);
        };
        Store *store = nullptr;

        has_store = false;
        daemon(body);
        daemon(body);
        EXPECT_EQ(names(), Names{});
        EXPECT_EQ(log, "");
        /* here as well, where leaks are looked for */
        unsetenv("NOTIFY_SOCKET");
        ASSERT_EQ(store_open(folder, &store), 0);
        body(store);
        store_free(store);
        store_free(nullptr);
}

TEST_F(StoreTest, SystemdThatSaysItKeepsNothingIsBelieved) {
        setenv("FDSTORE", "0", true);
        daemon([](Store *store) { EXPECT_FALSE(store_lasts(store)); });
        EXPECT_EQ(names(), Names{});
        setenv("FDSTORE", "100", true);
        daemon([](Store *store) { EXPECT_TRUE(store_lasts(store)); });
        unsetenv("FDSTORE");
        EXPECT_EQ(names(), Names{ "state" });
}

/* What cannot be read is told, kept for people, and replaced. */
struct Unreadable {
        const char *name, *told;
        int (*make)(int state);
        bool kept;
};

static int from_the_future(int state) {
        uint32_t version = 2, table, crc = ~0u;
        unsigned char head[12];

        /* a header that is whole: CRC-32C, bit by bit */
        EXPECT_EQ(pwrite(state, &version, 4, 8), 4);
        EXPECT_EQ(pread(state, head, 12, 0), 12);
        for (unsigned char c : head) {
                table = (crc ^ c) & 0xff;
                for (int bit = 0; bit < 8; bit++)
                        table = table >> 1 ^ (table & 1 ? 0x82f63b78 : 0);
                crc = crc >> 8 ^ table;
        }
        crc = ~crc;
        EXPECT_EQ(pwrite(state, &crc, 4, 12), 4);
        return state;
}

static const Unreadable unreadable[] = {
        { "future", "it is of a later version of plugind", from_the_future, true },
        { "magic", "it is damaged, or none of plugind's",
          [](int state) {
                  EXPECT_EQ(pwrite(state, "x", 1, 3), 1);
                  return state;
          },
          true },
        { "empty", "it is damaged, or none of plugind's", [](int state) { return close(state), memfd_create("x", 0); }, true },
        { "file", "it is no memfd", [](int state) { return close(state), open("/proc/self/exe", O_RDONLY); }, true },
        { "pipe", "it is no memfd",
          [](int state) {
                  int fds[2];

                  EXPECT_EQ(pipe(fds), 0);
                  close(fds[1]);
                  close(state);
                  return fds[0];
          },
          false },
};

class UnreadableTest : public StoreTest, public testing::WithParamInterface<Unreadable> {};

TEST_P(UnreadableTest, IsToldSetAsideAndSurvived) {
        string bad = string(folder) + "/handover.bad";
        std::stringstream kept;
        struct stat st, original;

        daemon([](Store *store) {
                unsigned number;
                int fds[2];

                set(store, "a", "the text");
                ASSERT_EQ(pipe(fds), 0);
                ASSERT_EQ(store_put_pair(store, fds[0], fds[1], &number), 0);
        });
        ASSERT_EQ(stored[0].first, "state");
        stored[0].second = GetParam().make(stored[0].second);
        ASSERT_GE(stored[0].second, 0);
        ASSERT_EQ(fstat(stored[0].second, &original), 0);
        daemon([](Store *store) {
                EXPECT_TRUE(store_lasts(store));
                EXPECT_EQ(store_epoch(store), 1u);
                EXPECT_EQ(get(store, "a"), "(nothing)");
                set(store, "a", "anew");
                store_taken_over(store);
        });
        EXPECT_NE(log.find(GetParam().told), string::npos) << log;
        EXPECT_EQ(log.find("is kept as " + bad) != string::npos, GetParam().kept) << log;
        EXPECT_EQ(names(), Names{ "state" });
        ASSERT_EQ(stat(bad.c_str(), &st), GetParam().kept ? 0 : -1);
        if (GetParam().kept) {
                EXPECT_EQ(st.st_mode, S_IFREG | 0600u);
                EXPECT_LE(st.st_blocks * 512, 65 << 20);
        }
        if (GetParam().make == from_the_future) {
                string text(8192, '\0');
                std::ifstream(bad, std::ios::binary).read(&text[0], 8192);
                EXPECT_NE(text.find("the text"), string::npos);
        }
        daemon([](Store *store) {
                EXPECT_EQ(store_epoch(store), 2u);
                EXPECT_EQ(get(store, "a"), "anew");
        });
        EXPECT_EQ(log, "");
}

INSTANTIATE_TEST_SUITE_P(States, UnreadableTest, testing::ValuesIn(unreadable), [](const auto &info) { return info.param.name; });
