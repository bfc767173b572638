/* Verdicts of before: what was found out about shapes, without looking again. */
#ifndef SCHEDULER_PLACE_VERDICT_H
#define SCHEDULER_PLACE_VERDICT_H

#include "scheduler/place/desk.h"
#include "scheduler/place/shape.h"

struct sched_verdict {
    struct sched_shape shape;
    uint64_t version; /* of the cluster; 0: nothing yet */
    bool possible;    /* on the nodes that were up then, empty */
    bool asked_known; /* `possible_known` was found out, too: on all nodes, empty and up */
    bool possible_known;
    /* It did not fit until then, when totals.freed was this, beside these promises. */
    int64_t refused_until_ns;
    uint64_t refused_freed;
    uint64_t refused_signature;
};

#define SCHED_VERDICTS 64 /* a power of two */

struct sched_verdicts {
    struct sched_desk *desk;
    struct sched_verdict of[SCHED_VERDICTS];
};

/* True where a gang would fit if the nodes that are up, or all that are known, were empty. */
bool sched_possible(struct sched_verdicts *verdicts, const struct sched_shape *shape);
bool sched_possible_known(struct sched_verdicts *verdicts, const struct sched_shape *shape);
/* True where what is known says that the shape does not fit from now until then, beside promises of
 * this signature. */
bool sched_is_refused(struct sched_verdicts *verdicts, const struct sched_shape *shape,
                      uint64_t signature, int64_t until_ns);
/* Remembers that it does not. */
void sched_refuse(struct sched_verdicts *verdicts, const struct sched_shape *shape,
                  uint64_t signature, int64_t until_ns);
void sched_verdicts_clear(struct sched_verdicts *verdicts);

#endif
