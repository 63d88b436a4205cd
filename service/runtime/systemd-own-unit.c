/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/systemd-own-unit.h"

#include "basic/deadline.h"

#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#define SYSTEMD "org.freedesktop.systemd1"
#define ANSWER_USEC USEC_PER_SEC

struct OwnUnit {
        sd_bus *bus;
        sd_bus_slot *question;
        sd_event_source *deadline;
        void (*answered)(OwnJob job, void *userdata);
        void *userdata;
};

OwnUnit *own_unit_free(OwnUnit *own_unit) {
        if (!own_unit)
                return NULL;
        sd_bus_slot_unref(own_unit->question);
        sd_event_source_disable_unref(own_unit->deadline);
        sd_bus_unref(own_unit->bus);
        g_free(own_unit);
        return NULL;
}

/* ANSWERED may free it. */
static int answer(OwnUnit *own_unit, OwnJob job) {
        own_unit->question = sd_bus_slot_unref(own_unit->question);
        (void) sd_event_source_set_enabled(own_unit->deadline, SD_EVENT_OFF);
        own_unit->answered(job, own_unit->userdata);
        return 0;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        return answer(userdata, OWN_JOB_UNKNOWN);
}

static int ask(OwnUnit *own_unit, const char *path, const char *interface, const char *property, sd_bus_message_handler_t answered) {
        own_unit->question = sd_bus_slot_unref(own_unit->question);
        return sd_bus_call_method_async(own_unit->bus, &own_unit->question, SYSTEMD, path, "org.freedesktop.DBus.Properties", "Get",
                                        answered, own_unit, "ss", interface, property);
}

/* As systemd's job_type_to_string() names them. A job that leaves us running (reload, verify-active, nop) has not ended us. */
static OwnJob job_of_type(const char *type) {
        static const char *const restarts[] = { "start", "restart", "try-restart", "reload-or-start", NULL };

        if (g_str_equal(type, "stop"))
                return OWN_JOB_STOP;
        return g_strv_contains(restarts, type) ? OWN_JOB_RESTART : OWN_JOB_NONE;
}

static int on_type(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const char *type;

        if (sd_bus_message_is_method_error(reply, NULL) || sd_bus_message_read(reply, "v", "s", &type) < 0)
                return answer(userdata, OWN_JOB_UNKNOWN);
        return answer(userdata, job_of_type(type));
}

static int on_job(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        OwnUnit *own_unit = userdata;
        const char *path;
        uint32_t id;

        if (sd_bus_message_is_method_error(reply, NULL) || sd_bus_message_read(reply, "v", "(uo)", &id, &path) < 0)
                return answer(own_unit, OWN_JOB_UNKNOWN);
        if (id == 0)
                return answer(own_unit, OWN_JOB_NONE);
        if (ask(own_unit, path, SYSTEMD ".Job", "JobType", on_type) < 0)
                return answer(own_unit, OWN_JOB_UNKNOWN);
        return 0;
}

/* systemd.exec(5), $SYSTEMD_EXEC_PID: what somebody runs from a shell is in a unit too, that of the shell. */
static bool started_by_systemd(void) {
        const char *pid = getenv("SYSTEMD_EXEC_PID");

        return pid && g_ascii_strtoll(pid, NULL, 10) == getpid();
}

static int own_path(bool user, char **ret) {
        char *name = NULL;
        int r = !started_by_systemd() ? -ENXIO : user ? sd_pid_get_user_unit(0, &name) : sd_pid_get_unit(0, &name);

        if (r >= 0)
                r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", name, ret);
        free(name);
        return r;
}

int own_unit_ask(sd_bus *bus, bool user, void (*answered)(OwnJob job, void *userdata), void *userdata, OwnUnit **ret) {
        OwnUnit *own_unit = g_new(OwnUnit, 1);
        char *path = NULL;
        bool asked;
        int r;

        *own_unit = (OwnUnit){ .bus = sd_bus_ref(bus), .answered = answered, .userdata = userdata };
        asked = own_path(user, &path) >= 0 && ask(own_unit, path, SYSTEMD ".Unit", "Job", on_job) >= 0;
        free(path);
        r = sd_event_add_time_relative(sd_bus_get_event(bus), &own_unit->deadline, CLOCK_MONOTONIC, asked ? ANSWER_USEC : 0, USEC_PER_MSEC,
                                       on_deadline, own_unit);
        if (r < 0) {
                own_unit_free(own_unit);
                return r;
        }
        *ret = own_unit;
        return 0;
}
