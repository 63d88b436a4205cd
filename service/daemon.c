/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon.h"

#include "bus/bus.h"
#include "idle-exit.h"
#include "leave.h"
#include "store/store.h"

#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

/* How long to wait for systemd on a bus that has just been started, and how often to look. */
#define SYSTEMD_WAIT_USEC (10 * USEC_PER_SEC)
#define SYSTEMD_LOOK_USEC (20 * USEC_PER_MSEC)

struct Daemon {
        DaemonConfig config;
        char *state_dir;
        sd_event *event;
        Deadlines *deadlines;
        Worker *worker;
        Store *store;
        Arena *arena;
        bool arena_adopted;
        Runtime *runtime;
        const char *runtimes[3]; /* that there could be, NULL-terminated */
        Record *record;
        LogSink *log_sink;
        JournalTail *journal_tail; /* NULL: plugins' lines pass through here */
        Host *host;
        sd_bus *sd_bus;
        Bus *bus;
        Leave *leave;
        IdleExit *idle_exit;
};

static int fail(int r, const char *what) {
        errno = -r;
        log_error("%s: %m", what);
        return r;
}

static char *default_state_dir(bool user) {
        return user ? g_build_filename(g_get_user_state_dir(), "plugind", NULL) : g_strdup("/var/lib/plugind");
}

/* Beside the daemon's own state, since a plugin with a dynamic user could not reach below a folder of mode 0700. */
static char *plugin_data_dir(const Daemon *daemon) {
        return daemon->config.state_dir ? g_build_filename(daemon->config.state_dir, "data", NULL)
                                        : g_strconcat(daemon->state_dir, "-data", NULL);
}

static bool journal_is_there(LogTarget target) {
        return target == LOG_TARGET_JOURNAL || (target == LOG_TARGET_AUTO && access("/run/systemd/journal/socket", W_OK) == 0);
}

static bool daemon_busy(void *userdata) {
        const Daemon *daemon = userdata;

        return host_n_sessions(daemon->host) > 0 || bus_busy(daemon->bus);
}

static void daemon_idle(void *userdata) {
        Daemon *daemon = userdata;

        leave_idle(daemon->leave);
}

static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
        Daemon *daemon = userdata;

        log_info("Received SIGTERM");
        leave_terminate(daemon->leave);
        return 0;
}

static int on_interrupt(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
        Daemon *daemon = userdata;

        log_info("Received SIGINT, stopping");
        leave_stop(daemon->leave);
        return 0;
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;
        struct timespec now = {};
        Daemon *daemon = userdata;

        if (leave_has_begun(daemon->leave))
                return 0;
        (void) clock_gettime(CLOCK_MONOTONIC, &now);
        (void) sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%lli", (long long) now.tv_sec * 1000000 + now.tv_nsec / 1000);
        if (host_reload(daemon->host, false, &error) < 0)
                log_error("Cannot reload: %s", error.message);
        (void) sd_notify(false, "READY=1");
        return 0;
}

static int on_disconnected(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Daemon *daemon = userdata;

        leave_without_bus(daemon->leave);
        return 0;
}

static int on_name_lost(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Daemon *daemon = userdata;
        const char *name;

        if (sd_bus_message_read(message, "s", &name) >= 0 && g_str_equal(name, BUS_NAME))
                leave_without_name(daemon->leave);
        return 0;
}

static int new_loop(Daemon *daemon) {
        int r = sd_event_new(&daemon->event);

        if (r >= 0)
                r = sd_event_add_signal(daemon->event, NULL, SIGTERM, on_terminate, daemon);
        if (r >= 0)
                r = sd_event_add_signal(daemon->event, NULL, SIGINT, on_interrupt, daemon);
        if (r >= 0)
                r = sd_event_add_signal(daemon->event, NULL, SIGHUP, on_hangup, daemon);
        if (r >= 0)
                r = sd_event_set_watchdog(daemon->event, true); /* does nothing where systemd did not ask for it */
        if (r >= 0)
                r = deadlines_new(daemon->event, &daemon->deadlines);
        return r < 0 ? fail(r, "Cannot make an event loop") : 0;
}

/* Blocking calls are fine here: the loop does not run yet. */
static int connect_bus(Daemon *daemon) {
        bool user = daemon->config.user;
        int r = user ? sd_bus_open_user_with_description(&daemon->sd_bus, "plugind")
                     : sd_bus_open_system_with_description(&daemon->sd_bus, "plugind");

        if (r < 0) {
                errno = -r;
                log_error("Cannot connect to the %s bus (%s): %m", user ? "session" : "system",
                          user ? "DBUS_SESSION_BUS_ADDRESS, else $XDG_RUNTIME_DIR/bus; --system for the system bus"
                               : "DBUS_SYSTEM_BUS_ADDRESS, else /run/dbus/system_bus_socket; --user for a session bus");
                return r;
        }
        r = sd_bus_attach_event(daemon->sd_bus, daemon->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_match_signal(daemon->sd_bus, NULL, NULL, "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local",
                                        "Disconnected", on_disconnected, daemon);
        if (r >= 0)
                r = sd_bus_match_signal(daemon->sd_bus, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                        "NameLost", on_name_lost, daemon);
        return r < 0 ? fail(r, "Cannot use the bus") : 0;
}

static bool name_has_owner(Daemon *daemon, const char *name) {
        sd_bus_creds *creds = NULL;
        int r = sd_bus_get_name_creds(daemon->sd_bus, name, SD_BUS_CREDS_UNIQUE_NAME, &creds);

        sd_bus_creds_unref(creds);
        return r >= 0;
}

static int name_is_taken(Daemon *daemon) {
        g_autofree char *who = NULL;
        sd_bus_creds *creds = NULL;
        pid_t pid;

        if (sd_bus_get_name_creds(daemon->sd_bus, BUS_NAME, SD_BUS_CREDS_PID, &creds) >= 0 && sd_bus_creds_get_pid(creds, &pid) >= 0)
                who = g_strdup_printf(" by process %i", pid);
        sd_bus_creds_unref(creds);
        log_error("The name " BUS_NAME " is already taken%s: is another plugind running on this bus?", who ? who : "");
        return -EEXIST;
}

/* What outlives the daemon, if systemd keeps it and plugins do, too; else NULL. */
static Store *lasting_store(const Daemon *daemon) {
        bool plugins_last = !daemon->runtime || daemon->runtime->ops->unit_adopt;

        return plugins_last && store_lasts(daemon->store) ? daemon->store : NULL;
}

/* Are we what a service manager has started, and not somebody below that? */
static bool is_service(void) {
        const char *pid = getenv("SYSTEMD_EXEC_PID");

        return pid && g_ascii_strtoll(pid, NULL, 10) == getpid();
}

/* The service manager whose bus this is. Where a bus has just been started we may be on it sooner than systemd, which has to be there for what it
 * kept, and for what is to be sandboxed: our own connection may have started a user's bus. */
static bool systemd_is_here(Daemon *daemon) {
        bool wanted = daemon->config.runtime != RUNTIME_LOCAL && daemon->config.runtime != RUNTIME_NONE;
        uint64_t patience = wanted && (is_service() || store_epoch(daemon->store) > 1) ? SYSTEMD_WAIT_USEC : 0;

        if (sd_booted() <= 0)
                return false;
        for (; !name_has_owner(daemon, "org.freedesktop.systemd1"); patience -= MIN(patience, SYSTEMD_LOOK_USEC)) {
                if (patience == 0)
                        return false;
                g_usleep(SYSTEMD_LOOK_USEC);
        }
        return true;
}

static int new_runtime(Daemon *daemon) {
        RuntimeChoice choice = daemon->config.runtime;
        bool here = systemd_is_here(daemon);
        int r;

        daemon->runtimes[0] = "local";
        if (here)
                daemon->runtimes[1] = "systemd";
        if (choice == RUNTIME_NONE)
                return 0;
        if (choice == RUNTIME_SYSTEMD && !here) {
                log_error("--runtime=systemd: there is no org.freedesktop.systemd1 on this bus");
                return -EHOSTDOWN;
        }
        if (choice == RUNTIME_SYSTEMD || (choice == RUNTIME_AUTO && here)) {
                r = runtime_systemd_new(daemon->event, daemon->sd_bus, daemon->config.user, daemon->store, &daemon->runtime);
                return r < 0 ? fail(r, "Cannot run units of systemd") : 0;
        }
        r = runtime_local_new(daemon->event, &daemon->runtime);
        return r < 0 ? fail(r, "Cannot run child processes") : 0;
}

static int new_host(Daemon *daemon) {
        g_auto(GStrv) search_path = manifest_search_path(daemon->config.user);
        g_autofree char *data_dir = plugin_data_dir(daemon);
        HostConfig config = {
                .event = daemon->event,
                .deadlines = daemon->deadlines,
                .arena = daemon->arena,
                .runtime = daemon->runtime,
                .record = daemon->record,
                .log_sink = daemon->log_sink,
                .store = lasting_store(daemon),
                .search_path = search_path,
                .data_dir = data_dir,
                .user = daemon->config.user,
        };
        int r;

        if (getrandom(&config.seed, sizeof(config.seed), GRND_NONBLOCK) < 0)
                config.seed = (uint64_t) getpid();
        if (daemon->config.user) /* where this user's npx, uvx and node are */
                manifest_set_command_path(getenv("PATH"));
        r = host_new(&config, &daemon->host);
        return r < 0 ? fail(r, "Cannot make the host") : 0;
}

static int new_journal_tail(Daemon *daemon) {
        JournalTailConfig config = {
                .event = daemon->event,
                .deadlines = daemon->deadlines,
                .worker = daemon->worker,
                .uid = geteuid(),
                .user = daemon->config.user,
        };
        int r = daemon->runtime && daemon->runtime->logs_itself ? journal_tail_new(&config, &daemon->journal_tail) : 0;

        return r < 0 ? fail(r, "Cannot prepare to read the journal") : 0;
}

static int new_arena(Daemon *daemon) {
        int fds[_ARENA_FD_MAX], r;

        if (store_take_arena(daemon->store, fds) >= 0) {
                r = arena_adopt(fds, DUPLEX_MESSAGE_MAX, store_epoch(daemon->store), &daemon->arena);
                if (r >= 0) {
                        daemon->arena_adopted = true;
                        return 0;
                }
                log_warning("The shared memory for plugins' messages that the daemon before has left is none; they are started anew");
                for (size_t i = 0; i < _ARENA_FD_MAX; i++)
                        close(fds[i]);
        }
        r = arena_new(DUPLEX_MESSAGE_MAX, store_epoch(daemon->store), &daemon->arena);
        if (r < 0)
                return fail(r, "Cannot make shared memory for plugins' messages");
        arena_descriptors(daemon->arena, fds);
        r = store_put_arena(daemon->store, fds);
        return r < 0 ? fail(r, "Cannot store shared memory for plugins' messages") : 0;
}

/* What the host stands on, from the bottom up. */
static int new_ground(Daemon *daemon) {
        g_autofree char *log_dir = g_build_filename(daemon->state_dir, "log", NULL);
        int r = worker_new(&daemon->worker);
        bool journal;

        if (r < 0)
                return fail(r, "Cannot start the worker thread");
        r = store_open(daemon->state_dir, &daemon->store);
        if (r < 0)
                return fail(r, "Cannot keep what is to outlive the daemon");
        r = new_arena(daemon);
        if (r < 0)
                return r;
        r = new_runtime(daemon);
        if (r < 0)
                return r;
        r = record_new(daemon->event, daemon->state_dir, daemon->worker, &daemon->record);
        if (r < 0) {
                errno = -r;
                log_error("Cannot use the folder for state %s (see --state-dir=): %m", daemon->state_dir);
                return r;
        }
        journal = journal_is_there(daemon->config.log_target) || (daemon->runtime && daemon->runtime->logs_itself);
        r = log_sink_new(daemon->event, daemon->worker, log_dir, journal, &daemon->log_sink);
        return r < 0 ? fail(r, "Cannot log for plugins") : new_journal_tail(daemon);
}

static int new_bus(Daemon *daemon) {
        BusConfig config = {
                .event = daemon->event,
                .deadlines = daemon->deadlines,
                .host = daemon->host,
                .store = lasting_store(daemon),
                .log_sink = daemon->log_sink,
                .runtime = daemon->runtime ? daemon->runtime->ops->name : NULL,
                .journal_tail = daemon->journal_tail,
                .runtimes = daemon->runtimes,
                .allowed = daemon->config.user ? geteuid() : 0,
        };
        int r = bus_new(&config, &daemon->bus);

        return r < 0 ? fail(r, "Cannot make the bus objects") : 0;
}

static int new_leave(Daemon *daemon) {
        LeaveConfig config = {
                .event = daemon->event,
                .deadlines = daemon->deadlines,
                .sd_bus = daemon->sd_bus,
                .bus = daemon->bus,
                .host = daemon->host,
                .store = lasting_store(daemon),
                .arena = daemon->arena,
                .runtime = daemon->runtime,
                .user = daemon->config.user,
        };

        return leave_new(&config, &daemon->leave);
}

int daemon_new(const DaemonConfig *config, Daemon **ret) {
        Daemon *daemon = g_new0(Daemon, 1);
        int r;

        daemon->config = *config;
        daemon->state_dir = config->state_dir ? g_strdup(config->state_dir) : default_state_dir(config->user);
        r = new_loop(daemon);
        if (r >= 0)
                r = connect_bus(daemon);
        if (r >= 0 && name_has_owner(daemon, BUS_NAME)) /* before anything of its is touched, or any plugin started */
                r = name_is_taken(daemon);
        if (r >= 0)
                r = new_ground(daemon);
        if (r >= 0)
                r = new_host(daemon);
        if (r >= 0)
                r = new_bus(daemon);
        if (r >= 0)
                r = new_leave(daemon);
        if (r < 0) {
                daemon_free(daemon);
                return r;
        }
        *ret = daemon;
        return 0;
}

Daemon *daemon_free(Daemon *daemon) {
        if (!daemon)
                return NULL;
        leave_free(daemon->leave);
        idle_exit_free(daemon->idle_exit);
        bus_close(daemon->bus);
        host_free(daemon->host);
        journal_tail_free(daemon->journal_tail);
        bus_free(daemon->bus);
        runtime_free(daemon->runtime);
        sd_bus_close_unref(daemon->sd_bus); /* what could be flushed has been */
        log_sink_free(daemon->log_sink);
        record_free(daemon->record);
        arena_free(daemon->arena);
        store_free(daemon->store);
        worker_free(daemon->worker);
        deadlines_free(daemon->deadlines);
        sd_event_unref(daemon->event);
        g_free(daemon->state_dir);
        g_free(daemon);
        return NULL;
}

static int watch_idleness(Daemon *daemon) {
        IdleExitConfig config = {
                .event = daemon->event,
                .deadlines = daemon->deadlines,
                .usec = daemon->config.exit_idle_usec,
                .busy = daemon_busy,
                .idle = daemon_idle,
                .userdata = daemon,
        };
        int r = config.usec > 0 ? idle_exit_new(&config, &daemon->idle_exit) : 0;

        return r < 0 ? fail(r, "Cannot watch for idleness") : 0;
}

/* What systemd listens on for us: who connects while nobody is here waits until somebody is. */
static void take_sockets(Daemon *daemon) {
        const int *fds;
        size_t n = store_sockets(daemon->store, &fds);

        for (size_t i = 0; i < n; i++) {
                int r = sd_is_socket(fds[i], AF_UNIX, SOCK_STREAM, true) > 0 ? bus_listen(daemon->bus, fds[i]) : -EPROTOTYPE;

                if (r < 0) {
                        errno = -r;
                        log_warning(
                                "Cannot listen on descriptor %i, which systemd has passed (a listening stream socket of the file system is expected): %m",
                                fds[i]);
                        close(fds[i]);
                }
        }
}

/* As the daemon before left it, if one did. What changes meanwhile those hear, who knew that one, when the name is taken. */
static void take_over(Daemon *daemon) {
        Store *store = lasting_store(daemon);
        bool succeeds = store && store_epoch(store) > 1;
        int r = 0;

        bus_hold(daemon->bus);
        host_pause(daemon->host, true);
        if (succeeds) {
                bus_start_signals(daemon->bus);
                host_restore(daemon->host, bus_find_caller, daemon->bus);
        }
        (void) bus_forget_absent(daemon->bus);
        if (daemon->runtime && daemon->runtime->ops->runtime_adopted)
                r = daemon->runtime->ops->runtime_adopted(daemon->runtime);
        if (r < 0)
                (void) fail(r, "Cannot stop what an earlier plugind left");
        if (daemon->arena_adopted)
                arena_adopted(daemon->arena);
        store_taken_over(daemon->store);
        host_start(daemon->host);
        if (!succeeds)
                bus_start_signals(daemon->bus);
}

static int take_name(Daemon *daemon) {
        int r = sd_bus_request_name(daemon->sd_bus, BUS_NAME, 0);

        if (r == -EEXIST)
                return name_is_taken(daemon);
        if (r < 0)
                return fail(r, "Cannot take the name " BUS_NAME);
        leave_named(daemon->leave);
        bus_pay(daemon->bus);
        return 0;
}

static void count_taken_over(Session *session, void *userdata) {
        unsigned *n = userdata;

        *n += session->state == SESSION_ACTIVE; /* the loop does not run yet: nothing else is active */
}

static void tell_ready(Daemon *daemon) {
        g_autoptr(GString) text = g_string_new(NULL);
        unsigned n = 0, n_sessions = host_n_sessions(daemon->host);

        host_foreach(daemon->host, count_taken_over, &n);
        g_string_printf(text, "%u %s loaded", n_sessions, n_sessions == 1 ? "plugin" : "plugins");
        if (store_epoch(daemon->store) > 1)
                g_string_append_printf(text, ", %u taken over", n);
        (void) sd_notify(false, "READY=1");
        log_info("plugind " PROJECT_VERSION " is ready, %s", text->str);
}

static int begin(Daemon *daemon) {
        int r = bus_serve(daemon->bus, daemon->sd_bus);

        if (r < 0)
                return fail(r, "Cannot register on the bus");
        take_over(daemon);
        (void) bus_store_owed(daemon->bus);
        r = take_name(daemon);
        if (r < 0)
                return r;
        take_sockets(daemon);
        return watch_idleness(daemon);
}

int daemon_start(Daemon *daemon) {
        int r = begin(daemon);

        if (r < 0)
                leave_at_once(daemon->leave);
        else
                tell_ready(daemon);
        return r;
}

int daemon_loop(Daemon *daemon) {
        int r = sd_event_loop(daemon->event);

        if (r < 0) {
                (void) fail(r, "The event loop failed");
                leave_at_once(daemon->leave);
                return EXIT_FAILURE;
        }
        return r;
}
