/* Sums over all nodes, so that much is known without looking at every node. */
#ifndef SCHEDULER_CLUSTER_TOTALS_H
#define SCHEDULER_CLUSTER_TOTALS_H

#include "scheduler/cluster/node.h"

/* A sum over nodes; it has room for any. */
__extension__ typedef unsigned __int128 sched_sum;

struct sched_totals {
    sched_sum free[SCHED_DIMENSIONS]; /* now, on the nodes that are up, whoever may use them */
    sched_sum capacity[SCHED_DIMENSIONS];
    uint64_t freed;  /* grows when something may fit that did not before */
    uint64_t claims; /* grows when what is claimed changes */
};

/* What the nodes of a machine share. Of dimensions that they do not share there is nothing here. */
struct sched_pool {
    uint32_t node_count;
    struct sched_vector capacity;
    struct sched_vector claimed;
    /* Of the nodes that are up: what is free on them and what they have, each for itself; and what
     * of it was counted in the totals. */
    sched_sum up_free[SCHED_DIMENSIONS];
    sched_sum up_capacity[SCHED_DIMENSIONS];
    sched_sum counted_free[SCHED_DIMENSIONS];
    sched_sum counted_capacity[SCHED_DIMENSIONS];
};

/* The dimensions that the nodes of a machine share. */
static inline bool sched_is_pooled(enum sched_dimension d)
{
    return d == SCHED_MEMORY_BYTES || d == SCHED_MILLI_CPUS;
}

/* Take a node of a pool out of the sums before its state, capacity or claims change, and in
 * afterwards. */
void sched_totals_leave(struct sched_node *node, struct sched_pool *pool);
void sched_totals_enter(struct sched_node *node, struct sched_pool *pool);
/* What is claimed of a pool, or who is in it, has changed. */
void sched_totals_refresh(struct sched_totals *totals, struct sched_pool *pool);
/* False where the free sums alone rule a gang out now. */
bool sched_totals_allow(const struct sched_totals *totals, const struct sched_vector *worker,
                        uint32_t workers);

#endif
