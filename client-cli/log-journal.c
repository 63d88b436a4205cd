/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log-journal.h"

#include <errno.h>
#include <string.h>
#include <syslog.h>
#include <systemd/sd-journal.h>

#define FIELD_SIZE_MAX (64 * 1024)

G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_journal, sd_journal_close)

static int add_match(sd_journal *journal, const char *field, const char *value) {
        g_autofree char *match = g_strconcat(field, "=", value, NULL);

        return sd_journal_add_match(journal, match, 0);
}

/* The field's text, newly allocated, or NULL. */
static char *get_field(sd_journal *journal, const char *field) {
        size_t size, prefix = strlen(field) + 1;
        const void *data;

        if (sd_journal_get_data(journal, field, &data, &size) < 0 || size < prefix)
                return NULL;
        return g_strndup((const char *) data + prefix, size - prefix);
}

static void give_entry(sd_journal *journal, LogJournalLine line, void *userdata) {
        g_autofree char *priority = get_field(journal, "PRIORITY");
        LogLine entry = {
                .priority = priority ? (int) g_ascii_strtoull(priority, NULL, 10) : LOG_INFO,
                .identifier = get_field(journal, "SYSLOG_IDENTIFIER"),
                .text = get_field(journal, "MESSAGE"),
        };

        (void) sd_journal_get_realtime_usec(journal, &entry.realtime_usec);
        if (entry.text)
                line(&entry, userdata);
        log_line_clear(&entry);
}

/* Before the first entry that is wanted. */
static int seek(sd_journal *journal, int n) {
        int r;

        if (n < 0)
                return sd_journal_seek_head(journal);
        r = sd_journal_seek_tail(journal);
        if (r >= 0)
                r = sd_journal_previous_skip(journal, (uint64_t) n + 1);
        if (r >= 0 && r < n + 1) /* there are not more of them */
                r = sd_journal_seek_head(journal);
        return r;
}

int log_journal_read(const char *id, uid_t uid, int n, bool follow, LogJournalLine line, void *userdata) {
        g_autofree char *uid_text = g_strdup_printf("%u", (unsigned) uid);
        g_autoptr(sd_journal) journal = NULL;
        int count = 0, r = sd_journal_open(&journal, SD_JOURNAL_LOCAL_ONLY);

        if (r >= 0)
                r = sd_journal_set_data_threshold(journal, FIELD_SIZE_MAX);
        if (r >= 0)
                r = add_match(journal, "PLUGIND_SESSION", id);
        if (r >= 0)
                r = add_match(journal, "_UID", uid_text);
        if (r >= 0)
                r = seek(journal, n);
        while (r >= 0) {
                while ((r = sd_journal_next(journal)) > 0) {
                        give_entry(journal, line, userdata);
                        count++;
                }
                if (!follow)
                        break;
                if (r >= 0)
                        r = sd_journal_wait(journal, UINT64_MAX);
        }
        return r < 0 ? r : count;
}
