/* Why a gang has no place. */
#ifndef SCHEDULER_PLACE_REASON_H
#define SCHEDULER_PLACE_REASON_H

#include "scheduler/place/verdict.h"

/* Says why a shape has no place now, or never; kind NONE where it has. Whatever was promised is
 * seen as free. */
void sched_diagnose(struct sched_verdicts *verdicts, const struct sched_shape *shape,
                    struct sched_reason *reason);

#endif
