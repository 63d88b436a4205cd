/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/journal.h"

#include <glib.h>
#include <string.h>
#include <syslog.h>

#define FIELD_SIZE_MAX (64 * 1024)
#define SLICE "plugind.slice"

void journal_entry_clear(JournalEntry *entry) {
        g_free(entry->identifier);
        g_free(entry->text);
        *entry = (JournalEntry){};
}

static int add_match(sd_journal *journal, const char *field, const char *value) {
        g_autofree char *match = g_strconcat(field, "=", value, NULL);

        return sd_journal_add_match(journal, match, 0);
}

/* What plugind wrote of the session (or whoever else runs as it), or what a unit in its slice did, under the identifier that it was started
 * with: a plugin cannot choose another for its stderr, and reaches the journal by no other way. */
static int add_matches(sd_journal *journal, const char *session, uid_t uid, bool user) {
        g_autofree char *uid_text = g_strdup_printf("%u", (unsigned) uid);
        int r = add_match(journal, "PLUGIND_SESSION", session);

        if (r >= 0)
                r = add_match(journal, "_UID", uid_text);
        if (r >= 0)
                r = sd_journal_add_disjunction(journal);
        if (r >= 0)
                r = add_match(journal, "SYSLOG_IDENTIFIER", session);
        if (r >= 0)
                r = add_match(journal, user ? "_SYSTEMD_USER_SLICE" : "_SYSTEMD_SLICE", SLICE);
        if (r >= 0 && user)
                r = add_match(journal, "_UID", uid_text);
        return r;
}

int journal_open(const char *session, uid_t uid, bool user, sd_journal **ret) {
        sd_journal *journal = NULL;
        int r = sd_journal_open(&journal, SD_JOURNAL_LOCAL_ONLY);

        if (r >= 0)
                r = sd_journal_set_data_threshold(journal, FIELD_SIZE_MAX);
        if (r >= 0)
                r = add_matches(journal, session, uid, user);
        if (r < 0) {
                sd_journal_close(journal);
                return r;
        }
        *ret = journal;
        return 0;
}

int journal_seek_last(sd_journal *journal, int n) {
        int r;

        if (n < 0)
                return sd_journal_seek_head(journal);
        r = sd_journal_seek_tail(journal);
        if (r >= 0)
                r = sd_journal_previous_skip(journal, (uint64_t) n + 1);
        if (r >= 0 && r < n + 1) /* there are not more of them */
                r = sd_journal_seek_head(journal);
        return r < 0 ? r : 0;
}

/* The field's text, newly allocated, or NULL. */
static char *get_field(sd_journal *journal, const char *field) {
        size_t size, prefix = strlen(field) + 1;
        const void *data;

        if (sd_journal_get_data(journal, field, &data, &size) < 0 || size < prefix)
                return NULL;
        return g_strndup((const char *) data + prefix, size - prefix);
}

int journal_next(sd_journal *journal, JournalEntry *ret) {
        int r;

        while ((r = sd_journal_next(journal)) > 0) {
                char *text = get_field(journal, "MESSAGE");
                g_autofree char *priority = text ? get_field(journal, "PRIORITY") : NULL;

                if (!text)
                        continue;
                *ret = (JournalEntry){
                        .priority = priority ? (int) g_ascii_strtoull(priority, NULL, 10) & LOG_PRIMASK : LOG_INFO,
                        .identifier = get_field(journal, "SYSLOG_IDENTIFIER"),
                        .text = text,
                };
                (void) sd_journal_get_realtime_usec(journal, &ret->realtime_usec);
                return 1;
        }
        return r;
}
