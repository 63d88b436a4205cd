/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The Debian packages of `./dev deb`, as a machine lives with them: installed, upgraded, removed, purged, and a plugin that comes as a package. */
#include "fixture.h"
#include "load.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <glob.h>
#include <set>
#include <sstream>
#include <thread>
#include <unistd.h>

namespace fs = std::filesystem;

namespace {

using Lines = std::set<std::string>;

Lines lines_of(const std::string &text) {
        std::istringstream stream(text);
        Lines lines;

        for (std::string line; std::getline(stream, line);)
                lines.insert(line);
        return lines;
}

/* What is in AFTER only, one a line. */
std::string more(const Lines &before, const Lines &after) {
        std::string text;

        for (const std::string &line : after)
                if (!before.count(line))
                        text += line + "\n";
        return text;
}

Outcome shell(const std::string &command) {
        return run({ "sh", "-c", command });
}

/* What a package may leave traces in. The journal, caches and dpkg's own lists of what happened are there to change. */
struct Snapshot {
        Lines files, units, user_units, users, processes;

        static Snapshot take();
};

Snapshot Snapshot::take() {
        Snapshot now;

        now.files = lines_of(shell("find /boot /etc /home /srv /usr /var -xdev "
                                   "\\( -path /var/log -o -path /var/cache -o -path /srv/plugind-test -o -path '/var/lib/dpkg/*-old' "
                                   "-o -path /var/lib/dpkg/triggers -o -path /var/lib/systemd/linger \\) -prune -o -print;"
                                   "find /run /tmp /var/tmp /dev/shm -xdev -name '*plugind*' -not -path '*plugind-test*'")
                                     .out);
        now.units = lines_of(shell("systemctl list-units --all --plain --no-legend 'plugind*' | awk '$2 != \"not-found\" {print $1}';"
                                   "systemctl list-unit-files --no-legend 'plugind*'")
                                     .out);
        now.user_units = lines_of(run_as_user({ "systemctl", "--user", "list-units", "--all", "--plain", "--no-legend", "plugind*" }).out);
        now.users = lines_of(shell("getent passwd; getent group").out);
        now.processes = lines_of(shell("ps -eo args= | grep '[p]lugind' | grep -v '[p]lugind-test'").out);
        return now;
}

/* Of what was built the only one that matches. */
std::string built(const std::string &pattern) {
        std::string path;
        glob_t found = {};

        if (glob(source_path("build/deb/" + pattern).c_str(), 0, nullptr, &found) == 0 && found.gl_pathc == 1)
                path = found.gl_pathv[0];
        globfree(&found);
        return path;
}

void write_file(const fs::path &path, const std::string &text) {
        fs::create_directories(path.parent_path());
        std::ofstream(path) << text;
}

class Package : public testing::Test {
      protected:
        void SetUp() override {
                if (!booted())
                        GTEST_SKIP() << "runs in a container of tests/system/run only, since it changes the system";
                if (built("plugind_*.deb").empty()) {
                        if (!getenv("CI"))
                                GTEST_SKIP() << "no package in build/deb: ./dev deb makes it";
                        FAIL() << "no package in build/deb";
                }
                /* That of container images forbids packages to start anything; the index of manual pages takes seconds. */
                fs::remove("/usr/sbin/policy-rc.d");
                fs::remove("/var/lib/man-db/auto-update");
                ASSERT_TRUE(start_user_manager());
                began = journal_now();
                if (before.files.empty())
                        before = Snapshot::take();
                ASSERT_TRUE(before.units.empty()) << more({}, before.units);
        }

        void TearDown() override {
                if (!booted() || IsSkipped())
                        return;
                shell("dpkg --purge plugind-test-weather plugind libplugind-dev libplugind-plugin0");
                fs::remove_all("/home/plugind-tester/.local"); /* what is in a home is not the package's to remove */
                EXPECT_EQ(left_since(before), "");
                if (HasFailure())
                        fprintf(stderr, "--- the journal:\n%s---\n", journal({ began, "-o", "short-precise", "-n", "300" }).c_str());
        }

        static std::string left_since(const Snapshot &before) {
                Snapshot now = Snapshot::take();

                return leftovers() + more(before.files, now.files) + more(before.units, now.units) +
                       more(before.user_units, now.user_units) + more(before.users, now.users) + more(before.processes, now.processes);
        }

        static void install(const std::string &deb) {
                Outcome outcome = run({ "dpkg", "--install", deb });

                ASSERT_EQ(outcome.status, 0) << outcome.out << outcome.err;
        }
        static void install() {
                install(built("plugind_*.deb"));
        }
        /* The same package, called VERSION. */
        static std::string repacked(const std::string &version) {
                std::string script = "set -e; cd \"$TMPDIR\"; rm -rf repacked; dpkg-deb -R '" + built("plugind_*.deb") +
                                     "' repacked; sed -i 's/^Version: .*/Version: " + version +
                                     "/' repacked/DEBIAN/control; dpkg-deb -Znone --build --root-owner-group repacked plugind-" + version +
                                     ".deb";
                Outcome outcome = shell(script);

                EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
                return std::string(getenv("TMPDIR")) + "/plugind-" + version + ".deb";
        }
        /* A plugin's package as it is meant to be: a manifest and code, no script. */
        static std::string weather(const std::string &version, const std::string &more_keys = "") {
                fs::path root = fs::path(getenv("TMPDIR")) / "weather";
                std::string deb = root.string() + "-" + version + ".deb";

                fs::remove_all(root);
                write_file(root / "DEBIAN/control", "Package: plugind-test-weather\nVersion: " + version +
                                                            "\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\n"
                                                            "Depends: plugind\nDescription: a plugin\n");
                fs::create_directories(root / "usr/lib/weather");
                fs::copy_file(source_path("tests/plugins/bad.py"), root / "usr/lib/weather/weather.py");
                write_file(root / "usr/lib/plugind/plugins.d/weather.json",
                           "{\"manifestVersion\": 1, \"command\": \"/usr/lib/weather/weather.py\", \"args\": [\"good\"], "
                           "\"dialect\": \"jsonrpc\", \"description\": \"" +
                                   version + "\"" + more_keys + "}");
                Outcome outcome = run({ "dpkg-deb", "-Znone", "--build", "--root-owner-group", root, deb });
                EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
                return deb;
        }
        static bool loaded(Client &client, const std::string &id) {
                return client.host("GetSession", "s", id.c_str()).ok();
        }

        static Snapshot before; /* any of this was installed */
        std::string began;
        Service service, socket{ "plugind.socket" };
};

Snapshot Package::before;

TEST_F(Package, InstalledItWaitsAndIsStartedByACall) {
        install();
        install(repacked("99")); /* which starts nothing that did not run */
        EXPECT_EQ(socket.get("ActiveState"), "active");
        EXPECT_EQ(socket.get("UnitFileState"), "enabled");
        EXPECT_EQ(service.get("ActiveState"), "inactive");

        EXPECT_EQ(run({ "pluginctl", "load", "echo" }).status, 0);
        Outcome sent = run({ "pluginctl", "send", "echo", "echo", "[1]" });
        EXPECT_EQ(sent.out, "[1]\n") << sent.err;
        EXPECT_EQ(service.get("ActiveState"), "active");
        EXPECT_EQ(as_user([] { return Client(system_bus_address).get_host("Version"); }), PROJECT_VERSION);
        EXPECT_EQ(as_user([] { return Client(system_bus_address).host("Load", "sa{sv}", "echo", 0).error; }),
                  "org.freedesktop.DBus.Error.AccessDenied");

        sent = run_as_user({ "sh", "-c", "pluginctl --user load echo && pluginctl --user send echo echo '[2]'" });
        EXPECT_EQ(sent.out, "echo\n[2]\n") << sent.err;

        Outcome verified = run({ "dpkg", "--verify", "plugind" });
        EXPECT_EQ(verified.out + verified.err, "");
        EXPECT_EQ(run({ "systemd-analyze", "verify", "plugind.service", "plugind.socket", "plugind.slice" }).err.find("plugind"),
                  std::string::npos);
}

TEST_F(Package, AnUpgradeKeepsWhatIsLoadedAndFailsNobody) {
        install();
        Client client(system_bus_address);
        ASSERT_EQ(client.host("Load", "sa{sv}", "echo", 0).outcome(), "ok");
        ASSERT_EQ(client.send("echo", "echo", "[1]"), "[1]");
        std::string plugin = client.get("echo", "MainPID");
        pid_t pid = service.pid();
        std::string listening = socket.get("InvocationID");

        std::string deb = repacked("99"), failed;
        std::atomic<bool> done = false;
        unsigned calls = 0;
        std::thread caller([&] {
                Client other(system_bus_address);

                for (; !done && failed.empty(); calls++) {
                        Reply reply = other.host("GetSession", "s", "echo");
                        if (!reply.ok())
                                failed = reply.outcome();
                }
        });
        install(deb);
        done = true;
        caller.join();

        EXPECT_EQ(failed, "") << "after " << calls << " calls";
        EXPECT_GT(calls, 0u);
        EXPECT_EQ(run({ "dpkg-query", "-W", "-f${Version}", "plugind" }).out, "99");
        EXPECT_EQ(service.get("ActiveState"), "active");
        EXPECT_NE(service.pid(), pid); /* it is the new one that runs */
        EXPECT_EQ(socket.get("InvocationID"), listening);
        EXPECT_EQ(client.get("echo", "MainPID"), plugin);
        EXPECT_EQ(client.send("echo", "echo", "[2]"), "[2]");
}

/* Upgraded, and installed once more. */
TEST_F(Package, AnUpgradeUnderLoadKeepsEveryPluginAndLosesNothing) {
        LoadPlan plan;
        plan.c = 6, plan.headers = plan.python = 1, plan.everything = plan.clangd = 0, plan.small = 3, plan.large = 2;
        Load load(plan, [](const std::string &id, const std::string &json) { write_file("/etc/plugind/plugins.d/" + id + ".json", json); });

        install();
        std::string deb = repacked("99");
        ASSERT_EQ(load.start(), "");
        for (const char *hand_overs : { "1", "2" }) {
                pid_t pid = service.pid();
                install(deb);
                EXPECT_NE(service.pid(), pid);
                EXPECT_EQ(load.differences(), "");
                EXPECT_EQ(Client(system_bus_address).get_host("HandOvers"), hand_overs);
        }
        LoadFigures figures = load.finish();
        fprintf(stderr, "two upgrades: %s\n", figures.text().c_str());
        EXPECT_EQ(figures.failed + figures.excused, 0u) << figures.wrong;
        EXPECT_EQ(figures.lost + figures.doubles + figures.torn + figures.states, 0u) << figures.wrong;
        EXPECT_EQ(figures.wrong, "");
        EXPECT_GE(figures.calls, 100ul);
        EXPECT_GE(figures.ticks, 100ul);
        fs::remove_all("/etc/plugind");
}

TEST_F(Package, RemovedWhilePluginsRunItStopsThemAll) {
        install();
        write_file("/etc/plugind/plugins.d/stubborn.json", "{\"manifestVersion\": 1, \"command\": \"" +
                                                                   source_path("tests/plugins/bad.py") +
                                                                   "\", \"args\": [\"stubborn\"], \"dialect\": \"plugind\", "
                                                                   "\"timeouts\": {\"stop\": 1}}");
        EXPECT_EQ(run({ "pluginctl", "load", "echo", "echo-python", "stubborn" }).status, 0);
        EXPECT_EQ(run({ "pluginctl", "start", "echo", "echo-python", "stubborn" }).status, 0);
        EXPECT_EQ(run_as_user({ "sh", "-c", "pluginctl --user load echo && pluginctl --user start echo" }).status, 0);
        EXPECT_NE(run({ "pgrep", "-f", "plugind-echo" }).out, "");
        fs::remove_all("/etc/plugind");

        Outcome removed = run({ "dpkg", "--remove", "plugind" });
        EXPECT_EQ(removed.status, 0) << removed.out << removed.err;
        EXPECT_EQ(leftovers(), "");
        Snapshot now = Snapshot::take();
        EXPECT_EQ(more(before.processes, now.processes), "");
        EXPECT_EQ(more(before.units, now.units), "");
        EXPECT_EQ(more(before.user_units, now.user_units), "");
        EXPECT_TRUE(fs::exists("/var/lib/plugind")) << "that is for purge to remove";
        EXPECT_FALSE(fs::exists("/run/plugind"));

        /* What was loaded is still known when it comes back, and answers. */
        install();
        EXPECT_EQ(run({ "pluginctl", "send", "echo", "echo", "[3]" }).out, "[3]\n");
}

TEST_F(Package, PurgedItCanBeInstalledAgain) {
        install();
        EXPECT_EQ(run({ "pluginctl", "load", "echo" }).status, 0);
        EXPECT_EQ(run({ "pluginctl", "start", "echo" }).status, 0);
        EXPECT_TRUE(fs::exists("/var/lib/private/plugind-data/echo"));
        EXPECT_EQ(run({ "dpkg", "--purge", "plugind" }).status, 0);
        EXPECT_EQ(left_since(before), "");
        install();
        EXPECT_EQ(socket.get("UnitFileState"), "enabled");
        EXPECT_EQ(run({ "pluginctl", "list", "--no-legend" }).out, "");
        EXPECT_EQ(run({ "pluginctl", "load", "echo" }).status, 0);
        EXPECT_EQ(run({ "pluginctl", "send", "echo", "echo", "[4]" }).out, "[4]\n");
}

TEST_F(Package, APluginsPackageIsKnownWhenItComesAndEndsWhenItGoes) {
        install();
        Client client(system_bus_address);
        ASSERT_EQ(client.host("Load", "sa{sv}", "echo", 0).outcome(), "ok");
        ASSERT_EQ(client.send("echo", "echo", "[1]"), "[1]");
        std::string echo = client.get("echo", "MainPID");

        install(weather("1", ", \"activation\": \"boot\""));
        EXPECT_TRUE(client.wait_property("weather", "ReportedState", "active")); /* dpkg's trigger: plugind was told */
        EXPECT_EQ(client.send("weather", "echo", "[2]"), "[2]");
        std::string pid = client.get("weather", "MainPID");

        install(weather("2", ", \"activation\": \"boot\""));
        EXPECT_TRUE(client.wait_property("weather", "Description", "2"));
        EXPECT_EQ(client.get("weather", "MainPID"), pid); /* what runs keeps running, with its old code */
        EXPECT_EQ(client.session("weather", "Restart", "a{sv}", 1, "wait", "b", 1).outcome(), "ok");

        Outcome user = run_as_user({ "sh", "-c", "pluginctl --user load weather && pluginctl --user start weather" });
        EXPECT_EQ(user.out, "weather\n") << user.err;

        client.match("member='SessionRemoved'");
        EXPECT_EQ(run({ "dpkg", "--remove", "plugind-test-weather" }).status, 0);
        std::optional<Signal> removed = client.take("SessionRemoved");
        ASSERT_TRUE(removed);
        EXPECT_EQ(removed->text, "weather, " + session_path("weather") + ", removed");
        EXPECT_FALSE(loaded(client, "weather"));
        EXPECT_EQ(units_like("plugind-*weather*"), std::vector<std::string>());
        EXPECT_TRUE(client.poll([] { return run({ "pgrep", "-f", "weather.py" }).out.empty(); })) << "the user's";
        EXPECT_EQ(client.get("echo", "MainPID"), echo);
}

TEST_F(Package, ThePackageOfTheLibraryCompilesAPlugin) {
        Outcome outcome = run({ "dpkg", "--install", built("libplugind-plugin0_*.deb"), built("libplugind-dev_*.deb") });
        ASSERT_EQ(outcome.status, 0) << outcome.out << outcome.err;
        outcome = shell(
                "cd \"$TMPDIR\" && cc -o hello /usr/share/doc/libplugind-dev/examples/hello.c $(pkg-config --cflags --libs plugind-plugin)");
        ASSERT_EQ(outcome.status, 0) << outcome.out << outcome.err;
        install();
        std::string hello = std::string(getenv("TMPDIR")) + "/hello";
        outcome = run({ "pluginctl", "load", "hello",
                        "--manifest={\"manifestVersion\": 1, \"dialect\": \"plugind\", \"command\": \"" + hello + "\"}" });
        EXPECT_EQ(outcome.status, 0) << outcome.err;
        EXPECT_EQ(run({ "pluginctl", "send", "hello", "hello", "{\"name\": \"Ada\"}" }).out, "{\"hello\":\"Ada\"}\n");
}

} // namespace
