/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-client.h"

#include "bus-json.h"
#include "patience.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>

#define DBUS_ERROR(name) "org.freedesktop.DBus.Error." name

/* What comes with an error: the exit status, and the next step. In ADVICE %1$s is how pluginctl was called, %2$s the session. */
static const struct {
        const char *name;
        int status;
        const char *advice;
        const char *verb; /* NULL: whatever was asked for */
        bool system_only; /* means nothing on a session bus */
} errors[] = {
        { ERROR_PREFIX "NoSuchSession", EXIT_NO_SUCH, "Load it with: %1$s load %2$s", NULL, false },
        { DBUS_ERROR("UnknownObject"), EXIT_NO_SUCH, "Load it with: %1$s load %2$s", NULL, false },
        { ERROR_PREFIX "NoSuchPlugin", EXIT_NO_SUCH, "A manifest can also be named by its path, as in: %1$s load /PATH/OF/ID.json", NULL,
          false },
        { ERROR_PREFIX "NotActive", EXIT_NOT_ACTIVE, "Start it with: %1$s start %2$s", NULL, false },
        { ERROR_PREFIX "StartFailed", EXIT_FAILED, "See also: %1$s status %2$s; %1$s logs %2$s", NULL, false },
        { ERROR_PREFIX "ConnectionLost", EXIT_FAILED, "See also: %1$s status %2$s; %1$s logs %2$s", NULL, false },
        { ERROR_PREFIX "InvalidManifest", EXIT_FAILED, "A manifest file is checked by: pluginctl verify FILE", NULL, false },
        { ERROR_PREFIX "RequestTimedOut", EXIT_FAILED, "Wait longer with --timeout=SECONDS.", NULL, false },
        { ERROR_PREFIX "Busy", EXIT_FAILED, "Unload it all the same with --force.", "unload", false },
        { DBUS_ERROR("AccessDenied"), EXIT_FAILED, "This needs root (sudo); a plugind of your own is asked with --user.", NULL, true },
};

static const char *bus_name(const Ctl *ctl) {
        return ctl->user ? "session bus" : "system bus";
}

/* Cannot be told from the error's name alone: nobody is there to answer. */
static bool report_absence(const Ctl *ctl, const sd_bus_error *error) {
        g_autofree char *where = ctl->host || ctl->machine ? g_strconcat(" of ", ctl->host ?: ctl->machine, NULL) : g_strdup("");

        if (!sd_bus_error_has_names(error, DBUS_ERROR("ServiceUnknown"), DBUS_ERROR("NameHasNoOwner")))
                return false;
        complain("plugind is not running: nobody owns %s on the %s%s", HOST_NAME, bus_name(ctl), where);
        if (ctl->user)
                advise("Start it with: plugind --user");
        else
                advise("Start it with: systemctl start plugind%s", ctl_local(ctl) ? " (a plugind of your own is asked with --user)" : "");
        return true;
}

static void give_advice(const Ctl *ctl, const char *advice, const char *subject) {
        g_autofree char *self = ctl_self(ctl);

        if (!subject && strstr(advice, "%2$s"))
                return;
        g_auto(GStrv) by_self = g_strsplit(advice, "%1$s", -1);
        g_autofree char *half = g_strjoinv(self, by_self);
        g_auto(GStrv) by_subject = g_strsplit(half, "%2$s", -1);
        g_autofree char *text = g_strjoinv(subject ?: "", by_subject);
        advise("%s", text);
}

static const char *error_text(const sd_bus_error *error) {
        return error->message && *error->message ? error->message : error->name;
}

/* plugind's messages often name the session themselves. */
static void complain_about(const char *subject, const char *text) {
        if (!*subject || (g_str_has_prefix(text, subject) && text[strlen(subject)] == ':'))
                complain("%s", text);
        else
                complain("%s: %s", subject, text);
}

/* What carries the connection (ssh, a container) has ended. */
static bool report_lost_carrier(const Ctl *ctl, int r) {
        if (ctl_local(ctl) || (r != -ENOTCONN && r != -ECONNRESET && r != -EPIPE))
                return false;
        complain("the connection to the %s of %s was closed", bus_name(ctl), ctl->host ?: ctl->machine);
        if (ctl->host)
                advise("It needs this to work: ssh %s systemd-stdio-bridge", ctl->host);
        return true;
}

int ctl_report(const Ctl *ctl, const char *subject, const sd_bus_error *error, int r) {
        subject = subject ?: "";

        if (report_lost_carrier(ctl, r))
                return EXIT_FAILED;
        if (!sd_bus_error_is_set(error)) {
                complain_about(subject, g_strerror(-r));
                return EXIT_FAILED;
        }
        if (report_absence(ctl, error))
                return EXIT_FAILED;
        if (sd_bus_error_has_names(error, DBUS_ERROR("NoReply"), DBUS_ERROR("Timeout")) && ctl->timeout_usec > 0) {
                complain_about(subject, "no answer from plugind within --timeout=; what was asked for may still happen");
                return EXIT_FAILED;
        }

        if (sd_bus_error_has_name(error, DBUS_ERROR("UnknownObject"))) /* the object of a session that is not there */
                complain("no session \"%s\" is loaded", subject);
        else
                complain_about(subject, error_text(error));

        for (size_t i = 0; i < G_N_ELEMENTS(errors); i++)
                if (strcmp(error->name, errors[i].name) == 0 && (!errors[i].verb || g_strcmp0(errors[i].verb, ctl->verb) == 0)) {
                        if (!ctl->user || !errors[i].system_only)
                                give_advice(ctl, errors[i].advice, *subject ? subject : NULL);
                        return errors[i].status;
                }
        return EXIT_FAILED;
}

static int open_bus(Ctl *ctl) {
        if (ctl->host)
                return sd_bus_open_system_remote(&ctl->bus, ctl->host);
        if (ctl->machine)
                return ctl->user ? sd_bus_open_user_machine(&ctl->bus, ctl->machine) : sd_bus_open_system_machine(&ctl->bus, ctl->machine);
        return ctl->user ? sd_bus_open_user(&ctl->bus) : sd_bus_open_system(&ctl->bus);
}

/* Only then anything else is said: systemd-stdio-bridge, at the other end of ssh, fails if it hears it together with Hello. */
static int wait_for_hello(sd_bus *bus) {
        int r = 0;

        while (r >= 0 && sd_bus_is_ready(bus) <= 0) {
                if (sd_bus_is_open(bus) <= 0)
                        return -ECONNRESET;
                r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, UINT64_MAX);
                if (r == -EINTR)
                        r = 0;
        }
        return r;
}

int ctl_connect(Ctl *ctl) {
        if (ctl->bus)
                return EXIT_OK;

        int r = open_bus(ctl);
        if (r >= 0)
                r = wait_for_hello(ctl->bus);
        if (r >= 0)
                return EXIT_OK;
        ctl->bus = sd_bus_close_unref(ctl->bus);
        if (report_lost_carrier(ctl, r)) /* so soon that nothing could be said */
                return EXIT_FAILED;

        const char *variable = ctl->user ? "DBUS_SESSION_BUS_ADDRESS" : "DBUS_SYSTEM_BUS_ADDRESS", *address = g_getenv(variable);
        if (ctl->host || ctl->machine)
                complain("cannot connect to the %s of %s: %s", bus_name(ctl), ctl->host ?: ctl->machine, g_strerror(-r));
        else if (r == -ENOMEDIUM) {
                complain("cannot find the session bus: neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set");
                advise("Log in as the user whose plugind is meant, or leave out --user for the system's.");
        } else {
                complain("cannot connect to the %s%s%s%s%s: %s", bus_name(ctl), address ? " at $" : "", address ? variable : "",
                         address ? "=" : "", address ?: "", g_strerror(-r));
                advise(ctl->user ? "Is there a session bus? $%s says where." : "Is dbus.service running? $%s names another bus.", variable);
        }
        return EXIT_FAILED;
}

char *session_to_path(const char *id) {
        char *path = NULL;

        if (*id == '\0' || sd_bus_path_encode(SESSION_PATH, id, &path) < 0)
                complain("\"%s\" is no id of a plugin", id);
        return path;
}

char *session_path_to_id(const char *path) {
        char *id = NULL;

        (void) sd_bus_path_decode(path, SESSION_PATH, &id);
        return id;
}

int ctl_new_call(Ctl *ctl, const char *path, const char *interface, const char *member, sd_bus_message **ret) {
        int status = ctl_connect(ctl);

        if (status != EXIT_OK)
                return status;
        int r = sd_bus_message_new_method_call(ctl->bus, ret, HOST_NAME, path, interface, member);
        return r < 0 ? ctl_report(ctl, NULL, NULL, r) : EXIT_OK;
}

uint64_t ctl_timeout(const Ctl *ctl, uint64_t timeout_usec) {
        return ctl->timeout_usec > 0 ? ctl->timeout_usec : timeout_usec;
}

/* Not 0: of a time-out sd_bus_process() would say then that there was nothing to be done, and we would wait for more. */
static int keep_reply(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        *(sd_bus_message **) userdata = sd_bus_message_ref(reply);
        return 1;
}

int ctl_ask(Ctl *ctl, sd_bus_message *message, uint64_t timeout_usec, sd_bus_error *error, sd_bus_message **reply) {
        g_autoptr(sd_bus_message) answer = NULL;
        g_autoptr(sd_bus_slot) slot = NULL;
        g_auto(Patience) patience = {};
        int r = sd_bus_call_async(ctl->bus, &slot, message, keep_reply, &answer, ctl_timeout(ctl, timeout_usec));

        patience_begin(&patience, ctl);
        while (r >= 0 && !answer)
                r = patience_wait(&patience);
        if (r < 0)
                return r;
        if (sd_bus_message_is_method_error(answer, NULL)) {
                if (sd_bus_is_open(ctl->bus) <= 0) /* sd-bus says so of all that was not answered yet */
                        return -ECONNRESET;
                (void) sd_bus_error_copy(error, sd_bus_message_get_error(answer));
                return -sd_bus_message_get_errno(answer);
        }
        if (reply)
                *reply = g_steal_pointer(&answer);
        return 0;
}

int ctl_call(Ctl *ctl, sd_bus_message *message, uint64_t timeout_usec, const char *subject, sd_bus_message **reply) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int r = ctl_ask(ctl, message, timeout_usec, &error, reply);

        return r < 0 ? ctl_report(ctl, subject, &error, r) : EXIT_OK;
}

int ctl_get_owner(Ctl *ctl, char **ret) {
        g_autoptr(sd_bus_message) message = NULL, reply = NULL;
        int r = ctl_new_call(ctl, HOST_PATH, "org.freedesktop.DBus.Peer", "Ping", &message);

        if (r == EXIT_OK)
                r = ctl_call(ctl, message, CALL_QUICK, NULL, &reply);
        if (r == EXIT_OK)
                *ret = g_strdup(sd_bus_message_get_sender(reply));
        return r;
}

int ctl_new_event(Ctl *ctl, sd_event_signal_handler_t interrupted, void *userdata, sd_event **ret) {
        g_autoptr(sd_event) event = NULL;
        int r = sd_event_new(&event);

        if (r >= 0)
                r = sd_event_add_signal(event, NULL, SIGINT | SD_EVENT_SIGNAL_PROCMASK, interrupted, userdata);
        if (r >= 0)
                r = sd_event_add_signal(event, NULL, SIGTERM | SD_EVENT_SIGNAL_PROCMASK, interrupted, userdata);
        if (r >= 0 && ctl->bus)
                r = sd_bus_attach_event(ctl->bus, event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return ctl_report(ctl, NULL, NULL, r);
        *ret = g_steal_pointer(&event);
        return EXIT_OK;
}

int ctl_get_properties(Ctl *ctl, const char *path, const char *interface, const char *subject, JsonObject **ret) {
        g_autoptr(sd_bus_message) message = NULL, reply = NULL;
        g_autoptr(JsonNode) node = NULL;
        int r = ctl_new_call(ctl, path, "org.freedesktop.DBus.Properties", "GetAll", &message);

        if (r != EXIT_OK)
                return r;
        r = sd_bus_message_append(message, "s", interface);
        if (r < 0)
                return ctl_report(ctl, subject, NULL, r);
        r = ctl_call(ctl, message, CALL_QUICK, subject, &reply);
        if (r != EXIT_OK)
                return r;
        r = bus_read_json(reply, &node);
        if (r < 0 || !JSON_NODE_HOLDS_OBJECT(node))
                return ctl_report(ctl, subject, NULL, r < 0 ? r : -EBADMSG);
        *ret = json_node_dup_object(node);
        return EXIT_OK;
}

int session_get_properties(Ctl *ctl, const char *id, JsonObject **ret) {
        g_autofree char *path = session_to_path(id);

        return path ? ctl_get_properties(ctl, path, SESSION_INTERFACE, id, ret) : EXIT_NO_SUCH;
}

/* [id, path, {...}] -> {...} with both in it */
static JsonNode *flatten_session(JsonNode *node) {
        if (!JSON_NODE_HOLDS_ARRAY(node))
                return NULL;

        JsonArray *entry = json_node_get_array(node);
        if (json_array_get_length(entry) != 3 || !JSON_NODE_HOLDS_OBJECT(json_array_get_element(entry, 2)))
                return NULL;

        JsonNode *dict = json_array_dup_element(entry, 2);
        JsonObject *object = json_node_get_object(dict);
        json_object_set_member(object, "id", json_array_dup_element(entry, 0));
        json_object_set_member(object, "path", json_array_dup_element(entry, 1));
        return dict;
}

int ctl_list_sessions(Ctl *ctl, JsonArray **ret) {
        g_autoptr(sd_bus_message) message = NULL, reply = NULL;
        g_autoptr(JsonArray) sessions = json_array_new();
        g_autoptr(JsonNode) node = NULL;
        int r = ctl_new_call(ctl, HOST_PATH, HOST_INTERFACE, "ListSessions", &message);

        if (r != EXIT_OK)
                return r;
        r = append_options(message, NULL);
        if (r < 0)
                return ctl_report(ctl, NULL, NULL, r);
        r = ctl_call(ctl, message, CALL_QUICK, NULL, &reply);
        if (r != EXIT_OK)
                return r;
        r = bus_read_json(reply, &node);
        if (r < 0 || !JSON_NODE_HOLDS_ARRAY(node))
                return ctl_report(ctl, NULL, NULL, r < 0 ? r : -EBADMSG);

        JsonArray *entries = json_node_get_array(node);
        for (guint i = 0; i < json_array_get_length(entries); i++) {
                JsonNode *session = flatten_session(json_array_get_element(entries, i));
                if (session)
                        json_array_add_element(sessions, session);
        }
        *ret = g_steal_pointer(&sessions);
        return EXIT_OK;
}

static int append_option(sd_bus_message *m, const char *key, const char *type, va_list *ap) {
        switch (*type) {
        case SD_BUS_TYPE_BOOLEAN:
                return sd_bus_message_append(m, "{sv}", key, "b", va_arg(*ap, int));
        case SD_BUS_TYPE_UINT64:
                return sd_bus_message_append(m, "{sv}", key, "t", va_arg(*ap, uint64_t));
        case SD_BUS_TYPE_STRING:
                return sd_bus_message_append(m, "{sv}", key, "s", va_arg(*ap, const char *));
        default:
                return -EINVAL;
        }
}

int append_options(sd_bus_message *message, const char *key, ...) {
        va_list ap;
        int r = sd_bus_message_open_container(message, SD_BUS_TYPE_ARRAY, "{sv}");

        va_start(ap, key);
        for (; r >= 0 && key; key = va_arg(ap, const char *)) {
                const char *type = va_arg(ap, const char *);
                r = append_option(message, key, type, &ap);
        }
        va_end(ap);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

/* A bus takes only so many calls that are not answered yet from one connection; dbus-daemon on the system bus 128. */
#define PENDING_MAX 100

typedef struct Batch {
        Ctl *ctl;
        Patience patience;
        unsigned n_pending;
        int status;
} Batch;

typedef struct BatchCall {
        Batch *batch;
        const char *id;
} BatchCall;

static void batch_result(Batch *batch, int status) {
        if (batch->status == EXIT_OK)
                batch->status = status;
}

static int batch_answered(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        BatchCall *call = userdata;

        call->batch->n_pending--;
        if (sd_bus_message_is_method_error(reply, NULL))
                batch_result(call->batch, ctl_report(call->batch->ctl, call->id, sd_bus_message_get_error(reply), 0));
        return 1; /* as keep_reply() */
}

static int batch_send(BatchCall *call, const char *member, uint64_t timeout_usec, FillCall fill, void *userdata) {
        Ctl *ctl = call->batch->ctl;
        g_autofree char *path = session_to_path(call->id);
        g_autoptr(sd_bus_message) message = NULL;
        int r = path ? ctl_new_call(ctl, path, SESSION_INTERFACE, member, &message) : EXIT_NO_SUCH;

        if (r != EXIT_OK)
                return r;
        r = fill(ctl, message, userdata);
        if (r >= 0)
                r = sd_bus_call_async(ctl->bus, NULL, message, batch_answered, call, ctl_timeout(ctl, timeout_usec));
        if (r < 0)
                return ctl_report(ctl, call->id, NULL, r);
        call->batch->n_pending++;
        return EXIT_OK;
}

/* Until fewer than N answers are waited for. False: nothing will come any more, which has been told. */
static bool batch_wait(Batch *batch, unsigned n) {
        Ctl *ctl = batch->ctl;

        while (batch->n_pending >= n) {
                int r = patience_wait(&batch->patience);
                if (r < 0) {
                        batch_result(batch, ctl_report(ctl, NULL, NULL, r));
                        ctl->bus = sd_bus_close_unref(ctl->bus); /* nothing may call back into what is on the stack any more */
                        return false;
                }
        }
        return true;
}

int sessions_call(Ctl *ctl, char **ids, const char *member, uint64_t timeout_usec, FillCall fill, void *userdata) {
        Batch batch = { .ctl = ctl };
        g_autofree BatchCall *calls = g_new(BatchCall, g_strv_length(ids));
        bool open = true;

        patience_begin(&batch.patience, ctl);
        for (size_t i = 0; ids[i] && (open = batch_wait(&batch, PENDING_MAX)); i++) {
                calls[i] = (BatchCall){ .batch = &batch, .id = ids[i] };
                batch_result(&batch, batch_send(&calls[i], member, timeout_usec, fill, userdata));
        }
        if (open)
                (void) batch_wait(&batch, 1);
        patience_end(&batch.patience);
        return batch.status;
}

const char *dict_string(JsonObject *dict, const char *key) {
        JsonNode *node = json_object_get_member(dict, key);

        return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node) : "";
}

uint64_t dict_uint(JsonObject *dict, const char *key) {
        JsonNode *node = json_object_get_member(dict, key);

        if (!node || !JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_INT64)
                return 0;
        gint64 value = json_node_get_int(node);
        return value < 0 ? 0 : (uint64_t) value;
}

bool dict_has_string(JsonObject *dict, const char *key, const char *string) {
        JsonNode *node = json_object_get_member(dict, key);
        JsonArray *array = node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;

        for (guint i = 0; array && i < json_array_get_length(array); i++)
                if (g_strcmp0(json_array_get_string_element(array, i), string) == 0)
                        return true;
        return false;
}
