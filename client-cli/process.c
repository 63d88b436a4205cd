/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "process.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

static char *read_proc(pid_t pid, const char *name) {
        g_autofree char *path = g_strdup_printf("/proc/%d/%s", (int) pid, name);
        char *text = NULL;

        return g_file_get_contents(path, &text, NULL, NULL) ? text : NULL;
}

char *process_name(pid_t pid) {
        char *name = read_proc(pid, "comm");

        return name ? g_strchomp(name) : NULL;
}

uint64_t process_memory(pid_t pid) {
        g_autofree char *text = read_proc(pid, "status");
        const char *line = text ? strstr(text, "\nVmRSS:") : NULL;

        return line ? g_ascii_strtoull(line + strlen("\nVmRSS:"), NULL, 10) * 1024 : 0;
}
