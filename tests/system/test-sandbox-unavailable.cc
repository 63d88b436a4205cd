/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the sandbox cannot be had not one instruction of the plugin runs: the first thing that it does is to write a line into its log and a
 * file into its folder. Neighbours go on, and what was mended works. What a drop-in takes away one by one is in test-sandbox.cc as well.
 */
#include "fixture.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sched.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

namespace fs = std::filesystem;

const std::string unit_files = "/run/systemd/system/", trace = "/var/lib/private/plugind-data/careful/trace";

/* A file of the system that is another while this lives; TEXT "": none. */
class Changed {
      public:
        Changed(const fs::path &file, const std::string &text) : file_(file), saved_(file.string() + ".saved") {
                fs::create_directories(file.parent_path());
                if (fs::exists(file))
                        fs::rename(file, saved_);
                if (!text.empty())
                        std::ofstream(file) << text;
                run({ "systemctl", "daemon-reload" });
        }
        ~Changed() {
                fs::remove(file_);
                if (fs::exists(saved_))
                        fs::rename(saved_, file_);
                run({ "systemctl", "daemon-reload" });
        }
        Changed(const Changed &) = delete;
        Changed &operator=(const Changed &) = delete;

      private:
        fs::path file_, saved_;
};

/* In /run, where it goes before /usr: a drop-in for the strict plugins, of its own or in place of the profile. */
struct DropIn : Changed {
        explicit DropIn(const std::string &lines, const std::string &name = "99-test.conf")
            : Changed(unit_files + "plugind-strict-careful-.service.d/" + name, "[Service]\n" + lines + "\n") {
        }
};

class Unavailable : public SystemTest {
      protected:
        void SetUp() override {
                SystemTest::SetUp();
                if (IsSkipped())
                        return;
                bad_plugin("neighbour");
                bad_plugin("network-neighbour", "jsonrpc", "good", R"("sandbox": {"profile": "network"})");
                manifest("careful", "{\"manifestVersion\": 1, \"command\": \"" + source_path("tests/plugins/hostile.py") +
                                            R"(", "args": ["trace"], "dialect": "jsonrpc", "sandbox": {}})");
                fs::remove(trace);
                began = journal_now();
                start_service();
        }
        void start_service() {
                ASSERT_TRUE(service.start());
                client = std::make_unique<Client>(system_bus_address);
                for (const char *id : { "neighbour", "network-neighbour", "careful" })
                        ASSERT_EQ(client->host("Load", "sa{sv}", id, 0).outcome(), "ok");
                ASSERT_EQ(client->send("neighbour", "echo", "[1]"), "[1]");
                neighbour_pid = client->get("neighbour", "MainPID");
        }

        void reload() {
                ASSERT_EQ(client->host("Unload", "sa{sv}", "careful", 0).outcome(), "ok");
                ASSERT_EQ(client->host("Load", "sa{sv}", "careful", 0).outcome(), "ok");
                fs::remove(trace);
                began = journal_now();
        }
        bool has_run() const {
                return fs::exists(trace) || journal({ began, "SYSLOG_IDENTIFIER=careful" }).find("the plugin runs") != std::string::npos;
        }
        /* Each way to start it says so, names what is MISSING, and runs nothing of it. */
        void is_refused(const std::string &missing, const std::string &why) {
                reload();
                Reply send = client->session("careful", "Send", "ssa{sv}", "attempts", "", 0);
                EXPECT_EQ(send.error, "org.plugind1.Error.SandboxUnavailable") << why << ": " << send.outcome();
                EXPECT_NE(send.message.find(missing), std::string::npos) << why << ": " << send.message;
                EXPECT_EQ(client->get("careful", "ReportedState"), "errored") << why;
                EXPECT_NE(client->get("careful", "ErrorMessage").find(missing), std::string::npos) << why;
                EXPECT_NE(client->get("careful", "ErrorDetails").find("error: SandboxUnavailable"), std::string::npos)
                        << why << ": " << client->get("careful", "ErrorDetails");
                EXPECT_EQ(client->get("careful", "MainPID"), "0") << why;

                Reply start = client->session("careful", "SetActiveState", "sa{sv}", "active", 1, "wait", "b", 1);
                EXPECT_EQ(start.error, "org.plugind1.Error.SandboxUnavailable") << why << ": " << start.outcome();
                EXPECT_FALSE(has_run()) << why;
                EXPECT_EQ(client->send("neighbour", "echo", "[2]"), "[2]") << why;
                EXPECT_EQ(client->get("neighbour", "MainPID"), neighbour_pid) << why;
                EXPECT_NE(journal({ began, "-u", "plugind.service" }).find(missing), std::string::npos) << why << " is not in the log";
        }
        void works() {
                EXPECT_EQ(client->session("careful", "ResetFailed", "a{sv}", 0).outcome(), "ok");
                EXPECT_NE(client->send("careful", "attempts").find("unshare-user"), std::string::npos);
                EXPECT_TRUE(has_run());
                reload();
        }
        std::string attempt(const std::string &what, const std::string &params = "") {
                return client->send("careful", "try", "{\"what\": \"" + what + "\"" + (params.empty() ? "" : ", " + params) + "}");
        }

        std::unique_ptr<Client> client;
        std::string neighbour_pid, began;
};

/* LINES of a drop-in | what is said of it. */
const std::pair<const char *, const char *> taken_away[] = {
        { "PrivateNetwork=no", "the network namespace is the host's" },
        { "PrivateUsers=no", "the user namespace is the host's" },
        { "PrivateDevices=no", "/dev is the host's (PrivateDevices)" },
        { "PrivateIPC=no", "the IPC namespace is the host's" },
        { "RestrictNamespaces=no", "it may make new user namespaces (RestrictNamespaces)" },
        { "RestrictNamespaces=no\nRestrictNamespaces=~user", "it may make new mount namespaces" },
        { "RestrictAddressFamilies=", "(RestrictAddressFamilies)" },
        { "RestrictAddressFamilies=AF_UNIX", "sockets of family 1 (AF_UNIX) can be had" },
        { "RestrictAddressFamilies=AF_VSOCK", "sockets of family 40 can be had" },
        { "SystemCallFilter=", "system calls such as mount() are not filtered" },
        { "SystemCallFilter=@mount", "system calls such as mount() are not filtered" },
        { "SystemCallFilter=io_uring_setup", "io_uring can be had" },
        { "SystemCallFilter=~@known\nSystemCallFilter=@known", "system calls such as mount() are not filtered" },
        { "CapabilityBoundingSet=~", "there are capabilities to be had" },
        { "CapabilityBoundingSet=CAP_SYS_ADMIN\nAmbientCapabilities=CAP_SYS_ADMIN", "it has capabilities" },
        { "DynamicUser=no\nUser=root", "it runs as user 0" },
        { "DynamicUser=no\nUser=\nGroup=", "it runs as user 0" },
        { "Group=root", "it runs as user " },
        { "DynamicUser=no\nUser=plugind-tester\nPrivateTmp=no", "/tmp is " },
        { "DynamicUser=no\nUser=plugind-tester\nProtectSystem=no", " is writable" },
        { "DynamicUser=no\nUser=plugind-tester\nProtectSystem=full", " is writable" },
        { "ProtectHome=no", "/home is the host's (ProtectHome)" },
        { "ProtectHome=no\nTemporaryFileSystem=", "/home is the host's (ProtectHome)" },
        { "TemporaryFileSystem=", "/run/" },
        { "ProtectProc=default", "other users' processes can be seen" },
        { "ReadWritePaths=/var/lib", "/var/lib is writable" },
        { "SupplementaryGroups=root", "it is in root's group" },
        { "CapabilityBoundingSet=CAP_NET_RAW", "there are capabilities to be had" },
        { "ProtectKernelTunables=no", "/proc/sys is writable" },
        { "ProtectControlGroups=no", "/sys/fs/cgroup" },
        { "BindPaths=/tmp", "/tmp is shared with others" },
        { "BindPaths=/dev/shm", "/dev/shm is shared with others" },
        { "BindReadOnlyPaths=/home/plugind-tester", "/home/plugind-tester can be seen" },
        { "BindPaths=/run/dbus", "/run/dbus/system_bus_socket can be reached" },
        { "BindReadOnlyPaths=/run/systemd/journal", "/run/systemd/journal/socket can be reached" },
        { "PrivateMounts=no\nProtectSystem=no\nProtectHome=no\nPrivateTmp=no\nPrivateDevices=no\nTemporaryFileSystem=\nInaccessiblePaths=\n"
          "ProtectKernelTunables=no\nProtectControlGroups=no\nProtectProc=default\nDynamicUser=no\nUser=plugind-tester",
          " is writable" },
};

TEST_F(Unavailable, WhatADropInTakesAwayIsMissed) {
        works();
        for (auto [lines, missing] : taken_away) {
                DropIn drop_in(lines);
                is_refused(missing, lines);
        }
        works();
}

/* Of some settings systemd makes up for the loss by itself, or they are said twice: then it runs, and the promise holds. */
TEST_F(Unavailable, WhatASettingAloneDoesNotTakeAwayIsStillThere) {
        for (const char *lines : { "NoNewPrivileges=no", "ProtectSystem=no", "PrivateTmp=no", "RestrictSUIDSGID=no",
                                   "SystemCallArchitectures=", "LockPersonality=no", "ReadWritePaths=/", "ProtectKernelLogs=no" }) {
                DropIn drop_in(lines);

                ASSERT_EQ(client->session("careful", "SetActiveState", "sa{sv}", "active", 1, "wait", "b", 1).outcome(), "ok") << lines;
                EXPECT_NE(attempt("identity").find("NoNewPrivs: 1"), std::string::npos) << lines;
                EXPECT_EQ(attempt("list-folder", R"("path": "/home")"), "\"done: \"") << lines;
                EXPECT_EQ(attempt("create", R"("path": "/srv/plugind-test/new")"), "\"EROFS\"") << lines;
                EXPECT_EQ(attempt("create", R"("path": "/usr/new")"), "\"EROFS\"") << lines;
                EXPECT_EQ(attempt("list-folder", R"("path": "/tmp")"), "\"done: \"") << lines;
                EXPECT_EQ(attempt("setuid-chmod"), "\"EPERM\"") << lines;
                EXPECT_EQ(attempt("setuid-fchmodat2").substr(0, 2), "\"E") << lines;
                EXPECT_EQ(attempt("foreign-call").substr(0, 10), "\"killed by") << lines;
                EXPECT_EQ(attempt("x32-call"), "\"killed by SIGSYS\"") << lines;
                EXPECT_NE(attempt("list-folder", R"("path": "/var/lib/plugind")").find("EACCES"), std::string::npos) << lines;
                reload();
        }
}

TEST_F(Unavailable, WithoutItsProfileNothingRuns) {
        std::string profile = unit_property(client->get("neighbour", "Unit"), "DropInPaths");
        ASSERT_NE(profile.find("50-profile.conf"), std::string::npos) << profile;
        /* Without DynamicUser= there is not even its user. */
        auto nothing_runs = [&](const std::string &why) {
                is_refused("systemd cannot set up its user", why);
                DropIn user("User=plugind-tester");
                is_refused("the network namespace is the host's", why + ", but for the user");
        };
        {
                Changed deleted(profile, "");
                nothing_runs("the profile is deleted");
        }
        {
                Changed empty(unit_files + "plugind-strict-.service.d/50-profile.conf", "# nothing\n");
                nothing_runs("the profile is empty");
        }
        {
                Changed masked(unit_files + "plugind-strict-.service.d/50-profile.conf", "");
                fs::create_symlink("/dev/null", unit_files + "plugind-strict-.service.d/50-profile.conf");
                run({ "systemctl", "daemon-reload" });
                nothing_runs("the profile is masked");
        }
        {
                Changed broken(unit_files + "plugind-strict-.service.d/50-profile.conf", "Service]\nPrivateNetwork=perhaps\n");
                nothing_runs("the profile is broken");
        }
        works();
}

TEST_F(Unavailable, WithoutItsLauncherNothingRuns) {
        fs::path launcher = fs::path(PLUGIND_EXEC_INSTALLED);
        ASSERT_TRUE(fs::exists(launcher));
        {
                Changed missing(launcher, "");
                Reply send = client->session("careful", "Send", "ssa{sv}", "attempts", "", 0);
                EXPECT_FALSE(send.ok());
                EXPECT_NE(send.message.find("plugind-exec"), std::string::npos) << send.outcome();
                EXPECT_EQ(client->get("careful", "ReportedState"), "errored");
                EXPECT_FALSE(has_run());
                EXPECT_EQ(client->send("neighbour", "echo", "[2]"), "[2]");
        }
        {
                /* One that starts whatever it is told, without a look. */
                Changed other(launcher, "#!/bin/sh\ntouch " + trace + "\nexec " + source_path("tests/plugins/hostile.py") + "\n");
                fs::permissions(launcher, (fs::perms) 0755);
                client->session("careful", "ResetFailed", "a{sv}", 0);
                Reply send = client->session("careful", "Send", "ssa{sv}", "attempts", "", 1, "timeout-usec", "t", (uint64_t) 5'000'000);
                EXPECT_FALSE(send.ok()) << "it never said that the sandbox stands";
        }
        fs::remove(trace);
        works();
}

/* As if the kernel had none: process 1 leaves filters out without a word. It asks once in its life. */
TEST_F(Unavailable, WithoutSeccompNothingRuns) {
        const fs::path file = "/run/systemd/system.conf.d/test.conf";
        auto seccomp = [&](const std::string &value) {
                fs::create_directories(file.parent_path());
                std::ofstream(file) << "[Manager]\nManagerEnvironment=SYSTEMD_SECCOMP=" << value << "\n";
                return run({ "systemctl", "daemon-reexec" }).status == 0;
        };

        ASSERT_TRUE(seccomp("0"));
        is_refused("system call", "seccomp is not there");
        ASSERT_TRUE(seccomp("1"));
        fs::remove(file);
        works();
}

/* Interfaces of the host's namespace need not give it away, nor need the daemon's be the host's. */
TEST_F(Unavailable, WithSomebodyElsesNetworkNothingRuns) {
        ASSERT_TRUE(service.stop());
        service.configure({}, {}, { "PrivateNetwork=yes" });
        start_service();
        {
                DropIn drop_in("PrivateNetwork=no");
                is_refused("network", "the host's network, which the daemon does not have");
        }
        works();

        /* A namespace with lo alone, which is neither the host's nor the daemon's; somebody listens in it. */
        const std::string file = "/run/plugind-test-netns";
        int ends[2];
        ASSERT_EQ(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0) {
                struct sockaddr_un address = { AF_UNIX, "\0plugind-test-somebody" };
                int fd;

                if (unshare(CLONE_NEWNET) < 0 || (fd = socket(AF_UNIX, SOCK_STREAM, 0)) < 0 ||
                    bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0 || listen(fd, 1) < 0 || write(ends[1], "x", 1) != 1)
                        _exit(1);
                pause();
        }
        close(ends[1]);
        char ready;
        ASSERT_EQ(read(ends[0], &ready, 1), 1);
        close(ends[0]);
        std::ofstream{ file };
        ASSERT_EQ(run({ "mount", "--bind", "/proc/" + std::to_string(child) + "/ns/net", file }).status, 0);
        {
                DropIn drop_in("PrivateNetwork=no\nNetworkNamespacePath=" + file);
                is_refused("the network namespace is others' as well", "a network of somebody else's");
        }
        EXPECT_EQ(run({ "umount", file }).status, 0);
        fs::remove(file);
        kill(child, SIGKILL);
        waitpid(child, nullptr, 0);
        works();
}

/* The last case: process 1 cannot get rid of it again. */
TEST_F(Unavailable, WithoutUserNamespacesNothingRuns) {
        const fs::path manager = "/usr/lib/systemd/systemd", real = "/usr/lib/systemd/systemd.real";

        works();
        fs::rename(manager, real);
        std::ofstream(manager) << "#!/bin/sh\nexec " << source_path("tests/system/without-user-namespaces") << " " << real.string()
                               << " \"$@\"\n";
        fs::permissions(manager, (fs::perms) 0755);
        ASSERT_EQ(run({ "systemctl", "daemon-reexec" }).status, 0);
        is_refused("user namespace", "there are no user namespaces");
        EXPECT_EQ(client->send("network-neighbour", "echo", "[1]").rfind("error: org.plugind1.Error.SandboxUnavailable", 0), 0u);
}

} // namespace
