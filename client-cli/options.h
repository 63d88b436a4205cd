/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line's options. */
#pragma once

#include "ctl.h"

#include <limits.h>

#define ANY UINT_MAX

typedef struct Verb {
        const char *name;
        unsigned n_min, n_max; /* arguments */
        VerbFunction run;
        const char *arguments, *help;
} Verb;

#define CTL_INIT ((Ctl){ .lines = -1, .iterations = ITERATIONS_DEFAULT, .kill_whom = "all", .signal = 15 })
void ctl_clear(Ctl *ctl);

enum { OPTIONS_HELP = -1, OPTIONS_VERSION = -2 };

/* Fills *ctl. *ret_args: what is no option, in order, NULL-terminated, in ARGV. EXIT_OK, EXIT_USAGE (which has been told), or one of the above. */
int options_parse(Ctl *ctl, int argc, char **argv, char ***ret_args);

/* Whether each option that was given means something to VERB; tells which does not. */
bool options_fit(const Ctl *ctl, const char *verb);

int options_help(const Verb *verbs, size_t n_verbs);
int options_version(void);
