/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The whole terminal, for a program that draws and hears keys: the alternate screen, without echo and cursor. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef enum ScreenKey {
        KEY_UP = 0x100,
        KEY_DOWN,
        KEY_PAGE_UP,
        KEY_PAGE_DOWN,
        KEY_HOME,
        KEY_END,
        KEY_NONE, /* of what was read, nothing is a key */
} ScreenKey;

/* -errno when stdout is no terminal. Keys are heard if stdin is one as well. */
int screen_open(void);
/* As it was before; may be called at any time. */
void screen_close(void);
bool screen_hears(void);

/* -1 when it is not known: then 80 and 24 are a guess. */
int screen_size(size_t *ret_columns, size_t *ret_rows);

/* Draws LINES (each with its end) from the top; what was there before is gone. No line may be wider than the screen. */
void screen_draw(const GString *lines);

/* The next key of DATA, of *size bytes, which is moved on and counted down: a character, or a ScreenKey. */
int screen_key(const char **data, size_t *size);
