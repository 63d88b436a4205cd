/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What plugind-exec reads: the kernel's table of mounts, and what plugind sent. What is found lies inside, and every byte is accounted for. */
#include "fuzz.h"

#include "launcher/mountinfo.h"
#include "launcher/spec.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

static bool inside(const char *text, const char *start, size_t size) {
        return text >= start && text < start + size && memchr(text, '\0', (size_t) (start + size - text));
}

static char *check_mounts(const uint8_t *data, size_t size) {
        g_autofree char *text = g_strndup((const char *) data, size);
        size_t room = strlen(text) + 1, lines = 0;
        MountTable table;
        char *complaint = NULL;

        for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p != '\0')
                lines++;
        if (mountinfo_parse(text, &table) < 0)
                return NULL;
        if (table.n != lines)
                complaint = g_strdup_printf("%zu mounts on %zu lines", table.n, lines);
        for (const Mount *m = table.mounts; !complaint && m < table.mounts + table.n; m++)
                if (!inside(m->root, text, room) || !inside(m->point, text, room) || !inside(m->type, text, room) || m->point[0] != '/')
                        complaint = g_strdup_printf("mount %zu is none", (size_t) (m - table.mounts));
        free(table.mounts);
        return complaint;
}

static size_t total(char *const *list, uint32_t n, const char *start, size_t size) {
        size_t sum = 0;

        for (uint32_t i = 0; i < n; i++) {
                if (!inside(list[i], start, size))
                        return SIZE_MAX / 8;
                sum += strlen(list[i]) + 1;
        }
        return list[n] ? SIZE_MAX / 8 : sum;
}

static char *check_spec(const uint8_t *data, size_t size) {
        g_autofree char *exact = g_memdup2(data, size);
        const char *why = NULL;
        char *complaint = NULL;
        size_t sum;
        Spec spec;

        if (spec_parse(exact ?: "", size, &spec, &why) < 0)
                return why ? NULL : g_strdup("refused without a word");
        sum = sizeof(LaunchSpec) + strlen(spec.command) + strlen(spec.cwd) + 2 + total(spec.args, spec.head->n_args, exact, size) +
              total(spec.env, spec.head->n_env, exact, size) + total(spec.writable, spec.head->n_writable, exact, size) +
              total(spec.readable, spec.head->n_readable, exact, size);
        if (sum != size)
                complaint = g_strdup_printf("%zu bytes of %zu are in the strings", sum, size);
        spec_clear(&spec);
        return complaint;
}

char *fuzz_launch(const uint8_t *data, size_t size) {
        char *complaint = check_mounts(data, size);

        return complaint ?: check_spec(data, size);
}
