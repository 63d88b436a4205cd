/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The registry of sessions: load, find, start-up, reload. How sessions leave is host-unload.c. */
#include "host/host.h"

#include "basic/log.h"
#include "host/session-private.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

int host_new(const HostConfig *config, Host **ret) {
        Host *host = g_new0(Host, 1);
        int r;

        host->config = *config;
        host->config.search_path = g_strdupv(config->search_path);
        host->config.data_dir = g_strdup(config->data_dir);
        host->sessions = g_hash_table_new(g_str_hash, g_str_equal);
        host->requests = g_hash_table_new(g_int64_hash, g_int64_equal);
        host->named = g_hash_table_new(request_named_hash, request_named_equal);
        host->quota = quota_new();
        host->random = g_rand_new_with_seed((guint32) config->seed);
        list_init(&host->order);
        host_pause_init(host);
        r = host_unload_init(host);
        if (r >= 0)
                r = host_handover_init(host);
        if (r < 0) {
                host_free(host);
                return r;
        }
        *ret = host;
        return 0;
}

Host *host_free(Host *host) {
        Session *session;

        if (!host)
                return NULL;
        host->hooks = (Hooks){};
        host->stopping = true;
        while ((session = list_first(&host->order, Session, by_host))) {
                g_hash_table_remove(host->sessions, session->id);
                session_free(session);
        }
        host_unload_done(host);
        host_handover_done(host);
        host_pause_done(host);
        g_hash_table_unref(host->sessions);
        g_hash_table_unref(host->requests);
        g_hash_table_unref(host->named);
        quota_free(host->quota);
        g_rand_free(host->random);
        g_strfreev(host->config.search_path);
        g_free((char *) host->config.data_dir);
        g_free(host);
        return NULL;
}

void host_set_hooks(Host *host, const Hooks *hooks) {
        host->hooks = *hooks;
}

Quota *host_quota(Host *host) {
        return host->quota;
}

Session *host_find(Host *host, const char *id) {
        return g_hash_table_lookup(host->sessions, id);
}

int host_get(Host *host, const char *id, Session **ret, PlugindError *error) {
        Session *session = host_find(host, id);

        if (!session) {
                g_autofree char *quoted = json_quote(id, strlen(id));

                return plugind_error_set(error, PLUGIND_ERROR_NO_SUCH_SESSION, "no session \"%s\" is loaded", quoted);
        }
        *ret = session;
        return 0;
}

unsigned host_n_sessions(const Host *host) {
        return g_hash_table_size(host->sessions);
}

void host_foreach(Host *host, void (*callback)(Session *session, void *userdata), void *userdata) {
        list_foreach(node, &host->order)
                callback(list_entry(node, Session, by_host), userdata);
}

/* -- load -- */

static bool source_is_path(const char *source) {
        return source[0] == '/';
}

/* The id that SOURCE will have: itself, or the stem of the file's name. */
static int source_id(const char *source, char **ret, PlugindError *error) {
        g_autofree char *id = source_is_path(source) ? g_path_get_basename(source) : g_strdup(source);
        g_autofree char *quoted = json_quote(source, strlen(source));

        if (source_is_path(source)) {
                if (!g_str_has_suffix(id, ".json"))
                        return plugind_error_set(error, PLUGIND_ERROR_INVALID_ARGS,
                                                 "\"%s\" does not end in .json, as the file of a manifest does", quoted);
                id[strlen(id) - strlen(".json")] = 0;
        }
        if (!plugin_id_valid(id))
                return plugind_error_set(
                        error, PLUGIND_ERROR_INVALID_ARGS,
                        "\"%s\" is neither an absolute path of a manifest nor an id (a letter or digit, then letters, digits and ._-@, at most %d bytes)",
                        quoted, PLUGIN_ID_MAX);
        *ret = g_steal_pointer(&id);
        return 0;
}

int host_read_manifest(Host *host, const char *source, const char *id, Manifest **ret, PlugindError *error) {
        g_autofree char *path = NULL;
        int r;

        if (source_is_path(source))
                return manifest_load(source, ret, error);
        r = manifest_find(host->config.search_path, id, &path, error);
        return r < 0 ? r : manifest_load_as(path, id, ret, error);
}

static int check_configuration(const char *configuration, PlugindError *error) {
        JsonFault fault;
        JsonRange value;

        if (!configuration)
                return 0;
        if (strlen(configuration) > SEND_MAX)
                return plugind_error_set(error, PLUGIND_ERROR_LIMITS_EXCEEDED, "configuration has %zu bytes, at most %d are taken",
                                         strlen(configuration), SEND_MAX);
        if (json_check(JSON_RANGE(configuration), &value, &fault) < 0)
                return plugind_error_set(error, PLUGIND_ERROR_INVALID_ARGS, "configuration is not JSON: %s at byte %zu", fault.what,
                                         fault.offset);
        if (json_type(value) != JSON_OBJECT)
                return plugind_error_set(error, PLUGIND_ERROR_INVALID_ARGS, "configuration is no JSON object");
        return 0;
}

static int host_load_again(Session *session, const LoadOptions *options, Session **ret, PlugindError *error) {
        if (session->unloading)
                return plugind_error_set(error, PLUGIND_ERROR_BUSY, "session \"%s\" is being unloaded", session->id);
        if (!options->manifest && source_is_path(options->source) && g_strcmp0(options->source, session->manifest->path) != 0)
                return plugind_error_set(error, PLUGIND_ERROR_BUSY, "a session \"%s\" is already loaded from %s", session->id,
                                         session->manifest->path ?: "an inline manifest");
        *ret = session;
        return 0;
}

int host_add_session(Host *host, const char *id, const char *source, Manifest *manifest, const char *configuration, uid_t owner,
                     Session **ret, PlugindError *error) {
        Charge charge = {};
        Session *session;
        int r;

        r = quota_charge(host->quota, owner, QUOTA_SESSIONS, 1, &charge, error);
        if (r >= 0)
                r = session_new(host, id, source, manifest, configuration, &session);
        if (r < 0) {
                charge_release(&charge);
                return r;
        }
        session->charge = charge;
        session->owner = owner;
        g_hash_table_insert(host->sessions, session->id, session);
        list_append(&host->order, &session->by_host);
        session_touch(session);
        *ret = session;
        return 0;
}

static int host_add(Host *host, const LoadOptions *options, const char *id, Session **ret, PlugindError *error) {
        Manifest *manifest = NULL;
        uid_t giver = options->caller ? options->caller->uid : geteuid();
        int r;

        r = check_configuration(options->configuration, error);
        if (r < 0)
                return r;
        r = options->manifest ? manifest_parse(options->manifest, strlen(options->manifest), "manifest", id, giver, &manifest, error)
                              : host_read_manifest(host, options->source, id, &manifest, error);
        if (r >= 0)
                r = host_add_session(host, id, options->manifest ? NULL : options->source, manifest, options->configuration,
                                     options->caller ? options->caller->uid : 0, ret, error);
        manifest_unref(manifest);
        return r;
}

static void host_announce(Host *host, Session *session) {
        if (host->hooks.session_new)
                host->hooks.session_new(session, host->hooks.userdata);
}

int host_load(Host *host, const LoadOptions *options, Session **ret, PlugindError *error) {
        g_autofree char *id = NULL;
        Session *session;
        bool fresh;
        int r;

        if (host->stopping)
                return plugind_error_set(error, PLUGIND_ERROR_NOT_ACTIVE, "plugind is shutting down");
        r = source_id(options->source, &id, error);
        if (r < 0)
                return r;
        session = host_find(host, id);
        fresh = !session;
        r = fresh ? host_add(host, options, id, &session, error) : host_load_again(session, options, &session, error);
        if (r < 0)
                return r;
        if (options->bind && options->caller)
                session_attachment(session, options->caller, true)->bound = true;
        else
                session->unbound = true;
        session_touch(session);
        if (fresh)
                host_announce(host, session);
        session_remember(session);
        if (fresh && session->desired_active && (session->manifest->activation == ACTIVATION_BOOT || !session_supervised(session)))
                session_start(session, "boot");
        *ret = session;
        return 0;
}

/* -- start-up -- */

static void host_load_remembered(Host *host, const RecordEntry *entry) {
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;
        Session *session;

        if (host_find(host, entry->id)) /* taken over from the daemon before */
                return;
        if (host_add(host, &(LoadOptions){ .source = entry->source, .configuration = entry->configuration }, entry->id, &session, &error) <
            0) {
                log_warning("Cannot load session \"%s\" as it was before: %s", entry->id, error.message);
                return;
        }
        session->unbound = true;
        session->desired_active = entry->desired_active;
        session->mcp_era = g_strdup(entry->mcp_era);
        host_announce(host, session);
        if (session->desired_active &&
            (entry->running || session->manifest->activation != ACTIVATION_ON_DEMAND || !session_supervised(session)))
                session_start(session, "boot");
}

static void collect_entry(const RecordEntry *entry, void *userdata) {
        g_ptr_array_add(userdata, (void *) entry);
}

/* Loads what has activation `boot` and is not loaded. */
static void host_load_boot(Host *host) {
        g_auto(GStrv) ids = manifest_list(host->config.search_path);

        for (char **id = ids; *id; id++) {
                _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;
                Manifest *manifest = NULL;
                Session *session;

                if (host_find(host, *id))
                        continue;
                if (host_read_manifest(host, *id, *id, &manifest, &error) < 0)
                        log_warning("%s", error.message);
                else if (manifest->activation == ACTIVATION_BOOT && host_load(host, &(LoadOptions){ .source = *id }, &session, &error) < 0)
                        log_warning("Cannot load \"%s\": %s", *id, error.message);
                manifest_unref(manifest);
        }
}

void host_start(Host *host) {
        g_autoptr(GPtrArray) entries = g_ptr_array_new();

        if (host->config.record)
                record_foreach(host->config.record, collect_entry, entries);
        for (unsigned i = 0; i < entries->len; i++)
                host_load_remembered(host, entries->pdata[i]);
        host_load_boot(host);
}

/* -- reload -- */

static bool dialect_setup_differs(const Manifest *a, const Manifest *b) {
        return a->dialect != b->dialect || g_strcmp0(a->configuration, b->configuration) != 0 ||
               g_strcmp0(a->lsp_root_uri, b->lsp_root_uri) != 0 ||
               g_strcmp0(a->lsp_initialization_options, b->lsp_initialization_options) != 0 || g_strcmp0(a->mcp_era, b->mcp_era) != 0;
}

static void session_take_manifest(Session *session, Manifest *manifest) {
        bool running = session->state != SESSION_INACTIVE && session->state != SESSION_ERRORED;
        Manifest *old = session->manifest;

        if (old->trusted == manifest->trusted && g_strcmp0(old->path, manifest->path) == 0 &&
            g_strcmp0(old->command, manifest->command) == 0 && g_str_equal(old->text, manifest->text))
                return;
        if (running && (manifest->type != old->type || dialect_setup_differs(old, manifest))) {
                log_session(LOG_NOTICE, session->id,
                            "its type, dialect or configuration changed; that counts when it has been stopped and plugind reloads again");
                return;
        }
        if (dialect_setup_differs(old, manifest))
                session->dialect = dialect_free(session->dialect);
        if (running)
                log_session(LOG_NOTICE, session->id, "its manifest has changed; what it says of the process counts from its next start on");
        session->manifest = manifest_ref(manifest);
        manifest_unref(old);
        if (session->state == SESSION_INACTIVE && session->desired_active && !session_supervised(session))
                session_start(session, "reload"); /* it has become external: waited for from now on */
        session_changed(session, SESSION_PROPERTY_NAME | SESSION_PROPERTY_VERSION | SESSION_PROPERTY_DESCRIPTION | SESSION_PROPERTY_TYPE |
                                         SESSION_PROPERTY_DIALECT | SESSION_PROPERTY_MANIFEST | SESSION_PROPERTY_SUPERVISED);
}

static void session_reload(Session *session, void *userdata) {
        _cleanup_error_ PlugindError error = PLUGIND_ERROR_INIT;
        bool *unload_removed = userdata;
        Manifest *manifest = NULL;

        if (!session->source || session->unloading)
                return;
        if (host_read_manifest(session->host, session->source, session->id, &manifest, &error) >= 0)
                session_take_manifest(session, manifest);
        else if (*unload_removed && error.code == PLUGIND_ERROR_NO_SUCH_PLUGIN) {
                log_session(LOG_NOTICE, session->id, "it was removed and is unloaded: %s", error.message);
                session_unload(session, "removed");
        } else
                log_session(LOG_WARNING, session->id, "it keeps its old manifest: %s", error.message);
        manifest_unref(manifest);
}

void host_reload_running(Host *host) {
        bool unload_removed = false;

        list_foreach(node, &host->order) {
                Session *session = list_entry(node, Session, by_host);

                if (session->run)
                        session_reload(session, &unload_removed);
        }
}

int host_reload(Host *host, bool unload_removed, PlugindError *error) {
        if (host->stopping)
                return plugind_error_set(error, PLUGIND_ERROR_NOT_ACTIVE, "plugind is shutting down");
        host_foreach(host, session_reload, &unload_removed);
        host_load_boot(host);
        return 0;
}
