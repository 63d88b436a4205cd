/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "leave.h"

#include "basic/log.h"
#include "runtime/systemd-own-unit.h"

#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>

/* From the signal on: so long callers are waited for who have asked for something. */
#define DRAIN_USEC (10 * USEC_PER_SEC)
/* After that, or when no plugin is left: the name's release, and answers that the bus has not taken yet. */
#define FAREWELL_USEC (5 * USEC_PER_SEC)
/* From the name's release on: who calls our unique name (as GDBusProxy does) may not have heard of it yet. */
#define LINGER_USEC (50 * USEC_PER_MSEC)
/* How often to look what is waited for, and whether systemd wants a stop by now: it sends no second signal. */
#define LOOK_USEC USEC_PER_SEC
/* A machine that goes down waits no longer for a plugin that may take as long as it likes (timeouts.stop is 0). */
#define STOP_MAX_USEC (30 * 60 * USEC_PER_SEC)

typedef enum Step {
        LEAVE_NOT,
        LEAVE_ASKING,    /* what systemd wants */
        LEAVE_HANDING,   /* over */
        LEAVE_RELEASING, /* nothing is loaded, and nothing can be handed over */
        LEAVE_STOPPING,
} Step;

struct Leave {
        LeaveConfig config;
        Step step;
        int exit_status;
        bool idle; /* since nothing is loaded */

        bool named;
        bool releasing; /* the name: the bus has not confirmed it yet */
        bool draining;  /* nothing is left but to answer, once the name is released */

        OwnUnit *own_unit;  /* systemd is being asked ... */
        bool last_question; /* ... with everything else done */
        bool job_known;     /* there is no need to ask it once more */
        bool kept;          /* leave_everything() was called */

        char *waits_for; /* as was told last */
        Deadline look;
        Deadline drain;
        Deadline linger;
        Deadline farewell;
};

#define leave_of(deadline, member) ((Leave *) (void *) ((char *) (deadline) -offsetof(Leave, member)))

static Deadlines *leave_deadlines(const Leave *leave) {
        return leave->config.deadlines;
}

static void wait_for_nothing(Leave *leave) {
        leave->own_unit = own_unit_free(leave->own_unit);
        deadline_disarm(leave_deadlines(leave), &leave->look);
        deadline_disarm(leave_deadlines(leave), &leave->drain);
        deadline_disarm(leave_deadlines(leave), &leave->linger);
        deadline_disarm(leave_deadlines(leave), &leave->farewell);
}

static bool can_hand_over(const Leave *leave) {
        return leave->config.store != NULL;
}

/* -- the end of it -- */

/* True if there is something that wants another daemon. */
static bool leave_everything(Leave *leave) {
        const LeaveConfig *config = &leave->config;
        bool owed;

        leave->kept = true;
        host_leave(config->host);
        owed = bus_store_owed(config->bus);
        store_seal(config->store);
        arena_keep(config->arena);
        if (config->runtime)
                config->runtime->ops->runtime_keep(config->runtime);
        return owed || host_n_sessions(config->host) > 0;
}

void leave_at_once(Leave *leave) {
        if (can_hand_over(leave) && leave->step != LEAVE_STOPPING && !leave->kept)
                (void) leave_everything(leave);
}

static void leave_exit(Leave *leave) {
        bool wanted = leave->step == LEAVE_HANDING && leave_everything(leave);

        if (leave->idle && wanted && leave->exit_status == EXIT_SUCCESS)
                leave->exit_status = EX_TEMPFAIL;
        (void) sd_event_exit(leave->config.event, leave->exit_status);
}

static void farewell_over(Deadline *d) {
        Leave *leave = leave_of(d, farewell);

        log_warning("The bus does not take our last messages; leaving without");
        leave_exit(leave);
}

static void farewell_begin(Leave *leave) {
        deadline_arm(leave_deadlines(leave), &leave->farewell, FAREWELL_USEC);
}

/* -- the name, and what is in flight -- */

static void ask_systemd(Leave *leave);
static void stop_plugins(Leave *leave);

/* A stop job that comes when systemd believes us to be stopping already comes without a signal. Whoever leaves no plugin need not know. */
static bool job_matters(const Leave *leave) {
        return leave->step == LEAVE_HANDING && !leave->job_known && host_n_sessions(leave->config.host) > 0;
}

static void drained(void *userdata) {
        Leave *leave = userdata;

        if (!leave->draining)
                return;
        if (job_matters(leave)) {
                leave->last_question = true;
                leave->own_unit = own_unit_free(leave->own_unit); /* what it is being asked may be answered already */
                ask_systemd(leave);
        } else if (leave->step == LEAVE_RELEASING &&
                   host_n_sessions(leave->config.host) > 0) { /* loaded while the bus took the name back */
                leave->exit_status = EX_TEMPFAIL;
                stop_plugins(leave);
        } else
                leave_exit(leave);
}

static int name_released(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Leave *leave = userdata;

        leave->named = false;
        leave->releasing = false;
        if (leave->draining)
                deadline_arm(leave_deadlines(leave), &leave->linger, LINGER_USEC);
        return 0;
}

static void lingered(Deadline *d) {
        Leave *leave = leave_of(d, linger);

        bus_when_drained(leave->config.bus, drained, leave);
}

/* From the release on, callers queue in the bus until somebody has the name again; what came before it is answered. */
static void drain(Leave *leave) {
        leave->draining = true;
        if (leave->releasing)
                return;
        if (leave->named && sd_bus_release_name_async(leave->config.sd_bus, NULL, BUS_NAME, name_released, leave) >= 0)
                leave->releasing = true;
        else
                bus_when_drained(leave->config.bus, drained, leave);
}

/* -- stopping -- */

static void plugins_stopped(const PlugindError *error, void *userdata) {
        Leave *leave = userdata;

        farewell_begin(leave);
        drain(leave);
}

/* systemd's own patience is for plugins with the usual timeouts.stop; what is longer it is told. */
static void tell_stopping(Leave *leave) {
        uint64_t usec = MIN(host_stop_usec(leave->config.host), STOP_MAX_USEC) + 2 * FAREWELL_USEC;

        (void) sd_notifyf(false, "STOPPING=1\nSTATUS=Stopping plugins\nEXTEND_TIMEOUT_USEC=%" G_GUINT64_FORMAT, usec);
}

static void stop_plugins(Leave *leave) {
        leave->step = LEAVE_STOPPING;
        leave->draining = false;
        wait_for_nothing(leave);
        bus_stop_listening(leave->config.bus);
        tell_stopping(leave);
        host_stop(leave->config.host, plugins_stopped, leave);
}

void leave_stop(Leave *leave) {
        if (leave->step == LEAVE_STOPPING || leave->step == LEAVE_RELEASING)
                return;
        leave->exit_status = EXIT_SUCCESS;
        stop_plugins(leave);
}

/* -- the hand-over -- */

static void look(Leave *leave) {
        g_autofree char *waits_for = host_waits_for(leave->config.host);

        if (waits_for && g_strcmp0(waits_for, leave->waits_for) != 0) {
                log_info("Restarting: waiting for %s", waits_for);
                (void) sd_notifyf(false, "STATUS=Restarting: waiting for %s", waits_for);
        }
        g_free(leave->waits_for);
        leave->waits_for = g_steal_pointer(&waits_for);
        deadline_arm(leave_deadlines(leave), &leave->look, LOOK_USEC);
}

static void look_again(Deadline *d) {
        Leave *leave = leave_of(d, look);

        if (!leave->job_known)
                ask_systemd(leave);
        look(leave);
}

static void end_waiting(Leave *leave) {
        deadline_disarm(leave_deadlines(leave), &leave->look);
        deadline_disarm(leave_deadlines(leave), &leave->drain);
        host_answer_all(leave->config.host);
        farewell_begin(leave);
}

static void drain_over(Deadline *d) {
        Leave *leave = leave_of(d, drain);
        g_autofree char *waits_for = host_waits_for(leave->config.host);

        if (leave->step != LEAVE_HANDING)
                return;
        log_info("Restarting: not waiting any longer for %s", waits_for ?: "the bus");
        end_waiting(leave);
}

/* systemd has to know before the bus does: who calls from the release on has the unit started, and that has to come after its end. */
static void hand_over(Leave *leave, const char *status) {
        const LeaveConfig *config = &leave->config;

        leave->step = LEAVE_HANDING;
        bus_stop_listening(config->bus);
        bus_hold(config->bus);
        (void) sd_notifyf(false, "STOPPING=1\nSTATUS=%s", status);
        host_hold(config->host);
        if (!deadline_armed(&leave->drain))
                deadline_arm(leave_deadlines(leave), &leave->drain, DRAIN_USEC);
        look(leave);
        drain(leave);
}

static void job_answered(OwnJob job, void *userdata) {
        Leave *leave = userdata;

        leave->own_unit = own_unit_free(leave->own_unit);
        if (job == OWN_JOB_STOP) {
                log_info("systemd wants a stop: stopping plugins");
                leave_stop(leave);
                return;
        }
        if (!leave->idle && leave->exit_status != EXIT_FAILURE && (job != OWN_JOB_UNKNOWN || leave->step == LEAVE_ASKING))
                leave->exit_status = job == OWN_JOB_RESTART ? EXIT_SUCCESS : EX_TEMPFAIL;
        leave->job_known = leave->last_question;
        if (leave->step == LEAVE_ASKING) {
                log_info("%s: handing over to the next plugind",
                         job == OWN_JOB_RESTART ? "systemd wants a restart" : "Not told by systemd to stop");
                hand_over(leave, "Restarting");
        } else if (leave->last_question)
                bus_when_drained(leave->config.bus, drained, leave);
}

static void ask_systemd(Leave *leave) {
        int r;

        if (leave->own_unit)
                return;
        r = own_unit_ask(leave->config.sd_bus, leave->config.user, job_answered, leave, &leave->own_unit);
        if (r < 0) {
                errno = -r;
                log_debug("Cannot ask systemd what it wants of us: %m");
                job_answered(OWN_JOB_UNKNOWN, leave);
        }
}

void leave_terminate(Leave *leave) {
        if (leave->step == LEAVE_NOT) {
                if (!can_hand_over(leave)) {
                        leave_stop(leave);
                        return;
                }
                leave->step = LEAVE_ASKING;
                deadline_arm(leave_deadlines(leave), &leave->drain, DRAIN_USEC);
        }
        if (leave->step == LEAVE_ASKING || leave->step == LEAVE_HANDING)
                ask_systemd(leave);
}

void leave_idle(Leave *leave) {
        static const char status[] = "Leaving, nothing is loaded";

        if (leave->step != LEAVE_NOT)
                return;
        log_info("Nothing is loaded, leaving until somebody calls");
        leave->idle = true;
        if (can_hand_over(leave)) {
                hand_over(leave, status);
                return;
        }
        leave->step = LEAVE_RELEASING;
        bus_stop_listening(leave->config.bus);
        (void) sd_notifyf(false, "STOPPING=1\nSTATUS=%s", status);
        farewell_begin(leave);
        drain(leave);
}

/* -- without the bus -- */

static bool leave_in_need(Leave *leave) {
        bool hand = can_hand_over(leave) && (leave->step == LEAVE_NOT || leave->step == LEAVE_ASKING);

        leave->named = false;
        leave->exit_status = EXIT_FAILURE;
        leave->own_unit = own_unit_free(leave->own_unit);
        leave->idle = false;
        if (hand)
                hand_over(leave, "Restarting without the bus");
        else if (leave->step == LEAVE_NOT || leave->step == LEAVE_ASKING)
                stop_plugins(leave);
        return leave->step == LEAVE_HANDING;
}

void leave_without_name(Leave *leave) {
        if (!leave->named || leave->step != LEAVE_NOT)
                return;
        log_error("The bus took the name " BUS_NAME " away; leaving");
        (void) leave_in_need(leave);
}

void leave_without_bus(Leave *leave) {
        log_error("The connection to the bus is lost; leaving");
        leave->job_known = true; /* there is nobody to ask */
        if (leave_in_need(leave)) {
                end_waiting(leave);
                drain(leave);
        }
}

/* -- */

void leave_named(Leave *leave) {
        leave->named = true;
}

bool leave_has_begun(const Leave *leave) {
        return leave->step != LEAVE_NOT;
}

int leave_new(const LeaveConfig *config, Leave **ret) {
        Leave *leave = g_new0(Leave, 1);

        leave->config = *config;
        leave->look.expired = look_again;
        leave->drain.expired = drain_over;
        leave->linger.expired = lingered;
        leave->farewell.expired = farewell_over;
        *ret = leave;
        return 0;
}

Leave *leave_free(Leave *leave) {
        if (!leave)
                return NULL;
        wait_for_nothing(leave);
        g_free(leave->waits_for);
        g_free(leave);
        return NULL;
}
