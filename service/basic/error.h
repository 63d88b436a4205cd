/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a caller is told when something fails: a code, which bus/bus-errors.c alone maps to a D-Bus
 * error name, and one sentence that names the thing, the place and what was expected.
 *
 * Functions return 0 or -errno as everywhere in the daemon; a function with a `PlugindError *error` argument
 * fills it when it fails (once, and only then), so that the caller of the daemon hears the reason.
 */
#pragma once

#include <stdarg.h>

typedef enum PlugindErrorCode {
        PLUGIND_ERROR_NONE = 0,
        /* org.freedesktop.DBus.Error.* */
        PLUGIND_ERROR_FAILED,
        PLUGIND_ERROR_INVALID_ARGS,
        PLUGIND_ERROR_ACCESS_DENIED,
        /* org.plugind1.Error.* */
        PLUGIND_ERROR_NO_SUCH_PLUGIN,
        PLUGIND_ERROR_NO_SUCH_SESSION,
        PLUGIND_ERROR_ALREADY_CONNECTED,
        PLUGIND_ERROR_NOT_ACTIVE,
        PLUGIND_ERROR_BUSY,
        PLUGIND_ERROR_START_FAILED,
        PLUGIND_ERROR_INVALID_MANIFEST,
        PLUGIND_ERROR_INVALID_PARAMS,
        PLUGIND_ERROR_METHOD_NOT_FOUND,
        PLUGIND_ERROR_PLUGIN_ERROR,
        PLUGIND_ERROR_PROTOCOL_ERROR,
        PLUGIND_ERROR_REQUEST_TIMED_OUT,
        PLUGIND_ERROR_CANCELLED,
        PLUGIND_ERROR_CONNECTION_LOST,
        PLUGIND_ERROR_RUNTIME_UNAVAILABLE,
        PLUGIND_ERROR_SANDBOX_UNAVAILABLE,
        PLUGIND_ERROR_LIMITS_EXCEEDED,
        PLUGIND_ERROR_NOT_SUPPORTED,
        _PLUGIND_ERROR_MAX,
} PlugindErrorCode;

typedef struct PlugindError {
        PlugindErrorCode code;
        char *message; /* owned; one sentence without a final newline */
} PlugindError;

#define PLUGIND_ERROR_INIT ((PlugindError){})

/* Fills *error (which may be NULL, and must be empty) and returns the negative errno that fits CODE, so that a
 * function can end with `return plugind_error_set(error, ...)`. */
int plugind_error_set(PlugindError *error, PlugindErrorCode code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Moves SOURCE into *error (which may be NULL: then SOURCE is cleared). */
void plugind_error_propagate(PlugindError *error, PlugindError *source);
void plugind_error_copy(PlugindError *error, const PlugindError *source);
void plugind_error_clear(PlugindError *error);

/* "NotActive", "InvalidArgs" ...: the last part of the D-Bus error name. Never NULL. */
const char *plugind_error_code_name(PlugindErrorCode code);

/* PLUGIND_ERROR_FAILED if NAME (may be NULL) is none. */
PlugindErrorCode plugind_error_code_from_name(const char *name);

#define _cleanup_error_ __attribute__((cleanup(plugind_error_clear)))
