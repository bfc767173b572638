/*
 * The machine that a trace runs on: nodes of equal size in racks, racks in zones, and what is in
 * use of each node, counted apart from the scheduler so that the two can be compared.
 */
#ifndef BENCH_SIM_MACHINE_H
#define BENCH_SIM_MACHINE_H

#include "scheduler/scheduler.h"

struct sim_shape {
    uint32_t nodes;
    uint32_t cores; /* of each node; a worker takes one */
    uint32_t racks; /* in all, of neighbouring nodes and equal size but for one node */
    uint32_t zones; /* in all, of neighbouring racks */
};

enum sim_level { SIM_NODE, SIM_RACK, SIM_ZONE, SIM_LEVELS };

/* Workers on a node. */
struct sim_chunk {
    uint32_t node;
    uint32_t workers;
};

struct sim_machine {
    struct sim_shape shape;
    struct sched *sched; /* has its nodes by the same numbers */
    uint32_t *used;      /* slots of each node */
    uint64_t slots;
    uint64_t occupied; /* slots in use */
    uint64_t open;     /* free slots of nodes that are in use */
    uint64_t *domains; /* scratch, all zero: workers of a gang in each domain of each level */
    uint64_t *level_at[SIM_LEVELS]; /* where a level begins there */
};

/* Makes the machine and a scheduler that knows its nodes. ENOMEM. Destroy it also after failure. */
enum covey_status sim_machine_create(const struct sim_shape *shape, struct sim_machine *machine,
                                     struct covey_error *error) COVEY_MUST_USE;
void sim_machine_destroy(struct sim_machine *machine);

/* Slots of a node come into use and out of it. Never more than it has, or fewer than none. */
void sim_machine_take(struct sim_machine *machine, struct sim_chunk chunk);
void sim_machine_give(struct sim_machine *machine, struct sim_chunk chunk);

/* Where a node is. */
uint32_t sim_machine_domain(const struct sim_shape *shape, enum sim_level level, uint32_t node);

/* The ordered pairs of a gang's ranks that are inside one domain of each level. A node may be there
 * several times. */
void sim_machine_pairs(struct sim_machine *machine, const struct sim_chunk *chunks, uint32_t count,
                       double inside[SIM_LEVELS]);

#endif
