/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/sandbox.h"

const char *sandbox_profile_to_string(SandboxProfile profile) {
        static const char *const names[_SANDBOX_PROFILE_MAX] = {
                [SANDBOX_STRICT] = "strict",
                [SANDBOX_NETWORK] = "network",
                [SANDBOX_TRUSTED] = "trusted",
        };

        return names[profile];
}
