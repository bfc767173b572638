/* A node, and what is held of it. */
#ifndef SCHEDULER_CLUSTER_NODE_H
#define SCHEDULER_CLUSTER_NODE_H

#include "base/list.h"
#include "scheduler/cluster/traits.h"
#include "scheduler/cluster/view.h"

struct sched_bookings;
struct sched_machine;
struct sched_pool;
struct sched_totals;

/* What the shares of a gang have in common, as long as it holds any. */
struct sched_stay {
    int64_t ends_ns;            /* it has ended then; COVEY_NEVER_NS: nobody knows */
    struct sched_vector worker; /* what each of its workers needs */
};

/* What a gang holds of one node. */
struct sched_share {
    struct covey_list link; /* in the node's list */
    const struct sched_stay *stay;
    struct sched_node *node; /* NULL once freed */
    const uint16_t *cpus;    /* of its workers; NULL: none are given out */
    uint32_t cpu_count;
    uint32_t first_rank;
    uint32_t workers;
};

struct sched_node {
    uint32_t id;
    uint32_t position; /* in the topology's order, when that is fresh */
    uint32_t claims;
    enum sched_node_state state;
    bool tainted; /* as the traits say */
    struct sched_traits *traits;
    struct sched_totals *totals; /* of all nodes */
    struct sched_vector capacity;
    struct sched_vector claimed;
    const struct sched_name *path[SCHED_LEVELS_MAX]; /* its domains' values; NULL: the empty one */
    uint64_t epoch;
    uint64_t restore_stamp;      /* the restoration that last used it */
    struct covey_list shares;    /* of sched_share.link */
    struct covey_list bookings;  /* of sched_booked.link */
    const uint64_t *booked_walk; /* the one whose bookings count */
    char *name;
    struct sched_machine *machine;
    struct covey_list on_machine;
    uint64_t machine_memory_bytes;
    uint32_t cpus_own; /* that are taken by gangs of this node */
};

/* The state of a node lets it take gangs in a view. */
static inline bool sched_node_counts(const struct sched_node *node, const struct sched_view *view)
{
    return node->state == SCHED_NODE_UP || view->basis == SCHED_BASIS_KNOWN;
}

/* What workers need of a dimension, added to what is held or taken off it. */
static inline void sched_vector_add(struct sched_vector *sum, const struct sched_vector *worker,
                                    uint32_t workers, bool add)
{
    for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
        uint64_t amount = workers * worker->amount[d];
        sum->amount[d] += add ? amount : -amount;
    }
}

#endif
