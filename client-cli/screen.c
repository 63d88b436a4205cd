/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "screen.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* Alternate screen, no cursor, no wrapping; and back. */
#define SCREEN_ENTER "\033[?1049h\033[?25l\033[?7l\033[H\033[2J"
#define SCREEN_LEAVE "\033[?7h\033[?25h\033[?1049l"

static struct {
        bool open, hears;
        struct termios before;
} screen;

static void write_all(const char *data, size_t size) {
        while (size > 0) {
                ssize_t n = write(STDOUT_FILENO, data, size);

                if (n < 0 && errno != EINTR)
                        return; /* whoever closed it sends a signal, too */
                if (n > 0) {
                        data += n;
                        size -= (size_t) n;
                }
        }
}

int screen_open(void) {
        struct termios raw;

        if (screen.open)
                return 0;
        if (!isatty(STDOUT_FILENO))
                return -ENOTTY;
        fflush(stdout);
        screen.hears = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &screen.before) == 0;
        if (screen.hears) {
                raw = screen.before;
                raw.c_lflag &= ~(tcflag_t) (ICANON | ECHO);
                raw.c_cc[VMIN] = 0;
                raw.c_cc[VTIME] = 0;
                (void) tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
        }
        write_all(SCREEN_ENTER, strlen(SCREEN_ENTER));
        screen.open = true;
        return 0;
}

void screen_close(void) {
        if (!screen.open)
                return;
        write_all(SCREEN_LEAVE, strlen(SCREEN_LEAVE));
        if (screen.hears)
                (void) tcsetattr(STDIN_FILENO, TCSADRAIN, &screen.before);
        screen.open = false;
}

bool screen_hears(void) {
        return screen.open && screen.hears;
}

int screen_size(size_t *ret_columns, size_t *ret_rows) {
        struct winsize size = {};
        bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0;

        *ret_columns = known ? size.ws_col : 80;
        *ret_rows = known ? size.ws_row : 24;
        return known ? 0 : -1;
}

/* In one write, over what is there: clearing first would flicker. */
void screen_draw(const GString *lines) {
        g_autoptr(GString) frame = g_string_sized_new(lines->len + 256);
        const char *line = lines->str, *end;

        g_string_append(frame, "\033[H");
        while ((end = strchr(line, '\n'))) {
                g_string_append(frame, "\033[K"); /* before the line: after one that fills the screen it would take its last character */
                g_string_append_len(frame, line, end - line);
                line = end + 1;
                if (*line)
                        g_string_append(frame, "\r\n");
        }
        g_string_append(frame, "\033[J");
        write_all(frame->str, frame->len);
}

static const struct {
        const char *sequence;
        int key;
} sequences[] = {
        { "\033[A", KEY_UP },         { "\033OA", KEY_UP },   { "\033[B", KEY_DOWN },  { "\033OB", KEY_DOWN },
        { "\033[5~", KEY_PAGE_UP },   { "\033[H", KEY_HOME }, { "\033[1~", KEY_HOME }, { "\033OH", KEY_HOME },
        { "\033[6~", KEY_PAGE_DOWN }, { "\033[F", KEY_END },  { "\033[4~", KEY_END },  { "\033OF", KEY_END },
};

/* Escape, [ or O, numbers, and what ends it. */
static size_t sequence_length(const char *data, size_t size) {
        size_t i = 2;

        if (size < 2 || (data[1] != '[' && data[1] != 'O'))
                return 1;
        while (i < size && (unsigned char) data[i] < 0x40)
                i++;
        return MIN(i + 1, size);
}

int screen_key(const char **data, size_t *size) {
        const char *start = *data;
        size_t length = *start == '\033' ? sequence_length(start, *size) : 1;

        *data += length;
        *size -= length;
        if (length == 1)
                return *start == '\033' ? KEY_NONE : (unsigned char) *start;
        for (size_t i = 0; i < G_N_ELEMENTS(sequences); i++)
                if (strlen(sequences[i].sequence) == length && memcmp(sequences[i].sequence, start, length) == 0)
                        return sequences[i].key;
        return KEY_NONE;
}
