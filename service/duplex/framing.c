/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a byte stream says must not depend on how it was cut into reads: every verdict is given at the same byte. */
#include "duplex/framing.h"

#include <glib.h>
#include <stdbool.h>
#include <string.h>

#define UNTIL_END_OF_LINE UINT64_MAX

static const char *const framing_names[_FRAMING_MAX] = { "lines", "headers" };

const char *framing_to_string(Framing framing) {
        return framing >= 0 && framing < _FRAMING_MAX ? framing_names[framing] : NULL;
}

Framing framing_from_string(const char *name) {
        for (int i = 0; name && i < _FRAMING_MAX; i++)
                if (strcmp(name, framing_names[i]) == 0)
                        return (Framing) i;
        return _FRAMING_INVALID;
}

static Frame more(void) {
        return (Frame){ .verdict = FRAME_MORE };
}

static Frame consumed(FrameScanner *scanner, Frame frame) {
        scanner->searched = scanner->header_end = scanner->content_length = 0;
        return frame;
}

static Frame discard(FrameScanner *scanner, const char *data, size_t size) {
        size_t count = size;

        if (scanner->discard == UNTIL_END_OF_LINE) {
                const char *end = memchr(data, '\n', size);

                if (end) {
                        count = (size_t) (end - data) + 1;
                        scanner->discard = 0;
                }
        } else {
                count = (size_t) MIN(scanner->discard, size);
                scanner->discard -= count;
        }
        return consumed(scanner, (Frame){ .verdict = FRAME_DISCARD, .consumed = count });
}

static Frame scan_line(FrameScanner *scanner, const char *data, size_t size) {
        const char *end = memchr(data + scanner->searched, '\n', size - scanner->searched);
        size_t length = end ? (size_t) (end - data) : size, start = 0;
        Frame frame = { .consumed = end ? length + 1 : length };

        if (!end && length <= scanner->limit + 1) { /* a final \r does not count */
                scanner->searched = size;
                return more();
        }
        if (end && length > 0 && data[length - 1] == '\r')
                length--;
        if (length > scanner->limit) {
                if (!end)
                        scanner->discard = UNTIL_END_OF_LINE;
                frame.verdict = FRAME_OVERSIZE;
                frame.size = MIN(scanner->limit, FRAMING_HEAD_MAX);
                return consumed(scanner, frame);
        }
        while (start < length && (data[start] == ' ' || data[start] == '\t'))
                start++;
        frame.verdict = start < length && data[start] == '{' ? FRAME_MESSAGE : FRAME_SKIP;
        frame.offset = start;
        frame.size = length - start;
        return consumed(scanner, frame);
}

/* Digits with white space around them. */
static bool parse_length(const char *text, size_t size, uint64_t *ret) {
        uint64_t value = 0;
        size_t digits = 0;

        for (; size > 0 && (*text == ' ' || *text == '\t'); size--)
                text++;
        for (; size > 0 && (text[size - 1] == ' ' || text[size - 1] == '\t');)
                size--;
        for (; digits < size; digits++) {
                if (!g_ascii_isdigit(text[digits]) || digits >= 15) /* 15 digits are enough and stay clear of overflows */
                        return false;
                value = value * 10 + (uint64_t) (text[digits] - '0');
        }
        *ret = value;
        return digits > 0;
}

/* One "Name: value" without its end of line. */
static bool parse_header(const char *line, size_t size, bool *known, uint64_t *length) {
        const char name[] = "content-length", *colon = memchr(line, ':', size);
        size_t name_size;

        if (!colon || colon == line)
                return false;
        name_size = (size_t) (colon - line);
        for (size_t i = 0; i < name_size; i++)
                if (!g_ascii_isalnum(line[i]) && line[i] != '-' && line[i] != '_')
                        return false;
        if (name_size != sizeof name - 1 || g_ascii_strncasecmp(line, name, name_size) != 0)
                return true;
        if (*known)
                return false;
        *known = true;
        return parse_length(colon + 1, size - name_size - 1, length);
}

/* Looks at the complete lines among the SIZE bytes: FRAME_MESSAGE when the block is whole and good (*end, *length are set), FRAME_MORE or
 * FRAME_BROKEN. */
static Frame parse_block(const char *data, size_t size, size_t *end, uint64_t *length) {
        size_t start = 0, window = MIN(size, FRAMING_HEADER_MAX);
        bool known = false;
        const char *feed;

        while ((feed = memchr(data + start, '\n', window - start))) {
                size_t next = (size_t) (feed - data) + 1, line_size = next - 1 - start;

                if (line_size > 0 && feed[-1] == '\r')
                        line_size--;
                if (line_size == 0 && known) {
                        *end = next;
                        return (Frame){ .verdict = FRAME_MESSAGE };
                }
                if (!parse_header(data + start, line_size, &known, length))
                        return (Frame){ .verdict = FRAME_BROKEN, .offset = start, .size = line_size };
                start = next;
        }
        if (size >= FRAMING_HEADER_MAX)
                return (Frame){ .verdict = FRAME_BROKEN, .size = FRAMING_HEADER_MAX };
        return more();
}

static Frame scan_headers(FrameScanner *scanner, const char *data, size_t size) {
        uint64_t length = scanner->content_length;
        size_t body;

        if (scanner->header_end == 0) {
                bool new_line = memchr(data + scanner->searched, '\n', size - scanner->searched);
                Frame frame;

                scanner->searched = size;
                if (!new_line && size < FRAMING_HEADER_MAX)
                        return more();
                frame = parse_block(data, size, &scanner->header_end, &length);
                if (frame.verdict != FRAME_MESSAGE)
                        return frame;
                scanner->content_length = length;
        }
        body = size - scanner->header_end;
        if (length > scanner->limit) {
                Frame frame = { .verdict = FRAME_OVERSIZE, .offset = scanner->header_end, .size = MIN(scanner->limit, FRAMING_HEAD_MAX) };

                if (body < frame.size)
                        return more();
                body = (size_t) MIN(body, length);
                frame.consumed = scanner->header_end + body;
                scanner->discard = length - body;
                return consumed(scanner, frame);
        }
        if (body < length)
                return more();
        return consumed(scanner, (Frame){ .verdict = FRAME_MESSAGE,
                                          .offset = scanner->header_end,
                                          .size = (size_t) length,
                                          .consumed = scanner->header_end + (size_t) length });
}

Frame frame_scan(FrameScanner *scanner, const char *data, size_t size) {
        if (size == 0)
                return more();
        if (scanner->discard > 0)
                return discard(scanner, data, size);
        return scanner->framing == FRAMING_LINES ? scan_line(scanner, data, size) : scan_headers(scanner, data, size);
}
