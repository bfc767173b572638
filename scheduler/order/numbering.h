/* Where flares are in the order. */
#ifndef SCHEDULER_ORDER_NUMBERING_H
#define SCHEDULER_ORDER_NUMBERING_H

#include "scheduler/order/flare.h"
#include "scheduler/order/sched.h"

/* How many are ahead of a queued flare; false: no fewer than that. */
bool sched_ahead_of(struct sched *sched, const struct sched_flare *flare, int64_t now_ns,
                    uint32_t *ahead);

#endif
