/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the `command` of a manifest to the executable it means. */
#include "host/manifest-reader.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

static char *command_path;

void manifest_set_command_path(const char *path) {
        g_free(command_path);
        command_path = path && path[0] ? g_strdup(path) : NULL;
}

const char *manifest_command_path(void) {
        return command_path ?: MANIFEST_COMMAND_PATH;
}

static int check_executable(const char *path) {
        struct stat st;

        if (stat(path, &st) < 0)
                return -errno;
        if (S_ISDIR(st.st_mode))
                return -EISDIR;
        if (!S_ISREG(st.st_mode))
                return -EACCES;
        return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

static char *search(const char *name) {
        g_auto(GStrv) folders = g_strsplit(manifest_command_path(), ":", -1);

        for (char **folder = folders; *folder; folder++) {
                g_autofree char *candidate = g_build_filename(*folder, name, NULL);

                /* An empty or relative element would depend on where the daemon was started. */
                if ((*folder)[0] == '/' && strlen(candidate) < PATH_MAX && check_executable(candidate) == 0)
                        return g_steal_pointer(&candidate);
        }
        return NULL;
}

char *manifest_find_command(const char *command, char **why) {
        char *found = NULL;
        int r;

        if (command[0] == '/') {
                r = check_executable(command);
                if (r == 0)
                        return g_strdup(command);
                *why = g_strdup_printf("an executable file (%s)", g_strerror(-r));
                return NULL;
        }
        if (!strchr(command, '/'))
                found = search(command);
        if (!found)
                *why = g_strdup_printf("an absolute path or the name of an executable in %s", manifest_command_path());
        return found;
}
