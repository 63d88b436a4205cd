/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What JSON strings mean, and text made for JSON and for people. */
#include "basic/json.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define QUOTED_MAX 80
#define REPLACEMENT 0xfffd
#define HALF_PAIR ((gunichar) -1) /* a surrogate escape without its partner */

/* P is behind "\u" and has four digits. */
static gunichar four_digits(const char *p) {
        gunichar unit = 0;

        for (int i = 0; i < 4; i++)
                unit = unit * 16 + (gunichar) g_ascii_xdigit_value(p[i]);
        return unit;
}

/* P is at a backslash; *P is moved behind the escape, and behind the second one of a surrogate pair. */
static gunichar decode_escape(const char **p, const char *end) {
        const char *q = *p + 2;
        gunichar unit, low;

        *p = q;
        switch (q[-1]) {
        case 'b':
                return '\b';
        case 'f':
                return '\f';
        case 'n':
                return '\n';
        case 'r':
                return '\r';
        case 't':
                return '\t';
        case 'u':
                break;
        default:
                return (gunichar) q[-1];
        }
        unit = four_digits(q);
        q += 4;
        *p = q;
        if (unit < 0xd800 || unit > 0xdfff)
                return unit;
        if (unit > 0xdbff || end - q < 6 || q[0] != '\\' || q[1] != 'u')
                return HALF_PAIR;
        low = four_digits(q + 2);
        if (low < 0xdc00 || low > 0xdfff)
                return HALF_PAIR;
        *p = q + 6;
        return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
}

static gunichar or_replacement(gunichar unit) {
        return unit == HALF_PAIR ? REPLACEMENT : unit;
}

bool json_string_equals(JsonRange string, const char *text) {
        size_t size = strlen(text);
        const char *p, *end;
        char decoded[6];

        if (json_type(string) != JSON_STRING || string.size < 2)
                return false;
        p = string.data + 1;
        end = string.data + string.size - 1;
        if ((size_t) (end - p) < size)
                return false;
        if (!memchr(p, '\\', (size_t) (end - p)))
                return (size_t) (end - p) == size && memcmp(p, text, size) == 0;
        while (p < end) {
                size_t step = 1;

                if (*p == '\\')
                        step = (size_t) g_unichar_to_utf8(or_replacement(decode_escape(&p, end)), decoded);
                else
                        decoded[0] = *p++;
                if (size < step || memcmp(decoded, text, step) != 0)
                        return false;
                text += step;
                size -= step;
        }
        return size == 0;
}

char *json_string_decode(JsonRange string) {
        g_autoptr(GString) decoded = NULL;
        const char *p, *end;

        if (json_type(string) != JSON_STRING || string.size < 2)
                return NULL;
        p = string.data + 1;
        end = string.data + string.size - 1;
        decoded = g_string_sized_new(string.size);
        while (p < end) {
                const char *escape = memchr(p, '\\', (size_t) (end - p)) ?: end;
                gunichar unit;

                g_string_append_len(decoded, p, escape - p);
                p = escape;
                if (p == end)
                        break;
                unit = decode_escape(&p, end);
                if (unit == 0)
                        return NULL;
                g_string_append_unichar(decoded, or_replacement(unit));
        }
        return g_string_free(g_steal_pointer(&decoded), FALSE);
}

bool json_string_is_text(JsonRange string) {
        const char *p = string.data, *end = string.data + string.size;

        while ((p = memchr(p, '\\', (size_t) (end - p)))) {
                gunichar unit = decode_escape(&p, end);

                if (unit == 0 || unit == HALF_PAIR)
                        return false;
        }
        return true;
}

static bool needs_escape(unsigned char byte) {
        return byte < ' ' || byte == '"' || byte == '\\';
}

static void append_escape(GString *out, char byte) {
        const char *short_form = strchr("\"\"\\\\\bb\ff\nn\rr\tt", byte);

        if (byte && short_form)
                g_string_append_printf(out, "\\%c", short_form[1]);
        else
                g_string_append_printf(out, "\\u%04x", (unsigned char) byte);
}

void json_append_string(GString *out, const char *text, size_t size) {
        const char *end = text + size, *valid_end = text;

        g_string_append_c(out, '"');
        while (text < end) {
                const char *p = text;

                if (text == valid_end)
                        g_utf8_validate_len(text, (size_t) (end - text), &valid_end);
                while (p < valid_end && !needs_escape((unsigned char) *p))
                        p++;
                g_string_append_len(out, text, p - text);
                text = p;
                if (text == end)
                        break;
                if (needs_escape((unsigned char) *text)) /* NUL as well, at which the validation stops */
                        append_escape(out, *text);
                else if (text == valid_end)
                        g_string_append_unichar(out, REPLACEMENT);
                text++;
                valid_end = MAX(valid_end, text);
        }
        g_string_append_c(out, '"');
}

#ifdef __SSE2__
static inline void copy_16(char *target, const char *source) {
        __m128i bytes = _mm_loadu_si128((const __m128i *) (const void *) source);
        __m128i breaks = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('\n')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\r')));

        bytes = _mm_or_si128(_mm_andnot_si128(breaks, bytes), _mm_and_si128(breaks, _mm_set1_epi8(' ')));
        _mm_storeu_si128((__m128i *) (void *) target, bytes);
}
#endif

size_t json_copy_one_line(char *target, JsonRange value) {
        size_t i = 0;

#ifdef __SSE2__
        if (value.size >= 16) {
                for (; i + 16 <= value.size; i += 16)
                        copy_16(target + i, value.data + i);
                copy_16(target + value.size - 16, value.data + value.size - 16);
                return value.size;
        }
#endif
        for (; i < value.size; i++)
                target[i] = value.data[i] == '\n' || value.data[i] == '\r' ? ' ' : value.data[i];
        return value.size;
}

char *json_quote(const char *data, size_t size) {
        GString *quoted = g_string_new(NULL);
        const char *end = data + MIN(size, QUOTED_MAX);

        while (data < end) {
                gunichar unit = g_utf8_get_char_validated(data, end - data);
                size_t step = 1;

                if (unit == (gunichar) -2 && *data && size > QUOTED_MAX)
                        break; /* the cut is inside a character */
                if (unit < (gunichar) -2 && g_unichar_isprint(unit)) {
                        step = (size_t) (g_utf8_next_char(data) - data);
                        g_string_append_len(quoted, data, (gssize) step);
                } else
                        g_string_append_printf(quoted, "\\x%02x", (unsigned char) *data);
                data += step;
        }
        if (size > QUOTED_MAX)
                g_string_append(quoted, "...");
        return g_string_free(quoted, FALSE);
}
