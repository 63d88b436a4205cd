/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From an id to a file: folders in order, the first one that has the file wins, and an empty file or a link to /dev/null masks what
 * later folders have, as in systemd. */
#include "host/manifest-reader.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

bool plugin_id_valid(const char *id) {
        size_t size = strspn(id, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "._-@");

        return g_ascii_isalnum(id[0]) && id[size] == '\0' && size <= PLUGIN_ID_MAX;
}

char *plugin_id_template(const char *id) {
        const char *at = strchr(id, '@');

        return at && at[1] ? g_strndup(id, (gsize) (at + 1 - id)) : NULL;
}

static void add_xdg(GPtrArray *folders, const char *variable, const char *below_home) {
        const char *folder = g_getenv(variable), *home = g_getenv("HOME");

        if (folder && folder[0] == '/')
                g_ptr_array_add(folders, g_build_filename(folder, "plugind/plugins.d", NULL));
        else if (below_home && home && home[0] == '/')
                g_ptr_array_add(folders, g_build_filename(home, below_home, "plugind/plugins.d", NULL));
}

static void add_given(GPtrArray *folders, const char *list) {
        g_auto(GStrv) given = g_strsplit(list, ":", -1);

        for (char **folder = given; *folder; folder++)
                if ((*folder)[0])
                        g_ptr_array_add(folders, g_canonicalize_filename(*folder, NULL));
}

char **manifest_search_path(bool user) {
        static const char *const system[] = { "/etc", "/run", "/usr/local/lib", "/usr/lib" };
        GPtrArray *folders = g_ptr_array_new();
        const char *given = g_getenv("PLUGIND_PLUGIN_PATH");

        if (given && given[0])
                add_given(folders, given);
        else {
                if (user) {
                        add_xdg(folders, "XDG_CONFIG_HOME", ".config");
                        add_xdg(folders, "XDG_RUNTIME_DIR", NULL);
                        add_xdg(folders, "XDG_DATA_HOME", ".local/share");
                }
                for (size_t i = 0; i < G_N_ELEMENTS(system); i++)
                        g_ptr_array_add(folders, g_build_filename(system[i], "plugind/plugins.d", NULL));
        }
        g_ptr_array_add(folders, NULL);
        return (char **) g_ptr_array_free(folders, FALSE);
}

/* 0 and *ret: the file, perhaps a mask. *ret stays NULL if no folder has it. */
static int look_for(char *const *path, const char *stem, char **ret, bool *masked, PlugindError *error) {
        for (char *const *folder = path; *folder; folder++) {
                g_autofree char *file = g_strdup_printf("%s/%s.json", *folder, stem);
                struct stat st;

                if (stat(file, &st) >= 0) {
                        *masked = manifest_masked(&st);
                        *ret = g_steal_pointer(&file);
                        return 0;
                }
                if (errno != ENOENT && errno != ENOTDIR)
                        return plugind_error_set(error, PLUGIND_ERROR_FAILED, "%s: cannot be read: %s", file, g_strerror(errno));
        }
        return 0;
}

int manifest_find(char *const *path, const char *id, char **ret, PlugindError *error) {
        g_autofree char *file = NULL, *template = NULL, *folders = NULL;
        bool masked = false;
        int r;

        if (!plugin_id_valid(id)) {
                g_autofree char *shown = json_quote(id, strlen(id));

                return plugind_error_set(error, PLUGIND_ERROR_INVALID_ARGS, "found \"%s\", expected the id of a plugin: " PLUGIN_ID_RULE,
                                         shown);
        }
        r = look_for(path, id, &file, &masked, error);
        template = plugin_id_template(id);
        if (r == 0 && !file && template)
                r = look_for(path, template, &file, &masked, error);
        if (r < 0)
                return r;
        if (masked)
                return plugind_error_set(error, PLUGIND_ERROR_NO_SUCH_PLUGIN,
                                         "plugin \"%s\" is masked by %s, which is empty or a link to /dev/null", id, file);
        if (!file) {
                folders = g_strjoinv(":", (char **) path);
                return plugind_error_set(error, PLUGIND_ERROR_NO_SUCH_PLUGIN, "no plugin \"%s\": %s.json is not in %s", id, template ?: id,
                                         folders[0] ? folders : "an empty search path");
        }
        *ret = g_steal_pointer(&file);
        return 0;
}

/* The id that the directory entry NAME is the manifest of, or NULL. */
static char *entry_id(const char *name) {
        g_autofree char *id = g_str_has_suffix(name, ".json") ? g_strndup(name, strlen(name) - strlen(".json")) : NULL;

        return id && plugin_id_valid(id) ? g_steal_pointer(&id) : NULL;
}

/* Later folders do not override what is in SEEN (id -> whether it is masked). */
static void list_folder(const char *folder, GHashTable *seen) {
        DIR *dir = opendir(folder);
        struct dirent *entry;

        while (dir && (entry = readdir(dir))) {
                g_autofree char *id = entry_id(entry->d_name);
                struct stat st;

                if (!id || g_str_has_suffix(id, "@") || g_hash_table_contains(seen, id))
                        continue;
                if (fstatat(dirfd(dir), entry->d_name, &st, 0) < 0 || S_ISDIR(st.st_mode))
                        continue;
                g_hash_table_insert(seen, g_steal_pointer(&id), GINT_TO_POINTER(manifest_masked(&st)));
        }
        if (dir)
                closedir(dir);
}

static int compare_ids(gconstpointer a, gconstpointer b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

char **manifest_list(char *const *path) {
        g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        GPtrArray *ids = g_ptr_array_new();
        GHashTableIter iter;
        gpointer id, masked;

        for (char *const *folder = path; *folder; folder++)
                list_folder(*folder, seen);
        g_hash_table_iter_init(&iter, seen);
        while (g_hash_table_iter_next(&iter, &id, &masked))
                if (!masked)
                        g_ptr_array_add(ids, g_strdup(id));
        g_ptr_array_sort(ids, compare_ids);
        g_ptr_array_add(ids, NULL);
        return (char **) g_ptr_array_free(ids, FALSE);
}
