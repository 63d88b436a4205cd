/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is said to systemd, in order, and never more of it at once than a bus takes: dbus-daemon on the system bus refuses a connection's
 * 129th call that waits for its answer, and a StopUnit that is refused leaves a plugin running.
 */
#pragma once

#include <systemd/sd-bus.h>

typedef struct SystemdCalls SystemdCalls;
typedef struct SystemdCall SystemdCall;

SystemdCalls *systemd_calls_new(sd_bus *bus);
/* What waits is said, and nothing is heard any more. */
SystemdCalls *systemd_calls_free(SystemdCalls *calls);

/* Says MESSAGE, now or later. ANSWERED (NULL: does not matter) hears the answer; *ret (may be NULL) is over when it is called. Does not
 * fail once others wait. */
int systemd_calls_send(SystemdCalls *calls, sd_bus_message *message, sd_bus_message_handler_t answered, void *userdata, SystemdCall **ret);
int systemd_calls_sendv(SystemdCalls *calls, const char *path, const char *interface, const char *member, sd_bus_message_handler_t answered,
                        void *userdata, SystemdCall **ret, const char *types, va_list args);

/* It is said all the same, but its answer does not matter any more. CALL may be NULL. */
SystemdCall *systemd_call_forget(SystemdCall *call);
