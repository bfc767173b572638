/* Machines that run several nodes. See machine.c. */
#ifndef SCHEDULER_MACHINE_H
#define SCHEDULER_MACHINE_H

#include "scheduler/internal.h"

/* A machine: what its nodes share. Of dimensions that they do not share there is nothing here. */
struct sched_machine {
    struct sched *sched;
    char *name;              /* NULL: of one node only */
    struct covey_list nodes; /* of sched_node.on_machine */
    uint32_t node_count;
    struct sched_vector capacity;
    struct sched_vector claimed;
    uint64_t cpus_taken[SCHED_CPU_WORDS]; /* by id; those of claims from before the facts changed,
                                             too */
    /* Of the nodes that are up: what is free on them and what they have, each for itself; and what
     * of it was counted in the totals. */
    sched_sum up_free[SCHED_DIMENSIONS];
    sched_sum up_capacity[SCHED_DIMENSIONS];
    sched_sum counted_free[SCHED_DIMENSIONS];
    sched_sum counted_capacity[SCHED_DIMENSIONS];
    /* Of a survey: */
    struct covey_list offering; /* in sched.offering */
    uint32_t fit;               /* workers it has room for */
    uint64_t offered;           /* by its nodes together */
    uint32_t first;             /* candidate; the others by their `next` */
    uint32_t asked;             /* workers of a gang that is restored */
    struct sched_vector tally;  /* of a census: what its nodes have, each for itself */
};

/* The dimensions that the nodes of a machine share. */
static inline bool sched_is_pooled(enum sched_dimension d)
{
    return d == SCHED_MEMORY_BYTES || d == SCHED_MILLI_CPUS;
}

static inline bool sched_is_shared(const struct sched_node *node)
{
    return node->machine->node_count > 1;
}

static inline bool sched_asks_pooled(const struct sched_vector *worker)
{
    return worker->amount[SCHED_MEMORY_BYTES] || worker->amount[SCHED_MILLI_CPUS];
}

/* The machine of a name, made where there is none; without a name, the one that a node (or NULL)
 * has for itself. NULL: no memory. */
struct sched_machine *sched_machine_take(struct sched *sched, const char *name,
                                         const struct sched_node *node);
/* Forgets a machine that no node is on; NULL is accepted. */
void sched_machine_drop(struct sched_machine *machine);
/* A node whose facts are known comes to a machine, from another or from none, with its claims; or
 * has got other facts. The totals are as sched_totals_leave has left them. */
void sched_machine_enter(struct sched_node *node, struct sched_machine *machine);
void sched_machine_leave(struct sched_node *node);
/* Counts what a share holds, or no more. */
void sched_machine_claim(const struct sched_share *share, bool claim);
/* What nobody holds now of a dimension that is shared. */
uint64_t sched_machine_free(const struct sched_machine *machine, enum sched_dimension d);
/* As sched_claimed_beyond, of all its nodes. */
void sched_machine_claimed_beyond(const struct sched_machine *machine, int64_t then_ns,
                                  struct sched_vector *claimed);
/* What a machine has in a view of the dimensions that are shared. */
void sched_machine_room(const struct sched_machine *machine, const struct sched_view *view,
                        struct sched_vector *room);
/* The workers that a machine has room for. */
uint32_t sched_machine_fit(const struct sched_machine *machine, const struct sched_view *view,
                           const struct sched_vector *worker);
/* In a survey: a node of a machine with several of them has room for so many workers by itself.
 * Returns for how many with the machine. */
uint32_t sched_machine_offer(struct sched *sched, struct sched_machine *machine,
                             const struct sched_shape *shape, const struct sched_view *view,
                             uint32_t fit);
/* At the end of a survey: no machine's candidates hold more of the gang than it has room for. */
void sched_machines_divide(struct sched *sched, const struct sched_shape *shape);

#endif
