/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "load-caller.h"

#include <cstring>
#include <unistd.h>

LoadCaller::LoadCaller(Load &load, Kind kind, unsigned number) : load_(load), kind_(kind), number_(number), random_(number) {
}

LoadCaller::~LoadCaller() {
        end();
}

void LoadCaller::begin() {
        thread_ = std::thread([this] {
                for (unsigned long n = 1; !load_.ending_; n++)
                        kind_ == SMALL ? small() : kind_ == LARGE ? large(n) : kind_ == MCP ? mcp(n) : lsp(n);
        });
}

void LoadCaller::end() {
        if (thread_.joinable())
                thread_.join();
}

unsigned LoadCaller::random(unsigned from, unsigned to) {
        return std::uniform_int_distribution<unsigned>(from, to)(random_);
}

const std::string &LoadCaller::random_plugin() {
        return load_.numbered_[random(0, (unsigned) load_.numbered_.size() - 1)];
}

static uint32_t crc32(const std::string &text) {
        uint32_t crc = 0xffffffff;

        for (char c : text) {
                crc ^= (unsigned char) c;
                for (int bit = 0; bit < 8; bit++)
                        crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
        }
        return ~crc;
}

std::string LoadCaller::params_for(Told &told, const std::string &pad, uint32_t sum) {
        return "{\"from\":" + std::to_string(number_) + ",\"n\":" + std::to_string(++told.n) + ",\"prev\":" + std::to_string(told.certain) +
               ",\"sum\":" + std::to_string(sum) + ",\"pad\":\"" + pad + "\"}";
}

/* Counts one that was answered, or failed. */
bool LoadCaller::answered(const std::string &what, const std::string &error, int64_t sent, unsigned long LoadFigures::*counter) {
        std::lock_guard<std::mutex> lock(load_.mutex_);

        if (error.empty())
                load_.figures_.*counter += 1;
        else
                load_.failures_.push_back({ error, what, sent, now_usec() });
        return error.empty();
}

static std::string error_of(const Reply &reply) {
        return reply.ok() ? "" : reply.outcome();
}

void LoadCaller::small() {
        const std::string id = random_plugin();
        const std::string pad = load_alphabet().substr(random(0, 25), random(0, 3000));
        const uint32_t sum = crc32(pad);
        Told &told = told_[id];
        std::vector<std::pair<Client::Pending, std::string>> pending;
        const int64_t sent = now_usec();
        const bool note = random(0, 9) == 0;

        for (unsigned i = random(1, 4); i > 0; i--) {
                std::string params = params_for(told, pad, sum);
                pending.emplace_back(
                        client_.session_async(id, note ? "Notify" : "Send", "ssa{sv}", note ? "note" : "echo", params.c_str(), 0), params);
        }
        const unsigned long first = told.n - pending.size() + 1;
        for (size_t i = 0; i < pending.size(); i++) {
                auto &[reply, params] = pending[i];
                client_.wait(reply);
                if (!answered(id, error_of(*reply), sent, note ? &LoadFigures::notes : &LoadFigures::calls))
                        continue;
                told.certain = first + i;
                if (!note && reply->text != params)
                        load_.wrong(id + ": another answer: " + load_start_of(reply->text) + " to " + load_start_of(params));
        }
        usleep(random(20'000, 60'000));
}

/* Not by Client: that makes words of bytes. */
LoadCaller::Answer LoadCaller::call(const std::string &id, const std::string &params, bool bytes) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *m = nullptr, *reply = nullptr;
        Answer answer = {};
        const void *data = "";
        size_t size = 0;

        sd_bus_message_new_method_call(client_.get(), &m, "org.plugind1", session_path(id).c_str(), "org.plugind1.Session",
                                       bytes ? "SendBytes" : "Send");
        sd_bus_message_append(m, "s", "echo");
        if (bytes)
                sd_bus_message_append_array(m, 'y', params.data(), params.size());
        else
                sd_bus_message_append(m, "s", params.c_str());
        sd_bus_message_append(m, "a{sv}", 0);
        answer.sent = now_usec();
        int r = sd_bus_call(client_.get(), m, 60'000'000, &error, &reply);
        if (r < 0)
                answer.error = std::string(error.name ? error.name : strerror(-r)) + ": " + (error.message ? error.message : "");
        else if (bytes)
                sd_bus_message_read_array(reply, 'y', &data, &size);
        else if (sd_bus_message_read(reply, "s", &data) > 0)
                size = strlen(static_cast<const char *>(data));
        answer.text = std::string(static_cast<const char *>(data), size);
        sd_bus_error_free(&error);
        sd_bus_message_unref(reply);
        sd_bus_message_unref(m);
        return answer;
}

void LoadCaller::large(unsigned long n) {
        const std::string id = random_plugin();
        Told &told = told_[id];

        if (n % 10 == 1) { /* its sum takes its time */
                pad_ = load_alphabet().substr(random(0, 25), random(300'000, 900'000));
                sum_ = crc32(pad_);
        }
        const std::string params = params_for(told, pad_, sum_);
        const Answer answer = call(id, params, n % 2);
        if (answered(id, answer.error, answer.sent, &LoadFigures::calls)) {
                told.certain = told.n;
                std::lock_guard<std::mutex> lock(load_.mutex_);
                load_.figures_.large++;
        }
        if (answer.error.empty() && answer.text != params)
                load_.wrong(id + ": another answer: " + load_start_of(answer.text) + " to " + load_start_of(params));
        usleep(random(200'000, 500'000));
}

bool LoadCaller::tool(const std::string &id, const std::string &params, const std::string &expected) {
        const int64_t sent = now_usec();
        const Reply reply = client_.session(id, "Send", "ssa{sv}", "tools/call", params.c_str(), 0);

        if (!answered(id, error_of(reply), sent, &LoadFigures::calls))
                return false;
        if (reply.text.find(expected) == std::string::npos)
                load_.wrong(id + ": another answer: " + load_start_of(reply.text) + " to " + params);
        return true;
}

void LoadCaller::check_progress(const std::string &id) {
        std::string all;
        size_t right = 0;

        for (const Signal &signal : client_.signals) {
                right += signal.text.find("\"progress\":" + std::to_string(right + 1)) != std::string::npos;
                all += signal.text + "\n";
        }
        if (right != 4 || client_.signals.size() != 4)
                load_.wrong(id + ": another progress than 1, 2, 3, 4:\n" + all);
}

void LoadCaller::mcp(unsigned long n) {
        const std::string id = load_.everything_[number_ % load_.everything_.size()], text = "number " + std::to_string(n);

        if (n == 1)
                client_.match("member='Notification'");
        tool(id, R"({"name": "echo", "arguments": {"message": ")" + text + "\"}}", "\"text\":\"Echo: " + text + "\"");
        client_.signals.clear();
        if (n % 3 == 0 && tool(id,
                               R"({"name": "trigger-long-running-operation", "arguments": {"duration": 0.1, "steps": 4},)"
                               R"( "_meta": {"progressToken": 1}})",
                               "Steps: 4."))
                check_progress(id);
        usleep(50'000);
}

bool LoadCaller::notify(const std::string &id, const char *method, const std::string &params) {
        const int64_t sent = now_usec();
        const Reply reply = client_.session(id, "Notify", "ssa{sv}", method, params.c_str(), 0);

        return answered(id, error_of(reply), sent, &LoadFigures::notes);
}

void LoadCaller::lsp(unsigned long n) {
        const std::string id = load_.clangd_[number_ % load_.clangd_.size()], name = "answer_" + std::to_string(n),
                          uri = "\"uri\": \"file:///srv/plugind-test/load/" + std::to_string(number_) + ".c\"";
        const std::string text = "\"int " + name + " = 42;\\nint main(void) { return " + name + "; }\\n\"";
        const std::string changed = "{\"textDocument\": {" + uri + ", \"version\": " + std::to_string(n) +
                                    "}, \"contentChanges\": [{\"text\": " + text + "}]}",
                          opened = "{\"textDocument\": {" + uri + ", \"languageId\": \"c\", \"version\": 0, \"text\": \"\"}}";
        if ((n == 1 && !notify(id, "textDocument/didOpen", opened)) || !notify(id, "textDocument/didChange", changed))
                return;
        const int64_t sent = now_usec();
        const Reply reply = client_.session(id, "Send", "ssa{sv}", "textDocument/hover",
                                            ("{\"textDocument\": {" + uri + R"(}, "position": {"line": 0, "character": 5}})").c_str(), 0);
        if (answered(id, error_of(reply), sent, &LoadFigures::calls) && reply.text.find(name) == std::string::npos)
                load_.wrong(id + ": another answer: " + load_start_of(reply.text) + ", expected one on " + name);
        usleep(100'000);
}
