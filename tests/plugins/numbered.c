/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * numbered [--headers] [--period=MS] [--pause=USEC] [--skip=N] [--twice=N]: a plugin of plain JSON-RPC that shows whether anything is lost, doubled or torn
 * on either way. Nothing in it knows of plugind.
 *
 * Every PERIOD ms (0: never) it notifies "tick" with the next number N and a pad that follows from N (tick_size() and the alphabet); now and then that is large
 * and written in pieces. It checks what it is told: calls and notes carry {"from":F,"n":N,"prev":P,"sum":S,"pad":"..."}, N grows for each F, P is the last one that F knows
 * to have been handed on, S the CRC-32 of the pad. What is wrong is counted in each tick as "faults", the last one in words.
 *
 * Methods: `echo` answers its params, in pieces; `quiet` stops ticking and answers {"n":...,"heard":...,"faults":...,"fault":"..."}; `flood` {"count":N} ticks N times, large,
 * as fast as it can be written; `never` is not answered. `note` is a notification.
 *
 * --skip=N and --twice=N leave out and double a tick, so that a test can show that it would notice.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FROM_MAX = 256, PIECE = 48 * 1024, READ_MAX = 32 * 1024 };

static bool headers, ticking = true;
static unsigned period_ms = 100, pause_usec = 1000;
static unsigned long ticks, heard, faults, skip, twice;
static char fault[200];
static unsigned long last_of[FROM_MAX];

static struct {
        char *data;
        size_t size, allocated;
} in;

static void found(const char *what, unsigned long from, unsigned long n) {
        faults++;
        snprintf(fault, sizeof(fault), "%s (of caller %lu, number %lu)", what, from, n);
}

static void nap(unsigned usec) {
        nanosleep(&(struct timespec){ usec / 1000000, usec % 1000000 * 1000L }, NULL);
}

static void write_all(const char *data, size_t size) {
        while (size > 0) {
                ssize_t n = write(STDOUT_FILENO, data, size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        exit(0); /* nobody is there */
                data += n;
                size -= (size_t) n;
        }
}

/* One message, in pieces if it is large: others have to put up with half of it. */
static void say(const char *data, size_t size) {
        char line[40];

        if (headers)
                write_all(line, (size_t) snprintf(line, sizeof(line), "Content-Length: %zu\r\n\r\n", size));
        while (size > PIECE) {
                size_t piece = PIECE / 2 + (size_t) rand() % (PIECE / 2);
                write_all(data, piece);
                nap(pause_usec);
                data += piece;
                size -= piece;
        }
        write_all(data, size);
        if (!headers)
                write_all("\n", 1);
}

/* -- ticks -- */

/* The same in tests/system/load.cc. */
static size_t tick_size(unsigned long n) {
        return n % 50 == 49 ? 100000 + n * 7919 % 200000 : n * 37 % 1500;
}

static void say_tick(unsigned long n, size_t size) {
        char *text = malloc(size + sizeof(fault) + 200);
        int head = snprintf(text, size + sizeof(fault) + 200,
                            "{\"jsonrpc\":\"2.0\",\"method\":\"tick\",\"params\":{\"n\":%lu,\"faults\":%lu,\"fault\":\"%s\",\"pad\":\"", n,
                            faults, fault);

        for (size_t i = 0; i < size; i++)
                text[(size_t) head + i] = (char) ('a' + (n + i) % 26);
        memcpy(text + head + size, "\"}}", 3);
        say(text, (size_t) head + size + 3);
        free(text);
}

static void tick(size_t size) {
        ticks++;
        if (ticks != skip)
                say_tick(ticks, size);
        if (ticks == twice)
                say_tick(ticks, size);
}

/* -- what comes in -- */

static uint32_t crc32(const char *data, size_t size) {
        static uint32_t table[256];
        uint32_t crc = 0xffffffff;

        if (table[1] == 0)
                for (uint32_t i = 0; i < 256; i++) {
                        table[i] = i;
                        for (int bit = 0; bit < 8; bit++)
                                table[i] = table[i] & 1 ? table[i] >> 1 ^ 0xedb88320 : table[i] >> 1;
                }
        for (size_t i = 0; i < size; i++)
                crc = table[(crc ^ (unsigned char) data[i]) & 0xff] ^ crc >> 8;
        return ~crc;
}

/* PARAMS is all that comes after "params":, but for the last brace of the message, and ends with NUL. */
static void check_params(const char *params, size_t size) {
        unsigned long from, n, prev;
        unsigned sum;
        int head = 0;

        heard++;
        if (sscanf(params, "{\"from\":%lu,\"n\":%lu,\"prev\":%lu,\"sum\":%u,\"pad\":\"%n", &from, &n, &prev, &sum, &head) != 4 ||
            head == 0 || size < (size_t) head + 2 || strcmp(params + size - 2, "\"}") != 0 || from >= FROM_MAX) {
                found("torn: params without beginning or end", 0, 0);
                return;
        }
        if (crc32(params + head, size - 2 - (size_t) head) != sum)
                found("torn: a pad with another sum", from, n);
        if (n <= last_of[from])
                found("doubled", from, n);
        if (prev > last_of[from])
                found("lost: the one before", from, n);
        last_of[from] = n;
}

static void answer(const char *id, const char *result) {
        size_t size = strlen(result) + strlen(id) + 60;
        char *text = malloc(size);

        say(text, (size_t) snprintf(text, size, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":%s}", id, result));
        free(text);
}

static void answer_quiet(const char *id) {
        char text[sizeof(fault) + 200];

        ticking = false;
        snprintf(text, sizeof(text), "{\"n\":%lu,\"heard\":%lu,\"faults\":%lu,\"fault\":\"%s\"}", ticks, heard, faults, fault);
        answer(id, text);
}

static void flood(const char *params) {
        unsigned long count = 0;

        sscanf(params, "{\"count\":%lu}", &count);
        while (count-- > 0)
                tick(tick_size(ticks + 1));
}

/* A message as plugind composes it: {"jsonrpc":"2.0","id":I,"method":"M","params":P}. Ends with NUL. */
static void handle(char *text, size_t size) {
        char id[32] = "", method[32] = "";
        char *params;
        int head = 0;

        if (memchr(text, 0, size) || size < 2 || text[size - 1] != '}') {
                found("torn: a message with NUL or without end", 0, 0);
                return;
        }
        text[size - 1] = 0;
        if ((sscanf(text, "{\"jsonrpc\":\"2.0\",\"id\":%31[0-9],\"method\":\"%31[^\"]\"%n", id, method, &head) != 2 || head == 0) &&
            (sscanf(text, "{\"jsonrpc\":\"2.0\",\"method\":\"%31[^\"]\"%n", method, &head) != 1 || head == 0)) {
                found("torn: a message that begins otherwise", 0, 0);
                return;
        }
        params = strncmp(text + head, ",\"params\":", 10) == 0 ? text + head + 10 : text + head;
        if (strcmp(method, "echo") == 0) {
                check_params(params, size - 1 - (size_t) (params - text));
                answer(id, params);
        } else if (strcmp(method, "note") == 0)
                check_params(params, size - 1 - (size_t) (params - text));
        else if (strcmp(method, "quiet") == 0)
                answer_quiet(id);
        else if (strcmp(method, "flood") == 0) {
                answer(id, "{}");
                flood(params);
        } else if (strcmp(method, "never") != 0)
                found("torn: a method that there is not", 0, 0);
}

/* The bytes of the first whole message and of what is around it; 0: there is none yet. */
static size_t next_message(const char **ret, size_t *ret_size) {
        const char *end = headers ? memmem(in.data, in.size, "\r\n\r\n", 4) : memchr(in.data, '\n', in.size);
        size_t head, length;

        if (!end)
                return 0;
        if (!headers) {
                *ret = in.data;
                *ret_size = (size_t) (end - in.data);
                return *ret_size + 1;
        }
        head = (size_t) (end - in.data) + 4;
        if (sscanf(in.data, "Content-Length: %zu\r", &length) != 1) {
                found("torn: no header", 0, 0);
                length = 0;
        }
        *ret = in.data + head;
        *ret_size = length;
        return in.size < head + length ? 0 : head + length;
}

static void handle_all(void) {
        const char *text;
        size_t size, used;

        while (in.size > 0 && (used = next_message(&text, &size)) > 0) {
                char *copy = calloc(1, size + 1);

                memcpy(copy, text, size);
                handle(copy, size);
                free(copy);
                memmove(in.data, in.data + used, in.size - used);
                in.size -= used;
                in.data[in.size] = 0;
        }
}

/* Slowly, if there is much: whoever writes has to keep half a message. */
static void read_some(void) {
        ssize_t n;

        if (in.allocated - in.size <= READ_MAX)
                in.data = realloc(in.data, in.allocated += 2 * READ_MAX + in.allocated);
        n = read(STDIN_FILENO, in.data + in.size, READ_MAX);
        if (n <= 0)
                exit(0);
        in.size += (size_t) n;
        in.data[in.size] = 0;
        if (n == READ_MAX)
                nap(pause_usec);
        handle_all();
}

static int64_t now_ms(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void options(char **argv) {
        for (; *argv; argv++)
                if (strcmp(*argv, "--headers") == 0)
                        headers = true;
                else if (sscanf(*argv, "--period=%u", &period_ms) != 1 && sscanf(*argv, "--pause=%u", &pause_usec) != 1 &&
                         sscanf(*argv, "--skip=%lu", &skip) != 1 && sscanf(*argv, "--twice=%lu", &twice) != 1) {
                        fprintf(stderr, "numbered: found %s, expected --headers, --period=MS, --pause=USEC, --skip=N or --twice=N\n",
                                *argv);
                        exit(2);
                }
}

int main(int argc, char **argv) {
        options(argv + 1);
        for (int64_t next = now_ms();;) {
                struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
                bool ticks_now = ticking && period_ms > 0;
                int64_t left = next - now_ms();

                if (poll(&input, 1, !ticks_now ? -1 : left > 0 ? (int) left : 0) > 0)
                        read_some();
                if (ticking && period_ms > 0 && now_ms() >= next) {
                        tick(tick_size(ticks + 1));
                        next = now_ms() + period_ms; /* what was missed while nobody read is not made up for */
                }
        }
}
