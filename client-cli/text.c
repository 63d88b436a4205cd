/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "text.h"

#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <langinfo.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define USEC_PER_SEC UINT64_C(1000000)
#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_PER_MINUTE (60 * USEC_PER_SEC)
#define USEC_PER_HOUR (60 * USEC_PER_MINUTE)
#define USEC_PER_DAY (24 * USEC_PER_HOUR)

bool text_obeyed(uint32_t c) {
        if (c == 0x200c || c == 0x200d) /* joiners: scripts and emoji are written with them */
                return false;
        switch (g_unichar_type(c)) {
        case G_UNICODE_CONTROL:
        case G_UNICODE_FORMAT: /* among them the marks that reverse the direction of what follows */
        case G_UNICODE_LINE_SEPARATOR:
        case G_UNICODE_PARAGRAPH_SEPARATOR:
                return true;
        default:
                return false;
        }
}

static void append_escaped(GString *out, uint32_t c) {
        switch (c) {
        case '\n':
                g_string_append(out, "\\n");
                break;
        case '\r':
                g_string_append(out, "\\r");
                break;
        case '\t':
                g_string_append(out, "\\t");
                break;
        default:
                g_string_append_printf(out, c < 0x80 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
        }
}

char *text_safe(const char *text, size_t size, TextKeep keep) {
        GString *out = g_string_sized_new(size);

        for (const char *p = text, *end = text + size; p < end;) {
                gunichar c = g_utf8_get_char_validated(p, end - p);

                if (c == (gunichar) -1 || c == (gunichar) -2) {
                        g_string_append_printf(out, "\\x%02x", (unsigned char) *p++);
                        continue;
                }

                const char *next = p + (c == 0 ? 1 : g_utf8_skip[(unsigned char) *p]);
                bool kept = (c == '\t' && keep & TEXT_KEEP_TABS) || (c == '\n' && keep & TEXT_KEEP_NEWLINES);
                if (text_obeyed(c) && !kept)
                        append_escaped(out, c);
                else
                        g_string_append_len(out, p, next - p);
                p = next;
        }
        return g_string_free(out, false);
}

static size_t character_width(gunichar c) {
        return g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
}

size_t text_width(const char *text) {
        size_t width = 0;

        for (; *text; text = g_utf8_next_char(text))
                width += character_width(g_utf8_get_char(text));
        return width;
}

bool text_utf8_locale(void) {
        return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

char *text_ellipsize(const char *text, size_t width) {
        if (text_width(text) <= width)
                return g_strdup(text);

        const char *ellipsis = text_utf8_locale() ? "…" : "...", *p = text;
        size_t taken = text_width(ellipsis);
        if (taken > width)
                return g_strndup("...", width);

        for (; *p; p = g_utf8_next_char(p)) {
                taken += character_width(g_utf8_get_char(p));
                if (taken > width)
                        break;
        }
        return g_strdup_printf("%.*s%s", (int) (p - text), text, ellipsis);
}

/* False for times that no calendar of ours has. */
static bool local_time(uint64_t usec, struct tm *ret) {
        time_t seconds = (time_t) (usec / USEC_PER_SEC);

        return usec / USEC_PER_SEC <= UINT64_C(253402300799) && localtime_r(&seconds, ret);
}

char *text_timestamp(uint64_t realtime_usec) {
        char buffer[128];
        struct tm tm;

        if (!local_time(realtime_usec, &tm) || strftime(buffer, sizeof(buffer), "%a %Y-%m-%d %H:%M:%S %Z", &tm) == 0)
                return g_strdup("n/a");
        return g_strdup(buffer);
}

char *text_timestamp_log(uint64_t realtime_usec) {
        char buffer[128];
        struct tm tm;

        if (!local_time(realtime_usec, &tm) || strftime(buffer, sizeof(buffer), "%b %d %H:%M:%S", &tm) == 0)
                return g_strdup("n/a");
        return g_strdup(buffer);
}

/* The units of systemctl's "3min 5s ago": a month is 30.44 days. */
static const struct {
        const char *singular, *plural;
        uint64_t usec, next; /* next: how many of the following unit it is at most shown with */
} ago_units[] = {
        { " year", " years", 31557600 * USEC_PER_SEC, 2629800 * USEC_PER_SEC }, /* and months */
        { " month", " months", 2629800 * USEC_PER_SEC, USEC_PER_DAY },          /* and days */
        { " week", " weeks", 7 * USEC_PER_DAY, USEC_PER_DAY },                  /* and days */
        { " day", " days", USEC_PER_DAY, 0 },
        { "h", "h", USEC_PER_HOUR, USEC_PER_MINUTE }, /* and minutes */
        { "min", "min", USEC_PER_MINUTE, 0 },
        { "s", "s", USEC_PER_SEC, 0 },
};

static void append_amount(GString *out, uint64_t n, size_t unit) {
        g_string_append_printf(out, "%" PRIu64 "%s", n, n == 1 ? ago_units[unit].singular : ago_units[unit].plural);
}

char *text_ago(uint64_t realtime_usec, uint64_t now_usec) {
        bool past = realtime_usec <= now_usec;
        uint64_t distance = past ? now_usec - realtime_usec : realtime_usec - now_usec;
        GString *out = g_string_new(NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(ago_units) && out->len == 0; i++) {
                /* As systemctl: "90min" would be exact, "5 days" is enough, "24h" waits for the second day. */
                uint64_t from = ago_units[i].usec == USEC_PER_DAY ? 2 * USEC_PER_DAY : ago_units[i].usec;
                if (distance < from)
                        continue;
                append_amount(out, distance / ago_units[i].usec, i);
                for (size_t j = i + 1; ago_units[i].next > 0 && j < G_N_ELEMENTS(ago_units); j++)
                        if (ago_units[j].usec == ago_units[i].next && distance % ago_units[i].usec >= ago_units[j].usec) {
                                g_string_append_c(out, ' ');
                                append_amount(out, distance % ago_units[i].usec / ago_units[j].usec, j);
                        }
        }

        if (out->len == 0)
                g_string_append_printf(out, "%" PRIu64 "ms", distance / USEC_PER_MSEC);
        g_string_append(out, past ? " ago" : " left");
        return g_string_free(out, false);
}

static const struct {
        const char *name;
        uint64_t usec;
} span_units[] = {
        { "d", USEC_PER_DAY },
        { "h", USEC_PER_HOUR },
        { "min", USEC_PER_MINUTE },
        { "s", USEC_PER_SEC },
        { "ms", USEC_PER_MSEC },
        { "us", 1 },
        { "usec", 1 },
        { "msec", USEC_PER_MSEC },
        { "m", USEC_PER_MINUTE },
        { "sec", USEC_PER_SEC },
        { "second", USEC_PER_SEC },
        { "seconds", USEC_PER_SEC },
        { "minute", USEC_PER_MINUTE },
        { "minutes", USEC_PER_MINUTE },
        { "hour", USEC_PER_HOUR },
        { "hours", USEC_PER_HOUR },
        { "hr", USEC_PER_HOUR },
        { "w", 7 * USEC_PER_DAY },
        { "week", 7 * USEC_PER_DAY },
        { "weeks", 7 * USEC_PER_DAY },
        { "month", 2629800 * USEC_PER_SEC },
        { "months", 2629800 * USEC_PER_SEC },
        { "y", 31557600 * USEC_PER_SEC },
        { "year", 31557600 * USEC_PER_SEC },
        { "years", 31557600 * USEC_PER_SEC },
        { "day", USEC_PER_DAY },
        { "days", USEC_PER_DAY },
};
#define SPAN_UNITS_SHOWN 6

char *text_timespan(uint64_t usec) {
        if (usec == UINT64_MAX)
                return g_strdup("infinity");
        if (usec == 0)
                return g_strdup("0");

        GString *out = g_string_new(NULL);
        for (size_t i = 0; i < SPAN_UNITS_SHOWN; i++)
                if (usec >= span_units[i].usec) {
                        g_string_append_printf(out, "%s%" PRIu64 "%s", out->len > 0 ? " " : "", usec / span_units[i].usec,
                                               span_units[i].name);
                        usec %= span_units[i].usec;
                }
        return g_string_free(out, false);
}

char *text_bytes(uint64_t bytes) {
        static const char units[] = "KMGTPE";
        double value = bytes;
        int unit = -1;

        while (value >= 1024 && unit < (int) sizeof(units) - 2) {
                value /= 1024;
                unit++;
        }
        return unit < 0 ? g_strdup_printf("%" PRIu64 "B", bytes) : g_strdup_printf("%.1f%c", value, units[unit]);
}

char *text_latency(uint64_t usec) {
        double value = (double) usec / (double) (usec < USEC_PER_SEC ? USEC_PER_MSEC : USEC_PER_SEC);

        if (usec == UINT64_MAX)
                return g_strdup(">235s"); /* the last bucket of plugind's histogram */
        if (usec < USEC_PER_MSEC)
                return g_strdup_printf("%" PRIu64 "us", usec);
        return g_strdup_printf("%.*f%s", value < 10 ? 2 : value < 100 ? 1 : 0, value, usec < USEC_PER_SEC ? "ms" : "s");
}

static int parse_unit(const char **p, uint64_t *ret) {
        size_t length = strspn(*p, "abcdefghijklmnopqrstuvwxyz");

        if (length == 0) {
                *ret = USEC_PER_SEC;
                return 0;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(span_units); i++)
                if (strlen(span_units[i].name) == length && memcmp(span_units[i].name, *p, length) == 0) {
                        *p += length;
                        *ret = span_units[i].usec;
                        return 0;
                }
        return -EINVAL;
}

int text_parse_timespan(const char *text, uint64_t *ret_usec) {
        double total = 0;
        const char *p = text + strspn(text, " ");

        if (strcmp(p, "infinity") == 0) {
                *ret_usec = UINT64_MAX;
                return 0;
        }
        if (*p == '\0')
                return -EINVAL;

        while (*p) {
                uint64_t unit;
                char *end;

                if (!g_ascii_isdigit(*p) && *p != '.') /* no sign, "nan" or "inf" */
                        return -EINVAL;
                double number = g_ascii_strtod(p, &end);
                if (end == p || strpbrk(p, "xX") == p + 1)
                        return -EINVAL;
                p = end + strspn(end, " ");
                if (parse_unit(&p, &unit) < 0)
                        return -EINVAL;
                total += number * (double) unit;
                p += strspn(p, " ");
        }

        if (!isfinite(total) || total >= 9e18)
                return -EINVAL;
        *ret_usec = (uint64_t) (total + 0.5);
        return 0;
}

int text_parse_signal(const char *text, int *ret) {
        char *end;
        long number = strtol(text, &end, 10);

        if (end != text && *end == '\0') {
                if (!g_ascii_isdigit(*text) || number < 1 || number > SIGRTMAX)
                        return -EINVAL;
                *ret = number;
                return 0;
        }

        const char *name = g_ascii_strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
        for (int i = 1; i < SIGRTMIN; i++) {
                const char *abbreviation = sigabbrev_np(i);
                if (abbreviation && strcasecmp(abbreviation, name) == 0) {
                        *ret = i;
                        return 0;
                }
        }
        return -EINVAL;
}
