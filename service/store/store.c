/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is in the fd store, by name: "state", the memfd of the texts; "arena0" to "arena2"; and a pair of the number 7 as "7o" and "7i", or as "7i"
 * alone if one descriptor serves both ways. "7o" is stored first, so that a "7i" without it never is half of a pair.
 *
 * process 1 answers nothing: past FileDescriptorStoreMax= it closes what it gets, and says so in its own log. A message to it blocks while its queue is full,
 * which is as long as it takes for process 1 to get to it; there is no other way to give it descriptors in order.
 */
#include "store/store.h"

#include "basic/log.h"
#include "duplex/arena.h"
#include "store/set-aside.h"
#include "store/state.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define NAME_STATE "state"
#define NAME_ARENA "arena"

/* What is stored under a number, and, until somebody takes them, the descriptors that the daemon before stored. */
typedef struct Pair {
        int in, out; /* -1: not ours to give */
        bool found_out;
} Pair;

struct Store {
        State *state;
        bool lasts;
        bool sealed;
        GArray *sockets;
        GHashTable *pairs; /* number -> Pair */
        unsigned last;     /* number */
        int arena[_ARENA_FD_MAX];
};

static void close_fd(int *fd) {
        if (*fd >= 0)
                close(*fd);
        *fd = -1;
}

static void pair_free(gpointer p) {
        Pair *pair = p;

        close_fd(&pair->in);
        close_fd(&pair->out);
        g_free(pair);
}

static Pair *pair_new(Store *store, unsigned number) {
        Pair *pair = g_new(Pair, 1);

        *pair = (Pair){ .in = -1, .out = -1 };
        g_hash_table_insert(store->pairs, GUINT_TO_POINTER(number), pair);
        return pair;
}

/* -- the fd store -- */

static int notify_store(const Store *store, const char *name, int fd) {
        g_autofree char *message = g_strdup_printf("FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
        int r;

        if (!store->lasts)
                return 0;
        r = sd_pid_notify_with_fds(0, false, message, &fd, 1);
        if (r < 0)
                log_warning("Cannot store the descriptor \"%s\" with systemd: %s", name, g_strerror(-r));
        return r < 0 ? r : 0;
}

static void notify_remove(const Store *store, const char *name) {
        int r;

        if (!store->lasts)
                return;
        r = sd_notifyf(false, "FDSTOREREMOVE=1\nFDNAME=%s", name);
        if (r < 0)
                log_warning("Cannot remove the descriptor \"%s\" from systemd's store: %s", name, g_strerror(-r));
}

static void pair_name(char name[16], unsigned number, char end) {
        g_snprintf(name, 16, "%u%c", number, end);
}

static void remove_pair(const Store *store, unsigned number) {
        char name[16];

        for (const char *end = "oi"; *end; end++) {
                pair_name(name, number, *end);
                notify_remove(store, name);
        }
}

static void remove_arena(Store *store) {
        for (unsigned i = 0; i < _ARENA_FD_MAX; i++) {
                g_autofree char *name = g_strdup_printf(NAME_ARENA "%u", i);

                close_fd(&store->arena[i]);
                notify_remove(store, name);
        }
}

/* -- what systemd passes -- */

/* "7i": 7, 'i'. As they were written, and nothing else. */
static bool parse_pair_name(const char *name, unsigned *ret_number, char *ret_end) {
        uint64_t number = 0;
        const char *p = name;

        for (; g_ascii_isdigit(*p) && number <= UINT32_MAX; p++)
                number = number * 10 + (uint64_t) (*p - '0');
        if (name[0] == '0' || p == name || number > UINT32_MAX || (*p != 'i' && *p != 'o') || p[1] != '\0')
                return false;
        *ret_number = (unsigned) number;
        *ret_end = *p;
        return true;
}

static bool parse_arena_name(const char *name, unsigned *ret) {
        if (!g_str_has_prefix(name, NAME_ARENA) || strlen(name) != strlen(NAME_ARENA) + 1)
                return false;
        *ret = (unsigned) (unsigned char) name[strlen(NAME_ARENA)] - '0';
        return *ret < _ARENA_FD_MAX;
}

/* Our names are no socket unit's: those have a dot unless FileDescriptorName= says otherwise, and then the listening ones are told apart. */
static int *place_for(Store *store, int *state_fd, const char *name, int fd) {
        unsigned number;
        char end;

        if (sd_is_socket(fd, AF_UNSPEC, 0, 1) > 0)
                return NULL;
        if (strcmp(name, NAME_STATE) == 0)
                return state_fd;
        if (parse_arena_name(name, &number))
                return store->arena + number;
        if (parse_pair_name(name, &number, &end)) {
                Pair *pair = g_hash_table_lookup(store->pairs, GUINT_TO_POINTER(number)) ?: pair_new(store, number);

                store->last = MAX(store->last, number);
                if (end == 'o')
                        pair->found_out = true;
                return end == 'i' ? &pair->in : &pair->out;
        }
        return NULL;
}

static void sort_out(Store *store, int fd, const char *name, int *state_fd) {
        int *place = place_for(store, state_fd, name, fd);

        (void) fcntl(fd, F_SETFD, FD_CLOEXEC);
        if (!place)
                g_array_append_val(store->sockets, fd);
        else if (*place < 0)
                *place = fd;
        else {
                log_warning("systemd passes two descriptors of the name \"%s\"; the second one is closed", name);
                close(fd);
        }
}

static void take_passed(Store *store, int *state_fd) {
        g_auto(GStrv) names = NULL;
        int n = sd_listen_fds_with_names(false, &names);

        if (n == -EINVAL) {
                log_warning("systemd passes descriptors of names that cannot be made out; all are taken for sockets");
                n = sd_listen_fds(false);
        }
        for (int i = 0; i < n; i++)
                sort_out(store, SD_LISTEN_FDS_START + i, names ? names[i] : "", state_fd);
        (void) sd_listen_fds(true); /* not for our children */
        if (n < 0)
                log_warning("Cannot take the descriptors that systemd passes: %s", g_strerror(-n));
}

/* -- opening and closing -- */

static const char *why_unreadable(int r) {
        return r == -EBADF             ? "it is no memfd"
               : r == -EBADMSG         ? "it is damaged, or none of plugind's"
               : r == -EPROTONOSUPPORT ? "it is of a later version of plugind"
                                       : g_strerror(-r);
}

/* FD: the one of the daemon before, owned; -1. */
static int open_state(Store *store, int fd, const char *folder) {
        int r;

        if (fd >= 0) {
                r = state_open(fd, &store->state);
                if (r == 0)
                        return 0;
                log_error("The state of the daemon before cannot be read, nothing of it is taken over: %s", why_unreadable(r));
                set_aside(fd, folder);
                close(fd);
        }
        r = state_new(&store->state);
        if (r < 0)
                return r;
        notify_remove(store, NAME_STATE); /* a name is no slot: the old one would stay beside the new one */
        if (notify_store(store, NAME_STATE, state_fd(store->state)) < 0)
                store->lasts = false;
        return 0;
}

int store_open(const char *folder, Store **ret) {
        Store *store = g_new0(Store, 1);
        int state_fd = -1, r;

        /* $FDSTORE is systemd 254's; before that nobody says whether there is a store. */
        store->lasts = getenv("NOTIFY_SOCKET") && g_strcmp0(getenv("FDSTORE"), "0") != 0;
        store->sockets = g_array_new(FALSE, FALSE, sizeof(int));
        store->pairs = g_hash_table_new_full(NULL, NULL, NULL, pair_free);
        for (unsigned i = 0; i < _ARENA_FD_MAX; i++)
                store->arena[i] = -1;
        take_passed(store, &state_fd);
        r = open_state(store, state_fd, folder);
        if (r < 0) {
                for (guint i = 0; i < store->sockets->len; i++)
                        close(g_array_index(store->sockets, int, i));
                store_free(store);
                return r;
        }
        *ret = store;
        return 0;
}

Store *store_free(Store *store) {
        if (!store)
                return NULL;
        for (unsigned i = 0; i < _ARENA_FD_MAX; i++)
                close_fd(&store->arena[i]);
        g_hash_table_unref(store->pairs);
        g_array_unref(store->sockets);
        state_free(store->state);
        g_free(store);
        return NULL;
}

bool store_lasts(const Store *store) {
        return store->lasts;
}

uint32_t store_epoch(const Store *store) {
        return state_epoch(store->state);
}

bool store_was_sealed(const Store *store) {
        return state_was_sealed(store->state);
}

size_t store_sockets(const Store *store, const int **ret) {
        *ret = (const int *) (const void *) store->sockets->data;
        return store->sockets->len;
}

void store_seal(Store *store) {
        store->sealed = true;
        state_seal(store->state);
}

/* -- texts -- */

void store_set(Store *store, const char *key, const char *text, size_t size) {
        int r;

        if (store->sealed)
                return;
        r = state_set(store->state, key, text, size);
        if (r < 0)
                log_error("Cannot keep %zu bytes as \"%s\" for the next daemon, it has what was there before: %s", size, key,
                          g_strerror(-r));
}

void store_remove(Store *store, const char *key) {
        if (!store->sealed)
                state_remove(store->state, key);
}

const char *store_get(Store *store, const char *key, size_t *ret_size) {
        return state_get(store->state, key, ret_size);
}

void store_foreach(Store *store, const char *prefix, void (*callback)(const char *key, const char *text, size_t size, void *userdata),
                   void *userdata) {
        state_foreach(store->state, prefix, callback, userdata);
}

/* -- descriptors -- */

/* systemd keeps one of two descriptors of one socket. */
static bool same_socket(int a, int b) {
        struct stat first, second;

        return fstat(a, &first) >= 0 && fstat(b, &second) >= 0 && S_ISSOCK(first.st_mode) && first.st_dev == second.st_dev &&
               first.st_ino == second.st_ino;
}

int store_put_pair(Store *store, int fd_in, int fd_out, unsigned *ret) {
        unsigned number = store->last;
        char name[16];
        int r = 0;

        do
                number = MAX(number + 1, 1u); /* none is used twice before all have been used */
        while (g_hash_table_contains(store->pairs, GUINT_TO_POINTER(number)));
        pair_name(name, number, 'o');
        if (fd_in != fd_out && !same_socket(fd_in, fd_out))
                r = notify_store(store, name, fd_out);
        pair_name(name, number, 'i');
        if (r == 0)
                r = notify_store(store, name, fd_in);
        if (r < 0) {
                remove_pair(store, number);
                return r;
        }
        pair_new(store, number);
        store->last = *ret = number;
        return 0;
}

int store_take_pair(Store *store, unsigned number, int *ret_in, int *ret_out) {
        Pair *pair = g_hash_table_lookup(store->pairs, GUINT_TO_POINTER(number));

        if (!pair || pair->in < 0)
                return -ENOENT;
        *ret_in = pair->in;
        *ret_out = pair->found_out ? pair->out : pair->in;
        pair->in = pair->out = -1;
        return 0;
}

void store_drop_pair(Store *store, unsigned number) {
        if (store->sealed || !g_hash_table_remove(store->pairs, GUINT_TO_POINTER(number)))
                return;
        remove_pair(store, number);
}

int store_put_arena(Store *store, const int *fds) {
        int r = 0;

        remove_arena(store);
        for (unsigned i = 0; r == 0 && i < _ARENA_FD_MAX; i++) {
                g_autofree char *name = g_strdup_printf(NAME_ARENA "%u", i);

                r = notify_store(store, name, fds[i]);
        }
        return r;
}

int store_take_arena(Store *store, int *ret) {
        for (unsigned i = 0; i < _ARENA_FD_MAX; i++)
                if (store->arena[i] < 0)
                        return -ENOENT;
        for (unsigned i = 0; i < _ARENA_FD_MAX; i++) {
                ret[i] = store->arena[i];
                store->arena[i] = -1;
        }
        return 0;
}

void store_taken_over(Store *store) {
        g_autoptr(GArray) left = g_array_new(FALSE, FALSE, sizeof(unsigned));
        GHashTableIter iter;
        gpointer number, pair;
        bool arena_left = false;

        g_hash_table_iter_init(&iter, store->pairs);
        while (g_hash_table_iter_next(&iter, &number, &pair))
                if (((Pair *) pair)->in >= 0 || ((Pair *) pair)->out >= 0) {
                        unsigned n = GPOINTER_TO_UINT(number);

                        g_array_append_val(left, n);
                }
        for (guint i = 0; i < left->len; i++)
                store_drop_pair(store, g_array_index(left, unsigned, i));
        for (unsigned i = 0; i < _ARENA_FD_MAX; i++)
                arena_left = arena_left || store->arena[i] >= 0;
        if (arena_left)
                remove_arena(store);
}
