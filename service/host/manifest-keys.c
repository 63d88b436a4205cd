/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every key of a manifest in one table, and the walk over a document by it. docs/manifest.schema.json is the same table for editors. */
#include "host/manifest-reader.h"

#include <errno.h>

#define AT(member) .offset = offsetof(Manifest, member)

static const char *const types[] = { [MANIFEST_PROCESS] = "process", [MANIFEST_EXTERNAL] = "external", NULL };
static const char *const framings[] = { [FRAMING_LINES] = "lines", [FRAMING_HEADERS] = "headers", NULL };
static const char *const activations[] = {
        [ACTIVATION_ON_DEMAND] = "on-demand", [ACTIVATION_BOOT] = "boot", [ACTIVATION_MANUAL] = "manual", NULL
};
static const char *const policies[] = { [RESTART_ALWAYS] = "always", [RESTART_ON_FAILURE] = "on-failure", [RESTART_NEVER] = "never", NULL };
static const char *const profiles[] = { [SANDBOX_STRICT] = "strict", [SANDBOX_NETWORK] = "network", [SANDBOX_TRUSTED] = "trusted", NULL };
static const char *const eras[] = { "modern", "legacy", NULL };

static const ManifestKey restart_keys[] = {
        { "policy", manifest_read_choice, AT(restart.policy), .choices = policies },
        { "delay", manifest_read_seconds, AT(restart.delay_usec), .min = 0, .max = 86400 },
        { "maxDelay", manifest_read_seconds, AT(restart.max_delay_usec), .min = 0, .max = 86400 },
        { "resetAfter", manifest_read_seconds, AT(restart.reset_after_usec), .min = 0.001, .max = MANIFEST_SECONDS_MAX },
        { "burst", manifest_read_count, AT(restart.burst), .min = 1, .max = 10000 },
        { "interval", manifest_read_seconds, AT(restart.interval_usec), .min = 0.001, .max = MANIFEST_SECONDS_MAX },
        { "preventExit", manifest_read_prevent_exit, .min = 0, .max = 255 },
        {},
};

static const ManifestKey timeout_keys[] = {
        { "start", manifest_read_timeout, AT(timeouts.start_usec), .max = MANIFEST_SECONDS_MAX },
        { "stop", manifest_read_timeout, AT(timeouts.stop_usec), .max = MANIFEST_SECONDS_MAX },
        { "request", manifest_read_timeout, AT(timeouts.request_usec), .max = MANIFEST_SECONDS_MAX },
        { "idle", manifest_read_timeout, AT(timeouts.idle_usec), .max = MANIFEST_SECONDS_MAX, .scope = SCOPE_PROCESS },
        {},
};

static const ManifestKey health_keys[] = {
        { "interval", manifest_read_seconds, AT(health.interval_usec), .min = 0.001, .max = MANIFEST_SECONDS_MAX },
        { "timeout", manifest_read_seconds, AT(health.timeout_usec), .min = 0.001, .max = MANIFEST_SECONDS_MAX },
        { "failures", manifest_read_count, AT(health.failures), .min = 1, .max = 10000 },
        {},
};

static const ManifestKey lsp_keys[] = {
        { "rootUri", manifest_read_uri, AT(lsp_root_uri), .max = 4096 },
        { "initializationOptions", manifest_read_json, AT(lsp_initialization_options) },
        {},
};

static const ManifestKey mcp_keys[] = {
        { "era", manifest_read_choice_name, AT(mcp_era), .choices = eras },
        {},
};

static const ManifestKey sandbox_keys[] = {
        { "profile", manifest_read_profile, AT(sandbox.profile), .choices = profiles },
        { "readWritePaths", manifest_read_paths, AT(sandbox.read_write_paths), .max = 4095 },
        { "readOnlyPaths", manifest_read_paths, AT(sandbox.read_only_paths), .max = 4095 },
        { "devices", manifest_read_devices, AT(sandbox.devices), .max = 4095 },
        { "syscalls", manifest_read_syscalls, AT(sandbox.syscalls), .max = 64 },
        { "memoryMax", manifest_read_memory, AT(sandbox.memory_max), .min = 1048576, .max = 1125899906842624 },
        { "tasksMax", manifest_read_tasks, AT(sandbox.tasks_max), .min = 1, .max = 4194304 },
        { "cpuQuota", manifest_read_quota, AT(sandbox.cpu_quota_usec), .min = 1, .max = 100000 },
        { "user", manifest_read_user, AT(sandbox.user), .max = 31 },
        {},
};

const ManifestKey manifest_keys[] = {
        { "manifestVersion", manifest_read_version, .required = true, .early = true },
        { "id", manifest_read_id, .early = true },
        { "type", manifest_read_type, AT(type), .choices = types, .early = true },
        { "dialect", manifest_read_dialect, .required = true, .early = true },
        { "name", manifest_read_label, AT(name), .min = 1, .max = 256 },
        { "version", manifest_read_label, AT(version), .min = 1, .max = 128 },
        { "description", manifest_read_label, AT(description), .min = 1, .max = 4096 },
        { "command", manifest_read_command, .min = 1, .max = 4095, .scope = SCOPE_PROCESS, .required = true },
        { "args", manifest_read_args, .max = MANIFEST_TEXT_MAX, .scope = SCOPE_PROCESS },
        { "env", manifest_read_env, .max = MANIFEST_TEXT_MAX, .scope = SCOPE_PROCESS },
        { "cwd", manifest_read_cwd, .min = 1, .max = 4095, .scope = SCOPE_PROCESS },
        { "framing", manifest_read_choice, AT(framing), .choices = framings },
        { "activation", manifest_read_choice, AT(activation), .choices = activations, .scope = SCOPE_PROCESS },
        { "restart", manifest_read_restart, restart_keys, AT(restart.policy), .choices = policies, .scope = SCOPE_PROCESS },
        { "timeouts", manifest_read_object, timeout_keys },
        { "health", manifest_read_health, health_keys },
        { "sandbox", manifest_read_sandbox, sandbox_keys, .scope = SCOPE_PROCESS },
        { "configuration", manifest_read_configuration },
        { "lsp", manifest_read_object, lsp_keys, .scope = SCOPE_LSP },
        { "mcp", manifest_read_object, mcp_keys, .scope = SCOPE_MCP },
        { "$schema", manifest_read_nothing },
        { "_meta", manifest_read_nothing },
        {},
};

char *manifest_describe(JsonRange value) {
        switch (json_type(value)) {
        case JSON_NONE:
                return g_strdup("nothing");
        case JSON_OBJECT:
                return g_strdup("an object");
        case JSON_ARRAY:
                return g_strdup("a list");
        default:
                return json_quote(value.data, value.size);
        }
}

int manifest_fault(ManifestReader *reader, const char *found, const char *expected, ...) {
        g_autofree char *text = NULL;
        va_list args;

        va_start(args, expected);
        text = g_strdup_vprintf(expected, args);
        va_end(args);
        return plugind_error_set(reader->error, PLUGIND_ERROR_INVALID_MANIFEST, "%s: %s%sfound %s, expected %s", reader->where,
                                 reader->path->str, reader->path->len > 0 ? ": " : "", found, text);
}

void manifest_append_choices(GString *out, const char *const *choices) {
        for (size_t i = 0; choices[i]; i++)
                g_string_append_printf(out, "%s\"%s\"", i == 0 ? "" : choices[i + 1] ? ", " : " or ", choices[i]);
}

size_t manifest_enter(ManifestReader *reader, const char *name, size_t size) {
        g_autofree char *shown = json_quote(name, size);
        size_t before = reader->path->len;

        if (before > 0)
                g_string_append_c(reader->path, '.');
        g_string_append(reader->path, shown);
        return before;
}

static size_t enter_key(ManifestReader *reader, JsonRange key) {
        g_autofree char *name = json_string_decode(key);

        return manifest_enter(reader, name, strlen(name));
}

static const ManifestKey *find_key(const ManifestKey *keys, JsonRange name) {
        for (const ManifestKey *key = keys; key->name; key++)
                if (json_string_equals(name, key->name))
                        return key;
        return NULL;
}

/* Optimal string alignment distance, without regard to case; -1: certainly no typo. */
#define TYPO_MAX 2
#define KEY_NAME_MAX 32
static int distance(const char *a, const char *b) {
        int rows[3][KEY_NAME_MAX + 1], *before = rows[0], *last = rows[1], *row = rows[2];
        size_t n = strlen(a), m = strlen(b);

        if (n > KEY_NAME_MAX || m > KEY_NAME_MAX)
                return -1;
        for (size_t j = 0; j <= m; j++)
                last[j] = (int) j;
        for (size_t i = 1; i <= n; i++) {
                int *oldest = before;

                row[0] = (int) i;
                for (size_t j = 1; j <= m; j++) {
                        bool same = g_ascii_tolower(a[i - 1]) == g_ascii_tolower(b[j - 1]);

                        row[j] = MIN(MIN(last[j], row[j - 1]) + 1, last[j - 1] + !same);
                        if (i > 1 && j > 1 && g_ascii_tolower(a[i - 1]) == g_ascii_tolower(b[j - 2]) &&
                            g_ascii_tolower(a[i - 2]) == g_ascii_tolower(b[j - 1]))
                                row[j] = MIN(row[j], before[j - 2] + 1);
                }
                before = last;
                last = row;
                row = oldest;
        }
        return last[m];
}

/* The known key that somebody who wrote NAME most likely meant, or NULL. */
static const char *suggestion(const ManifestKey *keys, JsonRange name) {
        g_autofree char *typed = json_string_decode(name);
        const char *best = NULL;
        int least = TYPO_MAX + 1;

        for (const ManifestKey *key = keys; key->name; key++) {
                int d = distance(typed, key->name);

                if (d >= 0 && d < least && (size_t) d * 2 < strlen(key->name)) {
                        least = d;
                        best = key->name;
                }
        }
        return best;
}

static int unknown_key(ManifestReader *reader, const ManifestKey *keys, JsonRange name) {
        const char *meant = suggestion(keys, name);
        g_autoptr(GString) known = g_string_new(NULL);

        enter_key(reader, name);
        if (meant)
                return manifest_fault(reader, "an unknown key", "a known one: did you mean \"%s\"?", meant);
        for (const ManifestKey *key = keys; key->name; key++)
                g_string_append_printf(known, "%s%s", known->len > 0 ? ", " : "", key->name);
        return manifest_fault(reader, "an unknown key", "one of %s", known->str);
}

static int check_known(ManifestReader *reader, const ManifestKey *keys, JsonRange object) {
        JsonRange name, value;
        size_t cursor = 0;

        while (json_next(object, &cursor, &name, &value))
                if (!find_key(keys, name))
                        return unknown_key(reader, keys, name);
        return 0;
}

static bool in_scope(const Manifest *manifest, ManifestScope scope) {
        switch (scope) {
        case SCOPE_PROCESS:
                return manifest->type == MANIFEST_PROCESS;
        case SCOPE_LSP:
                return manifest->dialect == &dialect_lsp;
        case SCOPE_MCP:
                return manifest->dialect == &dialect_mcp;
        default:
                return true;
        }
}

static int read_key(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        size_t outer = manifest_enter(reader, key->name, strlen(key->name));
        int r;

        if (!in_scope(reader->manifest, key->scope)) {
                g_autofree char *found = manifest_describe(value);

                if (key->scope == SCOPE_PROCESS)
                        return manifest_fault(reader, found, "no such key with type \"external\", which plugind does not start");
                return manifest_fault(reader, found, "no such key with dialect \"%s\"", reader->manifest->dialect->name);
        }
        r = key->read(reader, key, value);
        if (r < 0)
                return r;
        g_string_truncate(reader->path, outer);
        return 0;
}

static int missing_key(ManifestReader *reader, const ManifestKey *key) {
        g_autoptr(GString) names = g_string_new(NULL);

        manifest_enter(reader, key->name, strlen(key->name));
        if (key->read == manifest_read_version)
                return manifest_fault(reader, "nothing", "1");
        if (key->read != manifest_read_dialect)
                return manifest_fault(reader, "nothing", "a value: this key is required");
        manifest_append_choices(names, dialect_names());
        return manifest_fault(reader, "nothing", "%s", names->str);
}

int manifest_read_members(ManifestReader *reader, const ManifestKey *keys, JsonRange object) {
        JsonRange name, value;
        size_t cursor = 0;
        int r;

        r = check_known(reader, keys, object);
        if (r < 0)
                return r;
        while (json_next(object, &cursor, &name, &value)) {
                const ManifestKey *key = find_key(keys, name);

                if (key->early)
                        continue;
                r = read_key(reader, key, value);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int read_early(ManifestReader *reader, JsonRange document) {
        int r;

        for (const ManifestKey *key = manifest_keys; key->name; key++) {
                JsonRange value;

                if (!key->early)
                        continue;
                if (json_find(document, key->name, &value))
                        r = read_key(reader, key, value);
                else
                        r = key->required ? missing_key(reader, key) : 0;
                /* A manifest of another version may well have other keys: only its version is worth a word. */
                if (r == 0 && key == manifest_keys)
                        r = check_known(reader, manifest_keys, document);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* "work" of "shell@work", "" of "shell@", NULL of "shell". */
static const char *instance_of(const char *id) {
        const char *at = strchr(id, '@');

        return at ? at + 1 : NULL;
}

int manifest_read(ManifestReader *reader, JsonRange document) {
        Manifest *manifest = reader->manifest;
        JsonRange value;
        int r;

        r = read_early(reader, document);
        if (r < 0)
                return r;
        if (!manifest->id)
                manifest->id = g_strdup(reader->id);
        if (!manifest->id) {
                manifest_enter(reader, "id", 2);
                return manifest_fault(reader, "nothing", "an id, since no file name tells it");
        }
        reader->instance = instance_of(manifest->id);

        r = manifest_read_members(reader, manifest_keys, document);
        if (r < 0)
                return r;
        for (const ManifestKey *key = manifest_keys; key->name; key++)
                if (key->required && in_scope(manifest, key->scope) && !json_find(document, key->name, &value))
                        return missing_key(reader, key);
        return 0;
}
