/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What systemd's filters of system calls cannot say. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* From now on, for this process and all that come of it. Takes NoNewPrivileges. False: a sentence in TEXT. */
bool filter_apply(char *text, size_t size);
