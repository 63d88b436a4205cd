/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/sandbox.h"

#include <stddef.h>

bool sandbox_is_none(const Sandbox *sandbox) {
        if (!sandbox->demanded)
                return true;
        return sandbox->profile == SANDBOX_TRUSTED && !sandbox->read_write_paths && !sandbox->read_only_paths && !sandbox->devices &&
               !sandbox->syscalls && !sandbox->user && sandbox->memory_max == SANDBOX_UNSET && sandbox->tasks_max == SANDBOX_UNSET &&
               sandbox->cpu_quota_usec == SANDBOX_UNSET;
}

const char *sandbox_profile_to_string(SandboxProfile profile) {
        static const char *const names[_SANDBOX_PROFILE_MAX] = {
                [SANDBOX_STRICT] = "strict",
                [SANDBOX_NETWORK] = "network",
                [SANDBOX_TRUSTED] = "trusted",
        };

        return names[profile];
}
