/* What a flare holds: claimed whole, freed share by share. */
#ifndef SCHEDULER_ORDER_HOLD_H
#define SCHEDULER_ORDER_HOLD_H

#include "scheduler/order/flare.h"

struct sched;

/* Claims every share for the flare, which then owns the gang. Cannot fail. */
void sched_hold_take(struct sched *sched, struct sched_flare *flare, struct sched_gang *take_gang);
/* Frees one share; one that was freed before is left alone. */
void sched_hold_free_share(struct sched *sched, struct sched_flare *flare,
                           struct sched_share *share);
/* Frees what is still claimed; the flare has no gang then, which is the caller's to free. NULL
 * where it had none. */
struct sched_gang *sched_hold_leave(struct sched *sched, struct sched_flare *flare);
/* The same, and frees the gang. */
void sched_hold_free(struct sched *sched, struct sched_flare *flare);

#endif
