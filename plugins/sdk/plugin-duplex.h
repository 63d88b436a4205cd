/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plugin's end of the duplex: JSON-RPC messages, one a line, in and out of two descriptors (of one socket, as plugind does it,
 * or of two pipes). */
#pragma once

#include "duplex/framing.h"
#include "duplex/jsonrpc.h"
#include "plugin-loop.h"

typedef struct PluginDuplex {
        Loop *loop;
        void (*message)(const JsonRpcMessage *message, void *userdata);
        void (*over)(void *userdata); /* the host is gone, or has ended our input */
        void *userdata;

        int fd_in, fd_out;
        PlugindSource *watch_in, *watch_out;
        FrameScanner scanner;
        GByteArray *input;
        GString *output;
        bool broken; /* nothing can be written any more */
} PluginDuplex;

int plugin_duplex_init(PluginDuplex *d, Loop *loop, int fd_in, int fd_out);
void plugin_duplex_done(PluginDuplex *d);

/* What is said is queued; it goes out with the next flush. */
void plugin_duplex_say(PluginDuplex *d, const char *before, JsonRange value, const char *after);
void plugin_duplex_flush(PluginDuplex *d); /* as much as goes without waiting */
void plugin_duplex_drain(PluginDuplex *d); /* all of it */
