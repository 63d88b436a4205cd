/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "launcher/spec.h"

/* Becomes the plugin. Returns only when that failed, with a sentence in TEXT. */
void plugin_exec(const Spec *spec, bool sandboxed, char *text, size_t size);
