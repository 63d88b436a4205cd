/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The corpora, and a few thousand mutations of them that are the same every time, through the fuzz targets. */
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <dirent.h>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

extern "C" {
#include "basic/json.h"
#include "fuzz.h"
}

using std::string;

struct Target {
        const char *name;
        FuzzTarget *run;
        int mutations;
};

static std::vector<string> corpus_of(const string &name) {
        string folder = string(CORPUS_DIR) + "/" + name;
        std::vector<string> corpus;
        std::set<string> files;
        DIR *dir = opendir(folder.c_str());

        if (!dir)
                return corpus;
        while (struct dirent *entry = readdir(dir))
                if (entry->d_name[0] != '.')
                        files.insert(folder + "/" + entry->d_name);
        closedir(dir);
        for (const auto &file : files) {
                std::stringstream text;

                text << std::ifstream(file, std::ios::binary).rdbuf();
                corpus.push_back(text.str());
        }
        return corpus;
}

/* xorshift: the same everywhere. */
static unsigned random_below(unsigned bound) {
        static uint64_t state = 88172645463325252u;

        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return (unsigned) (state % bound);
}

static string mutated(const std::vector<string> &corpus) {
        static const char *const pieces[] = { "{",
                                              "}",
                                              "[",
                                              "]",
                                              ",",
                                              ":",
                                              "\"",
                                              "\\",
                                              "\\u0000",
                                              "\\ud834",
                                              "\xc3\xa4",
                                              "\xff",
                                              "\xed\xa0\x80",
                                              "0",
                                              "-",
                                              ".",
                                              "e5",
                                              " ",
                                              "\n",
                                              "\r\n",
                                              "\t",
                                              "null",
                                              "true",
                                              "\"id\":1,",
                                              "\"result\":{}",
                                              "Content-Length: 2\r\n\r\n",
                                              "/**/",
                                              "'" };
        string text = corpus[random_below((unsigned) corpus.size())];

        for (unsigned n = 1 + random_below(4); n > 0; n--) {
                size_t place = text.empty() ? 0 : random_below((unsigned) text.size());

                switch (random_below(6)) {
                case 0:
                        if (!text.empty())
                                text[place] = (char) (text[place] ^ (1 << random_below(8)));
                        break;
                case 1:
                        if (!text.empty())
                                text[place] = (char) random_below(256);
                        break;
                case 2:
                        text.erase(place, 1 + random_below(8));
                        break;
                case 3:
                        text.insert(place, pieces[random_below(G_N_ELEMENTS(pieces))]);
                        break;
                case 4:
                        text.insert(place, text.substr(text.empty() ? 0 : random_below((unsigned) text.size()), random_below(40)));
                        break;
                default: {
                        const string &other = corpus[random_below((unsigned) corpus.size())];

                        text = text.substr(0, place) + other.substr(other.empty() ? 0 : random_below((unsigned) other.size()));
                }
                }
        }
        return text;
}

class Fuzz : public testing::TestWithParam<Target> {
      protected:
        bool fine(const string &input) {
                char *complaint = GetParam().run((const uint8_t *) input.data(), input.size());
                char *quoted = g_strescape(input.c_str(), nullptr);
                bool good = !complaint;

                EXPECT_STREQ(complaint, nullptr) << "for \"" << quoted << "\"";
                g_free(complaint);
                g_free(quoted);
                return good;
        }
};

TEST_P(Fuzz, Corpus) {
        std::vector<string> corpus = corpus_of(GetParam().name);

        EXPECT_GE(corpus.size(), 5u);
        for (const auto &input : corpus)
                fine(input);
}

TEST_P(Fuzz, Mutations) {
        std::vector<string> corpus = corpus_of(GetParam().name);

        ASSERT_FALSE(corpus.empty());
        for (int i = 0; i < GetParam().mutations; i++)
                ASSERT_TRUE(fine(mutated(corpus)));
}

INSTANTIATE_TEST_SUITE_P(Targets, Fuzz,
                         testing::Values(Target{ "fuzz-json", fuzz_json, 20000 }, Target{ "fuzz-jsonrpc", fuzz_jsonrpc, 20000 },
                                         Target{ "fuzz-duplex", fuzz_duplex, 2000 }, Target{ "fuzz-manifest", fuzz_manifest, 5000 },
                                         Target{ "fuzz-launch", fuzz_launch, 20000 }, Target{ "fuzz-state", fuzz_state, 5000 },
                                         Target{ "fuzz-dialect-state", fuzz_dialect_state, 20000 }),
                         [](const auto &info) {
                                 string name = info.param.name;

                                 name = name.substr(strlen("fuzz-"));
                                 std::replace(name.begin(), name.end(), '-', '_');
                                 return name;
                         });
