/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "duplex/dialect.h"

static const DialectOps *const dialects[] = { &dialect_plugind, &dialect_jsonrpc, &dialect_mcp, &dialect_lsp };

const DialectOps *dialect_find(const char *name) {
        for (size_t i = 0; i < G_N_ELEMENTS(dialects); i++)
                if (g_str_equal(dialects[i]->name, name))
                        return dialects[i];
        return NULL;
}

const char *const *dialect_names(void) {
        static const char *names[G_N_ELEMENTS(dialects) + 1];

        for (size_t i = 0; i < G_N_ELEMENTS(dialects); i++)
                names[i] = dialects[i]->name;
        return names;
}
