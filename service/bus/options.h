/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The `a{sv} options` that end every method. An option that is not known, of the wrong type or given twice is refused by name. */
#pragma once

#include "basic/error.h"

#include <stddef.h>
#include <systemd/sd-bus.h>

typedef enum OptionType {
        OPTION_BOOL,      /* -> bool */
        OPTION_STRING,    /* -> const char *, of the message */
        OPTION_USEC,      /* any integer type, not negative -> uint64_t */
        OPTION_JSON_NAME, /* a string or any integer type -> char *, newly allocated: the same value as JSON */
} OptionType;

typedef struct Option {
        const char *name; /* NULL ends a table */
        OptionType type;
        size_t offset; /* in the struct that is filled */
} Option;

/* Reads all options at the current place of MESSAGE into TARGET, which holds the defaults. TABLE may be NULL: none are known.
 * Fails with InvalidArgs; what was allocated until then stays in TARGET. */
int options_read(sd_bus_message *message, const Option *table, void *target, PlugindError *error);
