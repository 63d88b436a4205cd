/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/bus-errors.h"

#include <errno.h>
#include <glib.h>

#define OURS "org.plugind1.Error."

static const char *const names[_PLUGIND_ERROR_MAX] = {
        [PLUGIND_ERROR_NONE] = SD_BUS_ERROR_FAILED,
        [PLUGIND_ERROR_FAILED] = SD_BUS_ERROR_FAILED,
        [PLUGIND_ERROR_INVALID_ARGS] = SD_BUS_ERROR_INVALID_ARGS,
        [PLUGIND_ERROR_ACCESS_DENIED] = SD_BUS_ERROR_ACCESS_DENIED,
        [PLUGIND_ERROR_NO_SUCH_PLUGIN] = OURS "NoSuchPlugin",
        [PLUGIND_ERROR_NO_SUCH_SESSION] = OURS "NoSuchSession",
        [PLUGIND_ERROR_ALREADY_CONNECTED] = OURS "AlreadyConnected",
        [PLUGIND_ERROR_NOT_ACTIVE] = OURS "NotActive",
        [PLUGIND_ERROR_BUSY] = OURS "Busy",
        [PLUGIND_ERROR_START_FAILED] = OURS "StartFailed",
        [PLUGIND_ERROR_INVALID_MANIFEST] = OURS "InvalidManifest",
        [PLUGIND_ERROR_INVALID_PARAMS] = OURS "InvalidParams",
        [PLUGIND_ERROR_METHOD_NOT_FOUND] = OURS "MethodNotFound",
        [PLUGIND_ERROR_PLUGIN_ERROR] = OURS "PluginError",
        [PLUGIND_ERROR_PROTOCOL_ERROR] = OURS "ProtocolError",
        [PLUGIND_ERROR_REQUEST_TIMED_OUT] = OURS "RequestTimedOut",
        [PLUGIND_ERROR_CANCELLED] = OURS "Cancelled",
        [PLUGIND_ERROR_CONNECTION_LOST] = OURS "ConnectionLost",
        [PLUGIND_ERROR_RUNTIME_UNAVAILABLE] = OURS "RuntimeUnavailable",
        [PLUGIND_ERROR_SANDBOX_UNAVAILABLE] = OURS "SandboxUnavailable",
        [PLUGIND_ERROR_LIMITS_EXCEEDED] = OURS "LimitsExceeded",
        [PLUGIND_ERROR_NOT_SUPPORTED] = OURS "NotSupported",
};

const char *bus_error_name(PlugindErrorCode code) {
        g_assert(code < _PLUGIND_ERROR_MAX && names[code]);
        return names[code];
}

int bus_error_set(sd_bus_error *ret, int r, const PlugindError *error) {
        g_autofree char *message = NULL;

        if (error->code == PLUGIND_ERROR_NONE)
                return sd_bus_error_set_errno(ret, r);
        /* A message may quote a file name, which need not be UTF-8; sd-bus would send nothing then. */
        message = g_utf8_make_valid(error->message, -1);
        return sd_bus_error_set(ret, bus_error_name(error->code), message);
}
