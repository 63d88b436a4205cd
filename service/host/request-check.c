/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What callers give for a request is checked before anything is done with it. */
#include "host/session-private.h"

#include <string.h>

int request_check_method(const char *method, PlugindError *error) {
        size_t size = strlen(method);

        if (size == 0 || size > METHOD_MAX)
                return plugind_error_set(error, PLUGIND_ERROR_INVALID_ARGS, "method has %zu bytes, expected 1 to %d", size, METHOD_MAX);
        for (size_t i = 0; i < size; i++)
                if ((unsigned char) method[i] < 0x20 || method[i] == 0x7f)
                        return plugind_error_set(error, PLUGIND_ERROR_INVALID_ARGS, "method has a control character (0x%02x) at byte %zu",
                                                 (unsigned char) method[i], i);
        return 0;
}

int request_check_params(JsonRange *params, PlugindError *error) {
        JsonFault fault;

        if (!params->data)
                return 0;
        if (params->size > SEND_MAX)
                return plugind_error_set(error, PLUGIND_ERROR_LIMITS_EXCEEDED, "params has %zu bytes, at most %d are taken", params->size,
                                         SEND_MAX);
        if (json_check(*params, params, &fault) < 0) {
                g_autofree char *quoted = json_quote(params->data + fault.offset, params->size - fault.offset);

                return plugind_error_set(error, PLUGIND_ERROR_INVALID_ARGS, "params is not JSON: %s at byte %zu, before \"%s\"", fault.what,
                                         fault.offset, quoted);
        }
        if (json_type(*params) != JSON_OBJECT && json_type(*params) != JSON_ARRAY) {
                g_autofree char *quoted = json_quote(params->data, params->size);

                return plugind_error_set(error, PLUGIND_ERROR_INVALID_ARGS, "params is %s, expected an object, an array, or nothing",
                                         quoted);
        }
        return 0;
}
