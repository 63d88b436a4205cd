/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service.h"

#include "integration/command.h"

extern "C" {
#include "support/process.h"
}

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <glib.h>
#include <sstream>
#include <unistd.h>

namespace fs = std::filesystem;

bool booted() {
        return getenv("PLUGIND_TEST_BROKER") && access("/opt/plugind-test/results", F_OK) == 0;
}

std::string booted_broker() {
        const char *broker = getenv("PLUGIND_TEST_BROKER");

        return broker ? broker : "";
}

/* dbus-broker is a child of its launcher. */
pid_t booted_bus_pid() {
        pid_t main_pid = (pid_t) atoi(unit_property("dbus.service", "MainPID").c_str());
        pid_t *children = process_children(main_pid);
        pid_t pid = booted_broker() == "dbus-broker" ? children[0] : main_pid;

        g_free(children);
        return pid;
}

Outcome run(const std::vector<std::string> &line, const std::map<std::string, std::string> &environment, const std::string &input) {
        std::vector<std::string> found = line;
        char *path = g_find_program_in_path(line[0].c_str());

        if (path)
                found[0] = path;
        g_free(path);
        Command command(found, environment, input);
        int status = command.wait();
        return { status, command.out, command.err };
}

static std::string without_newline(std::string text) {
        while (!text.empty() && text.back() == '\n')
                text.pop_back();
        return text;
}

std::string unit_property(const std::string &unit, const std::string &property) {
        return without_newline(run({ "systemctl", "show", "--value", "-p", property, "--", unit }).out);
}

std::vector<std::string> units_like(const std::string &pattern) {
        std::istringstream lines(run({ "systemctl", "list-units", "--all", "--plain", "--no-legend", "--", pattern }).out);
        std::vector<std::string> names;

        for (std::string line; std::getline(lines, line);) {
                std::string name = line.substr(0, line.find(' '));
                if (!name.empty() && name != "plugind.slice")
                        names.push_back(name);
        }
        return names;
}

/* Where systemd counts processes: in the second version of control groups, wherever that is mounted, else in its own tree. */
static fs::path cgroup_root() {
        for (const char *root : { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" })
                if (fs::exists(fs::path(root) / "cgroup.procs"))
                        return root;
        return "/sys/fs/cgroup/systemd";
}

std::vector<std::string> cgroups_of(const std::string &unit) {
        std::string group = unit_property(unit, "ControlGroup");
        std::vector<std::string> folders;
        std::error_code error;

        if (group.empty())
                return folders;
        fs::path top = cgroup_root() / group.substr(1);
        if (fs::is_directory(top, error))
                folders.push_back(top);
        for (auto i = fs::recursive_directory_iterator(top, error); i != fs::recursive_directory_iterator(); i.increment(error))
                if (!error && i->is_directory(error))
                        folders.push_back(i->path());
        std::sort(folders.begin(), folders.end());
        return folders;
}

static std::vector<pid_t> processes_in(const std::string &folder) {
        std::ifstream file(folder + "/cgroup.procs");
        std::vector<pid_t> pids;

        for (pid_t pid; file >> pid;)
                pids.push_back(pid);
        return pids;
}

std::vector<pid_t> processes_of(const std::string &unit) {
        std::vector<pid_t> pids;

        for (const std::string &folder : cgroups_of(unit))
                for (pid_t pid : processes_in(folder))
                        pids.push_back(pid);
        return pids;
}

/* Not by systemctl: this is asked often. */
static std::vector<std::string> plugin_cgroups() {
        std::vector<std::string> folders;
        std::error_code error;

        for (auto i = fs::recursive_directory_iterator(cgroup_root() / "plugind.slice", error); i != fs::recursive_directory_iterator();
             i.increment(error))
                if (!error && i->path().extension() == ".service" && i->is_directory(error))
                        folders.push_back(i->path());
        return folders;
}

int populated_plugin_units() {
        int n = 0;

        for (const std::string &folder : plugin_cgroups())
                n += !processes_in(folder).empty();
        return n;
}

std::string leftovers() {
        std::string text;

        for (const std::string &unit : units_like("plugind-*-*.service"))
                text += "unit " + unit + " (" + unit_property(unit, "ActiveState") + ")\n";
        for (const std::string &folder : plugin_cgroups()) {
                text += "control group " + folder + "\n";
                for (pid_t pid : processes_in(folder))
                        text += "process " + std::to_string(pid) + "\n";
        }
        return text;
}

std::string left_in_time() {
        const int64_t end = g_get_monotonic_time() + 5'000'000;
        std::string left;

        while (!(left = leftovers()).empty() && g_get_monotonic_time() < end)
                usleep(20'000);
        return left;
}

bool controller_works(const std::string &controller) {
        std::ifstream second(cgroup_root() / "cgroup.controllers");

        for (std::string name; second >> name;)
                if (name == controller)
                        return true;
        return access(("/sys/fs/cgroup/" + controller).c_str(), W_OK) == 0;
}

std::string journal(const std::vector<std::string> &matches) {
        std::vector<std::string> line = { "journalctl", "--quiet", "--no-pager", "-o", "cat" };

        run({ "journalctl", "--sync" });
        line.insert(line.end(), matches.begin(), matches.end());
        return run(line).out;
}

/* Not a cursor: journalctl takes the first match after one for the cursor's own entry, and leaves it out. */
std::string journal_now() {
        run({ "journalctl", "--sync" });
        int64_t now = g_get_real_time();
        return "--since=@" + std::to_string(now / 1'000'000) + "." + std::to_string(1'000'000 + now % 1'000'000).substr(1);
}

std::string Service::drop_in() const {
        return "/run/systemd/system/" + unit_ + ".d/99-test.conf";
}

/* One word of a command line or of Environment=. */
static std::string quoted(const std::string &text) {
        std::string word = "\"";

        for (char c : text)
                word += c == '"' || c == '\\' ? std::string("\\") + c : c == '%' || c == '$' ? std::string(2, c) : std::string(1, c);
        return word + "\"";
}

void Service::configure(const std::vector<std::string> &arguments, const std::map<std::string, std::string> &environment,
                        const std::vector<std::string> &lines) {
        std::ostringstream file;

        file << "[Service]\n";
        if (!arguments.empty()) {
                file << "ExecStart=\nExecStart=" << PLUGIND_INSTALLED;
                for (const std::string &argument : arguments)
                        file << " " << quoted(argument);
                file << "\n";
        }
        for (const auto &[name, value] : environment)
                file << "Environment=" << quoted(name + "=" + value) << "\n";
        for (const std::string &line : lines)
                file << line << "\n";
        std::stringstream before;
        before << std::ifstream(drop_in()).rdbuf();
        if (before.str() == file.str())
                return;
        fs::create_directories(fs::path(drop_in()).parent_path());
        std::ofstream(drop_in()) << file.str();
        run({ "systemctl", "daemon-reload" });
}

void Service::unconfigure() {
        std::error_code error;

        if (fs::remove(drop_in(), error))
                run({ "systemctl", "daemon-reload" });
}

static bool systemctl(const std::string &verb, const std::string &unit) {
        Outcome outcome = run({ "systemctl", verb, unit });

        if (outcome.status != 0)
                fprintf(stderr, "systemctl %s %s: %s", verb.c_str(), unit.c_str(), outcome.err.c_str());
        return outcome.status == 0;
}

/* A unit that nobody refers to is forgotten when it is inactive. */
void Service::hold() {
        char *path = nullptr;

        if (holder_)
                return;
        holder_ = std::make_unique<Client>(system_bus_address);
        sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit_.c_str(), &path);
        holder_->call("org.freedesktop.systemd1", path, "org.freedesktop.systemd1.Unit", "Ref", "");
        free(path);
}

bool Service::start() {
        hold();
        return systemctl("start", unit_);
}

bool Service::stop() {
        return systemctl("stop", unit_);
}

bool Service::restart() {
        return systemctl("restart", unit_);
}

void Service::reset_failed() {
        run({ "systemctl", "reset-failed", unit_ });
}

int Service::wait_status() {
        for (int64_t end = g_get_monotonic_time() + (int64_t) patience_usec; g_get_monotonic_time() < end;) {
                std::string state = get("ActiveState");

                if (state == "inactive" || state == "failed") {
                        int status = atoi(get("ExecMainStatus").c_str());
                        return get("ExecMainCode") == std::to_string(CLD_EXITED) ? status << 8 : status;
                }
                usleep(5'000);
        }
        return -ETIME;
}

void Service::kill(int signal) const {
        pid_t main_pid = pid();

        if (main_pid > 0)
                ::kill(main_pid, signal);
}

pid_t Service::pid() const {
        return (pid_t) atoi(get("MainPID").c_str());
}

bool Service::wait(const std::string &property, const std::string &value) const {
        for (int64_t end = g_get_monotonic_time() + (int64_t) patience_usec; g_get_monotonic_time() < end;) {
                if (get(property) == value)
                        return true;
                usleep(20'000);
        }
        return false;
}
