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
 *   tail moves behind a message before it is delivered: nothing is ever delivered twice.
 * - Output: what is being written is marked (output.h).
 * - `wiping` names the end of a region that is about to become NUL; whoever comes next finishes it first.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

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

/* The descriptors that the next daemon needs, still owned by the arena: the memory and the two ends of the staging pipe (output.h). */
enum { ARENA_FD_MEMORY, ARENA_FD_STAGED, ARENA_FD_STAGE, _ARENA_FD_MAX };
void arena_descriptors(const Arena *arena, int fds[_ARENA_FD_MAX]);
/* The arena of a daemon that is gone, from these: owned on success. -EBADMSG: they are not such, for messages of MESSAGE_MAX. Then its slots
 * are adopted one by one, and what nobody adopts is emptied. */
int arena_adopt(const int fds[_ARENA_FD_MAX], size_t message_max, uint32_t epoch, Arena **ret);
/* Recovered, as of now. -ENOENT: there is none of this number, -EBUSY: it has been adopted, -EBADMSG: its indices are nonsense, or it is for messages
 * of another size. */
int slot_adopt(Arena *arena, unsigned number, Slot **ret);
void arena_adopted(Arena *arena);
/* From now on slots are let go as they are, for the next daemon. */
void arena_keep(Arena *arena);

/* The staging pipe: puts in up to SIZE bytes and returns how many, or -errno; its end to splice from; throws away what is left in it. */
ssize_t arena_stage(Arena *arena, const char *data, size_t size);
int arena_staging(const Arena *arena);
void arena_unstage(Arena *arena);

int slot_new(Arena *arena, Slot **ret);
Slot *slot_free(Slot *slot); /* before its arena */
/* How much of an oversize message is still to be dropped from its input (FrameScanner.discard); 0 at first. */
uint64_t slot_discard(const Slot *slot);
void slot_set_discard(Slot *slot, uint64_t discard);

/* The bytes between tail and head. */
const char *buffer_peek(const Buffer *buffer, size_t *size);
/* Room for at least MINIMUM bytes behind head (compacting if need be), or NULL; *size is what there is. */
char *buffer_reserve(Buffer *buffer, size_t minimum, size_t *size);
void buffer_commit(Buffer *buffer, size_t size);  /* moves head */
void buffer_consume(Buffer *buffer, size_t size); /* moves tail; an emptied buffer starts over at 0 */
/* The same in two steps, between which the bytes can still be read. */
void buffer_take(Buffer *buffer, size_t size);
void buffer_taken(Buffer *buffer);
/* Turns SIZE bytes, OFFSET behind tail, into spaces. */
void buffer_blank(Buffer *buffer, size_t offset, size_t size);
/* The first SIZE bytes are about to be written, or, STAGED, are in the staging pipe and about to be moved on. */
void buffer_begin_write(Buffer *buffer, size_t size, bool staged);
/* WRITTEN of them were, and are consumed. */
void buffer_end_write(Buffer *buffer, size_t written);
/* After a take-over: finishes what a killed daemon had begun, counts bytes that were read and not counted, and bytes that were written.
 * STAGED: what the staging pipe holds. May be killed and begun again itself. */
void buffer_recover(Buffer *buffer, size_t staged);
