/* The queue, by time of submission. */
#ifndef SCHEDULER_ORDER_QUEUE_H
#define SCHEDULER_ORDER_QUEUE_H

#include "scheduler/order/flare.h"
#include "scheduler/order/sched.h"

/* Puts a flare where its time of submission says. */
void sched_enqueue(struct sched *sched, struct sched_flare *flare);
void sched_dequeue(struct sched *sched, struct sched_flare *flare);

#endif
