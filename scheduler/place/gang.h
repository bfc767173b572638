/* Gangs: found among the nodes, whole, with nothing claimed yet. */
#ifndef SCHEDULER_PLACE_GANG_H
#define SCHEDULER_PLACE_GANG_H

#include "scheduler/place/desk.h"
#include "scheduler/place/shape.h"

/* A placement and its shares, in one allocation: free() it. */
struct sched_gang {
    struct sched_stay stay; /* set when it is claimed */
    struct sched_placement placement;
    struct sched_pack *packs;
    uint16_t *cpus;              /* as the placement's */
    struct sched_share shares[]; /* one for each node */
};

/* Makes the gang that fits a view; NULL where none does. ENOMEM. Cpus are given out in a view of
 * now only. */
enum covey_status sched_gang_place(struct sched_desk *desk, const struct sched_shape *shape,
                                   const struct sched_view *view, struct sched_gang **gang);
/* Makes a gang of given packs. As sched_restore. */
enum covey_status sched_gang_restore(struct sched_desk *desk, const struct sched_shape *shape,
                                     const struct sched_pack *packs, uint32_t pack_count,
                                     const uint16_t *cpus, struct sched_gang **gang,
                                     struct covey_error *error);
/* A copy of a gang for another cluster: node_of[id] is a node's id there. NULL: no memory. */
struct sched_gang *sched_gang_copy(const struct sched_cluster *to, const struct sched_gang *gang,
                                   const uint32_t *node_of);

#endif
