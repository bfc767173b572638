/* Nodes, half in use, that the scheduler and a plain first-fit place the same gangs on. One thread.
 */
#ifndef BENCH_FLEET_H
#define BENCH_FLEET_H

#include "scheduler/scheduler.h"

enum { fleet_slots = 16 }; /* of a node */

struct fleet {
    struct sched *sched;
    uint32_t nodes;
    uint32_t *free;   /* first-fit's: free slots of each node */
    uint32_t *chosen; /* and its last choice: nodes, and workers on each */
    uint32_t *workers;
    uint32_t chosen_count;
};

/* How long something took, here and there. */
struct fleet_times {
    double ours_s;
    double plain_s;
};

/* A number of nodes in switches of 16, racks of 4 switches and zones of 8 racks; a random number of
 * slots of each is in use, half of them on average. -1, said. Destroy it also after a failure. */
int fleet_create(struct fleet *fleet, uint32_t nodes);
void fleet_destroy(struct fleet *fleet);

/*
 * Places a gang twice: in the scheduler, from the request to the gang that is reserved, and by
 * first-fit. Both give it back then, which is not in the times. -1, said, where it has no place.
 */
int fleet_place(struct fleet *fleet, uint32_t workers, struct fleet_times *times);

/* Gangs of 8 come and go, one at a time beside 256 others, the oldest leaving: the times of this
 * many comings and goings. -1, said. */
int fleet_churn(struct fleet *fleet, uint32_t gangs, struct fleet_times *times);

/* Queues this many gangs of 16 tenants, as after a restart: without asking each time whether it can
 * ever be placed. -1, said. */
int fleet_queue(struct fleet *fleet, uint32_t gangs);

#endif
