/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Points in time as people write them. */
#pragma once

#include <stdint.h>

/* What journalctl takes for --since=: "2026-11-21", "2026-11-21 13:05", "2026-11-21 13:05:10" (also with T between, and UTC or Z behind),
 * "13:05", "13:05:10", "now", "today", "yesterday", "-1h", "+5min", "10 min ago", "@1795260494". Local time. 0 or -EINVAL. */
int text_parse_time(const char *text, uint64_t now_usec, uint64_t *ret_usec);
#define TEXT_TIME_EXPECTED "a time such as \"2026-11-21 13:05:10\", \"13:05\", \"today\", \"yesterday\", \"-1h\" or \"10 min ago\""
