/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/options.h"

#include "basic/json.h"

#include <inttypes.h>

static const char *const expected[] = {
        [OPTION_BOOL] = "a boolean (b)",
        [OPTION_STRING] = "a string (s)",
        [OPTION_USEC] = "an integer (any of y, n, q, i, u, x, t) of 0 or more",
        [OPTION_JSON_NAME] = "a string (s) or an integer (any of y, n, q, i, u, x, t)",
};

static int unknown(sd_bus_message *message, const Option *table, const char *name, PlugindError *error) {
        g_autoptr(GString) known = g_string_new(NULL);

        for (const Option *o = table; o && o->name; o++)
                g_string_append_printf(known, "%s%s", known->len > 0 ? ", " : "", o->name);
        return plugind_error_set(error, PLUGIND_ERROR_INVALID_ARGS, "%s has no option \"%s\" (it has: %s)",
                                 sd_bus_message_get_member(message), name, known->len > 0 ? known->str : "none");
}

/* Any integer type: *negative holds what is below 0, else *value. */
static int read_integer(sd_bus_message *message, char type, uint64_t *value, int64_t *negative) {
        union {
                uint8_t y;
                int16_t n;
                uint16_t q;
                int32_t i;
                uint32_t u;
                int64_t x;
                uint64_t t;
        } basic;
        int64_t number;
        int r = sd_bus_message_read_basic(message, type, &basic);

        if (r < 0)
                return r;
        switch (type) {
        case 'y':
                number = basic.y;
                break;
        case 'n':
                number = basic.n;
                break;
        case 'q':
                number = basic.q;
                break;
        case 'i':
                number = basic.i;
                break;
        case 'u':
                number = basic.u;
                break;
        case 'x':
                number = basic.x;
                break;
        default:
                *value = basic.t;
                *negative = 0;
                return 0;
        }
        *negative = number < 0 ? number : 0;
        *value = number < 0 ? 0 : (uint64_t) number;
        return 0;
}

static int wrong(sd_bus_message *message, const Option *option, const char *found, PlugindError *error) {
        return plugind_error_set(error, PLUGIND_ERROR_INVALID_ARGS, "option \"%s\" of %s: found %s, expected %s", option->name,
                                 sd_bus_message_get_member(message), found, expected[option->type]);
}

static int read_number(sd_bus_message *message, const Option *option, char type, void *field, PlugindError *error) {
        uint64_t value = 0;
        int64_t negative = 0;
        int r = read_integer(message, type, &value, &negative);

        if (r < 0)
                return r;
        if (option->type == OPTION_JSON_NAME)
                *(char **) field = negative < 0 ? g_strdup_printf("%" PRIi64, negative) : g_strdup_printf("%" PRIu64, value);
        else if (negative < 0) {
                g_autofree char *found = g_strdup_printf("%" PRIi64, negative);

                return wrong(message, option, found, error);
        } else
                *(uint64_t *) field = value;
        return 0;
}

static int read_string(sd_bus_message *message, const Option *option, void *field) {
        const char *string = NULL;
        int r = sd_bus_message_read_basic(message, 's', &string);

        if (r < 0)
                return r;
        if (option->type == OPTION_JSON_NAME) {
                GString *json = g_string_new(NULL);

                json_append_string(json, string, strlen(string));
                *(char **) field = g_string_free(json, FALSE);
        } else
                *(const char **) field = string;
        return 0;
}

static int read_bool(sd_bus_message *message, void *field) {
        int value = 0, r = sd_bus_message_read_basic(message, 'b', &value);

        if (r < 0)
                return r;
        *(bool *) field = value;
        return 0;
}

static int option_read(sd_bus_message *message, const Option *option, void *field, PlugindError *error) {
        g_autofree char *found = NULL;
        const char *type = NULL;
        int r = sd_bus_message_peek_type(message, NULL, &type);

        if (r < 0)
                return r;
        found = g_strdup_printf("type \"%s\"", type);
        r = sd_bus_message_enter_container(message, 'v', type);
        if (r < 0)
                return r;
        if (option->type == OPTION_BOOL && g_str_equal(type, "b"))
                r = read_bool(message, field);
        else if ((option->type == OPTION_STRING || option->type == OPTION_JSON_NAME) && g_str_equal(type, "s"))
                r = read_string(message, option, field);
        else if ((option->type == OPTION_USEC || option->type == OPTION_JSON_NAME) && strlen(type) == 1 && strchr("ynqiuxt", *type))
                r = read_number(message, option, *type, field, error);
        else
                r = wrong(message, option, found, error);
        return r < 0 ? r : sd_bus_message_exit_container(message);
}

static int entry_read(sd_bus_message *message, const Option *table, void *target, uint64_t *seen, PlugindError *error) {
        const Option *option = table;
        const char *name = NULL;
        int r = sd_bus_message_read_basic(message, 's', &name);

        if (r < 0)
                return r;
        while (option && option->name && !g_str_equal(option->name, name))
                option++;
        if (!option || !option->name)
                return unknown(message, table, name, error);
        if (*seen & UINT64_C(1) << (option - table))
                return plugind_error_set(error, PLUGIND_ERROR_INVALID_ARGS, "option \"%s\" of %s: found it twice, expected it once", name,
                                         sd_bus_message_get_member(message));
        *seen |= UINT64_C(1) << (option - table);
        r = option_read(message, option, (char *) target + option->offset, error);
        return r < 0 ? r : sd_bus_message_exit_container(message);
}

int options_read(sd_bus_message *message, const Option *table, void *target, PlugindError *error) {
        uint64_t seen = 0;
        int r = sd_bus_message_enter_container(message, 'a', "{sv}");

        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                r = entry_read(message, table, target, &seen, error);
                if (r < 0)
                        return r;
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(message);
        return r < 0 ? r : 0;
}
