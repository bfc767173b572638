/* Sharing out a gang among the nodes that have room, as close together as can be. */
#ifndef SCHEDULER_PLACE_PACK_H
#define SCHEDULER_PLACE_PACK_H

#include "scheduler/place/desk.h"
#include "scheduler/place/shape.h"

/* What is to be shared out: whole units, and the workers of a smaller last one. */
struct sched_rest {
    uint32_t units;
    uint32_t odd;
};

/* A gang to be placed on the candidates of the last survey. */
struct sched_placer {
    const struct sched_shape *shape;
    struct sched_topology *topology;
    struct sched_candidate *candidates; /* those of a domain together */
    uint32_t count;
    uint32_t *numbers; /* scratch, room for each candidate */
};

/* Adds up what the candidates in a domain have room for, anew. */
void sched_roll_up(const struct sched_placer *placer, uint32_t level, struct sched_domain *domain);
/* Places what fits into a domain as close together as can be, if commit; tells how good that is. */
void sched_pack(const struct sched_placer *placer, uint32_t level, struct sched_domain *domain,
                struct sched_rest rest, bool commit, struct sched_score *score);
bool sched_better(const struct sched_score *a, const struct sched_score *b);

#endif
