#include "transport/core/index.h"

#include "base/memory.h"

#include <stdlib.h>

static struct index_node *node_of(struct covey_list *link)
{
    return covey_container_of(link, struct index_node, link);
}

static struct covey_list *bucket_of(const struct index *index, uint64_t key)
{
    uint64_t mixed = key * UINT64_C(0x9e3779b97f4a7c15);
    return &index->buckets[(mixed >> 32) & (index->bucket_count - 1)];
}

void index_open(struct index *index)
{
    index->buckets = index->least;
    index->bucket_count = INDEX_LEAST_BUCKETS;
    index->keys = 0;
    index->steps = 0;
    for (uint32_t i = 0; i < INDEX_LEAST_BUCKETS; i++)
        covey_list_init(&index->least[i]);
}

void index_close(struct index *index)
{
    if (index->buckets != index->least)
        free(index->buckets);
    index_open(index);
}

struct index_node *index_find(struct index *index, uint64_t key)
{
    if (index->keys == 0)
        return NULL;
    covey_list_for_each (link, bucket_of(index, key)) {
        index->steps++;
        if (node_of(link)->key == key)
            return node_of(link);
    }
    return NULL;
}

struct index_node *index_next(struct index_node *first, struct index_node *node)
{
    struct covey_list *next = node == first ? first->others.next : node->link.next;
    return next == &first->others ? NULL : node_of(next);
}

/* Without memory for more buckets it stays as it is. */
static void grow(struct index *index)
{
    uint32_t count = index->bucket_count * 4;
    struct covey_list *old = index->buckets;
    uint32_t old_count = index->bucket_count;
    struct covey_list *buckets = covey_reallocarray(NULL, count, sizeof(*buckets));
    if (!buckets)
        return;
    for (uint32_t i = 0; i < count; i++)
        covey_list_init(&buckets[i]);
    index->buckets = buckets;
    index->bucket_count = count;
    for (uint32_t i = 0; i < old_count; i++) {
        for (struct covey_list *link; (link = covey_list_pop_front(&old[i]));)
            covey_list_push_back(bucket_of(index, node_of(link)->key), link);
    }
    if (old != index->least)
        free(old);
}

static void add_key(struct index *index, struct index_node *node)
{
    node->is_first = true;
    covey_list_push_back(bucket_of(index, node->key), &node->link);
    if (++index->keys > index->bucket_count)
        grow(index);
}

void index_add(struct index *index, struct index_node *node, uint64_t key)
{
    struct index_node *first = index_find(index, key);
    node->key = key;
    node->is_first = false;
    covey_list_init(&node->others);
    if (first)
        covey_list_push_back(&first->others, &node->link);
    else
        add_key(index, node);
}

/* Takes the place of the first of its key, with all that queue behind that. */
static void replace(struct index_node *first, struct index_node *by)
{
    by->is_first = true;
    covey_list_push_back(&first->link, &by->link);
    covey_list_remove(&first->link);
    first->is_first = false;
    if (!covey_list_empty(&first->others)) {
        covey_list_push_back(&first->others, &by->others);
        covey_list_remove(&first->others);
    }
}

void index_add_first(struct index *index, struct index_node *node, uint64_t key)
{
    struct index_node *first = index_find(index, key);
    node->key = key;
    covey_list_init(&node->others);
    if (!first) {
        add_key(index, node);
        return;
    }
    replace(first, node);
    covey_list_push_front(&node->others, &first->link);
}

void index_remove(struct index *index, struct index_node *node)
{
    if (!node->is_first) {
        covey_list_remove(&node->link);
        return;
    }
    struct covey_list *next = covey_list_pop_front(&node->others);
    if (next) {
        covey_list_init(&node_of(next)->others);
        replace(node, node_of(next));
        return;
    }
    covey_list_remove(&node->link);
    node->is_first = false;
    index->keys--;
}
