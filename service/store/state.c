/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The format, version 1. Integers are of the machine's byte order: a memfd never leaves it.
 *
 *     0             Header
 *     HEADER_SIZE   one half, HALF_SIZE bytes: records, one behind the other
 *     + HALF_SIZE   the other half
 *
 * The file is sparse: only what was written costs memory. One half is active: its records below `head` count. A new record is written behind
 * head and only then counted; of two records of one key the later one counts, and the earlier is erased by one store. When what is
 * erased outweighs what lives, the living are copied to the other half, one store makes that the active one, and the old one is punched out.
 * So whoever opens this after a SIGKILL, between whichever two instructions, finds either the old or the new text of each key: a dead process'
 * stores are all visible to the next one in the order in which they were made, so that what has to be held back is the compiler alone.
 *
 * A *checked word* is 32 bits of value below a CRC-32C of it and of its place in the file. It changes in one 64-bit store. All of
 * the header but its first 16 bytes, and the first word of a record, are such; the rest of a record has a CRC-32C of its own. No
 * change of a byte goes unseen, and after a damaged record the next whole one is found at one of the multiples of 8 that follow. (No text of JSON can
 * look like a record meanwhile: there are NULs in each, and no NUL in JSON.)
 *
 * The first 16 bytes are the same in every version: who adds one adds its number to state_open(), and reads this one there as well.
 */
#include "store/state.h"

#include "basic/json.h"
#include "basic/log.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "\377plugind" /* without its NUL */
#define VERSION 1

#define HEADER_SIZE ((size_t) 4096)
#define HALF_SIZE ((size_t) 1 << (sizeof(void *) > 4 ? 30 : 27))
#define FILE_SIZE (HEADER_SIZE + 2 * HALF_SIZE)
#define GARBAGE_MIN ((size_t) 64 * 1024)         /* less is not worth copying anything */
#define LIVE_MAX ((HALF_SIZE - GARBAGE_MIN) / 2) /* so that there is always room: garbage is not more than that and GARBAGE_MIN */
#define ALLOCATE_STEP ((size_t) 16 * 1024)
#define TOLD_MAX 100 /* damaged places that are told one by one */

typedef struct Header {
        char magic[8];
        uint32_t version;
        uint32_t checksum; /* of what is above */
        uint64_t epoch[2]; /* checked words: epoch << 1 | sealed; twice, since no other place knows it */
        uint64_t active;   /* checked word: which half << 31 | head / 8 */
} Header;

typedef struct Record {
        uint64_t extent;   /* checked word: size / 8 << 1 | erased */
        uint32_t checksum; /* of all that follows, to the end of the record */
        uint32_t text_size;
        uint64_t sequence; /* of the key: in which order keys were first set */
        char key[];        /* NUL, the text, NUL, and NULs up to a multiple of 8 */
} Record;

struct State {
        int fd;
        char *map;
        Header *header;
        GHashTable *index; /* keys, where they lie in the living records */
        unsigned half;     /* the active one */
        size_t head;       /* from here on everything is in bytes, and relative to the file */
        size_t live;       /* bytes of living records */
        size_t allocated;  /* up to here there is memory, in the active half */
        uint64_t sequence; /* the next */
        uint32_t epoch;
        bool was_sealed;
        unsigned damaged; /* places, while it is opened */
};

static uint32_t crc32c(uint32_t crc, const void *data, size_t size) {
        static uint32_t table[256];

        if (G_UNLIKELY(table[1] == 0))
                for (uint32_t i = 0; i < 256; i++) {
                        table[i] = i;
                        for (unsigned bit = 0; bit < 8; bit++)
                                table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0x82f63b78 : 0);
                }
        crc = ~crc;
        for (const uint8_t *p = data; size > 0; p++, size--)
                crc = crc >> 8 ^ table[(crc ^ *p) & 0xff];
        return ~crc;
}

static inline void ordered(void) {
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline size_t round_up(size_t size, size_t multiple) {
        return (size + multiple - 1) & ~(multiple - 1);
}

static uint64_t checked_word(const State *state, const uint64_t *place, uint32_t value) {
        uint64_t offset = (uint64_t) ((const char *) place - state->map);

        return (uint64_t) crc32c(crc32c(0, &offset, sizeof offset), &value, sizeof value) << 32 | value;
}

static bool word_get(const State *state, const uint64_t *place, uint32_t *ret) {
        uint64_t word = *place;

        if (word == 0 || word != checked_word(state, place, (uint32_t) word))
                return false;
        *ret = (uint32_t) word;
        return true;
}

static void word_set(State *state, uint64_t *place, uint32_t value) {
        uint64_t word = checked_word(state, place, value);

        ordered();
        __atomic_store_n(place, word, __ATOMIC_RELAXED);
        ordered();
}

static size_t half_start(unsigned half) {
        return HEADER_SIZE + half * HALF_SIZE;
}

static void set_active(State *state, unsigned half, size_t head) {
        word_set(state, &state->header->active, half << 31 | (uint32_t) ((head - half_start(half)) / 8));
        state->half = half;
        state->head = head;
}

/* Both, one after the other: if we are killed between them the first one counts. */
static void set_epoch(State *state, bool sealed) {
        for (unsigned i = 0; i < G_N_ELEMENTS(state->header->epoch); i++)
                word_set(state, state->header->epoch + i, state->epoch << 1 | sealed);
}

static inline Record *record_of(const char *key) {
        return (Record *) (void *) (key - offsetof(Record, key));
}

static inline size_t record_size(const Record *record) {
        return (size_t) ((uint32_t) record->extent >> 1) * 8;
}

static inline const char *record_text(const Record *record) {
        return record->key + strlen(record->key) + 1;
}

static uint32_t record_checksum(const Record *record, size_t size) {
        return crc32c(0, &record->text_size, size - offsetof(Record, text_size));
}

static size_t size_needed(size_t key_size, size_t text_size) {
        return round_up(offsetof(Record, key) + key_size + 1 + text_size + 1, 8);
}

static void erase(State *state, Record *record) {
        state->live -= record_size(record);
        word_set(state, &record->extent, (uint32_t) record->extent | 1);
}

/* -- reading what another one left -- */

typedef enum Look {
        LOOK_NOTHING, /* that can be told */
        LOOK_ERASED,
        LOOK_DAMAGED, /* of a size that is known */
        LOOK_WHOLE,
} Look;

static Look look(const State *state, size_t offset, size_t end, size_t *ret_size) {
        const Record *record = (const Record *) (const void *) (state->map + offset);
        const char *key_end;
        uint32_t extent;
        size_t size;

        if (end - offset < sizeof(Record) || !word_get(state, &record->extent, &extent))
                return LOOK_NOTHING;
        size = (size_t) (extent >> 1) * 8;
        if (size < size_needed(1, 0) || size > end - offset)
                return LOOK_NOTHING;
        *ret_size = size;
        if (extent & 1)
                return LOOK_ERASED;
        key_end = memchr(record->key, '\0', MIN(size - offsetof(Record, key), STATE_KEY_MAX + 1));
        if (record->checksum != record_checksum(record, size) || !key_end || key_end == record->key || record->text_size > STATE_TEXT_MAX ||
            size != size_needed((size_t) (key_end - record->key), record->text_size) || key_end[1 + record->text_size] != '\0')
                return LOOK_DAMAGED;
        return LOOK_WHOLE;
}

static inline uint64_t word_at(const State *state, size_t offset) {
        return *(const uint64_t *) (const void *) (state->map + offset);
}

static void add_found(State *state, Record *record) {
        gpointer earlier;

        if (g_hash_table_lookup_extended(state->index, record->key, &earlier, NULL))
                erase(state, record_of(earlier));
        g_hash_table_add(state->index, record->key);
        state->live += record_size(record);
        if (record->sequence >= state->sequence && record->sequence < UINT64_MAX)
                state->sequence = record->sequence + 1;
}

static void tell_damage(State *state, size_t offset, size_t size) {
        size_t room = size > offsetof(Record, key) ? MIN(size - offsetof(Record, key), STATE_KEY_MAX) : 0;
        const char *key = ((const Record *) (const void *) (state->map + offset))->key;
        g_autofree char *shown = room > 0 && *key ? json_quote(key, strnlen(key, room)) : NULL;

        state->damaged++;
        if (state->damaged <= TOLD_MAX)
                log_warning("State of the daemon before: %zu bytes at %zu are damaged and left out%s%s", size, offset,
                            shown ? ", their key reads " : "", shown ?: "");
}

static bool all_nul(const char *data, size_t size) {
        return size == 0 || (data[0] == '\0' && memcmp(data, data + 1, size - 1) == 0);
}

/* Indexes the records between the start of HALF and END, or those that are there, if it is not known. Returns the end of the last one. */
static size_t scan(State *state, unsigned half, size_t end, bool end_known) {
        size_t offset = half_start(half), last = offset, size = 0, next;

        g_hash_table_remove_all(state->index);
        state->live = 0;
        for (; offset + 8 <= end; offset = next) {
                Look found = look(state, offset, end, &size);

                next = offset + size;
                if (found == LOOK_NOTHING) {
                        for (next = offset + 8;
                             next + 8 <= end && (word_at(state, next) == 0 || look(state, next, end, &size) != LOOK_WHOLE);)
                                next += 8;
                        next = next + 8 <= end ? next : end;
                        if (!end_known && next == end && all_nul(state->map + offset, end - offset))
                                break;
                }
                if (found == LOOK_WHOLE)
                        add_found(state, (Record *) (void *) (state->map + offset));
                else if (found != LOOK_ERASED)
                        tell_damage(state, offset, next - offset);
                if (found != LOOK_NOTHING)
                        last = next;
        }
        return last;
}

/* Where the memory of a half ends: what lies beyond would come into being if it were looked at. */
static size_t data_end(const State *state, unsigned half) {
        off_t limit = (off_t) (half_start(half) + HALF_SIZE), hole = (off_t) half_start(half);

        for (off_t data; (data = lseek(state->fd, hole, SEEK_DATA)) >= 0 && data < limit;)
                hole = lseek(state->fd, data, SEEK_HOLE);
        return (size_t) MIN(hole, limit);
}

/* Without a word on which half is active: it is the one in which everything is. The other one is empty, or a copy that was not finished. */
static void scan_both(State *state) {
        unsigned first_size;

        log_warning("State of the daemon before: which half is active is damaged; looking into both");
        scan(state, 0, data_end(state, 0), false);
        first_size = g_hash_table_size(state->index);
        state->half = 1;
        state->head = scan(state, 1, data_end(state, 1), false);
        if (g_hash_table_size(state->index) < MAX(first_size, 1)) {
                state->half = 0;
                state->head = scan(state, 0, data_end(state, 0), false);
        }
        set_active(state, state->half, state->head);
}

/* SIZE: of the file as it was found. */
static void scan_active(State *state, size_t size) {
        uint32_t active;
        size_t start, end;

        if (!word_get(state, &state->header->active, &active) || (size_t) (active & INT32_MAX) * 8 > HALF_SIZE) {
                scan_both(state);
                return;
        }
        state->half = active >> 31;
        start = half_start(state->half);
        state->head = start + (size_t) (active & INT32_MAX) * 8;
        size = MIN(size, data_end(state, state->half));
        end = MIN(state->head, MAX(size, start) & ~(size_t) 7);
        scan(state, state->half, end, true);
        if (end == state->head)
                return;
        log_warning("State of the daemon before: it was cut off at %zu bytes, %zu were expected; texts beyond are left out", size,
                    state->head);
        state->damaged++;
}

/* -- making room -- */

static void punch(State *state, unsigned half) {
        /* If that fails it costs memory and nothing else: what is not active is never believed. */
        (void) fallocate(state->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t) half_start(half), (off_t) HALF_SIZE);
}

/* Memory for the active half (or what will be it) up to END: without it a store would be answered by SIGBUS. */
static int allocate(State *state, size_t end) {
        size_t wanted = round_up(end, ALLOCATE_STEP);

        if (end <= state->allocated)
                return 0;
        wanted = MIN(wanted, FILE_SIZE);
        while (fallocate(state->fd, FALLOC_FL_KEEP_SIZE, (off_t) state->allocated, (off_t) (wanted - state->allocated)) < 0)
                if (errno != EINTR)
                        return -errno;
        state->allocated = wanted;
        return 0;
}

static size_t copy_living(State *state, size_t target, GHashTable *copies) {
        GHashTableIter iter;
        gpointer key;

        g_hash_table_iter_init(&iter, state->index);
        while (g_hash_table_iter_next(&iter, &key, NULL)) {
                const Record *record = record_of(key);
                Record *copy = (Record *) (void *) (state->map + target);
                size_t size = record_size(record);

                memcpy(copy, record, size);
                word_set(state, &copy->extent, (uint32_t) (size / 8) << 1);
                g_hash_table_add(copies, copy->key);
                target += size;
        }
        return target;
}

/* Without memory for a copy everything stays where it is. */
static void compact(State *state) {
        unsigned old_half = state->half, half = 1 - old_half;
        size_t allocated = state->allocated;
        GHashTable *index;

        state->allocated = half_start(half);
        if (allocate(state, half_start(half) + state->live) < 0) {
                punch(state, half);
                state->allocated = allocated;
                return;
        }
        index = g_hash_table_new(g_str_hash, g_str_equal);
        set_active(state, half, copy_living(state, half_start(half), index));
        g_hash_table_unref(state->index);
        state->index = index;
        punch(state, old_half);
}

static void compact_if_worth_it(State *state) {
        if (state->head - half_start(state->half) > 2 * state->live + GARBAGE_MIN)
                compact(state);
}

/* -- opening and closing -- */

static int state_map(int fd, State **ret) {
        char *map = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
        State *state;

        if (map == MAP_FAILED)
                return -errno;
        state = g_new0(State, 1);
        state->fd = fd;
        state->map = map;
        state->header = (Header *) (void *) map;
        state->index = g_hash_table_new(g_str_hash, g_str_equal);
        state->sequence = 1;
        *ret = state;
        return 0;
}

State *state_free(State *state) {
        if (!state)
                return NULL;
        g_hash_table_unref(state->index);
        munmap(state->map, FILE_SIZE);
        if (state->fd >= 0)
                close(state->fd);
        g_free(state);
        return NULL;
}

int state_new(State **ret) {
        Header header = { .magic = MAGIC, .version = VERSION };
        State *state;
        int fd, r = 0;

        fd = memfd_create("plugind-state", MFD_CLOEXEC);
        if (fd < 0)
                return -errno;
        header.checksum = crc32c(0, &header, offsetof(Header, checksum));
        if (ftruncate(fd, (off_t) FILE_SIZE) < 0 || pwrite(fd, &header, sizeof header, 0) != sizeof header)
                r = -errno;
        if (r == 0)
                r = state_map(fd, &state);
        if (r < 0) {
                close(fd);
                return r;
        }
        state->epoch = 1;
        state->allocated = half_start(0);
        set_active(state, 0, half_start(0));
        set_epoch(state, false);
        *ret = state;
        return 0;
}

static int check_file(int fd, size_t *ret_size) {
        struct stat st;
        Header header;

        if (fcntl(fd, F_GET_SEALS) < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return -EBADF;
        if ((size_t) st.st_size > FILE_SIZE || pread(fd, &header, sizeof header, 0) != sizeof header)
                return -EBADMSG;
        if (memcmp(header.magic, MAGIC, sizeof header.magic) != 0 || header.checksum != crc32c(0, &header, offsetof(Header, checksum)) ||
            header.version == 0)
                return -EBADMSG;
        if (header.version > VERSION)
                return -EPROTONOSUPPORT;
        *ret_size = (size_t) st.st_size;
        return 0;
}

static bool read_epoch(State *state) {
        uint32_t value;

        for (unsigned i = 0; i < G_N_ELEMENTS(state->header->epoch); i++)
                if (word_get(state, state->header->epoch + i, &value) && value >> 1 > 0) {
                        state->was_sealed = value & 1;
                        state->epoch = MIN(value >> 1, (uint32_t) INT32_MAX - 1) + 1;
                        return true;
                }
        return false;
}

int state_open(int fd, State **ret) {
        State *state;
        size_t size;
        int r;

        r = check_file(fd, &size);
        if (r < 0)
                return r;
        if (size < FILE_SIZE && ftruncate(fd, (off_t) FILE_SIZE) < 0)
                return -errno;
        r = state_map(fd, &state);
        if (r < 0)
                return r;
        if (!read_epoch(state)) {
                state->fd = -1; /* stays the caller's */
                state_free(state);
                return -EBADMSG;
        }
        scan_active(state, size);
        punch(state, 1 - state->half);
        state->allocated = state->head & ~(ALLOCATE_STEP - 1);
        if (state->damaged > TOLD_MAX)
                log_warning("State of the daemon before: %u more places are damaged and left out", state->damaged - TOLD_MAX);
        if (state->damaged > 0)
                compact(state);
        else
                compact_if_worth_it(state);
        set_epoch(state, false);
        *ret = state;
        return 0;
}

int state_fd(const State *state) {
        return state->fd;
}

uint32_t state_epoch(const State *state) {
        return state->epoch;
}

bool state_was_sealed(const State *state) {
        return state->was_sealed;
}

void state_seal(State *state) {
        set_epoch(state, true);
}

/* -- texts -- */

static void write_record(State *state, Record *record, uint64_t sequence, const char *key, const char *text, size_t text_size) {
        size_t key_size = strlen(key) + 1, size = size_needed(key_size - 1, text_size);

        memset((char *) record + size - 8, 0, 8);
        record->text_size = (uint32_t) text_size;
        record->sequence = sequence;
        memcpy(record->key, key, key_size);
        if (text_size > 0)
                memcpy(record->key + key_size, text, text_size);
        record->key[key_size + text_size] = '\0';
        record->checksum = record_checksum(record, size);
        word_set(state, &record->extent, (uint32_t) (size / 8) << 1);
}

int state_set(State *state, const char *key, const char *text, size_t size) {
        size_t key_size = strlen(key), needed;
        Record *record, *old = NULL;
        gpointer old_key;
        int r;

        if (key_size == 0 || key_size > STATE_KEY_MAX)
                return -EINVAL;
        if (size > STATE_TEXT_MAX)
                return -E2BIG;
        needed = size_needed(key_size, size);
        if (state->live + needed > LIVE_MAX || needed > half_start(state->half) + HALF_SIZE - state->head)
                return -ENOSPC;
        r = allocate(state, state->head + needed);
        if (r < 0)
                return r;
        if (g_hash_table_lookup_extended(state->index, key, &old_key, NULL))
                old = record_of(old_key);
        record = (Record *) (void *) (state->map + state->head);
        write_record(state, record, old ? old->sequence : state->sequence++, key, text, size);
        set_active(state, state->half, state->head + needed);
        if (old)
                erase(state, old);
        g_hash_table_add(state->index, record->key);
        state->live += needed;
        compact_if_worth_it(state);
        return 0;
}

void state_remove(State *state, const char *key) {
        gpointer found;

        if (!g_hash_table_lookup_extended(state->index, key, &found, NULL))
                return;
        g_hash_table_remove(state->index, found);
        erase(state, record_of(found));
        compact_if_worth_it(state);
}

const char *state_get(const State *state, const char *key, size_t *ret_size) {
        gpointer found;

        if (!g_hash_table_lookup_extended(state->index, key, &found, NULL))
                return NULL;
        *ret_size = record_of(found)->text_size;
        return record_text(record_of(found));
}

static int compare_sequences(const void *a, const void *b) {
        const Record *first = record_of(*(char *const *) a), *second = record_of(*(char *const *) b);

        return first->sequence < second->sequence ? -1 : first->sequence > second->sequence;
}

void state_foreach(State *state, const char *prefix, void (*callback)(const char *key, const char *text, size_t size, void *userdata),
                   void *userdata) {
        g_autoptr(GPtrArray) keys = g_ptr_array_new_with_free_func(g_free);
        GHashTableIter iter;
        gpointer key;

        g_hash_table_iter_init(&iter, state->index);
        while (g_hash_table_iter_next(&iter, &key, NULL))
                if (g_str_has_prefix(key, prefix))
                        g_ptr_array_add(keys, key);
        g_ptr_array_sort(keys, compare_sequences);
        /* They move when something is set. */
        for (guint i = 0; i < keys->len; i++)
                keys->pdata[i] = g_strdup(keys->pdata[i]);
        for (guint i = 0; i < keys->len; i++) {
                size_t size;
                const char *text = state_get(state, keys->pdata[i], &size);

                if (text)
                        callback(keys->pdata[i], text, size, userdata);
        }
}
