/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/history.h"

#include <glib.h>

#define HISTORY_MIN 8

void history_add(History **history, const HistoryEntry *entry) {
        History *h = *history;

        if (!h)
                h = *history = g_new0(History, 1);
        if (h->n == HISTORY_MAX) {
                h->entries[h->first] = *entry;
                h->first = (h->first + 1) % HISTORY_MAX;
                return;
        }
        if (h->n == h->size) {
                h->size = h->size ? 2 * h->size : HISTORY_MIN;
                h->entries = g_renew(HistoryEntry, h->entries, h->size);
        }
        h->entries[h->n++] = *entry;
}

unsigned history_length(const History *history) {
        return history ? history->n : 0;
}

const HistoryEntry *history_get(const History *history, unsigned i) {
        g_assert(i < history->n);
        return &history->entries[(history->first + i) % history->n];
}

History *history_free(History *history) {
        if (!history)
                return NULL;
        g_free(history->entries);
        g_free(history);
        return NULL;
}
