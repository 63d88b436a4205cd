/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon-line.h"

#include "bus-client.h"
#include "text.h"

char *daemon_line(JsonObject *host, JsonObject *session, uint64_t now_usec) {
        uint64_t since = host ? dict_uint(host, "StartedAt") : 0, n = host ? dict_uint(host, "HandOvers") : 0;

        if (since == 0)
                return NULL;
        g_autofree char *time = text_timestamp(since), *ago = text_ago(since, now_usec);
        GString *line = g_string_new(NULL);
        g_string_append_printf(line, "since %s; %s", time, ago);
        if (n > 0)
                g_string_append_printf(line, ", %" PRIu64 " hand-over%s", n, n == 1 ? "" : "s");
        if (n > 0 && session && json_object_has_member(session, "HandOvers"))
                g_string_append_printf(line, " (this session: %" PRIu64 ")", dict_uint(session, "HandOvers"));
        return g_string_free(line, false);
}
