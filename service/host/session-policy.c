/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether, and when, a plugin that has failed is started again (design.md 4). */
#include "host/session-private.h"

#include <glib.h>

uint64_t session_next_delay(Session *session, uint64_t healthy) {
        const Manifest *manifest = session->manifest;
        SessionRun *run = session->run;
        uint64_t delay = manifest->restart.delay_usec;

        if (healthy >= manifest->restart.reset_after_usec) {
                run->restart_step = 0;
                run->n_failed = 0;
        }
        if (run->restart_step == 0 && healthy >= HEALTHY_USEC) {
                run->restart_step = 1;
                return 0;
        }
        run->restart_step = MAX(run->restart_step, 1) + 1;
        for (unsigned i = 2; i < run->restart_step && delay < manifest->restart.max_delay_usec; i++)
                delay *= 2;
        delay = MIN(delay, manifest->restart.max_delay_usec);
        return (uint64_t) ((double) delay * g_rand_double_range(session->host->random, 0.8, 1.2));
}

bool session_fails_too_often(Session *session) {
        const Manifest *manifest = session->manifest;
        SessionRun *run = session->run;
        uint64_t now = deadlines_now(session_deadlines(session));

        if (run->burst != manifest->restart.burst) { /* the first failure, or a reload changed it */
                run->burst = manifest->restart.burst;
                run->n_failed = 0;
                run->failed_at = g_renew(uint64_t, run->failed_at, run->burst);
        }
        if (run->burst == 0)
                return false;
        run->failed_at[run->n_failed++ % run->burst] = now;
        return run->n_failed >= run->burst && now - run->failed_at[run->n_failed % run->burst] <= manifest->restart.interval_usec;
}

bool session_may_restart(Session *session, const UnitExit *exit) {
        const Manifest *manifest = session->manifest;

        if (manifest->restart.policy == RESTART_NEVER)
                return false;
        if (!exit || exit->code != CLD_EXITED)
                return true;
        for (size_t i = 0; i < manifest->restart.n_prevent_exit; i++)
                if (manifest->restart.prevent_exit[i] == exit->status)
                        return false;
        return exit->status != EXIT_STATUS_NEVER_RESTART;
}
