/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One run of the plugin after the other: start, stop, failure, back-off (design.md 4). */
#include "host/session-private.h"

#include "basic/log.h"

#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

static Deadlines *run_deadlines(SessionRun *run) {
        return session_deadlines(run->session);
}

static void run_disarm(SessionRun *run) {
        deadline_disarm(run_deadlines(run), &run->timer);
        deadline_disarm(run_deadlines(run), &run->lost);
        deadline_disarm(run_deadlines(run), &run->health);
        deadline_disarm(run_deadlines(run), &run->idle);
}

static void run_timer_expired(Deadline *d);
static void run_end_expired(Deadline *d);
static void run_lost_expired(Deadline *d);

SessionRun *session_run_new(Session *session) {
        SessionRun *run = g_new0(SessionRun, 1);

        run->session = session;
        run->timer.expired = run_timer_expired;
        run->end.expired = run_end_expired;
        run->lost.expired = run_lost_expired;
        run->health.expired = session_health_expired;
        run->idle.expired = session_idle_expired;
        session->run = run;
        return run;
}

static void run_set_unit(SessionRun *run, Unit *unit) {
        if (run->unit == unit)
                return;
        run->unit = unit;
        session_touch(run->session);
        if (*session_unit(run->session))
                session_changed(run->session, SESSION_PROPERTY_UNIT);
}

static void run_drop_unit(SessionRun *run) {
        bool named = *session_unit(run->session) != '\0';

        run->unit = unit_free(run->unit);
        if (named)
                session_changed(run->session, SESSION_PROPERTY_UNIT);
}

void session_run_free(Session *session) {
        SessionRun *run = session->run;

        if (!run)
                return;
        if (run->duplex)
                session_close_duplex(session, &(PlugindError){ PLUGIND_ERROR_CONNECTION_LOST, (char *) "the session was dropped" });
        run_disarm(run);
        deadline_disarm(run_deadlines(run), &run->end);
        run_drop_unit(run);
        session_drop_pair(session);
        session->run = NULL;
        session->main_pid = 0;
        g_free(run->failed_at);
        g_free(run);
}

/* -- start -- */

static void add_env(GPtrArray *env, const char *name, const char *value) {
        if (value)
                g_ptr_array_add(env, g_strdup_printf("%s=%s", name, value));
}

static bool env_has(char *const *env, const char *name) {
        size_t n = strlen(name);

        for (; env && *env; env++)
                if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
                        return true;
        return false;
}

/* PATH, LANG, HOME (in a sandbox: the only folder it may write to), PLUGIND_*, for a user's that is in none what names their session; and what the manifest sets, which wins. */
static GPtrArray *session_environment(Session *session, const char *data_dir) {
        static const char *const passed_to_user[] = {
                "USER",           "LOGNAME",        "XDG_RUNTIME_DIR",          "XDG_CONFIG_HOME", "XDG_DATA_HOME",
                "XDG_STATE_HOME", "XDG_CACHE_HOME", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY",         "WAYLAND_DISPLAY",
        };
        const HostConfig *config = &session->host->config;
        const Sandbox *sandbox = &session->manifest->sandbox;
        bool sandboxed = config->runtime->sandboxes && sandbox->profile != SANDBOX_TRUSTED;
        char *const *own = session->manifest->env;
        GPtrArray *env = g_ptr_array_new_with_free_func(g_free);

        if (!env_has(own, "PATH"))
                add_env(env, "PATH", manifest_command_path());
        if (!env_has(own, "LANG"))
                add_env(env, "LANG", g_getenv("LANG") ?: "C.UTF-8");
        if (!env_has(own, "HOME"))
                add_env(env, "HOME", sandboxed || sandbox->user ? data_dir : g_get_home_dir());
        for (size_t i = 0; config->user && !sandboxed && i < G_N_ELEMENTS(passed_to_user); i++)
                if (!env_has(own, passed_to_user[i]))
                        add_env(env, passed_to_user[i], g_getenv(passed_to_user[i]));
        add_env(env, "PLUGIND_SESSION", session->id);
        add_env(env, "PLUGIND_DATA_DIR", data_dir);
        for (; own && *own; own++)
                g_ptr_array_add(env, g_strdup(*own));
        g_ptr_array_add(env, NULL);
        return env;
}

static void run_open_log(Session *session) {
        if (!session->log)
                (void) plugin_log_new(session->host->config.log_sink, session->id, &session->log);
        plugin_log_set_pid(session->log, session->main_pid);
}

static void unit_started(Unit *unit, pid_t pid, int fd_in, int fd_out, int fd_log, void *userdata) {
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;
        SessionRun *run = userdata;
        Session *session = run->session;
        int r;

        run_set_unit(run, unit);
        session->main_pid = pid;
        session_changed(session, SESSION_PROPERTY_MAIN_PID);
        run_open_log(session);
        r = fd_log >= 0 ? plugin_log_attach(session->log, fd_log) : 0;
        if (r < 0)
                log_session(LOG_WARNING, session->id, "its stderr cannot be read: %s", strerror(-r));
        if (session_open_duplex(session, fd_in, fd_out, session->manifest->framing, &error) >= 0)
                return;
        close(fd_in);
        if (fd_out != fd_in)
                close(fd_out);
        session_fail(session, "start", "start-failed", &error, NULL);
}

static void session_finish_stop(Session *session);
static void session_next_attempt(Session *session);

/* Nothing of the old run is left. */
static void session_next_attempt_if_due(Session *session) {
        if (session->state == SESSION_RESTARTING && (session->run->backoff_over || session->run->give_up))
                session_next_attempt(session);
}

/* It cannot be run at all. */
static void session_cannot_start(Session *session, const PlugindError *error) {
        session_set_failure(session, "start", error, NULL);
        session->run->give_up = true;
        session_next_attempt(session);
}

static void unit_failed(Unit *unit, const PlugindError *error, void *userdata) {
        SessionRun *run = userdata;
        Session *session = run->session;

        run_drop_unit(run);
        deadline_disarm(run_deadlines(run), &run->end);
        if (session->state == SESSION_STOPPING)
                session_finish_stop(session);
        else if (session->state == SESSION_STARTING)
                session_cannot_start(session, error);
        else
                session_next_attempt_if_due(session);
}

static char *describe_exit(Unit *unit, const UnitExit *exit, bool active) {
        const char *when = active ? "" : " before it was active";

        if (exit->stopped)
                return g_strdup_printf("the plugin's unit %s was stopped by somebody else%s", unit_name(unit), when);
        if (exit->by)
                return g_strdup_printf("the plugin was ended by %s%s", exit->by, when);
        if (exit->code == CLD_EXITED)
                return g_strdup_printf("the plugin exited with status %d%s", exit->status, when);
        return g_strdup_printf("the plugin was killed by signal %d (SIG%s)%s", exit->status, sigabbrev_np(exit->status) ?: "?", when);
}

static void session_ended(Session *session, const UnitExit *exit) {
        const Hooks *hooks = &session->host->hooks;
        const char *reason = exit->code == CLD_EXITED ? "exited" : "killed";

        if (session->unloading)
                reason = "unloaded";
        else if (session->host->stopping)
                reason = "shutdown";
        else if (session->run->stop_reason && g_str_equal(session->run->stop_reason, "idle"))
                reason = "expired";
        if (hooks->ended)
                hooks->ended(session, reason, exit->status, hooks->userdata);
}

static bool exit_is_clean(const Session *session, const UnitExit *exit) {
        return session->state == SESSION_ACTIVE && exit->code == CLD_EXITED && exit->status == 0 &&
               session->manifest->restart.policy != RESTART_ALWAYS;
}

static void unit_exited(Unit *unit, const UnitExit *exit, void *userdata) {
        SessionRun *run = userdata;
        Session *session = run->session;
        PlugindError error = { .code = PLUGIND_ERROR_CONNECTION_LOST };

        run->exited = true;
        session->main_pid = 0;
        session_changed(session, SESSION_PROPERTY_MAIN_PID);
        if (run->duplex)
                duplex_drain(run->duplex); /* what it had written arrives */
        error.message = describe_exit(unit, exit, run->active_since > 0);
        session_ended(session, exit);
        if (session->state == SESSION_STOPPING || session->state == SESSION_RESTARTING)
                session_close_duplex(session, &error);
        else if (exit->stopped || exit_is_clean(session, exit)) {
                run_disarm(run);
                if (exit->stopped)
                        session_set_failure(session, "run", &error, exit);
                run->stop_reason = exit->stopped ? "unit-stopped" : "exited";
                session_transition(session, SESSION_STOPPING, run->stop_reason);
                session_close_duplex(session, &error);
        } else
                session_fail(session,
                             run->active_since > 0                ? "run"
                             : session->state == SESSION_STARTING ? "start"
                                                                  : "greeting",
                             exit->code == CLD_EXITED ? "exited" : "killed", &error, exit);
        plugind_error_clear(&error);
}

static void unit_gone(Unit *unit, void *userdata) {
        SessionRun *run = userdata;
        Session *session = run->session;

        run_drop_unit(run);
        deadline_disarm(run_deadlines(run), &run->end);
        if (session->state == SESSION_STOPPING)
                session_finish_stop(session);
        else
                session_next_attempt_if_due(session);
}

const UnitEvents session_unit_events = {
        .started = unit_started,
        .failed = unit_failed,
        .exited = unit_exited,
        .gone = unit_gone,
};

static int session_make_data_dir(Session *session, char **ret, PlugindError *error) {
        const HostConfig *config = &session->host->config;
        g_autofree char *path = NULL;

        if (!config->data_dir)
                return 0;
        path = g_build_filename(config->data_dir, session->id, NULL);
        if (!config->runtime->makes_data_dir && g_mkdir_with_parents(path, 0700) < 0)
                return plugind_error_set(error, PLUGIND_ERROR_START_FAILED, "cannot make the data folder %s: %s", path, strerror(errno));
        *ret = g_steal_pointer(&path);
        return 0;
}

static int session_spawn(Session *session, PlugindError *error) {
        const Manifest *manifest = session->manifest;
        Runtime *runtime = session->host->config.runtime;
        g_autoptr(GPtrArray) env = NULL;
        g_autofree char *data_dir = NULL;
        Unit *unit = NULL;
        int r;

        if (!runtime)
                return plugind_error_set(error, PLUGIND_ERROR_RUNTIME_UNAVAILABLE,
                                         "plugind runs with --runtime=none: it starts no plugins, only external ones can connect");
        r = session_make_data_dir(session, &data_dir, error);
        if (r < 0)
                return r;
        env = session_environment(session, data_dir);
        r = runtime->ops->unit_start(runtime,
                                     &(UnitSpec){
                                             .session = session->id,
                                             .command = manifest->command,
                                             .args = manifest->args,
                                             .env = (char *const *) env->pdata,
                                             .cwd = manifest->cwd,
                                             .socket_stdio = manifest->dialect->socket_stdio,
                                             .sandbox = &manifest->sandbox,
                                             .data_dir = data_dir,
                                             .stop_usec = manifest->timeouts.stop_usec,
                                     },
                                     &session_unit_events, session->run, &unit, error);
        if (r >= 0)
                run_set_unit(session->run, unit);
        return r;
}

static void session_spawn_next(Session *session, const char *reason) {
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;
        SessionRun *run = session->run;

        run->exited = run->backoff_over = run->give_up = false;
        run->end_step = END_NOT_YET;
        run->stop_reason = NULL;
        session_transition(session, SESSION_STARTING, reason);
        deadline_arm(run_deadlines(run), &run->timer, session->manifest->timeouts.start_usec);
        if (session_spawn(session, &error) < 0)
                session_cannot_start(session, &error);
}

void session_start(Session *session, const char *reason) {
        g_assert(session->state == SESSION_INACTIVE || session->state == SESSION_ERRORED);

        session->start_again = false;
        if (!session_may_start(session))
                return;
        if (session->state == SESSION_ERRORED) {
                session->restarts = 0;
                session_changed(session, SESSION_PROPERTY_RESTARTS);
        }
        session_set_failure(session, NULL, NULL, NULL);
        session_run_new(session);
        if (session_supervised(session))
                session_spawn_next(session, reason);
        else
                session_transition(session, SESSION_CONNECTING, reason);
}

void session_become_active(Session *session) {
        SessionRun *run = session->run;

        deadline_disarm(run_deadlines(run), &run->timer);
        run->active_since = run->used_at = deadlines_now(run_deadlines(run));
        run->pings_failed = 0;
        run->pinged_at = 0;
        session_transition(session, SESSION_ACTIVE, "connected");
        if (session->state != SESSION_ACTIVE)
                return;
        if (session->manifest->dialect->has_ping)
                deadline_arm(run_deadlines(run), &run->health, session->manifest->health.interval_usec);
        session_check_idle(session);
        if (session->dialect->ops->active)
                session->dialect->ops->active(session->dialect);
        session_flush_waiting(session);
        if (session->host->held)
                session_hold(session);
}

/* -- stop -- */

static void run_end_with(SessionRun *run, int step) {
        uint64_t stop = run->session->manifest->timeouts.stop_usec;
        uint64_t grace = MIN(GOODBYE_USEC, stop / 2);

        if (!run->unit)
                return;
        unit_release(run->unit);
        run->end_step = step;
        if (step == END_GOODBYE)
                deadline_arm(run_deadlines(run), &run->end, grace);
        else if (step == END_TERM) {
                (void) run->unit->runtime->ops->unit_kill(run->unit, KILL_ALL, SIGTERM);
                deadline_arm(run_deadlines(run), &run->end, stop == USEC_INFINITY ? stop : stop - grace);
        } else
                (void) run->unit->runtime->ops->unit_kill(run->unit, KILL_ALL, SIGKILL);
}

static void run_end_expired(Deadline *d) {
        SessionRun *run = list_entry(d, SessionRun, end);

        if (run->end_step == END_TERM)
                log_session(LOG_NOTICE, run->session->id, "still there %g s after it was told to end, killing it",
                            (double) run->session->manifest->timeouts.stop_usec / (double) USEC_PER_SEC);
        run_end_with(run, run->end_step + 1);
}

static void session_finish_stop(Session *session) {
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;
        const char *reason = session->run->stop_reason ?: "exited";

        plugind_error_set(&error, PLUGIND_ERROR_CONNECTION_LOST, "the plugin of session \"%s\" was stopped", session->id);
        session_close_duplex(session, &error);
        session_run_free(session);
        session_transition(session, SESSION_INACTIVE, reason);
        if (session->start_again || (!list_empty(&session->waiting) && session_starts_on_demand(session)))
                session_start(session, session->start_again ? "restart" : "on-demand");
        if (session->state == SESSION_INACTIVE && !list_empty(&session->waiting)) {
                plugind_error_clear(&error);
                session_not_active(session, &error);
                session_fail_waiting(session, &error);
        }
}

void session_stop(Session *session, const char *reason) {
        SessionRun *run = session->run;

        if (session->state == SESSION_INACTIVE)
                return;
        if (session->state == SESSION_ERRORED) {
                session_transition(session, SESSION_INACTIVE, reason);
                return;
        }
        if (!g_str_equal(reason, "restart"))
                session->start_again = false;
        if (session->state == SESSION_STOPPING)
                return;
        run_disarm(run);
        session_release(session);
        run->stop_reason = reason;
        session_transition(session, SESSION_STOPPING, reason);
        if (!run->unit && !run->duplex) {
                session_finish_stop(session);
                return;
        }
        if (run->active_since > 0 && run->duplex) {
                run_end_with(run, END_GOODBYE);
                if (!run->unit)
                        deadline_arm(run_deadlines(run), &run->timer, session->manifest->timeouts.stop_usec);
                session->dialect->ops->goodbye(session->dialect);
        } else if (run->unit) {
                if (run->duplex)
                        duplex_end_output(run->duplex);
                if (run->end_step < END_TERM)
                        run_end_with(run, END_TERM);
        } else
                session_finish_stop(session);
}

int session_kill(Session *session, KillWhom whom, int signal, PlugindError *error) {
        Unit *unit = session->run ? session->run->unit : NULL;
        int r = unit ? unit->runtime->ops->unit_kill(unit, whom, signal) : -ESRCH;

        if (r == -ESRCH)
                return plugind_error_set(error, PLUGIND_ERROR_NOT_ACTIVE, "session \"%s\" has no process (it is %s)", session->id,
                                         session_state_to_string(session->state));
        if (r < 0)
                return plugind_error_set(error, PLUGIND_ERROR_FAILED, "cannot send signal %d to session \"%s\": %s", signal, session->id,
                                         g_strerror(-r));
        return 0;
}

/* -- failure -- */

static void session_give_up(Session *session) {
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;

        session_run_free(session);
        session_transition(session, SESSION_ERRORED, session->failure.stage ?: "failed");
        plugind_error_set(&error, session_start_error(session), "session \"%s\" is errored: %s", session->id, session->failure.message);
        session_fail_waiting(session, &error);
}

/* The old unit is gone and the back-off over (or there is no further attempt). */
static void session_next_attempt(Session *session) {
        if (session->run->give_up)
                session_give_up(session);
        else {
                session->restarts++;
                session_changed(session, SESSION_PROPERTY_RESTARTS);
                session_spawn_next(session, "restart");
        }
}

/* Nobody knows when it comes back, so nothing waits for that but what has no deadline. */
static void session_fail_external(Session *session, const char *reason, const PlugindError *error) {
        session->run->active_since = 0;
        session_fail_waiting_once(session, error);
        if (session->state == SESSION_ACTIVE)
                session_transition(session, SESSION_CONNECTING, reason);
        else
                session_call_waiters(session);
}

void session_fail(Session *session, const char *stage, const char *reason, const PlugindError *error, const UnitExit *exit) {
        SessionRun *run = session->run;
        uint64_t now = deadlines_now(run_deadlines(run));
        uint64_t delay;

        session_set_failure(session, stage, error, exit);
        session_release(session);
        session_close_duplex(session, error);
        run_disarm(run);
        if (!session_supervised(session)) {
                session_fail_external(session, reason, error);
                return;
        }
        delay = session_next_delay(session, run->active_since > 0 ? now - run->active_since : 0);
        run->active_since = 0;
        run->give_up = !session_may_restart(session, exit);
        if (!run->give_up && session_fails_too_often(session)) {
                _cleanup_error_ PlugindError limit = PLUGIND_ERROR_INIT;

                plugind_error_set(&limit, error->code, "%s; %u failures within %u s are the limit", error->message,
                                  session->manifest->restart.burst, (unsigned) (session->manifest->restart.interval_usec / USEC_PER_SEC));
                session_set_failure(session, stage, &limit, exit);
                run->give_up = true;
        }
        log_session(LOG_WARNING, session->id, "%s%s", session->failure.message, run->give_up ? "" : ", restarting it");
        session_transition(session, SESSION_RESTARTING, reason);
        if (session->state != SESSION_RESTARTING)
                return;
        run->backoff_over = delay == 0;
        if (!run->give_up && delay > 0)
                deadline_arm(run_deadlines(run), &run->timer, delay);
        if (run->unit && !run->exited)
                run_end_with(run, END_TERM);
        else if (!run->unit && (run->give_up || run->backoff_over))
                session_next_attempt(session);
}

static void run_timer_expired(Deadline *d) {
        SessionRun *run = list_entry(d, SessionRun, timer);
        Session *session = run->session;
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;

        if (session->state == SESSION_RESTARTING) {
                run->backoff_over = true;
                if (!run->unit)
                        session_next_attempt(session);
        } else if (session->state == SESSION_STOPPING) /* an external plugin that does not hang up */
                session_finish_stop(session);
        else {
                plugind_error_set(&error, PLUGIND_ERROR_START_FAILED, "the plugin did not %s within %u s",
                                  session->state == SESSION_STARTING ? "start" : "finish its greeting",
                                  (unsigned) (session->manifest->timeouts.start_usec / USEC_PER_SEC));
                session_fail(session, "greeting", "start-timeout", &error, NULL);
        }
}

/* The stream has been gone for a while, the process has not. */
static void run_lost_expired(Deadline *d) {
        SessionRun *run = list_entry(d, SessionRun, lost);
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;

        plugind_error_set(&error, PLUGIND_ERROR_CONNECTION_LOST, "the plugin closed its output but did not exit");
        session_fail(run->session, run->active_since > 0 ? "run" : "greeting", "connection-lost", &error, NULL);
}

/* -- taken over from the daemon before -- */

static void go_on_idle(Session *session) {
        SessionRun *run = session->run;
        uint64_t now = deadlines_now(run_deadlines(run)), unused = now - MIN(run->used_at, now),
                 idle = session->manifest->timeouts.idle_usec;

        session_check_idle(session);
        if (deadline_armed(&run->idle) && idle != USEC_INFINITY)
                deadline_arm(run_deadlines(run), &run->idle, idle - MIN(unused, idle));
}

void session_go_on(Session *session) {
        SessionRun *run = session->run;

        run_open_log(session);
        if (session->manifest->dialect->has_ping)
                deadline_arm(run_deadlines(run), &run->health, session->manifest->health.interval_usec);
        go_on_idle(session);
}

void session_go_on_restarting(Session *session, uint64_t timer) {
        SessionRun *run = session->run;
        uint64_t now = deadlines_now(run_deadlines(run));

        if (run->unit)
                run_end_with(run, END_KILL);
        deadline_arm(run_deadlines(run), &run->timer, timer > now ? timer - now : 0);
}

void session_go_on_stopping(Session *session) {
        if (session->run->unit)
                run_end_with(session->run, END_TERM);
        else
                deadline_arm(run_deadlines(session->run), &session->run->timer, 0);
}

void session_start_over(Session *session) {
        if (!session_supervised(session)) {
                session->state = SESSION_CONNECTING; /* it has to come again */
                return;
        }
        session_transition(session, SESSION_RESTARTING, "hand-over");
        session_go_on_restarting(session, 0);
}
