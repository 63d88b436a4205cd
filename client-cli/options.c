/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "options.h"

#include "terminal.h"
#include "text-time.h"
#include "text.h"
#include "top-rows.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

typedef enum OptionCode {
        OPTION_USER = 256,
        OPTION_SYSTEM,
        OPTION_JSON,
        OPTION_NO_PAGER,
        OPTION_NO_LEGEND,
        OPTION_TIMEOUT,
        OPTION_VERSION,
        OPTION_VALUE,
        OPTION_NO_BLOCK,
        OPTION_WAIT,
        OPTION_CONFIGURATION,
        OPTION_MANIFEST,
        OPTION_FORCE,
        OPTION_ENVELOPE,
        OPTION_KILL_WHOM,
        OPTION_ITERATIONS,
        OPTION_ORDER,
        OPTION_SINCE,
} OptionCode;

typedef struct Option {
        int code; /* also the short one, below 256 */
        const char *name, *argument, *verbs, *help;
} Option;

/* VERBS: those it means something to, with spaces around each; NULL: all. */
static const Option options[] = {
        { 'h', "help", NULL, NULL, "Show this help" },
        { OPTION_VERSION, "version", NULL, NULL, "Show the version" },
        { OPTION_USER, "user", NULL, NULL, "Talk to the plugind of the calling user" },
        { OPTION_SYSTEM, "system", NULL, NULL, "Talk to the system's plugind (default)" },
        { 'H', "host", "[USER@]HOST", NULL, "On another machine, by ssh" },
        { 'M', "machine", "CONTAINER", NULL, "In a local container" },
        { OPTION_JSON, "json", "pretty|short|off", NULL, "Print JSON" },
        { 'j', NULL, NULL, NULL, "As --json=pretty on a terminal, else --json=short" },
        { OPTION_NO_PAGER, "no-pager", NULL, NULL, "Do not pipe output into a pager" },
        { OPTION_NO_LEGEND, "no-legend", NULL, NULL, "No headers and no counts" },
        { 'q', "quiet", NULL, NULL, "Print less" },
        { OPTION_TIMEOUT, "timeout", "TIME", NULL, "Give up after TIME (5, 1min 30s, infinity)" },
        { 'l', "full", NULL, " list status top ", "Do not cut lines to the terminal's width" },
        { 'n', "lines", "N", " status logs top ", "How many lines of the log (top: as --iterations)" },
        { 'f', "follow", NULL, " logs ", "Print new lines as they come" },
        { OPTION_SINCE, "since", "TIME", " logs plot ", "Only what came from then on" },
        { 'b', "batch", NULL, " top ", "Print one look after the other, also on a terminal" },
        { 'd', "delay", "TIME", " top ", "How long from one look to the next (1s)" },
        { OPTION_ITERATIONS, "iterations", "N", " top ", "Stop after N looks; 0: never" },
        { OPTION_ORDER, "order", "COLUMN", " top ", "Sort by name, cpu, memory, tasks, restarts, in-flight, calls or p99" },
        { 'p', "property", "NAME,...", " show ", "Only these properties" },
        { OPTION_VALUE, "value", NULL, " show ", "Only the values" },
        { OPTION_NO_BLOCK, "no-block", NULL, " load start stop restart ", "Do not wait until it is done" },
        { OPTION_WAIT, "wait", NULL, " load start stop restart ", "Wait until it is done (default)" },
        { OPTION_CONFIGURATION, "configuration", "JSON|-|@FILE", " load ", "Instead of the manifest's configuration" },
        { OPTION_MANIFEST, "manifest", "JSON|-|@FILE", " load ", "The manifest itself, for this session only" },
        { OPTION_FORCE, "force", NULL, " unload ", "Also what others have bound to themselves" },
        { OPTION_ENVELOPE, "envelope", NULL, " send ", "Print the whole JSON-RPC response, errors too" },
        { 's', "signal", "SIGNAL", " kill ", "Which signal (TERM)" },
        { OPTION_KILL_WHOM, "kill-whom", "main|all", " kill ", "Which processes (all)" },
};

static uint64_t given; /* a bit for each of OPTIONS */

static int usage(void) {
        advise("pluginctl --help lists verbs and options.");
        return EXIT_USAGE;
}

static int bad_value(const Option *option, const char *value, const char *expected) {
        complain("--%s=: found \"%s\", expected %s", option->name, value, expected);
        return EXIT_USAGE;
}

static int parse_json_mode(Ctl *ctl, const Option *option, const char *value) {
        static const char *const modes[] = { [JSON_OFF] = "off", [JSON_SHORT] = "short", [JSON_PRETTY] = "pretty" };

        for (size_t i = 0; i < G_N_ELEMENTS(modes); i++)
                if (strcmp(modes[i], value) == 0) {
                        ctl->json = (JsonMode) i;
                        return EXIT_OK;
                }
        return bad_value(option, value, "\"pretty\", \"short\" or \"off\"");
}

static int parse_timeout(Ctl *ctl, const Option *option, const char *value) {
        if (text_parse_timespan(value, &ctl->timeout_usec) < 0 || ctl->timeout_usec == 0)
                return bad_value(option, value, "a time above 0, such as \"5\", \"250ms\", \"1min 30s\" or \"infinity\"");
        return EXIT_OK;
}

static int parse_lines(Ctl *ctl, const Option *option, const char *value) {
        guint64 lines;

        if (strcmp(value, "all") == 0)
                lines = INT_MAX - 1;
        else if (!g_ascii_string_to_unsigned(value, 10, 0, INT_MAX - 1, &lines, NULL))
                return bad_value(option, value, "a number of lines or \"all\"");
        ctl->lines = (int) lines;
        return EXIT_OK;
}

static int parse_iterations(Ctl *ctl, const Option *option, const char *value) {
        guint64 n;

        if (!g_ascii_string_to_unsigned(value, 10, 0, INT_MAX, &n, NULL))
                return bad_value(option, value, "a number; 0 is without end");
        ctl->iterations = (unsigned) n;
        return EXIT_OK;
}

static int parse_delay(Ctl *ctl, const Option *option, const char *value) {
        if (text_parse_timespan(value, &ctl->delay_usec) < 0 || ctl->delay_usec < USEC_PER_SEC / 100 || ctl->delay_usec == USEC_INFINITY)
                return bad_value(option, value, "a time of 10ms or more, such as \"5\" or \"500ms\"");
        return EXIT_OK;
}

static int parse_since(Ctl *ctl, const Option *option, const char *value) {
        if (text_parse_time(value, (uint64_t) g_get_real_time(), &ctl->since_usec) < 0)
                return bad_value(option, value, TEXT_TIME_EXPECTED);
        return EXIT_OK;
}

static int parse_order(Ctl *ctl, const Option *option, const char *value) {
        if (top_order_from_string(value) == _TOP_ORDER_MAX)
                return bad_value(option, value, "name, cpu, memory, tasks, restarts, in-flight, calls or p99");
        ctl->order = value;
        return EXIT_OK;
}

static int parse_properties(Ctl *ctl, const char *value) {
        g_auto(GStrv) names = g_strsplit(value, ",", -1);

        if (!ctl->properties)
                ctl->properties = g_ptr_array_new_with_free_func(g_free);
        for (size_t i = 0; names[i]; i++)
                if (*names[i])
                        g_ptr_array_add(ctl->properties, g_strdup(names[i]));
        return EXIT_OK;
}

static int parse_kill_whom(Ctl *ctl, const Option *option, const char *value) {
        if (strcmp(value, "main") != 0 && strcmp(value, "all") != 0)
                return bad_value(option, value, "\"main\" or \"all\"");
        ctl->kill_whom = value;
        return EXIT_OK;
}

static int parse_place(const char **place, const Option *option, const char *value) {
        if (*value == '\0' || *value == '-') /* would become an option of ssh */
                return bad_value(option, value, option->argument);
        *place = value;
        return EXIT_OK;
}

static int parse_option(Ctl *ctl, const Option *option, const char *value) {
        switch (option->code) {
        case 'h':
                return OPTIONS_HELP;
        case OPTION_VERSION:
                return OPTIONS_VERSION;
        case OPTION_USER:
        case OPTION_SYSTEM:
                ctl->user = option->code == OPTION_USER;
                return EXIT_OK;
        case 'H':
                return parse_place(&ctl->host, option, value);
        case 'M':
                return parse_place(&ctl->machine, option, value);
        case OPTION_JSON:
                return parse_json_mode(ctl, option, value);
        case 'j':
                ctl->json = terminal_is_stdout() ? JSON_PRETTY : JSON_SHORT;
                return EXIT_OK;
        case OPTION_NO_PAGER:
                ctl->no_pager = true;
                return EXIT_OK;
        case OPTION_NO_LEGEND:
                ctl->no_legend = true;
                return EXIT_OK;
        case 'q':
                ctl->quiet = true;
                return EXIT_OK;
        case OPTION_TIMEOUT:
                return parse_timeout(ctl, option, value);
        case 'l':
                ctl->full = true;
                return EXIT_OK;
        case 'n':
                return parse_lines(ctl, option, value);
        case 'f':
                ctl->follow = true;
                return EXIT_OK;
        case OPTION_SINCE:
                return parse_since(ctl, option, value);
        case 'b':
                ctl->batch = true;
                return EXIT_OK;
        case 'd':
                return parse_delay(ctl, option, value);
        case OPTION_ITERATIONS:
                return parse_iterations(ctl, option, value);
        case OPTION_ORDER:
                return parse_order(ctl, option, value);
        case 'p':
                return parse_properties(ctl, value);
        case OPTION_VALUE:
                ctl->value = true;
                return EXIT_OK;
        case OPTION_NO_BLOCK:
        case OPTION_WAIT:
                ctl->no_block = option->code == OPTION_NO_BLOCK;
                return EXIT_OK;
        case OPTION_CONFIGURATION:
                ctl->configuration = value;
                return EXIT_OK;
        case OPTION_MANIFEST:
                ctl->manifest = value;
                return EXIT_OK;
        case OPTION_FORCE:
                ctl->force = true;
                return EXIT_OK;
        case OPTION_ENVELOPE:
                ctl->envelope = true;
                return EXIT_OK;
        case 's':
                return text_parse_signal(value, &ctl->signal) < 0 ? bad_value(option, value, "a signal, such as TERM or 15") : EXIT_OK;
        case OPTION_KILL_WHOM:
                return parse_kill_whom(ctl, option, value);
        }
        g_assert_not_reached();
}

static const Option *find_option(int code) {
        for (size_t i = 0; i < G_N_ELEMENTS(options); i++)
                if (options[i].code == code)
                        return &options[i];
        return NULL;
}

static void prepare_getopt(GString *short_options, struct option *long_options) {
        for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
                if (options[i].name)
                        *long_options++ = (struct option){
                                .name = options[i].name,
                                .has_arg = options[i].argument ? required_argument : no_argument,
                                .val = options[i].code,
                        };
                if (options[i].code < 256)
                        g_string_append_printf(short_options, "%c%s", options[i].code, options[i].argument ? ":" : "");
        }
        *long_options = (struct option){};
}

/* What getopt refused. */
static int bad_option(int code, char **argv) {
        const char *word = argv[optind - 1];

        if (code == ':')
                complain("%s needs a value", word);
        else if (g_str_has_prefix(word, "--"))
                complain("unknown option %s", word);
        else
                complain("unknown option -%c", optopt);
        return usage();
}

int options_parse(Ctl *ctl, int argc, char **argv, char ***ret_args) {
        struct option long_options[G_N_ELEMENTS(options) + 1];
        g_autoptr(GString) short_options = g_string_new(":");
        int code;

        prepare_getopt(short_options, long_options);
        optind = 0; /* tests call this more than once */
        given = 0;
        while ((code = getopt_long(argc, argv, short_options->str, long_options, NULL)) >= 0) {
                const Option *option = code == ':' || code == '?' ? NULL : find_option(code);
                if (!option)
                        return bad_option(code, argv);
                given |= UINT64_C(1) << (option - options);
                int r = parse_option(ctl, option, optarg);
                if (r == EXIT_USAGE)
                        return usage();
                if (r != EXIT_OK)
                        return r;
        }
        if (ctl->host && ctl->machine) {
                complain("--host= and --machine= exclude each other");
                return usage();
        }
        if (ctl->host && ctl->user) {
                complain("--user cannot be combined with --host=: ssh leads to the system bus only");
                return usage();
        }
        *ret_args = argv + optind;
        return EXIT_OK;
}

bool options_fit(const Ctl *ctl, const char *verb) {
        g_autofree char *word = g_strconcat(" ", verb, " ", NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(options); i++)
                if (given & UINT64_C(1) << i && options[i].verbs && !strstr(options[i].verbs, word)) {
                        complain("--%s is no option of \"%s\", only of:%s", options[i].name, verb, options[i].verbs);
                        return false;
                }
        return true;
}

static void print_option(const Option *option) {
        g_autofree char *name = option->name ? g_strconcat("--", option->name, option->argument ? "=" : "", option->argument ?: "", NULL)
                                             : g_strdup("");
        g_autofree char *letter = option->code < 256 ? g_strdup_printf("-%c", option->code) : g_strdup("  ");
        g_autofree char *verbs = option->verbs ? g_strdup(option->verbs) : NULL;

        printf("  %s %-28s %s%s%s%s\n", letter, name, option->help, verbs ? " (" : "", verbs ? g_strstrip(verbs) : "", verbs ? ")" : "");
}

int options_help(const Verb *verbs, size_t n_verbs) {
        const char *bold = terminal_colour(ANSI_BOLD), *normal = terminal_colour(ANSI_NORMAL);

        printf("pluginctl [OPTIONS...] [VERB] ...\n\n%sLoad plugins into plugind, talk to them, watch their life.%s\n\nVerbs:\n", bold,
               normal);
        for (size_t i = 0; i < n_verbs; i++) {
                g_autofree char *usage_text = g_strconcat(verbs[i].name, " ", verbs[i].arguments, NULL);
                printf("  %-31s %s\n", usage_text, verbs[i].help);
        }
        printf("\nOptions:\n");
        for (size_t i = 0; i < G_N_ELEMENTS(options); i++)
                print_option(&options[i]);
        printf("\nExit status: 0 success, 1 failure, 2 wrong usage, 3 not active, 4 no such session or plugin.\n"
               "See the pluginctl(1) man page for details.\n");
        return EXIT_OK;
}

int options_version(void) {
        printf("pluginctl %s\n", PROJECT_VERSION);
        return EXIT_OK;
}

void ctl_clear(Ctl *ctl) {
        ctl->bus = sd_bus_flush_close_unref(ctl->bus);
        g_clear_pointer(&ctl->properties, g_ptr_array_unref);
}
