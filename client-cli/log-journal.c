/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log-journal.h"

#include "basic/journal.h"

#include <errno.h>
#include <systemd/sd-id128.h>
#include <unistd.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_journal, sd_journal_close)

/* Before the first entry that is wanted. Of the last N those are skipped that are too old; of all it is known where to begin. */
static int seek(sd_journal *journal, const LogJournalQuery *query) {
        if (query->n < 0 && query->since_usec > 0)
                return sd_journal_seek_realtime_usec(journal, query->since_usec);
        return journal_seek_last(journal, query->n);
}

int log_journal_read(const LogJournalQuery *query, LogJournalLine line, void *userdata) {
        g_autoptr(sd_journal) journal = NULL;
        JournalEntry entry;
        int count = 0, r = journal_open(query->id, query->uid, query->user, &journal);

        if (r >= 0)
                r = seek(journal, query);
        while (r >= 0) {
                while ((r = journal_next(journal, &entry)) > 0) {
                        const LogLine given = { entry.realtime_usec, entry.priority, entry.identifier, entry.text };

                        if (entry.realtime_usec >= query->since_usec) {
                                line(&given, userdata);
                                count++;
                        }
                        journal_entry_clear(&entry);
                }
                if (!query->follow)
                        break;
                if (r >= 0)
                        r = sd_journal_wait(journal, UINT64_MAX);
        }
        return r < 0 ? r : count;
}

/* A user's own journal they may read, but only where journals are kept on disk do users have one. */
static bool nothing_readable(void) {
        g_autoptr(sd_journal) journal = NULL;

        return sd_journal_open(&journal, SD_JOURNAL_LOCAL_ONLY) < 0 ||
               (sd_journal_has_persistent_files(journal) <= 0 && sd_journal_has_runtime_files(journal) <= 0);
}

bool log_journal_forbidden(bool user) {
        static const char *const folders[] = { "/var/log/journal", "/run/log/journal" };
        char machine[SD_ID128_STRING_MAX];
        sd_id128_t id;

        if (geteuid() == 0 || sd_id128_get_machine(&id) < 0 || (user && !nothing_readable()))
                return false;
        sd_id128_to_string(id, machine);
        for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
                g_autofree char *file = g_build_filename(folders[i], machine, "system.journal", NULL);
                if (access(file, R_OK) < 0 && errno == EACCES)
                        return true;
        }
        return false;
}
