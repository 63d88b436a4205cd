/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "state.h"

#include "terminal.h"
#include "text.h"

#include <stddef.h>
#include <string.h>

const char *state_colour(const char *reported_state) {
        if (strcmp(reported_state, "active") == 0)
                return ANSI_GREEN;
        if (strcmp(reported_state, "errored") == 0)
                return ANSI_RED;
        if (strcmp(reported_state, "inactive") == 0)
                return NULL;
        return ANSI_YELLOW;
}

const char *state_dot(const char *reported_state) {
        bool utf8 = text_utf8_locale();

        if (strcmp(reported_state, "errored") == 0)
                return utf8 ? "×" : "x";
        if (strcmp(reported_state, "inactive") == 0)
                return utf8 ? "○" : "o";
        return utf8 ? "●" : "*";
}

bool state_is_down(const char *reported_state) {
        return strcmp(reported_state, "inactive") == 0 || strcmp(reported_state, "errored") == 0;
}
