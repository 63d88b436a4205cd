/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* plot */
#include "bus-client.h"
#include "plot.h"

#include <string.h>
#include <unistd.h>

static int read_more(sd_bus_message *m, PlotChange *change) {
        const char *key;
        int r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "{sv}");

        while (r >= 0 && (r = sd_bus_message_enter_container(m, SD_BUS_TYPE_DICT_ENTRY, "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &key);
                if (r >= 0 && (strcmp(key, "exit-status") == 0 || strcmp(key, "signal") == 0))
                        r = sd_bus_message_read(m, "v", "i", *key == 's' ? &change->signal : &change->exit_status);
                else if (r >= 0)
                        r = sd_bus_message_skip(m, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_history(sd_bus_message *m, PlotSession *session) {
        int r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "(tsssa{sv})");

        while (r >= 0 && (r = sd_bus_message_enter_container(m, SD_BUS_TYPE_STRUCT, "tsssa{sv}")) > 0) {
                PlotChange change = { .exit_status = -1 };

                r = sd_bus_message_read(m, "tsss", &change.usec, &change.new_state, &change.old_state, &change.reason);
                if (r >= 0)
                        r = read_more(m, &change);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
                if (r >= 0)
                        plot_session_add(session, &change);
        }
        return r;
}

static int get_history(Ctl *ctl, const char *id, PlotSession **ret) {
        g_autoptr(sd_bus_message) message = NULL, reply = NULL;
        g_autoptr(PlotSession) session = plot_session_new(id);
        g_autofree char *path = session_to_path(id);
        int status = path ? ctl_new_call(ctl, path, SESSION_INTERFACE, "GetHistory", &message) : EXIT_NO_SUCH, r;

        if (status != EXIT_OK)
                return status;
        r = append_options(message, NULL);
        if (r < 0)
                return ctl_report(ctl, id, NULL, r);
        status = ctl_call(ctl, message, CALL_QUICK, id, &reply);
        if (status != EXIT_OK)
                return status;
        r = read_history(reply, session);
        if (r < 0)
                return ctl_report(ctl, id, NULL, r);
        *ret = g_steal_pointer(&session);
        return EXIT_OK;
}

static JsonObject *change_to_json(const PlotChange *change) {
        JsonObject *object = json_object_new();

        json_object_set_int_member(object, "time", (gint64) change->usec);
        json_object_set_string_member(object, "new", change->new_state);
        json_object_set_string_member(object, "old", change->old_state);
        json_object_set_string_member(object, "reason", change->reason);
        if (change->exit_status >= 0)
                json_object_set_int_member(object, "exitStatus", change->exit_status);
        if (change->signal > 0)
                json_object_set_int_member(object, "signal", change->signal);
        return object;
}

static void print_changes(const Ctl *ctl, GPtrArray *sessions) {
        g_autoptr(JsonNode) node = json_node_alloc();
        JsonArray *list = json_array_new();

        json_node_take_array(json_node_init(node, JSON_NODE_ARRAY), list);
        for (guint i = 0; i < sessions->len; i++) {
                const PlotSession *session = sessions->pdata[i];
                JsonObject *object = json_object_new();
                JsonArray *changes = json_array_new();

                for (guint j = 0; j < session->changes->len; j++) {
                        const PlotChange *change = &g_array_index(session->changes, PlotChange, j);
                        if (change->usec >= ctl->since_usec)
                                json_array_add_object_element(changes, change_to_json(change));
                }
                json_object_set_string_member(object, "id", session->id);
                json_object_set_array_member(object, "changes", changes);
                json_array_add_object_element(list, object);
        }
        print_json(ctl, node);
}

static void print_picture(const Ctl *ctl, GPtrArray *sessions, unsigned n_left_out) {
        const PlotRange range = { .since_usec = ctl->since_usec, .until_usec = (uint64_t) g_get_real_time() };
        g_autofree char *where = ctl->host || ctl->machine ? g_strdup(ctl->host ?: ctl->machine)
                                                           : g_strdup_printf("%s%s%s", ctl->user ? g_get_user_name() : "",
                                                                             ctl->user ? " on " : "", g_get_host_name());
        g_autoptr(GString) out = g_string_new(NULL);

        plot_append(out, sessions, &range, where, n_left_out);
        fwrite(out->str, 1, out->len, stdout);
}

/* All ids there are; those given must have a session. */
static int list_ids(Ctl *ctl, char **args, GPtrArray *ids) {
        g_autoptr(JsonArray) sessions = NULL;
        int status = EXIT_OK;

        for (size_t i = 0; args[i]; i++)
                g_ptr_array_add(ids, g_strdup(args[i]));
        if (ids->len > 0)
                return EXIT_OK;
        status = ctl_list_sessions(ctl, &sessions);
        for (guint i = 0; status == EXIT_OK && i < json_array_get_length(sessions); i++)
                g_ptr_array_add(ids, g_strdup(dict_string(json_array_get_object_element(sessions, i), "id")));
        return status;
}

static void free_session(void *session) {
        plot_session_free(session);
}

int verb_plot(Ctl *ctl, char **args) {
        g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free), sessions = g_ptr_array_new_with_free_func(free_session);
        unsigned n_left_out = 0;
        int status = list_ids(ctl, args, ids);

        for (guint i = 0; status == EXIT_OK && i < ids->len; i++) {
                PlotSession *session = NULL;

                status = get_history(ctl, ids->pdata[i], &session);
                if (status != EXIT_OK)
                        break;
                if (!args[0] && session->changes->len == 0) { /* there may be thousands */
                        plot_session_free(session);
                        n_left_out++;
                } else
                        g_ptr_array_add(sessions, session);
        }
        if (status != EXIT_OK)
                return status;
        if (ctl->json != JSON_OFF)
                print_changes(ctl, sessions);
        else
                print_picture(ctl, sessions, n_left_out);
        return EXIT_OK;
}
