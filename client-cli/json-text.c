/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json-text.h"

#include "text.h"

#include <string.h>

#define INDENT_MAX 512 /* no deeper than JSON is accepted anywhere */

typedef struct Printer {
        GString *out;
        bool pretty;
        unsigned depth;
} Printer;

static void new_line(Printer *p) {
        if (!p->pretty)
                return;
        g_string_append_c(p->out, '\n');
        for (unsigned i = 0; i < p->depth && i < INDENT_MAX; i++)
                g_string_append(p->out, "  ");
}

static const char *skip_space(const char *p, const char *end) {
        while (p < end && strchr(" \t\r\n", *p) && *p)
                p++;
        return p;
}

static void append_unit(GString *out, uint32_t unit) {
        g_string_append_printf(out, "\\u%04x", unit);
}

/* One character, escaped as JSON does where a terminal would obey it. */
static const char *character(Printer *p, const char *c, const char *end) {
        gunichar u = g_utf8_get_char_validated(c, end - c);

        if (u == (gunichar) -1 || u == (gunichar) -2) {
                g_string_append(p->out, "\\ufffd");
                return c + 1;
        }
        size_t size = u == 0 ? 1 : g_utf8_skip[(unsigned char) *c];
        if (!text_obeyed(u))
                g_string_append_len(p->out, c, size);
        else if (u < 0x10000)
                append_unit(p->out, u);
        else {
                append_unit(p->out, 0xd800 + ((u - 0x10000) >> 10));
                append_unit(p->out, 0xdc00 + ((u - 0x10000) & 0x3ff));
        }
        return c + size;
}

static const char *string(Printer *p, const char *c, const char *end) {
        g_string_append_c(p->out, *c++);
        while (c < end && *c != '"') {
                if (*c == '\\' && c + 1 < end)
                        g_string_append_c(p->out, *c++);
                c = character(p, c, end);
        }
        if (c < end)
                g_string_append_c(p->out, *c++);
        return c;
}

static const char *opening(Printer *p, const char *c, const char *end) {
        const char *next = skip_space(c + 1, end);

        g_string_append_c(p->out, *c);
        if (next < end && (*next == '}' || *next == ']')) { /* {} and [] stay together */
                g_string_append_c(p->out, *next);
                return next + 1;
        }
        p->depth++;
        new_line(p);
        return next;
}

static const char *token(Printer *p, const char *c, const char *end) {
        switch (*c) {
        case '"':
                return string(p, c, end);
        case '{':
        case '[':
                return opening(p, c, end);
        case '}':
        case ']':
                if (p->depth > 0)
                        p->depth--;
                new_line(p);
                break;
        case ',':
                g_string_append_c(p->out, *c++);
                new_line(p);
                return c;
        case ':':
                g_string_append(p->out, p->pretty ? ": " : ":");
                return c + 1;
        }
        return character(p, c, end);
}

void json_text_append(GString *out, const char *json, size_t size, bool pretty, unsigned indent) {
        Printer p = { .out = out, .pretty = pretty, .depth = indent };
        const char *end = json + size;

        for (const char *c = skip_space(json, end); c < end; c = skip_space(c, end))
                c = token(&p, c, end);
}
