/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* logs: from the journal, from plugind's file, or, where neither can be read, the last lines that plugind itself keeps */
#include "bus-client.h"
#include "log-journal.h"
#include "log-lines.h"
#include "log-tail.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define FOLLOW_LINES 10

typedef struct Logs {
        Ctl *ctl;
        const char *id;
        int n;
        uint64_t since_usec;
} Logs;

static void on_journal_line(const LogLine *line, void *userdata) {
        Logs *logs = userdata;

        log_line_print(logs->ctl, logs->id, line, SIZE_MAX);
        if (logs->ctl->follow)
                fflush(stdout);
}

/* What has no time belongs to what stands before it. */
static void on_file_line(const char *text, void *userdata) {
        Logs *logs = userdata;
        LogLine line;

        log_line_parse(text, &line);
        if (line.realtime_usec >= logs->since_usec)
                logs->since_usec = 0; /* what follows is later */
        if (logs->since_usec == 0)
                on_journal_line(&line, userdata);
        log_line_clear(&line);
}

/* What plugind gives itself: all that can be had from another machine, or without the right to read the log. */
static int print_kept(Logs *logs, const char *why) {
        g_autoptr(GArray) lines = NULL;
        guint shown = 0;
        int r = session_get_log_lines(logs->ctl, logs->id, false, &lines);

        if (r != EXIT_OK)
                return r;
        guint wanted = logs->n >= 0 ? (guint) logs->n : lines->len;
        for (guint i = lines->len > wanted ? lines->len - wanted : 0; i < lines->len; i++)
                if (g_array_index(lines, LogLine, i).realtime_usec >= logs->since_usec) {
                        on_journal_line(&g_array_index(lines, LogLine, i), logs);
                        shown++;
                }
        if (logs->ctl->follow) {
                complain("%s: cannot follow its log: %s", logs->id, why);
                return EXIT_FAILED;
        }
        if (shown > 0 && !logs->ctl->quiet)
                advise("These are the last lines, from plugind: %s.", why);
        return EXIT_OK;
}

static int print_file(Logs *logs, const char *path) {
        int r = log_tail_read(path, logs->n, logs->ctl->follow, on_file_line, logs);

        if (r >= 0 || (r == -ENOENT && !logs->ctl->follow)) /* it has written nothing yet */
                return EXIT_OK;
        g_autofree char *why = g_strdup_printf("cannot read %s: %s", path, g_strerror(-r));
        return print_kept(logs, why);
}

/* Who writes to the journal for plugins. When plugind is not there: who it would be. */
static uid_t daemon_uid(const Ctl *ctl) {
        sd_bus_creds *creds = NULL;
        uid_t uid = ctl->user ? getuid() : 0;

        if (ctl->bus && sd_bus_get_name_creds(ctl->bus, HOST_NAME, SD_BUS_CREDS_EUID, &creds) >= 0)
                (void) sd_bus_creds_get_euid(creds, &uid);
        sd_bus_creds_unref(creds);
        return uid;
}

static int report_forbidden(const Logs *logs) {
        complain("%s: its log is in the system's journal, which you may not read", logs->id);
        advise("Members of the groups systemd-journal and adm may: sudo usermod -a -G systemd-journal %s, and log in again. Or ask as root "
               "(sudo).",
               g_get_user_name());
        return EXIT_FAILED;
}

/* KNOWN: there is such a session. */
static int print_journal(Logs *logs, bool known, const sd_bus_error *error, int r) {
        Ctl *ctl = logs->ctl;
        const LogJournalQuery query = {
                .id = logs->id,
                .uid = daemon_uid(ctl),
                .user = ctl->user,
                .n = logs->n,
                .since_usec = logs->since_usec,
                .follow = ctl->follow,
        };
        bool forbidden = log_journal_forbidden(ctl->user);

        if (forbidden && ctl->follow)
                return known ? report_forbidden(logs) : ctl_report(ctl, logs->id, error, r);
        int n = log_journal_read(&query, on_journal_line, logs);
        if (n > 0)
                return EXIT_OK;
        if (!known)
                return ctl_report(ctl, logs->id, error, r);
        if (forbidden)
                return report_forbidden(logs);
        if (n == 0 && logs->since_usec > 0) /* there is nothing that is so new */
                return EXIT_OK;
        return print_kept(logs, n < 0 ? g_strerror(-n) : "nothing can be read of it in the journal");
}

/* The journal outlives sessions and plugind, so it is asked even when they are gone; then what was wrong with them counts. */
static int print_logs(Logs *logs) {
        g_autofree char *path = session_to_path(logs->id);
        g_autoptr(sd_bus_message) message = NULL, reply = NULL;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        const char *file = "";
        Ctl *ctl = logs->ctl;
        int status = path ? ctl_new_call(ctl, path, "org.freedesktop.DBus.Properties", "Get", &message) : EXIT_NO_SUCH;

        if (status != EXIT_OK)
                return status;
        int r = sd_bus_message_append(message, "ss", SESSION_INTERFACE, "LogFile");
        if (r >= 0)
                r = ctl_ask(ctl, message, CALL_QUICK, &error, &reply);
        bool known = r >= 0 && sd_bus_message_read(reply, "v", "s", &file) >= 0;

        if (known && !ctl_local(ctl))
                return print_kept(logs, "the journal and the files are on another machine");
        if (known && *file)
                return print_file(logs, file);
        return ctl_local(ctl) ? print_journal(logs, known, &error, r) : ctl_report(ctl, logs->id, &error, r);
}

int verb_logs(Ctl *ctl, char **args) {
        bool all = !ctl->follow || ctl->since_usec > 0;
        Logs logs = {
                .ctl = ctl,
                .id = args[0],
                .n = ctl->lines >= 0 ? ctl->lines
                     : all           ? -1
                                     : FOLLOW_LINES,
                .since_usec = ctl->since_usec,
        };
        int status = ctl_connect(ctl);

        if (status != EXIT_OK)
                return status;
        if (!ctl->follow)
                ctl_pager(ctl);
        return print_logs(&logs);
}
