/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A session as the daemon before left it. The text comes from our own memory, but from another version of us, or from one that was killed by
 * what killed the machine's memory too: it is read with the distrust of any other.
 *
 * What cannot go on as it was goes on as after a failure of the plugin, by the policy for those.
 */
#include "host/session-state.h"

#include "basic/log.h"
#include "store/store.h"

#include <errno.h>
#include <glib.h>
#include <unistd.h>

#define LOST "the plugin did not get over to this plugind: "

/* -- reading -- */

/* BAD: something was there and was not what is expected; it is read as if it were not there, and counts in the end. */
typedef struct Reader {
        JsonRange object;
        const char *bad; /* the key */
} Reader;

static bool find(Reader *reader, const char *key, JsonType type, JsonRange *ret) {
        if (!json_find(reader->object, key, ret))
                return false;
        if (json_type(*ret) == type)
                return true;
        reader->bad = key;
        return false;
}

static bool read_flag(Reader *reader, const char *key) {
        JsonRange value;

        return find(reader, key, JSON_TRUE, &value);
}

static uint64_t read_number(Reader *reader, const char *key, uint64_t max) {
        JsonRange value;
        uint64_t number;

        if (!find(reader, key, JSON_NUMBER, &value))
                return 0;
        if (json_get_uint64(value, &number) && number <= max)
                return number;
        reader->bad = key;
        return 0;
}

/* Newly allocated. */
static char *read_text(Reader *reader, const char *key) {
        JsonRange value;
        char *text;

        if (!find(reader, key, JSON_STRING, &value))
                return NULL;
        text = json_string_decode(value);
        if (!text)
                reader->bad = key;
        return text;
}

/* One of a few words of ours, which live as long as we do. */
static const char *read_word(Reader *reader, const char *key) {
        g_autofree char *text = read_text(reader, key);

        return text ? g_intern_string(text) : NULL;
}

static char *read_json(Reader *reader, const char *key, JsonType type) {
        JsonRange value;

        return find(reader, key, type, &value) ? g_strndup(value.data, value.size) : NULL;
}

static bool state_from_json(JsonRange value, SessionState *ret) {
        for (SessionState state = 0; state < _SESSION_STATE_MAX; state++)
                if (json_string_equals(value, session_state_to_string(state))) {
                        *ret = state;
                        return true;
                }
        return false;
}

static void read_failure(Reader *outer, SessionFailure *ret) {
        Reader reader = {};
        const char *error;

        if (!find(outer, "failure", JSON_OBJECT, &reader.object))
                return;
        *ret = (SessionFailure){
                .message = read_text(&reader, "message"),
                .stage = read_word(&reader, "stage"),
                .exit_status = (int) read_number(&reader, "exitStatus", 256) - 1,
                .signal = (int) read_number(&reader, "signal", 64),
                .result = read_text(&reader, "result"),
        };
        error = read_word(&reader, "error");
        ret->code = plugind_error_code_from_name(error);
        ret->error = plugind_error_code_name(ret->code);
        if (!ret->message || !ret->stage || reader.bad)
                outer->bad = "failure";
}

static void read_statistics(Reader *outer, Statistics **ret) {
        Reader reader = {};
        JsonRange latency, bucket;
        size_t cursor = 0;

        if (!find(outer, "statistics", JSON_OBJECT, &reader.object))
                return;
        *ret = g_new0(Statistics, 1);
        (*ret)->answered = read_number(&reader, "answered", UINT64_MAX);
        (*ret)->plugin_errors = read_number(&reader, "pluginErrors", UINT64_MAX);
        (*ret)->failed = read_number(&reader, "failed", UINT64_MAX);
        if (!find(&reader, "latency", JSON_ARRAY, &latency))
                return;
        while (json_next(latency, &cursor, NULL, &bucket)) {
                JsonRange number, count;
                uint64_t n, c;
                size_t at = 0;

                if (json_type(bucket) == JSON_ARRAY && json_next(bucket, &at, NULL, &number) && json_next(bucket, &at, NULL, &count) &&
                    json_get_uint64(number, &n) && n < STATISTICS_BUCKETS && json_get_uint64(count, &c))
                        (*ret)->latency[n] = c;
                else
                        outer->bad = "statistics";
        }
}

/* [when, new, old, signal, exit status plus one, reason] */
static bool read_history_entry(JsonRange array, HistoryEntry *ret) {
        JsonRange members[6];
        g_autofree char *reason = NULL;
        SessionState new_state, old_state;
        uint64_t signal, status;
        size_t cursor = 0;

        if (json_type(array) != JSON_ARRAY)
                return false;
        for (size_t i = 0; i < G_N_ELEMENTS(members); i++)
                if (!json_next(array, &cursor, NULL, members + i))
                        return false;
        if (!json_get_uint64(members[0], &ret->realtime_usec) || !state_from_json(members[1], &new_state) ||
            !state_from_json(members[2], &old_state) || !json_get_uint64(members[3], &signal) || signal > 64 ||
            !json_get_uint64(members[4], &status) || status > 256)
                return false;
        reason = json_string_decode(members[5]);
        ret->reason = g_intern_string(reason ?: "");
        ret->new_state = (uint8_t) new_state;
        ret->old_state = (uint8_t) old_state;
        ret->signal = (uint8_t) signal;
        ret->exit_status = (int16_t) (status - 1);
        return reason;
}

static void read_history(Reader *reader, History **ret) {
        JsonRange array, element;
        size_t cursor = 0;

        if (!find(reader, "history", JSON_ARRAY, &array))
                return;
        while (json_next(array, &cursor, NULL, &element)) {
                HistoryEntry entry = {};

                if (read_history_entry(element, &entry))
                        history_add(ret, &entry);
                else
                        reader->bad = "history";
        }
}

static char **read_methods(Reader *reader) {
        g_autoptr(GPtrArray) methods = g_ptr_array_new_with_free_func(g_free);
        JsonRange array, element;
        size_t cursor = 0;

        if (!find(reader, "methods", JSON_ARRAY, &array))
                return NULL;
        while (json_next(array, &cursor, NULL, &element)) {
                char *method = json_string_decode(element);

                if (method)
                        g_ptr_array_add(methods, method);
                else
                        reader->bad = "methods";
        }
        g_ptr_array_add(methods, NULL);
        return (char **) g_ptr_array_free(g_steal_pointer(&methods), FALSE);
}

/* -- the session, but for what runs of it -- */

static int read_manifest(Host *host, const char *id, Reader *reader, const char *source, Manifest **ret, PlugindError *error) {
        g_autofree char *text = read_json(reader, "manifest", JSON_OBJECT), *path = read_text(reader, "manifestPath"),
                        *command = read_text(reader, "manifestCommand");

        if (text)
                return manifest_parse_again(
                        &(ManifestOrigin){
                                .text = text, .id = id, .path = path, .command = command, .trusted = read_flag(reader, "manifestTrusted") },
                        ret, error);
        if (source)
                return host_read_manifest(host, source, id, ret, error);
        return plugind_error_set(error, PLUGIND_ERROR_FAILED, "neither its manifest nor where it came from is known");
}

static int make_session(Host *host, const char *id, Reader *reader, Session **ret, PlugindError *error) {
        g_autofree char *source = read_text(reader, "source"), *configuration = read_json(reader, "configuration", JSON_OBJECT);
        uid_t owner = (uid_t) read_number(reader, "owner", UINT32_MAX);
        Manifest *manifest = NULL;
        int r;

        if (!plugin_id_valid(id) || host_find(host, id))
                return plugind_error_set(error, PLUGIND_ERROR_FAILED, "it is no id, or is there already");
        r = read_manifest(host, id, reader, source, &manifest, error);
        if (r >= 0)
                r = host_add_session(host, id, source, manifest, configuration, owner, ret, error);
        manifest_unref(manifest);
        return r;
}

static void restore_properties(Session *session, Reader *reader) {
        session->unbound = read_flag(reader, "unbound");
        session->desired_active = read_flag(reader, "desiredActive");
        session->state_changed_at = read_number(reader, "stateChangedAt", UINT64_MAX);
        session->started_at = read_number(reader, "startedAt", UINT64_MAX);
        session->restarts = (unsigned) read_number(reader, "restarts", UINT32_MAX);
        session->hand_overs = (unsigned) read_number(reader, "handOvers", UINT32_MAX);
        session->start_again = read_flag(reader, "startAgain");
        read_failure(reader, &session->failure);
        session->greeting = read_json(reader, "greeting", JSON_OBJECT);
        session->server_name = read_text(reader, "serverName");
        session->server_version = read_text(reader, "serverVersion");
        session->mcp_era = read_text(reader, "mcpEra");
        read_statistics(reader, &session->statistics);
        read_history(reader, &session->history);
}

static void restore_attachment(Session *session, Reader *reader, HostFindCaller find_caller, void *userdata) {
        uid_t uid = (uid_t) read_number(reader, "uid", UINT32_MAX);
        g_autofree char *name = read_text(reader, "caller");
        g_auto(GStrv) methods = read_methods(reader);
        Caller *caller = name && !reader->bad ? find_caller(name, uid, userdata) : NULL; /* without its uid it would be root */
        Attachment *attachment;

        if (!caller)
                return;
        attachment = session_attachment(session, caller, true);
        attachment->bound = read_flag(reader, "bound");
        if (read_flag(reader, "subscribed") && session_subscribe(session, caller, methods, NULL) < 0)
                log_session(LOG_WARNING, session->id, "the subscription of %s cannot be kept", name);
}

static void restore_attachments(Session *session, Reader *reader, HostFindCaller find_caller, void *userdata) {
        JsonRange array, element;
        size_t cursor = 0;

        if (!find(reader, "attachments", JSON_ARRAY, &array))
                return;
        while (json_next(array, &cursor, NULL, &element)) {
                Reader attachment = { .object = element };

                if (json_type(element) == JSON_OBJECT)
                        restore_attachment(session, &attachment, find_caller, userdata);
                if (json_type(element) != JSON_OBJECT || attachment.bad)
                        reader->bad = "attachments";
        }
}

static int restore_dialect(Session *session, Reader *reader, bool connected) {
        JsonRange state;
        int r;

        if (!find(reader, "dialect", JSON_OBJECT, &state))
                return 0;
        r = session_need_dialect(session);
        if (r >= 0 && session->dialect->ops->restore)
                r = session->dialect->ops->restore(session->dialect, state, connected);
        if (r < 0)
                session->dialect = dialect_free(session->dialect);
        return r;
}

/* What is kept for nobody has no reason left. */
static void settle_attachments(Session *session) {
        list_foreach(node, &session->attachments)
                attachment_settle(list_entry(node, Attachment, by_session));
}

/* -- what runs -- */

static void restore_failures(SessionRun *run, Reader *reader) {
        JsonRange array, element;
        unsigned burst = (unsigned) read_number(reader, "burst", 10000);
        size_t cursor = 0;

        run->restart_step = (unsigned) read_number(reader, "restartStep", 1000000);
        if (burst == 0 || !find(reader, "failedAt", JSON_ARRAY, &array))
                return;
        run->burst = burst;
        run->failed_at = g_new0(uint64_t, burst);
        run->n_failed = (unsigned) read_number(reader, "failures", UINT32_MAX);
        for (unsigned i = 0; i < burst && json_next(array, &cursor, NULL, &element); i++)
                if (!json_get_uint64(element, run->failed_at + i))
                        reader->bad = "failedAt";
}

static void cancel_endless(Session *session, Reader *reader) {
        JsonRange array, element;
        size_t cursor = 0;
        uint64_t id;

        if (!session->dialect->ops->cancel || !find(reader, "endless", JSON_ARRAY, &array))
                return;
        while (json_next(array, &cursor, NULL, &element))
                if (json_get_uint64(element, &id))
                        session->dialect->ops->cancel(session->dialect, id, "plugind was killed");
}

/* The unit of a run, with its process or with how that ended; none: whatever there is of it is stopped as not ours. */
static Unit *adopt_unit(Session *session, Reader *reader, unsigned pair) {
        Runtime *runtime = session->host->config.runtime;
        g_autofree char *name = read_text(reader, "unit");
        UnitIdentity identity = {
                .name = name,
                .pid = (pid_t) read_number(reader, "pid", INT32_MAX),
                .start_time = read_number(reader, "startTime", UINT64_MAX),
                .pair = pair,
        };
        Unit *unit = NULL;

        if (!name || identity.pid == 0 || !runtime || !runtime->ops->unit_adopt ||
            runtime->ops->unit_adopt(runtime, &identity, &session_unit_events, session->run, &unit) < 0)
                return NULL;
        session->main_pid = identity.pid;
        return unit;
}

static int adopt_duplex(Session *session, Reader *reader, unsigned pair, PlugindError *error) {
        unsigned slot = (unsigned) read_number(reader, "slot", UINT32_MAX);
        g_autofree char *name = read_text(reader, "framing");
        Framing framing = framing_from_string(name);
        int in, out, r;

        r = store_take_pair(session->host->config.store, pair, &in, &out);
        if (r < 0)
                return plugind_error_set(error, PLUGIND_ERROR_CONNECTION_LOST, LOST "the descriptors of its connection are missing");
        r = framing < 0 ? -EBADMSG : session_adopt_duplex(session, slot, in, out, framing);
        if (r >= 0)
                return 0;
        close(in);
        if (out != in)
                close(out);
        return plugind_error_set(error, PLUGIND_ERROR_CONNECTION_LOST, LOST "the buffers of its connection cannot be used (%s)",
                                 g_strerror(-r));
}

/* Was greeted, and is to go on as if nothing had been. */
static int take_over(Session *session, Reader *outer, Reader *reader, unsigned pair, PlugindError *error) {
        int r;

        if (session_supervised(session) && !session->run->unit)
                return plugind_error_set(error, PLUGIND_ERROR_CONNECTION_LOST, LOST "its unit is not known any more");
        r = restore_dialect(session, outer, true);
        if (r < 0)
                return plugind_error_set(error, PLUGIND_ERROR_CONNECTION_LOST, LOST "what its dialect knew is not as expected");
        r = adopt_duplex(session, reader, pair, error);
        if (r < 0)
                return r;
        cancel_endless(session, reader);
        if (!store_was_sealed(session->host->config.store)) /* Sends since that was kept are not known of */
                session->run->used_at = deadlines_now(session_deadlines(session));
        session->hand_overs++;
        session_go_on(session);
        return 0;
}

/* As if it had failed just now, or, when it was only starting, as if it had never begun. */
static void begin_again(Session *session, const PlugindError *error) {
        session_drop_pair(session);
        if (error)
                session_fail(session, "run", "connection-lost", error, NULL);
        else
                session_start_over(session);
}

static void restore_run(Session *session, Reader *outer, SessionState state) {
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;
        Reader reader = {};
        SessionRun *run;
        unsigned pair;

        if (!find(outer, "run", JSON_OBJECT, &reader.object))
                reader.object = JSON_RANGE("{}");
        run = session_run_new(session);
        restore_failures(run, &reader);
        run->active_since = read_number(&reader, "activeSince", UINT64_MAX);
        run->used_at = read_number(&reader, "usedAt", UINT64_MAX);
        run->stop_reason = read_word(&reader, "stopReason");
        run->give_up = read_flag(&reader, "giveUp");
        pair = (unsigned) read_number(&reader, "pair", UINT32_MAX);
        run->unit = adopt_unit(session, &reader, pair);
        if (!run->unit)
                run->pair = pair;
        session->state = state;
        if (state == SESSION_ACTIVE) {
                if (take_over(session, outer, &reader, pair, &error) < 0) {
                        session->dialect = dialect_free(session->dialect); /* it is greeted no more */
                        (void) restore_dialect(session, outer, false);
                        begin_again(session, &error);
                }
        } else if (state == SESSION_RESTARTING)
                session_go_on_restarting(session, read_number(&reader, "timer", UINT64_MAX));
        else if (state == SESSION_STOPPING)
                session_go_on_stopping(session);
        else
                begin_again(session, NULL);
        if (reader.bad)
                outer->bad = reader.bad;
}

int session_restore(Host *host, const char *id, JsonRange text, HostFindCaller find_caller, void *userdata, PlugindError *error) {
        JsonRange value;
        JsonFault fault;
        Reader reader = {};
        const char *unloading;
        SessionState state;
        Session *session;
        int r;

        if (json_check_around(text, &reader.object, &fault) < 0 || json_type(reader.object) != JSON_OBJECT ||
            !json_find(reader.object, "state", &value) || !state_from_json(value, &state))
                return plugind_error_set(error, PLUGIND_ERROR_FAILED, "what was kept of it is no state of a session");
        r = make_session(host, id, &reader, &session, error);
        if (r < 0)
                return r;
        restore_properties(session, &reader);
        restore_attachments(session, &reader, find_caller, userdata);
        if (state != SESSION_ACTIVE && restore_dialect(session, &reader, false) < 0)
                reader.bad = "dialect";
        if (state == SESSION_INACTIVE || state == SESSION_ERRORED)
                session->state = state;
        else
                restore_run(session, &reader, state);
        settle_attachments(session);
        unloading = read_word(&reader, "unloading");
        if (unloading)
                session_unload(session, unloading);
        if (reader.bad)
                log_session(LOG_WARNING, id, "of what was kept over the restart of plugind, \"%s\" is not as expected and is left out",
                            reader.bad);
        return 0;
}
