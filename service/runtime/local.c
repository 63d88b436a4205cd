/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Plugins as child processes.
 *
 * Each run is a session (setsid) of its own. When its main process has exited, its process group is killed while the zombie still
 * holds the group's number; what left the group reparents to us, is recognised by the mark of its run (descent.h) and killed, and so
 * on with its children, until no child of ours carries the mark: then the unit is gone. Every process that is signalled is a child
 * that nobody but us can reap, so its number cannot have been given to another.
 */
#include "basic/list.h"
#include "basic/log.h"
#include "runtime/descent.h"
#include "runtime/runtime.h"
#include "runtime/stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <spawn.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REAPED_PER_WAKEUP 64
#define FAREWELL_SEC 2
#define LOOK_USEC 5000 /* how long execve() is given, and how often: one that has no environment at all is let go then */
#define LOOKS_MAX 20
#define DESCRIPTORS_USUAL 1024
#define DESCRIPTORS_SPARE 256

typedef struct LocalRuntime {
        Runtime runtime;
        sd_event *event;
        sd_event_source *sigchld, *sweep;
        sd_event_source *look_again; /* a process of which it could not be said whose it is */
        bool unsure;                 /* there was one */
        unsigned looks;              /* in a row */
        posix_spawnattr_t attributes;
        int children_fd;
        int highest_fd;      /* ever seen here */
        GHashTable *by_pid;  /* main process, not reaped yet -> LocalUnit */
        GHashTable *by_mark; /* not gone yet -> LocalUnit */
        List ending;         /* LocalUnit.ending: reaped, perhaps not gone */
} LocalRuntime;

typedef struct LocalUnit {
        Unit unit;
        pid_t pid; /* 0: reaped */
        int pidfd;
        uint64_t mark;
        sd_event_source *exit;
        ListNode ending;
        bool leftovers; /* seen by the last sweep */
        bool gone;
        bool abandoned; /* its owner has freed it: no callbacks, freed when gone */
} LocalUnit;

static LocalRuntime *unit_runtime(LocalUnit *unit) {
        return (LocalRuntime *) unit->unit.runtime;
}

/* Spawning */

/*
 * The daemon has raised its soft limit of descriptors; programs that use select(), or close all there could be, want the usual one.
 * The worker may open a file meanwhile, so it is not lowered below what is in use.
 */
static int spawn_limited(LocalRuntime *runtime, const char *command, const posix_spawn_file_actions_t *actions, const Stdio *stdio,
                         char *const *argv, char *const *env, pid_t *pid) {
        struct rlimit own = {}, usual;
        int r;

        runtime->highest_fd = MAX(runtime->highest_fd, MAX(MAX(stdio->in, stdio->out), MAX(stdio->log, stdio->child_log)));
        (void) getrlimit(RLIMIT_NOFILE, &own);
        usual = own;
        usual.rlim_cur = MIN(own.rlim_cur, MAX(DESCRIPTORS_USUAL, (rlim_t) runtime->highest_fd + DESCRIPTORS_SPARE));
        (void) setrlimit(RLIMIT_NOFILE, &usual);
        r = posix_spawn(pid, command, actions, &runtime->attributes, argv, env);
        (void) setrlimit(RLIMIT_NOFILE, &own);
        return r;
}

static int spawn(LocalRuntime *runtime, const UnitSpec *spec, const Stdio *stdio, uint64_t *mark, pid_t *pid) {
        size_t n_args = spec->args ? g_strv_length((char **) spec->args) : 0;
        size_t n_env = spec->env ? g_strv_length((char **) spec->env) : 0;
        g_autofree char **argv = g_new0(char *, n_args + 2);
        g_autofree char **env = g_new0(char *, n_env + 2);
        char invocation[sizeof("PLUGIND_INVOCATION=") - 1 + DESCENT_INVOCATION_SIZE] = "PLUGIND_INVOCATION=";
        posix_spawn_file_actions_t actions;
        int r;

        argv[0] = (char *) spec->command;
        for (size_t i = 0; i < n_args; i++)
                argv[i + 1] = spec->args[i];
        env[0] = invocation;
        for (size_t i = 0; i < n_env; i++)
                env[i + 1] = spec->env[i];

        posix_spawn_file_actions_init(&actions);
        r = posix_spawn_file_actions_adddup2(&actions, stdio->child_in, STDIN_FILENO);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(&actions, stdio->child_out, STDOUT_FILENO);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(&actions, stdio->child_log, STDERR_FILENO);
        if (r == 0)
                r = posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
        if (r == 0)
                r = posix_spawn_file_actions_addchdir_np(&actions, spec->cwd ?: "/");
        if (r == 0) {
                *mark = descent_begin_spawn(strchr(invocation, '=') + 1);
                r = spawn_limited(runtime, spec->command, &actions, stdio, argv, env, pid);
                descent_end_spawn();
        }
        posix_spawn_file_actions_destroy(&actions);
        return -r;
}

/* posix_spawn() tells what went wrong, not with which file. */
static int spawn_failed(const UnitSpec *spec, int r, PlugindError *error) {
        int directory = open(spec->cwd ?: "/", O_PATH | O_DIRECTORY | O_CLOEXEC);

        if (directory < 0)
                return plugind_error_set(error, PLUGIND_ERROR_START_FAILED, "cannot run %s in the directory %s: %s", spec->command,
                                         spec->cwd, g_strerror(errno));
        close(directory);
        if (r == -ENOENT && access(spec->command, F_OK) == 0)
                return plugind_error_set(error, PLUGIND_ERROR_START_FAILED,
                                         "cannot run %s: the interpreter or loader that it asks for does not exist", spec->command);
        return plugind_error_set(error, PLUGIND_ERROR_START_FAILED, "cannot run %s: %s", spec->command, g_strerror(-r));
}

static int init_attributes(posix_spawnattr_t *attributes) {
        sigset_t none, all;
        int r;

        sigemptyset(&none);
        memset(&all, 0xff, sizeof(all)); /* sigfillset() leaves out glibc's own two, which posix_spawn() then sets to be ignored */
        r = posix_spawnattr_init(attributes);
        if (r > 0)
                return -r;
        r = posix_spawnattr_setsigmask(attributes, &none);
        if (r == 0)
                r = posix_spawnattr_setsigdefault(attributes, &all);
        if (r == 0)
                r = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        return -r;
}

/* Ending */

static void unit_destroy(LocalUnit *unit) {
        sd_event_source_disable_unref(unit->exit);
        close_pair(unit->pidfd, -1);
        list_unlink(&unit->ending);
        g_free(unit);
}

static void request_sweep(LocalRuntime *runtime) {
        (void) sd_event_source_set_enabled(runtime->sweep, SD_EVENT_ONESHOT);
}

/* The main process is a zombie. May free UNIT. */
static void main_exited(LocalUnit *unit, const siginfo_t *info) {
        LocalRuntime *runtime = unit_runtime(unit);
        UnitExit exit = { info->si_code, info->si_status };
        siginfo_t reaped;

        (void) kill(-unit->pid, SIGKILL);
        (void) waitid(P_PID, (id_t) unit->pid, &reaped, WEXITED | WNOHANG);
        g_hash_table_remove(runtime->by_pid, GINT_TO_POINTER(unit->pid));
        unit->pid = 0;
        unit->exit = sd_event_source_disable_unref(unit->exit);
        close_pair(unit->pidfd, -1);
        unit->pidfd = -1;
        list_append(&runtime->ending, &unit->ending);
        request_sweep(runtime);
        if (!unit->abandoned)
                unit->unit.events->exited(&unit->unit, &exit, unit->unit.userdata);
}

/* Reaps what has died, until only a bounded number is left for the next turn. */
static void reap(LocalRuntime *runtime) {
        for (unsigned i = 0; i < REAPED_PER_WAKEUP; i++) {
                siginfo_t info = {};
                LocalUnit *unit;

                if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
                        return;
                unit = g_hash_table_lookup(runtime->by_pid, GINT_TO_POINTER(info.si_pid));
                if (unit)
                        main_exited(unit, &info);
                else {
                        (void) waitid(P_PID, (id_t) info.si_pid, &info, WEXITED | WNOHANG);
                        request_sweep(runtime); /* its children are ours now */
                }
        }
        request_sweep(runtime);
}

/* False if it is not ours to kill (a set-user-id program under a daemon that is not root): nothing is gained by waiting for it. */
static bool kill_orphan(pid_t pid) {
        pid_t group = getpgid(pid);

        /* Runs have sessions of their own, so this is no group of anyone else. */
        if (group > 0 && getsid(pid) != getsid(0))
                (void) kill(-group, SIGKILL);
        return kill(pid, SIGKILL) == 0;
}

static void sweep_marked(LocalRuntime *runtime, pid_t pid, uint64_t mark) {
        LocalUnit *unit;

        unit = g_hash_table_lookup(runtime->by_mark, &mark);
        if (unit && unit->pid > 0)
                return; /* a helper of a run that goes on */
        if (kill_orphan(pid) && unit)
                unit->leftovers = true;
}

static void sweep_child(pid_t pid, void *userdata) {
        LocalRuntime *runtime = userdata;
        uint64_t mark;

        if (g_hash_table_contains(runtime->by_pid, GINT_TO_POINTER(pid)))
                return;
        if (descent_mark(pid, &mark) < 0)
                runtime->unsure = true;
        else if (mark != 0)
                sweep_marked(runtime, pid, mark);
}

static void unit_gone(LocalUnit *unit) {
        list_unlink(&unit->ending);
        g_hash_table_remove(unit_runtime(unit)->by_mark, &unit->mark);
        unit->gone = true;
        if (unit->abandoned)
                unit_destroy(unit);
        else
                unit->unit.events->gone(&unit->unit, unit->unit.userdata);
}

static bool has_to_look_again(LocalRuntime *runtime) {
        if (!runtime->unsure || list_empty(&runtime->ending) || runtime->looks == LOOKS_MAX)
                runtime->looks = 0;
        else
                runtime->looks++;
        return runtime->looks > 0;
}

/* Kills what ended runs have left, and tells of those that have left nothing more. The death of whatever is killed here brings
 * SIGCHLD, and with it the next sweep. True: the next one has to come soon without. */
static bool sweep(LocalRuntime *runtime) {
        List gone;

        runtime->unsure = false;

        list_foreach(node, &runtime->ending)
                list_entry(node, LocalUnit, ending)->leftovers = false;
        (void) descent_foreach_child(runtime->children_fd, sweep_child, runtime);
        if (has_to_look_again(runtime))
                return true;
        list_init(&gone);
        list_foreach(node, &runtime->ending)
                if (!list_entry(node, LocalUnit, ending)->leftovers) {
                        list_unlink(node);
                        list_append(&gone, node);
                }
        for (LocalUnit *unit; (unit = list_first(&gone, LocalUnit, ending));)
                unit_gone(unit); /* may free others in the list */
        return false;
}

static int on_exit_of_main(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        LocalUnit *unit = userdata;
        siginfo_t info = {};

        if (waitid(P_PIDFD, (id_t) fd, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid > 0)
                main_exited(unit, &info);
        return 0;
}

static int on_sigchld(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        reap(userdata);
        return 0;
}

static int on_sweep(sd_event_source *source, void *userdata) {
        LocalRuntime *runtime = userdata;

        reap(runtime);
        if (sweep(runtime) && sd_event_source_set_time_relative(runtime->look_again, LOOK_USEC) >= 0)
                (void) sd_event_source_set_enabled(runtime->look_again, SD_EVENT_ONESHOT);
        return 0;
}

static int on_look_again(sd_event_source *source, uint64_t usec, void *userdata) {
        request_sweep(userdata);
        return 0;
}

/* The operations */

/* Without a pidfd (valgrind and some containers know none, or descriptors have run out) SIGCHLD tells alone. */
static void unit_watch(LocalUnit *unit) {
        LocalRuntime *runtime = unit_runtime(unit);

        g_hash_table_insert(runtime->by_pid, GINT_TO_POINTER(unit->pid), unit);
        g_hash_table_insert(runtime->by_mark, &unit->mark, unit);
        unit->pidfd = pidfd_open(unit->pid, 0);
        if (unit->pidfd >= 0)
                (void) sd_event_add_io(runtime->event, &unit->exit, unit->pidfd, EPOLLIN, on_exit_of_main, unit);
}

static int local_unit_start(Runtime *base, const UnitSpec *spec, const UnitEvents *events, void *userdata, Unit **ret,
                            PlugindError *error) {
        LocalRuntime *runtime = (LocalRuntime *) base;
        LocalUnit *unit;
        Stdio stdio;
        int r;

        /* Not run without, and in silence. */
        if (spec->sandbox && !sandbox_is_none(spec->sandbox))
                return plugind_error_set(
                        error, PLUGIND_ERROR_SANDBOX_UNAVAILABLE,
                        "cannot run %s: its manifest demands a sandbox (profile \"%s\"%s), and the runtime \"local\" has none: "
                        "expected the runtime \"systemd\", or \"sandbox\": {\"profile\": \"trusted\"}",
                        spec->command, sandbox_profile_to_string(spec->sandbox->profile),
                        spec->sandbox->profile == SANDBOX_TRUSTED ? " and more than that" : "");
        r = stdio_open(&stdio, spec->socket_stdio, true);
        if (r < 0)
                return plugind_error_set(error, PLUGIND_ERROR_START_FAILED, "cannot open the pipes of %s: %s", spec->command,
                                         g_strerror(-r));

        unit = g_new(LocalUnit, 1);
        *unit = (LocalUnit){ .unit = { base, events, userdata }, .pidfd = -1 };
        r = spawn(runtime, spec, &stdio, &unit->mark, &unit->pid);
        if (r < 0) {
                stdio_close(&stdio);
                unit_destroy(unit);
                return spawn_failed(spec, r, error);
        }
        unit_watch(unit);
        stdio_close_child(&stdio);
        *ret = &unit->unit;
        events->started(&unit->unit, unit->pid, stdio.in, stdio.out, stdio.log, userdata);
        return 0;
}

typedef struct OrphanSignal {
        LocalUnit *unit;
        int signal;
        unsigned sent;
} OrphanSignal;

static void signal_orphan(pid_t pid, void *userdata) {
        OrphanSignal *s = userdata;
        uint64_t mark;

        if (g_hash_table_contains(unit_runtime(s->unit)->by_pid, GINT_TO_POINTER(pid)) || descent_mark(pid, &mark) < 0 ||
            mark != s->unit->mark)
                return;
        if (s->unit->pid > 0 && getpgid(pid) == s->unit->pid)
                return; /* has it already */
        if (kill(pid, s->signal) == 0)
                s->sent++;
}

static int local_unit_kill(Unit *base, KillWhom whom, int signal) {
        LocalUnit *unit = (LocalUnit *) base;
        OrphanSignal orphans = { unit, signal, 0 };

        if (signal < 0 || signal >= NSIG)
                return -EINVAL;
        if (unit->gone)
                return -ESRCH;
        if (whom == KILL_MAIN) {
                if (unit->pid == 0)
                        return -ESRCH;
                return kill(unit->pid, signal) < 0 ? -errno : 0;
        }
        if (unit->pid > 0 && kill(-unit->pid, signal) == 0)
                orphans.sent++;
        (void) descent_foreach_child(unit_runtime(unit)->children_fd, signal_orphan, &orphans);
        return orphans.sent > 0 ? 0 : -ESRCH;
}

static Unit *local_unit_free(Unit *base) {
        LocalUnit *unit = (LocalUnit *) base;

        if (unit->gone) {
                unit_destroy(unit);
                return NULL;
        }
        unit->abandoned = true;
        unit->unit.events = NULL;
        if (unit->pid > 0)
                (void) kill(-unit->pid, SIGKILL); /* what is not in the group is swept when its end is seen */
        return NULL;
}

/* What was killed by unit_free() is waited for, within a bound: when we are gone nobody would find what it leaves. */
static void wait_for_last(LocalRuntime *runtime) {
        gint64 end = g_get_monotonic_time() + FAREWELL_SEC * G_USEC_PER_SEC;
        sigset_t sigchld;

        sigemptyset(&sigchld);
        sigaddset(&sigchld, SIGCHLD);
        for (;;) {
                gint64 left = end - g_get_monotonic_time();
                struct timespec wait = { left / G_USEC_PER_SEC, left % G_USEC_PER_SEC * 1000 };

                reap(runtime);
                if (sweep(runtime))
                        wait = (struct timespec){ .tv_nsec = (long) LOOK_USEC * 1000 };
                if (g_hash_table_size(runtime->by_mark) == 0 || left <= 0)
                        return;
                (void) sigtimedwait(&sigchld, NULL, &wait);
        }
}

static Runtime *local_runtime_free(Runtime *base) {
        LocalRuntime *runtime = (LocalRuntime *) base;
        GHashTableIter iter;
        gpointer unit;

        if (runtime->sweep)
                wait_for_last(runtime);
        g_hash_table_iter_init(&iter, runtime->by_mark);
        while (g_hash_table_iter_next(&iter, NULL, &unit)) {
                g_assert(((LocalUnit *) unit)->abandoned);
                unit_destroy(unit);
        }
        g_hash_table_unref(runtime->by_mark);
        g_hash_table_unref(runtime->by_pid);
        sd_event_source_disable_unref(runtime->sweep);
        sd_event_source_disable_unref(runtime->look_again);
        sd_event_source_disable_unref(runtime->sigchld);
        sd_event_unref(runtime->event);
        posix_spawnattr_destroy(&runtime->attributes);
        if (runtime->children_fd >= 0)
                close(runtime->children_fd);
        g_free(runtime);
        return NULL;
}

static const RuntimeOps local_ops = {
        .name = "local",
        .runtime_free = local_runtime_free,
        .unit_start = local_unit_start,
        .unit_kill = local_unit_kill,
        .unit_free = local_unit_free,
};

/* The ends of the pipes are dup2()ed to 0, 1 and 2 one by one, so none of them may be one of these. */
static int fill_stdio(void) {
        int fd;

        do {
                fd = open("/dev/null", O_RDWR | O_CLOEXEC);
                if (fd < 0)
                        return -errno;
        } while (fd <= STDERR_FILENO);
        close(fd);
        return 0;
}

int runtime_local_new(sd_event *event, Runtime **ret) {
        struct sigaction by_default = { .sa_handler = SIG_DFL };
        LocalRuntime *runtime;
        int r;

        runtime = g_new(LocalRuntime, 1);
        *runtime = (LocalRuntime){ .runtime = { &local_ops }, .event = sd_event_ref(event) };
        runtime->by_pid = g_hash_table_new(NULL, NULL);
        runtime->by_mark = g_hash_table_new(g_int64_hash, g_int64_equal);
        runtime->children_fd = descent_open_children();
        list_init(&runtime->ending);

        r = init_attributes(&runtime->attributes);
        if (r == 0)
                r = fill_stdio();
        /* An ignored SIGCHLD, which survives exec, would have the kernel reap. */
        if (r == 0 && (sigaction(SIGCHLD, &by_default, NULL) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0))
                r = -errno;
        if (r == 0)
                r = sd_event_add_signal(event, &runtime->sigchld, SIGCHLD, on_sigchld, runtime);
        if (r >= 0)
                r = sd_event_add_defer(event, &runtime->sweep, on_sweep, runtime);
        if (r >= 0)
                r = sd_event_source_set_enabled(runtime->sweep, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_time(event, &runtime->look_again, CLOCK_MONOTONIC, 0, 0, on_look_again, runtime);
        if (r >= 0)
                r = sd_event_source_set_enabled(runtime->look_again, SD_EVENT_OFF);
        if (r < 0) {
                local_runtime_free(&runtime->runtime);
                return r;
        }
        *ret = &runtime->runtime;
        return 0;
}
