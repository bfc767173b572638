/* What a placement costs: the rank pairs that have to cross, level by level. */
#ifndef SCHEDULER_PLACE_COST_H
#define SCHEDULER_PLACE_COST_H

#include "scheduler/place/desk.h"

/* Of nodes in the order of the topology; NUMA nodes as if a node was one. */
void sched_cost_of(const struct sched_topology *topology, const struct sched_candidate *used,
                   uint32_t count, uint32_t workers, struct sched_cost *cost);

#endif
