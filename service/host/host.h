/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The registry of sessions: load, unload, find. Pure logic; no D-Bus here. */
#pragma once

#include "duplex/arena.h"
#include "host/hooks.h"
#include "host/quota.h"
#include "host/record.h"
#include "host/session.h"

typedef struct Host Host;
typedef struct Store Store;

/* Bounds on bytes that come from outside (design.md 5). */
#define SEND_MAX (1024 * 1024)
#define DUPLEX_MESSAGE_MAX (16 * 1024 * 1024)
#define METHOD_MAX 256
#define REQUEST_ID_MAX 256

typedef struct HostConfig {
        sd_event *event;
        Deadlines *deadlines;
        Arena *arena;
        Runtime *runtime;     /* NULL: none; supervised plugins fail with RuntimeUnavailable. Not owned */
        Record *record;       /* NULL: nothing is remembered. Not owned */
        LogSink *log_sink;    /* for stderr of plugins. Not owned */
        Store *store;         /* NULL: nothing outlives the daemon. Not owned */
        char **search_path;   /* of manifests; copied */
        const char *data_dir; /* PLUGIND_DATA_DIR of a plugin is data_dir/<id>; NULL: none */
        bool user;            /* serves one user: HOME and XDG_* are passed on to plugins */
        uint64_t seed;        /* of the jitter of restart delays */
} HostConfig;

typedef struct LoadOptions {
        const char *source;        /* id or absolute path; with `manifest`: the id */
        const char *manifest;      /* inline; NULL: from a file */
        const char *configuration; /* JSON object; NULL: the manifest's */
        bool bind;                 /* unload when the last bound caller has gone */
        Caller *caller;            /* pays, and is bound */
} LoadOptions;

int host_new(const HostConfig *config, Host **ret);
/* Every session must have been unloaded, or is dropped with its processes killed. */
Host *host_free(Host *host);

/* At most one listener for now; kept by reference. */
void host_set_hooks(Host *host, const Hooks *hooks);

/* Loads what the record remembers and manifests with activation `boot`, and starts what ought to run. Call once, before serving. */
void host_start(Host *host);
/* Stops every session in order, remembering what ran; calls DONE when nothing is left. Load and Send are refused from here on. */
void host_stop(Host *host, SessionDone done, void *userdata);
/* How long that may take: the longest `timeouts.stop` of what runs; USEC_INFINITY: as long as a plugin likes. */
uint64_t host_stop_usec(Host *host);

/* Loading what is loaded returns that session. */
int host_load(Host *host, const LoadOptions *options, Session **ret, PlugindError *error);
/* Stops, then removes. DONE is called once, when it is gone (0 returned) . NoSuchSession; Busy if bound by others than CALLER and not FORCE. */
int host_unload(Host *host, const char *id, Caller *caller, bool force, SessionDone done, void *userdata, PlugindError *error);
Session *host_find(Host *host, const char *id); /* NULL */
/* host_find() with its error. */
int host_get(Host *host, const char *id, Session **ret, PlugindError *error);
unsigned host_n_sessions(const Host *host);
/* In the order of loading. CALLBACK must not load or unload. */
void host_foreach(Host *host, void (*callback)(Session *session, void *userdata), void *userdata);

/* Reads manifests again. Running plugins keep running; what is new counts from their next start on. A manifest that is wrong is logged
 * and its session keeps the old one, and so it is with one that is gone, unless UNLOAD_REMOVED: then its session is unloaded. New `boot`
 * ones are loaded and started. */
int host_reload(Host *host, bool unload_removed, PlugindError *error);

/* Back-pressure: while set, nothing that plugins say is delivered, and none is read further than what was on its way. */
void host_pause(Host *host, bool paused);

Quota *host_quota(Host *host);

/* -- the hand-over to another daemon (design.md 8), host-handover.c -- */

/* The caller NAME, of UID, whom an earlier daemon knew; never NULL. Those who have left meanwhile are freed after host_restore(). */
typedef Caller *(*HostFindCaller)(const char *name, uid_t uid, void *userdata);

/* Sessions as the daemon before left them: what ran is taken over. To be called before host_start(), and with the host paused until the name is
 * taken. */
void host_restore(Host *host, HostFindCaller find_caller, void *userdata);
/* What has changed since the last time is in the store when this returns; for whatever is about to tell somebody of it. */
void host_flush(Host *host);
/* We are about to leave: from here on plugins are read only for answers that somebody waits for, and what happens to running ones
 * is left for the next daemon to find. Everything else is served as ever. */
void host_hold(Host *host);
/* Whoever still waits is answered: ConnectionLost. */
void host_answer_all(Host *host);
/* Newly allocated: "echo (2 calls), clangd (1 call, starting)", for a person; NULL if nothing is waited for. */
char *host_waits_for(Host *host);
/* Everything is in the store; freeing the host ends nothing any more, provided that the arena and the runtime are kept. */
void host_leave(Host *host);
