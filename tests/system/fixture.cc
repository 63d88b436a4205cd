/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <filesystem>
#include <grp.h>
#include <sys/wait.h>
#include <unistd.h>

namespace fs = std::filesystem;

static const char manifest_folder[] = "/etc/plugind/plugins.d";

Outcome run_as_user(const std::vector<std::string> &line, const std::map<std::string, std::string> &environment, const std::string &input) {
        std::vector<std::string> whole = { "runuser", "-u", ordinary_user, "--" };
        std::map<std::string, std::string> all = environment;
        std::string runtime = "/run/user/" + std::to_string(ordinary_uid);

        whole.insert(whole.end(), line.begin(), line.end());
        if (fs::exists(runtime + "/bus")) {
                all.emplace("XDG_RUNTIME_DIR", runtime);
                all.emplace("DBUS_SESSION_BUS_ADDRESS", user_bus_address);
        }
        return run(whole, all, input);
}

std::string as_user(const std::function<std::string()> &code) {
        int ends[2];
        std::string text;
        char buffer[4096];
        ssize_t n;

        if (pipe(ends) < 0)
                return "no pipe";
        pid_t pid = fork();
        if (pid == 0) {
                std::string said = "cannot become the ordinary user";

                close(ends[0]);
                if (setgroups(0, nullptr) == 0 && setresgid(ordinary_uid, ordinary_uid, ordinary_uid) == 0 &&
                    setresuid(ordinary_uid, ordinary_uid, ordinary_uid) == 0) {
                        try {
                                said = code();
                        } catch (const std::exception &e) {
                                said = e.what();
                        }
                }
                _exit(write(ends[1], said.data(), said.size()) == (ssize_t) said.size() ? 0 : 1);
        }
        close(ends[1]);
        while ((n = read(ends[0], buffer, sizeof(buffer))) > 0)
                text.append(buffer, n);
        close(ends[0]);
        waitpid(pid, nullptr, 0);
        return text;
}

bool start_user_manager() {
        std::string uid = std::to_string(ordinary_uid);

        return run({ "loginctl", "enable-linger", ordinary_user }).status == 0 &&
               run({ "systemctl", "start", "user@" + uid + ".service" }).status == 0 &&
               Service("user@" + uid + ".service").wait("ActiveState", "active");
}

std::string source_path(const std::string &below) {
        return "/opt/plugind-test/source/" + below;
}

std::string build_path(const std::string &below) {
        return "/opt/plugind-test/build/" + below;
}

void SystemTest::SetUp() {
        if (!booted())
                GTEST_SKIP() << "runs in a container of tests/system/run only, since it changes the system";
        began_ = journal_now();
        fs::create_directories(manifest_folder);
        ASSERT_EQ(leftovers(), "") << "before the case";
}

void ServiceTest::SetUp() {
        SystemTest::SetUp();
        if (IsSkipped() || HasFatalFailure())
                return;
        ASSERT_TRUE(service.start());
        client = std::make_unique<Client>(system_bus_address);
}

void SystemTest::TearDown() {
        if (!booted())
                return;
        EXPECT_TRUE(service.stop());
        EXPECT_EQ(left_in_time(), "");
        run({ "systemctl", "kill", "--signal=KILL", "plugind-*-*.service" }); /* the next case is not to blame */
        run({ "systemctl", "stop", "plugind-*-*.service" });
        run({ "systemctl", "reset-failed", "plugind-*-*.service" });
        for (const char *folder : { "/var/lib/plugind", "/var/lib/plugind-data", "/var/lib/private/plugind-data" })
                fs::remove_all(folder);
        for (const std::string &path : manifests_)
                fs::remove(path);
        service.unconfigure();
        service.reset_failed();
        if (HasFailure())
                fprintf(stderr, "--- the journal meanwhile:\n%s---\n", journal_since({ "-o", "short-precise" }).c_str());
}

void SystemTest::manifest(const std::string &id, const std::string &json) {
        std::string path = std::string(manifest_folder) + "/" + id + ".json";
        FILE *file = fopen(path.c_str(), "we");

        ASSERT_NE(file, nullptr) << path;
        fputs(json.c_str(), file);
        fclose(file);
        manifests_.push_back(path);
}

void SystemTest::bad_plugin(const std::string &id, const std::string &dialect, const std::string &mode, const std::string &more) {
        manifest(id, "{\"manifestVersion\": 1, \"command\": \"" + source_path("tests/plugins/bad.py") + "\", \"args\": [\"" + mode +
                             "\"], \"dialect\": \"" + dialect + "\"" + (more.empty() ? "" : ", " + more) + "}");
}

std::string SystemTest::journal_since(std::vector<std::string> matches) {
        matches.insert(matches.begin(), began_);
        return journal(matches);
}
