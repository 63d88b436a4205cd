/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Signals that cannot be sent now, in order: kept until they can be, or, as JSON, for the next daemon. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct Owed Owed;

Owed *owed_new(void);
Owed *owed_free(Owed *owed);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Owed, owed_free)

bool owed_is_empty(const Owed *owed);

/* One signal: its MEMBER, the session's ID, and its other arguments as texts, which NULL ends. */
void owed_add(Owed *owed, const char *member, const char *id, ...) G_GNUC_NULL_TERMINATED;
void owed_addv(Owed *owed, const char *member, const char *id, const char *const *arguments);

/* Newly allocated. */
char *owed_write(const Owed *owed);
/* Adds what owed_write() of another daemon has said. What makes no sense is told in the log, and left out. */
void owed_read(Owed *owed, const char *text, size_t size);

/* SEND is called with each signal (ARGUMENTS ends with NULL), in order; then there are none any more. False: it makes no sense, which is told in the log. */
void owed_pay(Owed *owed, bool (*send)(const char *member, const char *id, char *const *arguments, void *userdata), void *userdata);
