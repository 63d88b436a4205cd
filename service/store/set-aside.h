/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Private to store.c: what of an earlier daemon cannot be read is kept for people to look at. */
#pragma once

#define SET_ASIDE_FILE "handover.bad"

/* The contents of FD as FOLDER/handover.bad, readable by us alone, 64 MiB of it at most; holes stay holes. Says in the log what it did. Start-up
 * only: it may block. */
void set_aside(int fd, const char *folder);
