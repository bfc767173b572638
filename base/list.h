/*
 * An intrusive, circular, doubly linked list. The head is a node too; an element embeds a node and
 * is found again with covey_container_of. No allocation, no ownership.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct covey_list {
    struct covey_list *next;
    struct covey_list *previous;
};

#define covey_container_of(pointer, type, member)                                                  \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define covey_list_for_each(node, head)                                                            \
    for (struct covey_list *node = (head)->next; node != (head); node = node->next)

/* As covey_list_for_each, but the body may remove node. */
#define covey_list_for_each_safe(node, after, head)                                                \
    for (struct covey_list *node = (head)->next, *after = node->next; node != (head);              \
         node = after, after = node->next)

/* Makes an empty list, or an element that is on no list. */
static inline void covey_list_init(struct covey_list *list)
{
    list->next = list;
    list->previous = list;
}

static inline bool covey_list_empty(const struct covey_list *list)
{
    return list->next == list;
}

static inline void covey_list_push_back(struct covey_list *list, struct covey_list *node)
{
    node->previous = list->previous;
    node->next = list;
    list->previous->next = node;
    list->previous = node;
}

static inline void covey_list_push_front(struct covey_list *list, struct covey_list *node)
{
    covey_list_push_back(list->next, node);
}

/* Removes node from its list; harmless on one that is on none. */
static inline void covey_list_remove(struct covey_list *node)
{
    node->previous->next = node->next;
    node->next->previous = node->previous;
    covey_list_init(node);
}

/* Removes and returns the first element, or NULL. */
static inline struct covey_list *covey_list_pop_front(struct covey_list *list)
{
    if (covey_list_empty(list))
        return NULL;
    struct covey_list *node = list->next;
    list->next = node->next;
    node->next->previous = list;
    covey_list_init(node);
    return node;
}

#endif
