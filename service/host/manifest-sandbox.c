/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The manifest's `sandbox`: what its keys may say, and who may loosen what. */
#include "host/manifest-reader.h"

#include <errno.h>
#include <math.h>
#include <unistd.h>

#define LIST_MAX 256

/* Whether it is all right that VALUE takes something away from the sandbox; STRICT is what everybody may say. */
static int may_loosen(ManifestReader *reader, JsonRange value, const char *strict) {
        g_autofree char *found = NULL, *owners = NULL;

        if (!reader->doubt)
                return 0;
        found = manifest_describe(value);
        owners = geteuid() == 0 ? g_strdup("root's own manifests") : g_strdup_printf("manifests of root or user %u", geteuid());
        return manifest_fault(reader, found, "%s: only %s may loosen the sandbox, and %s", strict, owners, reader->doubt);
}

int manifest_read_sandbox(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        reader->manifest->sandbox.demanded = true;
        return manifest_read_object(reader, key, value);
}

int manifest_read_profile(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        int r = manifest_read_choice(reader, key, value);

        return r == 0 && reader->manifest->sandbox.profile != SANDBOX_STRICT ? may_loosen(reader, value, "\"strict\"") : r;
}

static int check_item(ManifestReader *reader, JsonRange item, const char *text, const ManifestList *list) {
        return list->valid(text) ? may_loosen(reader, item, "none") : manifest_wrong_type(reader, item, list->expected);
}

/* A list of texts that VALID takes, each with %i and %% replaced. */
static int read_list(ManifestReader *reader, const ManifestKey *key, JsonRange value, bool (*valid)(const char *text),
                     const char *expected) {
        ManifestList list = {
                .items_max = LIST_MAX,
                .min = 1,
                .max = key->max,
                .check = check_item,
                .valid = valid,
                .expected = expected,
        };

        return manifest_take_list(reader, value, &list, manifest_place(reader, key));
}

/* Absolute, and written in the one way that no other text means: what is compared with it later is compared as text. */
static bool path_valid(const char *path) {
        if (path[0] != '/')
                return false;
        for (const char *part = path; *part;) {
                size_t size = strcspn(++part, "/");

                if (size == 0 || (size == 1 && part[0] == '.') || (size == 2 && part[0] == '.' && part[1] == '.'))
                        return false;
                part += size;
        }
        return true;
}

static bool device_valid(const char *path) {
        return g_str_has_prefix(path, "/dev/") && path_valid(path);
}

static bool syscall_valid(const char *name) {
        bool group = name[0] == '@';
        const char *start = name + group;

        return g_ascii_islower(start[0]) &&
               start[strspn(start, group ? G_CSET_a_2_z G_CSET_DIGITS "-" : G_CSET_a_2_z G_CSET_DIGITS "_")] == '\0';
}

int manifest_read_paths(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        return read_list(reader, key, value, path_valid,
                         "an absolute path below \"/\", without \".\", \"..\", \"//\" and \"/\" at its end");
}

int manifest_read_devices(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        return read_list(reader, key, value, device_valid, "a path below \"/dev\", without \".\", \"..\", \"//\" and \"/\" at its end");
}

int manifest_read_syscalls(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        return read_list(reader, key, value, syscall_valid,
                         "the name of a system call (\"ptrace\") or of a group of systemd's (\"@debug\")");
}

/* "512M": a whole number and a unit of 1024. */
static bool parse_bytes(const char *text, double *ret) {
        static const char units[] = "KMGT";
        char *end;
        const char *unit;
        uint64_t number;

        if (!g_ascii_isdigit(text[0]) || text[0] == '0' || strspn(text, G_CSET_DIGITS) > 15)
                return false;
        number = g_ascii_strtoull(text, &end, 10);
        unit = end[0] ? strchr(units, end[0]) : NULL;
        if (!unit || end[1])
                return false;
        *ret = ldexp((double) number, 10 * (int) (unit - units + 1));
        return true;
}

int manifest_read_memory(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        g_autofree char *text = NULL;
        bool fine = false;
        double bytes;

        if (json_type(value) == JSON_STRING) {
                text = json_string_decode(value);
                fine = parse_bytes(text, &bytes);
        } else if (json_type(value) == JSON_NUMBER) {
                text = g_strndup(value.data, value.size);
                bytes = g_ascii_strtod(text, NULL);
                fine = bytes == floor(bytes);
        }
        if (!fine || bytes < key->min || bytes > key->max)
                return manifest_wrong_type(reader, value, "a number of bytes, or a text such as \"512M\" (K, M, G, T), of 1M to 1024T");
        *(uint64_t *) manifest_place(reader, key) = (uint64_t) bytes;
        return bytes > SANDBOX_MEMORY_DEFAULT ? may_loosen(reader, value, "at most 2G") : 0;
}

int manifest_read_tasks(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        int tasks, r;

        r = manifest_take_whole_number(reader, key, value, &tasks);
        if (r < 0)
                return r;
        *(uint64_t *) manifest_place(reader, key) = (uint64_t) tasks;
        return tasks > SANDBOX_TASKS_DEFAULT ? may_loosen(reader, value, "at most 512") : 0;
}

/* There is no quota by default, so any is tighter. */
int manifest_read_quota(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        g_autofree char *text = json_type(value) == JSON_STRING ? json_string_decode(value) : NULL;
        size_t digits = text ? strspn(text, G_CSET_DIGITS) : 0;
        uint64_t percent = digits > 0 && digits <= 6 && text[0] != '0' ? g_ascii_strtoull(text, NULL, 10) : 0;

        if (percent < (uint64_t) key->min || percent > (uint64_t) key->max || strcmp(text + digits, "%") != 0)
                return manifest_wrong_type(reader, value, "percent of one processor, such as \"150%\", from \"1%\" to \"100000%\"");
        *(uint64_t *) manifest_place(reader, key) = percent * 10000; /* of a second's 1000000 microseconds */
        return 0;
}

int manifest_read_user(ManifestReader *reader, const ManifestKey *key, JsonRange value) {
        g_autofree char *name = json_type(value) == JSON_STRING ? json_string_decode(value) : NULL;

        if (!name || !(g_ascii_isalpha(name[0]) || name[0] == '_') || strlen(name) > (size_t) key->max ||
            name[strspn(name, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "_-")] || strcmp(name, "root") == 0)
                return manifest_wrong_type(
                        reader, value,
                        "the name of a user that is not root: letters, digits, \"_\" and \"-\", a letter or \"_\" first, at most 31");
        *(char **) manifest_place(reader, key) = g_steal_pointer(&name);
        return may_loosen(reader, value, "none");
}
