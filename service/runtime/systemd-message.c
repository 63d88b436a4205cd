/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What makes a sandbox stands in the profiles, drop-ins that systemd finds by the unit's name (systemd/profile/). Here is what differs from
 * plugin to plugin. A setting of a drop-in wins over one from here, and a list adds to it, so that an administrator has the last word.
 */
#include "runtime/systemd-message.h"

#include "basic/deadline.h"
#include "runtime/launch.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

/* Names of units are at most 255 bytes long (systemd.unit(5)). */
#define ID_IN_NAME_MAX 200
/* Names of users are at most 31 bytes long (systemd's docs/USER_NAMES.md). */
#define USER_NAME_MAX 31

char *systemd_unit_name(const UnitSpec *spec, unsigned number) {
        g_autoptr(GString) id = g_string_new(NULL);

        for (const char *p = spec->session; *p && id->len < ID_IN_NAME_MAX; p++)
                if (*p == '@')
                        g_string_append(id, "\\x40");
                else
                        g_string_append_c(id, *p);
        return g_strdup_printf(SYSTEMD_UNIT_PREFIX "%s-%s-%u.service", sandbox_profile_to_string(spec->sandbox->profile), id->str, number);
}

unsigned systemd_unit_number(const char *name) {
        const char *dash = strrchr(name, '-');
        char *end = NULL;
        unsigned long number = dash && g_ascii_isdigit(dash[1]) ? strtoul(dash + 1, &end, 10) : 0;

        return end && g_str_equal(end, ".service") && number < UINT32_MAX ? (unsigned) number : 0;
}

/* A name of the plugin's own, so that its dynamic uid stays the same from run to run. Those that are made of a hash look different from all
 * others: no two ids share a uid. */
static char *dynamic_user(const char *id) {
        g_autofree char *hash = NULL;

        if (strlen(id) <= USER_NAME_MAX - strlen("pd-") && strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789_-") == strlen(id))
                return g_strconcat("pd-", id, NULL);
        hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, id, -1);
        return g_strdup_printf("pdx-%.24s", hash);
}

static int append(sd_bus_message *m, const char *name, const char *type, ...) {
        va_list args;
        int r = sd_bus_message_open_container(m, 'r', "sv");

        if (r >= 0)
                r = sd_bus_message_append(m, "s", name);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', type);
        va_start(args, type);
        if (r >= 0)
                r = sd_bus_message_appendv(m, type, args);
        va_end(args);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* The value's container stands open afterwards. */
static int open_list(sd_bus_message *m, const char *name, const char *list, const char *element) {
        int r = sd_bus_message_open_container(m, 'r', "sv");

        if (r >= 0)
                r = sd_bus_message_append(m, "s", name);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', list);
        return r < 0 ? r : sd_bus_message_open_container(m, 'a', element);
}

static int close_list(sd_bus_message *m) {
        int r = sd_bus_message_close_container(m);

        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* Visible at the same place, whatever ProtectHome= and the like hide. */
static int append_binds(sd_bus_message *m, const char *name, char *const *paths) {
        int r = paths && paths[0] ? open_list(m, name, "a(ssbt)", "(ssbt)") : 1;

        if (r > 0 && !(paths && paths[0]))
                return 0;
        for (; r >= 0 && *paths; paths++)
                r = sd_bus_message_append(m, "(ssbt)", *paths, *paths, false, (uint64_t) MS_REC);
        return r < 0 ? r : close_list(m);
}

static int append_devices(sd_bus_message *m, char *const *devices) {
        int r = devices && devices[0] ? append_binds(m, "BindPaths", devices) : 1;

        if (r > 0 && !(devices && devices[0]))
                return 0;
        if (r >= 0)
                r = open_list(m, "DeviceAllow", "a(ss)", "(ss)");
        for (; r >= 0 && *devices; devices++)
                r = sd_bus_message_append(m, "(ss)", *devices, "rw");
        return r < 0 ? r : close_list(m);
}

static int append_system_calls(sd_bus_message *m, char *const *names) {
        int r;

        if (!names || !names[0])
                return 0;
        r = sd_bus_message_open_container(m, 'r', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", "SystemCallFilter");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "(bas)");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'r', "bas");
        if (r >= 0)
                r = sd_bus_message_append(m, "b", true);
        if (r >= 0)
                r = sd_bus_message_append_strv(m, (char **) names);
        for (int i = 0; r >= 0 && i < 3; i++)
                r = sd_bus_message_close_container(m);
        return r;
}

static int append_limits(sd_bus_message *m, const Sandbox *sandbox) {
        bool trusted = sandbox->profile == SANDBOX_TRUSTED;
        uint64_t tasks = sandbox->tasks_max == SANDBOX_UNSET && !trusted ? SANDBOX_TASKS_DEFAULT : sandbox->tasks_max;
        uint64_t memory = sandbox->memory_max == SANDBOX_UNSET && !trusted ? SANDBOX_MEMORY_DEFAULT : sandbox->memory_max;
        int r = 0;

        if (tasks != SANDBOX_UNSET)
                r = append(m, "TasksMax", "t", tasks);
        /* The same once more for a uid of its own, since a machine may have no pids controller. */
        if (r >= 0 && tasks != SANDBOX_UNSET && !trusted && !sandbox->user)
                r = append(m, "LimitNPROC", "t", tasks);
        if (r >= 0 && memory != SANDBOX_UNSET)
                r = append(m, "MemoryMax", "t", memory);
        if (r >= 0 && sandbox->cpu_quota_usec != SANDBOX_UNSET)
                r = append(m, "CPUQuotaPerSecUSec", "t", sandbox->cpu_quota_usec);
        for (size_t i = 0; r >= 0 && i < 3; i++)
                r = append(m, (const char *const[]){ "CPUAccounting", "MemoryAccounting", "TasksAccounting" }[i], "b", true);
        return r;
}

/* The data folder of a user's plugin is made by us; the system's manager makes it with the owner that it chooses. */
static int append_identity(sd_bus_message *m, const UnitSpec *spec, bool user) {
        const Sandbox *sandbox = spec->sandbox;
        g_autofree char *name = NULL, *folder = NULL;
        int r = 0;

        if (user)
                return spec->data_dir ? append_binds(m, "BindPaths", (char *const[]){ (char *) spec->data_dir, NULL }) : 0;
        name = sandbox->user ? g_strdup(sandbox->user) : sandbox->profile != SANDBOX_TRUSTED ? dynamic_user(spec->session) : NULL;
        folder = g_strconcat("plugind-data/", spec->session, NULL);
        if (name)
                r = append(m, "User", "s", name);
        if (r >= 0)
                r = append(m, "StateDirectory", "as", 1, folder);
        return r < 0 ? r : append(m, "StateDirectoryMode", "u", 0700);
}

static int append_sandbox(sd_bus_message *m, const UnitSpec *spec, bool user) {
        const Sandbox *sandbox = spec->sandbox;
        int r = append_identity(m, spec, user);

        if (r >= 0)
                r = append_limits(m, sandbox);
        if (r >= 0)
                r = append_binds(m, "BindPaths", sandbox->read_write_paths);
        if (r >= 0)
                r = append_binds(m, "BindReadOnlyPaths", sandbox->read_only_paths);
        if (r >= 0)
                r = append_devices(m, sandbox->devices);
        return r < 0 ? r : append_system_calls(m, sandbox->syscalls);
}

/* stderr goes to the journal by itself, so that it needs no plugind; its lines are known by identifier and slice, since for LogExtraFields=
 * systemd 252 leaves a file behind in /run/systemd/units for each unit. StandardOutput= would follow StandardInput= if nothing were said.
 * A unit that has ended stays as it is until it is stopped: a daemon that was not there can still read how it ended. */
static int append_service(sd_bus_message *m, const UnitSpec *spec, int control) {
        g_autofree char *description = g_strdup_printf("plugin %s", spec->session);
        const char *const texts[][2] = {
                { "Description", description },
                { "Slice", SYSTEMD_SLICE },
                { "Type", "exec" },
                { "CollectMode", "inactive" },
                { "KillMode", "control-group" },
                { "StandardOutput", "null" },
                { "StandardError", "journal" },
                { "SyslogIdentifier", spec->session },
        };
        const char *const flags[] = { "RemainAfterExit", "AddRef" };
        int r = 0;

        for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(texts); i++)
                r = append(m, texts[i][0], "s", texts[i][1]);
        for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(flags); i++)
                r = append(m, flags[i], "b", true);
        if (r >= 0) /* at shutdown plugind stops its plugins in order */
                r = append(m, "DefaultDependencies", "b", false);
        if (r >= 0)
                r = append(m, "TimeoutStopUSec", "t", spec->stop_usec);
        if (r >= 0)
                r = append(m, "StandardInputFileDescriptor", "h", control);
        return r < 0 ? r : append(m, "ExecStart", "a(sasb)", 1, PLUGIND_EXEC, 1, PLUGIND_EXEC, false);
}

int systemd_message_start(sd_bus *bus, const UnitSpec *spec, const char *name, int control, bool user, sd_bus_message **ret) {
        sd_bus_message *m = NULL;
        int r = sd_bus_message_new_method_call(bus, &m, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "StartTransientUnit");

        if (r >= 0)
                r = sd_bus_message_append(m, "ss", name, "fail");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sv)");
        if (r >= 0)
                r = append_service(m, spec, control);
        if (r >= 0)
                r = append_sandbox(m, spec, user);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_append(m, "a(sa(sv))", 0);
        if (r < 0) {
                sd_bus_message_unref(m);
                return r;
        }
        *ret = m;
        return 0;
}

uint32_t systemd_launch_checks(const Sandbox *sandbox, bool user) {
        uint32_t checks = LAUNCH_CHECK_NO_NEW_PRIVILEGES | LAUNCH_CHECK_CAPABILITIES | LAUNCH_CHECK_SECCOMP | LAUNCH_CHECK_NAMESPACES |
                          LAUNCH_CHECK_FILES | LAUNCH_CHECK_SOCKETS;

        if (sandbox->profile == SANDBOX_TRUSTED)
                return 0;
        if (sandbox->profile == SANDBOX_STRICT)
                checks |= LAUNCH_CHECK_NETWORK;
        return user ? checks : checks | LAUNCH_CHECK_UID;
}
