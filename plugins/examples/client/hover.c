/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an editor does with a language server that plugind hosts: hover [SESSION]
 * Opens a document, asks what stands under the cursor, and hears, as a signal for it alone, what is wrong with the text.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>

#define DOCUMENT "\"uri\": \"file:///tmp/plugind-hover.c\""
#define TEXT "/** What it is all about. */\\nint answer = 42;\\nint main(void) { return anser; }\\n"
#define DIAGNOSTICS "textDocument/publishDiagnostics"

static const char *path; /* of the session */

static int call(sd_bus *bus, sd_bus_message **reply, const char *object, const char *interface, const char *method, const char *types,
                const char *first, const char *second) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        if (second)
                r = sd_bus_call_method(bus, "org.plugind1", object, interface, method, &error, reply, types, first, second, 0);
        else
                r = sd_bus_call_method(bus, "org.plugind1", object, interface, method, &error, reply, types, first, 0);
        if (r < 0)
                fprintf(stderr, "%s: %s\n", method, error.message ? error.message : strerror(-r));
        sd_bus_error_free(&error);
        return r;
}

static int session_call(sd_bus *bus, sd_bus_message **reply, const char *member, const char *method, const char *params) {
        return call(bus, reply, path, "org.plugind1.Session", member, "ssa{sv}", method, params);
}

static int on_notification(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *request, *method, *params;
        bool *heard = userdata;

        if (sd_bus_message_read(message, "sss", &request, &method, &params) < 0)
                return 0;
        printf("%s\n    %s\n", method, params);
        *heard = strcmp(method, DIAGNOSTICS) == 0;
        return 0;
}

/* Returns once the diagnostics have come. */
static int edit(sd_bus *bus, const char *session) {
        sd_bus_message *loaded = NULL, *hover = NULL;
        const char *result;
        bool heard = false;
        int r;

        r = call(bus, &loaded, "/org/plugind1", "org.plugind1.Host", "Load", "sa{sv}", session, NULL);
        if (r >= 0)
                r = sd_bus_message_read(loaded, "o", &path);
        if (r >= 0)
                r = sd_bus_match_signal(bus, NULL, "org.plugind1", path, "org.plugind1.Session", "Notification", on_notification, &heard);
        if (r >= 0)
                r = sd_bus_call_method(bus, "org.plugind1", path, "org.plugind1.Session", "Subscribe", NULL, NULL, "asa{sv}", 1,
                                       DIAGNOSTICS, 0);
        if (r >= 0)
                r = session_call(bus, NULL, "Notify", "textDocument/didOpen",
                                 "{\"textDocument\": {" DOCUMENT ", \"languageId\": \"c\", \"version\": 1, \"text\": \"" TEXT "\"}}");
        if (r >= 0)
                r = session_call(bus, &hover, "Send", "textDocument/hover",
                                 "{\"textDocument\": {" DOCUMENT "}, \"position\": {\"line\": 1, \"character\": 5}}");
        if (r >= 0)
                r = sd_bus_message_read(hover, "s", &result);
        if (r >= 0)
                printf("textDocument/hover\n    %s\n", result);
        while (r >= 0 && !heard) {
                r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, UINT64_MAX);
        }
        sd_bus_message_unref(hover);
        sd_bus_message_unref(loaded);
        return r;
}

int main(int argc, char **argv) {
        sd_bus *bus = NULL;
        int r;

        r = sd_bus_open_user(&bus);
        if (r >= 0)
                r = edit(bus, argc > 1 ? argv[1] : "clangd");
        if (r < 0)
                fprintf(stderr, "hover: %s\n", strerror(-r));
        sd_bus_flush_close_unref(bus);
        return r < 0;
}
