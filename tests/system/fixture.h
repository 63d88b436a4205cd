/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A test in a booted system, with plugind as it is installed there. One test program is one boot on each bus, its cases follow each other:
 *
 *     using Thing = SystemTest;
 *     TEST_F(Thing, Does) { manifest("x", ...); ASSERT_TRUE(service.start()); Client client(system_bus_address); ... }
 *
 * At the end of each case the service is stopped, and no unit, process or control group of a plugin may be left.
 */
#pragma once

#include "service.h"

#include <functional>
#include <gtest/gtest.h>

/* Of the container: an ordinary user, with a password that nobody has. */
constexpr char ordinary_user[] = "plugind-tester";
constexpr uid_t ordinary_uid = 2001;

/* The same as run(), by the ordinary user; with the environment of their user manager if that runs. */
Outcome run_as_user(const std::vector<std::string> &line, const std::map<std::string, std::string> &environment = {},
                    const std::string &input = "");
/* Runs CODE in a process of that user; what it returns. */
std::string as_user(const std::function<std::string()> &code);
/* A user manager with a bus for the ordinary user, running until the container ends. */
bool start_user_manager();
constexpr char user_bus_address[] = "unix:path=/run/user/2001/bus";

/* Files of the source and of the build folder where plugins see them, whatever their sandbox: "tests/plugins/bad.py". */
std::string source_path(const std::string &below);
std::string build_path(const std::string &below);

class SystemTest : public testing::Test {
      protected:
        void SetUp() override;
        void TearDown() override;

        /* Writes a manifest of root's on plugind's own search path (/etc/plugind/plugins.d), until the end of the case. */
        void manifest(const std::string &id, const std::string &json);
        /* One of tests/plugins/bad.py. MORE: further keys. */
        void bad_plugin(const std::string &id, const std::string &dialect = "jsonrpc", const std::string &mode = "good",
                        const std::string &more = "");
        /* What the journal has got since the case began. */
        std::string journal_since(std::vector<std::string> matches = {});

        Service service;

      private:
        std::vector<std::string> manifests_;
        std::string began_;
};

/* With the service running, and a caller of root's. */
class ServiceTest : public SystemTest {
      protected:
        void SetUp() override;

        std::unique_ptr<Client> client;
};
