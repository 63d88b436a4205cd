/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The buffers of every duplex, in one memfd, so that the next daemon can take them over (design.md 8).
 *
 * One sparse memfd holds a fixed-size slot per connected duplex: a page of indices, then the input and the output
 * buffer. Only touched pages cost memory. A slot is mapped while its duplex lives; when freed its pages are punched out.
 *
 * Rules that make a buffer readable by whoever comes next, at any instant a SIGKILL may choose:
 * - `head` and `tail` of a buffer change together, in one 64-bit store.
 * - Input: bytes beyond head are NUL. JSON has no NUL, so bytes that were read but not yet counted are found again.
 *   tail moves behind a message only after it has been delivered.
 * - `wiping` names the end of a region that is about to become NUL; whoever comes next finishes it first.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Arena Arena;
typedef struct Buffer Buffer;
typedef struct Slot Slot;

struct BufferIndex; /* lives in the slot's first page */

struct Buffer {
        struct BufferIndex *index;
        char *data;
        size_t capacity;
        bool nul_beyond; /* input buffers */
};

struct Slot {
        Arena *arena;
        unsigned number;
        void *map;
        Buffer in, out;
};

/* MESSAGE_MAX: the largest message in bytes a buffer must hold. EPOCH: 1 for a first daemon, one more for each that takes over. */
int arena_new(size_t message_max, uint32_t epoch, Arena **ret);
Arena *arena_free(Arena *arena);
uint32_t arena_epoch(const Arena *arena);
size_t arena_message_max(const Arena *arena);

int slot_new(Arena *arena, Slot **ret);
Slot *slot_free(Slot *slot); /* before its arena */

/* The bytes between tail and head. */
const char *buffer_peek(const Buffer *buffer, size_t *size);
/* Room for at least MINIMUM bytes behind head (compacting if need be), or NULL; *size is what there is. */
char *buffer_reserve(Buffer *buffer, size_t minimum, size_t *size);
void buffer_commit(Buffer *buffer, size_t size);  /* moves head */
void buffer_consume(Buffer *buffer, size_t size); /* moves tail; an emptied buffer starts over at 0 */
/* After a take-over: finishes what a killed daemon had begun, counts bytes that were read and not counted. May be killed and begun
 * again itself. */
void buffer_recover(Buffer *buffer);
