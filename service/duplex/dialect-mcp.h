/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside of the MCP dialect: what its files share. dialect-mcp.c greets, dialect-mcp-share.c counts what callers hold in a server,
 * dialect-mcp-route.c sees every message in both directions, dialect-mcp-state.c is the hand-over to another daemon. */
#pragma once

#include "duplex/dialect-common.h"

/* Modern: version and capabilities in every request (2026-07-28). Legacy: once, by initialize (2025-11-25 and before). */
typedef enum McpEra { MCP_UNKNOWN, MCP_MODERN, MCP_LEGACY } McpEra;

/* RFC 5424, as MCP spells them. */
typedef enum McpLevel { MCP_LEVEL_NONE = -1, MCP_LEVEL_DEBUG, MCP_LEVEL_EMERGENCY = 7, _MCP_LEVEL_MAX } McpLevel;

typedef enum McpStep { MCP_NOT_ASKED, MCP_ASKED, MCP_REFUSED } McpStep;

/* Notifications that not every subscriber may hear. */
typedef enum McpTopic { MCP_TOPIC_OTHER, MCP_TOPIC_MESSAGE, MCP_TOPIC_UPDATED } McpTopic;

/* What one caller holds in the server, over the end of its requests. */
typedef struct McpCaller {
        Caller *caller;
        GHashTable *uris; /* of resources/subscribe, decoded -> McpHold */
        McpLevel level;   /* of logging/setLevel: as it last asked for ... */
        uint64_t asked;   /* ... by this one, which is not answered yet; 0: the server has agreed */
        McpLevel agreed;  /* what it falls back to if the server refuses */
} McpCaller;

/* UNCONFIRMED: the resources/subscribe on its way to the server that this rests on; 0: the server has agreed. */
typedef struct McpHold {
        uint64_t unconfirmed;
} McpHold;

typedef struct McpUri {
        unsigned holders;
        bool agreed; /* the server did, for one of them */
        bool again;  /* the host's own subscription to it, after a restart, is not answered yet */
} McpUri;

/* A request whose end or whose notifications concern the dialect. */
typedef struct McpTracked {
        uint64_t id;
        Caller *caller;
        char *token;     /* the caller's own progress token as JSON, or NULL */
        char *uri;       /* resources/subscribe: decoded */
        bool listen;     /* subscriptions/listen */
        char *caller_id; /* listen: as JSON, or NULL */
        bool sets_level; /* logging/setLevel */
        McpLevel level;  /* io.modelcontextprotocol/logLevel, or what logging/setLevel asked for */
} McpTracked;

typedef struct Mcp {
        Dialect dialect;
        Deadlines *deadlines;

        /* greeting */
        McpEra era;         /* known or believed */
        bool era_fixed;     /* by the manifest */
        bool dies_of_probe; /* the connection broke while the probe was unanswered: begin with initialize */
        bool decided;       /* the greeting of this connection is over, well or not ... */
        bool greeted;       /* ... well */
        bool ping_underway;
        McpStep discover, initialize;
        char *refusal;    /* why initialize was refused */
        Deadline silence; /* armed while an answer decides between the eras */
        char *greeting;   /* legacy: the result of initialize; NULL: too large to be kept */

        /* sharing */
        GHashTable *tracked;      /* by id */
        GHashTable *callers;      /* Caller -> McpCaller */
        GHashTable *uris;         /* decoded -> McpUri */
        McpLevel level;           /* last set in the server */
        unsigned levels_underway; /* logging/setLevel of callers that the server has not answered yet */

        /* left to say after a hand-over */
        Deadline resume;    /* armed if there is something */
        GHashTable *strays; /* URIs that the server may have been asked for and nobody holds; NULL: none */
        bool level_unsure;  /* it may not have the level that is wanted */

        /* of the notification being delivered, for `wants` */
        McpTopic topic;
        McpLevel message_level;
        char *updated_uri; /* decoded */
} Mcp;

static inline Mcp *mcp(Dialect *d) {
        return (Mcp *) d;
}

/* The _meta members that the modern protocol demands of every request. */
#define MCP_META_VERSION "io.modelcontextprotocol/protocolVersion"
#define MCP_META_CLIENT "io.modelcontextprotocol/clientInfo"
#define MCP_META_CAPABILITIES "io.modelcontextprotocol/clientCapabilities"
#define MCP_META_LOG_LEVEL "io.modelcontextprotocol/logLevel"
#define MCP_META_SUBSCRIPTION "io.modelcontextprotocol/subscriptionId"

#define MCP_MODERN_VERSION "2026-07-28"
#define MCP_CLIENT_INFO "{\"name\":\"plugind\",\"version\":\"" PROJECT_VERSION "\"}"
#define MCP_MEMBER_VERSION "\"" MCP_META_VERSION "\":\"" MCP_MODERN_VERSION "\""
#define MCP_MEMBER_CLIENT "\"" MCP_META_CLIENT "\":" MCP_CLIENT_INFO
#define MCP_MEMBER_CAPABILITIES "\"" MCP_META_CAPABILITIES "\":{}"
#define MCP_META "\"_meta\":{" MCP_MEMBER_VERSION "," MCP_MEMBER_CLIENT "," MCP_MEMBER_CAPABILITIES "}"

/* dialect-mcp-share.c */
void mcp_share_init(Mcp *m);
void mcp_share_done(Mcp *m);
void mcp_share_active(Dialect *d);
void mcp_share_disconnected(Mcp *m);
void mcp_hold(Mcp *m, McpCaller *caller, const char *uri, uint64_t unconfirmed);
McpCaller *mcp_caller(Mcp *m, Caller *caller); /* made if it is not there */
void mcp_update_level(Mcp *m);
void mcp_subscribe_again(Mcp *m, bool all); /* all that is held; else what waits for an answer */
void mcp_release(Mcp *m, const char *uri);  /* tells the server */
McpTracked *mcp_track(Mcp *m, DialectOutgoing *message);
DialectVerdict mcp_subscribe(Mcp *m, DialectOutgoing *message);
DialectVerdict mcp_unsubscribe(Mcp *m, DialectOutgoing *message);
DialectVerdict mcp_set_level(Mcp *m, DialectOutgoing *message);
void mcp_finished(Dialect *d, uint64_t id, JsonRange result);
void mcp_caller_gone(Dialect *d, Caller *caller);
McpLevel mcp_level_from_json(JsonRange string);
const char *mcp_level_to_string(McpLevel level);

/* dialect-mcp-route.c */
DialectVerdict mcp_outgoing(Dialect *d, DialectOutgoing *message);
void mcp_notification(Dialect *d, DialectIncoming *message);
bool mcp_wants(Dialect *d, Caller *caller, const DialectIncoming *message);

/* dialect-mcp-state.c */
void mcp_save(Dialect *d, GString *json);
int mcp_restore(Dialect *d, JsonRange state, bool connected);
void mcp_resume(Mcp *m); /* says what a restored dialect has to say before all else */
void mcp_resume_expired(Deadline *deadline);
void mcp_forget_resume(Mcp *m);
