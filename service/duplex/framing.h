/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How messages lie in a byte stream: `lines` (one a line, what MCP uses) or `headers` (Content-Length, what LSP uses).
 * Pure: works on bytes that somebody else has read. */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef enum Framing {
        FRAMING_LINES,
        FRAMING_HEADERS,
        _FRAMING_MAX,
        _FRAMING_INVALID = -1,
} Framing;

const char *framing_to_string(Framing framing);
Framing framing_from_string(const char *name); /* _FRAMING_INVALID if unknown */

typedef enum FrameVerdict {
        FRAME_MESSAGE,  /* one message at data + offset, size bytes; the frame is `consumed` bytes long */
        FRAME_SKIP,     /* a blank line, or one that does not begin with '{' (a banner, a log line): at data + offset, size bytes */
        FRAME_MORE,     /* not complete yet: nothing to consume */
        FRAME_OVERSIZE, /* the message is larger than the limit; its first bytes (FRAMING_HEAD_MAX or the limit, if that is less) at
                          * data + offset, size bytes. Call again with what follows: FRAME_DISCARD until it is over, then as usual */
        FRAME_DISCARD,  /* `consumed` bytes of an oversize message to drop */
        FRAME_BROKEN,   /* headers that are none: no way to find the next message. offset/size: the bytes to quote */
} FrameVerdict;

typedef struct Frame {
        FrameVerdict verdict;
        size_t offset, size;
        size_t consumed;
} Frame;

/* Remembers what was already searched, so that a long message is searched once. */
typedef struct FrameScanner {
        Framing framing;
        size_t limit;      /* largest message in bytes */
        size_t searched;   /* bytes at the start of the data known to hold no end of line */
        uint64_t discard;  /* bytes of an oversize message still to drop; UINT64_MAX: until the end of the line */
        size_t header_end; /* headers: of the message being waited for; 0: not known yet */
        uint64_t content_length;
} FrameScanner;

/* Looks at the SIZE bytes that are not yet consumed. Always the same bytes plus newly read ones until something is consumed. */
Frame frame_scan(FrameScanner *scanner, const char *data, size_t size);

/* How much of an oversize message is shown: enough to find its id in. */
#define FRAMING_HEAD_MAX 4096

/* Longest header block accepted, in bytes. LSP servers send some 30. */
#define FRAMING_HEADER_MAX 4096
