/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The little JSON that plugind-plugin.h offers, on top of the service's own scanner. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

char *plugin_json_member(const char *json, const char *key);
char *plugin_json_string(const char *json, const char *key);
bool plugin_json_integer(const char *json, const char *key, int64_t *ret);
char *plugin_json_quote(const char *text);
