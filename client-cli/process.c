/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "process.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NSEC_PER_SEC UINT64_C(1000000000)
#define DEPTH_MAX 64 /* of parents that are looked through */

/* Of /proc/PID/stat, counted from what follows the name. */
enum { STAT_PPID = 1, STAT_UTIME = 11, STAT_STIME, STAT_CUTIME, STAT_CSTIME, STAT_THREADS = 17, STAT_RSS = 21, _STAT_MAX };

typedef struct Process {
        pid_t pid, parent;
        ProcessFigures figures;
} Process;

struct ProcessTable {
        GHashTable *processes; /* pid -> Process */
};

static char *read_proc(pid_t pid, const char *name) {
        g_autofree char *path = g_strdup_printf("/proc/%d/%s", (int) pid, name);
        char *text = NULL;

        return g_file_get_contents(path, &text, NULL, NULL) ? text : NULL;
}

char *process_name(pid_t pid) {
        char *name = read_proc(pid, "comm");

        return name ? g_strchomp(name) : NULL;
}

/* The name is between brackets and may hold any. */
static bool parse_stat(const char *text, Process *process) {
        const char *end = strrchr(text, ')');
        g_auto(GStrv) fields = end && end[1] ? g_strsplit(end + 2, " ", -1) : NULL;
        uint64_t ticks = 0;

        if (!fields || g_strv_length(fields) < _STAT_MAX)
                return false;
        for (size_t i = STAT_UTIME; i <= STAT_CSTIME; i++)
                ticks += g_ascii_strtoull(fields[i], NULL, 10);
        process->parent = (pid_t) g_ascii_strtoll(fields[STAT_PPID], NULL, 10);
        process->figures = (ProcessFigures){
                .memory = g_ascii_strtoull(fields[STAT_RSS], NULL, 10) * (uint64_t) sysconf(_SC_PAGESIZE),
                .tasks = g_ascii_strtoull(fields[STAT_THREADS], NULL, 10),
                .cpu_nsec = ticks * (NSEC_PER_SEC / (uint64_t) sysconf(_SC_CLK_TCK)),
        };
        return true;
}

static void read_process(ProcessTable *table, const char *name) {
        pid_t pid = (pid_t) g_ascii_strtoll(name, NULL, 10);
        g_autofree char *text = pid > 0 ? read_proc(pid, "stat") : NULL;
        g_autofree Process *process = g_new0(Process, 1);

        process->pid = pid;
        if (text && parse_stat(text, process)) {
                g_hash_table_insert(table->processes, GINT_TO_POINTER(pid), process);
                g_steal_pointer(&process);
        }
}

ProcessTable *process_table_new(void) {
        ProcessTable *table = g_new(ProcessTable, 1);
        GDir *dir = g_dir_open("/proc", 0, NULL);
        const char *name;

        table->processes = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        while (dir && (name = g_dir_read_name(dir)))
                if (g_ascii_isdigit(*name))
                        read_process(table, name);
        if (dir)
                g_dir_close(dir);
        return table;
}

ProcessTable *process_table_free(ProcessTable *table) {
        if (!table)
                return NULL;
        g_hash_table_unref(table->processes);
        g_free(table);
        return NULL;
}

static Process *find_process(const ProcessTable *table, pid_t pid) {
        return g_hash_table_lookup(table->processes, GINT_TO_POINTER(pid));
}

static void add(ProcessFigures *sum, const Process *process) {
        sum->memory += process->figures.memory;
        sum->tasks += process->figures.tasks;
        sum->cpu_nsec += process->figures.cpu_nsec;
}

static bool descends(const ProcessTable *table, const Process *process, pid_t pid) {
        for (int i = 0; process && i < DEPTH_MAX; i++) {
                if (process->pid == pid)
                        return true;
                process = find_process(table, process->parent);
        }
        return false;
}

static void add_descendants(const ProcessTable *table, pid_t pid, ProcessFigures *sum) {
        GHashTableIter iter;
        void *process;

        g_hash_table_iter_init(&iter, table->processes);
        while (g_hash_table_iter_next(&iter, NULL, &process))
                if (descends(table, process, pid))
                        add(sum, process);
}

/* The pids in the control group that PID is in and that is UNIT's: "0::/plugind.slice/UNIT", and with the old hierarchy "1:name=systemd:...".
 * NULL: it cannot be read. */
static char *read_group(pid_t pid, const char *unit) {
        static const char *const mounts[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd" };
        g_autofree char *text = read_proc(pid, "cgroup"), *end = g_strconcat("/", unit, NULL);
        g_auto(GStrv) lines = text ? g_strsplit(text, "\n", -1) : NULL;

        for (size_t i = 0; lines && lines[i]; i++) {
                const char *path = strstr(lines[i], ":/");

                for (size_t j = 0; path && g_str_has_suffix(path, end) && j < G_N_ELEMENTS(mounts); j++) {
                        g_autofree char *file = g_strconcat(mounts[j], path + 1, "/cgroup.procs", NULL);
                        char *pids;

                        if (g_file_get_contents(file, &pids, NULL, NULL))
                                return pids;
                }
        }
        return NULL;
}

bool process_table_find(const ProcessTable *table, pid_t pid, const char *unit, ProcessFigures *ret) {
        g_autofree char *group = *unit ? read_group(pid, unit) : NULL;
        g_auto(GStrv) pids = group ? g_strsplit(group, "\n", -1) : NULL;
        ProcessFigures sum = {};

        if (!find_process(table, pid))
                return false;
        for (size_t i = 0; pids && pids[i]; i++) {
                const Process *process = find_process(table, (pid_t) g_ascii_strtoll(pids[i], NULL, 10));
                if (process)
                        add(&sum, process);
        }
        if (sum.tasks == 0)
                add_descendants(table, pid, &sum);
        *ret = sum;
        return true;
}
