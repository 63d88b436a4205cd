/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json-schema.h"

#include <cmath>
#include <functional>
#include <map>
#include <stdexcept>
#include <string.h>
#include <string>

namespace {

bool is_number(JsonNode *node) {
        GType type = JSON_NODE_HOLDS_VALUE(node) ? json_node_get_value_type(node) : G_TYPE_INVALID;

        return type == G_TYPE_INT64 || type == G_TYPE_DOUBLE;
}

bool is_string(JsonNode *node) {
        return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING;
}

bool is_boolean(JsonNode *node) {
        return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_BOOLEAN;
}

bool has_type(JsonNode *node, const std::string &type) {
        if (type == "object")
                return JSON_NODE_HOLDS_OBJECT(node);
        if (type == "array")
                return JSON_NODE_HOLDS_ARRAY(node);
        if (type == "string")
                return is_string(node);
        if (type == "number")
                return is_number(node);
        if (type == "integer")
                return is_number(node) && json_node_get_double(node) == std::floor(json_node_get_double(node));
        throw std::runtime_error("unknown type " + type);
}

bool equal(JsonNode *a, JsonNode *b) {
        if (is_number(a) && is_number(b))
                return json_node_get_double(a) == json_node_get_double(b);
        return json_node_equal(a, b);
}

bool matches(const char *pattern, JsonNode *value) {
        return !is_string(value) || g_regex_match_simple(pattern, json_node_get_string(value), static_cast<GRegexCompileFlags>(0),
                                                         static_cast<GRegexMatchFlags>(0));
}

/* CHECK holds for each element of LIST. */
bool each(JsonNode *list, const std::function<bool(JsonNode *)> &check) {
        JsonArray *array = json_node_get_array(list);

        for (guint i = 0; i < json_array_get_length(array); i++)
                if (!check(json_array_get_element(array, i)))
                        return false;
        return true;
}

unsigned how_many(JsonNode *list, const std::function<bool(JsonNode *)> &check) {
        unsigned n = 0;

        each(list, [&](JsonNode *element) {
                n += check(element);
                return true;
        });
        return n;
}

/* CHECK holds for each member of OBJECT. */
bool each_member(JsonNode *object, const std::function<bool(const char *, JsonNode *)> &check) {
        JsonObjectIter iter;
        const char *name;
        JsonNode *member;

        json_object_iter_init(&iter, json_node_get_object(object));
        while (json_object_iter_next(&iter, &name, &member))
                if (!check(name, member))
                        return false;
        return true;
}

bool properties_allow(JsonNode *properties, JsonNode *value) {
        return each_member(value, [&](const char *name, JsonNode *member) {
                JsonNode *schema = json_object_get_member(json_node_get_object(properties), name);

                return !schema || schema_allows(schema, member);
        });
}

bool others_allowed(JsonObject *parent, JsonNode *schema, JsonNode *value) {
        JsonObject *known = json_object_has_member(parent, "properties") ? json_object_get_object_member(parent, "properties") : nullptr;

        return each_member(value, [&](const char *name, JsonNode *member) {
                return (known && json_object_has_member(known, name)) || schema_allows(schema, member);
        });
}

bool names_allowed(JsonNode *schema, JsonNode *value) {
        return each_member(value, [&](const char *name, JsonNode *) {
                g_autoptr(JsonNode) node = json_node_init_string(json_node_alloc(), name);

                return schema_allows(schema, node);
        });
}

/* The branch that `if` chose. */
bool condition_allows(JsonObject *parent, JsonNode *condition, JsonNode *value) {
        JsonNode *branch = json_object_get_member(parent, schema_allows(condition, value) ? "then" : "else");

        return !branch || schema_allows(branch, value);
}

double length(JsonNode *value) {
        return static_cast<double>(strlen(json_node_get_string(value)));
}

double items(JsonNode *value) {
        return json_array_get_length(json_node_get_array(value));
}

double members(JsonNode *value) {
        return json_object_get_size(json_node_get_object(value));
}

bool has_member(JsonNode *object, JsonNode *name) {
        return json_object_has_member(json_node_get_object(object), json_node_get_string(name));
}

/* Whether the keyword with ARGUMENT, which stands in the schema PARENT, allows VALUE. */
using Keyword = bool (*)(JsonNode *argument, JsonNode *value, JsonObject *parent);

bool ignored(JsonNode *, JsonNode *, JsonObject *) {
        return true;
}

#define KEYWORD(condition) [](JsonNode *a, JsonNode *v, JsonObject *parent) -> bool { return (void) a, (void) parent, condition; }

const std::map<std::string, Keyword> keywords = {
        { "$schema", ignored },
        { "title", ignored },
        { "description", ignored },
        { "default", ignored },
        { "then", ignored }, /* belongs to "if" */
        { "else", ignored },
        { "type", KEYWORD(has_type(v, json_node_get_string(a))) },
        { "const", KEYWORD(equal(a, v)) },
        { "enum", KEYWORD(how_many(a, [&](JsonNode *one) { return equal(one, v); }) > 0) },
        { "minimum", KEYWORD(!is_number(v) || json_node_get_double(v) >= json_node_get_double(a)) },
        { "maximum", KEYWORD(!is_number(v) || json_node_get_double(v) <= json_node_get_double(a)) },
        { "minLength", KEYWORD(!is_string(v) || length(v) >= json_node_get_double(a)) },
        { "maxLength", KEYWORD(!is_string(v) || length(v) <= json_node_get_double(a)) },
        { "pattern", KEYWORD(matches(json_node_get_string(a), v)) },
        { "items", KEYWORD(!JSON_NODE_HOLDS_ARRAY(v) || each(v, [&](JsonNode *item) { return schema_allows(a, item); })) },
        { "maxItems", KEYWORD(!JSON_NODE_HOLDS_ARRAY(v) || items(v) <= json_node_get_double(a)) },
        { "properties", KEYWORD(!JSON_NODE_HOLDS_OBJECT(v) || properties_allow(a, v)) },
        { "additionalProperties", KEYWORD(!JSON_NODE_HOLDS_OBJECT(v) || others_allowed(parent, a, v)) },
        { "propertyNames", KEYWORD(!JSON_NODE_HOLDS_OBJECT(v) || names_allowed(a, v)) },
        { "maxProperties", KEYWORD(!JSON_NODE_HOLDS_OBJECT(v) || members(v) <= json_node_get_double(a)) },
        { "required", KEYWORD(!JSON_NODE_HOLDS_OBJECT(v) || each(a, [&](JsonNode *name) { return has_member(v, name); })) },
        { "oneOf", KEYWORD(how_many(a, [&](JsonNode *one) { return schema_allows(one, v); }) == 1) },
        { "allOf", KEYWORD(each(a, [&](JsonNode *one) { return schema_allows(one, v); })) },
        { "if", KEYWORD(condition_allows(parent, a, v)) },
};

} // namespace

bool schema_allows(JsonNode *schema, JsonNode *value) {
        if (is_boolean(schema))
                return json_node_get_boolean(schema);
        return each_member(schema, [&](const char *keyword, JsonNode *argument) {
                auto known = keywords.find(keyword);

                if (known == keywords.end())
                        throw std::runtime_error(std::string("unknown keyword ") + keyword);
                return known->second(argument, value, json_node_get_object(schema));
        });
}
