/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

/* What ctl_list_sessions() gave, with the keys that docs/pluginctl.md promises: an array. */
JsonNode *sessions_to_json(JsonArray *sessions);
