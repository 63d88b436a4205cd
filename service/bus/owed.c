/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each signal is an array of texts: ["StateChanged", "echo", "active", "connecting", "boot"]. */
#include "bus/owed.h"

#include "basic/json.h"
#include "basic/log.h"

/* Words of one signal: as many as PropertiesChanged may ever have. */
#define WORDS_MAX 64

struct Owed {
        GPtrArray *signals; /* of char **: the member, the session's id, arguments */
};

Owed *owed_new(void) {
        Owed *owed = g_new(Owed, 1);

        owed->signals = g_ptr_array_new_with_free_func((GDestroyNotify) g_strfreev);
        return owed;
}

Owed *owed_free(Owed *owed) {
        if (!owed)
                return NULL;
        g_ptr_array_unref(owed->signals);
        g_free(owed);
        return NULL;
}

bool owed_is_empty(const Owed *owed) {
        return owed->signals->len == 0;
}

void owed_addv(Owed *owed, const char *member, const char *id, const char *const *arguments) {
        GPtrArray *words = g_ptr_array_new();

        g_ptr_array_add(words, g_strdup(member));
        g_ptr_array_add(words, g_strdup(id));
        for (; *arguments; arguments++)
                g_ptr_array_add(words, g_strdup(*arguments));
        g_ptr_array_add(words, NULL);
        g_ptr_array_add(owed->signals, g_ptr_array_free(words, FALSE));
}

void owed_add(Owed *owed, const char *member, const char *id, ...) {
        const char *arguments[WORDS_MAX] = {};
        va_list list;

        va_start(list, id);
        for (size_t n = 0; n < WORDS_MAX - 1 && (arguments[n] = va_arg(list, const char *)); n++)
                ;
        va_end(list);
        owed_addv(owed, member, id, arguments);
}

char *owed_write(const Owed *owed) {
        GString *json = g_string_new("[");

        for (unsigned i = 0; i < owed->signals->len; i++) {
                char *const *words = owed->signals->pdata[i];

                g_string_append(json, i == 0 ? "[" : ",[");
                for (size_t k = 0; words[k]; k++) {
                        if (k > 0)
                                g_string_append_c(json, ',');
                        json_append_string(json, words[k], strlen(words[k]));
                }
                g_string_append_c(json, ']');
        }
        g_string_append_c(json, ']');
        return g_string_free(json, FALSE);
}

/* NULL: it is no signal. */
static char **read_words(JsonRange signal) {
        g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
        JsonRange value;
        size_t cursor = 0;

        if (json_type(signal) != JSON_ARRAY)
                return NULL;
        while (json_next(signal, &cursor, NULL, &value)) {
                char *word = json_type(value) == JSON_STRING ? json_string_decode(value) : NULL;

                if (!word || words->len == WORDS_MAX) {
                        g_free(word);
                        return NULL;
                }
                g_ptr_array_add(words, word);
        }
        if (words->len < 2)
                return NULL;
        g_ptr_array_set_free_func(words, NULL);
        g_ptr_array_add(words, NULL);
        return (char **) g_ptr_array_free(g_steal_pointer(&words), FALSE);
}

static void complain(unsigned n) {
        if (n > 0)
                log_warning("Of the signals that the daemon before has left, %u cannot be made out and are not sent", n);
}

void owed_read(Owed *owed, const char *text, size_t size) {
        JsonRange list, signal;
        JsonFault fault;
        unsigned bad = 0;
        size_t cursor = 0;

        if (json_check((JsonRange){ text, size }, &list, &fault) < 0) {
                log_warning("Signals that the daemon before has left cannot be read: %s at byte %zu of %zu", fault.what, fault.offset,
                            size);
                return;
        }
        if (json_type(list) != JSON_ARRAY) {
                log_warning("Signals that the daemon before has left cannot be read: a list was expected");
                return;
        }
        while (json_next(list, &cursor, NULL, &signal)) {
                char **words = read_words(signal);

                if (words)
                        g_ptr_array_add(owed->signals, words);
                else
                        bad++;
        }
        complain(bad);
}

void owed_pay(Owed *owed, bool (*send)(const char *member, const char *id, char *const *arguments, void *userdata), void *userdata) {
        g_autoptr(GPtrArray) signals = g_steal_pointer(&owed->signals);
        unsigned bad = 0;

        owed->signals = g_ptr_array_new_with_free_func((GDestroyNotify) g_strfreev);
        for (unsigned i = 0; i < signals->len; i++) {
                char *const *words = signals->pdata[i];

                if (!send(words[0], words[1], words + 2, userdata))
                        bad++;
        }
        complain(bad);
}
