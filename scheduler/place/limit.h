/* A limit of nodes: leaves nodes out. */
#ifndef SCHEDULER_PLACE_LIMIT_H
#define SCHEDULER_PLACE_LIMIT_H

#include "scheduler/place/pack.h"

/* As sched_pack of everything into the root, on no more nodes than the shape allows. */
void sched_pack_limited(const struct sched_placer *placer);
/* Leaves all but so many nodes out, from all domains alike where that leaves room enough. */
void sched_limit_spread(const struct sched_placer *placer);

#endif
