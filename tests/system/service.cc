/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service.h"

#include "integration/command.h"

#include <algorithm>
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

std::vector<pid_t> processes_of(const std::string &unit) {
        std::vector<pid_t> pids;

        for (const std::string &folder : cgroups_of(unit)) {
                std::ifstream file(folder + "/cgroup.procs");
                for (pid_t pid; file >> pid;)
                        pids.push_back(pid);
        }
        return pids;
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

Service::~Service() {
        unconfigure();
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
        fs::create_directories(fs::path(drop_in()).parent_path());
        std::ofstream file(drop_in());

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
        file.close();
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

bool Service::start() {
        return systemctl("start", unit_);
}

bool Service::stop() {
        return systemctl("stop", unit_);
}

bool Service::restart() {
        return systemctl("restart", unit_);
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
        for (uint64_t waited = 0; waited < patience_usec; waited += 20'000) {
                if (get(property) == value)
                        return true;
                usleep(20'000);
        }
        return false;
}
