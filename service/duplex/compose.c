/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A message is a row of parts, so that its size is known before the first byte is copied. */
#include "duplex/compose.h"

#include <errno.h>

#define PARTS_MAX 10
#define NUMBER_SIZE 24

typedef struct Parts {
        JsonRange parts[PARTS_MAX];
        unsigned spaced; /* the one that may hold line feeds between its tokens; 0: none, since that is our own beginning */
        unsigned count;
        size_t size;
} Parts;

static void add(Parts *parts, JsonRange part) {
        g_assert(parts->count < PARTS_MAX);
        parts->parts[parts->count++] = part;
        parts->size += part.size;
}

/* JSON of somebody else's. */
static void add_value(Parts *parts, JsonRange value) {
        parts->spaced = parts->count;
        add(parts, value);
}

#define add_text(parts, text) add((parts), (JsonRange){ (text), sizeof(text) - 1 })

/* BUFFER, of NUMBER_SIZE bytes, is where the digits go. */
static JsonRange format_number(char *buffer, uint64_t number) {
        char *p = buffer + NUMBER_SIZE;

        do
                *--p = (char) ('0' + number % 10);
        while ((number /= 10) > 0);
        return (JsonRange){ p, (size_t) (buffer + NUMBER_SIZE - p) };
}

static bool is_plain(const char *text) {
        for (; *text; text++)
                if (!g_ascii_isprint(*text) || *text == '"' || *text == '\\')
                        return false;
        return true;
}

static int append(Buffer *out, Framing framing, const Parts *parts) {
        const char header[] = "Content-Length: ", header_end[] = "\r\n\r\n";
        char digits[NUMBER_SIZE], *start, *p;
        JsonRange length = {};
        size_t room, size = parts->size + 1;

        if (framing == FRAMING_HEADERS) {
                length = format_number(digits, parts->size);
                size = sizeof header - 1 + length.size + sizeof header_end - 1 + parts->size;
        }
        start = p = buffer_reserve(out, size, &room);
        if (!p)
                return -ENOBUFS;
        if (framing == FRAMING_HEADERS) {
                p = mempcpy(p, header, sizeof header - 1);
                p = mempcpy(p, length.data, length.size);
                p = mempcpy(p, header_end, sizeof header_end - 1);
        }
        for (unsigned i = 0; i < parts->count; i++) {
                const JsonRange *part = &parts->parts[i];

                if (i > 0 && i == parts->spaced)
                        p += json_copy_one_line(p, *part);
                else
                        p = mempcpy(p, part->data, part->size);
        }
        if (framing == FRAMING_LINES)
                *p++ = '\n';
        buffer_commit(out, (size_t) (p - start));
        return 0;
}

/* PARTS holds the beginning, up to the method. */
static int append_call(Buffer *out, Framing framing, Parts *parts, const char *method, JsonRange params) {
        g_autoptr(GString) escaped = NULL;

        if (is_plain(method)) {
                add_text(parts, "\"");
                add(parts, JSON_RANGE(method));
                add_text(parts, "\"");
        } else {
                escaped = g_string_new(NULL);
                json_append_string(escaped, method, strlen(method));
                add(parts, (JsonRange){ escaped->str, escaped->len });
        }
        if (params.data) {
                add_text(parts, ",\"params\":");
                add_value(parts, params);
        }
        add_text(parts, "}");
        return append(out, framing, parts);
}

int compose_request(Buffer *out, Framing framing, uint64_t id, const char *method, JsonRange params) {
        char digits[NUMBER_SIZE];
        Parts parts = {};

        add_text(&parts, "{\"jsonrpc\":\"2.0\",\"id\":");
        add(&parts, format_number(digits, id));
        add_text(&parts, ",\"method\":");
        return append_call(out, framing, &parts, method, params);
}

int compose_notification(Buffer *out, Framing framing, const char *method, JsonRange params) {
        Parts parts = {};

        add_text(&parts, "{\"jsonrpc\":\"2.0\",\"method\":");
        return append_call(out, framing, &parts, method, params);
}

int compose_result(Buffer *out, Framing framing, JsonRange id, JsonRange result) {
        Parts parts = {};

        add_text(&parts, "{\"jsonrpc\":\"2.0\",\"id\":");
        add(&parts, id);
        add_text(&parts, ",\"result\":");
        add_value(&parts, result);
        add_text(&parts, "}");
        return append(out, framing, &parts);
}

int compose_error(Buffer *out, Framing framing, JsonRange id, int code, const char *message) {
        g_autoptr(GString) error = g_string_new(NULL);
        Parts parts = {};

        g_string_printf(error, ",\"error\":{\"code\":%d,\"message\":", code);
        json_append_string(error, message, strlen(message));
        add_text(&parts, "{\"jsonrpc\":\"2.0\",\"id\":");
        add(&parts, id);
        add(&parts, (JsonRange){ error->str, error->len });
        add_text(&parts, "}}");
        return append(out, framing, &parts);
}
