/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gtest/gtest.h>

#include "manifest-support.h"

#include <fcntl.h>
#include <glib.h>
#include <unistd.h>

namespace {

const std::string good = R"({"manifestVersion": 1, "dialect": "mcp", "command": "tool", "args": ["a"]})";
const std::string of_template = R"({"manifestVersion": 1, "dialect": "mcp", "command": "tool", "args": ["-%i"]})";

class ManifestPathTest : public testing::Test {
      protected:
        Commands commands;
        Folder first, second;
        std::string folders[2] = { first.path(), second.path() };
        char *path[3] = { folders[0].data(), folders[1].data(), nullptr };

        Parsed find(const char *id, std::string *file) {
                return parse_with([&](Manifest **, PlugindError *error) {
                        char *found = nullptr;
                        int r = manifest_find(path, id, &found, error);

                        *file = found ? found : "";
                        g_free(found);
                        return r;
                });
        }
        std::string find(const char *id) {
                std::string file;
                Parsed found = find(id, &file);

                return found.result == 0 ? file : found.message;
        }
        std::string list() {
                g_auto(GStrv) ids = manifest_list(path);
                g_autofree char *joined = g_strjoinv(" ", ids);

                return joined;
        }
};

/* Sets variables for one test. */
class Variable {
      public:
        Variable(const char *name, const char *value) : name_(name), before_(g_strdup(g_getenv(name))) {
                if (value)
                        g_setenv(name, value, TRUE);
                else
                        g_unsetenv(name);
        }
        ~Variable() {
                if (before_)
                        g_setenv(name_, before_, TRUE);
                else
                        g_unsetenv(name_);
                g_free(before_);
        }

      private:
        const char *name_;
        char *before_;
};

std::string search_path(bool user) {
        g_auto(GStrv) folders = manifest_search_path(user);
        g_autofree char *joined = g_strjoinv(":", folders);

        return joined;
}

const std::string system_path = "/etc/plugind/plugins.d:/run/plugind/plugins.d:/usr/local/lib/plugind/plugins.d:/usr/lib/plugind/plugins.d";

} // namespace

TEST(ManifestId, Rule) {
        for (const char *id : { "a", "A1", "9", "a.b_c-d", "shell@", "shell@work", "a@b@c", "a..b" })
                EXPECT_TRUE(plugin_id_valid(id)) << id;
        for (const char *id : { "", ".", "..", ".a", "-a", "_a", "@a", "a/b", "a b", "\303\244", "a\n" })
                EXPECT_FALSE(plugin_id_valid(id)) << id;
        EXPECT_TRUE(plugin_id_valid(std::string(128, 'a').c_str()));
        EXPECT_FALSE(plugin_id_valid(std::string(129, 'a').c_str()));
}

TEST_F(ManifestPathTest, TheFirstFolderWins) {
        first.write("a.json", good);
        second.write("a.json", good);
        second.write("b.json", good);
        EXPECT_EQ(find("a"), first / "a.json");
        EXPECT_EQ(find("b"), second / "b.json");
        EXPECT_EQ(list(), "a b");

        std::string file;
        Parsed none = find("c", &file);
        EXPECT_EQ(none.result, -ENOENT);
        EXPECT_EQ(none.code, PLUGIND_ERROR_NO_SUCH_PLUGIN);
        EXPECT_EQ(none.message, "no plugin \"c\": c.json is not in " + first.path() + ":" + second.path());
        EXPECT_EQ(find("../a", &file).code, PLUGIND_ERROR_INVALID_ARGS);
}

TEST_F(ManifestPathTest, EmptyFilesAndLinksToNullMask) {
        std::string file;

        for (const char *id : { "empty", "null", "fine" })
                second.write(std::string(id) + ".json", good);
        first.write("empty.json", "");
        ASSERT_EQ(symlink("/dev/null", (first / "null.json").c_str()), 0);
        EXPECT_EQ(list(), "fine");
        for (const char *id : { "empty", "null" }) {
                Parsed masked = find(id, &file);

                EXPECT_EQ(masked.result, -ENOENT);
                EXPECT_EQ(masked.code, PLUGIND_ERROR_NO_SUCH_PLUGIN);
                EXPECT_NE(masked.message.find("masked by " + first.path()), std::string::npos) << masked.message;
                masked = load(first / (std::string(id) + ".json"));
                EXPECT_EQ(masked.code, PLUGIND_ERROR_NO_SUCH_PLUGIN);
                EXPECT_NE(masked.message.find("masked"), std::string::npos) << masked.message;
        }
}

TEST_F(ManifestPathTest, InstancesComeFromTheFileOfTheTemplate) {
        second.write("t@.json", of_template);
        second.write("t@own.json", good);
        first.write("t@gone.json", "");
        EXPECT_EQ(find("t@work"), second / "t@.json");
        EXPECT_EQ(find("t@"), second / "t@.json");
        EXPECT_EQ(find("t@own"), second / "t@own.json");
        EXPECT_NE(find("t@gone").find("masked"), std::string::npos);
        EXPECT_EQ(list(), "t@own");

        Parsed work = load(find("t@work"), "t@work");
        ASSERT_NE(work.manifest, nullptr) << work.message;
        EXPECT_STREQ(work.manifest->id, "t@work");
        EXPECT_STREQ(work.manifest->args[0], "-work");
        EXPECT_EQ(work.manifest->path, second / "t@.json");
        EXPECT_STREQ(load(find("t@")).manifest->args[0], "-");
        EXPECT_EQ(load(find("t@"), "u@work").code, PLUGIND_ERROR_INVALID_MANIFEST);
        EXPECT_EQ(load(find("t@"), "t").code, PLUGIND_ERROR_INVALID_MANIFEST);
}

TEST_F(ManifestPathTest, OtherEntriesOfAFolderAreNotListed) {
        first.write("a.json", good);
        first.write("a.json~", good);
        first.write("b.jso", good);
        first.write(".json", good);
        first.write("-c.json", good);
        first.write("sub/d.json", good);
        std::filesystem::create_directory(first / "e.json");
        ASSERT_EQ(symlink("/nonexistent", (first / "f.json").c_str()), 0);
        std::filesystem::remove(second.path());
        EXPECT_EQ(list(), "a");
}

TEST_F(ManifestPathTest, LoadTakesRegularFilesOfBoundedSizeAlone) {
        const std::string file = first.write("x.json", good);
        Parsed parsed = load(file);

        ASSERT_NE(parsed.manifest, nullptr) << parsed.message;
        EXPECT_EQ(parsed.manifest->path, file);
        EXPECT_STREQ(parsed.manifest->id, "x");

        EXPECT_EQ(load(first / "none.json").code, PLUGIND_ERROR_NO_SUCH_PLUGIN);
        EXPECT_EQ(load(first / "none.json").message, first / "none.json" + ": cannot be read: No such file or directory");
        EXPECT_EQ(load("x.json").code, PLUGIND_ERROR_INVALID_MANIFEST);
        EXPECT_EQ(load(first.write("x.txt", good)).code, PLUGIND_ERROR_INVALID_MANIFEST);
        EXPECT_EQ(load(first.write("a b.json", good)).code, PLUGIND_ERROR_INVALID_MANIFEST);
        ASSERT_EQ(mkfifo((first / "fifo.json").c_str(), 0600), 0);
        EXPECT_NE(load(first / "fifo.json").message.find("no regular file"), std::string::npos);
        std::filesystem::create_directory(first / "folder.json");
        EXPECT_NE(load(first / "folder.json").message.find("no regular file"), std::string::npos);
        EXPECT_NE(load(first.write("big.json", good + std::string(MANIFEST_SIZE_MAX, ' '))).message.find("bytes, expected at most"),
                  std::string::npos);
        EXPECT_NE(load(first.write("full.json", good + std::string(MANIFEST_SIZE_MAX - good.size(), ' '))).manifest, nullptr);
}

TEST(ManifestSearchPath, SystemUserAndReplaced) {
        Variable given("PLUGIND_PLUGIN_PATH", nullptr), home("HOME", "/home/me"), config("XDG_CONFIG_HOME", nullptr),
                runtime("XDG_RUNTIME_DIR", "/run/user/1"), data("XDG_DATA_HOME", "relative");

        EXPECT_EQ(search_path(false), system_path);
        EXPECT_EQ(search_path(true), "/home/me/.config/plugind/plugins.d:/run/user/1/plugind/plugins.d:"
                                     "/home/me/.local/share/plugind/plugins.d:" +
                                             system_path);
        {
                Variable set("XDG_CONFIG_HOME", "/c"), unset("XDG_RUNTIME_DIR", nullptr);

                EXPECT_EQ(search_path(true), "/c/plugind/plugins.d:/home/me/.local/share/plugind/plugins.d:" + system_path);
        }
        Variable replaced("PLUGIND_PLUGIN_PATH", "/a::/b/../c:");
        EXPECT_EQ(search_path(false), "/a:/c");
        EXPECT_EQ(search_path(true), "/a:/c");
}
