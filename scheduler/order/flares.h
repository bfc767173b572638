/* The flares a scheduler knows. */
#ifndef SCHEDULER_ORDER_FLARES_H
#define SCHEDULER_ORDER_FLARES_H

#include "scheduler/order/flare.h"
#include "scheduler/order/sched.h"

/* The flare of an id, or NULL. */
struct sched_flare *sched_flare_of(const struct sched *sched, const char *id);
/* Checks that a request is sound and its flare new. EINVAL, EEXISTS, ENOMEM: no shape to clear. */
enum covey_status sched_admit(struct sched *sched, const struct sched_request *request,
                              struct sched_shape *shape, struct covey_error *error);
/* Makes a flare and enters it; not queued yet. It owns what the shape owns, which stays the
 * caller's where there is no memory: NULL. */
struct sched_flare *sched_flare_create(struct sched *sched, const struct sched_request *request,
                                       const struct sched_shape *shape);
/* Forgets a flare that is neither queued nor promised anything, with its claims. */
void sched_flare_destroy(struct sched *sched, struct sched_flare *flare);
/* Forgets all flares, none of which is promised anything. */
void sched_flares_clear(struct sched *sched);

#endif
