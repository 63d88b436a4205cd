/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether the sandbox is there: each check proves it from inside, and what cannot be proved counts as missing. */
#pragma once

#include "launcher/spec.h"

/* What was found missing, joined to one sentence. */
typedef struct Findings {
        char *text;
        size_t size, used;
        unsigned n;
} Findings;

void finding(Findings *findings, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The checks that FLAGS (LAUNCH_CHECK_*) demand. False: a sentence in TEXT that names everything that is missing. */
bool check_sandbox(uint32_t flags, const Spec *spec, char *text, size_t size);

/* Whether a filter answers a system call that the kernel itself would answer with KERNELS (or success): RESULT and errno are what came. */
bool call_filtered(long result, int kernels);

void check_files(const Spec *spec, Findings *findings); /* check-files.c */

/* Whether /proc is what it says; nothing is read from another. */
bool proc_is_real(void);
