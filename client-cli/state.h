/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How the states of a session are shown. */
#pragma once

#include <stdbool.h>

/* Of the dot and the word: green, red, yellow; NULL for inactive. */
const char *state_colour(const char *reported_state);
/* "●", hollow when inactive, "×" when errored, as systemctl; "*", "o", "x" where the locale has none of them. */
const char *state_dot(const char *reported_state);
/* Neither running nor on the way: what `status` answers with exit status 3. */
bool state_is_down(const char *reported_state);
