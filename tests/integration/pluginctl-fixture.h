/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pluginctl on a private bus, and a plugin that talks to it. */
#pragma once

#include "command.h"
#include "fixture.h"

#include <glib.h>
#include <regex.h>

class Pluginctl : public Daemon {
      protected:
        std::map<std::string, std::string> environment() const {
                return { { "DBUS_SESSION_BUS_ADDRESS", address() },
                         { "DBUS_SYSTEM_BUS_ADDRESS", address() },
                         { "LC_ALL", "C.UTF-8" },
                         { "TERM", "xterm" },
                         { "TZ", "UTC" },
                         { "COLUMNS", "80" } };
        }
        std::vector<std::string> line(const std::vector<std::string> &arguments) const {
                std::vector<std::string> line = { pluginctl_program(), bus_option() };
                line.insert(line.end(), arguments.begin(), arguments.end());
                return line;
        }
        /* Runs it; what it said is in `out` and `err`. */
        int ctl(const std::vector<std::string> &arguments, const std::string &input = "", bool terminal = false) {
                Command command(line(arguments), environment(), input, terminal);
                int status = command.wait();
                out = command.out;
                err = command.err;
                return status;
        }
        /* Nothing tells when a monitor has begun to listen: does something until it has heard. */
        bool says_after(Command &monitor, const std::string &text, const std::vector<std::string> &arguments) {
                for (int i = 0; i < 100 && ctl(arguments) == 0; i++)
                        if (monitor.wait_out(text, 100'000))
                                return true;
                return false;
        }
        /* The journal has a line a moment after it was written. False if it has not within a bound. */
        bool logged(const std::string &id, const std::string &text) {
                return Client(address()).poll([&] { return ctl({ "logs", id }) == 0 && out.find(text) != std::string::npos; });
        }
        /* A plugin that reports progress and notifies. */
        void talking_plugin(const std::string &id, const std::string &more = "");

        std::string out, err;
};

inline bool matches(const std::string &text, const std::string &pattern) {
        regex_t regex;

        if (regcomp(&regex, pattern.c_str(), REG_EXTENDED | REG_NOSUB) != 0)
                return false;
        bool found = regexec(&regex, text.c_str(), 0, nullptr, 0) == 0;
        regfree(&regex);
        return found;
}

#define EXPECT_MATCH(text, pattern) EXPECT_TRUE(matches(text, pattern)) << (text)
#define EXPECT_CONTAINS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

inline void Pluginctl::talking_plugin(const std::string &id, const std::string &more) {
        std::string script = std::string(folder) + "/" + id + ".py";

        ASSERT_TRUE(g_file_set_contents(script.c_str(),
                                        "import sys, os, json\n"
                                        "def say(**m): os.write(1, json.dumps({'jsonrpc': '2.0', **m}).encode() + b'\\n')\n"
                                        "for line in sys.stdin.buffer:\n"
                                        "    m = json.loads(line)\n"
                                        "    method = m.get('method')\n"
                                        "    if method == 'plugind/initialize':\n"
                                        "        say(id=m['id'], result={'protocol': 1, 'name': 'talker', 'version': '7'})\n"
                                        "    elif method == 'log':\n"
                                        "        sys.stderr.write(m['params']['text'] + '\\n'); sys.stderr.flush()\n"
                                        "        say(id=m['id'], result=None)\n"
                                        "    elif method == 'work':\n"
                                        "        say(method='plugind/progress', params={'id': m['id'], 'value': 'half\\x9b'})\n"
                                        "        if m['params'].get('end'): say(id=m['id'], result='whole')\n"
                                        "    elif method == 'plugind/cancel':\n"
                                        "        sys.stderr.write('was cancelled\\n'); sys.stderr.flush()\n"
                                        "    elif method == 'tell':\n"
                                        "        say(method='told', params=m.get('params'))\n"
                                        "    elif method == 'fail':\n"
                                        "        say(id=m['id'], error={'code': 5, 'message': 'no \\x1b[31mway'})\n"
                                        "    elif method and 'id' in m: say(id=m['id'], result=m.get('params'))\n",
                                        -1, nullptr));
        manifest(id,
                 "{\"manifestVersion\": 1, \"description\": \"Talks\\u202e\", \"command\": \"/usr/bin/python3\", \"args\": [\"-IS\", \"" +
                         script + "\"], \"dialect\": \"plugind\"" + more + "}");
}
