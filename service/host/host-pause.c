/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Back-pressure. It may come and go with every message, so it costs nothing until a plugin really has something to say: only then its duplex is
 * paused, and only those that were go on afterwards, one after the other: each has its turn, however many others there are and however often the
 * bus is full again at once.
 */
#include "host/session-private.h"

#include <glib.h>

static void resume_later(Host *host);

static int on_resume(sd_event_source *source, void *userdata) {
        Host *host = userdata;
        SessionRun *run = host->paused ? NULL : list_first(&host->refused, SessionRun, by_refused);

        if (!run)
                return 0;
        list_unlink(&run->by_refused);
        duplex_pause(run->duplex, false);
        resume_later(host);
        return 0;
}

/* A new source each time: one that was there before would always come before the duplex that goes on. */
static void resume_later(Host *host) {
        int r;

        host->resume = sd_event_source_disable_unref(host->resume);
        if (list_empty(&host->refused))
                return;
        r = sd_event_add_defer(host->config.event, &host->resume, on_resume, host);
        if (r < 0)
                g_error("cannot add an event source: %s", g_strerror(-r)); /* out of memory */
}

void host_pause(Host *host, bool paused) {
        host->paused = paused;
        if (!paused)
                resume_later(host);
}

bool session_may_tell(Session *session) {
        Host *host = session->host;
        SessionRun *run = session->run;

        list_unlink(&run->by_refused);
        if (host->paused)
                list_append(&host->refused, &run->by_refused);
        return !host->paused;
}

void host_pause_init(Host *host) {
        list_init(&host->refused);
}

void host_pause_done(Host *host) {
        sd_event_source_disable_unref(host->resume);
}
