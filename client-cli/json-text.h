/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints JSON text without reading it into a tree: numbers, key order and duplicate keys stay as the plugin wrote them. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Appends JSON (checked before by whoever sent it; any other text does no harm) to OUT: on one line, or, with PRETTY, indented by two
 * spaces, INDENT levels deep. Characters that a terminal would obey become \u escapes, which mean the same. */
void json_text_append(GString *out, const char *json, size_t size, bool pretty, unsigned indent);
