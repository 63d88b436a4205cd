/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A manifest of any bytes is refused with an error that can be shown, or is one that can be relied on. */
#include "fuzz.h"

#include "basic/json.h"
#include "host/manifest.h"

#include <glib.h>
#include <string.h>

/* Path of a key (some 100 bytes for each level), what was found (at most 80) and what was expected. */
#define MESSAGE_MAX 1500

static bool showable(const char *text) {
        if (!g_utf8_validate(text, -1, NULL))
                return false;
        for (const char *p = text; *p; p = g_utf8_next_char(p))
                if (g_unichar_iscntrl(g_utf8_get_char(p)))
                        return false;
        return true;
}

static char *look_at_error(int r, const PlugindError *error) {
        if (r >= 0 || error->code != PLUGIND_ERROR_INVALID_MANIFEST)
                return g_strdup("refused without InvalidManifest");
        if (!g_str_has_prefix(error->message, "manifest: ") || !showable(error->message) || strlen(error->message) > MESSAGE_MAX)
                return g_strdup_printf("an error that cannot be shown: %s", error->message);
        return NULL;
}

static bool json_or_none(const char *text) {
        return !text || (!strpbrk(text, "\r\n") && json_check((JsonRange){ text, strlen(text) }, NULL, NULL) >= 0);
}

static bool texts(char *const *list) {
        size_t n = 0;

        for (; list && list[n]; n++)
                if (!g_utf8_validate(list[n], -1, NULL))
                        return false;
        return n <= 1024;
}

static bool label(const char *text) {
        return !text || (text[0] && showable(text));
}

static bool paths(char *const *list) {
        for (; list && *list; list++)
                if ((*list)[0] != '/' || !(*list)[1] || strstr(*list, "//") || strstr(*list, "/./") || strstr(*list, "/../") ||
                    g_str_has_suffix(*list, "/") || g_str_has_suffix(*list, "/.") || g_str_has_suffix(*list, "/.."))
                        return false;
        return true;
}

static char *look_at_sandbox(const Sandbox *sandbox) {
        if (!texts(sandbox->read_write_paths) || !texts(sandbox->read_only_paths) || !texts(sandbox->devices) ||
            !texts(sandbox->syscalls) || !paths(sandbox->read_write_paths) || !paths(sandbox->read_only_paths) || !paths(sandbox->devices))
                return g_strdup("paths of the sandbox that are none");
        for (char **device = sandbox->devices; device && *device; device++)
                if (!g_str_has_prefix(*device, "/dev/"))
                        return g_strdup("a device outside of /dev");
        if (sandbox->memory_max < 1024 * 1024 || sandbox->tasks_max == 0 || sandbox->cpu_quota_usec == 0 ||
            (sandbox->user && !sandbox->user[0]))
                return g_strdup("limits that let nothing run");
        return NULL;
}

static char *look_at_manifest(const Manifest *manifest) {
        bool supervised = manifest->type == MANIFEST_PROCESS;

        if (strcmp(manifest->id, "fuzz@x") != 0 || !manifest->dialect)
                return g_strdup("without id or dialect");
        if (supervised != (manifest->command != NULL) || (supervised && manifest->command[0] != '/'))
                return g_strdup("a command that is none");
        if (!label(manifest->name) || !label(manifest->version) || !label(manifest->description))
                return g_strdup("a label that cannot be shown");
        if (!texts(manifest->args) || !texts(manifest->env) || (manifest->cwd && manifest->cwd[0] != '/'))
                return g_strdup("arguments, variables or folder that cannot be used");
        for (char **variable = manifest->env; variable && *variable; variable++)
                if (!strchr(*variable, '=') || g_str_has_prefix(*variable, "PLUGIND_"))
                        return g_strdup("a variable that is none");
        if (!json_or_none(manifest->configuration) || !json_or_none(manifest->lsp_initialization_options))
                return g_strdup("JSON that is none, or not in one line");
        if (manifest->restart.max_delay_usec < manifest->restart.delay_usec || manifest->restart.burst == 0 ||
            manifest->health.interval_usec == 0 || manifest->timeouts.start_usec == 0)
                return g_strdup("times that make no sense");
        return look_at_sandbox(&manifest->sandbox);
}

char *fuzz_manifest(const uint8_t *data, size_t size) {
        g_autofree char *text = g_memdup2(data, size); /* so that ASan sees a byte too many */
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;
        Manifest *manifest = NULL;
        char *complaint;
        int r;

        r = manifest_parse(text ?: "", size, "manifest", "fuzz@x", 0, &manifest, &error);
        if (!manifest)
                return look_at_error(r, &error);
        complaint = r == 0 && !error.message ? look_at_manifest(manifest) : g_strdup("a manifest and an error");
        manifest_unref(manifest);
        return complaint;
}
