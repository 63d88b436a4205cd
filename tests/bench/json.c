/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the scanner costs, beside json-glib: time per text and per byte, best of several rounds. `bench-json [TEXT-FILE...]` */
#include "duplex/jsonrpc.h"

#include <stdio.h>
#include <time.h>

#define ROUNDS 7
#define ROUND_BYTES ((size_t) 8 << 20) /* enough work for a round to be measured by the clock */

typedef struct Sample {
        const char *name;
        GString *text;
} Sample;

static double now(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static void run_check(JsonRange text) {
        if (json_check(text, NULL, NULL) < 0)
                g_error("a sample that is no JSON");
}

static void run_message(JsonRange text) {
        JsonRpcMessage message;

        if (jsonrpc_parse(text, &message, NULL) < 0)
                g_error("a sample that is no message");
}

static void run_json_glib(JsonRange text) {
        g_autoptr(JsonParser) parser = json_parser_new_immutable();

        if (!json_parser_load_from_data(parser, text.data, (gssize) text.size, NULL))
                g_error("a sample that json-glib refuses");
}

static void run_utf8_validate(JsonRange text) {
        if (!g_utf8_validate_len(text.data, text.size, NULL))
                g_error("a sample that is not UTF-8");
}

/* Nanoseconds for one TEXT. */
static double measure(void (*run)(JsonRange), JsonRange text, size_t round_bytes) {
        size_t count = MAX(round_bytes / text.size, (size_t) 1);
        double best = 1e9;

        for (int round = 0; round < ROUNDS; round++) {
                double start = now();

                for (size_t i = 0; i < count; i++)
                        run(text);
                best = MIN(best, (now() - start) / (double) count);
        }
        return best * 1e9;
}

static void report(const Sample *sample) {
        JsonRange text = { sample->text->str, sample->text->len };
        double check = measure(run_check, text, ROUND_BYTES), message = measure(run_message, text, ROUND_BYTES);
        double glib = measure(run_json_glib, text, ROUND_BYTES / 8), utf8 = measure(run_utf8_validate, text, ROUND_BYTES);

        printf("%-24s %8zu %10.0f %6.3f %10.0f %6.3f %11.0f %6.2f %9.0f %7.1f\n", sample->name, text.size, check,
               check / (double) text.size, message, message / (double) text.size, glib, glib / (double) text.size, utf8, glib / message);
}

static GString *answer(size_t size, const char *piece) {
        GString *text = g_string_new("{\"jsonrpc\":\"2.0\",\"id\":4294967301,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"");

        while (text->len + strlen(piece) + 6 < size)
                g_string_append(text, piece);
        return g_string_append(text, "\"}]}}");
}

static GString *answer_of_values(size_t size, const char *value) {
        GString *text = g_string_new("{\"jsonrpc\":\"2.0\",\"id\":4294967301,\"result\":[");

        while (text->len + strlen(value) + 3 < size)
                g_string_append_printf(text, "%s,", value);
        g_string_truncate(text, text->len - 1);
        return g_string_append(text, "]}");
}

int main(int argc, char **argv) {
        const char *symbol = "{\"name\":\"main\",\"kind\":12,\"range\":{\"start\":{\"line\":10,\"character\":0},"
                             "\"end\":{\"line\":42,\"character\":1}},\"children\":[]}";
        Sample samples[] = {
                { "text 100 B", answer(100, "x") },
                { "text 4 KiB", answer(4096, "The quick brown fox jumps over the lazy dog. ") },
                { "text 64 KiB", answer(65536, "The quick brown fox jumps over the lazy dog. ") },
                { "text 1 MiB", answer(1048576, "The quick brown fox jumps over the lazy dog. ") },
                { "lines of code 64 KiB", answer(65536, "        if (x == \\\"y\\\")\\n                return 0;\\n") },
                { "German 64 KiB", answer(65536, "Fünf große Löwen über den Hügeln. ") },
                { "Japanese 64 KiB", answer(65536, "素早い茶色の狐が怠け者の犬を飛び越える。") },
                { "symbols 64 KiB", answer_of_values(65536, symbol) },
                { "numbers 64 KiB", answer_of_values(65536, "1234.5,-17,0") },
                { "words 64 KiB", answer_of_values(65536, "true,null,{},[]") },
                { "pretty 64 KiB", answer_of_values(65536, "{\n          \"line\": 10,\n          \"character\": 0\n        }\n") },
        };

        printf("%-24s %8s %10s %6s %10s %6s %11s %6s %9s %7s\n", "", "bytes", "check ns", "/B", "jsonrpc ns", "/B", "json-glib ns", "/B",
               "utf8 ns", "ratio");
        for (size_t i = 0; i < G_N_ELEMENTS(samples); i++)
                report(&samples[i]);
        for (int i = 1; i < argc; i++) {
                Sample sample = { argv[i], g_string_new(NULL) };
                char *text;
                gsize size;

                if (!g_file_get_contents(argv[i], &text, &size, NULL))
                        g_error("cannot read %s", argv[i]);
                g_string_append_len(sample.text, text, (gssize) size);
                report(&sample);
        }
        return 0;
}
