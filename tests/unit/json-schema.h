/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* As much of JSON Schema 2020-12 as docs/manifest.schema.json uses; a keyword that is not known here throws, so that none is silently ignored. */
#pragma once

#include <json-glib/json-glib.h>

/* Whether VALUE is valid by SCHEMA. */
bool schema_allows(JsonNode *schema, JsonNode *value);
