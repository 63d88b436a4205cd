/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A folder of its own for one test, removed with all that is in it. */
#pragma once

#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <stdlib.h>
#include <string>
#include <sys/stat.h>

class Folder {
      public:
        Folder() {
                std::string made = (std::filesystem::temp_directory_path() / "plugind-test-XXXXXX").string();

                if (!mkdtemp(made.data()))
                        throw std::runtime_error("mkdtemp");
                path_ = made;
        }
        ~Folder() {
                std::error_code ignored;

                std::filesystem::remove_all(path_, ignored);
        }
        Folder(const Folder &) = delete;
        Folder &operator=(const Folder &) = delete;

        const std::string &path() const {
                return path_;
        }
        std::string operator/(const std::string &name) const {
                return path_ + "/" + name;
        }
        std::string write(const std::string &name, const std::string &text, mode_t mode = 0644) const {
                std::string file = *this / name;

                std::filesystem::create_directories(std::filesystem::path(file).parent_path());
                std::ofstream(file, std::ios::binary) << text;
                chmod(file.c_str(), mode);
                return file;
        }
        static std::string read(const std::string &file) {
                std::ifstream stream(file, std::ios::binary);
                std::stringstream text;

                text << stream.rdbuf();
                return text.str();
        }

      private:
        std::string path_;
};
