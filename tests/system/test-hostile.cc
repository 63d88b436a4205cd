/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A plugin that wants out (tests/plugins/hostile.py). Each attempt must fail for the reason that the sandbox is there for and not for
 * another: where file modes or a missing file would do too, the test has made room. Meanwhile the daemon and another plugin answer.
 */
#include "fixture.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

namespace {

namespace fs = std::filesystem;

constexpr char abstract_name[] = "plugind-hostile-target";
const std::string socket_file = "/srv/plugind-test/target.socket", stream_file = "/srv/plugind-test/target.stream",
                  packet_file = "/srv/plugind-test/target.packets";
/* Who of the neighbours is still waiting after this is disturbed. Other tests share the machine. */
constexpr auto normal_time = std::chrono::seconds(3);

struct Attempt {
        std::string what, params, expected; /* one of several outcomes, with " | " between */
};

std::string text_json(const std::string &text) {
        return "\"" + text + "\"";
}

std::string path(const std::string &text) {
        return "\"path\": " + text_json(text);
}

std::vector<std::string> split(const std::string &text, const std::string &separator) {
        std::vector<std::string> parts;
        size_t at = 0, end;

        for (; (end = text.find(separator, at)) != std::string::npos; at = end + separator.size())
                parts.push_back(text.substr(at, end - at));
        parts.push_back(text.substr(at));
        return parts;
}

void write_file(const std::string &name, const std::string &text, fs::perms mode) {
        fs::create_directories(fs::path(name).parent_path());
        std::ofstream(name) << text;
        fs::permissions(name, mode);
}

/* One connection to 127.0.0.1, greeted. */
class Server {
      public:
        Server() {
                struct sockaddr_in address = { AF_INET, 0, { htonl(INADDR_LOOPBACK) }, {} };
                socklen_t size = sizeof(address);

                fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
                EXPECT_EQ(bind(fd_, (struct sockaddr *) &address, size), 0);
                EXPECT_EQ(listen(fd_, 1), 0);
                EXPECT_EQ(getsockname(fd_, (struct sockaddr *) &address, &size), 0);
                port_ = ntohs(address.sin_port);
                thread_ = std::thread([fd = fd_] {
                        int client = accept(fd, nullptr, nullptr);

                        if (client >= 0 && write(client, "hello", 5) == 5)
                                close(client);
                });
        }
        ~Server() {
                shutdown(fd_, SHUT_RDWR);
                thread_.join();
                close(fd_);
        }
        int port() const {
                return port_;
        }

      private:
        int fd_, port_;
        std::thread thread_;
};

/* A socket of root's that all may write to, at a path or of an abstract name. */
class Target {
      public:
        explicit Target(const std::string &name, int type = SOCK_DGRAM) {
                struct sockaddr_un address = {};

                address.sun_family = AF_UNIX;
                memcpy(address.sun_path + (name[0] == '/' ? 0 : 1), name.data(), name.size());
                fd_ = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
                EXPECT_EQ(bind(fd_, (struct sockaddr *) &address, offsetof(struct sockaddr_un, sun_path) + name.size() + 1), 0) << name;
                if (type != SOCK_DGRAM) {
                        EXPECT_EQ(listen(fd_, 10), 0);
                }
                if (name[0] == '/') {
                        EXPECT_EQ(chmod(name.c_str(), 0777), 0);
                }
        }
        ~Target() {
                close(fd_);
        }
        std::string received() const {
                char buffer[64];
                ssize_t n = recv(fd_, buffer, sizeof(buffer), 0);

                return n < 0 ? "" : std::string(buffer, n);
        }

      private:
        int fd_;
};

class Hostile : public ServiceTest {
      protected:
        void SetUp() override {
                ServiceTest::SetUp();
                if (IsSkipped() || HasFatalFailure())
                        return;
                bad_plugin("neighbour");
                ASSERT_EQ(client->host("Load", "sa{sv}", "neighbour", 0).outcome(), "ok");
                ASSERT_EQ(client->send("neighbour", "write-data", R"({"text": "of the neighbour"})").find("error"), std::string::npos);
                daemon_pid = std::to_string(service.pid());
                neighbour_pid = client->get("neighbour", "MainPID");
                ASSERT_NE(neighbour_pid, "0");
        }

        void load(const std::string &more = "") {
                manifest("hostile", "{\"manifestVersion\": 1, \"command\": \"" + source_path("tests/plugins/hostile.py") +
                                            "\", \"dialect\": \"jsonrpc\", \"timeouts\": {\"request\": 120}" +
                                            (more.empty() ? "" : ", " + more) + "}");
                ASSERT_EQ(client->host("Load", "sa{sv}", "hostile", 0).outcome(), "ok");
                ASSERT_EQ(client->session("hostile", "SetActiveState", "sa{sv}", "active", 1, "wait", "b", 1).outcome(), "ok");
                hostile_pid = client->get("hostile", "MainPID");
        }

        Client::Pending begin(const std::string &what, const std::string &params) {
                return client->session_async("hostile", "Send", "ssa{sv}", "try",
                                             ("{\"what\": " + text_json(what) + (params.empty() ? "" : ", " + params) + "}").c_str(), 1,
                                             "timeout-usec", "t", (uint64_t) 120'000'000);
        }
        /* As the plugin tells it; a text without its quotes. */
        std::string attempt(const std::string &what, const std::string &params = "") {
                Client::Pending pending = begin(what, params);

                EXPECT_TRUE(client->wait([&] { return pending->answered; }, 4 * patience_usec)) << what;
                if (!pending->ok())
                        return pending->outcome();
                return pending->text.size() > 1 ? pending->text.substr(1, pending->text.size() - 2) : pending->text;
        }
        void expect(const Attempt &a) {
                std::string outcome = attempt(a.what, a.params);
                std::vector<std::string> expected = split(a.expected, " | ");

                EXPECT_TRUE(std::find(expected.begin(), expected.end(), outcome) != expected.end())
                        << a.what << " " << a.params << ": " << outcome << ", expected " << a.expected;
                neighbours_notice_nothing(a.what);
        }
        void neighbours_notice_nothing(const std::string &during) {
                auto began = std::chrono::steady_clock::now();

                EXPECT_EQ(client->send("neighbour", "echo", "[1]"), "[1]") << during;
                EXPECT_EQ(client->get_host("RuntimeProvider"), "systemd") << during;
                auto took = std::chrono::steady_clock::now() - began;
                slowest = std::max(slowest, took);
                EXPECT_LT(took, normal_time) << during;
        }
        void all_are_who_they_were() {
                EXPECT_EQ(std::to_string(service.pid()), daemon_pid);
                EXPECT_EQ(client->get("neighbour", "MainPID"), neighbour_pid);
                EXPECT_EQ(client->get("neighbour", "Restarts"), "0");
                EXPECT_EQ(client->get("hostile", "MainPID"), hostile_pid);
                EXPECT_EQ(client->send("neighbour", "read-data"), "\"of the neighbour\"");
                RecordProperty("slowest_answer_usec",
                               std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(slowest).count()));
        }

        void no_sockets();
        void no_other_processes(const std::string &pid);
        void no_files();
        void no_kernel();
        void no_privileges();

        std::string daemon_pid, neighbour_pid, hostile_pid;
        std::chrono::steady_clock::duration slowest{};
};

void Hostile::no_sockets() {
        Target abstract_target(abstract_name), file_target(socket_file), stream_target(stream_file, SOCK_STREAM),
                packet_target(packet_file, SOCK_SEQPACKET);

        for (const char *kind : { "packet", "vsock", "alg", "unix", "unix-datagram", "bluetooth", "xdp" })
                expect({ "socket-" + std::string(kind), "", "EAFNOSUPPORT" });
        expect({ "io-uring", "", "EPERM" });
        /* Pairs are sockets too, and a datagram socket is connected to nobody for good. */
        for (const std::string &to : { std::string("@") + abstract_name, socket_file, std::string("/run/systemd/journal/socket"),
                                       std::string("/run/systemd/notify"), std::string("/dev/log") })
                expect({ "datagram-pair", path(to), "EPERM" });
        expect({ "raw-pair", "", "EPERM" });
        expect({ "reconnected-pair", path(stream_file) + ", \"seqpacket\": " + text_json(packet_file), "EISCONN" });
        expect({ "stdio-socket", "\"fd\": 2, " + path(stream_file), "EISCONN" }); /* the journal's */
        expect({ "socket-pair", "", "done" });
        for (const char *name :
             { "/run/dbus/system_bus_socket", "/run/systemd/private", "/run/systemd/notify", "/run/systemd/journal/stdout",
               "/run/systemd/journal/socket", "/run/systemd/io.system.ManagedOOM", "/run/plugind/bus" })
                expect({ "read", path(name), "ENOENT" });
        EXPECT_EQ(abstract_target.received() + file_target.received(), "");
        fs::remove(socket_file);
        fs::remove(stream_file);
        fs::remove(packet_file);
}

/* Signals must be EPERM: what cannot be seen could still be guessed. */
void Hostile::no_other_processes(const std::string &pid) {
        std::string of = "\"pid\": " + pid;

        expect({ "see-process", of, "ENOENT" });
        expect({ "read", path("/proc/" + pid + "/environ"), "ENOENT" });
        for (const char *what : { "kill", "pidfd-signal", "pidfd-getfd", "ptrace", "ptrace-seize", "process-vm-readv", "process-vm-writev",
                                  "prlimit", "kcmp", "affinity", "priority", "io-priority", "move-pages", "robust-list" })
                expect({ what, of, "EPERM" });
        expect({ "kill", of + ", \"signal\": 9", "EPERM" });
        expect({ "kill", of + ", \"signal\": 0", "EPERM" });
        expect({ "sigio", of, "done" }); /* and nothing comes of it */
}

TEST_F(Hostile, NeitherNetworkNorAnybodysSocket) {
        load();
        for (const char *kind : { "tcp", "tcp6", "udp", "raw", "ping", "netlink", "netlink-audit" })
                expect({ "socket-" + std::string(kind), "", "EAFNOSUPPORT" });
        no_sockets();
        all_are_who_they_were();
}

TEST_F(Hostile, NobodyElsesProcess) {
        load();
        EXPECT_EQ(attempt("see-any-process"), "done: ");
        for (const std::string &pid : { daemon_pid, neighbour_pid, std::string("1") })
                no_other_processes(pid);
        expect({ "kill-all", "", "done" }); /* of its own */
        /* Neither others' nor new ones, of which the machine has only so many. */
        expect({ "open-terminals", "", "EACCES" });
        expect({ "write", path("/dev/ptmx"), "EACCES" });
        all_are_who_they_were();
}

/* What is hidden or read-only is so although its mode lets everybody in. */
void Hostile::no_files() {
        const std::string own = "/var/lib/plugind-data/hostile", others = "/var/lib/plugind-data/neighbour/data";
        const std::string secrets[] = { "/root/.ssh/id",         "/home/plugind-tester/.ssh/id",
                                        "/run/user/2001/secret", "/run/secret",
                                        "/dev/shm/secret",       "/tmp/secret",
                                        "/var/tmp/secret" };
        const std::string worlds[] = { "/srv/plugind-test/world", "/etc/world", "/usr/local/world", "/var/lib/world",
                                       "/var/log/world",          "/opt/world", "/boot/world",      "/mnt/world" };
        fs::perms root = fs::status("/root").permissions(), home = fs::status("/home/plugind-tester").permissions();

        fs::permissions("/root", (fs::perms) 0755);
        fs::permissions("/home/plugind-tester", (fs::perms) 0755);
        for (const std::string &name : secrets) {
                write_file(name, "secret", (fs::perms) 0666);
                expect({ "read", path(name), "ENOENT" });
        }
        expect({ "list-folder", path("/home"), "done: " });
        expect({ "list-folder", path("/root"), "done: " });
        for (const std::string &name : worlds) {
                write_file(name + "/file", "as it was", (fs::perms) 0666);
                fs::permissions(name, (fs::perms) 0777);
                expect({ "read", path(name + "/file"), "done: b'as it was'" }); /* so it is there */
                expect({ "write", path(name + "/file"), "EROFS" });
                expect({ "create", path(name + "/new"), "EROFS" });
                expect({ "hard-link", path(name + "/file"), "EXDEV" });
                expect({ "move", path(name + "/file"), "EXDEV | EROFS" });
                EXPECT_EQ(run({ "cat", name + "/file" }).out, "as it was");
                fs::remove_all(name);
        }
        for (const std::string &name : secrets)
                fs::remove(name);
        fs::permissions("/root", root);
        fs::permissions("/home/plugind-tester", home);

        expect({ "read", path("/etc/shadow"), "EACCES" });
        expect({ "read", path(others), "EACCES | ENOENT" });
        expect({ "read", path("/var/lib/private/plugind-data/neighbour/data"), "EACCES | ENOENT" });
        expect({ "create", path("/var/lib/plugind-data/neighbour/new"), "EACCES | ENOENT" });
        expect({ "list-folder", path("/var/lib/plugind"), "EACCES" });
        expect({ "write", path(own + "/mine"), "done" });
}

TEST_F(Hostile, NobodyElsesFile) {
        load();
        no_files();
        /* Whatever there is in the tree. */
        std::string writable = attempt("writable");
        EXPECT_EQ(writable,
                  "done: /dev/full /dev/mqueue /dev/null /dev/random /dev/shm /dev/tty /dev/urandom /dev/zero "
                  "/proc/pressure/cpu /proc/pressure/io /proc/pressure/memory /tmp /var/lib/private/plugind-data/hostile /var/tmp");
        expect({ "descriptors", "", "done: 0=pipe 1=pipe 2=socket" });
        all_are_who_they_were();
}

void Hostile::no_kernel() {
        for (const char *what : { "mount",
                                  "bind-mount",
                                  "remount-writable",
                                  "umount",
                                  "umount-proc",
                                  "pivot-root",
                                  "chroot",
                                  "open-tree",
                                  "move-mount",
                                  "fsopen",
                                  "fspick",
                                  "mount-setattr",
                                  "unshare-mount",
                                  "unshare-cgroup",
                                  "unshare-uts",
                                  "unshare-ipc",
                                  "unshare-user",
                                  "unshare-pid",
                                  "unshare-net",
                                  "unshare-time",
                                  "setns",
                                  "clone-mount",
                                  "clone-cgroup",
                                  "clone-uts",
                                  "clone-ipc",
                                  "clone-user",
                                  "clone-pid",
                                  "clone-net",
                                  "bpf",
                                  "bpf-program",
                                  "perf-event-open",
                                  "userfaultfd",
                                  "init-module",
                                  "finit-module",
                                  "delete-module",
                                  "kexec-load",
                                  "kexec-file-load",
                                  "reboot",
                                  "settimeofday",
                                  "clock-settime",
                                  "adjtimex",
                                  "sethostname",
                                  "setdomainname",
                                  "swapon",
                                  "acct",
                                  "quotactl",
                                  "iopl",
                                  "ioperm",
                                  "syslog",
                                  "vhangup",
                                  "keyctl",
                                  "add-key",
                                  "request-key",
                                  "personality",
                                  "fanotify-init",
                                  "open-by-handle-at",
                                  "lookup-dcookie",
                                  "modify-ldt",
                                  "sched-fifo",
                                  "sched-deadline" })
                expect({ what, "", "EPERM" });
        /* Their flags are in memory, where no filter sees them; and what is newer than the filter is unknown to it. */
        for (const char *what : { "clone3-mount", "clone3-cgroup", "clone3-uts", "clone3-ipc", "clone3-user", "clone3-pid", "clone3-net",
                                  "clone3-time", "open-tree-attr" })
                expect({ what, "", "ENOSYS | EPERM" });
        for (const char *name :
             { "/proc/sys/kernel/hostname", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/1/oom_score_adj",
               "/sys/kernel/uevent_helper", "/sys/power/state", "/sys/fs/cgroup/cgroup.procs", "/dev/mem", "/dev/kmsg", "/dev/sda",
               "/dev/vda", "/dev/net/tun", "/dev/fuse", "/dev/kvm", "/proc/self/uid_map" })
                expect({ "write", path(name), "EACCES | EROFS | ENOENT | EPERM" });
        for (const char *name : { "/proc/kcore", "/proc/kmsg", "/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/vda", "/dev/console" })
                expect({ "read", path(name), "EACCES | ENOENT | EPERM" });
        /* Where memory is short it is the first to go. */
        expect({ "read", path("/proc/self/oom_score_adj"), "done: b'500\\\\n'" });
        expect({ "write", path("/proc/self/oom_score_adj") + ", \"text\": \"-1000\"", "EACCES" });
        expect({ "foreign-call", "", "killed by SIGSYS | killed by SIGSEGV" });
        expect({ "x32-call", "", "killed by SIGSYS | ENOSYS | EPERM" });
}

TEST_F(Hostile, NothingOfTheKernels) {
        load();
        no_kernel();
        all_are_who_they_were();
}

void Hostile::no_privileges() {
        std::string id = "/srv/plugind-test/setuid-id", uid;

        for (const char *what : { "setuid", "setresuid", "setgid", "setgroups", "capset", "ambient-capability", "mknod-memory",
                                  "mknod-disk", "mknodat", "file-capability" })
                expect({ what, "", "EPERM | EINVAL" });
        for (const char *what :
             { "setuid-creat", "setuid-openat", "setuid-chmod", "setgid-chmod", "setuid-fchmodat", "setgid-mkdir", "setuid-mknod" })
                expect({ what, "", "EPERM" });
        for (const char *what : { "setuid-openat2", "setuid-fchmodat2" })
                expect({ what, "", "EPERM | ENOSYS" });
        EXPECT_EQ(run({ "find", "/var/lib/private/plugind-data", "-perm", "/6000" }).out, "");

        /* It would say 0: it is root's, and set-user-ID. */
        ASSERT_EQ(run({ "install", "-m", "4755", "/usr/bin/id", id }).status, 0);
        EXPECT_EQ(run_as_user({ id, "-u" }).out, "0\n");
        std::string said = attempt("run-program", "\"command\": [" + text_json(id) + ", \"-u\"]");
        uid = run({ "stat", "-c", "%u", "/var/lib/private/plugind-data/hostile" }).out;
        uid.pop_back();
        EXPECT_EQ(said, "done: 0: " + uid);
        std::string identity = attempt("identity");
        expect({ "run-program", R"("command": ["su", "-c", "id"])",
                 "done: 1: su: Authentication failure | done: 1: Password: su: Authentication failure" });
        said = attempt("run-program", R"("command": ["mount", "-t", "tmpfs", "none", "/tmp"])");
        EXPECT_NE(said.rfind("done: 0", 0), 0u) << said;
        said = attempt("run-program", R"("command": ["busctl", "--system", "list"])");
        EXPECT_NE(said.rfind("done: 0", 0), 0u) << said;
        said = attempt("run-program", R"("command": ["systemd-run", "--wait", "true"])");
        EXPECT_NE(said.rfind("done: 0", 0), 0u) << said;
        const std::string none = "0000000000000000";
        for (const std::string &part :
             { "Uid: " + uid, "Gid: " + uid, "Groups: " + uid, "CapInh: " + none, "CapPrm: " + none, "CapEff: " + none, "CapBnd: " + none,
               "CapAmb: " + none, std::string("NoNewPrivs: 1"), std::string("Seccomp: 2") })
                EXPECT_NE(identity.find(part), std::string::npos) << identity;
        fs::remove(id);
}

TEST_F(Hostile, NoPrivilege) {
        load();
        no_privileges();
        all_are_who_they_were();
}

/* Where there is no controller of tasks, RLIMIT_NPROC bounds them; 512 if the manifest says nothing. */
TEST_F(Hostile, AForkBombIsItsOwnAlone) {
        load("\"sandbox\": {\"tasksMax\": 200}");
        Client::Pending pending = begin("fork-bomb", "\"seconds\": 3");
        int answers = 0;

        while (!pending->answered && answers < 100000) {
                neighbours_notice_nothing("the fork bomb");
                answers++;
                client->catch_up();
        }
        EXPECT_GT(answers, 5);
        ASSERT_EQ(pending->outcome(), "ok");
        EXPECT_EQ(pending->text.rfind("\"EAGAIN: ", 0), 0u) << pending->text;
        EXPECT_LE(atoi(pending->text.c_str() + strlen("\"EAGAIN: ")), 200);
        all_are_who_they_were();
}

/* While it forks as fast as it can. */
TEST_F(Hostile, AForkBombEndsWithIt) {
        load("\"sandbox\": {\"tasksMax\": 200}");
        std::string unit = client->get("hostile", "Unit");
        Client::Pending pending = begin("fork-bomb", "\"seconds\": 60");

        ASSERT_TRUE(client->poll([&] { return processes_of(unit).size() > 100; }));
        ASSERT_EQ(client->host("Unload", "sa{sv}", "hostile", 0).outcome(), "ok");
        EXPECT_TRUE(client->wait(pending));
        EXPECT_FALSE(pending->ok());
        EXPECT_EQ(processes_of(unit).size(), 0u);
        EXPECT_TRUE(client->poll([&] { return unit_property(unit, "LoadState") == "not-found"; }));
        neighbours_notice_nothing("the end of a fork bomb");
}

TEST_F(Hostile, WhoFillsTheMemoryIsKilledAndNobodyElse) {
        if (!controller_works("memory"))
                GTEST_SKIP() << "this container has no memory controller to give: limits are accepted and do nothing";
        load("\"restart\": {\"policy\": \"never\"}, \"sandbox\": {\"memoryMax\": \"64M\"}");
        for (const char *what : { "fill-memory", "fill-shared-memory" }) {
                ASSERT_EQ(client->session("hostile", "SetActiveState", "sa{sv}", "active", 1, "wait", "b", 1).outcome(), "ok");
                Client::Pending pending = begin(what, "\"mib\": 1024");
                while (!pending->answered)
                        neighbours_notice_nothing(what);
                EXPECT_NE(pending->outcome().find("the limit of its memory"), std::string::npos) << pending->outcome();
        }
        EXPECT_EQ(client->get("neighbour", "MainPID"), neighbour_pid);
}

TEST_F(Hostile, NothingOutlivesIt) {
        load();
        for (int i = 0; i < 5; i++)
                expect({ "stay", "", "done" });
        EXPECT_GE(processes_of(client->get("hostile", "Unit")).size(), 6u);
        expect({ "write", path("/tmp/left"), "done" });
        expect({ "write", path("/dev/shm/left"), "done" });
        ASSERT_EQ(client->session("hostile", "Restart", "a{sv}", 0).outcome(), "ok");
        ASSERT_TRUE(client->wait_property("hostile", "ReportedState", "active"));
        expect({ "read", path("/tmp/left"), "ENOENT" });
        expect({ "read", path("/dev/shm/left"), "ENOENT" });
        for (int i = 0; i < 5; i++)
                expect({ "stay", "", "done" });
        ASSERT_EQ(client->host("Unload", "sa{sv}", "hostile", 0).outcome(), "ok");
        EXPECT_TRUE(client->poll([] { return units_like("plugind-strict-hostile-*").empty(); }));
        for (const std::string &folder : cgroups_of("plugind.slice"))
                EXPECT_EQ(folder.find("hostile"), std::string::npos) << folder;
        neighbours_notice_nothing("the end");
}

/* What it says about itself is under its name, whatever it writes; and no line of it is of anybody else. */
TEST_F(Hostile, ItsLogIsItsOwn) {
        load();
        expect({ "mount", "", "EPERM" });
        expect({ "kill", "\"pid\": " + daemon_pid, "EPERM" });
        for (const std::string &match :
             { std::string("_SYSTEMD_SLICE=plugind.slice"), "_SYSTEMD_UNIT=" + client->get("hostile", "Unit") }) {
                std::string log = journal_since({ match, "SYSLOG_IDENTIFIER=hostile" });

                EXPECT_NE(log.find("tried mount {}: EPERM"), std::string::npos) << log;
                EXPECT_NE(log.find("tried kill {\"pid\": " + daemon_pid + "}: EPERM"), std::string::npos) << log;
        }
        EXPECT_EQ(journal_since({ "SYSLOG_IDENTIFIER=neighbour" }).find("tried"), std::string::npos);
}

/* All of strict but for the network. */
TEST_F(Hostile, UnderNetworkTheNetworkAloneIsThere) {
        Server server;
        load("\"sandbox\": {\"profile\": \"network\"}");
        EXPECT_EQ(attempt("connect-tcp", "\"port\": " + std::to_string(server.port())), "done: hello");
        for (const char *kind : { "tcp", "tcp6", "udp", "netlink" })
                expect({ "socket-" + std::string(kind), "", "done" });
        expect({ "socket-raw", "", "EPERM" });
        expect({ "socket-ping", "", "EACCES | done" }); /* as net.ipv4.ping_group_range says */
        no_sockets();
        no_other_processes(daemon_pid);
        no_other_processes(neighbour_pid);
        no_files();
        no_kernel();
        no_privileges();
        all_are_who_they_were();
}

} // namespace
