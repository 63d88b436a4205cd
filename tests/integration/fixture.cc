/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <glib.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

Plugind::~Plugind() {
        if (!service_)
                process_kill(pid_);
        if (output_ >= 0)
                close(output_);
        if (notify_ >= 0)
                close(notify_);
}

static std::vector<std::string> command_line(const std::vector<std::string> &arguments) {
        std::vector<std::string> line;
        const char *wrapper = getenv("PLUGIND_TEST_WRAPPER");

        if (wrapper && *wrapper) {
                char **parts = nullptr;

                if (g_shell_parse_argv(wrapper, nullptr, &parts, nullptr))
                        for (char **part = parts; *part; part++)
                                line.push_back(*part);
                g_strfreev(parts);
        }
        line.push_back(plugind_program());
        line.insert(line.end(), arguments.begin(), arguments.end());
        return line;
}

/* What a daemon that is started by hand would not have is taken out. */
static char **environment_with(const std::map<std::string, std::string> &more) {
        char **environment = g_get_environ();

        for (const char *name : { "DBUS_SESSION_BUS_ADDRESS", "DBUS_SYSTEM_BUS_ADDRESS", "PLUGIND_PLUGIN_PATH", "NOTIFY_SOCKET",
                                  "LISTEN_FDS", "FDSTORE", "WATCHDOG_USEC" })
                environment = g_environ_unsetenv(environment, name);
        for (const auto &[name, value] : more)
                environment = g_environ_setenv(environment, name.c_str(), value.c_str(), TRUE);
        return environment;
}

static int notify_socket_new(std::string &name) {
        sockaddr_un address = {};
        socklen_t size = sizeof(address);
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        address.sun_family = AF_UNIX; /* without a path the kernel chooses an abstract one */
        if (bind(fd, (sockaddr *) &address, sizeof(address.sun_family)) < 0 || getsockname(fd, (sockaddr *) &address, &size) < 0)
                return -1;
        name = "@" + std::string(address.sun_path + 1, size - offsetof(sockaddr_un, sun_path) - 1);
        return fd;
}

bool Plugind::start(const std::vector<std::string> &arguments, const std::map<std::string, std::string> &environment, bool ready,
                    int listening, FdStore *store) {
        std::vector<std::string> line = command_line(arguments);
        std::map<std::string, std::string> more = environment;
        std::vector<char *> argv;
        std::vector<int> fds;
        std::string notify_name, names;
        char **envp;

        for (std::string &argument : line)
                argv.push_back(argument.data());
        argv.push_back(nullptr);
        store_ = store;
        if (store)
                store->begin();
        else {
                notify_ = notify_socket_new(notify_name);
                more["FDSTORE"] = "0";
        }
        more["NOTIFY_SOCKET"] = store ? store->address() : notify_name;
        if (listening >= 0) {
                fds.push_back(listening);
                names = "bus";
        }
        for (const FdStore::Stored &stored : store ? store->stored() : std::vector<FdStore::Stored>()) {
                names += (fds.empty() ? "" : ":") + stored.name;
                fds.push_back(stored.fd);
        }
        output_ = memfd_create("output", MFD_CLOEXEC);
        envp = environment_with(more);
        pid_ = process_start_passing(argv.data(), envp, output_, fds.data(), fds.size(), names.c_str());
        g_strfreev(envp);
        return pid_ > 0 && (!ready || wait_ready());
}

std::vector<std::string> Plugind::notifications() {
        char buffer[4096];
        ssize_t n;

        if (store_)
                return store_->told();
        while ((n = recv(notify_, buffer, sizeof(buffer), 0)) > 0)
                told_.emplace_back(buffer, n);
        return told_;
}

bool Plugind::wait_ready() {
        int pidfd = (int) syscall(SYS_pidfd_open, pid_, 0);
        uint64_t waited = 0;
        bool ready = false;

        while (!ready) {
                pollfd fds[] = { { notify_, POLLIN, 0 }, { pidfd, POLLIN, 0 } };

                /* The socket of a store is read elsewhere. */
                if (poll(fds, 2, store_ ? 5 : (int) (patience_usec / 1000)) <= 0 && (!store_ || waited++ > patience_usec / 5'000))
                        break;
                for (const std::string &text : notifications())
                        ready = ready || text.find("READY=1") != std::string::npos;
                if (fds[1].revents)
                        break;
        }
        close(pidfd);
        return ready;
}

bool Plugind::start_installed(const std::vector<std::string> &arguments, const std::map<std::string, std::string> &environment,
                              const std::string &output) {
        output_ = open(output.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
        service_ = std::make_unique<Service>();
        service_->configure(arguments, environment, { "StandardOutput=append:" + output, "StandardError=inherit", "Restart=no" });
        if (!service_->start())
                return false;
        pid_ = service_->pid();
        return pid_ > 0;
}

void Plugind::stop() {
        if (service_)
                service_->stop();
        else
                signal(SIGTERM);
}

void Plugind::signal(int number) const {
        kill(pid_, number);
}

int Plugind::wait() {
        int status = service_ ? service_->wait_status() : process_wait(pid_, patience_usec);

        if (status != -ETIME)
                pid_ = 0;
        return status;
}

std::string Plugind::output() {
        struct stat st;
        std::string text;

        if (output_ < 0 || fstat(output_, &st) < 0)
                return "";
        text.resize(st.st_size);
        ssize_t n = pread(output_, text.data(), text.size(), 0);
        text.resize(n > 0 ? n : 0);
        return text;
}

/* The same for each case, so that the service's settings mostly stay what they are. */
static char *fixed_folder_new() {
        std::string path = std::string(g_get_tmp_dir()) + "/case";

        return mkdir(path.c_str(), 0755) < 0 ? nullptr : g_strdup(path.c_str());
}

void Daemon::SetUp() {
        if (!bus_kind_is_installed(GetParam()))
                GTEST_SKIP() << bus_kind_to_string(GetParam()) << " is not installed";
        /* What the daemon leaves behind becomes ours, and is seen. */
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        folder = booted() ? fixed_folder_new() : temporary_folder_new();
        ASSERT_NE(folder, nullptr);
        ASSERT_EQ(mkdir(plugin_folder().c_str(), 0755), 0);
        if (booted())
                return;
        int r = private_bus_new(GetParam(), &bus);
        ASSERT_EQ(r, 0) << strerror(-r);
}

void Daemon::TearDown() {
        if (daemon.pid() > 0 && !expect_failure) {
                EXPECT_EQ(stop(), 0) << daemon.output();
        }
        if (bus)
                end_children();
        if (booted())
                clean_system();
        if (HasFailure())
                fprintf(stderr, "--- the daemon said:\n%s---\n", daemon.output().c_str());
        if (listening >= 0)
                close(listening);
        private_bus_free(bus);
        temporary_folder_free(folder);
}

void Daemon::end_children() {
        pid_t *children = process_children(getpid());

        for (pid_t *child = children; *child; child++)
                if (*child != private_bus_pid(bus) && *child != daemon.pid()) {
                        ADD_FAILURE() << "process " << *child << " is left over\n" << daemon.output();
                        process_kill(*child);
                }
        g_free(children);
}

void Daemon::clean_system() {
        Service service;

        service.stop();
        EXPECT_EQ(left_in_time(), "");
        service.reset_failed();
        for (const char *path : { "/var/lib/plugind", "/var/lib/plugind-data", "/var/lib/private/plugind-data" })
                std::filesystem::remove_all(path);
}

std::string Daemon::plugin_folder() const {
        return std::string(folder) + "/plugins.d";
}

std::string Daemon::state_folder() const {
        return booted() ? "/var/lib/plugind" : std::string(folder) + "/state";
}

void Daemon::start(const std::vector<std::string> &arguments, const std::map<std::string, std::string> &more) {
        std::vector<std::string> all = arguments;
        std::map<std::string, std::string> environment = more;

        all.insert(all.end(), { "--log-target=stderr", "--log-level=debug" });
        environment["PLUGIND_PLUGIN_PATH"] = plugin_folder();
        if (booted()) {
                for (std::string &argument : all)
                        if (argument == "--user")
                                argument = "--system";
                ASSERT_TRUE(daemon.start_installed(all, environment, std::string(folder) + "/output")) << daemon.output();
                return;
        }
        all.push_back("--state-dir=" + state_folder());
        environment.insert({ { "DBUS_SESSION_BUS_ADDRESS", address() }, { "DBUS_SYSTEM_BUS_ADDRESS", address() } });
        ASSERT_TRUE(daemon.start(all, environment, true, listening, store.get())) << daemon.output();
}

std::string Daemon::listen() {
        if (booted())
                return "unix:path=/run/plugind/bus"; /* plugind.socket */
        std::string path = std::string(folder) + "/direct";
        sockaddr_un address = {};

        address.sun_family = AF_UNIX;
        EXPECT_LT(path.size(), sizeof(address.sun_path));
        path.copy(address.sun_path, sizeof(address.sun_path) - 1);
        listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        EXPECT_EQ(bind(listening, (sockaddr *) &address, sizeof(address)), 0) << strerror(errno);
        EXPECT_EQ(chmod(path.c_str(), 0666), 0) << strerror(errno);
        EXPECT_EQ(::listen(listening, SOMAXCONN), 0) << strerror(errno);
        return "unix:path=" + path;
}

int Daemon::stop() {
        daemon.stop();
        int status = daemon.wait();
        return WIFEXITED(status) && status >= 0 ? WEXITSTATUS(status) : -1;
}

pid_t Daemon::bus_pid() const {
        return booted() ? booted_bus_pid() : private_bus_pid(bus);
}

void Daemon::manifest(const std::string &id, const std::string &json) {
        ASSERT_TRUE(g_file_set_contents((plugin_folder() + "/" + id + ".json").c_str(), json.c_str(), -1, nullptr));
}

void Daemon::bad_plugin(const std::string &id, const std::string &dialect, const std::string &mode, const std::string &more) {
        manifest(id, "{\"manifestVersion\": 1, \"command\": \"" + bad_plugin_program() + "\", \"args\": [\"" + mode +
                             "\"], \"dialect\": \"" + dialect + "\"" + (more.empty() ? "" : ", " + more) + "}");
}

void Daemon::load(Client &client, const std::string &id) {
        Reply reply = client.host("Load", "sa{sv}", id.c_str(), 0);

        ASSERT_EQ(reply.outcome(), "ok");
        ASSERT_EQ(reply.text, session_path(id));
}

/* Nothing tells of another process' descriptors: they are looked at again and again. */
int Daemon::settled_fds() {
        int fds = daemon.fds();

        for (int equal = 0; equal < 10; equal++) {
                usleep(5'000);
                if (daemon.fds() != fds) {
                        fds = daemon.fds();
                        equal = 0;
                }
        }
        return fds;
}

bool Daemon::wait_counts(int fds, int children) {
        for (uint64_t waited = 0; waited < patience_usec; waited += 10'000) {
                if (daemon.fds() <= fds && daemon.children() <= children)
                        return true;
                usleep(10'000);
        }
        return false;
}

std::string visible(const std::string &path) {
        const std::string root = SOURCE_ROOT "/";

        return booted() && path.find(root) == 0 ? "/opt/plugind-test/source/" + path.substr(root.size()) : path;
}

std::string bad_plugin_program() {
        return visible(BAD_PLUGIN);
}

std::string echo_python_program() {
        return visible(ECHO_PYTHON);
}

std::string plugind_program() {
        return booted() ? PLUGIND_INSTALLED : PLUGIND_BINARY;
}

std::string pluginctl_program() {
        return booted() ? PLUGINCTL_INSTALLED : PLUGINCTL_BINARY;
}

std::string bus_option() {
        return booted() ? "--system" : "--user";
}

std::string bus_words() {
        return booted() ? "system bus" : "session bus";
}

std::string bus_advice() {
        return booted() ? "" : " --user";
}

std::string runtime_name() {
        return booted() ? "systemd" : "local";
}

std::vector<BusKind> bus_kinds() {
        if (!booted())
                return { BUS_DBUS_DAEMON, BUS_DBUS_BROKER };
        return { booted_broker() == "dbus-daemon" ? BUS_DBUS_DAEMON : BUS_DBUS_BROKER };
}
