/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One pass over the text, no recursion (what is open is a bit each: object or array) and nothing allocated. Most
 * bytes of most messages are plain ASCII inside strings, so these are stepped over 16 or 8 at a time.
 */
#include "basic/json.h"

#include <errno.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* The text being scanned; `fault` is where a refusal goes and may be NULL. */
typedef struct Scan {
        const uint8_t *start, *end;
        JsonFault *fault;
        unsigned depth_max;
} Scan;

/* Which containers are open: a set bit is an object. */
typedef struct Nesting {
        unsigned depth;
        uint64_t objects[(JSON_DEPTH_MAX + JSON_DEPTH_AROUND) / 64];
} Nesting;

static inline Scan scan_of(JsonRange text, JsonFault *fault) {
        const uint8_t *start = (const uint8_t *) (text.data ?: "");

        return (Scan){ start, start + text.size, fault, JSON_DEPTH_MAX };
}

static __attribute__((cold, noinline)) const uint8_t *refuse(const Scan *scan, const uint8_t *at, const char *what) {
        if (scan->fault)
                *scan->fault = (JsonFault){ (size_t) (at - scan->start), what };
        return NULL;
}

static inline bool is_digit(const uint8_t *p, const uint8_t *end) {
        return p < end && *p >= '0' && *p <= '9';
}

static inline const uint8_t *skip_space(const uint8_t *p, const uint8_t *end) {
        while (p < end && *p <= ' ' && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
                p++;
        return p;
}

/* The first byte that needs a closer look: a quote, a backslash, a control character, a byte that is not ASCII. */
static inline const uint8_t *skip_plain(const uint8_t *p, const uint8_t *end) {
#ifdef __SSE2__
        while (end - p >= 16) {
                __m128i bytes = _mm_loadu_si128((const __m128i *) (const void *) p);
                __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
                __m128i backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
                /* The comparison is signed: bytes of 0x80 and above are below ' ' as well. */
                __m128i other = _mm_cmplt_epi8(bytes, _mm_set1_epi8(' '));
                int found = _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), other));

                if (found)
                        return p + __builtin_ctz((unsigned) found);
                p += 16;
        }
#endif
        const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones * 0x80;

        while (end - p >= 8) {
                uint64_t bytes, quote, backslash;

                memcpy(&bytes, p, sizeof bytes);
                quote = bytes ^ (ones * '"');
                backslash = bytes ^ (ones * '\\');
                if ((((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) | (bytes - ones * ' ') | bytes) & tops)
                        break;
                p += 8;
        }
        while (p < end && *p >= ' ' && *p < 0x80 && *p != '"' && *p != '\\')
                p++;
        return p;
}

static inline bool is_continuation(uint8_t byte) {
        return (byte & 0xc0) == 0x80;
}

/* The end of the UTF-8 sequence at P, NULL if it is none: too long for what it says, a surrogate, above U+10FFFF, cut off. */
static inline const uint8_t *skip_utf8(const uint8_t *p, const uint8_t *end) {
        uint8_t first = *p;

        if (first < 0xc2)
                return NULL;
        if (first < 0xe0)
                return end - p >= 2 && is_continuation(p[1]) ? p + 2 : NULL;
        if (first < 0xf0) {
                if (end - p < 3 || !is_continuation(p[1]) || !is_continuation(p[2]))
                        return NULL;
                if ((first == 0xe0 && p[1] < 0xa0) || (first == 0xed && p[1] > 0x9f))
                        return NULL;
                return p + 3;
        }
        if (first > 0xf4 || end - p < 4 || !is_continuation(p[1]) || !is_continuation(p[2]) || !is_continuation(p[3]))
                return NULL;
        if ((first == 0xf0 && p[1] < 0x90) || (first == 0xf4 && p[1] > 0x8f))
                return NULL;
        return p + 4;
}

/* P is behind a backslash. */
static const uint8_t *scan_escape(const Scan *scan, const uint8_t *p) {
        if (p >= scan->end)
                return refuse(scan, p, "the text ends inside a string");
        switch (*p) {
        case '"':
        case '\\':
        case '/':
        case 'b':
        case 'f':
        case 'n':
        case 'r':
        case 't':
                return p + 1;
        case 'u':
                p++;
                for (const uint8_t *last = p + 4; p < last; p++) {
                        if (p >= scan->end)
                                return refuse(scan, p, "the text ends inside a string");
                        if (!g_ascii_isxdigit((char) *p))
                                return refuse(scan, p, "\\u is not followed by four hexadecimal digits");
                }
                return p;
        default:
                return refuse(scan, p, "an unknown escape in a string");
        }
}

/* P is at the opening quote. */
static inline const uint8_t *scan_string(const Scan *scan, const uint8_t *p) {
        const uint8_t *next;

        for (p++;;) {
                p = skip_plain(p, scan->end);
                if (p >= scan->end)
                        return refuse(scan, p, "the text ends inside a string");
                if (*p == '"')
                        return p + 1;
                if (*p == '\\') {
                        p = scan_escape(scan, p + 1);
                        if (!p)
                                return NULL;
                } else if (*p >= 0x80) {
                        do {
                                next = skip_utf8(p, scan->end);
                                if (!next)
                                        return refuse(scan, p, "a byte that is no UTF-8");
                                p = next;
                        } while (p < scan->end && *p >= 0x80);
                } else
                        return refuse(scan, p, *p == 0 ? "a NUL byte" : "a raw control character in a string");
        }
}

static inline const uint8_t *skip_digits(const uint8_t *p, const uint8_t *end) {
        while (is_digit(p, end))
                p++;
        return p;
}

static const uint8_t *scan_number(const Scan *scan, const uint8_t *p) {
        const uint8_t *end = scan->end;

        if (*p == '-')
                p++;
        if (!is_digit(p, end))
                return refuse(scan, p, "a minus sign without digits");
        if (*p == '0' && is_digit(p + 1, end))
                return refuse(scan, p, "a number with a leading zero");
        p = skip_digits(p, end);
        if (p < end && *p == '.') {
                if (!is_digit(++p, end))
                        return refuse(scan, p, "a decimal point without digits behind it");
                p = skip_digits(p, end);
        }
        if (p < end && (*p == 'e' || *p == 'E')) {
                p++;
                if (p < end && (*p == '+' || *p == '-'))
                        p++;
                if (!is_digit(p, end))
                        return refuse(scan, p, "an exponent without digits");
                p = skip_digits(p, end);
        }
        return p;
}

static inline const uint8_t *scan_word(const Scan *scan, const uint8_t *p, const char *word, size_t size) {
        if ((size_t) (scan->end - p) < size || memcmp(p, word, size) != 0)
                return refuse(scan, p, "a word that is neither true, false nor null");
        return p + size;
}

static __attribute__((cold, noinline)) const uint8_t *refuse_start(const Scan *scan, const uint8_t *p) {
        if (p >= scan->end)
                return refuse(scan, p, "the text ends where a value is expected");
        if (scan->end - p >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
                return refuse(scan, p, "a byte order mark");
        if (*p == 0)
                return refuse(scan, p, "a NUL byte");
        if (*p == '\'')
                return refuse(scan, p, "a single quote: strings take double quotes");
        if (*p == ']' || *p == '}')
                return refuse(scan, p, "a closing bracket where a value is expected");
        return refuse(scan, p, "a value is expected");
}

/* Anything that contains nothing: P is at its first byte. */
static inline const uint8_t *scan_scalar(const Scan *scan, const uint8_t *p) {
        switch (*p) {
        case '"':
                return scan_string(scan, p);
        case '-':
        case '0' ... '9':
                return scan_number(scan, p);
        case 't':
                return scan_word(scan, p, "true", 4);
        case 'f':
                return scan_word(scan, p, "false", 5);
        case 'n':
                return scan_word(scan, p, "null", 4);
        default:
                return refuse_start(scan, p);
        }
}

static inline bool inside_object(const Nesting *nesting) {
        unsigned level = nesting->depth - 1;

        return (nesting->objects[level / 64] >> (level % 64)) & 1;
}

static inline void nest(Nesting *nesting, bool object) {
        unsigned level = nesting->depth++;
        uint64_t bit = UINT64_C(1) << (level % 64);

        if (object)
                nesting->objects[level / 64] |= bit;
        else
                nesting->objects[level / 64] &= ~bit;
}

/* P is where a member begins; returns where its value begins. */
static inline const uint8_t *scan_key(const Scan *scan, const uint8_t *p) {
        p = skip_space(p, scan->end);
        if (p >= scan->end)
                return refuse(scan, p, "the text ends inside an object");
        if (*p != '"')
                return refuse(scan, p, *p == '}' ? "a comma before the end of an object" : "a key in double quotes is expected");
        p = scan_string(scan, p);
        if (!p)
                return NULL;
        p = skip_space(p, scan->end);
        if (p >= scan->end || *p != ':')
                return refuse(scan, p, "a colon is expected behind a key");
        return p + 1;
}

/* P is behind a value inside a container. Steps over closing brackets and one comma: returns where the next value begins, or, with
 * nothing open any more, the end. */
static inline const uint8_t *scan_separator(const Scan *scan, Nesting *nesting, const uint8_t *p) {
        while (nesting->depth > 0) {
                bool object = inside_object(nesting);

                p = skip_space(p, scan->end);
                if (p >= scan->end)
                        return refuse(scan, p, object ? "the text ends inside an object" : "the text ends inside an array");
                if (*p == ',')
                        return object ? scan_key(scan, p + 1) : p + 1;
                if (*p != (object ? '}' : ']'))
                        return refuse(scan, p, object ? "a comma or } is expected" : "a comma or ] is expected");
                nesting->depth--;
                p++;
        }
        return p;
}

/* P is at the first byte of a value. */
static const uint8_t *scan_value(const Scan *scan, const uint8_t *p) {
        Nesting nesting;

        nesting.depth = 0;
        do {
                p = skip_space(p, scan->end);
                if (p >= scan->end)
                        return refuse_start(scan, p);
                if (*p == '{' || *p == '[') {
                        bool object = *p == '{';

                        if (nesting.depth >= scan->depth_max)
                                return refuse(scan, p, "nested deeper than " G_STRINGIFY(JSON_DEPTH_MAX) " levels");
                        p = skip_space(p + 1, scan->end);
                        if (p < scan->end && *p == (object ? '}' : ']'))
                                p = scan_separator(scan, &nesting, p + 1);
                        else {
                                nest(&nesting, object);
                                if (object)
                                        p = scan_key(scan, p);
                        }
                } else {
                        p = scan_scalar(scan, p);
                        if (p)
                                p = scan_separator(scan, &nesting, p);
                }
                if (!p)
                        return NULL;
        } while (nesting.depth > 0);
        return p;
}

int json_scan_value(JsonRange text, size_t *position, JsonRange *ret, JsonFault *fault) {
        Scan scan = scan_of(text, fault);
        const uint8_t *start = skip_space(scan.start + *position, scan.end), *end = scan_value(&scan, start);

        if (!end)
                return -EBADMSG;
        if (ret)
                *ret = (JsonRange){ (const char *) start, (size_t) (end - start) };
        *position = (size_t) (end - scan.start);
        return 0;
}

static int check(const Scan *scan, JsonRange *ret) {
        const uint8_t *start = skip_space(scan->start, scan->end), *end = scan_value(scan, start), *rest;

        if (!end)
                return -EBADMSG;
        rest = skip_space(end, scan->end);
        if (rest < scan->end) {
                refuse(scan, rest, *rest == 0 ? "a NUL byte" : "something behind the value");
                return -EBADMSG;
        }
        if (ret)
                *ret = (JsonRange){ (const char *) start, (size_t) (end - start) };
        return 0;
}

int json_check(JsonRange text, JsonRange *ret, JsonFault *fault) {
        Scan scan = scan_of(text, fault);

        return check(&scan, ret);
}

int json_check_around(JsonRange text, JsonRange *ret, JsonFault *fault) {
        Scan scan = scan_of(text, fault);

        scan.depth_max += JSON_DEPTH_AROUND;
        return check(&scan, ret);
}

JsonType json_type(JsonRange value) {
        if (!value.data || value.size == 0)
                return JSON_NONE;
        switch (value.data[0]) {
        case '{':
                return JSON_OBJECT;
        case '[':
                return JSON_ARRAY;
        case '"':
                return JSON_STRING;
        case '-':
        case '0' ... '9':
                return JSON_NUMBER;
        case 't':
                return JSON_TRUE;
        case 'f':
                return JSON_FALSE;
        case 'n':
                return JSON_NULL_VALUE;
        default:
                return JSON_NONE;
        }
}

bool json_next(JsonRange container, size_t *cursor, JsonRange *key, JsonRange *value) {
        JsonType type = json_type(container);
        Scan scan = scan_of(container, NULL);
        const uint8_t *p;

        if (type != JSON_OBJECT && type != JSON_ARRAY)
                return false;
        p = skip_space(scan.start + MAX(*cursor, 1), scan.end);
        if (p < scan.end && *p == ',')
                p = skip_space(p + 1, scan.end);
        if (p >= scan.end || *p == ']' || *p == '}')
                return false;
        *cursor = (size_t) (p - scan.start);
        if (key)
                *key = (JsonRange){};
        if (type == JSON_OBJECT) {
                if (json_scan_value(container, cursor, key, NULL) < 0)
                        return false;
                p = skip_space(scan.start + *cursor, scan.end);
                *cursor = (size_t) (p - scan.start) + 1; /* the colon */
        }
        return json_scan_value(container, cursor, value, NULL) >= 0;
}

bool json_find(JsonRange object, const char *key, JsonRange *ret) {
        JsonRange name, value;
        size_t cursor = 0;

        if (json_type(object) != JSON_OBJECT)
                return false;
        while (json_next(object, &cursor, &name, &value))
                if (json_string_equals(name, key)) {
                        *ret = value;
                        return true;
                }
        return false;
}

bool json_get_uint64(JsonRange value, uint64_t *ret) {
        uint64_t number = 0;

        if (json_type(value) != JSON_NUMBER)
                return false;
        for (size_t i = 0; i < value.size; i++) {
                if (!g_ascii_isdigit(value.data[i]) || __builtin_mul_overflow(number, UINT64_C(10), &number) ||
                    __builtin_add_overflow(number, (uint64_t) (value.data[i] - '0'), &number))
                        return false;
        }
        *ret = number;
        return true;
}
