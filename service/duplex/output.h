/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing to a plugin so that whoever takes over from a killed daemon knows how much of it went out, and no line or frame is ever torn.
 *
 * What fits into one atomic write (PIPE_BUF) is marked before it is written: after a SIGKILL in between it counts as written. Either it
 * was, or a whole message was in flight whose caller has lost plugind anyway. What is larger goes through a pipe of the arena's own: filled
 * first, then moved on with splice(), so that what that pipe still holds tells how much the plugin has got.
 */
#pragma once

#include "duplex/arena.h"

#include <sys/types.h>

/* Writes what FD takes now of BUFFER, and consumes that. How many bytes, 0 if there are none, or -errno (-EAGAIN: not now). */
ssize_t output_write(Arena *arena, Buffer *buffer, int fd);
