/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client.h"

#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <stdexcept>
#include <unistd.h>

static const char *const service = "org.plugind1";

std::string session_path(const std::string &id) {
        char *path = nullptr;
        std::string result;

        sd_bus_path_encode("/org/plugind1/session", id.c_str(), &path);
        result = path;
        free(path);
        return result;
}

static std::string basic_text(sd_bus_message *m, char type) {
        union {
                uint8_t y;
                int16_t n;
                uint16_t q;
                int32_t i;
                uint32_t u;
                int64_t x;
                uint64_t t;
                double d;
                const char *s;
        } v = {};

        sd_bus_message_read_basic(m, type, &v);
        switch (type) {
        case 'y':
                return std::to_string(v.y);
        case 'b':
                return v.i ? "true" : "false";
        case 'n':
                return std::to_string(v.n);
        case 'q':
                return std::to_string(v.q);
        case 'i':
        case 'h':
                return std::to_string(v.i);
        case 'u':
                return std::to_string(v.u);
        case 'x':
                return std::to_string(v.x);
        case 't':
                return std::to_string(v.t);
        case 'd':
                return std::to_string(v.d);
        default:
                return v.s;
        }
}

static std::string values_text(sd_bus_message *m, const char *between) {
        std::string text;
        const char *contents;
        bool first = true;
        char type;

        while (sd_bus_message_peek_type(m, &type, &contents) > 0) {
                if (!first)
                        text += between;
                first = false;
                if (!contents) {
                        text += basic_text(m, type);
                        continue;
                }
                std::string inner(contents);
                sd_bus_message_enter_container(m, type, inner.c_str());
                std::string body = values_text(m, type == 'e' ? ": " : ", ");
                sd_bus_message_exit_container(m);
                if (type == 'a')
                        text += inner[0] == '{' ? "{" + body + "}" : "[" + body + "]";
                else
                        text += type == 'r' ? "(" + body + ")" : body;
        }
        return text;
}

std::string text_of(sd_bus_message *message) {
        sd_bus_message_rewind(message, true);
        return values_text(message, ", ");
}

std::string Reply::outcome() const {
        if (!answered)
                return "no answer";
        return error.empty() ? "ok" : error + ": " + message;
}

static void fill(Reply &reply, sd_bus_message *message) {
        const sd_bus_error *e = sd_bus_message_get_error(message);

        reply.answered = true;
        if (e) {
                reply.error = e->name;
                reply.message = e->message ? e->message : "";
        } else
                reply.text = text_of(message);
}

Client::Client(const std::string &address) {
        int r = sd_bus_new(&bus_);

        if (r >= 0)
                r = sd_bus_set_address(bus_, address.c_str());
        if (r >= 0)
                r = sd_bus_set_bus_client(bus_, true);
        if (r >= 0)
                r = sd_bus_negotiate_fds(bus_, true);
        if (r >= 0)
                r = sd_bus_start(bus_);
        if (r >= 0)
                r = sd_bus_set_method_call_timeout(bus_, 2 * patience_usec);
        const char *unique;
        if (r >= 0)
                r = sd_bus_get_unique_name(bus_, &unique); /* waits for Hello */
        if (r < 0)
                throw std::runtime_error("cannot connect to " + address + ": " + strerror(-r));
}

Client::~Client() {
        sd_bus_flush_close_unref(bus_);
}

const char *Client::name() const {
        const char *unique = "";

        sd_bus_get_unique_name(bus_, &unique);
        return unique;
}

bool Client::has_owner(const std::string &name) {
        return call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameHasOwner", "s", name.c_str()).text ==
               "true";
}

sd_bus_message *Client::new_call(const std::string &destination, const std::string &path, const std::string &interface, const char *member,
                                 const char *types, va_list args) {
        sd_bus_message *m = nullptr;
        int r = sd_bus_message_new_method_call(bus_, &m, destination.c_str(), path.c_str(), interface.c_str(), member);

        if (r >= 0 && types && *types)
                r = sd_bus_message_appendv(m, types, args);
        if (r < 0)
                throw std::runtime_error(std::string("cannot build a call of ") + member + ": " + strerror(-r));
        return m;
}

Client::Pending Client::start(sd_bus_message *message) {
        struct Context {
                Client *client;
                Pending reply;
                std::string member;
        };
        auto *context = new Context{ this, std::make_shared<Reply>(), sd_bus_message_get_member(message) };
        Pending reply = context->reply;
        sd_bus_slot *slot = nullptr;
        int r = sd_bus_call_async(
                bus_, &slot, message,
                [](sd_bus_message *answer, void *userdata, sd_bus_error *) {
                        auto *c = static_cast<Context *>(userdata);

                        c->client->log.push_back("reply of " + c->member);
                        fill(*c->reply, answer);
                        return 0;
                },
                context, 0);

        sd_bus_message_unref(message);
        if (r < 0) {
                delete context;
                reply->answered = true;
                reply->error = strerror(-r);
                return reply;
        }
        sd_bus_slot_set_destroy_callback(slot, [](void *userdata) { delete static_cast<Context *>(userdata); });
        sd_bus_slot_set_floating(slot, true);
        sd_bus_slot_unref(slot);
        return reply;
}

Reply Client::finish(sd_bus_message *message) {
        Pending pending = start(message);

        wait(pending);
        return *pending;
}

#define WITH_ARGUMENTS(expression)                                                                                                         \
        va_list args;                                                                                                                      \
        va_start(args, types);                                                                                                             \
        sd_bus_message *message = (expression);                                                                                            \
        va_end(args);

Reply Client::call(const std::string &destination, const std::string &path, const std::string &interface, const char *member,
                   const char *types, ...) {
        WITH_ARGUMENTS(new_call(destination, path, interface, member, types, args))
        return finish(message);
}

Reply Client::host(const char *member, const char *types, ...) {
        WITH_ARGUMENTS(new_call(service, "/org/plugind1", "org.plugind1.Host", member, types, args))
        return finish(message);
}

Client::Pending Client::host_async(const char *member, const char *types, ...) {
        WITH_ARGUMENTS(new_call(service, "/org/plugind1", "org.plugind1.Host", member, types, args))
        return start(message);
}

Reply Client::session(const std::string &id, const char *member, const char *types, ...) {
        WITH_ARGUMENTS(new_call(service, session_path(id), "org.plugind1.Session", member, types, args))
        return finish(message);
}

Client::Pending Client::session_async(const std::string &id, const char *member, const char *types, ...) {
        WITH_ARGUMENTS(new_call(service, session_path(id), "org.plugind1.Session", member, types, args))
        return start(message);
}

static uint64_t now_usec() {
        timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t) now.tv_sec * 1'000'000 + (uint64_t) now.tv_nsec / 1000;
}

bool Client::wait(const std::function<bool()> &condition, uint64_t timeout_usec) {
        uint64_t end = now_usec() + timeout_usec;

        while (!condition()) {
                int r = sd_bus_process(bus_, nullptr);
                if (r < 0)
                        return false;
                if (r > 0)
                        continue;
                uint64_t now = now_usec();
                if (now >= end || sd_bus_wait(bus_, end - now) < 0)
                        return condition();
        }
        return true;
}

bool Client::poll(const std::function<bool()> &condition) {
        uint64_t end = now_usec() + patience_usec;

        while (!condition()) {
                if (now_usec() >= end)
                        return false;
                usleep(2000);
        }
        return true;
}

bool Client::wait(const Pending &pending) {
        return wait([&] { return pending->answered; });
}

void Client::catch_up() {
        /* The bus keeps order: what it sent us before this answer is here then. */
        call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId", "");
}

static std::string result_of(const Reply &reply) {
        return reply.ok() ? reply.text : "error: " + reply.outcome();
}

std::string Client::send(const std::string &id, const std::string &method, const std::string &params) {
        return result_of(session(id, "Send", "ssa{sv}", method.c_str(), params.c_str(), 0));
}

std::string Client::get(const std::string &id, const char *property) {
        return result_of(call(service, session_path(id), "org.freedesktop.DBus.Properties", "Get", "ss", "org.plugind1.Session", property));
}

std::string Client::get_host(const char *property) {
        return result_of(call(service, "/org/plugind1", "org.freedesktop.DBus.Properties", "Get", "ss", "org.plugind1.Host", property));
}

bool Client::wait_property(const std::string &id, const char *property, const std::string &value) {
        uint64_t end = now_usec() + patience_usec;
        std::string rule = "type='signal',sender='org.plugind1',interface='org.freedesktop.DBus.Properties',path='" + session_path(id) +
                           "'";
        size_t seen = 0;
        sd_bus_slot *slot = nullptr;

        sd_bus_add_match(
                bus_, &slot, rule.c_str(),
                [](sd_bus_message *, void *userdata, sd_bus_error *) {
                        ++*static_cast<size_t *>(userdata);
                        return 0;
                },
                &seen);
        bool found;
        while (!(found = get(id, property) == value) && now_usec() < end) {
                size_t before = seen;
                if (!wait([&] { return seen != before; }, end - now_usec()))
                        break;
        }
        sd_bus_slot_unref(slot);
        return found;
}

void Client::match(const std::string &rule) {
        sd_bus_add_match(
                bus_, nullptr, ("type='signal',sender='org.plugind1'," + rule).c_str(),
                [](sd_bus_message *m, void *userdata, sd_bus_error *) {
                        auto *client = static_cast<Client *>(userdata);
                        const char *destination = sd_bus_message_get_destination(m);

                        client->signals.push_back(Signal{ sd_bus_message_get_path(m), sd_bus_message_get_interface(m),
                                                          sd_bus_message_get_member(m), destination ? destination : "", text_of(m) });
                        client->log.push_back(sd_bus_message_get_member(m));
                        return 0;
                },
                this);
}

void Client::match_session(const std::string &id) {
        match("path='" + session_path(id) + "'");
}

std::optional<Signal> Client::take(const std::string &member, uint64_t timeout_usec) {
        auto find = [&] {
                auto i = signals.begin();
                while (i != signals.end() && i->member != member)
                        ++i;
                return i;
        };

        if (!wait([&] { return find() != signals.end(); }, timeout_usec))
                return {};
        auto i = find();
        Signal signal = *i;
        signals.erase(i);
        return signal;
}
