/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pluginctl's headers for C++: GLib's must not come within extern "C". */
#pragma once

#include <json-glib/json-glib.h>
#include <string>
#include <systemd/sd-bus.h>

extern "C" {
#include "daemon-line.h"
#include "figures.h"
#include "greeting.h"
#include "json-text.h"
#include "log-lines.h"
#include "log-tail.h"
#include "options.h"
#include "plot.h"
#include "process.h"
#include "screen.h"
#include "table.h"
#include "terminal.h"
#include "text-time.h"
#include "text.h"
#include "top-rows.h"
}

/* A newly allocated string, freed. */
static inline std::string taken(char *text) {
        std::string string = text ? text : "(null)";

        g_free(text);
        return string;
}
