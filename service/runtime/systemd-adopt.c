/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Units that outlive the daemon: given away, and taken over by the next one. */
#include "runtime/systemd-unit.h"

#include "basic/log.h"
#include "runtime/proc.h"
#include "runtime/stdio.h"
#include "store/store.h"

#include <errno.h>
#include <signal.h>
#include <sys/pidfd.h>

/* -- to be given away -- */

void systemd_unit_identify(Unit *base, UnitIdentity *ret) {
        const SystemdUnit *unit = (const SystemdUnit *) base;

        *ret = (UnitIdentity){};
        if (unit->phase == PHASE_RUNNING && unit_runtime(unit)->store && unit->start_time > 0)
                *ret = (UnitIdentity){ unit->name, unit->pid, unit->start_time, unit->pair };
}

static int on_end_found(sd_event_source *source, void *userdata) {
        return systemd_unit_on_exit(source, -1, 0, userdata);
}

/* Its main process has ended, which no pidfd tells. */
static int find_end(SystemdUnit *unit) {
        return unit->exit ? sd_event_source_set_enabled(unit->exit, SD_EVENT_ON)
                          : sd_event_add_defer(unit_runtime(unit)->event, &unit->exit, on_end_found, unit);
}

void systemd_unit_hold(Unit *base, bool hold) {
        SystemdUnit *unit = (SystemdUnit *) base;

        if (unit->held == hold || unit->phase >= PHASE_ENDING)
                return;
        unit->held = hold;
        if (hold && unit->exit)
                (void) sd_event_source_set_enabled(unit->exit, SD_EVENT_OFF);
        else if (!hold && (unit->exit || unit->end_held))
                (void) find_end(unit);
        unit->end_held = false;
}

void systemd_unit_release(Unit *base) {
        SystemdUnit *unit = (SystemdUnit *) base;

        if (unit->pair > 0)
                store_drop_pair(unit_runtime(unit)->store, unit->pair);
        unit->pair = 0;
}

void systemd_runtime_keep(Runtime *base) {
        ((SystemdRuntime *) base)->keeping = true;
}

/* -- to be taken over -- */

static bool is_of_ours(const char *name) {
        for (SandboxProfile profile = 0; profile < _SANDBOX_PROFILE_MAX; profile++) {
                g_autofree char *prefix = g_strdup_printf(SYSTEMD_UNIT_PREFIX "%s-", sandbox_profile_to_string(profile));

                if (g_str_has_prefix(name, prefix))
                        return systemd_unit_number(name) > 0;
        }
        return false;
}

static bool lives(const SystemdUnit *unit) {
        uint64_t start_time;

        return proc_start_time(unit->pid, &start_time) >= 0 && start_time == unit->start_time && proc_is_in_unit(unit->pid, unit->name);
}

/* The second look tells that the pidfd is of the process that the first one saw. */
static int watch_adopted(SystemdUnit *unit) {
        if (lives(unit)) {
                unit->pidfd = pidfd_open(unit->pid, 0);
                if (unit->pidfd < 0 && errno != ESRCH)
                        return -errno;
                if (unit->pidfd >= 0 && lives(unit))
                        return sd_event_add_io(unit_runtime(unit)->event, &unit->exit, unit->pidfd, EPOLLIN, systemd_unit_on_exit, unit);
                close_pair(unit->pidfd, -1);
                unit->pidfd = -1;
        }
        return find_end(unit);
}

int systemd_unit_adopt(Runtime *base, const UnitIdentity *identity, const UnitEvents *events, void *userdata, Unit **ret) {
        SystemdRuntime *runtime = (SystemdRuntime *) base;
        SystemdUnit *unit;
        int r;

        if (!identity->name || identity->pid <= 0 || !is_of_ours(identity->name))
                return -ESRCH;
        if (g_hash_table_contains(runtime->units, identity->name))
                return -EBUSY;
        r = systemd_unit_new(runtime, g_strdup(identity->name), events, userdata, &unit);
        if (r < 0)
                return r;
        unit->phase = PHASE_RUNNING;
        unit->started = true;
        unit->pid = identity->pid;
        unit->start_time = identity->start_time;
        r = watch_adopted(unit);
        if (r >= 0) /* so that systemd keeps how it ends until we have asked; it may know nothing of it any more */
                r = systemd_tell(runtime, "RefUnit", "s", unit->name);
        if (r < 0) {
                systemd_unit_destroy(unit);
                return r;
        }
        unit->pair = identity->pair;
        runtime->number = MAX(runtime->number, systemd_unit_number(unit->name));
        *ret = &unit->unit;
        return 0;
}

/* -- what nobody takes over -- */

int systemd_list_left(SystemdRuntime *runtime) {
        sd_bus_message *m = NULL, *reply = NULL;
        const char *name;
        int r = sd_bus_message_new_method_call(runtime->bus, &m, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "ListUnitsByPatterns");

        if (r >= 0)
                r = sd_bus_message_append(m, "asas", 0, 1, SYSTEMD_UNIT_PREFIX "*-*.service");
        if (r >= 0)
                r = sd_bus_call(runtime->bus, m, 0, NULL, &reply);
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "(ssssssouso)");
        while (r >= 0 && (r = sd_bus_message_read(reply, "(ssssssouso)", &name, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)) > 0)
                if (is_of_ours(name)) {
                        g_ptr_array_add(runtime->left, g_strdup(name));
                        runtime->number = MAX(runtime->number, systemd_unit_number(name));
                }
        sd_bus_message_unref(m);
        sd_bus_message_unref(reply);
        return r;
}

static int stop_left(SystemdRuntime *runtime, const char *name) {
        SystemdUnit *unit;
        int r;

        if (g_hash_table_contains(runtime->units, name))
                return 0;
        log_notice("The unit %s is left from before, stopping it", name);
        r = systemd_unit_new(runtime, g_strdup(name), NULL, NULL, &unit);
        if (r < 0)
                return r;
        unit->abandoned = true;
        systemd_unit_end(unit);
        return 0;
}

int systemd_runtime_adopted(Runtime *base) {
        SystemdRuntime *runtime = (SystemdRuntime *) base;
        int r = 0;

        for (guint i = 0; r >= 0 && i < runtime->left->len; i++)
                r = stop_left(runtime, runtime->left->pdata[i]);
        g_ptr_array_set_size(runtime->left, 0);
        return r;
}
