/* Machines that run several nodes. */
#ifndef SCHEDULER_CLUSTER_MACHINE_H
#define SCHEDULER_CLUSTER_MACHINE_H

#include "scheduler/cluster/totals.h"

/* All machines that have a name. */
struct sched_machines {
    struct covey_map by_name; /* name -> sched_machine */
    struct sched_totals *totals;
    const struct sched_bookings *bookings;
};

struct sched_machine {
    struct sched_machines *machines;
    char *name;              /* NULL: of one node only */
    struct covey_list nodes; /* of sched_node.on_machine */
    struct sched_pool pool;
    uint64_t cpus_taken[SCHED_CPU_WORDS]; /* by id; those of claims from before the facts changed,
                                             too */
    /* Of a survey: */
    struct covey_list offering; /* among the machines of several nodes */
    uint32_t fit;               /* workers it has room for */
    uint64_t offered;           /* by its nodes together */
    uint32_t first;             /* candidate; the others by their `next` */
    uint32_t asked;             /* workers of a gang that is restored */
    struct sched_vector tally;  /* of a census: what its nodes have, each for itself */
};

static inline bool sched_is_shared(const struct sched_node *node)
{
    return node->machine->pool.node_count > 1;
}

static inline bool sched_asks_pooled(const struct sched_vector *worker)
{
    return worker->amount[SCHED_MEMORY_BYTES] || worker->amount[SCHED_MILLI_CPUS];
}

/* The machine of a name, made where there is none; without a name, the one that a node (or NULL)
 * has for itself. NULL: no memory. */
struct sched_machine *sched_machine_take(struct sched_machines *machines, const char *name,
                                         const struct sched_node *node);
/* Forgets a machine that no node is on; NULL is accepted. */
void sched_machine_drop(struct sched_machine *machine);
/* A node whose facts are known comes to a machine, from another or from none, with its claims; or
 * has got other facts. The totals are as sched_totals_leave has left them. */
void sched_machine_enter(struct sched_node *node, struct sched_machine *machine);
void sched_machine_leave(struct sched_node *node);

/* Marks the cpus of a share as taken on its machine, or free. */
static inline void sched_share_mark(const struct sched_share *share, bool taken)
{
    struct sched_node *node = share->node;
    uint32_t marked =
        sched_cpus_mark(node->machine->cpus_taken, share->cpus, share->cpu_count, taken);
    node->cpus_own += taken ? marked : -marked;
}

#endif
