/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A plugin's manifest: strict JSON in, a struct out. Every rule about a manifest lives here; docs/manifest.md and
 * docs/manifest.schema.json tell them, and the tests hold the three together. */
#pragma once

#include "basic/error.h"
#include "duplex/dialect.h"
#include "runtime/sandbox.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Largest manifest file in bytes. */
#define MANIFEST_SIZE_MAX (1024 * 1024)
/* Longest id. One path element, one bus path element after escaping. */
#define PLUGIN_ID_MAX 128

typedef enum ManifestType { MANIFEST_PROCESS, MANIFEST_EXTERNAL } ManifestType;
typedef enum Activation { ACTIVATION_ON_DEMAND, ACTIVATION_BOOT, ACTIVATION_MANUAL } Activation;
typedef enum RestartPolicy { RESTART_ALWAYS, RESTART_ON_FAILURE, RESTART_NEVER } RestartPolicy;

typedef struct Manifest Manifest;

struct Manifest {
        unsigned n_ref;
        char *id;
        char *path;                         /* of the file; NULL: given inline */
        char *text;                         /* the document itself, on one line */
        bool trusted;                       /* may loosen the sandbox */
        char *name, *version, *description; /* NULL when not given */
        ManifestType type;

        /* process */
        char *command; /* absolute, found on PATH when it was not */
        char **args;   /* without argv[0]; NULL: none */
        char **env;    /* "KEY=value"; NULL: none */
        char *cwd;     /* absolute, or NULL */

        const DialectOps *dialect;
        Framing framing;
        Activation activation;

        struct {
                RestartPolicy policy;
                uint64_t delay_usec, max_delay_usec; /* 100 ms, 30 s */
                uint64_t reset_after_usec;           /* 30 s of health */
                unsigned burst;                      /* 5 failures in ... */
                uint64_t interval_usec;              /* ... 60 s: errored */
                int *prevent_exit; /* exit statuses that are never restarted, n_prevent_exit of them (125 is always one) */
                size_t n_prevent_exit;
        } restart;

        struct {
                uint64_t start_usec, stop_usec, request_usec, idle_usec; /* USEC_INFINITY: never */
        } timeouts;

        struct {
                uint64_t interval_usec; /* USEC_INFINITY: no health checks */
                uint64_t timeout_usec;
                unsigned failures;
        } health;

        Sandbox sandbox;

        char *configuration;              /* JSON object, one line; NULL: {} */
        char *lsp_root_uri;               /* NULL: none */
        char *lsp_initialization_options; /* JSON, one line; NULL: none */
        char *mcp_era;                    /* "modern", "legacy", NULL: found out */
};

/* Reads TEXT. WHERE names it in errors (a path, or "manifest" for one given inline); ID is what the id must be (a file's stem), NULL: TEXT
 * must have an `id` key. Fails with InvalidManifest: "/etc/...json: timeouts.start: found "abc", expected a number of seconds, 0 or more".
 * GIVER, unless root or the daemon's own user, may not loosen the sandbox; nor may a file that is somebody else's, or lies in somebody
 * else's folder, or that others may write to. */
int manifest_parse(const char *text, size_t size, const char *where, const char *id, uid_t giver, Manifest **ret, PlugindError *error);

/* Reads the file at PATH (absolute; a regular file of at most MANIFEST_SIZE_MAX bytes whose name ends in .json). NoSuchPlugin if there
 * is none. A file that is empty or a link to /dev/null masks: NoSuchPlugin that says so. */
int manifest_load(const char *path, Manifest **ret, PlugindError *error);

/* What is to be known of a manifest that was read, to read it again when its file and its command may be gone. */
typedef struct ManifestOrigin {
        const char *text, *id, *path, *command; /* as in Manifest */
        bool trusted;
} ManifestOrigin;

int manifest_parse_again(const ManifestOrigin *origin, Manifest **ret, PlugindError *error);

/* The same as manifest_load() for the session ID, which is the file's stem or, for a template ("shell@.json"), an instance of it ("shell@work"). What
 * manifest_find() found for an id is loaded with this one. */
int manifest_load_as(const char *path, const char *id, Manifest **ret, PlugindError *error);

/* Where a `command` without a "/" is looked for: NULL (the default) is MANIFEST_COMMAND_PATH; a daemon of a user sets its own $PATH, once,
 * before anything is loaded. Plugins get the same PATH. */
#define MANIFEST_COMMAND_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
void manifest_set_command_path(const char *path);
const char *manifest_command_path(void);

/* Folders with manifests, first one wins (design.md 6): PLUGIND_PLUGIN_PATH (colon-separated) replaces all; else with USER the XDG ones
 * first; then /etc, /run, /usr/local/lib, /usr/lib /plugind/plugins.d. NULL-terminated, free with g_strfreev. */
char **manifest_search_path(bool user);

/* The file that ID means on PATH; a masked one is -ENOENT with an error that names the mask. Instances of templates ("shell@work") come from
 * the file of the template ("shell@.json"). */
int manifest_find(char *const *path, const char *id, char **ret, PlugindError *error);

/* All ids on PATH that are not masked, sorted, without templates. Free with g_strfreev. */
char **manifest_list(char *const *path);

/* Letters, digits, and ._-@ after the first, which is a letter or digit; at most PLUGIN_ID_MAX bytes. */
bool plugin_id_valid(const char *id);

Manifest *manifest_ref(Manifest *manifest);
Manifest *manifest_unref(Manifest *manifest);
