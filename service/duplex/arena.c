/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every step is ordered so that whoever maps the memfd after a SIGKILL finds a state it can go on from. A dead
 * process' stores are all visible to the next one in the order in which they were made, so that what has to be
 * held back is the compiler alone.
 */
#include "duplex/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_SIZE ((size_t) 4096)
#define MESSAGE_LARGEST ((size_t) 1 << 30) /* an index is 32 bits */
#define SPARE ((size_t) 192 * 1024)        /* a read of 128 KiB, and headers, beside two messages */
#define KEPT ((size_t) 256 * 1024)       /* memory that a buffer keeps once it has it: faulting it in again costs more than writing NULs */
#define PUNCH_MIN ((size_t) 256 * 1024)  /* what lies beyond is given back, if it is worth the call */
#define STAGED_MAX ((size_t) 256 * 1024) /* as much as a pipe takes through which much goes */
#define SLOTS_MAX 1000000
#define ADVANCE_MAX ((size_t) 128 * 1024) /* a buffer that is never quite empty starts over here, lest it walks over ever new memory */

struct BufferIndex {
        uint64_t span; /* tail << 32 | head */
        uint64_t wiping;
        uint64_t writing; /* end << 1 | staged; 0: nothing is being written */
};

/* The first page of a slot. */
struct SlotHead {
        struct BufferIndex in, out;
        uint64_t discard;  /* of the input: see slot_discard() */
        uint64_t capacity; /* of one buffer: where the second one begins */
};

struct Arena {
        int fd;
        int stage, staged; /* the staging pipe: in and out */
        uint32_t epoch;
        size_t message_max;
        size_t capacity; /* of one buffer */
        unsigned slots;  /* how many the memfd has room for */
        GArray *free;    /* numbers of slots below that nobody uses */
        bool *adopted;   /* of an arena that is being adopted, one for each of its first `adoptable` slots */
        unsigned adoptable;
        bool keeping; /* slots are let go as they are */
};

static size_t slot_size(const Arena *arena) {
        return PAGE_SIZE + 2 * arena->capacity;
}

static Arena *arena_alloc(const int fds[_ARENA_FD_MAX], size_t message_max, uint32_t epoch) {
        Arena *arena = g_new0(Arena, 1);

        arena->fd = fds[ARENA_FD_MEMORY];
        arena->staged = fds[ARENA_FD_STAGED];
        arena->stage = fds[ARENA_FD_STAGE];
        arena->epoch = epoch;
        arena->message_max = message_max;
        arena->capacity = 2 * ((message_max + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1)) + SPARE;
        arena->free = g_array_new(FALSE, FALSE, sizeof(unsigned));
        return arena;
}

int arena_new(size_t message_max, uint32_t epoch, Arena **ret) {
        int fds[_ARENA_FD_MAX];

        if (message_max == 0 || message_max > MESSAGE_LARGEST)
                return -EINVAL;
        fds[ARENA_FD_MEMORY] = memfd_create("plugind-duplexes", MFD_CLOEXEC);
        if (fds[ARENA_FD_MEMORY] < 0)
                return -errno;
        if (pipe2(fds + ARENA_FD_STAGED, O_CLOEXEC | O_NONBLOCK) < 0) {
                int r = -errno;

                close(fds[ARENA_FD_MEMORY]);
                return r;
        }
        (void) fcntl(fds[ARENA_FD_STAGE], F_SETPIPE_SZ, STAGED_MAX); /* a smaller one does as well */
        *ret = arena_alloc(fds, message_max, epoch);
        return 0;
}

static bool is_pipe(int fd) {
        struct stat st;

        return fstat(fd, &st) >= 0 && S_ISFIFO(st.st_mode);
}

int arena_adopt(const int fds[_ARENA_FD_MAX], size_t message_max, uint32_t epoch, Arena **ret) {
        Arena *arena;
        struct stat st;

        if (message_max == 0 || message_max > MESSAGE_LARGEST)
                return -EINVAL;
        if (fcntl(fds[ARENA_FD_MEMORY], F_GET_SEALS) < 0 || fstat(fds[ARENA_FD_MEMORY], &st) < 0 || !is_pipe(fds[ARENA_FD_STAGED]) ||
            !is_pipe(fds[ARENA_FD_STAGE]))
                return -EBADMSG;
        arena = arena_alloc(fds, message_max, epoch);
        if ((size_t) st.st_size % slot_size(arena) != 0 || (size_t) st.st_size / slot_size(arena) > SLOTS_MAX) {
                g_array_unref(arena->free);
                g_free(arena);
                return -EBADMSG;
        }
        arena->slots = (unsigned) ((size_t) st.st_size / slot_size(arena));
        arena->adoptable = arena->slots;
        arena->adopted = g_new0(bool, arena->adoptable + 1);
        *ret = arena;
        return 0;
}

void arena_descriptors(const Arena *arena, int fds[_ARENA_FD_MAX]) {
        fds[ARENA_FD_MEMORY] = arena->fd;
        fds[ARENA_FD_STAGED] = arena->staged;
        fds[ARENA_FD_STAGE] = arena->stage;
}

Arena *arena_free(Arena *arena) {
        if (!arena)
                return NULL;
        g_assert(arena->adopted || arena->keeping || arena->free->len == arena->slots); /* a slot may not outlive its arena */
        g_array_unref(arena->free);
        g_free(arena->adopted);
        close(arena->fd);
        close(arena->stage);
        close(arena->staged);
        g_free(arena);
        return NULL;
}

ssize_t arena_stage(Arena *arena, const char *data, size_t size) {
        ssize_t n = write(arena->stage, data, MIN(size, STAGED_MAX));

        return n < 0 ? -errno : n;
}

int arena_staging(const Arena *arena) {
        return arena->staged;
}

void arena_unstage(Arena *arena) {
        char rest[4096];

        while (read(arena->staged, rest, sizeof(rest)) > 0)
                ;
}

static size_t staged_bytes(const Arena *arena) {
        int n = 0;

        return ioctl(arena->staged, FIONREAD, &n) < 0 ? 0 : (size_t) n;
}

uint32_t arena_epoch(const Arena *arena) {
        return arena->epoch;
}

size_t arena_message_max(const Arena *arena) {
        return arena->message_max;
}

static void buffer_init(Buffer *buffer, struct BufferIndex *index, char *data, size_t capacity, bool nul_beyond) {
        *buffer = (Buffer){ .index = index, .data = data, .capacity = capacity, .nul_beyond = nul_beyond };
}

static int slot_map(Arena *arena, unsigned number, Slot **ret) {
        struct SlotHead *head;
        Slot *slot;
        void *map;

        map = mmap(NULL, slot_size(arena), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, arena->fd,
                   (off_t) (slot_size(arena) * number));
        if (map == MAP_FAILED)
                return -errno;
        slot = g_new0(Slot, 1);
        slot->arena = arena;
        slot->number = number;
        slot->map = head = map;
        buffer_init(&slot->in, &head->in, (char *) map + PAGE_SIZE, arena->capacity, true);
        buffer_init(&slot->out, &head->out, slot->in.data + arena->capacity, arena->capacity, false);
        *ret = slot;
        return 0;
}

static void slot_unmap(Slot *slot) {
        munmap(slot->map, slot_size(slot->arena));
        g_free(slot);
}

static inline size_t tail_of(const Buffer *buffer) {
        return (size_t) (buffer->index->span >> 32);
}

static inline size_t head_of(const Buffer *buffer) {
        return (size_t) (buffer->index->span & UINT32_MAX);
}

static bool buffer_is_sound(const Buffer *buffer) {
        return tail_of(buffer) <= head_of(buffer) && head_of(buffer) <= buffer->capacity && buffer->index->wiping <= buffer->capacity;
}

int slot_adopt(Arena *arena, unsigned number, Slot **ret) {
        Slot *slot;
        int r;

        if (!arena->adopted || number >= arena->adoptable)
                return -ENOENT;
        if (arena->adopted[number])
                return -EBUSY;
        r = slot_map(arena, number, &slot);
        if (r < 0)
                return r;
        if (((struct SlotHead *) slot->map)->capacity != arena->capacity || !buffer_is_sound(&slot->in) || !buffer_is_sound(&slot->out)) {
                slot_unmap(slot);
                return -EBADMSG;
        }
        arena->adopted[number] = true;
        buffer_recover(&slot->in, 0);
        buffer_recover(&slot->out, staged_bytes(arena));
        *ret = slot;
        return 0;
}

void arena_adopted(Arena *arena) {
        g_autofree bool *adopted = g_steal_pointer(&arena->adopted);

        for (unsigned number = 0; number < arena->adoptable; number++) {
                if (adopted[number])
                        continue;
                if (fallocate(arena->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t) (slot_size(arena) * number),
                              (off_t) slot_size(arena)) < 0)
                        g_error("cannot empty a slot of the duplexes' memfd: %s", g_strerror(errno));
                g_array_append_val(arena->free, number);
        }
        arena_unstage(arena);
}

void arena_keep(Arena *arena) {
        arena->keeping = true;
}

int slot_new(Arena *arena, Slot **ret) {
        unsigned number;
        int r;

        if (arena->free->len == 0) {
                if (ftruncate(arena->fd, (off_t) (slot_size(arena) * (arena->slots + 1))) < 0)
                        return -errno;
                g_array_append_val(arena->free, arena->slots);
                arena->slots++;
        }
        number = g_array_index(arena->free, unsigned, arena->free->len - 1);
        r = slot_map(arena, number, ret);
        if (r < 0)
                return r;
        ((struct SlotHead *) (*ret)->map)->capacity = arena->capacity;
        g_array_set_size(arena->free, arena->free->len - 1);
        return 0;
}

Slot *slot_free(Slot *slot) {
        Arena *arena;
        unsigned number;

        if (!slot)
                return NULL;
        arena = slot->arena;
        number = slot->number;
        if (arena->keeping) {
                slot_unmap(slot);
                return NULL;
        }
        /* Cannot fail on a memfd of ours; a slot with old bytes in it would break the next user's NULs. */
        if (madvise(slot->map, slot_size(arena), MADV_REMOVE) < 0)
                g_error("cannot empty a slot of the duplexes' memfd: %s", g_strerror(errno));
        slot_unmap(slot);
        g_array_append_val(arena->free, number);
        return NULL;
}

uint64_t slot_discard(const Slot *slot) {
        return ((const struct SlotHead *) slot->map)->discard;
}

static inline void ordered(void) {
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline void set_span(Buffer *buffer, size_t tail, size_t head) {
        ordered();
        __atomic_store_n(&buffer->index->span, (uint64_t) tail << 32 | head, __ATOMIC_RELAXED);
        ordered();
}

static inline void set_wiping(Buffer *buffer, size_t end) {
        ordered();
        __atomic_store_n(&buffer->index->wiping, end, __ATOMIC_RELAXED);
        ordered();
}

void slot_set_discard(Slot *slot, uint64_t discard) {
        ordered();
        __atomic_store_n(&((struct SlotHead *) slot->map)->discard, discard, __ATOMIC_RELAXED);
        ordered();
}

/* Makes the bytes of START to END NUL, and gives back the memory of many. */
static void wipe(Buffer *buffer, size_t start, size_t end) {
        size_t first_page = (MAX(start, KEPT) + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1), last_page = end & ~(PAGE_SIZE - 1);

        if (last_page >= first_page + PUNCH_MIN && madvise(buffer->data + first_page, last_page - first_page, MADV_REMOVE) >= 0) {
                memset(buffer->data + last_page, 0, end - last_page);
                end = first_page;
        }
        if (buffer->nul_beyond)
                memset(buffer->data + start, 0, end - start);
}

/* The same for all from START on where nothing is known of what lies there; what is not there takes no memory by it. */
static void wipe_rest(Buffer *buffer, size_t start) {
        size_t page = MIN((start + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1), buffer->capacity);

        if (page < buffer->capacity && madvise(buffer->data + page, buffer->capacity - page, MADV_REMOVE) < 0)
                page = buffer->capacity;
        memset(buffer->data + start, 0, page - start);
}

/* What is live lies at 0 to LIVE now: makes that the truth, and what lies beyond, up to the old head, NUL. */
static void start_over(Buffer *buffer, size_t live) {
        size_t old_head = head_of(buffer);

        set_wiping(buffer, old_head);
        set_span(buffer, 0, live);
        wipe(buffer, live, old_head);
        set_wiping(buffer, 0);
}

const char *buffer_peek(const Buffer *buffer, size_t *size) {
        *size = head_of(buffer) - tail_of(buffer);
        return buffer->data + tail_of(buffer);
}

char *buffer_reserve(Buffer *buffer, size_t minimum, size_t *size) {
        size_t tail = tail_of(buffer), head = head_of(buffer), live = head - tail;
        bool room = buffer->capacity - head >= minimum, movable = live <= tail; /* a copy over itself could not be interrupted */

        if (!room && (!movable || buffer->capacity - live < minimum))
                return NULL;
        if (!room || (movable && tail >= ADVANCE_MAX)) {
                memcpy(buffer->data, buffer->data + tail, live);
                start_over(buffer, live);
                head = live;
        }
        *size = buffer->capacity - head;
        return buffer->data + head;
}

void buffer_commit(Buffer *buffer, size_t size) {
        g_assert(size <= buffer->capacity - head_of(buffer));
        set_span(buffer, tail_of(buffer), head_of(buffer) + size);
}

void buffer_take(Buffer *buffer, size_t size) {
        size_t tail = tail_of(buffer) + size, head = head_of(buffer);

        g_assert(tail <= head);
        set_span(buffer, tail, head);
}

void buffer_taken(Buffer *buffer) {
        if (tail_of(buffer) == head_of(buffer))
                start_over(buffer, 0);
}

void buffer_consume(Buffer *buffer, size_t size) {
        if (size < head_of(buffer) - tail_of(buffer))
                buffer_take(buffer, size);
        else {
                g_assert(size == head_of(buffer) - tail_of(buffer));
                start_over(buffer, 0);
        }
}

void buffer_blank(Buffer *buffer, size_t offset, size_t size) {
        g_assert(offset + size <= head_of(buffer) - tail_of(buffer));
        memset(buffer->data + tail_of(buffer) + offset, ' ', size);
}

static inline void set_writing(Buffer *buffer, uint64_t writing) {
        ordered();
        __atomic_store_n(&buffer->index->writing, writing, __ATOMIC_RELAXED);
        ordered();
}

void buffer_begin_write(Buffer *buffer, size_t size, bool staged) {
        g_assert(size > 0 && size <= head_of(buffer) - tail_of(buffer));
        set_writing(buffer, (uint64_t) (tail_of(buffer) + size) << 1 | staged);
}

/* The mark goes last, and names a place in the buffer: what is consumed already is not counted once more. */
void buffer_end_write(Buffer *buffer, size_t written) {
        buffer_take(buffer, written);
        set_writing(buffer, 0);
        buffer_taken(buffer);
}

static void recover_output(Buffer *buffer, size_t staged) {
        uint64_t writing = buffer->index->writing;
        size_t tail = tail_of(buffer), head = head_of(buffer), end = (size_t) (writing >> 1);

        if (writing > 0 && end >= tail && end <= head)
                set_span(buffer, writing & 1 ? MAX(tail, end - MIN(end, staged)) : end, head);
        set_writing(buffer, 0);
}

static void recover_input(Buffer *buffer) {
        size_t head = head_of(buffer);
        const char *end = memchr(buffer->data + head, 0, buffer->capacity - head);

        head = end ? (size_t) (end - buffer->data) : buffer->capacity;
        set_span(buffer, tail_of(buffer), head);
        wipe_rest(buffer, head); /* what was read after a NUL was no JSON and is given up */
}

void buffer_recover(Buffer *buffer, size_t staged) {
        size_t head = head_of(buffer), wiping = (size_t) buffer->index->wiping;

        if (wiping > head)
                wipe(buffer, head, wiping);
        set_wiping(buffer, 0);
        if (buffer->nul_beyond)
                recover_input(buffer);
        else
                recover_output(buffer, staged);
}
