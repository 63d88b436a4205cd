/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of a duplex share among themselves:
 *   duplex.c         the object, reading and delivering
 *   duplex-output.c  writing
 *   duplex-hold.c    what is delivered ahead of its turn before a hand-over
 */
#pragma once

#include "duplex/duplex.h"

/* Outlives the duplex on the stack of the function that called back. */
typedef struct CallBack {
        bool freed;
        Slot *slot; /* the ranges that the callback was given stay valid until it returns */
} CallBack;

struct Duplex {
        const DuplexOps *ops;
        void *userdata;

        int fd_in, fd_out;
        bool socket; /* fd_in and fd_out are one, and so are the sources */
        sd_event *event;
        sd_event_source *in_source, *out_source, *later_source, *gather_source;

        Slot *slot;
        FrameScanner scanner;
        CallBack *calling; /* NULL: not inside a callback */

        bool paused;
        bool draining; /* and not to be paused any more */
        bool writing;  /* waiting until the plugin takes more */
        bool ending;   /* duplex_end_output() was called */
        bool busy;     /* something was written since the plugin was last heard */
        bool wide_in, wide_out;
        bool end_of_input;
        bool closed;
        PlugindError broken; /* why no more can be read or written; set before closed() */

        bool held;
        bool held_full;  /* no room for more */
        bool held_stuck; /* what lies at `ahead` is no frame to look behind */
        size_t ahead;    /* while held: bytes behind tail that were looked through */
        FrameScanner ahead_scanner;

        uint64_t received_at, received_bytes;
};

/* duplex.c */
/* Tells the loop what we wait for now. */
int duplex_update_sources(Duplex *d);
/* Goes on from the loop: deliver what is there, or tell that it is over. */
void duplex_continue_later(Duplex *d);
/* The first reason counts. */
void duplex_broke(Duplex *d, PlugindErrorCode code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Around each callback; false: it has freed the duplex. */
void duplex_begin_call(Duplex *d, CallBack *call);
bool duplex_end_call(Duplex *d, CallBack *call);
/* May what comes next be delivered? Else it is paused from here on. */
bool duplex_ready(Duplex *d);
/* Takes SIZE bytes of an oversize message, after which SCANNER says how much more of it there is. */
void duplex_take_part(Duplex *d, const FrameScanner *scanner, size_t size);
/* A line that ends with the input instead of an end of line, START bytes behind tail, without what is blank before it. False if there can be
 * none there. */
bool duplex_last_line(const Duplex *d, const FrameScanner *scanner, size_t start, JsonRange *ret);

/* duplex-output.c */
bool duplex_can_write(const Duplex *d);
/* Writes what the plugin takes now, and tells the loop when it has to know. */
void duplex_write(Duplex *d);
/* What was being gathered, without the loop. */
void duplex_write_last(Duplex *d);
int duplex_on_output(sd_event_source *source, int fd, uint32_t revents, void *userdata);
/* A message that fits into the pipe costs one system call and one turn of the plugin. Only where it is needed, for a user's pipes must not be
 * larger than pipe-user-pages-soft in all; past that it fails, which does no harm. True if it can hold more now. */
bool duplex_widen(const Duplex *d, int fd, bool *wide);
#define DUPLEX_PIPE_SIZE (64 * 1024) /* what a pipe has at first */

/* duplex-hold.c: as deliver() and deliver_rest() of duplex.c. */
bool duplex_deliver_ahead(Duplex *d);
bool duplex_deliver_rest_ahead(Duplex *d);
