/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* own-unit-says FILE [user]: a service. SIGTERM: FILE.told is there. SIGUSR1: FILE gets what own_unit_ask() answers, and it ends. */
#include "runtime/systemd-own-unit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

static sd_event *event;
static sd_bus *bus;
static OwnUnit *own_unit;
static const char *path;
static bool user;

/* Whole, or not there. */
static void write_file(const char *name, const char *text) {
        char *draft = NULL;
        FILE *file;

        if (asprintf(&draft, "%s.draft", name) < 0 || !(file = fopen(draft, "we")) || fputs(text, file) < 0 || fclose(file) != 0 ||
            rename(draft, name) < 0)
                abort();
        free(draft);
}

static void on_answer(OwnJob job, void *userdata) {
        static const char *const names[] = {
                [OWN_JOB_NONE] = "none",
                [OWN_JOB_STOP] = "stop",
                [OWN_JOB_RESTART] = "restart",
                [OWN_JOB_UNKNOWN] = "unknown",
        };

        write_file(path, names[job]);
        own_unit = own_unit_free(own_unit);
        (void) sd_event_exit(event, 0);
}

static int on_term(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        char *told = NULL;

        if (asprintf(&told, "%s.told", path) < 0)
                abort();
        write_file(told, "");
        free(told);
        return 0;
}

static int on_ask(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        return own_unit_ask(bus, user, on_answer, NULL, &own_unit);
}

int main(int argc, char **argv) {
        sigset_t signals;

        if (argc < 2)
                return 2;
        path = argv[1];
        user = argc > 2;
        sigemptyset(&signals);
        sigaddset(&signals, SIGTERM);
        sigaddset(&signals, SIGUSR1);
        sigprocmask(SIG_BLOCK, &signals, NULL);
        if (sd_event_new(&event) < 0 || (user ? sd_bus_open_user(&bus) : sd_bus_open_system(&bus)) < 0 ||
            sd_bus_attach_event(bus, event, 0) < 0 || sd_event_add_signal(event, NULL, SIGTERM, on_term, NULL) < 0 ||
            sd_event_add_signal(event, NULL, SIGUSR1, on_ask, NULL) < 0)
                return 1;
        sd_notify(0, "READY=1");
        puts("ready");
        fflush(stdout);
        if (sd_event_loop(event) < 0)
                return 1;
        sd_bus_flush_close_unref(bus);
        sd_event_unref(event);
        return 0;
}
