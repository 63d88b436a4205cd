/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a plugin may touch: the manifest's `sandbox` (docs/manifest.md), read by host/, applied by the systemd runtime, checked from
 * inside by plugind-exec. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef enum SandboxProfile {
        SANDBOX_STRICT,  /* nothing but its own folder */
        SANDBOX_NETWORK, /* the same with the network */
        SANDBOX_TRUSTED, /* none */
        _SANDBOX_PROFILE_MAX,
} SandboxProfile;

/* Limits that are not given: these; with profile `trusted` none. A manifest that anybody may change cannot ask for more. */
#define SANDBOX_UNSET UINT64_MAX
#define SANDBOX_TASKS_DEFAULT 512
#define SANDBOX_MEMORY_DEFAULT (UINT64_C(2) * 1024 * 1024 * 1024)

typedef struct Sandbox {
        bool demanded; /* the manifest has the key: a runtime without sandboxes refuses it, unless it is no more than `trusted` */
        SandboxProfile profile;
        char **read_write_paths; /* absolute; NULL: none. Likewise below */
        char **read_only_paths;
        char **devices;          /* below /dev */
        char **syscalls;         /* names and @groups, besides the profile's */
        uint64_t memory_max;     /* bytes */
        uint64_t tasks_max;      /* processes and threads */
        uint64_t cpu_quota_usec; /* of CPU time per second; 1000000 is one whole processor */
        char *user;              /* NULL: a dynamic one of its own */
} Sandbox;

/* Nothing at all that a runtime without sandboxes could not give. */
bool sandbox_is_none(const Sandbox *sandbox);

/* "strict", "network", "trusted" */
const char *sandbox_profile_to_string(SandboxProfile profile);
