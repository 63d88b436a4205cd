/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/error.h"

#include <errno.h>
#include <glib.h>

static const struct {
        const char *name;
        int error;
} codes[_PLUGIND_ERROR_MAX] = {
        [PLUGIND_ERROR_NONE] = { "None", 0 },
        [PLUGIND_ERROR_FAILED] = { "Failed", EIO },
        [PLUGIND_ERROR_INVALID_ARGS] = { "InvalidArgs", EINVAL },
        [PLUGIND_ERROR_ACCESS_DENIED] = { "AccessDenied", EACCES },
        [PLUGIND_ERROR_NO_SUCH_PLUGIN] = { "NoSuchPlugin", ENOENT },
        [PLUGIND_ERROR_NO_SUCH_SESSION] = { "NoSuchSession", ENXIO },
        [PLUGIND_ERROR_ALREADY_CONNECTED] = { "AlreadyConnected", EISCONN },
        [PLUGIND_ERROR_NOT_ACTIVE] = { "NotActive", ENOTCONN },
        [PLUGIND_ERROR_BUSY] = { "Busy", EBUSY },
        [PLUGIND_ERROR_START_FAILED] = { "StartFailed", ECHILD },
        [PLUGIND_ERROR_INVALID_MANIFEST] = { "InvalidManifest", EBADMSG },
        [PLUGIND_ERROR_INVALID_PARAMS] = { "InvalidParams", EINVAL },
        [PLUGIND_ERROR_METHOD_NOT_FOUND] = { "MethodNotFound", EOPNOTSUPP },
        [PLUGIND_ERROR_PLUGIN_ERROR] = { "PluginError", EREMOTEIO },
        [PLUGIND_ERROR_PROTOCOL_ERROR] = { "ProtocolError", EPROTO },
        [PLUGIND_ERROR_REQUEST_TIMED_OUT] = { "RequestTimedOut", ETIMEDOUT },
        [PLUGIND_ERROR_CANCELLED] = { "Cancelled", ECANCELED },
        [PLUGIND_ERROR_CONNECTION_LOST] = { "ConnectionLost", ECONNRESET },
        [PLUGIND_ERROR_RUNTIME_UNAVAILABLE] = { "RuntimeUnavailable", ENOSYS },
        [PLUGIND_ERROR_SANDBOX_UNAVAILABLE] = { "SandboxUnavailable", EPERM },
        [PLUGIND_ERROR_LIMITS_EXCEEDED] = { "LimitsExceeded", EDQUOT },
        [PLUGIND_ERROR_NOT_SUPPORTED] = { "NotSupported", EOPNOTSUPP },
};

int plugind_error_set(PlugindError *error, PlugindErrorCode code, const char *format, ...) {
        g_assert(code > PLUGIND_ERROR_NONE && code < _PLUGIND_ERROR_MAX);

        if (error) {
                va_list args;

                g_assert(error->code == PLUGIND_ERROR_NONE);
                va_start(args, format);
                error->message = g_strdup_vprintf(format, args);
                va_end(args);
                error->code = code;
        }
        return -codes[code].error;
}

void plugind_error_propagate(PlugindError *error, PlugindError *source) {
        if (error) {
                g_assert(error->code == PLUGIND_ERROR_NONE);
                *error = *source;
                *source = PLUGIND_ERROR_INIT;
        } else
                plugind_error_clear(source);
}

void plugind_error_copy(PlugindError *error, const PlugindError *source) {
        if (!error)
                return;
        g_assert(error->code == PLUGIND_ERROR_NONE);
        error->code = source->code;
        error->message = g_strdup(source->message);
}

void plugind_error_clear(PlugindError *error) {
        if (!error)
                return;
        g_free(error->message);
        *error = PLUGIND_ERROR_INIT;
}

const char *plugind_error_code_name(PlugindErrorCode code) {
        g_assert(code < _PLUGIND_ERROR_MAX);
        return codes[code].name;
}

PlugindErrorCode plugind_error_code_from_name(const char *name) {
        for (PlugindErrorCode code = PLUGIND_ERROR_NONE; code < _PLUGIND_ERROR_MAX; code++)
                if (g_strcmp0(codes[code].name, name) == 0)
                        return code;
        return PLUGIND_ERROR_FAILED;
}
