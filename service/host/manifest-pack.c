/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A manifest in one allocation: thousands of sessions that do nothing keep little else, and malloc rounds up every short text. */
#include "host/manifest-reader.h"

#define AT(member) offsetof(Manifest, member)

static const size_t texts[] = {
        AT(id),      AT(path),         AT(name),          AT(version),      AT(description),
        AT(command), AT(cwd),          AT(configuration), AT(lsp_root_uri), AT(lsp_initialization_options),
        AT(mcp_era), AT(sandbox.user), AT(text),
};
static const size_t lists[] = {
        AT(args), AT(env), AT(sandbox.read_write_paths), AT(sandbox.read_only_paths), AT(sandbox.devices), AT(sandbox.syscalls),
};

static char **text_at(Manifest *manifest, size_t offset) {
        return (char **) (void *) ((char *) manifest + offset);
}

static char ***list_at(Manifest *manifest, size_t offset) {
        return (char ***) (void *) ((char *) manifest + offset);
}

static size_t list_length(char *const *list) {
        return list ? g_strv_length((char **) list) + 1 : 0;
}

static size_t packed_size(Manifest *manifest) {
        size_t size = sizeof *manifest + manifest->restart.n_prevent_exit * sizeof(int);

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
                char *text = *text_at(manifest, texts[i]);

                size += text ? strlen(text) + 1 : 0;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
                char **list = *list_at(manifest, lists[i]);

                size += list_length(list) * sizeof(char *);
                for (; list && *list; list++)
                        size += strlen(*list) + 1;
        }
        return size;
}

static void *put(char **end, const void *data, size_t size) {
        void *placed = memcpy(*end, data, size);

        *end += size;
        return placed;
}

static void put_text(char **end, char **text) {
        if (*text)
                *text = put(end, *text, strlen(*text) + 1);
}

/* What needs alignment stands before the texts. */
Manifest *manifest_pack(Manifest *loose) {
        Manifest *packed = g_malloc(packed_size(loose));
        char *end = (char *) (packed + 1);

        *packed = *loose;
        for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
                char ***list = list_at(packed, lists[i]);

                if (*list)
                        *list = put(&end, *list, list_length(*list) * sizeof(char *));
        }
        if (packed->restart.n_prevent_exit > 0)
                packed->restart.prevent_exit = put(&end, packed->restart.prevent_exit, packed->restart.n_prevent_exit * sizeof(int));
        for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
                for (char **text = *list_at(packed, lists[i]); text && *text; text++)
                        put_text(&end, text);
        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
                put_text(&end, text_at(packed, texts[i]));
        return packed;
}

void manifest_free_loose(Manifest *loose) {
        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
                g_free(*text_at(loose, texts[i]));
        for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
                g_strfreev(*list_at(loose, lists[i]));
        g_free(loose->restart.prevent_exit);
}
