/* Which nodes a gang may use, and the room they have. */
#ifndef SCHEDULER_PLACE_SURVEY_H
#define SCHEDULER_PLACE_SURVEY_H

#include "scheduler/place/desk.h"
#include "scheduler/place/shape.h"

/* Makes the nodes a gang may use the desk's candidates, in the order of the topology; returns how
 * many. */
uint32_t sched_survey(struct sched_desk *desk, const struct sched_shape *shape,
                      const struct sched_view *view);
/* The most workers of this shape that the candidates of the last survey hold; may reorder them, and
 * then another survey has to come before placing. */
uint64_t sched_survey_room(struct sched_desk *desk, const struct sched_shape *shape,
                           uint32_t count);
/* The most workers of this shape that a view has room for. */
uint64_t sched_room_in(struct sched_desk *desk, const struct sched_shape *shape,
                       const struct sched_view *view);
bool sched_fits_in(struct sched_desk *desk, const struct sched_shape *shape,
                   const struct sched_view *view);

#endif
