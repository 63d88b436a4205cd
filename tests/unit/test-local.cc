/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Real child processes, mostly of the shell. */
#include <gtest/gtest.h>

#include <algorithm>
#include <dirent.h>
#include <fcntl.h>
#include <functional>
#include <optional>
#include <poll.h>
#include <string>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

extern "C" {
#include "runtime/descent.h"
#include "runtime/runtime.h"
}

namespace {

constexpr uint64_t PATIENCE_USEC = 10 * USEC_PER_SEC;

uint64_t now_usec() {
        struct timespec ts;
        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

unsigned count_entries(const char *path) {
        DIR *d = opendir(path);
        unsigned n = 0;
        while (d && readdir(d))
                n++;
        if (d)
                closedir(d);
        return n;
}

bool exists(pid_t pid) {
        return kill(pid, 0) == 0;
}

std::string read_all(int fd) {
        std::string text;
        char buffer[4096];
        for (;;) {
                struct pollfd p = { fd, POLLIN, 0 };
                if (poll(&p, 1, (int) (PATIENCE_USEC / USEC_PER_MSEC)) <= 0) {
                        ADD_FAILURE() << "nothing to read; so far: " << text;
                        return text;
                }
                ssize_t k = read(fd, buffer, sizeof(buffer));
                if (k <= 0)
                        return text;
                text.append(buffer, (size_t) k);
        }
}

/* One line without its end. */
std::string read_line(int fd) {
        std::string text;
        for (char c;;) {
                struct pollfd p = { fd, POLLIN, 0 };
                if (poll(&p, 1, (int) (PATIENCE_USEC / USEC_PER_MSEC)) <= 0 || read(fd, &c, 1) != 1) {
                        ADD_FAILURE() << "no line; so far: " << text;
                        return text;
                }
                if (c == '\n')
                        return text;
                text += c;
        }
}

struct Plugin {
        Unit *unit = nullptr;
        pid_t pid = 0;
        int in = -1, out = -1, log = -1;
        std::optional<UnitExit> exit;
        bool gone = false;
        bool free_when_exited = false;

        void close_fds() {
                if (in >= 0)
                        close(in);
                if (out >= 0 && out != in)
                        close(out);
                if (log >= 0)
                        close(log);
                in = out = log = -1;
        }
        ~Plugin() {
                unit = unit_free(unit);
                close_fds();
        }
};

void on_started(Unit *unit, pid_t pid, int in, int out, int log, void *userdata) {
        Plugin *run = static_cast<Plugin *>(userdata);
        run->pid = pid;
        run->in = in;
        run->out = out;
        run->log = log;
}

void on_failed(Unit *, const PlugindError *, void *) {
        ADD_FAILURE() << "local fails from unit_start";
}

void on_exited(Unit *unit, const UnitExit *exit, void *userdata) {
        Plugin *run = static_cast<Plugin *>(userdata);
        EXPECT_FALSE(run->exit) << "told twice";
        run->exit = *exit;
        if (run->free_when_exited)
                run->unit = unit_free(unit);
}

void on_gone(Unit *, void *userdata) {
        Plugin *run = static_cast<Plugin *>(userdata);
        EXPECT_TRUE(run->exit) << "gone before exited";
        EXPECT_FALSE(run->gone) << "told twice";
        run->gone = true;
}

const UnitEvents events = { on_started, on_failed, on_exited, on_gone };

class Local : public testing::Test {
      protected:
        sd_event *event = nullptr;
        Runtime *runtime = nullptr;
        sigset_t old_mask;

        void SetUp() override {
                sigset_t mask;
                sigemptyset(&mask);
                sigaddset(&mask, SIGCHLD);
                sigaddset(&mask, SIGUSR1); /* must not be handed down */
                sigprocmask(SIG_BLOCK, &mask, &old_mask);
                signal(SIGPIPE, SIG_IGN); /* nor this */
                ASSERT_GE(sd_event_new(&event), 0);
                ASSERT_EQ(runtime_local_new(event, &runtime), 0);
        }
        void TearDown() override {
                runtime = runtime_free(runtime);
                event = sd_event_unref(event);
                signal(SIGPIPE, SIG_DFL);
                sigprocmask(SIG_SETMASK, &old_mask, nullptr);
                EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a child is left";
        }

        int start(Plugin &run, UnitSpec spec, PlugindError *error = nullptr) {
                return runtime->ops->unit_start(runtime, &spec, &events, &run, &run.unit, error);
        }
        int start_shell(Plugin &run, const char *script, const char *cwd = nullptr) {
                const char *args[] = { "-c", script, nullptr };
                const char *env[] = { "PATH=/usr/bin:/bin", nullptr };
                UnitSpec spec = {};
                spec.session = "test";
                spec.command = "/bin/sh";
                spec.args = const_cast<char *const *>(args);
                spec.env = const_cast<char *const *>(env);
                spec.cwd = cwd;
                return start(run, spec);
        }
        bool wait_until(const std::function<bool()> &done) {
                uint64_t end = now_usec() + PATIENCE_USEC;
                while (!done()) {
                        if (now_usec() > end)
                                return false;
                        EXPECT_GE(sd_event_run(event, 20 * USEC_PER_MSEC), 0);
                }
                return true;
        }
        bool wait_gone(Plugin &run) {
                return wait_until([&] { return run.gone; });
        }
        /* Its parent has ended: it is ours. */
        bool wait_orphaned(pid_t pid) {
                struct Search {
                        pid_t wanted;
                        bool found;
                } search = { pid, false };
                return wait_until([&] {
                        descent_foreach_child(
                                -1,
                                [](pid_t child, void *userdata) {
                                        Search *s = static_cast<Search *>(userdata);
                                        s->found |= child == s->wanted;
                                },
                                &search);
                        return search.found;
                });
        }
        int kill_unit(Plugin &run, KillWhom whom, int signal) {
                return runtime->ops->unit_kill(run.unit, whom, signal);
        }
};

TEST_F(Local, TellsTheExitStatus) {
        for (int status : { 0, 3, 125 }) {
                Plugin run;
                ASSERT_EQ(start_shell(run, ("exit " + std::to_string(status)).c_str()), 0);
                ASSERT_TRUE(wait_gone(run));
                EXPECT_EQ(run.exit->code, CLD_EXITED);
                EXPECT_EQ(run.exit->status, status);
        }
}

TEST_F(Local, TellsTheSignal) {
        Plugin run;
        ASSERT_EQ(start_shell(run, "kill -USR2 $$"), 0);
        ASSERT_TRUE(wait_gone(run));
        EXPECT_EQ(run.exit->code, CLD_KILLED);
        EXPECT_EQ(run.exit->status, SIGUSR2);
}

/* Without any waiting: it is an event, not found by looking every now and then. */
TEST_F(Local, ExitIsSeenAtOnce) {
        siginfo_t info;
        Plugin run;

        ASSERT_EQ(start_shell(run, "exec sleep 1000"), 0);
        ASSERT_EQ(kill(run.pid, SIGKILL), 0);
        ASSERT_EQ(waitid(P_PID, (id_t) run.pid, &info, WEXITED | WNOWAIT), 0);
        for (int turn = 0; turn < 2 && !run.exit; turn++)
                ASSERT_GE(sd_event_run(event, 0), 0);
        EXPECT_TRUE(run.exit);
        for (int turn = 0; turn < 3 && !run.gone; turn++)
                ASSERT_GE(sd_event_run(event, 0), 0);
        EXPECT_TRUE(run.gone);
}

TEST_F(Local, PipesAreItsStdio) {
        Plugin run;
        ASSERT_EQ(start_shell(run, "cat; echo said >&2"), 0);
        EXPECT_NE(run.in, run.out);
        EXPECT_TRUE(fcntl(run.in, F_GETFL) & O_NONBLOCK);
        EXPECT_TRUE(fcntl(run.out, F_GETFL) & O_NONBLOCK);
        EXPECT_TRUE(fcntl(run.log, F_GETFL) & O_NONBLOCK);
        for (int fd : { run.in, run.out, run.log })
                EXPECT_TRUE(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        ASSERT_EQ(write(run.out, "hello\n", 6), 6);
        EXPECT_EQ(read_line(run.in), "hello");
        close(run.out);
        run.out = -1;
        EXPECT_EQ(read_all(run.in), ""); /* nobody else holds the ends */
        EXPECT_EQ(read_all(run.log), "said\n");
        EXPECT_TRUE(wait_gone(run));
}

TEST_F(Local, OneSocketIsItsStdio) {
        const char *args[] = { "-c", "[ /proc/self/fd/0 -ef /proc/self/fd/1 ] && echo same; cat", nullptr };
        UnitSpec spec = {};
        Plugin run;
        int type = 0;
        socklen_t size = sizeof(type);

        spec.command = "/bin/sh";
        spec.args = const_cast<char *const *>(args);
        spec.socket_stdio = true;
        ASSERT_EQ(start(run, spec), 0);
        EXPECT_EQ(run.in, run.out);
        EXPECT_EQ(getsockopt(run.in, SOL_SOCKET, SO_TYPE, &type, &size), 0);
        EXPECT_EQ(type, SOCK_STREAM);
        EXPECT_TRUE(fcntl(run.in, F_GETFL) & O_NONBLOCK);
        EXPECT_EQ(read_line(run.in), "same");
        ASSERT_EQ(write(run.out, "hello\n", 6), 6);
        EXPECT_EQ(read_line(run.in), "hello");
        ASSERT_EQ(shutdown(run.out, SHUT_WR), 0);
        EXPECT_EQ(read_all(run.in), "");
        EXPECT_TRUE(wait_gone(run));
}

TEST_F(Local, ChildsEndsBlock) {
        const char *args[] = { "-c", "import os; print([os.get_blocking(i) for i in (0, 1, 2)])", nullptr };
        UnitSpec spec = {};
        spec.command = "/usr/bin/python3";
        spec.args = const_cast<char *const *>(args);
        for (bool one_socket : { false, true }) {
                Plugin run;
                spec.socket_stdio = one_socket;
                ASSERT_EQ(start(run, spec), 0);
                EXPECT_EQ(read_line(run.in), "[True, True, True]");
                EXPECT_TRUE(wait_gone(run));
        }
}

TEST_F(Local, NothingElseIsInherited) {
        int not_cloexec = open("/dev/null", O_RDWR);
        Plugin run;

        /* ls itself opens the directory: 3 */
        ASSERT_EQ(start_shell(run, "exec ls /proc/self/fd"), 0);
        EXPECT_EQ(read_all(run.in), "0\n1\n2\n3\n");
        EXPECT_TRUE(wait_gone(run));
        close(not_cloexec);
}

TEST_F(Local, SignalsAreAsAfterBoot) {
        Plugin run;
        std::string status;

        ASSERT_EQ(start_shell(run, "exec cat /proc/self/status"), 0);
        status = read_all(run.in);
        for (const char *line : { "\nSigBlk:\t0000000000000000\n", "\nSigIgn:\t0000000000000000\n", "\nSigCgt:\t0000000000000000\n" })
                EXPECT_NE(status.find(line), std::string::npos) << line << status;
        EXPECT_TRUE(wait_gone(run));
}

TEST_F(Local, EnvironmentIsExact) {
        const char *env[] = { "A=1", "B=two words", nullptr };
        UnitSpec spec = {};
        Plugin run;
        std::string text;

        setenv("PLUGIND_TEST_SECRET", "x", 1);
        spec.command = "/usr/bin/env";
        spec.env = const_cast<char *const *>(env);
        ASSERT_EQ(start(run, spec), 0);
        text = read_all(run.in);
        unsetenv("PLUGIND_TEST_SECRET");

        ASSERT_EQ(text.rfind("PLUGIND_INVOCATION=", 0), 0u) << text;
        EXPECT_EQ(text.find('\n'), strlen("PLUGIND_INVOCATION=") + 32) << text;
        EXPECT_EQ(text.substr(text.find('\n') + 1), "A=1\nB=two words\n");
        EXPECT_TRUE(wait_gone(run));
}

TEST_F(Local, DirectoryIsRootOrWhatIsAsked) {
        Plugin root, tmp;
        ASSERT_EQ(start_shell(root, "pwd"), 0);
        EXPECT_EQ(read_line(root.in), "/");
        ASSERT_EQ(start_shell(tmp, "pwd", "/tmp"), 0);
        EXPECT_EQ(read_line(tmp.in), "/tmp");
        EXPECT_TRUE(wait_gone(root) && wait_gone(tmp));
}

TEST_F(Local, LimitsStayAsTheyWere) {
        for (auto resource : { RLIMIT_LOCKS, RLIMIT_NOFILE }) {
                struct rlimit before, after;
                Plugin run;
                getrlimit(resource, &before);
                ASSERT_EQ(start_shell(run, "exit 0"), 0);
                getrlimit(resource, &after);
                EXPECT_EQ(before.rlim_cur, after.rlim_cur);
                EXPECT_EQ(before.rlim_max, after.rlim_max);
                EXPECT_TRUE(wait_gone(run));
        }
}

TEST_F(Local, DescriptorLimitIsTheUsualOne) {
        struct rlimit own, raised;
        Plugin run;

        getrlimit(RLIMIT_NOFILE, &own);
        if (own.rlim_max <= 1024)
                GTEST_SKIP() << "the hard limit is low already";
        raised = { own.rlim_max, own.rlim_max };
        setrlimit(RLIMIT_NOFILE, &raised);
        EXPECT_EQ(start_shell(run, "ulimit -Sn; ulimit -Hn"), 0);
        EXPECT_EQ(read_line(run.in), "1024");
        EXPECT_EQ(read_line(run.in), own.rlim_max == RLIM_INFINITY ? "unlimited" : std::to_string(own.rlim_max));
        EXPECT_TRUE(wait_gone(run));
        setrlimit(RLIMIT_NOFILE, &own);
}

/* What is demanded is had, or nothing runs. */
TEST_F(Local, RefusesWhatDemandsASandbox) {
        char made[] = "/tmp/plugind-test-XXXXXX";
        char *const marks[] = { made, nullptr };
        Sandbox sandbox = { .demanded = true, .memory_max = SANDBOX_UNSET, .tasks_max = SANDBOX_UNSET, .cpu_quota_usec = SANDBOX_UNSET };
        UnitSpec spec = {};

        ASSERT_NE(mkdtemp(made), nullptr);
        ASSERT_EQ(rmdir(made), 0);
        spec.session = "test";
        spec.command = "/bin/mkdir";
        spec.args = marks;
        spec.sandbox = &sandbox;
        for (SandboxProfile profile : { SANDBOX_STRICT, SANDBOX_NETWORK }) {
                PlugindError error = {};
                Plugin run;

                sandbox.profile = profile;
                EXPECT_EQ(start(run, spec, &error), -EPERM);
                EXPECT_EQ(error.code, PLUGIND_ERROR_SANDBOX_UNAVAILABLE);
                EXPECT_EQ(error.message, std::string("cannot run /bin/mkdir: its manifest demands a sandbox (profile \"") +
                                                 sandbox_profile_to_string(profile) +
                                                 "\"), and the runtime \"local\" has none: expected the runtime \"systemd\", or "
                                                 "\"sandbox\": {\"profile\": \"trusted\"}");
                plugind_error_clear(&error);
                EXPECT_EQ(run.unit, nullptr);
                EXPECT_NE(access(made, F_OK), 0);
        }
        Plugin run;
        sandbox.profile = SANDBOX_TRUSTED;
        ASSERT_EQ(start(run, spec), 0);
        EXPECT_TRUE(wait_gone(run));
        EXPECT_EQ(rmdir(made), 0) << "trusted did not run";
}

TEST_F(Local, SaysWhyItCannotBeRun) {
        char no_exec[] = "/tmp/plugind-test-XXXXXX", no_interpreter[] = "/tmp/plugind-test-XXXXXX", empty[] = "/tmp/plugind-test-XXXXXX";
        auto make = [](char *path, const char *text, mode_t mode) {
                int fd = mkstemp(path);
                EXPECT_EQ(write(fd, text, strlen(text)), (ssize_t) strlen(text));
                fchmod(fd, mode);
                close(fd);
        };
        make(no_exec, "#!/bin/sh\n", 0644);
        make(no_interpreter, "#!/nonexistent/interpreter\n", 0755);
        make(empty, "", 0755);

        struct {
                std::string command;
                const char *cwd;
                std::string message;
        } const cases[] = {
                { "/nonexistent/x", nullptr, "cannot run /nonexistent/x: No such file or directory" },
                { no_exec, nullptr, std::string("cannot run ") + no_exec + ": Permission denied" },
                { "/tmp", nullptr, "cannot run /tmp: Permission denied" },
                { "/etc/passwd/x", nullptr, "cannot run /etc/passwd/x: Not a directory" },
                { empty, nullptr, std::string("cannot run ") + empty + ": Exec format error" },
                { no_interpreter, nullptr,
                  std::string("cannot run ") + no_interpreter + ": the interpreter or loader that it asks for does not exist" },
                { "/bin/true", "/nonexistent", "cannot run /bin/true in the directory /nonexistent: No such file or directory" },
                { "/bin/true", "/etc/passwd", "cannot run /bin/true in the directory /etc/passwd: Not a directory" },
        };
        unsigned fds = count_entries("/proc/self/fd");

        for (const auto &c : cases) {
                PlugindError error = PLUGIND_ERROR_INIT;
                UnitSpec spec = {};
                Plugin run;

                spec.command = c.command.c_str();
                spec.cwd = c.cwd;
                EXPECT_LT(start(run, spec, &error), 0);
                EXPECT_EQ(run.unit, nullptr);
                EXPECT_EQ(run.pid, 0);
                EXPECT_EQ(error.code, PLUGIND_ERROR_START_FAILED);
                EXPECT_EQ(std::string(error.message ?: ""), c.message);
                plugind_error_clear(&error);
        }
        EXPECT_EQ(count_entries("/proc/self/fd"), fds);
        unlink(no_exec);
        unlink(no_interpreter);
        unlink(empty);
}

TEST_F(Local, GrandchildInTheGroupIsEnded) {
        Plugin run;
        pid_t grandchild;

        ASSERT_EQ(start_shell(run, "trap '' TERM; sleep 1000 & echo $!; exit 7"), 0);
        grandchild = std::stoi(read_line(run.in));
        ASSERT_TRUE(wait_gone(run));
        EXPECT_EQ(run.exit->status, 7);
        EXPECT_FALSE(exists(grandchild));
}

/* Leaves its session, its group and its parent, as daemons do. */
#define DAEMONIZE(prefix) "(" prefix " setsid sh -c 'trap \"\" TERM HUP; echo $$; exec sleep 1000' &); "

TEST_F(Local, DaemonOfAPluginIsEnded) {
        for (const char *script : {
                     DAEMONIZE("") "read line; exit 0", DAEMONIZE("env -i") "read line; exit 0", /* found by the mark */
             }) {
                Plugin run;
                pid_t daemon;

                ASSERT_EQ(start_shell(run, script), 0);
                daemon = std::stoi(read_line(run.in));
                ASSERT_EQ(write(run.out, "\n", 1), 1);
                ASSERT_TRUE(wait_gone(run));
                EXPECT_FALSE(exists(daemon));
        }
}

TEST_F(Local, DaemonWithoutTheMarkIsFoundByItsEnvironment) {
        Plugin run;
        pid_t daemon;

        ASSERT_EQ(start_shell(run, DAEMONIZE("prlimit --locks=unlimited") "read line; exit 0"), 0);
        daemon = std::stoi(read_line(run.in));
        ASSERT_EQ(write(run.out, "\n", 1), 1);
        ASSERT_TRUE(wait_gone(run));
        EXPECT_FALSE(exists(daemon));
}

TEST_F(Local, WholeFamilyOfADaemonIsEnded) {
        Plugin run;
        std::vector<pid_t> family;

        /* Each leaves the session of the one before, and all live. */
        ASSERT_EQ(start_shell(run, "(setsid sh -c 'echo $$; setsid sh -c \"echo \\$\\$; setsid sleep 1000 & echo \\$!; wait\" & wait' &); "
                                   "read line"),
                  0);
        for (int i = 0; i < 3; i++)
                family.push_back(std::stoi(read_line(run.in)));
        ASSERT_EQ(write(run.out, "\n", 1), 1);
        ASSERT_TRUE(wait_gone(run));
        for (pid_t pid : family)
                EXPECT_FALSE(exists(pid));
}

TEST_F(Local, DaemonOfALivingPluginLives) {
        Plugin living, other;
        pid_t daemon;

        ASSERT_EQ(start_shell(living, DAEMONIZE("env -i") "read line; exit 0"), 0);
        daemon = std::stoi(read_line(living.in));
        ASSERT_TRUE(wait_orphaned(daemon));
        ASSERT_EQ(start_shell(other, DAEMONIZE("") "read line"), 0);
        (void) read_line(other.in);
        ASSERT_EQ(write(other.out, "\n", 1), 1);
        ASSERT_TRUE(wait_gone(other)); /* swept */
        EXPECT_TRUE(exists(daemon));
        EXPECT_FALSE(living.exit);

        ASSERT_EQ(write(living.out, "\n", 1), 1);
        ASSERT_TRUE(wait_gone(living));
        EXPECT_FALSE(exists(daemon));
}

TEST_F(Local, GrandchildWithNoTraceOfItsRunIsEndedWithTheGroup) {
        Plugin run;
        pid_t grandchild;

        ASSERT_EQ(start_shell(run, "prlimit --locks=unlimited env -i sleep 1000 & echo $!; read line"), 0);
        grandchild = std::stoi(read_line(run.in));
        ASSERT_TRUE(wait_until([&] { /* prlimit and env are behind it */
                                     char name[32] = {};
                                     FILE *f = fopen(("/proc/" + std::to_string(grandchild) + "/comm").c_str(), "re");
                                     bool sleeps = f && fgets(name, sizeof(name), f) && strcmp(name, "sleep\n") == 0;
                                     if (f)
                                             fclose(f);
                                     return sleeps;
        }));
        ASSERT_EQ(write(run.out, "\n", 1), 1);
        EXPECT_TRUE(wait_until([&] { return run.gone && !exists(grandchild); }));
}

TEST_F(Local, ChildrenOfNoRunAreLeftAlone) {
        int to[2], from[2];
        pid_t stranger;
        Plugin run;
        char c = 0;

        ASSERT_EQ(pipe2(to, O_CLOEXEC), 0);
        ASSERT_EQ(pipe2(from, O_CLOEXEC), 0);
        stranger = fork();
        if (stranger == 0) {
                dup2(to[0], STDIN_FILENO);
                dup2(from[1], STDOUT_FILENO);
                execl("/bin/cat", "cat", nullptr);
                _exit(1);
        }
        close(to[0]);
        close(from[1]);
        ASSERT_EQ(start_shell(run, "exit 0"), 0);
        ASSERT_TRUE(wait_gone(run)); /* swept */
        EXPECT_EQ(write(to[1], "x", 1), 1);
        EXPECT_EQ(read(from[0], &c, 1), 1) << "it was killed";
        close(to[1]);
        EXPECT_TRUE(wait_until([&] { return !exists(stranger); })) << "not reaped";
        close(from[0]);
}

TEST_F(Local, KillMainAndAll) {
        Plugin run;

        ASSERT_EQ(start_shell(run, "trap 'echo main' USR1; (trap 'echo child' USR1; echo ready; while :; do sleep 0.01; done) & "
                                   "while :; do sleep 0.01; done"),
                  0);
        ASSERT_EQ(read_line(run.in), "ready");
        EXPECT_EQ(kill_unit(run, KILL_MAIN, SIGUSR1), 0);
        EXPECT_EQ(read_line(run.in), "main");
        EXPECT_EQ(kill_unit(run, KILL_MAIN, 12345), -EINVAL);
        EXPECT_EQ(kill_unit(run, KILL_ALL, 12345), -EINVAL);
        EXPECT_EQ(kill_unit(run, KILL_ALL, SIGTERM), 0);
        ASSERT_TRUE(wait_gone(run));
        EXPECT_EQ(run.exit->status, SIGTERM);
        EXPECT_EQ(kill_unit(run, KILL_MAIN, SIGTERM), -ESRCH);
        EXPECT_EQ(kill_unit(run, KILL_ALL, SIGTERM), -ESRCH);
}

TEST_F(Local, KillAllReachesOrphans) {
        Plugin run;

        ASSERT_EQ(start_shell(run, "trap : USR1; "
                                   "(setsid sh -c 'trap \"echo orphan\" USR1; echo $$; while :; do sleep 0.01; done' &); "
                                   "while :; do sleep 0.01; done"),
                  0);
        ASSERT_TRUE(wait_orphaned(std::stoi(read_line(run.in))));
        EXPECT_EQ(kill_unit(run, KILL_ALL, SIGUSR1), 0);
        EXPECT_EQ(read_line(run.in), "orphan");
        EXPECT_EQ(kill_unit(run, KILL_MAIN, SIGKILL), 0);
        EXPECT_TRUE(wait_gone(run));
}

TEST_F(Local, IgnoringTermEndsWithKill) {
        Plugin run;

        ASSERT_EQ(start_shell(run, "trap '' TERM; echo ready; while :; do sleep 0.01; done"), 0);
        ASSERT_EQ(read_line(run.in), "ready");
        EXPECT_EQ(kill_unit(run, KILL_MAIN, SIGTERM), 0);
        EXPECT_EQ(kill_unit(run, KILL_MAIN, SIGKILL), 0);
        ASSERT_TRUE(wait_gone(run));
        EXPECT_EQ(run.exit->status, SIGKILL);
}

TEST_F(Local, FreeingEndsEverything) {
        pid_t main_pid, daemon;
        Plugin run;

        ASSERT_EQ(start_shell(run, "trap '' TERM; " DAEMONIZE("") "while :; do sleep 0.01; done"), 0);
        main_pid = run.pid;
        daemon = std::stoi(read_line(run.in));
        run.unit = unit_free(run.unit);
        EXPECT_TRUE(wait_until([&] { return !exists(main_pid) && !exists(daemon); }));
        EXPECT_FALSE(run.exit);
        EXPECT_FALSE(run.gone);
}

TEST_F(Local, FreeingFromTheCallbackEndsEverything) {
        pid_t daemon;
        Plugin run;

        run.free_when_exited = true;
        ASSERT_EQ(start_shell(run, DAEMONIZE("") "read line"), 0);
        daemon = std::stoi(read_line(run.in));
        ASSERT_EQ(write(run.out, "\n", 1), 1);
        EXPECT_TRUE(wait_until([&] { return run.exit && !exists(daemon); }));
        EXPECT_FALSE(run.gone);
}

TEST_F(Local, FreeingTheRuntimeWaitsForTheLast) {
        pid_t main_pid, daemon;
        Plugin run;

        ASSERT_EQ(start_shell(run, DAEMONIZE("") "while :; do sleep 0.01; done"), 0);
        main_pid = run.pid;
        daemon = std::stoi(read_line(run.in));
        run.unit = unit_free(run.unit);
        runtime = runtime_free(runtime);
        EXPECT_FALSE(exists(main_pid));
        EXPECT_FALSE(exists(daemon));
}

TEST_F(Local, ManyRunsLeaveNothing) {
        unsigned fds = count_entries("/proc/self/fd");

        for (int round = 0; round < 10; round++) {
                std::vector<Plugin> runs(20);
                for (Plugin &run : runs)
                        ASSERT_EQ(start_shell(run, "sleep 1000 & exit 0"), 0);
                for (Plugin &run : runs)
                        ASSERT_TRUE(wait_gone(run));
        }
        EXPECT_EQ(count_entries("/proc/self/fd"), fds);
        EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);
        EXPECT_EQ(errno, ECHILD);
}

/* With the kernel's list and, for kernels without one, by looking at every process. */
TEST(Descent, FindsChildrenBothWays) {
        int list = descent_open_children();
        auto collect = [](pid_t pid, void *userdata) { static_cast<std::vector<pid_t> *>(userdata)->push_back(pid); };
        pid_t living, zombie;
        siginfo_t info;

        living = fork();
        if (living == 0)
                for (;;)
                        pause();
        zombie = fork();
        if (zombie == 0)
                _exit(0);
        ASSERT_EQ(waitid(P_PID, (id_t) zombie, &info, WEXITED | WNOWAIT), 0);

        for (int fd : { list, -1 }) {
                std::vector<pid_t> found;
                ASSERT_EQ(descent_foreach_child(fd, collect, &found), 0);
                std::sort(found.begin(), found.end());
                EXPECT_EQ(found, (std::vector<pid_t>{ std::min(living, zombie), std::max(living, zombie) }));
        }
        kill(living, SIGKILL);
        waitpid(living, nullptr, 0);
        waitpid(zombie, nullptr, 0);
        close(list);
}

} // namespace
