/* A copy of a scheduler that behaves as the original would. */
#ifndef SCHEDULER_FORESIGHT_CLONE_H
#define SCHEDULER_FORESIGHT_CLONE_H

#include "scheduler/order/flare.h"
#include "scheduler/order/sched.h"

/* node_of[id] is a node's id in the copy, and the caller's to free. Of those that wait only the
 * first in order are in it, up to queue_max, and `also` (NULL: no other). ENOMEM. */
enum covey_status sched_clone(struct sched *from, int64_t now_ns, uint32_t queue_max,
                              const struct sched_flare *also, struct sched **to,
                              uint32_t **node_of);

#endif
