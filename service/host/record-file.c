/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/record-file.h"

#include "basic/json.h"
#include "basic/log.h"
#include "host/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORD_TEMPORARY RECORD_FILE ".new"
#define RECORD_BAD RECORD_FILE ".bad"

void record_entry_copy(RecordEntry *target, const RecordEntry *source) {
        char *id = g_strdup(source->id);

        *target = (RecordEntry){
                .id = id,
                /* Most are loaded by id: one text for both. */
                .source = strcmp(source->source, id) == 0 ? id : g_strdup(source->source),
                .desired_active = source->desired_active,
                .running = source->running,
                .configuration = g_strdup(source->configuration),
                .mcp_era = g_strdup(source->mcp_era),
        };
}

bool record_entry_equal(const RecordEntry *a, const RecordEntry *b) {
        return strcmp(a->id, b->id) == 0 && strcmp(a->source, b->source) == 0 && a->desired_active == b->desired_active &&
               a->running == b->running && g_strcmp0(a->configuration, b->configuration) == 0 && g_strcmp0(a->mcp_era, b->mcp_era) == 0;
}

void record_entry_clear(RecordEntry *entry) {
        if (entry->source != entry->id)
                g_free(entry->source);
        g_free(entry->id);
        g_free(entry->configuration);
        g_free(entry->mcp_era);
        *entry = (RecordEntry){};
}

static void append_text(GString *text, const char *key, const char *value) {
        g_string_append_printf(text, ",\"%s\":", key);
        json_append_string(text, value, strlen(value));
}

void record_entry_append(GString *text, const RecordEntry *entry) {
        g_string_append(text, text->str[text->len - 1] == '{' ? "\n" : ",\n");
        json_append_string(text, entry->id, strlen(entry->id));
        g_string_append_printf(text, ":{\"desired\":\"%s\",\"running\":%s", entry->desired_active ? "active" : "inactive",
                               entry->running ? "true" : "false");
        append_text(text, "source", entry->source);
        if (entry->configuration)
                g_string_append_printf(text, ",\"configuration\":%s", entry->configuration);
        if (entry->mcp_era)
                append_text(text, "mcpEra", entry->mcp_era);
        g_string_append_c(text, '}');
}

static bool read_desired(JsonRange value, bool *ret) {
        *ret = json_string_equals(value, "active");
        return *ret || json_string_equals(value, "inactive");
}

static bool read_bool(JsonRange value, bool *ret) {
        *ret = json_type(value) == JSON_TRUE;
        return *ret || json_type(value) == JSON_FALSE;
}

static bool read_source(JsonRange value, char **ret) {
        *ret = json_string_decode(value);
        return *ret && ((*ret)[0] == '/' ? strlen(*ret) < PATH_MAX : plugin_id_valid(*ret));
}

static bool read_era(JsonRange value, char **ret) {
        *ret = json_string_equals(value, "modern") ? g_strdup("modern") : json_string_equals(value, "legacy") ? g_strdup("legacy") : NULL;
        return *ret;
}

static bool read_configuration(JsonRange value, char **ret) {
        *ret = g_strndup(value.data, value.size);
        json_copy_one_line(*ret, value);
        return json_type(value) == JSON_OBJECT;
}

static bool read_member(RecordEntry *entry, JsonRange name, JsonRange value) {
        if (json_string_equals(name, "desired"))
                return read_desired(value, &entry->desired_active);
        if (json_string_equals(name, "running"))
                return read_bool(value, &entry->running);
        if (json_string_equals(name, "source"))
                return read_source(value, &entry->source);
        if (json_string_equals(name, "configuration"))
                return read_configuration(value, &entry->configuration);
        if (json_string_equals(name, "mcpEra"))
                return read_era(value, &entry->mcp_era);
        return false;
}

/* On failure *bad names what is wrong (newly allocated). */
static bool read_entry(JsonRange id, JsonRange object, RecordEntry *entry, char **bad) {
        static const char *const required[] = { "desired", "running", "source" };
        JsonRange name, value;
        size_t cursor = 0;

        entry->id = json_string_decode(id);
        if (!entry->id || !plugin_id_valid(entry->id)) {
                *bad = g_strdup("its id");
                return false;
        }
        if (json_type(object) != JSON_OBJECT) {
                *bad = g_strdup("no object");
                return false;
        }
        while (json_next(object, &cursor, &name, &value))
                if (!read_member(entry, name, value)) {
                        *bad = json_quote(name.data, name.size);
                        return false;
                }
        for (size_t i = 0; i < G_N_ELEMENTS(required); i++)
                if (!json_find(object, required[i], &value)) {
                        *bad = g_strdup_printf("no \"%s\"", required[i]);
                        return false;
                }
        if (g_strcmp0(entry->source, entry->id) == 0) {
                g_free(entry->source);
                entry->source = entry->id;
        }
        return true;
}

static bool read_sessions(const char *folder, JsonRange sessions, void (*found)(RecordEntry *entry, void *userdata), void *userdata) {
        JsonRange id, object;
        size_t cursor = 0;
        bool good = true;

        while (json_next(sessions, &cursor, &id, &object)) {
                g_autofree char *bad = NULL;
                RecordEntry entry = {};

                if (read_entry(id, object, &entry, &bad))
                        found(&entry, userdata);
                else {
                        g_autofree char *shown = json_quote(id.data, id.size);

                        log_warning("%s/" RECORD_FILE ": the entry %s is wrong (%s) and left out", folder, shown, bad);
                        record_entry_clear(&entry);
                        good = false;
                }
        }
        return good;
}

/* Finds the member "sessions" of a document of our version; NULL or what is wrong with it (newly allocated). */
static char *find_sessions(JsonRange text, JsonRange *ret) {
        g_autoptr(JsonNode) tree = NULL;
        JsonRange document, value;
        uint64_t version = 0;
        JsonFault fault;
        char *message;

        if (json_parse_tree(text, &tree, &message) < 0)
                return message;
        json_check(text, &document, &fault);
        if (json_type(document) != JSON_OBJECT)
                return g_strdup("no object");
        if (!json_find(document, "version", &value))
                return g_strdup("no version");
        if (!json_get_uint64(value, &version) || version != 1) {
                g_autofree char *shown = json_quote(value.data, value.size);

                return g_strdup_printf("found version %s, expected 1", shown);
        }
        if (!json_find(document, "sessions", ret) || json_type(*ret) != JSON_OBJECT)
                return g_strdup("no object \"sessions\"");
        return NULL;
}

/* -ENOENT if there is none. */
static int read_text(int folder_fd, GString *text) {
        struct stat st;
        int fd, r = 0;

        fd = openat(folder_fd, RECORD_FILE, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                r = -errno;
        else if (!S_ISREG(st.st_mode))
                r = -EBADMSG;
        else if (st.st_size > RECORD_SIZE_MAX)
                r = -EFBIG;
        while (r == 0 && text->len <= RECORD_SIZE_MAX) {
                char buffer[64 * 1024];
                ssize_t n = read(fd, buffer, sizeof buffer);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        r = -errno;
                if (n <= 0)
                        break;
                g_string_append_len(text, buffer, n);
        }
        close(fd);
        return r;
}

/* A file with some good entries stays under its name too, until it is written anew: a crash before that loses nothing. */
static void set_aside(int folder_fd, const char *folder, bool some_good) {
        int r;

        unlinkat(folder_fd, RECORD_BAD, 0);
        if (some_good)
                r = linkat(folder_fd, RECORD_FILE, folder_fd, RECORD_BAD, 0);
        else
                r = renameat(folder_fd, RECORD_FILE, folder_fd, RECORD_BAD);
        if (r < 0)
                log_warning("%s/" RECORD_FILE ": cannot be set aside: %s", folder, g_strerror(errno));
        else
                log_notice("%s/" RECORD_FILE ": kept as " RECORD_BAD, folder);
}

int record_file_read(const char *folder, void (*found)(RecordEntry *entry, void *userdata), void *userdata) {
        g_autoptr(GString) text = g_string_new(NULL);
        g_autofree char *bad = NULL;
        JsonRange sessions;
        int fd, r;

        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = read_text(fd, text);
        if (r == 0)
                bad = find_sessions((JsonRange){ text->str, text->len }, &sessions);
        else if (r != -ENOENT)
                bad = g_strdup(g_strerror(-r));
        if (bad)
                log_error("%s/" RECORD_FILE ": %s; nothing is remembered of earlier sessions", folder, bad);
        if (bad)
                set_aside(fd, folder, false);
        else if (r == 0 && !read_sessions(folder, sessions, found, userdata))
                set_aside(fd, folder, true);
        close(fd);
        return 0;
}

static int write_all(int fd, const char *text, size_t size) {
        while (size > 0) {
                ssize_t n = write(fd, text, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                text += n;
                size -= (size_t) n;
        }
        return fsync(fd) < 0 ? -errno : 0;
}

static int write_at(int folder_fd, const char *text, size_t size) {
        int fd, r;

        unlinkat(folder_fd, RECORD_TEMPORARY, 0);
        fd = openat(folder_fd, RECORD_TEMPORARY, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        r = write_all(fd, text, size);
        close(fd);
        if (r == 0 && renameat(folder_fd, RECORD_TEMPORARY, folder_fd, RECORD_FILE) < 0)
                r = -errno;
        if (r < 0)
                unlinkat(folder_fd, RECORD_TEMPORARY, 0);
        else if (fsync(folder_fd) < 0)
                r = -errno;
        return r;
}

int record_file_write(const char *folder, const char *text, size_t size) {
        int fd, r;

        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = write_at(fd, text, size);
        close(fd);
        return r;
}
