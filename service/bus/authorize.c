/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/authorize.h"

#include <glib.h>

/* A property is read by sd-bus without asking us: all of them are for all, and hold no secrets. */
static const struct {
        const char *interface, *member;
        Right right;
} rights[] = {
        { "org.plugind1.Session", "Send", RIGHT_CHANGE },
        { "org.plugind1.Session", "SendBytes", RIGHT_CHANGE },
        { "org.plugind1.Session", "Notify", RIGHT_CHANGE },
        { "org.plugind1.Session", "Cancel", RIGHT_CHANGE },
        { "org.plugind1.Session", "Subscribe", RIGHT_CHANGE },
        { "org.plugind1.Session", "Unsubscribe", RIGHT_CHANGE },
        { "org.plugind1.Session", "SetActiveState", RIGHT_CHANGE },
        { "org.plugind1.Session", "Restart", RIGHT_CHANGE },
        { "org.plugind1.Session", "Connect", RIGHT_CHANGE },
        { "org.plugind1.Session", "Kill", RIGHT_CHANGE },
        { "org.plugind1.Session", "ResetFailed", RIGHT_CHANGE },
        { "org.plugind1.Session", "GetLogLines", RIGHT_CHANGE }, /* stderr may hold secrets */
        { "org.plugind1.Session", "GetHistory", RIGHT_READ },
        { "org.plugind1.Host", "Load", RIGHT_CHANGE },
        { "org.plugind1.Host", "Unload", RIGHT_CHANGE },
        { "org.plugind1.Host", "Connect", RIGHT_CHANGE },
        { "org.plugind1.Host", "Reload", RIGHT_CHANGE },
        { "org.plugind1.Host", "GetSession", RIGHT_READ },
        { "org.plugind1.Host", "ListSessions", RIGHT_READ },
        { "org.plugind1.Host", "GetStatistics", RIGHT_READ },
};

Right authorize_right(const char *interface, const char *member) {
        for (size_t i = 0; i < G_N_ELEMENTS(rights); i++)
                if (g_str_equal(rights[i].member, member) && g_str_equal(rights[i].interface, interface))
                        return rights[i].right;
        return RIGHT_CHANGE;
}

int authorize_change(const Caller *caller, uid_t allowed, const char *interface, const char *member, PlugindError *error) {
        g_autofree char *who = NULL;

        if (caller->uid == allowed)
                return 0;
        who = allowed == 0 ? g_strdup("root") : g_strdup_printf("uid %u", (unsigned) allowed);
        return plugind_error_set(error, PLUGIND_ERROR_ACCESS_DENIED, "%s.%s is for %s only, and %s is uid %u", interface, member, who,
                                 caller->name, (unsigned) caller->uid);
}
