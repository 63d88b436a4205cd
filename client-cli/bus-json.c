/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-json.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>

static int read_basic(sd_bus_message *m, char type, JsonNode *node) {
        union {
                uint8_t y;
                int b;
                int16_t n;
                uint16_t q;
                int32_t i;
                uint32_t u;
                int64_t x;
                uint64_t t;
                double d;
                const char *s;
                int h;
        } v;
        int r = sd_bus_message_read_basic(m, type, &v);

        if (r < 0)
                return r;
        switch (type) {
        case SD_BUS_TYPE_BYTE:
                json_node_init_int(node, v.y);
                break;
        case SD_BUS_TYPE_BOOLEAN:
                json_node_init_boolean(node, v.b);
                break;
        case SD_BUS_TYPE_INT16:
                json_node_init_int(node, v.n);
                break;
        case SD_BUS_TYPE_UINT16:
                json_node_init_int(node, v.q);
                break;
        case SD_BUS_TYPE_INT32:
                json_node_init_int(node, v.i);
                break;
        case SD_BUS_TYPE_UINT32:
                json_node_init_int(node, v.u);
                break;
        case SD_BUS_TYPE_INT64:
                json_node_init_int(node, v.x);
                break;
        case SD_BUS_TYPE_UINT64:
                if (v.t <= INT64_MAX)
                        json_node_init_int(node, (int64_t) v.t);
                else
                        json_node_init_null(node);
                break;
        case SD_BUS_TYPE_DOUBLE:
                if (isfinite(v.d))
                        json_node_init_double(node, v.d);
                else
                        json_node_init_null(node);
                break;
        case SD_BUS_TYPE_STRING:
        case SD_BUS_TYPE_OBJECT_PATH:
        case SD_BUS_TYPE_SIGNATURE:
                json_node_init_string(node, v.s);
                break;
        default: /* a file descriptor */
                json_node_init_null(node);
        }
        return 0;
}

/* Keys of dictionaries are basic; those that are no strings are written as JSON would write them. */
static int read_key(sd_bus_message *m, char **ret) {
        g_autoptr(JsonNode) key = NULL;
        int r = bus_read_json(m, &key);

        if (r < 0)
                return r;
        *ret = JSON_NODE_HOLDS_VALUE(key) && json_node_get_value_type(key) == G_TYPE_STRING ? json_node_dup_string(key)
                                                                                            : json_to_string(key, false);
        return 0;
}

static int read_dict(sd_bus_message *m, JsonNode *node) {
        g_autoptr(JsonObject) object = json_object_new();
        const char *contents;
        int r;

        while ((r = sd_bus_message_peek_type(m, NULL, &contents)) > 0) {
                g_autofree char *key = NULL;
                g_autoptr(JsonNode) value = NULL;

                if ((r = sd_bus_message_enter_container(m, SD_BUS_TYPE_DICT_ENTRY, contents)) < 0 || (r = read_key(m, &key)) < 0 ||
                    (r = bus_read_json(m, &value)) < 0 || (r = sd_bus_message_exit_container(m)) < 0)
                        return r;
                json_object_set_member(object, key, g_steal_pointer(&value));
        }
        if (r == 0)
                json_node_init_object(node, object);
        return r;
}

static int read_sequence(sd_bus_message *m, JsonNode *node) {
        g_autoptr(JsonArray) array = json_array_new();
        int r;

        while ((r = sd_bus_message_at_end(m, false)) == 0) {
                g_autoptr(JsonNode) value = NULL;

                r = bus_read_json(m, &value);
                if (r < 0)
                        return r;
                json_array_add_element(array, g_steal_pointer(&value));
        }
        if (r > 0)
                json_node_init_array(node, array);
        return r < 0 ? r : 0;
}

int bus_read_json(sd_bus_message *message, JsonNode **ret) {
        g_autoptr(JsonNode) node = json_node_alloc();
        const char *contents;
        char type;
        int r = sd_bus_message_peek_type(message, &type, &contents);

        if (r <= 0)
                return r < 0 ? r : -ENODATA;
        if (!contents) {
                r = read_basic(message, type, node);
        } else {
                r = sd_bus_message_enter_container(message, type, contents);
                if (r < 0)
                        return r;
                if (type == SD_BUS_TYPE_VARIANT)
                        g_clear_pointer(&node, json_node_free);
                if (type == SD_BUS_TYPE_VARIANT)
                        r = bus_read_json(message, &node);
                else if (type == SD_BUS_TYPE_ARRAY && *contents == SD_BUS_TYPE_DICT_ENTRY_BEGIN)
                        r = read_dict(message, node);
                else
                        r = read_sequence(message, node);
                if (r >= 0)
                        r = sd_bus_message_exit_container(message);
        }
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&node);
        return 0;
}
