/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* start, stop, restart, kill, reset-failed: of several sessions at once */
#include "bus-client.h"

#include <string.h>

static int fill_set_active_state(Ctl *ctl, sd_bus_message *m, void *state) {
        int r = sd_bus_message_append(m, "s", (const char *) state);

        return r < 0 ? r : append_options(m, "wait", "b", !ctl->no_block, NULL);
}

int verb_start(Ctl *ctl, char **args) {
        return sessions_call(ctl, args, "SetActiveState", CALL_WAITS, fill_set_active_state, (void *) "active");
}

int verb_stop(Ctl *ctl, char **args) {
        return sessions_call(ctl, args, "SetActiveState", CALL_WAITS, fill_set_active_state, (void *) "inactive");
}

static int fill_restart(Ctl *ctl, sd_bus_message *m, void *userdata) {
        return append_options(m, "wait", "b", !ctl->no_block, NULL);
}

int verb_restart(Ctl *ctl, char **args) {
        return sessions_call(ctl, args, "Restart", CALL_WAITS, fill_restart, NULL);
}

static int fill_kill(Ctl *ctl, sd_bus_message *m, void *userdata) {
        int r = sd_bus_message_append(m, "si", ctl->kill_whom, (int32_t) ctl->signal);

        return r < 0 ? r : append_options(m, NULL);
}

int verb_kill(Ctl *ctl, char **args) {
        return sessions_call(ctl, args, "Kill", CALL_QUICK, fill_kill, NULL);
}

static int fill_nothing(Ctl *ctl, sd_bus_message *m, void *userdata) {
        return append_options(m, NULL);
}

/* Without ids: of all sessions that have failed. */
int verb_reset_failed(Ctl *ctl, char **args) {
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
        g_autoptr(JsonArray) sessions = NULL;

        if (args[0])
                return sessions_call(ctl, args, "ResetFailed", CALL_QUICK, fill_nothing, NULL);

        int r = ctl_list_sessions(ctl, &sessions);
        if (r != EXIT_OK)
                return r;
        for (guint i = 0; i < json_array_get_length(sessions); i++) {
                JsonObject *session = json_array_get_object_element(sessions, i);
                if (strcmp(dict_string(session, "reported-state"), "errored") == 0)
                        g_strv_builder_add(builder, dict_string(session, "id"));
        }
        g_auto(GStrv) ids = g_strv_builder_end(builder);
        return sessions_call(ctl, ids, "ResetFailed", CALL_QUICK, fill_nothing, NULL);
}
