/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl.h"

#include "json-text.h"
#include "terminal.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

void ctl_pager(const Ctl *ctl) {
        if (!ctl->no_pager)
                pager_open();
}

char *ctl_self(const Ctl *ctl) {
        return g_strconcat("pluginctl", ctl->user ? " --user" : "", ctl->host ? " -H " : "", ctl->host ?: "", ctl->machine ? " -M " : "",
                           ctl->machine ?: "", NULL);
}

static void __attribute__((format(printf, 2, 0))) vsay(const char *prefix, const char *format, va_list ap) {
        g_autofree char *text = g_strdup_vprintf(format, ap);
        g_autofree char *safe = text_safe(text, strlen(text), TEXT_KEEP_NOTHING);

        fflush(stdout);
        fprintf(stderr, "%s%s\n", prefix, safe);
}

void complain(const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        vsay("pluginctl: ", format, ap);
        va_end(ap);
}

void advise(const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        vsay("", format, ap);
        va_end(ap);
}

static int read_all(int fd, GString *out) {
        char buffer[64 * 1024];

        for (;;) {
                ssize_t n = read(fd, buffer, sizeof(buffer));

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return 0;
                if (out->len + n > ARGUMENT_SIZE_MAX)
                        return -EFBIG;
                g_string_append_len(out, buffer, n);
        }
}

/* The text ends at its first NUL byte wherever it goes next, so it may have none. */
static int read_text(int fd, char **ret) {
        g_autoptr(GString) text = g_string_new(NULL);
        int r = read_all(fd, text);

        if (r < 0)
                return r;
        if (memchr(text->str, 0, text->len))
                return -EBADMSG;
        *ret = g_string_free(g_steal_pointer(&text), false);
        return 0;
}

char *read_argument(const char *argument, const char *what) {
        bool is_stdin = strcmp(argument, "-") == 0;
        char *text = NULL;

        if (!is_stdin && argument[0] != '@')
                return g_strdup(argument);

        const char *path = is_stdin ? "standard input" : argument + 1;
        int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        int r = fd < 0 ? -errno : read_text(fd, &text);
        if (!is_stdin && fd >= 0)
                close(fd);

        if (r == -EBADMSG)
                complain("%s: %s contains a NUL byte", what, path);
        else if (r == -EFBIG)
                complain("%s: %s has more than %d MiB", what, path, ARGUMENT_SIZE_MAX / 1024 / 1024);
        else if (r < 0)
                complain("%s: cannot read %s: %s", what, path, g_strerror(-r));
        return text;
}

void print_json_text(JsonMode mode, const char *json) {
        g_autoptr(GString) out = g_string_sized_new(strlen(json) + 1);

        json_text_append(out, json, strlen(json), mode == JSON_PRETTY, 0);
        g_string_append_c(out, '\n');
        fwrite(out->str, 1, out->len, stdout);
}

void print_json(const Ctl *ctl, JsonNode *node) {
        g_autofree char *text = json_to_string(node, false);

        print_json_text(ctl->json, text);
}
