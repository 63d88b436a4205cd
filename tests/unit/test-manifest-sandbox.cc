/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The manifest's `sandbox`: what it may say, and who may say it. */
#include <gtest/gtest.h>

#include "manifest-support.h"

#include <sys/stat.h>
#include <unistd.h>

namespace {

const uid_t nobody = 65534;

std::string with(const std::string &members) {
        return R"({"manifestVersion": 1, "dialect": "mcp", "command": "tool", "sandbox": {)" + members + "}}";
}

class ManifestSandbox : public testing::Test {
      protected:
        Commands commands;

        void expect_error(const std::string &members, const std::string &message, uid_t giver = 0) {
                Parsed parsed = parse(with(members), "x", giver);

                EXPECT_EQ(parsed.result, -EBADMSG) << members;
                EXPECT_EQ(parsed.code, PLUGIND_ERROR_INVALID_MANIFEST);
                EXPECT_EQ(parsed.message, "FILE: sandbox." + message) << members;
        }
        /* What is told to those who may not loosen it. */
        static std::string refusal(const std::string &whose) {
                const std::string owners = geteuid() == 0 ? "root's own manifests"
                                                          : "manifests of root or user " + std::to_string(geteuid());

                return "only " + owners + " may loosen the sandbox, and " + whose;
        }
        static std::vector<std::string> strings(char **list) {
                std::vector<std::string> all;

                for (; list && *list; list++)
                        all.push_back(*list);
                return all;
        }
};

} // namespace

TEST_F(ManifestSandbox, IsStrictAndNotDemandedUnlessItIsGiven) {
        Parsed none = parse(R"({"manifestVersion": 1, "dialect": "mcp", "command": "tool"})"), given = parse(with(""));

        ASSERT_NE(none.manifest, nullptr) << none.message;
        EXPECT_FALSE(none.manifest->sandbox.demanded);
        EXPECT_TRUE(sandbox_is_none(&none.manifest->sandbox));
        EXPECT_EQ(none.manifest->sandbox.profile, SANDBOX_STRICT);
        EXPECT_EQ(none.manifest->sandbox.memory_max, SANDBOX_UNSET);
        EXPECT_EQ(none.manifest->sandbox.tasks_max, SANDBOX_UNSET);
        EXPECT_EQ(none.manifest->sandbox.cpu_quota_usec, SANDBOX_UNSET);
        EXPECT_EQ(none.manifest->sandbox.user, nullptr);
        ASSERT_NE(given.manifest, nullptr) << given.message;
        EXPECT_TRUE(given.manifest->sandbox.demanded);
        EXPECT_FALSE(sandbox_is_none(&given.manifest->sandbox));
}

TEST_F(ManifestSandbox, TakesEveryKey) {
        Parsed parsed = parse(with(R"("profile": "network", "readWritePaths": ["/srv/%i", "/a b"], "readOnlyPaths": ["/home/x"],
                "devices": ["/dev/dri/renderD128"], "syscalls": ["ptrace", "@debug"], "memoryMax": "512M", "tasksMax": 20,
                "cpuQuota": "150%", "user": "www-data")"),
                              "x@work");

        ASSERT_NE(parsed.manifest, nullptr) << parsed.message;
        const Sandbox &sandbox = parsed.manifest->sandbox;
        EXPECT_EQ(sandbox.profile, SANDBOX_NETWORK);
        EXPECT_EQ(strings(sandbox.read_write_paths), (std::vector<std::string>{ "/srv/work", "/a b" }));
        EXPECT_EQ(strings(sandbox.read_only_paths), (std::vector<std::string>{ "/home/x" }));
        EXPECT_EQ(strings(sandbox.devices), (std::vector<std::string>{ "/dev/dri/renderD128" }));
        EXPECT_EQ(strings(sandbox.syscalls), (std::vector<std::string>{ "ptrace", "@debug" }));
        EXPECT_EQ(sandbox.memory_max, UINT64_C(512) * 1024 * 1024);
        EXPECT_EQ(sandbox.tasks_max, 20U);
        EXPECT_EQ(sandbox.cpu_quota_usec, 1500000U);
        EXPECT_STREQ(sandbox.user, "www-data");
}

TEST_F(ManifestSandbox, TrustedAloneIsNone) {
        EXPECT_TRUE(sandbox_is_none(&parse(with(R"("profile": "trusted")")).manifest->sandbox));
        for (const char *more :
             { R"("readWritePaths": ["/x"])", R"("readOnlyPaths": ["/x"])", R"("devices": ["/dev/x"])", R"("syscalls": ["x"])",
               R"("memoryMax": "1G")", R"("tasksMax": 1)", R"("cpuQuota": "1%")", R"("user": "x")" })
                EXPECT_FALSE(sandbox_is_none(&parse(with(std::string(R"("profile": "trusted", )") + more)).manifest->sandbox)) << more;
}

TEST_F(ManifestSandbox, ReadsUnitsOfMemory) {
        const std::pair<const char *, uint64_t> cases[] = {
                { "1048576", 1048576 },
                { R"("1024K")", 1048576 },
                { R"("3M")", 3145728 },
                { R"("2G")", UINT64_C(2147483648) },
                { R"("1024T")", UINT64_C(1125899906842624) },
        };
        for (auto [text, bytes] : cases)
                EXPECT_EQ(parse(with(std::string(R"("memoryMax": )") + text)).manifest->sandbox.memory_max, bytes) << text;
}

TEST_F(ManifestSandbox, ErrorsNameTheKeyTheFoundAndTheExpected) {
        const std::string path = R"(an absolute path below "/", without ".", "..", "//" and "/" at its end)",
                          device = R"(a path below "/dev", without ".", "..", "//" and "/" at its end)",
                          bytes = R"(a number of bytes, or a text such as "512M" (K, M, G, T), of 1M to 1024T)",
                          quota = R"(percent of one processor, such as "150%", from "1%" to "100000%")";

        expect_error(R"("profile": "none")", R"(profile: found "none", expected "strict", "network" or "trusted")");
        expect_error(R"("readWritePaths": "/x")", R"(readWritePaths: found "/x", expected a list of strings)");
        expect_error(R"("readWritePaths": ["/x", "y"])", R"(readWritePaths[1]: found "y", expected )" + path);
        expect_error(R"("readOnlyPaths": ["/x/../y"])", R"(readOnlyPaths[0]: found "/x/../y", expected )" + path);
        expect_error(R"("readOnlyPaths": ["/"])", R"(readOnlyPaths[0]: found "/", expected )" + path);
        expect_error(R"("devices": ["/deva"])", R"(devices[0]: found "/deva", expected )" + device);
        expect_error(
                R"("syscalls": ["~ptrace"])",
                R"(syscalls[0]: found "~ptrace", expected the name of a system call ("ptrace") or of a group of systemd's ("@debug"))");
        expect_error(R"("memoryMax": "512")", R"(memoryMax: found "512", expected )" + bytes);
        expect_error(R"("memoryMax": 1)", "memoryMax: found 1, expected " + bytes);
        expect_error(R"("memoryMax": "99999999999999T")", R"(memoryMax: found "99999999999999T", expected )" + bytes);
        expect_error(R"("tasksMax": 0)", "tasksMax: found 0, expected a whole number, 1 to 4194304");
        expect_error(R"("cpuQuota": 150)", "cpuQuota: found 150, expected " + quota);
        expect_error(R"("cpuQuota": "150")", R"(cpuQuota: found "150", expected )" + quota);
        expect_error(R"("user": "root")",
                     "user: found \"root\", expected the name of a user that is not root: letters, digits, \"_\" and \"-\", "
                     "a letter or \"_\" first, at most 31");
        expect_error(R"("memory": 1)", "memory: found an unknown key, expected one of profile, readWritePaths, readOnlyPaths, devices, "
                                       "syscalls, memoryMax, tasksMax, cpuQuota, user");
}

/* Who chooses an instance chooses no path but one below the manifest's. */
TEST_F(ManifestSandbox, AnInstanceDoesNotLeaveTheFolder) {
        EXPECT_EQ(parse(with(R"("readWritePaths": ["/srv/%i"])"), "x@a..b").message, "");
        for (const char *id : { "x@..", "x@.", "x@" })
                EXPECT_EQ(parse(with(R"("readWritePaths": ["/srv/%i"])"), id).code, PLUGIND_ERROR_INVALID_MANIFEST) << id;
}

TEST_F(ManifestSandbox, ExternalPluginsHaveNone) {
        EXPECT_EQ(parse(R"({"manifestVersion": 1, "dialect": "plugind", "type": "external", "sandbox": {}})").message,
                  R"(FILE: sandbox: found an object, expected no such key with type "external", which plugind does not start)");
}

TEST_F(ManifestSandbox, WhoIsNotTrustedMayTightenAndNotLoosen) {
        for (const char *fine : { "", R"("profile": "strict")", R"("memoryMax": "2G")", R"("tasksMax": 512)", R"("cpuQuota": "100000%")",
                                  R"("readWritePaths": [], "readOnlyPaths": [], "devices": [], "syscalls": [])" })
                EXPECT_EQ(parse(with(fine), "x", nobody).message, "") << fine;

        const std::string why = refusal("this one is given by user 65534");
        expect_error(R"("profile": "network")", R"(profile: found "network", expected "strict": )" + why, nobody);
        expect_error(R"("profile": "trusted")", R"(profile: found "trusted", expected "strict": )" + why, nobody);
        expect_error(R"("readWritePaths": ["/x"])", R"(readWritePaths[0]: found "/x", expected none: )" + why, nobody);
        expect_error(R"("readOnlyPaths": ["/x"])", R"(readOnlyPaths[0]: found "/x", expected none: )" + why, nobody);
        expect_error(R"("devices": ["/dev/x"])", R"(devices[0]: found "/dev/x", expected none: )" + why, nobody);
        expect_error(R"("syscalls": ["x"])", R"(syscalls[0]: found "x", expected none: )" + why, nobody);
        expect_error(R"("memoryMax": 2147483649)", "memoryMax: found 2147483649, expected at most 2G: " + why, nobody);
        expect_error(R"("tasksMax": 513)", "tasksMax: found 513, expected at most 512: " + why, nobody);
        expect_error(R"("user": "x")", R"(user: found "x", expected none: )" + why, nobody);
}

/* Whose a file is decides, and who may change it, and who may put another in its place. */
TEST_F(ManifestSandbox, AFileIsTrustedAsItsOwnerAndItsFolderAre) {
        Folder folder;
        const std::string file = folder.write("x.json", with(R"("profile": "trusted")"));
        auto expect = [&](const std::string &message) { EXPECT_EQ(load(file).message, message); };
        const std::string refused = file + R"(: sandbox.profile: found "trusted", expected "strict": )";

        ASSERT_EQ(chmod(folder.path().c_str(), 0755), 0);
        ASSERT_EQ(chmod(file.c_str(), 0644), 0);
        expect("");
        for (mode_t mode : { 0664, 0646 }) {
                ASSERT_EQ(chmod(file.c_str(), mode), 0);
                expect(refused + refusal("others than its owner may write to this file"));
        }
        ASSERT_EQ(chmod(file.c_str(), 0600), 0);
        for (mode_t mode : { 0775, 01777 }) {
                ASSERT_EQ(chmod(folder.path().c_str(), mode), 0);
                expect(refused + refusal("others than its owner may write to its folder"));
        }
        ASSERT_EQ(chmod(folder.path().c_str(), 0755), 0);
        expect("");
        if (geteuid() != 0)
                GTEST_SKIP() << "files of others can only be made by root";
        ASSERT_EQ(chown(file.c_str(), nobody, 0), 0);
        expect(refused + refusal("this file is user 65534's"));
        ASSERT_EQ(chown(file.c_str(), 0, 0), 0);
        ASSERT_EQ(chown(folder.path().c_str(), nobody, 0), 0);
        expect(refused + refusal("its folder is user 65534's"));
        ASSERT_EQ(chown(folder.path().c_str(), 0, nobody), 0);
        expect("");
}
