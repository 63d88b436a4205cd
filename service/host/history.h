/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a session went through: its last HISTORY_MAX changes of state. Memory comes with them: a session that never ran has none. */
#pragma once

#include <stdint.h>

#define HISTORY_MAX 64

typedef struct HistoryEntry {
        uint64_t realtime_usec;
        const char *reason;           /* static */
        uint8_t new_state, old_state; /* SessionState */
        uint8_t signal;               /* that killed the process; 0: none */
        int16_t exit_status;          /* -1: none */
} HistoryEntry;

typedef struct History {
        HistoryEntry *entries;
        unsigned first, n, size; /* a ring once there are HISTORY_MAX */
} History;

void history_add(History **history, const HistoryEntry *entry);
/* Oldest first; HISTORY may be NULL. */
unsigned history_length(const History *history);
const HistoryEntry *history_get(const History *history, unsigned i);
History *history_free(History *history);
