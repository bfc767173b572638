/* Who comes into the queue. */
#ifndef SCHEDULER_ORDER_SUBMIT_H
#define SCHEDULER_ORDER_SUBMIT_H

#include "scheduler/order/sched.h"

/* Refuses what can never start. EUNPLACEABLE. */
enum covey_status sched_check(struct sched *sched, const struct sched_request *request,
                              const struct sched_shape *shape, struct covey_error *error);

#endif
