/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* load, unload, reload */
#include "bus-client.h"

#include <string.h>

/* A path is what looks like one; the daemon has another working directory. */
static char *absolute_source(const char *source) {
        if (!strchr(source, '/') && !g_str_has_suffix(source, ".json"))
                return g_strdup(source);
        return g_canonicalize_filename(source, NULL);
}

static char *id_of_source(const char *source) {
        g_autofree char *name = g_path_get_basename(source);

        if (strchr(source, '/') && g_str_has_suffix(name, ".json"))
                name[strlen(name) - strlen(".json")] = '\0';
        return g_steal_pointer(&name);
}

static int append_load_options(const Ctl *ctl, sd_bus_message *m, const char *manifest, const char *configuration) {
        int r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");

        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}", "wait", "b", !ctl->no_block);
        if (r >= 0 && manifest)
                r = sd_bus_message_append(m, "{sv}", "manifest", "s", manifest);
        if (r >= 0 && configuration)
                r = sd_bus_message_append(m, "{sv}", "configuration", "s", configuration);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int load(Ctl *ctl, const char *argument, const char *manifest, const char *configuration) {
        g_autofree char *source = manifest ? g_strdup(argument) : absolute_source(argument), *subject = id_of_source(source), *id = NULL;
        g_autoptr(sd_bus_message) message = NULL, reply = NULL;
        const char *path;
        int r = ctl_new_call(ctl, HOST_PATH, HOST_INTERFACE, "Load", &message);

        if (r != EXIT_OK)
                return r;
        r = sd_bus_message_append(message, "s", source);
        if (r >= 0)
                r = append_load_options(ctl, message, manifest, configuration);
        if (r < 0)
                return ctl_report(ctl, subject, NULL, r);
        r = ctl_call(ctl, message, CALL_WAITS, subject, &reply);
        if (r != EXIT_OK)
                return r;
        r = sd_bus_message_read(reply, "o", &path);
        if (r < 0)
                return ctl_report(ctl, subject, NULL, r);
        id = session_path_to_id(path);
        if (!ctl->quiet)
                printf("%s\n", id ?: path);
        return EXIT_OK;
}

int verb_load(Ctl *ctl, char **args) {
        g_autofree char *manifest = NULL, *configuration = NULL;
        int status = EXIT_OK;

        if (ctl->manifest && args[1]) {
                complain("--manifest= is the manifest of one plugin, but %u ids are given", g_strv_length(args));
                return EXIT_USAGE;
        }
        if (ctl->manifest && !(manifest = read_argument(ctl->manifest, "--manifest=")))
                return EXIT_FAILED;
        if (ctl->configuration && !(configuration = read_argument(ctl->configuration, "--configuration=")))
                return EXIT_FAILED;

        for (size_t i = 0; args[i]; i++) {
                int r = load(ctl, args[i], manifest, configuration);
                if (status == EXIT_OK)
                        status = r;
        }
        return status;
}

static int unload(Ctl *ctl, const char *id) {
        g_autoptr(sd_bus_message) message = NULL;
        int r = ctl_new_call(ctl, HOST_PATH, HOST_INTERFACE, "Unload", &message);

        if (r != EXIT_OK)
                return r;
        r = sd_bus_message_append(message, "s", id);
        if (r >= 0)
                r = ctl->force ? append_options(message, "force", "b", true, NULL) : append_options(message, NULL);
        return r < 0 ? ctl_report(ctl, id, NULL, r) : ctl_call(ctl, message, CALL_WAITS, id, NULL);
}

int verb_unload(Ctl *ctl, char **args) {
        int status = EXIT_OK;

        for (size_t i = 0; args[i]; i++) {
                int r = unload(ctl, args[i]);
                if (status == EXIT_OK)
                        status = r;
        }
        return status;
}

int verb_reload(Ctl *ctl, char **args) {
        g_autoptr(sd_bus_message) message = NULL;
        int r = ctl_new_call(ctl, HOST_PATH, HOST_INTERFACE, "Reload", &message);

        if (r != EXIT_OK)
                return r;
        r = append_options(message, NULL);
        return r < 0 ? ctl_report(ctl, NULL, NULL, r) : ctl_call(ctl, message, CALL_QUICK, NULL, NULL);
}
