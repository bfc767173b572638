/*
 * An index of things that wait, by a 64-bit key: those of one key stay in the order in which they
 * were put in. Intrusive: no allocation but of the buckets, and an index that cannot have more of
 * them only gets slower. One thread. Internal to transport/core.
 */
#ifndef TRANSPORT_CORE_INDEX_H
#define TRANSPORT_CORE_INDEX_H

#include "base/list.h"

#include <stdint.h>

/* In what is indexed. The first of a key is in a bucket, the others queue behind it. */
struct index_node {
    struct covey_list link; /* in a bucket, or in the first one's others */
    struct covey_list others;
    uint64_t key;
    bool is_first;
};

#define INDEX_LEAST_BUCKETS 16u

struct index {
    struct covey_list *buckets;
    uint32_t bucket_count; /* a power of two */
    uint32_t keys;
    uint64_t steps; /* nodes that were looked at: what the index costs */
    struct covey_list least[INDEX_LEAST_BUCKETS];
};

/* Must stay where it is from now on. */
void index_open(struct index *index);

/* Forgets what is in it. */
void index_close(struct index *index);

/* The first of a key, or NULL. */
struct index_node *index_find(struct index *index, uint64_t key);

/* The one behind it, of the same key, or NULL; first is what index_find returned. */
struct index_node *index_next(struct index_node *first, struct index_node *node);

/* Puts it last of its key; or first. */
void index_add(struct index *index, struct index_node *node, uint64_t key);
void index_add_first(struct index *index, struct index_node *node, uint64_t key);

void index_remove(struct index *index, struct index_node *node);

#endif
