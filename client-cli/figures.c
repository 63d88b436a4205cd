/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "figures.h"

#include "bus-client.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

Figures *figures_free(Figures *figures) {
        if (!figures)
                return NULL;
        g_array_unref(figures->latency);
        g_free(figures->id);
        g_free(figures->state);
        g_free(figures->unit);
        g_free(figures);
        return NULL;
}

static void free_element(void *figures) {
        figures_free(figures);
}

static int read_latency(sd_bus_message *m, GArray *latency) {
        LatencyBucket bucket;
        int r = sd_bus_message_enter_container(m, SD_BUS_TYPE_VARIANT, "a(tt)");

        if (r >= 0)
                r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "(tt)");
        while (r >= 0 && (r = sd_bus_message_read(m, "(tt)", &bucket.below_usec, &bucket.count)) > 0)
                g_array_append_val(latency, bucket);
        for (int i = 0; r >= 0 && i < 2; i++)
                r = sd_bus_message_exit_container(m);
        return r;
}

static int read_string(sd_bus_message *m, char **field) {
        const char *value;
        int r = sd_bus_message_read(m, "v", "s", &value);

        if (r < 0)
                return r;
        g_free(*field);
        *field = g_strdup(value);
        return 0;
}

static int read_number(sd_bus_message *m, char type, uint64_t *field) {
        uint32_t narrow = 0;
        int r = type == 'u' ? sd_bus_message_read(m, "v", "u", &narrow) : sd_bus_message_read(m, "v", "t", field);

        if (r >= 0 && type == 'u')
                *field = narrow;
        return r;
}

static int read_entry(sd_bus_message *m, Figures *figures) {
        static const struct {
                const char *key;
                char type;
                size_t offset;
        } known[] = {
                { "reported-state", 's', offsetof(Figures, state) }, { "unit", 's', offsetof(Figures, unit) },
                { "restarts", 'u', offsetof(Figures, restarts) },    { "in-flight", 'u', offsetof(Figures, in_flight) },
                { "answered", 't', offsetof(Figures, answered) },    { "plugin-errors", 't', offsetof(Figures, plugin_errors) },
                { "failed", 't', offsetof(Figures, failed) },
        };
        const char *key;
        uint64_t pid = 0;
        int r = sd_bus_message_read(m, "s", &key);

        if (r < 0)
                return r;
        if (strcmp(key, "send-latency") == 0)
                return read_latency(m, figures->latency);
        if (strcmp(key, "main-pid") == 0) {
                r = read_number(m, 'u', &pid);
                figures->usage.pid = (pid_t) pid;
                return r;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
                if (strcmp(key, known[i].key) == 0) {
                        void *field = (char *) figures + known[i].offset;
                        return known[i].type == 's' ? read_string(m, field) : read_number(m, known[i].type, field);
                }
        return sd_bus_message_skip(m, "v");
}

/* 0 at the end. */
static int read_session(sd_bus_message *m, GPtrArray *all) {
        g_autoptr(Figures) figures = g_new0(Figures, 1);
        const char *id;
        int r = sd_bus_message_enter_container(m, SD_BUS_TYPE_STRUCT, "sa{sv}");

        figures->latency = g_array_new(false, false, sizeof(LatencyBucket));
        if (r <= 0)
                return r;
        r = sd_bus_message_read(m, "s", &id);
        if (r < 0)
                return r;
        figures->id = g_strdup(id);
        figures->state = g_strdup("");
        figures->unit = g_strdup("");
        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, SD_BUS_TYPE_DICT_ENTRY, "sv")) > 0) {
                r = read_entry(m, figures);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        for (int i = 0; r >= 0 && i < 2; i++)
                r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;
        figures->usage.unit = figures->unit;
        g_ptr_array_add(all, g_steal_pointer(&figures));
        return 1;
}

int figures_read(sd_bus_message *reply, GPtrArray **ret) {
        g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(free_element);
        int r = sd_bus_message_enter_container(reply, SD_BUS_TYPE_ARRAY, "(sa{sv})");

        while (r >= 0 && (r = read_session(reply, all)) > 0)
                ;
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&all);
        return 0;
}

int figures_options(sd_bus_message *message, const char *id) {
        return id ? append_options(message, "id", "s", id, NULL) : append_options(message, NULL);
}

Figures *figures_get(Ctl *ctl, const char *id) {
        g_autoptr(sd_bus_message) message = NULL, reply = NULL;
        g_autoptr(GPtrArray) all = NULL;
        int r;

        if (ctl_new_call(ctl, HOST_PATH, HOST_INTERFACE, "GetStatistics", &message) != EXIT_OK)
                return NULL;
        r = figures_options(message, id);
        if (r >= 0)
                r = ctl_ask(ctl, message, CALL_QUICK, NULL, &reply);
        if (r >= 0)
                r = figures_read(reply, &all);
        return r >= 0 && all->len == 1 ? g_ptr_array_steal_index(all, 0) : NULL;
}

static uint64_t count_before(const GArray *latency, guint *at, uint64_t below_usec) {
        while (latency && *at < latency->len && g_array_index(latency, LatencyBucket, *at).below_usec < below_usec)
                (*at)++;
        return latency && *at < latency->len && g_array_index(latency, LatencyBucket, *at).below_usec == below_usec
                       ? g_array_index(latency, LatencyBucket, *at).count
                       : 0;
}

/* What was counted since; a session that was loaded anew has less than before, then all of it is new. */
static GArray *latency_since(const GArray *before, const GArray *now) {
        GArray *since = g_array_new(false, false, sizeof(LatencyBucket));
        guint at = 0;

        for (guint i = 0; i < now->len; i++) {
                LatencyBucket bucket = g_array_index(now, LatencyBucket, i);
                uint64_t old = count_before(before, &at, bucket.below_usec);

                if (old > bucket.count) {
                        g_array_unref(since);
                        return latency_since(NULL, now);
                }
                bucket.count -= old;
                g_array_append_val(since, bucket);
        }
        return since;
}

uint64_t figures_latency(const Figures *before, const Figures *now, double part) {
        g_autoptr(GArray) since = latency_since(before ? before->latency : NULL, now->latency);
        uint64_t total = 0, seen = 0;

        for (guint i = 0; i < since->len; i++)
                total += g_array_index(since, LatencyBucket, i).count;
        for (guint i = 0; i < since->len; i++) {
                seen += g_array_index(since, LatencyBucket, i).count;
                if (seen > 0 && (double) seen >= ceil((double) total * part))
                        return g_array_index(since, LatencyBucket, i).below_usec;
        }
        return 0;
}
