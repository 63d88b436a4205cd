/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a plugin said of itself in the answer to its dialect's greeting. */
#pragma once

typedef struct Greeting {
        char *protocol; /* version of the dialect; NULL: not said */
        char *server;   /* "name version"; NULL: not said */
} Greeting;

/* JSON: Session.Greeting. Whatever it holds that was not expected is left out. */
void greeting_parse(const char *json, Greeting *ret);
void greeting_clear(Greeting *greeting);
