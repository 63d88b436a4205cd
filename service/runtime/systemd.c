/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Plugins as transient units of the service manager.
 *
 * A run is one unit of its own name. StartTransientUnit is sent and its answer not waited for; the launcher in the unit (launch.h) tells
 * when the sandbox stands, and a pidfd tells of the end of the main process. How it ended is then asked of systemd, which knows it for as
 * long as we hold a reference (AddRef). Then whatever is left is killed, and the end of the unit's stop job is the end of the run. Every
 * message goes out in order, so a unit can be stopped before the answer to its start is there.
 */
#include "runtime/runtime.h"

#include "basic/log.h"
#include "runtime/proc.h"
#include "runtime/stdio.h"
#include "runtime/systemd-unit.h"
#include "store/store.h"

#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <unistd.h>

int systemd_unit_new(SystemdRuntime *runtime, char *name, const UnitEvents *events, void *userdata, SystemdUnit **ret) {
        SystemdUnit *unit = g_new(SystemdUnit, 1);
        int r;

        *unit = (SystemdUnit){ .unit = { &runtime->runtime, events, userdata }, .name = name, .pidfd = -1, .launch = LAUNCH_INIT };
        g_hash_table_insert(runtime->units, unit->name, unit);
        r = sd_bus_path_encode(SYSTEMD_PATH "/unit", unit->name, &unit->path);
        if (r < 0) {
                systemd_unit_destroy(unit);
                return r;
        }
        *ret = unit;
        return 0;
}

void systemd_unit_destroy(SystemdUnit *unit) {
        SystemdRuntime *runtime = unit_runtime(unit);

        g_hash_table_remove(runtime->units, unit->name);
        if (!runtime->keeping)
                systemd_unit_release(&unit->unit);
        for (size_t i = 0; i < _UNIT_PROPERTY_MAX; i++)
                systemd_call_forget(unit->questions[i].call);
        systemd_call_forget(unit->start);
        systemd_call_forget(unit->stop);
        sd_event_source_disable_unref(unit->status);
        sd_event_source_disable_unref(unit->exit);
        close_pair(unit->pidfd, -1);
        launch_close(&unit->launch);
        plugind_error_clear(&unit->failure);
        g_free(unit->start_job);
        g_free(unit->stop_job);
        g_free(unit->result);
        g_free(unit->active_state);
        g_free(unit->path);
        g_free(unit->name);
        g_free(unit);
}

/* -- the launcher and the main process -- */

static void unit_started(SystemdUnit *unit) {
        int in = unit->launch.in, out = unit->launch.out;

        unit->phase = PHASE_RUNNING;
        unit->started = true;
        unit->launch.in = unit->launch.out = -1;
        launch_close(&unit->launch);
        unit->unit.events->started(&unit->unit, unit->pid, in, out, -1, unit->unit.userdata);
}

static void launcher_says(SystemdUnit *unit, LaunchOutcome outcome, const char *text, pid_t pid) {
        if (outcome != LAUNCH_READY) { /* it waits for nothing, and may be gone */
                systemd_unit_set_failure(
                        unit, outcome == LAUNCH_UNSANDBOXED ? PLUGIND_ERROR_SANDBOX_UNAVAILABLE : PLUGIND_ERROR_START_FAILED, "%s", text);
                systemd_unit_end(unit);
                return;
        }
        if (unit->pidfd < 0)
                systemd_unit_watch(unit, pid);
        if (unit->phase == PHASE_LAUNCHING && unit->pidfd >= 0 && launch_go(&unit->launch) >= 0)
                unit->told_to_go = true;
}

void systemd_unit_hear_launcher(SystemdUnit *unit) {
        while (unit->phase == PHASE_LAUNCHING && unit->status) {
                g_autofree char *text = NULL;
                LaunchOutcome outcome;
                pid_t pid;
                int r = launch_receive(&unit->launch, &outcome, &text, &pid);

                if (r == -EAGAIN)
                        return;
                if (r > 0)
                        launcher_says(unit, outcome, text, pid);
                else {
                        unit->status = sd_event_source_disable_unref(unit->status);
                        if (unit->told_to_go && !unit->failure.code && !unit->abandoned)
                                unit_started(unit);
                }
        }
}

static int on_status(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        systemd_unit_hear_launcher(userdata);
        return 0;
}

int systemd_unit_on_exit(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        SystemdUnit *unit = userdata;

        (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
        systemd_unit_hear_launcher(unit); /* its last words, or that the plugin had been started */
        if (unit->phase == PHASE_LAUNCHING && unit->failure.code)
                systemd_unit_end(unit);
        else if (unit->phase < PHASE_ENDING)
                systemd_unit_ask_how_it_ended(unit);
        return 0;
}

/* The launcher waits for our word, so PID is not another's yet. */
void systemd_unit_watch(SystemdUnit *unit, pid_t pid) {
        int r = 0;

        unit->pid = pid;
        (void) proc_start_time(pid, &unit->start_time);
        unit->pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;
        if (unit->pidfd >= 0)
                r = sd_event_add_io(unit_runtime(unit)->event, &unit->exit, unit->pidfd, EPOLLIN, systemd_unit_on_exit, unit);
        if (unit->pidfd >= 0 && r >= 0)
                return;
        if (pid > 0 && errno != ESRCH)
                systemd_unit_set_failure(unit, PLUGIND_ERROR_START_FAILED, "the main process of the unit %s cannot be watched: %s",
                                         unit->name, g_strerror(r < 0 ? -r : errno));
        systemd_unit_ask_how_it_ended(unit);
}

/* -- the operations -- */

static int on_start_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        SystemdUnit *unit = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        const char *job;

        unit->start = NULL;
        if (e)
                systemd_unit_set_failure(unit, PLUGIND_ERROR_START_FAILED, "systemd does not start the unit %s: %s", unit->name,
                                         e->message ?: e->name);
        if (e && unit->phase < PHASE_ENDING)
                systemd_unit_gone(unit);
        else if (!e && sd_bus_message_read(reply, "o", &job) >= 0)
                unit->start_job = g_strdup(job);
        return 0;
}

/* The launcher runs, or has failed to. Mostly it has been heard of before this. */
static void start_job_done(SystemdUnit *unit, const char *result) {
        if (unit->phase != PHASE_LAUNCHING || unit->pidfd >= 0)
                return;
        if (g_str_equal(result, "done"))
                (void) systemd_unit_ask_main_pid(unit);
        else
                systemd_unit_ask_how_it_ended(unit);
}

static int on_job_removed(sd_bus_message *signal, void *userdata, sd_bus_error *error) {
        SystemdRuntime *runtime = userdata;
        const char *job, *name, *result;
        SystemdUnit *unit;

        if (sd_bus_message_read(signal, "uoss", NULL, &job, &name, &result) < 0)
                return 0;
        unit = g_hash_table_lookup(runtime->units, name);
        if (unit && g_strcmp0(unit->stop_job, job) == 0)
                systemd_unit_stopped(unit);
        else if (unit && g_strcmp0(unit->start_job, job) == 0)
                start_job_done(unit, result);
        return 0;
}

static gboolean is_out_of_reach(gpointer name, gpointer unit, gpointer runtime) {
        const SystemdUnit *u = unit;

        return u->phase == PHASE_ENDING && ((!u->stop && !u->stop_job) || sd_bus_is_open(((SystemdRuntime *) runtime)->bus) <= 0);
}

/* Without a connection nothing can be told of or heard about units any more. */
static int on_unreachable(sd_event_source *source, void *userdata) {
        SystemdRuntime *runtime = userdata;
        SystemdUnit *unit;

        while ((unit = g_hash_table_find(runtime->units, is_out_of_reach, runtime)))
                systemd_unit_gone(unit);
        return 0;
}

static int on_disconnected(sd_bus_message *signal, void *userdata, sd_bus_error *error) {
        SystemdRuntime *runtime = userdata;

        (void) sd_event_source_set_enabled(runtime->unreachable, SD_EVENT_ONESHOT);
        return 0;
}

static int send_start(SystemdRuntime *runtime, const UnitSpec *spec, SystemdUnit *unit) {
        sd_bus_message *m = NULL;
        int r = systemd_message_start(runtime->bus, spec, unit->name, unit->launch.control, runtime->user, &m);

        if (r >= 0)
                r = systemd_calls_send(runtime->calls, m, on_start_reply, unit, &unit->start);
        sd_bus_message_unref(m);
        close_pair(unit->launch.control, -1);
        unit->launch.control = -1;
        return r;
}

static int systemd_unit_start(Runtime *base, const UnitSpec *spec, const UnitEvents *events, void *userdata, Unit **ret,
                              PlugindError *error) {
        SystemdRuntime *runtime = (SystemdRuntime *) base;
        SystemdUnit *unit = NULL;
        g_autofree char *name = NULL;
        const char *what = "";
        int r;

        if (runtime->user && spec->sandbox->user)
                return plugind_error_set(error, PLUGIND_ERROR_SANDBOX_UNAVAILABLE,
                                         "cannot run %s as user \"%s\" (sandbox.user): plugind of one user runs plugins as that user only",
                                         spec->command, spec->sandbox->user);
        name = systemd_unit_name(spec, ++runtime->number);
        r = systemd_unit_new(runtime, g_strdup(name), events, userdata, &unit);
        if (r >= 0)
                r = launch_open(spec, systemd_launch_checks(spec->sandbox, runtime->user), &unit->launch);
        if (r >= 0)
                r = sd_event_add_io(runtime->event, &unit->status, unit->launch.status, EPOLLIN, on_status, unit);
        if (r >= 0 && runtime->store) { /* before it can write: whatever ends us, the next daemon has them */
                r = store_put_pair(runtime->store, unit->launch.in, unit->launch.out, &unit->pair);
                what = "its input and output cannot be stored for the next plugind: ";
        }
        if (r >= 0) {
                r = send_start(runtime, spec, unit);
                what = "";
        }
        if (r < 0) {
                (void) plugind_error_set(error, PLUGIND_ERROR_START_FAILED, "cannot start the unit %s: %s%s", name, what, g_strerror(-r));
                if (unit)
                        systemd_unit_destroy(unit);
                return r;
        }
        *ret = &unit->unit;
        return 0;
}

static int systemd_unit_kill(Unit *base, KillWhom whom, int signal) {
        SystemdUnit *unit = (SystemdUnit *) base;

        if (signal < 0 || signal >= NSIG)
                return -EINVAL;
        if (unit->phase == PHASE_LAUNCHING && (signal == SIGTERM || signal == SIGKILL)) {
                systemd_unit_set_failure(unit, PLUGIND_ERROR_CANCELLED, "the plugin was stopped before it ran");
                systemd_unit_end(unit);
                return 0;
        }
        if (unit->phase == PHASE_ENDING && whom == KILL_ALL)
                return 0; /* with SIGKILL, already */
        if (unit->phase != PHASE_RUNNING)
                return -ESRCH;
        if (systemd_tell(unit_runtime(unit), "KillUnit", "ssi", unit->name, whom == KILL_MAIN ? "main" : "all", signal) < 0)
                systemd_unit_exited(unit); /* systemd is out of reach, and so is the plugin */
        return 0;
}

static const char *systemd_unit_get_name(Unit *base) {
        return ((SystemdUnit *) base)->name;
}

static Unit *systemd_unit_free(Unit *base) {
        SystemdUnit *unit = (SystemdUnit *) base;

        if (unit->phase == PHASE_GONE || unit_runtime(unit)->keeping) {
                systemd_unit_destroy(unit);
                return NULL;
        }
        unit->abandoned = true;
        unit->unit.events = NULL;
        systemd_unit_end(unit);
        return NULL;
}

static Runtime *systemd_runtime_free(Runtime *base) {
        SystemdRuntime *runtime = (SystemdRuntime *) base;
        g_autoptr(GList) units = g_hash_table_get_values(runtime->units);

        for (GList *unit = units; unit; unit = unit->next) {
                g_assert(((SystemdUnit *) unit->data)->abandoned);
                systemd_unit_destroy(unit->data);
        }
        systemd_calls_free(runtime->calls);
        if (!runtime->keeping) /* what was told to end does; else a bus that has not taken our last messages by now would keep us here */
                (void) sd_bus_flush(runtime->bus);
        g_hash_table_unref(runtime->units);
        g_ptr_array_unref(runtime->left);
        sd_bus_slot_unref(runtime->job_removed);
        sd_bus_slot_unref(runtime->disconnected);
        sd_event_source_disable_unref(runtime->unreachable);
        sd_bus_unref(runtime->bus);
        sd_event_unref(runtime->event);
        g_free(runtime);
        return NULL;
}

static const RuntimeOps systemd_ops = {
        .name = "systemd",
        .runtime_free = systemd_runtime_free,
        .unit_start = systemd_unit_start,
        .unit_kill = systemd_unit_kill,
        .unit_name = systemd_unit_get_name,
        .unit_free = systemd_unit_free,
        .unit_identify = systemd_unit_identify,
        .unit_adopt = systemd_unit_adopt,
        .runtime_adopted = systemd_runtime_adopted,
        .unit_hold = systemd_unit_hold,
        .unit_release = systemd_unit_release,
        .runtime_keep = systemd_runtime_keep,
};

int runtime_systemd_new(sd_event *event, sd_bus *bus, bool user, Store *store, Runtime **ret) {
        SystemdRuntime *runtime = g_new(SystemdRuntime, 1);
        int r;

        *runtime = (SystemdRuntime){
                .runtime = { &systemd_ops, .sandboxes = true, .makes_data_dir = !user, .logs_itself = true },
                .event = sd_event_ref(event),
                .bus = sd_bus_ref(bus),
                .calls = systemd_calls_new(bus),
                .units = g_hash_table_new(g_str_hash, g_str_equal),
                .user = user,
                .store = store,
                .left = g_ptr_array_new_with_free_func(g_free),
        };
        r = sd_bus_match_signal(bus, &runtime->job_removed, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "JobRemoved", on_job_removed,
                                runtime);
        if (r >= 0)
                r = sd_bus_match_signal(bus, &runtime->disconnected, NULL, "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local",
                                        "Disconnected", on_disconnected, runtime);
        if (r >= 0)
                r = sd_event_add_defer(event, &runtime->unreachable, on_unreachable, runtime);
        if (r >= 0)
                r = sd_event_source_set_enabled(runtime->unreachable, SD_EVENT_OFF);
        if (r >= 0)
                r = systemd_list_left(runtime);
        if (r < 0) {
                systemd_runtime_free(&runtime->runtime);
                return r;
        }
        *ret = &runtime->runtime;
        return 0;
}
