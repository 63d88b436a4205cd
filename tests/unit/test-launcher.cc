/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The real plugind-exec, outside of any sandbox, with plugind's end of the conversation played here. */
#include <gtest/gtest.h>

#include "folder.h"

#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

extern "C" {
#include "runtime/launch.h"
}

namespace {

constexpr int PATIENCE_MSEC = 20000;

using Strings = std::vector<std::string>;

/* Plugind's side of one launch. */
class Launch {
      public:
        Strings args = { "sh", "-c", "exit 0" }, env = { "A=b" }, writable, readable;
        std::string command = "/bin/sh", cwd = "/";
        uint32_t flags = 0, magic = LAUNCH_MAGIC;
        int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
        size_t n_fds = SIZE_MAX, cut_off = 0; /* what is wrong, if anything is */
        bool send_hello = true;
        Strings launcher = { PLUGIND_EXEC_BINARY };

        int status = -1, to = -1, from = -1; /* our ends */
        pid_t pid = 0;

        ~Launch() {
                for (int fd : { status, to, from })
                        if (fd >= 0)
                                close(fd);
                if (pid > 0) {
                        kill(pid, SIGKILL);
                        waitpid(pid, nullptr, 0);
                }
        }

        void start() {
                int control[2], ends[2], in[2], out[2];

                ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control), 0);
                ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
                if (flags & LAUNCH_ONE_SOCKET) {
                        ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in), 0);
                        out[0] = fcntl(in[1], F_DUPFD_CLOEXEC, 3);
                        out[1] = -1;
                } else {
                        ASSERT_EQ(pipe2(in, O_CLOEXEC), 0);
                        ASSERT_EQ(pipe2(out, O_CLOEXEC), 0);
                }
                int memory = make_spec();
                if (send_hello)
                        hello(control[0], { memory, ends[1], in[0], out[1] });
                close(control[0]);
                spawn(control[1]);
                for (int fd : { control[1], memory, ends[1], in[0], out[1] })
                        if (fd >= 0)
                                close(fd);
                status = ends[0];
                to = in[1];
                from = out[0];
        }

        /* The next report; nothing: the socket ended. */
        std::optional<LaunchOutcome> report(std::string *text = nullptr) {
                LaunchReport report;
                struct pollfd p = { status, POLLIN, 0 };

                if (poll(&p, 1, PATIENCE_MSEC) <= 0) {
                        ADD_FAILURE() << "no word from the launcher";
                        return {};
                }
                ssize_t n = recv(status, &report, sizeof report, 0);
                if (n < static_cast<ssize_t>(offsetof(LaunchReport, text)))
                        return {};
                if (text)
                        *text = std::string(report.text, static_cast<size_t>(n) - offsetof(LaunchReport, text));
                return static_cast<LaunchOutcome>(report.outcome);
        }
        void go() {
                ASSERT_EQ(send(status, "", 1, MSG_NOSIGNAL), 1);
        }
        /* From the start to the plugin's own code. */
        void run() {
                std::string text;

                ASSERT_NO_FATAL_FAILURE(start());
                ASSERT_EQ(report(&text), LAUNCH_READY) << text;
                go();
                ASSERT_EQ(report(&text), std::nullopt) << text;
        }
        std::string output() {
                std::string all;
                char buffer[4096];
                struct pollfd p = { from, POLLIN, 0 };

                while (poll(&p, 1, PATIENCE_MSEC) > 0) {
                        ssize_t n = read(from, buffer, sizeof buffer);
                        if (n <= 0)
                                return all;
                        all.append(buffer, static_cast<size_t>(n));
                }
                ADD_FAILURE() << "no end of the output: " << all;
                return all;
        }
        int exit_status() {
                int result = -1;

                waitpid(pid, &result, 0);
                pid = 0;
                return WIFEXITED(result) ? WEXITSTATUS(result) : -WTERMSIG(result);
        }

      private:
        static uint64_t own_namespace(const char *name) {
                struct stat st = {};

                stat((std::string("/proc/self/ns/") + name).c_str(), &st);
                return st.st_ino;
        }
        int make_spec() {
                LaunchSpec head = {};
                std::string body = command + '\0' + cwd + '\0';

                for (const Strings *list : { &args, &env, &writable, &readable })
                        for (const std::string &string : *list)
                                body += string + '\0';
                head.size = static_cast<uint32_t>(body.size());
                head.n_args = static_cast<uint32_t>(args.size());
                head.n_env = static_cast<uint32_t>(env.size());
                head.n_writable = static_cast<uint32_t>(writable.size());
                head.n_readable = static_cast<uint32_t>(readable.size());
                head.uid = geteuid();
                head.net_ns = own_namespace("net");
                head.ipc_ns = own_namespace("ipc");
                head.user_ns = own_namespace("user");
                head.mnt_ns = own_namespace("mnt");

                int fd = memfd_create("spec", MFD_CLOEXEC | MFD_ALLOW_SEALING);
                std::string bytes = std::string(reinterpret_cast<char *>(&head), sizeof head) + body;

                bytes.resize(bytes.size() - cut_off);
                EXPECT_EQ(write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
                EXPECT_EQ(fcntl(fd, F_ADD_SEALS, seals), 0);
                return fd;
        }
        void hello(int control, std::vector<int> fds) {
                LaunchHello hello = { magic, flags };
                struct iovec iov = { &hello, sizeof hello };
                alignas(struct cmsghdr) char buffer[CMSG_SPACE(4 * sizeof(int))] = {};
                size_t n = n_fds != SIZE_MAX ? n_fds : (flags & LAUNCH_ONE_SOCKET) ? 3 : 4;
                struct msghdr message = {};

                message.msg_iov = &iov;
                message.msg_iovlen = 1;
                message.msg_control = buffer;
                message.msg_controllen = CMSG_SPACE(n * sizeof(int));
                struct cmsghdr *c = CMSG_FIRSTHDR(&message);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(n * sizeof(int));
                memcpy(CMSG_DATA(c), fds.data(), n * sizeof(int));
                EXPECT_EQ(sendmsg(control, &message, MSG_NOSIGNAL), static_cast<ssize_t>(sizeof hello));
        }
        /* As systemd leaves it: SIGPIPE ignored, and more: a signal blocked, a descriptor too many, an environment of its own. */
        void spawn(int control) {
                posix_spawn_file_actions_t actions;
                posix_spawnattr_t attributes;
                std::vector<char *> argv;
                const char *environment[] = { "PATH=/usr/bin:/bin:/sbin:/usr/sbin", "SECRET=of systemd", nullptr };
                sigset_t blocked;

                for (std::string &arg : launcher)
                        argv.push_back(arg.data());
                argv.push_back(nullptr);
                posix_spawn_file_actions_init(&actions);
                posix_spawn_file_actions_adddup2(&actions, control, STDIN_FILENO);
                posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, 77);
                posix_spawnattr_init(&attributes);
                sigemptyset(&blocked);
                sigaddset(&blocked, SIGTERM);
                posix_spawnattr_setsigmask(&attributes, &blocked);
                posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
                auto old = signal(SIGPIPE, SIG_IGN);
                EXPECT_EQ(posix_spawnp(&pid, argv[0], &actions, &attributes, argv.data(), const_cast<char **>(environment)), 0);
                signal(SIGPIPE, old);
                posix_spawn_file_actions_destroy(&actions);
                posix_spawnattr_destroy(&attributes);
        }
};

void expect_failed(Launch &launch, const std::string &message) {
        std::string text;

        launch.start();
        EXPECT_EQ(launch.report(&text), LAUNCH_FAILED);
        EXPECT_EQ(text, message);
        EXPECT_EQ(launch.exit_status(), LAUNCH_EXIT_STATUS);
}

} // namespace

TEST(Launcher, BecomesThePluginWithWhatItWasGivenAndNothingElse) {
        Folder folder;
        Launch launch;

        launch.cwd = folder.path();
        launch.env = { "A=b c", "EMPTY=", "PATH=/usr/bin:/bin" };
        launch.args = { "arg zero",
                        "-c",
                        "echo \"$0|$1|$2\"; pwd -P; tr '\\0' '\\n' </proc/$$/environ; "
                        "cat",
                        "zero",
                        "",
                        "last arg" };
        launch.run();
        ASSERT_EQ(write(launch.to, "said\n", 5), 5);
        close(launch.to);
        launch.to = -1;

        std::string output = launch.output();
        EXPECT_NE(output.find("zero||last arg\n" + folder.path() + "\nA=b c\nEMPTY=\nPATH=/usr/bin:/bin\n"), std::string::npos) << output;
        EXPECT_NE(output.find("\nsaid\n"), std::string::npos) << output;
        EXPECT_EQ(launch.exit_status(), 0);
}

TEST(Launcher, LeavesNoDescriptorBesideStdio) {
        Launch launch;

        launch.command = "/bin/ls";
        launch.args = { "ls", "/proc/self/fd" };
        launch.run();
        EXPECT_EQ(launch.output(), "0\n1\n2\n3\n"); /* 3 is what it lists */
        EXPECT_EQ(launch.exit_status(), 0);
}

/* systemd ignores SIGPIPE for services. */
TEST(Launcher, LeavesNoSignalIgnoredOrBlocked) {
        Launch launch;

        launch.command = "/bin/cat";
        launch.args = { "cat", "/proc/self/status" };
        launch.run();

        std::string output = launch.output();
        EXPECT_NE(output.find("\nSigBlk:\t0000000000000000\n"), std::string::npos) << output;
        EXPECT_NE(output.find("\nSigIgn:\t0000000000000000\n"), std::string::npos) << output;
        EXPECT_EQ(launch.exit_status(), 0);
}

TEST(Launcher, GivesOneSocketAsBothEnds) {
        Launch launch;
        char buffer[16];

        launch.flags = LAUNCH_ONE_SOCKET;
        launch.args = { "sh", "-c", "read x; echo \"got $x\"; test /proc/self/fd/0 -ef /proc/self/fd/1" };
        launch.env = { "PATH=/usr/bin:/bin" };
        launch.run();
        ASSERT_EQ(write(launch.to, "this\n", 5), 5);
        struct pollfd p = { launch.to, POLLIN, 0 };
        ASSERT_EQ(poll(&p, 1, PATIENCE_MSEC), 1);
        ASSERT_EQ(read(launch.to, buffer, sizeof buffer), 9);
        EXPECT_EQ(std::string(buffer, 9), "got this\n");
        EXPECT_EQ(launch.exit_status(), 0);
}

TEST(Launcher, RunsNothingBeforeItIsToldToAndNothingWhenPlugindIsGone) {
        Folder folder;
        Launch launch;

        launch.args = { "sh", "-c", "echo >" + folder / "ran" };
        launch.start();
        ASSERT_EQ(launch.report(), LAUNCH_READY);
        close(launch.status);
        launch.status = -1;
        EXPECT_EQ(launch.exit_status(), LAUNCH_EXIT_STATUS);
        EXPECT_FALSE(std::filesystem::exists(folder / "ran"));
}

TEST(Launcher, SaysWhyTheProgramCannotBeRun) {
        Folder folder;
        const std::string script = folder.write("script", "#!/nonexistent/interpreter -x\n", 0755), plain = folder.write("plain", "", 0644),
                          nonsense = folder.write("nonsense", "\001\002", 0755);
        const struct {
                std::string command, cwd, message;
        } cases[] = {
                { "/nonexistent/x", "/", "cannot run /nonexistent/x: No such file or directory" },
                { script, "/", "cannot run " + script + ": its interpreter /nonexistent/interpreter: No such file or directory" },
                { plain, "/", "cannot run " + plain + ": Permission denied: it is not executable for user " + std::to_string(geteuid()) },
                { nonsense, "/",
                  "cannot run " + nonsense + ": Exec format error: neither a program for this machine nor a script that begins with #!" },
                { "/bin/true", "/nonexistent", "cannot run /bin/true in the directory /nonexistent: No such file or directory" },
                { plain + "/x", "/", "cannot run " + plain + "/x: Not a directory" },
        };

        for (const auto &c : cases) {
                Launch launch;
                std::string text;

                launch.command = c.command;
                launch.cwd = c.cwd;
                launch.start();
                ASSERT_EQ(launch.report(&text), LAUNCH_READY) << text;
                launch.go();
                EXPECT_EQ(launch.report(&text), LAUNCH_FAILED) << c.command;
                EXPECT_EQ(text, c.message);
                EXPECT_EQ(launch.exit_status(), LAUNCH_EXIT_STATUS);
        }
}

TEST(Launcher, SaysSoWhenThereIsTooMuchToHandOver) {
        Launch launch;
        std::string text;

        for (int i = 0; i < 100; i++)
                launch.args.push_back(std::string(100000, 'x'));
        launch.start();
        ASSERT_EQ(launch.report(&text), LAUNCH_READY) << text;
        launch.go();
        EXPECT_EQ(launch.report(&text), LAUNCH_FAILED);
        EXPECT_EQ(text, "cannot run /bin/sh: Argument list too long");
}

TEST(Launcher, RefusesWhatIsNotFromPlugind) {
        Launch silent, strange, few;

        silent.send_hello = false;
        strange.magic = 1;
        few.n_fds = 3;
        for (Launch *launch : { &silent, &strange, &few }) {
                launch->start();
                EXPECT_EQ(launch->report(), std::nullopt);
                EXPECT_EQ(launch->exit_status(), LAUNCH_EXIT_STATUS);
        }
}

TEST(Launcher, RefusesASpecificationThatIsBrokenOrCouldChange) {
        Launch unsealed, cut, newer;

        unsealed.seals = F_SEAL_SHRINK | F_SEAL_GROW;
        expect_failed(unsealed, "plugind-exec: the specification is no sealed memory");
        cut.cut_off = 1;
        expect_failed(cut, "plugind-exec: the specification is shorter or longer than it says");
        newer.flags = 1 << 16;
        expect_failed(newer, "plugind-exec: plugind is newer than its launcher and asks for more than that knows");
}

/* Outside of a sandbox each check finds what is missing; the namespaces and the user are our own for sure. */
TEST(Launcher, EveryCheckFindsThatThereIsNoSandbox) {
        const struct {
                uint32_t flag;
                const char *finding;
                bool sure;
        } checks[] = {
                { LAUNCH_CHECK_NO_NEW_PRIVILEGES, "set-user-ID programs work", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0 },
                { LAUNCH_CHECK_CAPABILITIES, "capabilities", prctl(PR_CAPBSET_READ, 0, 0, 0, 0) == 1 },
                { LAUNCH_CHECK_UID, "it runs as user", true },
                { LAUNCH_CHECK_SECCOMP, "(SystemCallFilter", prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 0 },
                { LAUNCH_CHECK_NAMESPACES,
                  "the user namespace is the host's; the mount namespace is the host's; the IPC namespace is the host's", true },
                { LAUNCH_CHECK_NETWORK, "the network namespace is the host's", true },
                { LAUNCH_CHECK_FILES, "/tmp is shared with others", true },
                { LAUNCH_CHECK_SOCKETS, "sockets of family 1 (AF_UNIX) can be had", true },
        };
        Folder folder;
        Launch all;
        std::string together;

        all.args = { "sh", "-c", "echo >" + folder / "ran" };
        all.flags = _LAUNCH_CHECK_ALL;
        all.start();
        EXPECT_EQ(all.report(&together), LAUNCH_UNSANDBOXED);
        EXPECT_EQ(all.exit_status(), LAUNCH_EXIT_STATUS);
        EXPECT_FALSE(std::filesystem::exists(folder / "ran"));
        for (const auto &check : checks) {
                Launch one;
                std::string text;

                if (!check.sure)
                        continue;
                one.flags = check.flag;
                one.start();
                EXPECT_EQ(one.report(&text), LAUNCH_UNSANDBOXED) << check.finding;
                EXPECT_EQ(text.rfind("the sandbox is not what the manifest demands: ", 0), 0U) << text;
                EXPECT_NE(text.find(check.finding), std::string::npos) << text;
                EXPECT_NE(together.find(check.finding), std::string::npos) << together;
                EXPECT_EQ(one.exit_status(), LAUNCH_EXIT_STATUS);
        }
}

/* A sandbox that hides /proc hides the proof: it counts as none. */
TEST(Launcher, WithoutARealProcNothingIsProved) {
#if SANITIZED
        GTEST_SKIP() << "a sanitizer's runtime needs /proc";
#endif
        if (geteuid() != 0)
                GTEST_SKIP() << "only root hides /proc";
        /* An empty one, and one that says what is wanted to be heard. */
        for (const char *fake : { "", "mkdir -p /proc/self/net /proc/self/ns; echo >/proc/self/ns/user; echo >/proc/self/ns/mnt; "
                                      "echo >/proc/self/ns/ipc; echo >/proc/self/ns/net; printf '\\n\\n  lo: 0\\n' >/proc/self/net/dev; "
                                      "echo '1 0 0:1 / / ro - tmpfs tmpfs ro' >/proc/self/mountinfo; " }) {
                Launch launch;
                std::string text;

                launch.flags = LAUNCH_CHECK_UID | LAUNCH_CHECK_NAMESPACES | LAUNCH_CHECK_NETWORK | LAUNCH_CHECK_FILES;
                launch.launcher = { "unshare", "-m", "sh", "-c",
                                    "mount -t tmpfs tmpfs /proc || exit 1; " + std::string(fake) + "exec " PLUGIND_EXEC_BINARY };
                launch.start();
                EXPECT_EQ(launch.report(&text), LAUNCH_UNSANDBOXED);
                for (const char *finding :
                     { "other users' processes can be seen", "which user namespace it is in cannot be found out",
                       "which network namespace it is in cannot be found out", "which network interfaces there are cannot be found out",
                       "what is mounted cannot be found out" })
                        EXPECT_NE(text.find(finding), std::string::npos) << text;
                EXPECT_EQ(launch.exit_status(), LAUNCH_EXIT_STATUS);
        }
}
