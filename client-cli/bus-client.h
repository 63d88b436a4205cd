/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Talking to plugind. Whatever fails is told on stderr here, with the next step where there is one; callers pass the exit status on. */
#pragma once

#include "ctl.h"

#include <systemd/sd-event.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_bus_message, sd_bus_message_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_bus_slot, sd_bus_slot_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_event, sd_event_unref)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(sd_bus_error, sd_bus_error_free)

/* For calls that wait for a plugin: as long as it takes, unless --timeout= says otherwise. */
#define CALL_WAITS USEC_INFINITY
#define CALL_QUICK UINT64_C(0) /* sd-bus' own 25 s, unless --timeout= */

/* 0 or an exit status, as all functions here. */
int ctl_connect(Ctl *ctl);

/* Tells of an error (ERROR, else the negative errno R) about SUBJECT (an id, or NULL). Returns the exit status that fits. */
int ctl_report(const Ctl *ctl, const char *subject, const sd_bus_error *error, int r);

/* The object path of a session. Newly allocated; NULL only for an id that cannot be one (which has been told). */
char *session_to_path(const char *id);
/* The id of a session's object; NULL if PATH is none. */
char *session_path_to_id(const char *path);

/* A call to be filled with arguments. Connects first. */
int ctl_new_call(Ctl *ctl, const char *path, const char *interface, const char *member, sd_bus_message **ret);
/* Sends MESSAGE and waits; whatever else comes meanwhile is dispatched. Not for handlers of messages. REPLY may be NULL. The first tells nothing:
 * 0 or -errno, with ERROR if that was the answer. */
int ctl_ask(Ctl *ctl, sd_bus_message *message, uint64_t timeout_usec, sd_bus_error *error, sd_bus_message **reply);
int ctl_call(Ctl *ctl, sd_bus_message *message, uint64_t timeout_usec, const char *subject, sd_bus_message **reply);

/* All properties of INTERFACE of an object; D-Bus names, values as JSON. */
int ctl_get_properties(Ctl *ctl, const char *path, const char *interface, const char *subject, JsonObject **ret);
int session_get_properties(Ctl *ctl, const char *id, JsonObject **ret);
/* Host.ListSessions: for each the dictionary, with "id" and "path" put in. */
int ctl_list_sessions(Ctl *ctl, JsonArray **ret);

/* Appends the options of a call, an a{sv}: NULL-terminated (key, type, value) triples, as sd_bus_message_append() takes them. */
int append_options(sd_bus_message *message, const char *key, ...);

/* --timeout=, else TIMEOUT_USEC. */
uint64_t ctl_timeout(const Ctl *ctl, uint64_t timeout_usec);

/* The unique name of plugind on the bus (newly allocated): whoever else sends us signals is not it. */
int ctl_get_owner(Ctl *ctl, char **ret);

/* A loop that serves the bus; INTERRUPTED is called for SIGINT and SIGTERM, with the signal as its si->ssi_signo. */
int ctl_new_event(Ctl *ctl, sd_event_signal_handler_t interrupted, void *userdata, sd_event **ret);

/*
 * One call for each of several sessions, as many in flight at once as a bus takes.
 */
typedef int (*FillCall)(Ctl *ctl, sd_bus_message *message, void *userdata); /* appends arguments: 0 or -errno */

/* Calls MEMBER of the session of each id, and waits for all answers. The exit status of the first that fails. */
int sessions_call(Ctl *ctl, char **ids, const char *member, uint64_t timeout_usec, FillCall fill, void *userdata);

/*
 * Reading dictionaries that came as JSON: "" or 0 when absent or of another type.
 */
const char *dict_string(JsonObject *dict, const char *key);
uint64_t dict_uint(JsonObject *dict, const char *key);
/* Is STRING in the array? */
bool dict_has_string(JsonObject *dict, const char *key, const char *string);
