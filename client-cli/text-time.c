/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "text-time.h"

#include "text.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <time.h>

#define USEC_PER_SEC UINT64_C(1000000)

static const struct {
        const char *format;
        enum { DATE = 1, CLOCK = 2 } has;
} formats[] = {
        { "%Y-%m-%d %H:%M:%S", DATE | CLOCK },
        { "%Y-%m-%dT%H:%M:%S", DATE | CLOCK },
        { "%Y-%m-%d %H:%M", DATE | CLOCK },
        { "%Y-%m-%dT%H:%M", DATE | CLOCK },
        { "%Y-%m-%d", DATE },
        { "%H:%M:%S", CLOCK },
        { "%H:%M", CLOCK },
};

/* A day that no month has is not the first of the next. */
static int to_usec(struct tm *tm, bool utc, uint64_t *ret) {
        struct tm given = *tm;
        time_t seconds;

        tm->tm_isdst = -1;
        seconds = utc ? timegm(tm) : mktime(tm);
        if (seconds < 0 || tm->tm_mday != given.tm_mday || tm->tm_mon != given.tm_mon)
                return -EINVAL;
        *ret = (uint64_t) seconds * USEC_PER_SEC;
        return 0;
}

static int midnight(uint64_t now_usec, int days, uint64_t *ret) {
        time_t now = (time_t) (now_usec / USEC_PER_SEC);
        struct tm tm;

        if (!localtime_r(&now, &tm))
                return -EINVAL;
        tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
        tm.tm_mday += days;
        tm.tm_isdst = -1;
        now = mktime(&tm);
        if (now < 0)
                return -EINVAL;
        *ret = (uint64_t) now * USEC_PER_SEC;
        return 0;
}

static int parse_calendar(const char *text, uint64_t now_usec, uint64_t *ret) {
        bool utc = g_str_has_suffix(text, " UTC") || g_str_has_suffix(text, "Z");
        g_autofree char *local = g_strndup(text, strlen(text) - (!utc ? 0 : g_str_has_suffix(text, "Z") ? 1 : 4));
        time_t now = (time_t) (now_usec / USEC_PER_SEC);

        for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
                struct tm tm;
                const char *end;

                if (!(utc ? gmtime_r(&now, &tm) : localtime_r(&now, &tm)))
                        return -EINVAL;
                tm.tm_sec = 0;
                if (!(formats[i].has & CLOCK))
                        tm.tm_hour = tm.tm_min = 0;
                end = strptime(local, formats[i].format, &tm);
                if (end && *end == '\0')
                        return to_usec(&tm, utc, ret);
        }
        return -EINVAL;
}

static int parse_relative(const char *text, uint64_t now_usec, uint64_t *ret) {
        bool ago = g_str_has_suffix(text, " ago"), sign = *text == '-' || *text == '+';
        g_autofree char *span = g_strndup(text + sign, strlen(text) - sign - (ago ? strlen(" ago") : 0));
        uint64_t usec;

        if (ago == sign || text_parse_timespan(span, &usec) < 0 || usec == UINT64_MAX)
                return -EINVAL;
        if (*text == '+')
                *ret = now_usec + usec;
        else
                *ret = now_usec > usec ? now_usec - usec : 0;
        return 0;
}

static int parse_epoch(const char *text, uint64_t *ret) {
        guint64 seconds;

        if (!g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT64 / USEC_PER_SEC, &seconds, NULL))
                return -EINVAL;
        *ret = seconds * USEC_PER_SEC;
        return 0;
}

int text_parse_time(const char *text, uint64_t now_usec, uint64_t *ret_usec) {
        uint64_t usec = now_usec;
        int r = 0;

        if (strcmp(text, "today") == 0)
                r = midnight(now_usec, 0, &usec);
        else if (strcmp(text, "yesterday") == 0)
                r = midnight(now_usec, -1, &usec);
        else if (*text == '@')
                r = parse_epoch(text + 1, &usec);
        else if (strcmp(text, "now") != 0 && parse_calendar(text, now_usec, &usec) < 0)
                r = parse_relative(text, now_usec, &usec);
        if (r < 0)
                return r;
        *ret_usec = usec;
        return 0;
}
