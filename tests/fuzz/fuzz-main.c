/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What libFuzzer calls; FUZZ_TARGET is the target's name. */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char *complaint = FUZZ_TARGET(data, size);

        if (complaint) {
                fprintf(stderr, "%s\n", complaint);
                abort();
        }
        return 0;
}
