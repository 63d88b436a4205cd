/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verify: reads manifests here, with the daemon's own code; no daemon is asked */
#include "ctl.h"
#include "host/manifest.h"

static int verify(const Ctl *ctl, const char *argument) {
        g_autofree char *path = g_canonicalize_filename(argument, NULL);
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;
        Manifest *manifest = NULL;

        if (manifest_load(path, &manifest, &error) < 0) {
                complain("%s", error.message);
                return error.code == PLUGIND_ERROR_NO_SUCH_PLUGIN ? EXIT_NO_SUCH : EXIT_FAILED;
        }
        if (!ctl->quiet)
                printf("%s: ok\n", argument);
        manifest_unref(manifest);
        return EXIT_OK;
}

int verb_verify(Ctl *ctl, char **args) {
        int status = EXIT_OK;

        for (size_t i = 0; args[i]; i++) {
                int r = verify(ctl, args[i]);
                if (status == EXIT_OK)
                        status = r;
        }
        return status;
}
