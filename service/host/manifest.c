/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/manifest-reader.h"

#include "basic/deadline.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Manifest, manifest_free_loose)

/* What is not told by the dialect. */
static const Manifest defaults = {
        .n_ref = 1,
        .type = MANIFEST_PROCESS,
        .activation = ACTIVATION_ON_DEMAND,
        .restart = {
                .policy = RESTART_ON_FAILURE,
                .delay_usec = 100 * USEC_PER_MSEC,
                .max_delay_usec = 30 * USEC_PER_SEC,
                .reset_after_usec = 30 * USEC_PER_SEC,
                .burst = 5,
                .interval_usec = 60 * USEC_PER_SEC,
        },
        .timeouts = {
                .start_usec = 30 * USEC_PER_SEC,
                .stop_usec = 5 * USEC_PER_SEC,
                .request_usec = 20 * USEC_PER_SEC,
                .idle_usec = 300 * USEC_PER_SEC,
        },
        .health = {
                .interval_usec = 30 * USEC_PER_SEC,
                .timeout_usec = 5 * USEC_PER_SEC,
                .failures = 3,
        },
        .sandbox = {
                .profile = SANDBOX_STRICT,
                .memory_max = SANDBOX_UNSET,
                .tasks_max = SANDBOX_UNSET,
                .cpu_quota_usec = SANDBOX_UNSET,
        },
};

Manifest *manifest_ref(Manifest *manifest) {
        manifest->n_ref++;
        return manifest;
}

Manifest *manifest_unref(Manifest *manifest) {
        if (manifest && --manifest->n_ref == 0)
                g_free(manifest);
        return NULL;
}

/* Finds the document in TEXT. The tree is for its check alone: values are read from the text, so that numbers stay as written. */
static int find_document(JsonRange text, const char *where, JsonRange *ret, PlugindError *error) {
        g_autoptr(JsonNode) tree = NULL;
        g_autofree char *message = NULL, *found = NULL;
        JsonFault fault;
        int r;

        if (text.size > MANIFEST_SIZE_MAX)
                return plugind_error_set(error, PLUGIND_ERROR_INVALID_MANIFEST, "%s: found %zu bytes, expected at most %d", where,
                                         text.size, MANIFEST_SIZE_MAX);
        if (json_parse_tree(text, &tree, &message) < 0)
                return plugind_error_set(error, PLUGIND_ERROR_INVALID_MANIFEST, "%s: %s", where, message);
        r = json_check(text, ret, &fault);
        g_assert(r == 0);
        if (json_type(*ret) == JSON_OBJECT)
                return 0;
        found = manifest_describe(*ret);
        return plugind_error_set(error, PLUGIND_ERROR_INVALID_MANIFEST, "%s: found %s, expected an object", where, found);
}

typedef struct Source {
        JsonRange text;
        const char *where, *id;
        const char *file;    /* NULL: none */
        const char *command; /* found before; NULL: to be looked for */
        const char *doubt;   /* why it may not loosen the sandbox, or NULL */
} Source;

static int parse(const Source *source, Manifest **ret, PlugindError *error) {
        g_auto(Manifest) manifest = defaults;
        g_autoptr(GString) path = g_string_new(NULL);
        JsonRange document;
        ManifestReader reader = {
                .manifest = &manifest,
                .where = source->where,
                .id = source->id,
                .path = path,
                .budget = MANIFEST_SIZE_MAX,
                .doubt = source->doubt,
                .command = source->command,
                .error = error,
        };
        int r;

        manifest.path = g_strdup(source->file);
        manifest.trusted = !source->doubt;
        r = find_document(source->text, source->where, &document, error);
        if (r == 0) {
                manifest.text = g_malloc(document.size + 1);
                manifest.text[json_copy_one_line(manifest.text, document)] = '\0';
        }
        if (r == 0)
                r = manifest_read(&reader, document);
        if (r == 0)
                *ret = manifest_pack(&manifest);
        return r;
}

static bool is_trusted(uid_t uid) {
        return uid == 0 || uid == geteuid();
}

/* The sandbox is the promise of whoever owns the machine (or the daemon) to its users: a manifest that somebody else wrote, or may yet
 * change, cannot take it back. */
static char *doubt_about(const char *what, uid_t uid, mode_t mode) {
        if (!is_trusted(uid))
                return g_strdup_printf("%s is user %u's", what, uid);
        return mode & (S_IWGRP | S_IWOTH) ? g_strdup_printf("others than its owner may write to %s", what) : NULL;
}

static char *doubt_about_file(const char *path, const struct stat *file) {
        g_autofree char *folder = g_path_get_dirname(path);
        struct stat st;
        char *doubt = doubt_about("this file", file->st_uid, file->st_mode);

        if (doubt)
                return doubt;
        if (stat(folder, &st) < 0)
                return g_strdup_printf("its folder cannot be looked at (%s)", g_strerror(errno));
        return doubt_about("its folder", st.st_uid, st.st_mode);
}

int manifest_parse(const char *text, size_t size, const char *where, const char *id, uid_t giver, Manifest **ret, PlugindError *error) {
        g_autofree char *doubt = is_trusted(giver) ? NULL : g_strdup_printf("this one is given by user %u", giver);

        if (id && !plugin_id_valid(id)) {
                g_autofree char *shown = json_quote(id, strlen(id));

                return plugind_error_set(error, PLUGIND_ERROR_INVALID_MANIFEST, "%s: found \"%s\" as its id, expected " PLUGIN_ID_RULE,
                                         where, shown);
        }
        return parse(&(Source){ .text = { text, size }, .where = where, .id = id, .doubt = doubt }, ret, error);
}

int manifest_parse_again(const ManifestOrigin *origin, Manifest **ret, PlugindError *error) {
        return parse(
                &(Source){
                        .text = { origin->text, strlen(origin->text) },
                        .where = origin->path ?: "manifest",
                        .id = origin->id,
                        .file = origin->path,
                        .command = origin->command,
                        .doubt = origin->trusted ? NULL : "it was in doubt before",
                },
                ret, error);
}

static int read_error(PlugindError *error, const char *path, int error_number) {
        PlugindErrorCode code = error_number == ENOENT || error_number == ENOTDIR ? PLUGIND_ERROR_NO_SUCH_PLUGIN : PLUGIND_ERROR_FAILED;

        return plugind_error_set(error, code, "%s: cannot be read: %s", path, g_strerror(error_number));
}

bool manifest_masked(const struct stat *st) {
        return (S_ISREG(st->st_mode) && st->st_size == 0) || (S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3));
}

static int open_manifest(const char *path, struct stat *ret, PlugindError *error) {
        struct stat st;
        int fd;

        fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return read_error(error, path, errno);
        if (fstat(fd, &st) < 0) {
                int saved = errno;

                close(fd);
                return read_error(error, path, saved);
        }
        if (S_ISREG(st.st_mode) && st.st_size > 0 && st.st_size <= MANIFEST_SIZE_MAX) {
                *ret = st;
                return fd;
        }
        close(fd);
        if (manifest_masked(&st))
                return plugind_error_set(error, PLUGIND_ERROR_NO_SUCH_PLUGIN, "%s: masked: it is empty or a link to /dev/null", path);
        if (!S_ISREG(st.st_mode))
                return plugind_error_set(error, PLUGIND_ERROR_INVALID_MANIFEST, "%s: found no regular file, expected one", path);
        return plugind_error_set(error, PLUGIND_ERROR_INVALID_MANIFEST, "%s: found %jd bytes, expected at most %d", path,
                                 (intmax_t) st.st_size, MANIFEST_SIZE_MAX);
}

/* At most one byte more than is allowed, so that one who asks sees that it was too much. */
static int read_file(const char *path, GString *text, struct stat *st, PlugindError *error) {
        int fd;

        fd = open_manifest(path, st, error);
        if (fd < 0)
                return fd;
        while (text->len <= MANIFEST_SIZE_MAX) {
                char buffer[16 * 1024];
                ssize_t n = read(fd, buffer, MIN(sizeof buffer, MANIFEST_SIZE_MAX + 1 - text->len));

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0) {
                        int saved = errno;

                        close(fd);
                        return read_error(error, path, saved);
                }
                if (n == 0)
                        break;
                g_string_append_len(text, buffer, n);
        }
        close(fd);
        return 0;
}

/* The id that a file is the manifest of. */
static int file_id(const char *path, char **ret, PlugindError *error) {
        g_autofree char *name = g_path_get_basename(path), *id = NULL;

        if (path[0] != '/') {
                g_autofree char *shown = json_quote(path, strlen(path));

                return plugind_error_set(error, PLUGIND_ERROR_INVALID_MANIFEST, "found \"%s\", expected the absolute path of a manifest",
                                         shown);
        }
        if (!g_str_has_suffix(name, ".json"))
                return plugind_error_set(error, PLUGIND_ERROR_INVALID_MANIFEST,
                                         "%s: found a name without \".json\", expected the id of the plugin and \".json\"", path);
        id = g_strndup(name, strlen(name) - strlen(".json"));
        if (!plugin_id_valid(id)) {
                g_autofree char *shown = json_quote(name, strlen(name));

                return plugind_error_set(error, PLUGIND_ERROR_INVALID_MANIFEST,
                                         "%s: found the name \"%s\", expected the id of the plugin and \".json\"; " PLUGIN_ID_RULE, path,
                                         shown);
        }
        *ret = g_steal_pointer(&id);
        return 0;
}

int manifest_load_as(const char *path, const char *id, Manifest **ret, PlugindError *error) {
        g_autofree char *stem = NULL, *template = NULL, *doubt = NULL;
        struct stat st = {};
        g_autoptr(GString) text = g_string_new(NULL);
        int r;

        r = file_id(path, &stem, error);
        if (r < 0)
                return r;
        template = plugin_id_template(id ?: stem);
        if (id && strcmp(id, stem) != 0 && g_strcmp0(template, stem) != 0)
                return plugind_error_set(error, PLUGIND_ERROR_INVALID_MANIFEST, "%s: is the manifest of \"%s\", not of \"%s\"", path, stem,
                                         id);
        r = read_file(path, text, &st, error);
        if (r < 0)
                return r;
        doubt = doubt_about_file(path, &st);
        return parse(&(Source){ .text = { text->str, text->len }, .where = path, .id = id ?: stem, .file = path, .doubt = doubt }, ret,
                     error);
}

int manifest_load(const char *path, Manifest **ret, PlugindError *error) {
        return manifest_load_as(path, NULL, ret, error);
}
