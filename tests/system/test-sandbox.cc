/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sandbox that a manifest names is there, opened as far as the manifest says and no further, or the plugin does not run. */
#include "fixture.h"

#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

namespace fs = std::filesystem;

/* For one unit, or one prefix of them, until the end of the case. */
class DropIn {
      public:
        explicit DropIn(const std::string &unit, const std::string &text = "") : folder_("/run/systemd/system/" + unit + ".d") {
                fs::create_directories(folder_);
                if (!text.empty())
                        say(text);
        }
        ~DropIn() {
                fs::remove_all(folder_);
                run({ "systemctl", "daemon-reload" });
        }
        DropIn(const DropIn &) = delete;
        DropIn &operator=(const DropIn &) = delete;

        void say(const std::string &text) {
                std::ofstream(folder_ + "/60-test.conf") << "[Service]\n" << text << "\n";
                run({ "systemctl", "daemon-reload" });
        }

      private:
        std::string folder_;
};

class Sandbox : public ServiceTest {
      protected:
        const std::string place = "/srv/plugind-test/sandbox", result = place + "/result", home = "/home/" + std::string(ordinary_user);

        void SetUp() override {
                ServiceTest::SetUp();
                if (IsSkipped() || HasFatalFailure())
                        return;
                fs::create_directories(place);
                ASSERT_EQ(chmod(place.c_str(), 01777), 0);
                fs::remove(result);
        }

        static std::string escaped(const std::string &text) {
                std::string out;

                for (char c : text)
                        out += c == '\n' ? "\\n" : c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
                return out;
        }
        /* A plugin whose own code is SCRIPT; what that says stands in `result`. KEYS: of sandbox. WRITABLE: besides the place where that is. */
        std::string shell(const std::string &script, const std::string &keys = "", const std::string &writable = "") {
                return R"({"manifestVersion": 1, "dialect": "jsonrpc", "restart": "never", "command": "/bin/sh", "args": ["-c", ")" +
                       escaped("{ " + script + "; } >" + result + ".new 2>&1; mv " + result + ".new " + result + "; exec cat") +
                       R"("], "sandbox": {"readWritePaths": [")" + place + "\"" + (writable.empty() ? "" : ", \"" + writable + "\"") + "]" +
                       (keys.empty() ? "" : ", " + keys) + "}}";
        }
        std::string start(const std::string &id) {
                std::string outcome = client->host("Load", "sa{sv}", id.c_str(), 0).outcome();

                return outcome != "ok" ? outcome : client->session(id, "SetActiveState", "sa{sv}", "active", 1, "wait", "b", 1).outcome();
        }
        void unload(const std::string &id) {
                EXPECT_EQ(client->host("Unload", "sa{sv}", id.c_str(), 0).outcome(), "ok");
        }
        /* What a plugin of SCRIPT and KEYS has found out. */
        std::string found(const std::string &script, const std::string &keys = "", const std::string &writable = "",
                          const std::string &id = "finds") {
                fs::remove(result);
                manifest(id, shell(script, keys, writable));
                EXPECT_EQ(start(id), "ok");
                EXPECT_TRUE(client->poll([&] { return fs::exists(result); }));
                std::stringstream text;
                text << std::ifstream(result).rdbuf();
                return text.str();
        }
};

/* What systemd itself cannot do is no less missing. */
TEST_F(Sandbox, ThatSystemdCannotMakeRunsNothing) {
        DropIn drop_in("plugind-strict-tampered-.service", "BindPaths=/nonexistent");

        manifest("tampered", shell("echo ran"));
        std::string outcome = start("tampered");
        EXPECT_EQ(outcome.rfind("org.plugind1.Error.SandboxUnavailable: ", 0), 0u) << outcome;
        EXPECT_NE(outcome.find("its namespaces"), std::string::npos) << outcome;
        EXPECT_FALSE(fs::exists(result));
}

TEST_F(Sandbox, MayBeTightenedByTheAdministrator) {
        DropIn drop_in("plugind-strict-finds-.service", "InaccessiblePaths=/usr/share\nProtectHome=yes\nTasksMax=20\nPrivateMounts=yes");

        EXPECT_NE(found("ls /usr/share || echo refused").find("refused"), std::string::npos);
}

TEST_F(Sandbox, StrictIsAUserOfItsOwnWithNothingButItsFolder) {
        std::string text = found("id -u; echo $HOME; pwd; touch $HOME/x && echo wrote; ls -A /home /root /run/user /tmp /dev/shm; "
                                 "touch /tmp/x /dev/shm/x && echo both; touch /var/x /usr/x /home/x; cat /sys/class/net/*/address; "
                                 "grep -c . /proc/self/net/dev; ls /proc | grep -c '^1$'");

        EXPECT_GT(atoi(text.c_str()), 60000) << text;
        EXPECT_NE(text.find("\n/var/lib/plugind-data/finds\n"), std::string::npos) << text;
        EXPECT_NE(text.find("\nwrote\n"), std::string::npos) << text;
        EXPECT_NE(text.find("\n/home:\n\n/root:\n\n/run/user:\n\n/tmp:\n"), std::string::npos) << text;
        EXPECT_NE(text.find("\nboth\n"), std::string::npos) << text;
        for (const char *refused : { "/var/x", "/usr/x", "/home/x" })
                EXPECT_NE(text.find("'" + std::string(refused) + "': Read-only file system"), std::string::npos) << text;
        EXPECT_EQ(text.substr(text.size() - 4), "3\n0\n") << "headings and lo; not process 1\n" << text;
        EXPECT_FALSE(fs::exists("/tmp/x"));
        EXPECT_FALSE(fs::exists("/dev/shm/x"));
}

TEST_F(Sandbox, OpensToThePathsOfTheManifest) {
        run({ "sh", "-c",
              "mkdir -p " + home + "/given/sub; echo hello >" + home + "/given/file; echo secret >" + home + "/secret; chmod -R a+rX " +
                      home });
        std::string text = found("cat " + home + "/given/file; echo x >" + home + "/given/file; ls " + home + "; cat " + home + "/secret",
                                 R"("readOnlyPaths": [")" + home + R"(/given"])");

        EXPECT_EQ(text.rfind("hello\n", 0), 0u) << text;
        EXPECT_NE(text.find("Read-only file system"), std::string::npos) << text;
        EXPECT_NE(text.find("\ngiven\n"), std::string::npos) << text;
        EXPECT_EQ(text.find("\nsecret\n"), std::string::npos) << text;
        unload("finds");

        ASSERT_EQ(run({ "chmod", "a+w", home + "/given/file" }).status, 0);
        text = found("echo mine >" + home + "/given/file && echo wrote", R"("readOnlyPaths": [")" + home + R"(/given/sub"])",
                     home + "/given/file");
        EXPECT_EQ(text, "wrote\n");
        EXPECT_EQ(run({ "cat", home + "/given/file" }).out, "mine\n");
}

TEST_F(Sandbox, HasTheLimitsTheDevicesAndTheCallsOfTheManifest) {
        const std::string unlimited = found("true");
        std::string unit = client->get("finds", "Unit");

        EXPECT_EQ(unit_property(unit, "MemoryMax"), "2147483648");
        EXPECT_EQ(unit_property(unit, "TasksMax"), "512");
        EXPECT_EQ(unit_property(unit, "CPUQuotaPerSecUSec"), "infinity");
        unload("finds");

        std::string text = found(
                "ls -l /dev/console; nproc >/dev/null; echo done",
                R"("memoryMax": "512M", "tasksMax": 20, "cpuQuota": "150%", "syscalls": ["kexec_load"], "devices": ["/dev/net/tun"])");
        unit = client->get("finds", "Unit");
        EXPECT_EQ(unit_property(unit, "MemoryMax"), "536870912");
        EXPECT_EQ(unit_property(unit, "TasksMax"), "20");
        EXPECT_EQ(unit_property(unit, "CPUQuotaPerSecUSec").substr(0, 3), "1.5");
        EXPECT_NE(unit_property(unit, "DeviceAllow").find("/dev/net/tun rw"), std::string::npos);
        EXPECT_NE((" " + unit_property(unit, "SystemCallFilter") + " ").find(" kexec_load "), std::string::npos);
        EXPECT_EQ((" " + unit_property(unit, "SystemCallFilter") + " ").find(" mount "), std::string::npos);
        unload("finds");
        EXPECT_NE(found("test -c /dev/net/tun && echo there", R"("devices": ["/dev/net/tun"])").find("there"), std::string::npos);
}

TEST_F(Sandbox, RunsAsTheUserOfTheManifest) {
        EXPECT_EQ(found("id -un; echo $HOME; touch $HOME/x && echo wrote", R"("user": "plugind-tester")"),
                  "plugind-tester\n/var/lib/plugind-data/finds\nwrote\n");
}

TEST_F(Sandbox, NetworkHasTheNetworkAndNothingElse) {
        std::string text = found(
                "grep -c eth /proc/self/net/dev; python3 -c 'import socket; socket.socket(socket.AF_INET); print(\"inet\"); "
                "socket.socket(socket.AF_UNIX)'; ls -A /home /run",
                R"("profile": "network")");

        EXPECT_EQ(client->get("finds", "Unit").rfind("plugind-network-finds-", 0), 0u);
        EXPECT_NE(text.find("inet\n"), std::string::npos) << text;
        EXPECT_NE(text.find("Address family not supported"), std::string::npos) << text;
        EXPECT_EQ(text.find("dbus"), std::string::npos) << text;
}

TEST_F(Sandbox, TrustedHasNone) {
        EXPECT_EQ(found("id -u; test -S /run/dbus/system_bus_socket && echo bus; touch /srv/plugind-test/trusted && echo wrote",
                        R"("profile": "trusted")"),
                  "0\nbus\nwrote\n");
        EXPECT_EQ(client->get("finds", "Unit").rfind("plugind-trusted-finds-", 0), 0u);
}

/* What is not root's does not say what root's plugins may. */
TEST_F(Sandbox, IsNotLoosenedByAManifestThatOthersMayChange) {
        const std::string file = home + "/theirs.json";

        std::ofstream(file) << shell("echo ran");
        ASSERT_EQ(chown(file.c_str(), ordinary_uid, ordinary_uid), 0);
        std::string outcome = client->host("Load", "sa{sv}", file.c_str(), 0).outcome();
        EXPECT_EQ(outcome, "org.plugind1.Error.InvalidManifest: " + file + ": sandbox.readWritePaths[0]: found \"" + place +
                                   "\", expected none: only root's own manifests may loosen the sandbox, and this file is user 2001's");
        ASSERT_EQ(chown(file.c_str(), 0, 0), 0);
        outcome = client->host("Load", "sa{sv}", file.c_str(), 0).outcome();
        EXPECT_NE(outcome.find("its folder is user 2001's"), std::string::npos) << outcome;
        fs::remove(file);
}

/* -- a user's own -- */

class UserSandbox : public Sandbox {
      protected:
        void SetUp() override {
                Sandbox::SetUp();
                if (IsSkipped())
                        return;
                ASSERT_TRUE(start_user_manager());
        }
        void TearDown() override {
                run_as_user({ "systemctl", "--user", "stop", "plugind.service" });
                Sandbox::TearDown();
        }
        static std::string ctl(std::vector<std::string> line) {
                line.insert(line.begin(), { "pluginctl", "--user" });
                Outcome outcome = run_as_user(line);
                return outcome.out + outcome.err;
        }
        /* With a manager of the user that has been started anew with this in its unit. */
        std::string start_under(const std::string &line) {
                DropIn drop_in("user@2001.service", line);
                std::string text;

                EXPECT_EQ(run({ "systemctl", "restart", "user@2001.service" }).status, 0);
                ctl({ "load", "mine" });
                text = ctl({ "start", "mine" });
                run_as_user({ "systemctl", "--user", "stop", "plugind.service" });
                return text;
        }
};

TEST_F(UserSandbox, HoldsWhereItCanBeHad) {
        manifest("mine",
                 shell("id -u; touch $HOME/x && echo wrote; ls /home/plugind-tester; touch /etc/x; cat /proc/self/net/dev | grep -c :"));
        ctl({ "load", "mine" });
        EXPECT_EQ(ctl({ "start", "mine" }), "");
        ASSERT_TRUE(client->poll([&] { return fs::exists(result); }));
        std::stringstream text;
        text << std::ifstream(result).rdbuf();
        EXPECT_EQ(text.str().rfind("2001\nwrote\n", 0), 0u) << text.str();
        EXPECT_NE(text.str().find("'/etc/x': Read-only file system"), std::string::npos) << text.str();
        EXPECT_EQ(text.str().substr(text.str().size() - 2), "1\n") << text.str();
}

/* They run as the same user: file modes say yes to all of it. */
TEST_F(UserSandbox, KeepsFromTheUsersTerminalsFilesAndProcesses) {
        int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

        ASSERT_GE(terminal, 0);
        ASSERT_EQ(unlockpt(terminal), 0);
        const std::string name = ptsname(terminal);
        ASSERT_EQ(chown(name.c_str(), ordinary_uid, ordinary_uid), 0);
        ASSERT_EQ(run_as_user({ "sh", "-c", "echo secret >~/secret; test -r " + name }).status, 0);
        manifest(
                "mine",
                shell("test -e " + name +
                      " && echo terminal; cat /home/plugind-tester/secret; p=$(cat /proc/[0-9]*/status | grep -c ^Name); "
                      "test $p -gt 5 && echo $p processes; cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep -E '^(SYSTEMD_EXEC_PID|MANAGERPID)='; "
                      "echo all"));
        ctl({ "load", "mine" });
        EXPECT_EQ(ctl({ "start", "mine" }), "");
        ASSERT_TRUE(client->poll([&] { return fs::exists(result); }));
        std::stringstream text;
        text << std::ifstream(result).rdbuf();
        EXPECT_EQ(text.str().find("terminal\n"), std::string::npos) << text.str();
        EXPECT_EQ(text.str().find("secret\n"), std::string::npos) << text.str();
        EXPECT_NE(text.str().find(" processes\n"), std::string::npos) << "seen they are: " << text.str();
        EXPECT_EQ(text.str().find("PID="), std::string::npos) << text.str();
        EXPECT_NE(text.str().find("\nall\n"), std::string::npos) << text.str();
        ctl({ "unload", "mine" });

        fs::remove(result);
        const std::string folder = "/run/systemd/user/plugind-strict-mine-.service.d";
        fs::create_directories(folder);
        std::ofstream(folder + "/60-test.conf") << "[Service]\nInaccessiblePaths=\n";
        ASSERT_EQ(run_as_user({ "systemctl", "--user", "daemon-reload" }).status, 0);
        ctl({ "load", "mine" });
        EXPECT_NE(ctl({ "start", "mine" }).find("the terminal " + name + " can be reached"), std::string::npos);
        EXPECT_FALSE(fs::exists(result));
        fs::remove_all(folder);
        run_as_user({ "systemctl", "--user", "daemon-reload" });
        close(terminal);
}

TEST_F(UserSandbox, HasNobodyElsesUser) {
        manifest("mine", shell("echo ran", R"("user": "plugind-tester")"));
        ctl({ "load", "mine" });
        std::string text = ctl({ "start", "mine" });
        EXPECT_NE(
                text.find(
                        "cannot run /bin/sh as user \"plugind-tester\" (sandbox.user): plugind of one user runs plugins as that user only"),
                std::string::npos)
                << text;
        EXPECT_FALSE(fs::exists(result));
}

TEST_F(UserSandbox, IsMissedWhereUserNamespacesOrSeccompAreUnavailable) {
        manifest("mine", shell("echo ran"));
        std::string text = start_under("RestrictNamespaces=~user");
        EXPECT_NE(text.find("systemd cannot set up its user or user namespace"), std::string::npos) << text;
        EXPECT_FALSE(fs::exists(result));

        text = start_under("Environment=SYSTEMD_SECCOMP=0");
        EXPECT_NE(text.find("the sandbox is not what the manifest demands: system calls such as mount() are not filtered"),
                  std::string::npos)
                << text;
        EXPECT_FALSE(fs::exists(result));
        EXPECT_EQ(run({ "systemctl", "restart", "user@2001.service" }).status, 0);
}

} // namespace
