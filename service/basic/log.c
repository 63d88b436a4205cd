/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Like systemd's own programs: the journal if stderr is connected to it ($JOURNAL_STREAM) or is not there at all, else stderr. */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include "basic/log.h"

#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#define LOG_IDENTIFIER "plugind"

static int max_priority = LOG_INFO;
static bool to_journal;
static bool to_terminal;

static const char *const priority_names[] = { "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug" };

bool log_journal_listens(void) {
        static const struct sockaddr_un address = { AF_UNIX, "/run/systemd/journal/socket" };
        int fd, r;

        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return false;
        r = connect(fd, (const struct sockaddr *) &address, sizeof(address));
        close(fd);
        return r == 0;
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
        to_journal = wanted && log_journal_listens();
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

static void field(struct iovec *iov, int *n, char *text) {
        iov[(*n)++] = (struct iovec){ text, strlen(text) };
}

static void write_journal(int priority, const char *session, const char *file, int line, const char *function, const char *message) {
        g_autofree char *text = g_strconcat("MESSAGE=", message, NULL);
        g_autofree char *level = g_strdup_printf("PRIORITY=%i", priority);
        g_autofree char *code_file = g_strconcat("CODE_FILE=", file, NULL);
        g_autofree char *code_line = g_strdup_printf("CODE_LINE=%i", line);
        g_autofree char *code_function = g_strconcat("CODE_FUNC=", function, NULL);
        g_autofree char *plugin = session ? g_strconcat("PLUGIND_SESSION=", session, NULL) : NULL;
        char identifier[] = "SYSLOG_IDENTIFIER=" LOG_IDENTIFIER;
        struct iovec iov[7];
        int n = 0;

        field(iov, &n, text);
        field(iov, &n, level);
        field(iov, &n, identifier);
        field(iov, &n, code_file);
        field(iov, &n, code_line);
        field(iov, &n, code_function);
        if (plugin)
                field(iov, &n, plugin);
        (void) sd_journal_sendv(iov, n);
}

/* One write per line, so that lines of several writers do not mix. A terminal's reader has no use for the level. */
static void write_stderr(int priority, const char *session, const char *message) {
        g_autoptr(GString) line = g_string_new(NULL);

        if (!to_terminal)
                g_string_append_printf(line, "<%i>", priority);
        if (session)
                g_string_append_printf(line, "%s: ", session);
        for (const char *p = message; *p; p++)
                g_string_append_c(line, (unsigned char) *p < 0x20 && *p != '\t' ? ' ' : *p);
        g_string_append_c(line, '\n');
        if (write(STDERR_FILENO, line->str, line->len) < 0)
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

        if (to_journal)
                write_journal(LOG_PRI(priority), session, file, line, function, message);
        else
                write_stderr(LOG_PRI(priority), session, message);
        errno = saved_errno;
}
