/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "idle-exit.h"

#include <glib.h>

struct IdleExit {
        IdleExitConfig config;
        Deadline deadline;
        sd_event_source *turn; /* tells that something happened; on only while nothing is there */
        uint64_t last;         /* when */
        bool own_turn;         /* what happened was the deadline here */
};

/* A post source runs after whatever else has run. */
static int on_turn(sd_event_source *source, void *userdata) {
        IdleExit *idle_exit = userdata;

        if (!idle_exit->own_turn)
                idle_exit->last = deadlines_now(idle_exit->config.deadlines);
        idle_exit->own_turn = false;
        return 0;
}

static void watch_turns(IdleExit *idle_exit, bool watch) {
        (void) sd_event_source_set_enabled(idle_exit->turn, watch ? SD_EVENT_ON : SD_EVENT_OFF);
        idle_exit->own_turn = false;
        idle_exit->last = deadlines_now(idle_exit->config.deadlines);
}

static void look(Deadline *d) {
        IdleExit *idle_exit = (IdleExit *) (void *) ((char *) d - offsetof(IdleExit, deadline));
        const IdleExitConfig *config = &idle_exit->config;
        bool busy = config->busy(config->userdata);
        uint64_t quiet = deadlines_now(config->deadlines) - idle_exit->last;
        int watching = SD_EVENT_OFF;

        (void) sd_event_source_get_enabled(idle_exit->turn, &watching);
        if (busy || watching == SD_EVENT_OFF) {
                watch_turns(idle_exit, !busy);
                deadline_arm(config->deadlines, d, config->usec);
        } else if (quiet < config->usec) {
                idle_exit->own_turn = true;
                deadline_arm(config->deadlines, d, config->usec - quiet);
        } else
                config->idle(config->userdata);
}

int idle_exit_new(const IdleExitConfig *config, IdleExit **ret) {
        IdleExit *idle_exit = g_new0(IdleExit, 1);
        int r;

        idle_exit->config = *config;
        idle_exit->deadline.expired = look;
        r = sd_event_add_post(config->event, &idle_exit->turn, on_turn, idle_exit);
        if (r < 0) {
                idle_exit_free(idle_exit);
                return r;
        }
        watch_turns(idle_exit, true);
        deadline_arm(config->deadlines, &idle_exit->deadline, config->usec);
        *ret = idle_exit;
        return 0;
}

IdleExit *idle_exit_free(IdleExit *idle_exit) {
        if (!idle_exit)
                return NULL;
        deadline_disarm(idle_exit->config.deadlines, &idle_exit->deadline);
        sd_event_source_disable_unref(idle_exit->turn);
        g_free(idle_exit);
        return NULL;
}
