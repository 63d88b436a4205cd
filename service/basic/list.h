/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An intrusive, circular, doubly linked list: O(1) to link and unlink, nothing to allocate. A zeroed or
 * initialised node is "not linked"; unlinking it again is fine. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef struct ListNode ListNode;

struct ListNode {
        ListNode *prev, *next;
};

typedef ListNode List; /* the head */

static inline void list_init(List *list) {
        list->prev = list->next = list;
}

static inline bool list_linked(const ListNode *node) {
        return node->next && node->next != node;
}

static inline bool list_empty(const List *list) {
        return !list_linked(list);
}

static inline void list_append(List *list, ListNode *node) {
        node->prev = list->prev;
        node->next = list;
        list->prev->next = node;
        list->prev = node;
}

static inline void list_prepend(List *list, ListNode *node) {
        list_append(list->next, node);
}

static inline void list_unlink(ListNode *node) {
        if (!node->next)
                return;
        node->prev->next = node->next;
        node->next->prev = node->prev;
        list_init(node);
}

/* Moves every node of SOURCE to the end of LIST. */
static inline void list_splice(List *list, List *source) {
        if (list_empty(source))
                return;
        source->next->prev = list->prev;
        source->prev->next = list;
        list->prev->next = source->next;
        list->prev = source->prev;
        list_init(source);
}

#define list_entry(node, type, member) ((type *) (void *) ((char *) (node) -offsetof(type, member)))
#define list_first(list, type, member) (list_empty(list) ? NULL : list_entry((list)->next, type, member))

/* The body may unlink or free `node`, and nothing else of the list. */
#define list_foreach(node, list)                                                                                                           \
        for (ListNode *node = (list)->next, *node##_next = node->next; node != (list); node = node##_next, node##_next = node->next)
