/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Preloaded into plugind, it makes it as large as a daemon with much to remember: a fork() would have to copy all these page tables. */
#include <string.h>
#include <sys/mman.h>

#define BALLAST_SIZE ((size_t) 500 * 1024 * 1024)

__attribute__((constructor)) static void load_ballast(void) {
        void *ballast = mmap(NULL, BALLAST_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (ballast != MAP_FAILED)
                memset(ballast, 1, BALLAST_SIZE);
}
