/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What survives the daemon: texts and descriptors, kept where its end does not reach.
 *
 * Texts (one of JSON a key) lie in a memfd, so that they are as they were last set, whatever ends the daemon and when. That memfd, and
 * descriptors that come in pairs (the ends of a plugin's duplex), are in the fd store of our unit (systemd.service(5), FileDescriptorStoreMax=).
 * Where there is no such store everything here works the same, and ends with the daemon.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Store Store;

/* Takes what systemd passes (LISTEN_FDS, removed from the environment): what an earlier daemon stored, and sockets, see store_sockets(). A
 * memfd that cannot be read, or is of a later version, is told in the log, copied to FOLDER/handover.bad, and survived; a text in it that is
 * damaged is told, and left out. */
int store_open(const char *folder, Store **ret);
/* Closes what nobody took. Nothing that is stored goes with it. */
Store *store_free(Store *store);

/* Is there an fd store, so that the next daemon gets all this? */
bool store_lasts(const Store *store);
/* 1 for the first daemon, one more for each that took over from another. */
uint32_t store_epoch(const Store *store);
/* Did the daemon before leave in order, with all that it knew set (store_seal())? */
bool store_was_sealed(const Store *store);

/* Listening sockets and whatever else systemd passed that is not of the store, owned by the caller (each descriptor once). */
size_t store_sockets(const Store *store, const int **ret);

/* -- texts -- */

/* KEY: at most 255 bytes, as "session/echo". The text is copied, whole or not at all, also if we are killed meanwhile. Does nothing once sealed. */
void store_set(Store *store, const char *key, const char *text, size_t size);
void store_remove(Store *store, const char *key);
/* What KEY has now, also from the daemon before; NULL if nothing. Valid until the next store_set() or store_remove(). */
const char *store_get(Store *store, const char *key, size_t *ret_size);
/* Each text whose key begins with PREFIX, in the order in which the keys were first set. CALLBACK may set what it is given, and nothing else:
 * TEXT is gone then, KEY is not. */
void store_foreach(Store *store, const char *prefix, void (*callback)(const char *key, const char *text, size_t size, void *userdata),
                   void *userdata);

/* -- descriptors -- */

/* Stores two descriptors (the same number twice: one) and returns a number for them, above 0. They stay the caller's. */
int store_put_pair(Store *store, int fd_in, int fd_out, unsigned *ret);
/* Those that the daemon before stored under NUMBER, once; owned by the caller. -ENOENT. */
int store_take_pair(Store *store, unsigned number, int *ret_in, int *ret_out);
/* Nobody needs them any more. Those of a number that is not stored: nothing. Does nothing once sealed. */
void store_drop_pair(Store *store, unsigned number);

/* The memory of all duplexes and its staging pipe (duplex/arena.h): FDS are _ARENA_FD_MAX descriptors. Replaces what was stored. */
int store_put_arena(Store *store, const int *fds);
/* Of the daemon before, owned by the caller. -ENOENT: not, or not all of them, there. */
int store_take_arena(Store *store, int *ret);

/* -- the ends of it -- */

/* All that could be taken over has been: descriptors of the daemon before that nobody took are dropped. */
void store_taken_over(Store *store);
/* We leave in order: nothing changes from now on, and the next daemon knows it. */
void store_seal(Store *store);
