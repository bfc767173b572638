/* What a machine has left, divided among its nodes in a survey. */
#ifndef SCHEDULER_PLACE_DIVIDE_H
#define SCHEDULER_PLACE_DIVIDE_H

#include "scheduler/place/desk.h"
#include "scheduler/place/shape.h"

/* In a survey: a node of a machine with several of them has room for so many workers by itself.
 * Returns for how many with the machine. */
uint32_t sched_machine_offer(struct sched_desk *desk, struct sched_machine *machine,
                             const struct sched_shape *shape, const struct sched_view *view,
                             uint32_t fit);
/* At the end of a survey: no machine's candidates hold more of the gang than it has room for. */
void sched_machines_divide(struct sched_desk *desk, const struct sched_shape *shape);

#endif
