/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What every verb is given, and how it ends. */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <systemd/sd-bus.h>

#define HOST_NAME "org.plugind1"
#define HOST_PATH "/org/plugind1"
#define HOST_INTERFACE "org.plugind1.Host"
#define SESSION_PATH "/org/plugind1/session"
#define SESSION_INTERFACE "org.plugind1.Session"
#define ERROR_PREFIX "org.plugind1.Error."

#define USEC_PER_SEC UINT64_C(1000000)
#define USEC_INFINITY UINT64_MAX

#define ITERATIONS_DEFAULT UINT32_MAX

/* Largest JSON, manifest or configuration that is read from a file or stdin: as much as a D-Bus message could carry. */
#define ARGUMENT_SIZE_MAX (128 * 1024 * 1024)

typedef enum ExitStatus {
        EXIT_OK = 0,
        EXIT_FAILED = 1,
        EXIT_USAGE = 2,
        EXIT_NOT_ACTIVE = 3,
        EXIT_NO_SUCH = 4,
        EXIT_INTERRUPTED = 130,
} ExitStatus;

typedef enum JsonMode { JSON_OFF, JSON_SHORT, JSON_PRETTY } JsonMode;

typedef struct Ctl {
        const char *verb;

        /* which bus */
        bool user;
        const char *host, *machine; /* at most one of them */
        sd_bus *bus;                /* once ctl_connect() was called */

        /* how to print */
        JsonMode json;
        bool no_pager, no_legend, quiet, full;

        /* options of single verbs */
        uint64_t timeout_usec; /* 0: not given */
        bool no_block, force, follow, value, envelope;
        int lines;           /* -1: not given */
        uint64_t since_usec; /* CLOCK_REALTIME; 0: not given */
        bool batch;
        unsigned iterations;   /* 0: without end */
        uint64_t delay_usec;   /* 0: not given */
        const char *order;     /* NULL: not given */
        GPtrArray *properties; /* of char *, given with -p; NULL: all */
        const char *configuration, *manifest;
        const char *kill_whom;
        int signal;
} Ctl;

/* ARGS: what follows the verb, NULL-terminated. */
typedef int (*VerbFunction)(Ctl *ctl, char **args);

int verb_list(Ctl *ctl, char **args);
int verb_status(Ctl *ctl, char **args);
int verb_show(Ctl *ctl, char **args);
int verb_cat(Ctl *ctl, char **args);
int verb_load(Ctl *ctl, char **args);
int verb_unload(Ctl *ctl, char **args);
int verb_reload(Ctl *ctl, char **args);
int verb_start(Ctl *ctl, char **args);
int verb_stop(Ctl *ctl, char **args);
int verb_restart(Ctl *ctl, char **args);
int verb_send(Ctl *ctl, char **args);
int verb_notify(Ctl *ctl, char **args);
int verb_kill(Ctl *ctl, char **args);
int verb_reset_failed(Ctl *ctl, char **args);
int verb_verify(Ctl *ctl, char **args);
int verb_monitor(Ctl *ctl, char **args);
int verb_logs(Ctl *ctl, char **args);
int verb_plot(Ctl *ctl, char **args);
int verb_top(Ctl *ctl, char **args);

/* False with -H or -M: files, processes and the journal of this machine are not plugind's then. */
static inline bool ctl_local(const Ctl *ctl) {
        return !ctl->host && !ctl->machine;
}

/* The pager, unless --no-pager. */
void ctl_pager(const Ctl *ctl);

/* "pluginctl --user -H host": what a next step that is suggested begins with. Newly allocated. */
char *ctl_self(const Ctl *ctl);

/* "pluginctl: ..." on stderr; nothing of it is obeyed by the terminal. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A line that says what to do next. */
void advise(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What is said by a JSON|-|@FILE argument; NULL when it could not be read, which has been told then. */
char *read_argument(const char *argument, const char *what);

/* NODE as --json= wants it, and a line feed. Keeps NODE. */
void print_json(const Ctl *ctl, JsonNode *node);
/* JSON text in the same ways. */
void print_json_text(JsonMode mode, const char *json);
