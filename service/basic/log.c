/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Like systemd's own programs: the journal if stderr is connected to it ($JOURNAL_STREAM) or is not there at all, else stderr.
 *
 * The loop must not wait for whoever reads the log: a line that cannot be written within PATIENCE_MSEC is lost. sd_journal_send() knows no
 * such bound, so the few fields are put into a datagram here (https://systemd.io/JOURNAL_NATIVE_PROTOCOL).
 */
#include "basic/log.h"

#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LOG_IDENTIFIER "plugind"
#define PATIENCE_MSEC 10
#define MESSAGE_MAX 3500 /* with all before it less than PIPE_BUF: a pipe that polls writable takes it without blocking */

static const struct sockaddr_un journal_address = { AF_UNIX, "/run/systemd/journal/socket" };
static int journal = -1;
static int max_priority = LOG_INFO;
static bool to_terminal;

static const char *const priority_names[] = { "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug" };

bool log_journal_listens(void) {
        int fd, r;

        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return false;
        r = connect(fd, (const struct sockaddr *) &journal_address, sizeof(journal_address));
        close(fd);
        return r == 0;
}

static int open_journal(void) {
        const struct timeval patience = { 0, PATIENCE_MSEC * 1000 };
        int fd;

        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd >= 0)
                (void) setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        return fd;
}

static bool stderr_leads_to_journal(void) {
        const char *stream = g_getenv("JOURNAL_STREAM");
        char own[64];
        struct stat st;

        if (fstat(STDERR_FILENO, &st) < 0)
                return errno == EBADF;
        snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t) st.st_dev, (uintmax_t) st.st_ino);
        return g_strcmp0(stream, own) == 0;
}

void log_open(LogTarget target, int priority) {
        bool wanted = target == LOG_TARGET_JOURNAL || (target == LOG_TARGET_AUTO && stderr_leads_to_journal());

        max_priority = priority;
        if (journal >= 0)
                close(journal);
        journal = wanted && log_journal_listens() ? open_journal() : -1;
        to_terminal = isatty(STDERR_FILENO);
}

int log_priority_from_string(const char *name) {
        g_assert(name);

        if (name[0] >= '0' && name[0] <= '7' && !name[1])
                return name[0] - '0';
        for (size_t i = 0; i < G_N_ELEMENTS(priority_names); i++)
                if (strcmp(name, priority_names[i]) == 0)
                        return (int) i;
        return -EINVAL;
}

bool log_enabled(int priority) {
        return LOG_PRI(priority) <= max_priority;
}

static void append_one_line(GString *out, const char *text) {
        for (size_t i = 0; text[i] && i < MESSAGE_MAX; i++)
                g_string_append_c(out, (unsigned char) text[i] < 0x20 && text[i] != '\t' ? ' ' : text[i]);
        g_string_append_c(out, '\n');
}

static void write_journal(int priority, const char *session, const char *file, int line, const char *function, const char *message) {
        g_autoptr(GString) entry = g_string_new("MESSAGE=");

        append_one_line(entry, message);
        g_string_append_printf(entry, "PRIORITY=%i\nSYSLOG_IDENTIFIER=" LOG_IDENTIFIER "\nCODE_FILE=%s\nCODE_LINE=%i\nCODE_FUNC=%s\n",
                               priority, file, line, function);
        if (session)
                g_string_append_printf(entry, "PLUGIND_SESSION=%s\n", session);
        (void) sendto(journal, entry->str, entry->len, MSG_NOSIGNAL, (const struct sockaddr *) &journal_address, sizeof(journal_address));
}

/* One write per line, so that lines of several writers do not mix. A terminal's reader has no use for the level. */
static void write_stderr(int priority, const char *message) {
        struct pollfd writable = { STDERR_FILENO, POLLOUT, 0 };
        g_autoptr(GString) line = g_string_new(NULL);

        if (!to_terminal)
                g_string_append_printf(line, "<%i>", priority);
        append_one_line(line, message);
        if (poll(&writable, 1, PATIENCE_MSEC) > 0 && write(STDERR_FILENO, line->str, line->len) < 0)
                return; /* there is nobody left to tell */
}

void log_full(int priority, const char *session, const char *file, int line, const char *function, const char *format, ...) {
        g_autofree char *message = NULL;
        int saved_errno = errno;
        va_list args;

        if (!log_enabled(priority))
                return;
        va_start(args, format);
        message = g_strdup_vprintf(format, args);
        va_end(args);
        if (session) {
                g_autofree char *bare = message;

                message = g_strdup_printf("%s: %s", session, bare);
        }

        if (journal >= 0)
                write_journal(LOG_PRI(priority), session, file, line, function, message);
        else
                write_stderr(LOG_PRI(priority), message);
        errno = saved_errno;
}
