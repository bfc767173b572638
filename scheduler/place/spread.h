/* Balances a gang over the domains of each level, from the top, then over their nodes. */
#ifndef SCHEDULER_PLACE_SPREAD_H
#define SCHEDULER_PLACE_SPREAD_H

#include "scheduler/place/pack.h"

void sched_spread(const struct sched_placer *placer);

#endif
