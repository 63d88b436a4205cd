/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is said over a duplex besides plain requests: greeting, ping, goodbye, and the rules by which one process is shared
 * among callers (design.md 5). One Dialect object per session; it lives across restarts of the plugin and remembers
 * what must be said again after one.
 *
 * A dialect never sees the session: it calls it through DialectPeer, so unit tests stand in for it.
 * Requests are named by the host's own id on the duplex (a new one when re-sent), callers by an opaque pointer.
 */
#pragma once

#include "basic/deadline.h"
#include "basic/error.h"
#include "duplex/framing.h"
#include "duplex/jsonrpc.h"

typedef struct Dialect Dialect;
typedef struct DialectOps DialectOps;
typedef struct Caller Caller;

/* Exactly one call for each request made through DialectPeer.request: RESULT (checked JSON) or ERROR is set, never both. ERROR with code
 * PLUGIND_ERROR_CONNECTION_LOST or REQUEST_TIMED_OUT if no answer came; else what the plugin answered, whose raw error object is ERROR_OBJECT. */
typedef void (*DialectAnswered)(Dialect *dialect, JsonRange result, const PlugindError *error, JsonRange error_object, void *userdata);

typedef struct DialectGreeting {
        JsonRange answer;           /* what initialize or discover answered; absent for `jsonrpc` */
        const char *name, *version; /* of the server, may be NULL */
} DialectGreeting;

/* What a dialect may ask of its session. */
typedef struct DialectPeer {
        /* A request of the host's own. TIMEOUT relative, USEC_INFINITY: none. */
        int (*request)(void *peer, const char *method, JsonRange params, uint64_t timeout_usec, DialectAnswered answered, void *userdata);
        int (*notify)(void *peer, const char *method, JsonRange params);
        int (*respond)(void *peer, JsonRange id, JsonRange result);
        int (*respond_error)(void *peer, JsonRange id, int code, const char *message);

        void (*greeted)(void *peer, const DialectGreeting *greeting); /* the session becomes active */
        void (*greeting_failed)(void *peer, const PlugindError *error);
        void (*pong)(void *peer);          /* a ping was answered (by a result or an error: both are signs of life) */
        void (*farewell_said)(void *peer); /* goodbye is over: the session ends the plugin's input */

        /* Something that ought to be kept with the record of the session: the era of an MCP server. */
        void (*remember_era)(void *peer, const char *era);

        void (*log)(void *peer, int priority, const char *format, ...) __attribute__((format(printf, 3, 4)));

        /* What others may be told of a caller: its name (":1.42"). NULL, or answering NULL: nothing. */
        const char *(*caller_name)(void *peer, Caller *caller);
        /* What save() would say is not what it said before. May be NULL. */
        void (*changed)(void *peer);
        /* The caller of this name, whom the daemon before knew; NULL if it is not known. Only for restore(). */
        Caller *(*find_caller)(void *peer, const char *name);
        /* The restored dialect keeps something for CALLER, as DialectOutgoing.holds says. Only for restore(). */
        void (*holds)(void *peer, Caller *caller);
} DialectPeer;

typedef struct DialectSetup {
        const char *session;                    /* id */
        const char *data_dir;                   /* may be NULL */
        const char *configuration;              /* JSON object, never NULL */
        const char *lsp_root_uri;               /* manifest lsp.rootUri, may be NULL */
        const char *lsp_initialization_options; /* JSON, may be NULL */
        const char *mcp_era;                    /* "modern", "legacy" or NULL: probe. From the manifest, else what was remembered */
        bool mcp_era_fixed;                     /* the manifest said so: never probe another */
        size_t message_max;
} DialectSetup;

/* What the session does with a message of a caller. */
typedef enum DialectVerdict {
        DIALECT_FORWARD, /* send it (with `rewritten` params if set) */
        DIALECT_ANSWER,  /* the host's own answer is in `answer`; nothing is sent. Notifications: swallowed */
        DIALECT_REFUSE,  /* `error` is set */
} DialectVerdict;

typedef struct DialectOutgoing {
        /* in */
        Caller *caller;
        uint64_t id; /* the id on the duplex; 0: a notification */
        const char *method;
        JsonRange params;    /* checked, without white space around it; absent: none */
        JsonRange caller_id; /* the caller's own id for it as JSON, put back where the plugin quotes ours; absent: it gave none */
        bool again;          /* re-sent after a restart (see endless): `id` is new, `params` are the caller's original ones */
        /* out */
        GString *rewritten; /* params to send instead, freed by the session; NULL: as they are */
        GString *answer;    /* JSON, freed by the session */
        PlugindError error;
        bool tracked; /* tell the dialect through `finished` how the request ended */
        bool endless; /* no deadline; survives a restart of the plugin: re-sent then instead of being answered ConnectionLost */
        bool holds;   /* the dialect now keeps something for this caller: tell it through `caller_gone` */
} DialectOutgoing;

/* Who hears a notification of the plugin. */
typedef enum DialectAudience {
        DIALECT_TO_SUBSCRIBERS, /* whoever subscribed to the method; `wants`, if there is one, is asked for each */
        DIALECT_TO_REQUEST,     /* the caller of request `request`, with its id; dropped if that is over */
        DIALECT_TO_NOBODY,
} DialectAudience;

typedef struct DialectIncoming {
        /* in */
        JsonRange method; /* raw JSON string */
        JsonRange params;
        /* out */
        DialectAudience audience; /* starts as DIALECT_TO_SUBSCRIBERS */
        uint64_t request;
        GString *rewritten; /* params to deliver instead (the caller's own progress token put back), freed by the session */
} DialectIncoming;

struct DialectOps {
        const char *name;
        Framing framing;   /* default of the manifest's `framing` */
        bool socket_stdio; /* one socket pair as fd 0 and 1 instead of two pipes, so that descriptors can travel */
        bool has_ping;

        int (*dialect_new)(const DialectOps *ops, const DialectSetup *setup, const DialectPeer *peer, void *userdata, Deadlines *deadlines,
                           Dialect **ret);
        Dialect *(*dialect_free)(Dialect *d);

        void (*connected)(Dialect *d);    /* a fresh duplex: greet. Ends with greeted() or greeting_failed(); may call it at once */
        void (*disconnected)(Dialect *d); /* the duplex is gone; the host's own requests have been answered ConnectionLost before */
        void (*active)(Dialect *d);       /* NULL, or: after greeted(), say again what callers still hold (resources/subscribe, ...) */
        void (*ping)(Dialect *d);         /* only if has_ping; ends with pong() or with nothing */
        void (*goodbye)(Dialect *d);      /* ends with farewell_said(), perhaps at once; the session bounds it in time */

        /* NULL: everything is forwarded as it is. */
        DialectVerdict (*outgoing)(Dialect *d, DialectOutgoing *message);
        /* A tracked request is over; RESULT is absent unless the plugin answered with one. Not called for re-sends in between. */
        void (*finished)(Dialect *d, uint64_t id, JsonRange result);
        /* Tells the plugin that nobody waits for request ID any more. NULL: there is no such message. */
        void (*cancel)(Dialect *d, uint64_t id, const char *reason);

        /* A request of the plugin to the host: to be answered with respond() or respond_error(), now or later. */
        void (*request)(Dialect *d, const JsonRpcMessage *message);
        /* NULL: all to subscribers. */
        void (*notification)(Dialect *d, DialectIncoming *message);
        /* NULL: yes. Only for messages that `notification` left at DIALECT_TO_SUBSCRIBERS. */
        bool (*wants)(Dialect *d, Caller *caller, const DialectIncoming *message);

        /* NULL, or: a caller for whom `holds` was set has gone: end all that it held (its own pending requests are cancelled by the session). */
        void (*caller_gone)(Dialect *d, Caller *caller);

        /*
         * The hand-over to another daemon. Both NULL: there is nothing to know. save() appends a JSON object with all that restore() needs to go
         * on in a fresh dialect of the same setup, callers by their names; requests on their way are not part of it, since their callers
         * have lost the daemon. It tells through DialectPeer.changed() when that would have become another text.
         * CONNECTED: the connection lives on, greeted as it was; else it is as after disconnected(). restore() takes STATE with distrust: -EBADMSG, and
         * the dialect is to be freed then. A caller whose things it has taken it tells of through DialectPeer.holds(). It says nothing to the
         * plugin itself: what is to be put right there follows from the loop, or before the next message of a caller.
         */
        void (*save)(Dialect *d, GString *json);
        int (*restore)(Dialect *d, JsonRange state, bool connected);
};

/* First member of every dialect's own struct. */
struct Dialect {
        const DialectOps *ops;
        const DialectPeer *peer;
        void *userdata; /* first argument of every peer function */
};

extern const DialectOps dialect_plugind, dialect_jsonrpc, dialect_mcp, dialect_lsp;

const DialectOps *dialect_find(const char *name); /* NULL if there is none */
const char *const *dialect_names(void);           /* NULL-terminated */

static inline Dialect *dialect_free(Dialect *d) {
        return d ? d->ops->dialect_free(d) : NULL;
}
