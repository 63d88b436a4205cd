/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What stdout is: colours, width, pager. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define ANSI_NORMAL "\033[0m"
#define ANSI_BOLD "\033[1m"
#define ANSI_UNDERLINE "\033[4m"
#define ANSI_RED "\033[0;1;31m"
#define ANSI_GREEN "\033[0;1;32m"
#define ANSI_YELLOW "\033[0;1;33m"
#define ANSI_GREY "\033[0;38;5;245m"

/* Asked first: later answers are about the terminal as it was before a pager took stdout's place. */
void terminal_init(void);

bool terminal_is_stdout(void);
/* $SYSTEMD_COLORS, then $NO_COLOR, then whether stdout is a terminal that has them. */
bool terminal_colours(void);
/* Columns ($COLUMNS, else the terminal's); SIZE_MAX when stdout is no terminal. */
size_t terminal_width(void);

/* COLOUR, or "" without colours. */
const char *terminal_colour(const char *colour);

/* Puts $SYSTEMD_PAGER, $PAGER or less behind stdout if that is a terminal. */
void pager_open(void);
/* Lets the pager end. */
void pager_close(void);
