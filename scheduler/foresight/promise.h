/* Promises: the earliest start of a flare that has to wait, and the nodes that are kept for it. */
#ifndef SCHEDULER_FORESIGHT_PROMISE_H
#define SCHEDULER_FORESIGHT_PROMISE_H

#include "scheduler/order/flare.h"
#include "scheduler/order/sched.h"

struct sched_promise {
    struct sched_booking booking;
    struct sched_flare *flare;
    uint64_t freed;     /* made when totals.freed was this, */
    uint64_t signature; /* and these promises were before it */
    uint32_t count;
    struct sched_booked shares[];
};

static inline struct sched_promise *sched_promise_of(const struct covey_list *booking_link)
{
    return covey_container_of(booking_link, struct sched_promise, booking.link);
}

/* Promises the earliest start that breaks no promise of this walk, and counts from then on in it.
 * ENOMEM. */
enum covey_status sched_promise(struct sched *sched, struct sched_flare *flare, int64_t now_ns,
                                uint64_t signature);
/* The same promise, to a flare of another scheduler: node_of[id] is a node's id there. ENOMEM. */
enum covey_status sched_promise_copy(const struct sched_promise *promise, struct sched *to,
                                     struct sched_flare *flare, const uint32_t *node_of);
/* NULL is accepted. */
void sched_promise_drop(struct sched_promise *promise);
/* Drops those that do not count in the last walk, or all. */
void sched_promises_drop(struct sched *sched, bool all);
/* True where what a gang is expected to run decides when this promise begins, not a limit beyond
 * it. */
bool sched_promise_is_expected(const struct sched *sched, const struct sched_promise *promise);

#endif
