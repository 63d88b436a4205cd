/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The smallest plugin there can be, so that what is measured is plugind: dialect `jsonrpc`, no library but libc, answers every request with its
 * params. It trusts its input: it looks for what plugind writes, in the order in which plugind writes it.
 *
 * With an argument, or $BENCH_READY, it sends one datagram to the socket at that path when it runs.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BUFFER_SIZE (4 * 1024 * 1024)
#define ID "\"id\":"
#define PARAMS ",\"params\":"
#define BEGIN "{\"jsonrpc\":\"2.0\",\"id\":"
#define RESULT ",\"result\":"

static char input[BUFFER_SIZE], output[BUFFER_SIZE];
static size_t input_size, output_size;

static void tell_ready(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
        if (sendto(fd, "r", 1, 0, (struct sockaddr *) &address, sizeof(address)) < 0)
                perror(path);
        close(fd);
}

static void write_all(void) {
        for (size_t written = 0; written < output_size;) {
                ssize_t n = write(STDOUT_FILENO, output + written, output_size - written);

                if (n < 0 && errno != EINTR)
                        exit(EXIT_FAILURE);
                written += n > 0 ? (size_t) n : 0;
        }
        output_size = 0;
}

static void say(const char *data, size_t size) {
        if (output_size + size > sizeof(output))
                write_all();
        memcpy(output + output_size, data, size);
        output_size += size;
}

static void answer(const char *line, size_t size) {
        const char *id = memmem(line, size, ID, strlen(ID));
        const char *params = memmem(line, size, PARAMS, strlen(PARAMS));

        if (!id || !params)
                return; /* a notification */
        id += strlen(ID);
        params += strlen(PARAMS);
        say(BEGIN, strlen(BEGIN));
        say(id, strspn(id, "0123456789"));
        say(RESULT, strlen(RESULT));
        say(params, (size_t) (line + size - params)); /* the last brace is the envelope's, as ours is */
        say("\n", 1);
}

static bool take_input(void) {
        ssize_t n = read(STDIN_FILENO, input + input_size, sizeof(input) - input_size);
        char *line = input, *end;

        if (n <= 0)
                return n < 0 && errno == EINTR;
        input_size += (size_t) n;
        while ((end = memchr(line, '\n', (size_t) (input + input_size - line)))) {
                answer(line, (size_t) (end - line));
                line = end + 1;
        }
        input_size -= (size_t) (line - input);
        memmove(input, line, input_size);
        write_all();
        return true;
}

int main(int argc, char *argv[]) {
        const char *ready = argc > 1 ? argv[1] : getenv("BENCH_READY");

        if (ready)
                tell_ready(ready);
        while (take_input())
                ;
        return EXIT_SUCCESS;
}
