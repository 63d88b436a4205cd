/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "load.h"

#include "fixture.h"
#include "load-caller.h"
#include "load-subscriber.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <regex>
#include <unistd.h>

int64_t now_usec() {
        timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1'000'000 + now.tv_nsec / 1000;
}

std::map<std::string, SessionInfo> sessions_of(Client &client) {
        static const std::regex one(R"(\(([^ ,(]+), /org/plugind1/session/)"), state("reported-state: ([a-z]+)"), pid("main-pid: ([0-9]+)"),
                restarts("restarts: ([0-9]+)");
        Reply reply = client.host("ListSessions", "a{sv}", 0);
        std::map<std::string, SessionInfo> sessions;

        if (!reply.ok())
                fprintf(stderr, "ListSessions: %s\n", reply.outcome().c_str());
        for (std::sregex_iterator i(reply.text.begin(), reply.text.end(), one), end; i != end; ++i) {
                std::smatch match[3];
                const auto from = reply.text.cbegin() + i->position();
                if (std::regex_search(from, reply.text.cend(), match[0], state) &&
                    std::regex_search(from, reply.text.cend(), match[1], pid) &&
                    std::regex_search(from, reply.text.cend(), match[2], restarts))
                        sessions[(*i)[1]] = { match[0][1], (pid_t) atoi(match[1].str(1).c_str()),
                                              (unsigned) atoi(match[2].str(1).c_str()) };
        }
        return sessions;
}

unsigned repeat(unsigned times) {
        const char *said = getenv("PLUGIND_TEST_REPEAT");

        return said ? (unsigned) atoi(said) : times;
}

unsigned seed() {
        const char *said = getenv("PLUGIND_TEST_SEED");
        unsigned value = said ? (unsigned) strtoul(said, nullptr, 10) : std::random_device()();

        fprintf(stderr, "PLUGIND_TEST_SEED=%u\n", value);
        return value;
}

std::string LoadFigures::text() const {
        char text[400];
        std::string names;

        snprintf(
                text, sizeof(text),
                "%u plugins, %u callers: %lu calls (%lu of them large), %lu notes, %lu failed, %lu excused; %lu notifications, %lu lost (at most %lu of "
                "one subscription), %lu doubled, %lu torn; %lu changes of state",
                plugins, callers, calls, large, notes, failed, excused, ticks, lost, most_lost, doubles, torn, states);
        for (const auto &[name, n] : errors)
                names += "; " + std::to_string(n) + " " + name;
        return text + names;
}

const std::string &load_alphabet() {
        static const std::string text = [] {
                std::string letters;
                for (size_t i = 0; i < 1'000'000; i++)
                        letters += (char) ('a' + i % 26);
                return letters;
        }();

        return text;
}

std::string load_start_of(const std::string &text) {
        return text.substr(0, 160) + (text.size() > 160 ? "... (" + std::to_string(text.size()) + " bytes)" : "");
}

static std::string mcp_server() {
        const char *handed_in = getenv("PLUGIND_TEST_MCP_SERVER");
        const std::string server = handed_in ? handed_in : "";
        const size_t npm = server.find("/npm/node_modules/"); /* where it lives may be in a home */

        return npm == std::string::npos ? "" : build_path(server.substr(npm + 1));
}

Load::Load(LoadPlan plan, const WriteManifest &manifest) : plan_(std::move(plan)) {
        const std::string common = R"("manifestVersion": 1, "timeouts": {"start": 60, "request": 60}, )",
                          trusted = common + R"("sandbox": {"profile": "trusted"}, "dialect": "jsonrpc", )",
                          period = "\"--period=" + std::to_string(plan_.period_ms) + "\"",
                          numbered = "\"command\": \"" + build_path("tests/plugins/numbered") + "\", ";
        auto add = [this](std::vector<std::string> &to, const std::string &kind, unsigned n) {
                for (unsigned i = 0; i < n; i++) {
                        to.push_back(kind + "@" + std::to_string(i));
                        ids_.push_back(to.back());
                }
        };

        manifest("c@", "{" + trusted + numbered + "\"args\": [" + period + plan_.arguments + "]}");
        add(numbered_, "c", plan_.c);
        manifest("h@", "{" + trusted + numbered + R"("framing": "headers", "args": ["--headers", )" + period + "]}");
        add(numbered_, "h", plan_.headers);
        manifest("py@", "{" + trusted + "\"command\": \"" + source_path("tests/plugins/numbered.py") + "\", \"args\": [" + period + "]}");
        add(numbered_, "py", plan_.python);
        if (!mcp_server().empty()) {
                manifest("mcp@", "{" + common + R"("dialect": "mcp", "command": ")" + mcp_server() + R"(", "args": ["stdio"]})");
                add(everything_, "mcp", plan_.everything);
        }
        if (run({ "which", "clangd" }).status == 0) {
                manifest("lsp@",
                         "{" + common +
                                 R"("dialect": "lsp", "command": "clangd", "args": ["--background-index=false", "--log=error", "-j=1"]})");
                add(clangd_, "lsp", plan_.clangd);
        }
}

Load::~Load() {
        ending_ = true;
}

std::string Load::start_sessions() {
        std::vector<Client::Pending> starts;

        for (const std::string &id : ids_) {
                std::string outcome = client_.host("Load", "sa{sv}", id.c_str(), 0).outcome();
                if (outcome != "ok")
                        return "Load " + id + ": " + outcome;
        }
        for (auto &subscriber : subscribers_) {
                std::string outcome = subscriber->subscribe();
                if (!outcome.empty())
                        return outcome;
        }
        for (const std::string &id : ids_)
                starts.push_back(client_.session_async(id, "SetActiveState", "sa{sv}", "active", 1, "wait", "b", 1));
        for (size_t i = 0; i < starts.size(); i++)
                if (!client_.wait(starts[i]) || !starts[i]->ok())
                        return "start of " + ids_[i] + ": " + starts[i]->outcome();
        return "";
}

std::string Load::start() {
        unsigned number = 0;

        for (size_t step : { 1, 3 })
                subscribers_.push_back(std::make_unique<LoadSubscriber>(*this, step));
        std::string outcome = start_sessions();
        if (!outcome.empty())
                return outcome;
        for (const auto &[id, info] : sessions_of(client_))
                pids_[id] = info.pid;
        if (pids_.size() != ids_.size())
                return "found " + std::to_string(pids_.size()) + " sessions, expected " + std::to_string(ids_.size());
        for (auto &subscriber : subscribers_)
                subscriber->listen();
        const std::pair<LoadCaller::Kind, size_t> kinds[] = {
                { LoadCaller::SMALL, plan_.small },
                { LoadCaller::LARGE, plan_.large },
                { LoadCaller::MCP, everything_.size() },
                { LoadCaller::LSP, clangd_.size() },
        };
        for (const auto &[kind, n] : kinds)
                for (size_t i = 0; i < n; i++)
                        callers_.push_back(std::make_unique<LoadCaller>(*this, kind, number++));
        load_alphabet();
        for (auto &caller : callers_)
                caller->begin();
        return "";
}

void Load::killing() {
        std::lock_guard<std::mutex> lock(mutex_);

        kills_.emplace_back(now_usec(), now_usec());
}

void Load::killed() {
        std::lock_guard<std::mutex> lock(mutex_);

        kills_.back().second = now_usec();
}

void Load::wrong(const std::string &what) {
        std::lock_guard<std::mutex> lock(mutex_);

        figures_.torn++;
        if (figures_.wrong.empty())
                figures_.wrong = what;
}

std::string Load::differences() {
        std::map<std::string, SessionInfo> now = sessions_of(client_);
        std::vector<std::string> lines;
        std::string text;

        for (int i = 0; i < 10 && now.empty() && !kills_.empty(); i++) { /* the bus or systemd has not seen the kill yet */
                usleep(20'000);
                now = sessions_of(client_);
        }

        for (const auto &[id, pid] : pids_) {
                auto found = now.find(id);
                if (found == now.end())
                        lines.push_back(id + ": is not there");
                else if (found->second.state != "active" || found->second.pid != pid)
                        lines.push_back(id + ": " + found->second.state + ", process " + std::to_string(found->second.pid) +
                                        ", expected active, " + std::to_string(pid));
                else if (::kill(pid, 0) != 0)
                        lines.push_back(id + ": process " + std::to_string(pid) + " is not there");
        }
        for (const auto &[id, info] : now)
                if (!pids_.count(id))
                        lines.push_back(id + ": nobody loaded that");
        for (size_t i = 0; i < lines.size() && i < 10; i++)
                text += lines[i] + "\n";
        return text + (lines.size() > 10 ? "and " + std::to_string(lines.size() - 10) + " more\n" : "");
}

/* Each says what it notified of last; that has to come, and what it found wrong with what it heard is told. */
void Load::quiet(LoadFigures &figures) {
        static const std::regex answer(R"re(\{"n":([0-9]+),"heard":[0-9]+,"faults":([0-9]+),"fault":"(.*)"\})re");

        const int64_t end = now_usec() + 20'000'000;

        for (const std::string &id : numbered_) {
                if (now_usec() > end) {
                        wrong("they are not all quiet after 20 s, " + id + " is the next");
                        return;
                }
                const std::string text = client_.send(id, "quiet");
                std::smatch match;
                if (!std::regex_match(text, match, answer)) {
                        wrong(id + ": quiet: " + text);
                        continue;
                }
                if (match[2] != "0")
                        wrong(id + ": the plugin found: " + match.str(3));
                for (auto &subscriber : subscribers_)
                        if (!subscriber->wait_for(id, std::stoul(match[1]), end)) {
                                figures.lost++;
                                wrong(id + ": number " + match.str(1) + " has not come");
                        }
        }
}

/* What the bus says of a call whose daemon has died; dbus-broker also of one that waits for a daemon which dies before it is ready. */
static bool is_of_the_bus(const std::string &error) {
        return error.rfind("org.freedesktop.DBus.Error.NoReply", 0) == 0 ||
               error.rfind("org.freedesktop.DBus.Error.NameHasNoOwner: Could not activate remote peer", 0) == 0;
}

/* In flight when the daemon was killed, with the bus' own error: no fault. The bus and systemd may take a moment to see that it is gone. */
void Load::judge(LoadFigures &figures) {
        for (const Failure &failure : failures_) {
                bool excused = is_of_the_bus(failure.error) && std::any_of(kills_.begin(), kills_.end(), [&failure](const auto &kill) {
                                       return failure.sent <= kill.second + 200'000 && failure.failed >= kill.first;
                               });
                figures.errors[failure.error]++;
                (excused ? figures.excused : figures.failed) += 1;
                if (!excused && figures.wrong.empty())
                        figures.wrong = failure.what + ": " + failure.error + ", after " + std::to_string(failure.failed - failure.sent) +
                                        " us";
        }
}

LoadFigures Load::finish() {
        LoadFigures ends;

        ending_ = true;
        for (auto &caller : callers_)
                caller->end();
        quiet(ends);
        for (auto &subscriber : subscribers_)
                subscriber->end();

        LoadFigures figures = figures_;
        figures.plugins = plugins();
        figures.callers = (unsigned) callers_.size();
        figures.lost += ends.lost;
        for (auto &subscriber : subscribers_) {
                subscriber->count(figures);
                for (const Signal &signal : subscriber->signals()) {
                        figures.states++;
                        if (figures.wrong.empty())
                                figures.wrong = signal.path + ": " + signal.member + " " + signal.text;
                }
        }
        judge(figures);
        return figures;
}
