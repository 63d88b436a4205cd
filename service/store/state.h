/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Private to store*.c: texts by key in a memfd that can be read whatever ended the one who wrote it, and when (state.c). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATE_KEY_MAX 255
#define STATE_TEXT_MAX ((size_t) 64 * 1024 * 1024)

typedef struct State State;

/* An empty one of the first epoch. */
int state_new(State **ret);
/* The one in FD, owned on success, of the epoch that follows. What of it is damaged is told in the log and left out. -EBADF: no memfd,
 * -EBADMSG: none of ours, or too damaged to tell, -EPROTONOSUPPORT: of a later version; FD is as it was then. */
int state_open(int fd, State **ret);
State *state_free(State *state);

int state_fd(const State *state); /* still owned by the state */
uint32_t state_epoch(const State *state);
bool state_was_sealed(const State *state); /* by the one before */
void state_seal(State *state);

/* Whole or not at all; KEY and TEXT may be of this state. -EINVAL: the key is empty or too long, -E2BIG: the text is, -ENOSPC: all texts
 * together are, or there is no memory. On failure KEY has what it had. */
int state_set(State *state, const char *key, const char *text, size_t size);
void state_remove(State *state, const char *key);
/* NULL or the text with a NUL behind it, until something is set or removed. */
const char *state_get(const State *state, const char *key, size_t *ret_size);
/* In the order of store_foreach(). CALLBACK may set and remove what it likes, and is not called for what it added. */
void state_foreach(State *state, const char *prefix, void (*callback)(const char *key, const char *text, size_t size, void *userdata),
                   void *userdata);
