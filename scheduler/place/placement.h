/* How many workers each candidate takes, by what the shape asks for: packed, spread, limited. */
#ifndef SCHEDULER_PLACE_PLACEMENT_H
#define SCHEDULER_PLACE_PLACEMENT_H

#include "scheduler/place/desk.h"
#include "scheduler/place/shape.h"

/* Sets `taken` of the candidates of the last survey, which have the room for it all together,
 * moves those used to the front in the order of the topology, and returns how many. */
uint32_t sched_distribute(struct sched_desk *desk, const struct sched_shape *shape, uint32_t count);
/* For qsort: in the order of the topology. */
int sched_by_position(const void *left, const void *right);

#endif
