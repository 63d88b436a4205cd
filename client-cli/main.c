/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pluginctl: what is hosted by plugind, at the command line */
#include "options.h"
#include "terminal.h"

#include <locale.h>
#include <string.h>

static const Verb verbs[] = {
        { "list", 0, 0, verb_list, "", "List loaded plugins (also without a verb)" },
        { "status", 0, ANY, verb_status, "[ID...]", "Show what plugins, or plugind itself, are doing" },
        { "show", 0, ANY, verb_show, "[ID...]", "Show all properties of plugins, or of plugind" },
        { "cat", 1, ANY, verb_cat, "ID...", "Show the manifest files of plugins" },
        { "load", 1, ANY, verb_load, "ID|FILE...", "Load plugins" },
        { "unload", 1, ANY, verb_unload, "ID...", "Stop plugins and forget them" },
        { "reload", 0, 0, verb_reload, "", "Read all manifests again" },
        { "start", 1, ANY, verb_start, "ID...", "Start plugins" },
        { "stop", 1, ANY, verb_stop, "ID...", "Stop plugins" },
        { "restart", 1, ANY, verb_restart, "ID...", "Stop and start plugins" },
        { "send", 2, 3, verb_send, "ID METHOD [JSON|-|@FILE]", "Send a request and print the result" },
        { "notify", 2, 3, verb_notify, "ID METHOD [JSON|-|@FILE]", "Send a notification" },
        { "kill", 1, ANY, verb_kill, "ID...", "Send a signal to the processes of plugins" },
        { "reset-failed", 0, ANY, verb_reset_failed, "[ID...]", "Clear the failures of plugins" },
        { "verify", 1, ANY, verb_verify, "FILE...", "Check manifest files" },
        { "monitor", 0, 1, verb_monitor, "[ID]", "Print signals as they come" },
        { "top", 0, 0, verb_top, "", "Show what plugins use, again and again" },
        { "plot", 0, ANY, verb_plot, "[ID...]", "Draw what sessions went through, as an SVG picture" },
        { "logs", 1, 1, verb_logs, "ID", "Show what a plugin wrote to its log" },
};

static const Verb *find_verb(const char *name) {
        for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++)
                if (strcmp(verbs[i].name, name) == 0)
                        return &verbs[i];
        complain("unknown verb \"%s\"", name);
        advise("pluginctl --help lists them.");
        return NULL;
}

static bool check_arguments(const Verb *verb, unsigned n) {
        if (n >= verb->n_min && n <= verb->n_max)
                return true;
        complain("%s takes %s: pluginctl %s %s", verb->name,
                 n < verb->n_min    ? "more arguments"
                 : *verb->arguments ? "fewer arguments"
                                    : "none",
                 verb->name, verb->arguments);
        return false;
}

static int run(Ctl *ctl, char **args) {
        const Verb *verb = find_verb(args[0] ?: "list");

        if (args[0])
                args++;
        if (!verb || !check_arguments(verb, g_strv_length(args)) || !options_fit(ctl, verb->name))
                return EXIT_USAGE;
        ctl->verb = verb->name;
        return verb->run(ctl, args);
}

static int finish(int status) {
        if ((fflush(stdout) != 0 || ferror(stdout)) && status == EXIT_OK) {
                complain("cannot write to standard output");
                status = EXIT_FAILED;
        }
        pager_close();
        return status;
}

int main(int argc, char *argv[]) {
        Ctl ctl = CTL_INIT;
        char **args;

        setlocale(LC_ALL, "");
        terminal_init();

        int status = options_parse(&ctl, argc, argv, &args);
        if (status == OPTIONS_HELP)
                status = options_help(verbs, G_N_ELEMENTS(verbs));
        else if (status == OPTIONS_VERSION)
                status = options_version();
        else if (status == EXIT_OK)
                status = run(&ctl, args);

        status = finish(status);
        ctl_clear(&ctl);
        return status;
}
