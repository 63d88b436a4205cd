/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host-fixture.h"

#include <filesystem>
#include <poll.h>

extern "C" {
#include "store/store.h"
}

static int start_process(Runtime *runtime, const UnitSpec *spec, const UnitEvents *events, void *userdata, Unit **ret,
                         PlugindError *error) {
        HostTest *test = reinterpret_cast<HostTest::TestRuntime *>(runtime)->test;
        int to[2], from[2], log[2];

        if (test->start_error.code) {
                plugind_error_propagate(error, &test->start_error);
                return -ENOENT;
        }
        EXPECT_EQ(pipe2(to, O_CLOEXEC), 0);
        EXPECT_EQ(pipe2(from, O_CLOEXEC), 0);
        EXPECT_EQ(pipe2(log, O_CLOEXEC), 0);
        auto process = std::make_unique<HostTest::Process>();
        process->unit.runtime = runtime;
        process->unit.events = events;
        process->unit.userdata = userdata;
        process->test = test;
        process->pid = 1000 + (pid_t) test->processes.size();
        process->in = to[0];
        process->out = from[1];
        process->log = log[1];
        process->host_in = from[0];
        process->host_out = to[1];
        process->host_log = log[0];
        test->processes.push_back(std::move(process));
        *ret = &test->processes.back()->unit;
        if (!test->slow_start)
                test->processes.back()->start();
        return 0;
}

static HostTest::Process *process_of(Unit *unit) {
        return reinterpret_cast<HostTest::Process *>(unit);
}

static int kill_process(Unit *unit, KillWhom, int signal) {
        process_of(unit)->signals.push_back(signal);
        return 0;
}

static Unit *free_process(Unit *unit) {
        HostTest::Process *process = process_of(unit);

        process->freed = true;
        process->hang_up();
        return nullptr;
}

static const char *process_unit_name(Unit *unit) {
        const HostTest *test = reinterpret_cast<HostTest::Process *>(unit)->test;

        return test->unit_name.empty() ? nullptr : test->unit_name.c_str();
}

static const RuntimeOps test_runtime = {
        .name = "test",
        .runtime_free = nullptr,
        .unit_start = start_process,
        .unit_kill = kill_process,
        .unit_name = process_unit_name,
        .unit_free = free_process,
};

void HostTest::Process::hang_up() {
        for (int *fd : { &in, &out, &log, &host_in, &host_out, &host_log }) {
                if (*fd >= 0)
                        ::close(*fd);
                *fd = -1;
        }
}

void HostTest::Process::close_stdout() {
        ::close(out);
        out = -1;
}

std::string HostTest::Process::line() {
        while (unread.find('\n') == std::string::npos) {
                struct pollfd fd = { in, POLLIN, 0 };
                char buffer[65536];
                ssize_t n;

                test->turn();
                if (poll(&fd, 1, 2000) <= 0)
                        return "";
                n = read(in, buffer, sizeof buffer);
                if (n <= 0)
                        return "";
                unread.append(buffer, (size_t) n);
        }
        std::string result = unread.substr(0, unread.find('\n'));
        unread.erase(0, result.size() + 1);
        return result;
}

void HostTest::Process::say(const std::string &text) {
        ASSERT_EQ(write(out, (text + "\n").data(), text.size() + 1), (ssize_t) text.size() + 1);
        test->turn();
}

void HostTest::Process::start() {
        int fds[] = { std::exchange(host_in, -1), std::exchange(host_out, -1), std::exchange(host_log, -1) };

        unit.events->started(&unit, pid, fds[0], fds[1], fds[2], unit.userdata);
}

void HostTest::Process::fail(PlugindErrorCode code, const std::string &message) {
        PlugindError error = { code, const_cast<char *>(message.c_str()) };

        hang_up();
        unit.events->failed(&unit, &error, unit.userdata);
        test->turn();
}

void HostTest::Process::exit(int code, int status) {
        exit(UnitExit{ code, status, nullptr, nullptr, false });
}

void HostTest::Process::exit(const UnitExit &exit) {
        hang_up();
        unit.events->exited(&unit, &exit, unit.userdata);
        if (!freed)
                unit.events->gone(&unit, unit.userdata);
        test->turn();
}

static std::string text_of(JsonRange range) {
        return range.data ? std::string(range.data, range.size) : "";
}

static void on_new(Session *session, void *userdata) {
        static_cast<HostTest *>(userdata)->events.push_back(std::string("new ") + session->id);
}

static void on_removed(Session *session, const char *reason, void *userdata) {
        static_cast<HostTest *>(userdata)->events.push_back(std::string("removed ") + session->id + " " + reason);
}

static void on_state(Session *session, const char *state, const char *, const char *reason, void *userdata) {
        auto *test = static_cast<HostTest *>(userdata);

        test->log += (test->log.empty() ? "" : " ") + std::string(state) + "(" + reason + ")";
}

static void on_ended(Session *session, const char *reason, int status, void *userdata) {
        static_cast<HostTest *>(userdata)->events.push_back(std::string("ended ") + session->id + " " + reason + " " +
                                                            std::to_string(status));
}

static void on_notification(Session *, Caller *caller, const char *request, const char *method, JsonRange params, void *userdata) {
        static_cast<HostTest *>(userdata)->events.push_back(std::string("note ") + caller->name + " '" + request + "' " + method + " " +
                                                            text_of(params));
}

static void on_changed(Session *, uint32_t properties, void *userdata) {
        static_cast<HostTest *>(userdata)->changed |= properties;
}

void HostTest::new_host() {
        static char *no_path[] = { nullptr };
        HostConfig config{};
        Hooks hooks = { on_new, on_removed, on_state, on_ended, on_notification, on_changed, this };

        config.event = event;
        config.deadlines = deadlines;
        config.arena = arena;
        config.runtime = &runtime.runtime;
        config.log_sink = sink;
        config.store = store;
        config.search_path = no_path;
        config.seed = 1;
        ASSERT_EQ(host_new(&config, &host), 0);
        host_set_hooks(host, &hooks);
}

void HostTest::SetUp() {
        ASSERT_GE(sd_event_new(&event), 0);
        ASSERT_EQ(deadlines_new(event, &deadlines), 0);
        ASSERT_EQ(arena_new(DUPLEX_MESSAGE_MAX, 1, &arena), 0);
        ASSERT_EQ(worker_new(&worker), 0);
        ASSERT_NE(mkdtemp(directory), nullptr);
        ASSERT_EQ(log_sink_new(event, worker, directory, false, &sink), 0);
        ASSERT_EQ(store_open(directory, &store), 0);
        runtime.runtime.ops = &test_runtime;
        runtime.test = this;
        new_host();
        caller_new(":1.1", 1000, nullptr, &alice);
        caller_new(":1.2", 1001, nullptr, &bob);
}

void HostTest::leave(bool) {
        host_hold(host);
        host_answer_all(host);
        host_leave(host);
}

void HostTest::left() {
}

void HostTest::hand_over(const std::function<void(Host *)> &restore, bool killed) {
        leave(killed);
        host = host_free(host);
        left();
        if (meanwhile)
                meanwhile();
        new_host();
        if (restore)
                restore(host);
        else
                host_restore(
                        host,
                        [](const char *name, uid_t, void *test) {
                                for (Caller *caller : { static_cast<HostTest *>(test)->alice, static_cast<HostTest *>(test)->bob })
                                        if (caller && g_str_equal(caller->name, name))
                                                return caller;
                                return static_cast<Caller *>(nullptr);
                        },
                        this);
}

void HostTest::TearDown() {
        host = host_free(host);
        alice = caller_free(alice);
        bob = caller_free(bob);
        log_sink_free(sink);
        worker_free(worker);
        std::filesystem::remove_all(directory);
        store_free(store);
        arena_free(arena);
        deadlines_free(deadlines);
        sd_event_unref(event);
        plugind_error_clear(&start_error);
        for (auto &process : processes)
                EXPECT_TRUE(process->freed) << "a unit leaked";
}

std::string HostTest::manifest(const std::string &extra) {
        return "{\"manifestVersion\":1,\"command\":\"/bin/true\",\"dialect\":\"jsonrpc\"" + extra + "}";
}

Session *HostTest::load(const std::string &id, const std::string &manifest, bool bind, Caller *caller) {
        LoadOptions options{};
        PlugindError error{};
        Session *session = nullptr;

        options.source = id.c_str();
        options.manifest = manifest.c_str();
        options.bind = bind;
        options.caller = caller ? caller : alice;
        EXPECT_EQ(host_load(host, &options, &session, &error), 0) << error.message;
        plugind_error_clear(&error);
        return session;
}

static void on_answer(const Answer *answer, void *userdata) {
        std::unique_ptr<std::shared_ptr<HostTest::Sent *>> owner(static_cast<std::shared_ptr<HostTest::Sent *> *>(userdata));
        HostTest::Sent *sent = **owner;

        if (!sent)
                return;
        EXPECT_FALSE(sent->done) << "answered twice";
        sent->done = true;
        sent->result = text_of(answer->json);
        sent->code = answer->error.code;
        sent->message = answer->error.message ? answer->error.message : "";
}

void HostTest::send(Session *session, Caller *caller, const std::string &method, const std::string &params, Sent *sent, const char *id,
                    bool envelope, uint64_t timeout) {
        SendOptions options = { id, timeout, envelope };
        PlugindError error{};
        JsonRange range = params.empty() ? JsonRange{} : JsonRange{ params.data(), params.size() };

        auto *owner = new std::shared_ptr<Sent *>(sent->self);
        sent->done = false;
        sent->code = PLUGIND_ERROR_NONE;
        sent->result = sent->message = "";
        if (session_send(session, caller, method.c_str(), range, &options, on_answer, owner, &error) < 0) {
                delete owner;
                EXPECT_FALSE(sent->done);
                sent->done = true;
                sent->code = error.code;
                sent->message = error.message;
        }
        plugind_error_clear(&error);
}

void HostTest::turn() {
        while (sd_event_run(event, 0) > 0)
                ;
}

void HostTest::until(const std::function<bool()> &condition) {
        uint64_t end = deadlines_now(deadlines) + 5 * USEC_PER_SEC;

        while (!condition()) {
                ASSERT_LT(deadlines_now(deadlines), end) << "not within 5 s; states: " << log;
                ASSERT_GE(sd_event_run(event, 100000), 0);
        }
}

HostTest::Process *HostTest::process(size_t n) {
        return n < processes.size() ? processes[n].get() : nullptr;
}

std::string HostTest::states() const {
        return std::exchange(log, "");
}
