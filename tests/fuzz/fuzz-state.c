/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A state that anybody may have written. If the input begins with "raw", what follows is the header, and then the first half. Else it
 * is what daemons did, and what befell their memfd:
 *
 *     s KEY SIZE    set, to SIZE * 64 bytes     x WHERE LOW BYTES   some of these bytes are there instead
 *     r KEY         remove                      e WHERE LOW         the file ends there
 *     o             opened by the next one      l                   sealed
 *
 * What is read can be written, and is then read as it was written; of a state that nothing befell, all is there.
 */
#include "fuzz.h"

#include "basic/log.h"
#include "store/state.h"

#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HEADER_SIZE 40
#define FIRST_HALF ((off_t) 4096)
#define SECOND_HALF (FIRST_HALF + ((off_t) 1 << (sizeof(void *) > 4 ? 30 : 27)))

typedef struct Script {
        State *state;
        GHashTable *model; /* key -> text */
        unsigned found;
        bool befallen;
        char *complaint;
} Script;

static void complain(Script *script, const char *what, const char *key) {
        if (!script->complaint)
                script->complaint = g_strdup_printf("%s: %s", key, what);
}

static void believe(Script *script, const char *key, const char *text, size_t size) {
        g_hash_table_insert(script->model, g_strdup(key), g_bytes_new(text, size));
}

static void set_again(const char *key, const char *text, size_t size, void *userdata) {
        Script *script = userdata;

        if (text[size] != '\0' || strlen(key) > STATE_KEY_MAX)
                complain(script, "a text without an end", key);
        believe(script, key, text, size);
        if (state_set(script->state, key, text, size) < 0)
                complain(script, "cannot be set again", key);
}

static void compare(const char *key, const char *text, size_t size, void *userdata) {
        Script *script = userdata;
        GBytes *expected = g_hash_table_lookup(script->model, key);

        script->found++;
        if (!expected || g_bytes_get_size(expected) != size || (size > 0 && memcmp(g_bytes_get_data(expected, NULL), text, size) != 0))
                complain(script, "not what it was set to", key);
}

/* False if there is nothing that can be read. */
static bool reopen(Script *script) {
        int fd = fcntl(state_fd(script->state), F_DUPFD_CLOEXEC, 3);

        state_free(script->state);
        script->state = NULL;
        if (state_open(fd, &script->state) < 0) {
                close(fd);
                if (!script->befallen)
                        complain(script, "cannot be opened again", "state");
                return false;
        }
        if (script->befallen)
                return true;
        script->found = 0;
        state_foreach(script->state, "", compare, script);
        if (script->found != g_hash_table_size(script->model))
                complain(script, "texts are missing", "state");
        return true;
}

/* Whatever was read: written once more, it is read as it was. */
static bool write_again(Script *script) {
        script->befallen = false;
        g_hash_table_remove_all(script->model);
        state_foreach(script->state, "", set_again, script);
        return reopen(script);
}

static void set(Script *script, uint8_t key, size_t size) {
        g_autofree char *text = g_malloc(size * 64 + 1);
        char name[] = { 'k', (char) ('a' + key % 26), '\0' };

        memset(text, key, size * 64);
        if (state_set(script->state, name, text, size * 64) < 0)
                complain(script, "cannot be set", name);
        believe(script, name, text, size * 64);
}

static void drop(Script *script, uint8_t key) {
        char name[] = { 'k', (char) ('a' + key % 26), '\0' };

        state_remove(script->state, name);
        g_hash_table_remove(script->model, name);
}

static void befall(Script *script, off_t place, const uint8_t *bytes, size_t size) {
        script->befallen = true;
        if (bytes && pwrite(state_fd(script->state), bytes, size, place) < 0)
                g_error("cannot write to a memfd");
        if (!bytes && ftruncate(state_fd(script->state), place) < 0)
                g_error("cannot end a memfd");
}

static off_t place_of(uint8_t where, uint8_t low) {
        return where < 128 ? (where < 64 ? FIRST_HALF : SECOND_HALF) + (where % 64) * 256 + low : low;
}

/* Once something befell the memfd, nobody touches it but who opens it next. */
static void run(Script *script, const uint8_t *data, size_t size) {
        static const char two[] = { 's', 'x', 'e' };

        for (size_t i = 0, arguments; i < size && !script->complaint; i += 1 + arguments) {
                uint8_t first = i + 1 < size ? data[i + 1] : 0, second = i + 2 < size ? data[i + 2] : 0;

                arguments = memchr(two, data[i], sizeof two) ? 2 : data[i] == 'r';
                if (data[i] == 's' && !script->befallen)
                        set(script, first, second);
                else if (data[i] == 'r' && !script->befallen)
                        drop(script, first);
                else if (data[i] == 'l' && !script->befallen)
                        state_seal(script->state);
                else if (data[i] == 'x' && i + 3 < size)
                        befall(script, place_of(first, second), data + i + 3, MIN(size - i - 3, 1 + first % 9u));
                else if (data[i] == 'e')
                        befall(script, place_of(first, second), NULL, 0);
                else if (data[i] == 'o' && (!reopen(script) || !write_again(script)))
                        return;
        }
        if (script->state && !script->complaint && reopen(script))
                write_again(script);
}

static State *raw_state(const uint8_t *data, size_t size) {
        State *state = NULL;
        int fd = memfd_create("fuzz-state", MFD_CLOEXEC);

        if (pwrite(fd, data, MIN(size, HEADER_SIZE), 0) < 0 ||
            (size > HEADER_SIZE && pwrite(fd, data + HEADER_SIZE, size - HEADER_SIZE, FIRST_HALF) < 0))
                g_error("cannot write to a memfd");
        if (state_open(fd, &state) < 0)
                close(fd);
        return state;
}

char *fuzz_state(const uint8_t *data, size_t size) {
        Script script = { .model = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_bytes_unref) };

        log_open(LOG_TARGET_STDERR, LOG_CRIT); /* what is damaged is what the input is about */
        if (size >= 3 && memcmp(data, "raw", 3) == 0) {
                script.state = raw_state(data + 3, size - 3);
                if (script.state)
                        write_again(&script);
        } else if (state_new(&script.state) == 0)
                run(&script, data, size);
        state_free(script.state);
        g_hash_table_unref(script.model);
        return script.complaint;
}
