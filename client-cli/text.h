/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text for people. What plugins, manifests and the daemon say is not trusted: it goes through text_safe() before it reaches a
 * terminal, where an escape sequence could rewrite what the user sees or types.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum TextKeep {
        TEXT_KEEP_NOTHING = 0,
        TEXT_KEEP_TABS = 1 << 0,
        TEXT_KEEP_NEWLINES = 1 << 1,
} TextKeep;

/* TEXT with everything escaped that a terminal would obey instead of show: control characters (\n, \x1b, \u009b), characters that
 * reorder or hide text, and bytes that are not UTF-8 (\xff). Newly allocated. */
char *text_safe(const char *text, size_t size, TextKeep keep);

/* True for characters that text_safe() escapes. */
bool text_obeyed(uint32_t character);

/* Columns that UTF-8 takes on a terminal. */
size_t text_width(const char *text);

/* TEXT, cut with an ellipsis if it is wider than WIDTH columns. Newly allocated. */
char *text_ellipsize(const char *text, size_t width);

/* Whether the locale's character set is UTF-8; else plain ASCII is used for dots and ellipses. */
bool text_utf8_locale(void);

/* "Sat 2026-11-21 11:28:14 UTC" in local time; "Nov 21 11:28:14" as logs have it; "3min ago". */
char *text_timestamp(uint64_t realtime_usec);
char *text_timestamp_log(uint64_t realtime_usec);
char *text_ago(uint64_t realtime_usec, uint64_t now_usec);

/* "1min 30s", "250ms", "infinity" */
char *text_timespan(uint64_t usec);
/* "48.1M" */
char *text_bytes(uint64_t bytes);
/* In 6 columns: "850us", "1.25ms", "12.5ms", "3.50s", "120s"; ">235s" for UINT64_MAX. */
char *text_latency(uint64_t usec);

/* "5", "1min 30s", "250ms", "1.5s", "infinity" (UINT64_MAX); a bare number is seconds. 0 or -EINVAL. */
int text_parse_timespan(const char *text, uint64_t *ret_usec);

/* "TERM", "SIGTERM", "15". 0 or -EINVAL. */
int text_parse_signal(const char *text, int *ret);
