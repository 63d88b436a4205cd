/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Private to manifest*.c: the table of keys (manifest-keys.c), and what reads the value of each (manifest-values.c). The tests hold the
 * table against the schema and the documentation. */
#pragma once

#include "basic/json.h"
#include "host/manifest.h"

#include <assert.h>
#include <sys/stat.h>

/* Bounds on what one manifest may make us keep. MANIFEST_TEXT_MAX is the kernel's own bound on one argument. */
#define MANIFEST_TEXT_MAX (128 * 1024 - 1)
#define MANIFEST_LIST_MAX 1024
#define MANIFEST_SECONDS_MAX 31536000 /* a year */

#define PLUGIN_ID_RULE "letters, digits and \"._-@\", a letter or digit first, at most 128 bytes"
static_assert(PLUGIN_ID_MAX == 128, "PLUGIN_ID_RULE says it, too");

typedef struct ManifestReader {
        Manifest *manifest;
        const char *where;    /* names the manifest in errors */
        const char *id;       /* what it must be; NULL: whatever the manifest says */
        const char *instance; /* what %i is; NULL: this is no template */
        GString *path;        /* of the key being read: "restart.delay" */
        size_t budget;        /* bytes that texts may still grow to */
        const char *doubt;    /* why it may not loosen the sandbox; NULL: it may */
        const char *command;  /* the executable that `command` means, found before; NULL: to be looked for */
        PlugindError *error;
} ManifestReader;

/* Where a key makes sense. */
typedef enum ManifestScope { SCOPE_ALL, SCOPE_PROCESS, SCOPE_LSP, SCOPE_MCP } ManifestScope;

typedef struct ManifestKey ManifestKey;

struct ManifestKey {
        const char *name;
        int (*read)(ManifestReader *reader, const ManifestKey *key, JsonRange value);
        const ManifestKey *members; /* of an object with fixed keys */
        size_t offset;              /* in struct Manifest */
        double min, max;            /* of a number; of the bytes of a text */
        const char *const *choices; /* by value of the enum */
        ManifestScope scope;
        bool required;
        bool early; /* read before the others, in the order of the table: others depend on it */
};

extern const ManifestKey manifest_keys[]; /* ends with an empty one */

/* Reads the whole document. */
int manifest_read(ManifestReader *reader, JsonRange document);
int manifest_read_members(ManifestReader *reader, const ManifestKey *keys, JsonRange object);

/* Sets the error "WHERE: KEY.PATH: found FOUND, expected ..." */
int manifest_fault(ManifestReader *reader, const char *found, const char *expected, ...) __attribute__((format(printf, 3, 4)));
char *manifest_describe(JsonRange value);
void manifest_append_choices(GString *out, const char *const *choices);
/* Returns what to truncate the path to afterwards. */
size_t manifest_enter(ManifestReader *reader, const char *name, size_t size);

int manifest_read_version(ManifestReader *reader, const ManifestKey *key, JsonRange value);
int manifest_read_id(ManifestReader *reader, const ManifestKey *key, JsonRange value);
int manifest_read_type(ManifestReader *reader, const ManifestKey *key, JsonRange value);
int manifest_read_dialect(ManifestReader *reader, const ManifestKey *key, JsonRange value);
int manifest_read_label(ManifestReader *reader, const ManifestKey *key, JsonRange value);
int manifest_read_command(ManifestReader *reader, const ManifestKey *key, JsonRange value);
int manifest_read_args(ManifestReader *reader, const ManifestKey *key, JsonRange value);
int manifest_read_env(ManifestReader *reader, const ManifestKey *key, JsonRange value);
int manifest_read_cwd(ManifestReader *reader, const ManifestKey *key, JsonRange value);
int manifest_read_choice(ManifestReader *reader, const ManifestKey *key, JsonRange value);
int manifest_read_choice_name(ManifestReader *reader, const ManifestKey *key, JsonRange value);
int manifest_read_seconds(ManifestReader *reader, const ManifestKey *key, JsonRange value);
int manifest_read_timeout(ManifestReader *reader, const ManifestKey *key, JsonRange value); /* 0: never */
int manifest_read_count(ManifestReader *reader, const ManifestKey *key, JsonRange value);
int manifest_read_object(ManifestReader *reader, const ManifestKey *key, JsonRange value);
int manifest_read_restart(ManifestReader *reader, const ManifestKey *key, JsonRange value);
int manifest_read_prevent_exit(ManifestReader *reader, const ManifestKey *key, JsonRange value);
int manifest_read_health(ManifestReader *reader, const ManifestKey *key, JsonRange value);
int manifest_read_configuration(ManifestReader *reader, const ManifestKey *key, JsonRange value);
int manifest_read_uri(ManifestReader *reader, const ManifestKey *key, JsonRange value);
int manifest_read_json(ManifestReader *reader, const ManifestKey *key, JsonRange value);
int manifest_read_sandbox(ManifestReader *reader, const ManifestKey *key, JsonRange value);
int manifest_read_profile(ManifestReader *reader, const ManifestKey *key, JsonRange value);
int manifest_read_paths(ManifestReader *reader, const ManifestKey *key, JsonRange value);
int manifest_read_devices(ManifestReader *reader, const ManifestKey *key, JsonRange value);
int manifest_read_syscalls(ManifestReader *reader, const ManifestKey *key, JsonRange value);
int manifest_read_memory(ManifestReader *reader, const ManifestKey *key, JsonRange value);
int manifest_read_tasks(ManifestReader *reader, const ManifestKey *key, JsonRange value);
int manifest_read_quota(ManifestReader *reader, const ManifestKey *key, JsonRange value);
int manifest_read_user(ManifestReader *reader, const ManifestKey *key, JsonRange value);
int manifest_read_nothing(ManifestReader *reader, const ManifestKey *key, JsonRange value);

/* What those are made of. */
void *manifest_place(ManifestReader *reader, const ManifestKey *key);
int manifest_wrong_type(ManifestReader *reader, JsonRange value, const char *expected);
/* A string of MIN to MAX bytes with %i and %% replaced, newly allocated; NULL: the error is set. SECRET: not shown in errors. */
char *manifest_take_text(ManifestReader *reader, JsonRange value, double min, double max, bool secret);

/* A list of at most ITEMS_MAX such texts; CHECK (NULL: none) sees each, TEXT being what ITEM became. *ret stays as it is if there are none. */
typedef struct ManifestList ManifestList;
struct ManifestList {
        unsigned items_max;
        double min, max;
        int (*check)(ManifestReader *reader, JsonRange item, const char *text, const ManifestList *list);
        bool (*valid)(const char *text); /* for CHECK */
        const char *expected;            /* likewise */
};
int manifest_take_list(ManifestReader *reader, JsonRange value, const ManifestList *list, char ***ret);
int manifest_take_whole_number(ManifestReader *reader, const ManifestKey *key, JsonRange value, int *ret);

/* The executable that COMMAND (absolute, or a name to look for) means; NULL with *why (newly allocated) if there is none. */
char *manifest_find_command(const char *command, char **why);

/* TEXT with %i and %% replaced, or -EBADMSG with the sequence that is none in SEQUENCE. INSTANCE NULL: %i is none either. */
int manifest_expand(const char *text, const char *instance, GString *out, char sequence[3]);

/* "shell@" of "shell@work"; NULL if ID is no instance of a template. Newly allocated. */
char *plugin_id_template(const char *id);

/* Whether a file stands for "there is no such plugin". */
bool manifest_masked(const struct stat *st);

/* A copy in one allocation, for g_free(). */
Manifest *manifest_pack(Manifest *loose);
/* Frees what LOOSE points to. */
void manifest_free_loose(Manifest *loose);
