/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a unit ended, and the end of what it left. */
#include "runtime/systemd-unit.h"

#include "runtime/stdio.h"

#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <string.h>

/* The death of a process may be seen by us before systemd has reaped it: asked again, each time a round trip. */
#define ASKED_AGAIN_MAX 50

/* -- what is said to systemd -- */

int systemd_call(SystemdUnit *unit, SystemdCall **ret, sd_bus_message_handler_t answered, const char *member, const char *types, ...) {
        va_list args;
        int r;

        va_start(args, types);
        r = systemd_calls_sendv(unit_runtime(unit)->calls, SYSTEMD_PATH, SYSTEMD_MANAGER, member, answered, unit, ret, types, args);
        va_end(args);
        return r;
}

int systemd_tell(SystemdRuntime *runtime, const char *member, const char *types, ...) {
        va_list args;
        int r;

        va_start(args, types);
        r = systemd_calls_sendv(runtime->calls, SYSTEMD_PATH, SYSTEMD_MANAGER, member, NULL, NULL, NULL, types, args);
        va_end(args);
        return r;
}

void systemd_unit_set_failure(SystemdUnit *unit, PlugindErrorCode code, const char *format, ...) {
        g_autofree char *text = NULL;
        va_list args;

        if (unit->failure.code)
                return;
        va_start(args, format);
        text = g_strdup_vprintf(format, args);
        va_end(args);
        (void) plugind_error_set(&unit->failure, code, "%s", text);
}

void systemd_unit_gone(SystemdUnit *unit) {
        SystemdRuntime *runtime = unit_runtime(unit);
        _cleanup_error_ PlugindError failure = PLUGIND_ERROR_INIT;

        unit->phase = PHASE_GONE;
        (void) systemd_tell(runtime, "UnrefUnit", "s", unit->name);
        if (unit->abandoned)
                systemd_unit_destroy(unit);
        else if (unit->started)
                unit->unit.events->gone(&unit->unit, unit->unit.userdata);
        else {
                systemd_unit_set_failure(unit, PLUGIND_ERROR_START_FAILED, "the unit %s ended before the plugin ran", unit->name);
                plugind_error_propagate(&failure, &unit->failure);
                unit->unit.events->failed(&unit->unit, &failure, unit->unit.userdata);
        }
}

static int on_reset_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        SystemdUnit *unit = userdata;

        unit->stop = NULL;
        systemd_unit_gone(unit);
        return 0;
}

/* The answer is waited for: systemd asks the bus who it is that speaks, and does nothing for who has left meanwhile. */
void systemd_unit_stopped(SystemdUnit *unit) {
        if (systemd_call(unit, &unit->stop, on_reset_reply, "ResetFailedUnit", "s", unit->name) < 0)
                systemd_unit_gone(unit);
}

static int on_stop_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        SystemdUnit *unit = userdata;
        const char *job;

        unit->stop = NULL;
        /* NoSuchUnit: it never was, or somebody has removed it. */
        if (sd_bus_message_is_method_error(reply, NULL) || sd_bus_message_read(reply, "o", &job) < 0)
                systemd_unit_gone(unit);
        else
                unit->stop_job = g_strdup(job);
        return 0;
}

void systemd_unit_end(SystemdUnit *unit) {
        SystemdRuntime *runtime = unit_runtime(unit);

        if (unit->phase >= PHASE_ENDING)
                return;
        unit->phase = PHASE_ENDING;
        unit->status = sd_event_source_disable_unref(unit->status);
        unit->exit = sd_event_source_disable_unref(unit->exit);
        launch_close(&unit->launch);
        (void) systemd_tell(runtime, "KillUnit", "ssi", unit->name, "all", SIGKILL);
        if (systemd_call(unit, &unit->stop, on_stop_reply, "StopUnit", "ss", unit->name, "replace") < 0)
                (void) sd_event_source_set_enabled(runtime->unreachable, SD_EVENT_ONESHOT);
}

/* -- how it ended -- */

/* What systemd exits with where it cannot set up a unit's process (systemd.exec(5)), as far as it belongs to the sandbox. */
static const char *sandbox_step(int status) {
        static const struct {
                int status;
                const char *step;
        } steps[] = {
                { 216, "its group" },          { 217, "its user or user namespace" },
                { 218, "its capabilities" },   { 225, "its network" },
                { 226, "its namespaces" },     { 227, "NoNewPrivileges" },
                { 228, "its seccomp filter" }, { 229, "SELinux" },
                { 231, "AppArmor" },           { 232, "its address families" },
                { 238, "its data folder" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(steps); i++)
                if (steps[i].status == status)
                        return steps[i].step;
        return NULL;
}

static void launch_failed(SystemdUnit *unit) {
        const char *step = unit->exec_code == CLD_EXITED ? sandbox_step(unit->exec_status) : NULL;

        if (step)
                systemd_unit_set_failure(unit, PLUGIND_ERROR_SANDBOX_UNAVAILABLE,
                                         "systemd cannot set up %s for the unit %s (exit status %d; its journal tells more)", step,
                                         unit->name, unit->exec_status);
        else if (unit->exec_code == CLD_EXITED)
                systemd_unit_set_failure(unit, PLUGIND_ERROR_START_FAILED, "systemd cannot start the unit %s: exit status %d of %s",
                                         unit->name, unit->exec_status, PLUGIND_EXEC);
        else if (unit->exec_code > 0) /* SIGSYS: of a filter that leaves the launcher not even what it needs */
                systemd_unit_set_failure(unit, unit->exec_status == SIGSYS ? PLUGIND_ERROR_SANDBOX_UNAVAILABLE : PLUGIND_ERROR_START_FAILED,
                                         "%s was killed in the unit %s by signal %d (SIG%s)", PLUGIND_EXEC, unit->name, unit->exec_status,
                                         sigabbrev_np(unit->exec_status) ?: "?");
        else
                systemd_unit_set_failure(unit, PLUGIND_ERROR_START_FAILED, "systemd cannot start the unit %s: %s", unit->name,
                                         unit->result ?: "?");
        systemd_unit_end(unit);
}

void systemd_unit_exited(SystemdUnit *unit) {
        const char *state = unit->active_state ?: "", *result = unit->result ?: "";
        UnitExit exit = { unit->exec_code, unit->exec_status };

        exit.result = unit->result;
        if (g_str_equal(result, "oom-kill"))
                exit.by = "the limit of its memory";
        /* What ends by itself stays `active` (RemainAfterExit=) or is `failed`, until we stop it. What was stopped while no daemon referred
         * to it is forgotten: systemd shows it as any unit that never was, `inactive` and a `success`. */
        exit.stopped = g_str_equal(result, "timeout") ||
                       (g_str_equal(result, "success") && (g_str_equal(state, "deactivating") || g_str_equal(state, "inactive")));
        if (exit.code == 0) { /* the unit is not there to be asked any more */
                exit.code = CLD_KILLED;
                exit.status = exit.stopped ? SIGTERM : SIGKILL;
                if (!exit.stopped && !exit.by)
                        exit.by = "somebody who removed its unit";
        }
        systemd_unit_end(unit);
        if (!unit->abandoned)
                unit->unit.events->exited(&unit->unit, &exit, unit->unit.userdata);
}

/* We have seen its end, and systemd not yet. */
static bool end_is_unseen(const SystemdUnit *unit) {
        const char *state = unit->active_state ?: "";

        return unit->exec_code == 0 && unit->result &&
               (unit->pidfd >= 0 || g_str_equal(state, "active") || g_str_equal(state, "deactivating"));
}

static void unit_answered(SystemdUnit *unit) {
        if (unit->phase >= PHASE_ENDING)
                return;
        if (unit->held)
                unit->end_held = true;
        else if (end_is_unseen(unit) && unit->asked_again++ < ASKED_AGAIN_MAX)
                systemd_unit_ask_how_it_ended(unit);
        else if (unit->phase == PHASE_RUNNING)
                systemd_unit_exited(unit);
        else {
                systemd_unit_hear_launcher(unit); /* its word tells more than its exit status */
                if (unit->phase == PHASE_LAUNCHING)
                        launch_failed(unit);
        }
}

static void store_string(sd_bus_message *reply, char **ret) {
        const char *text;

        if (sd_bus_message_read(reply, "v", "s", &text) < 0)
                return;
        g_free(*ret);
        *ret = g_strdup(text);
}

static int on_property(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Question *question = userdata;
        SystemdUnit *unit = question->unit;
        UnitProperty property = (UnitProperty) (question - unit->questions);
        uint32_t pid = 0;

        question->call = NULL;
        if (sd_bus_message_is_method_error(reply, NULL))
                (void) 0; /* what is not known stays unset */
        else if (property == EXEC_MAIN_CODE)
                (void) sd_bus_message_read(reply, "v", "i", &unit->exec_code);
        else if (property == EXEC_MAIN_STATUS)
                (void) sd_bus_message_read(reply, "v", "i", &unit->exec_status);
        else if (property == RESULT)
                store_string(reply, &unit->result);
        else if (property == ACTIVE_STATE)
                store_string(reply, &unit->active_state);
        else
                (void) sd_bus_message_read(reply, "v", "u", &pid);
        if (property == MAIN_PID && unit->phase == PHASE_LAUNCHING && unit->pidfd < 0)
                systemd_unit_watch(unit, (pid_t) pid);
        else if (property != MAIN_PID && --unit->asking == 0)
                unit_answered(unit);
        return 0;
}

static int get_property(Question *question, const char *interface, const char *property) {
        SystemdRuntime *runtime = unit_runtime(question->unit);
        sd_bus_message *m = NULL;
        int r = sd_bus_message_new_method_call(runtime->bus, &m, SYSTEMD_NAME, question->unit->path, "org.freedesktop.DBus.Properties",
                                               "Get");

        if (r >= 0)
                r = sd_bus_message_append(m, "ss", interface, property);
        if (r >= 0)
                r = systemd_calls_send(runtime->calls, m, on_property, question, &question->call);
        sd_bus_message_unref(m);
        return r;
}

static int ask(SystemdUnit *unit, UnitProperty property) {
        static const char *const names[][2] = {
                [EXEC_MAIN_CODE] = { SYSTEMD_NAME ".Service", "ExecMainCode" },
                [EXEC_MAIN_STATUS] = { SYSTEMD_NAME ".Service", "ExecMainStatus" },
                [RESULT] = { SYSTEMD_NAME ".Service", "Result" },
                [ACTIVE_STATE] = { SYSTEMD_NAME ".Unit", "ActiveState" },
                [MAIN_PID] = { SYSTEMD_NAME ".Service", "MainPID" },
        };
        Question *question = unit->questions + property;

        if (question->call)
                return -EBUSY;
        question->unit = unit;
        return get_property(question, names[property][0], names[property][1]);
}

void systemd_unit_ask_how_it_ended(SystemdUnit *unit) {
        if (unit->asking > 0)
                return;
        for (UnitProperty property = EXEC_MAIN_CODE; property <= ACTIVE_STATE; property++)
                if (ask(unit, property) >= 0)
                        unit->asking++;
        if (unit->asking == 0)
                unit_answered(unit);
}

int systemd_unit_ask_main_pid(SystemdUnit *unit) {
        return ask(unit, MAIN_PID);
}
