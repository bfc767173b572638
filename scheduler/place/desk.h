/* Where gangs are placed: the cluster, and the candidates that are looked at. */
#ifndef SCHEDULER_PLACE_DESK_H
#define SCHEDULER_PLACE_DESK_H

#include "scheduler/cluster/cluster.h"

/* A node that a gang may use. */
struct sched_candidate {
    uint32_t node;
    uint32_t position; /* of the node in the topology's order */
    uint32_t room;     /* workers it has room for */
    uint32_t fit;      /* the same, or 0 while it is left out */
    uint32_t taken;    /* workers it is given */
    uint32_t next;     /* the next candidate of its machine, while that is surveyed */
};

struct sched_desk {
    struct sched_cluster *cluster;
    uint32_t room;                      /* of each scratch: no fewer than the cluster has nodes */
    struct sched_candidate *candidates; /* of the last survey */
    uint32_t *numbers;                  /* scratch */
    struct sched_candidate **sharers;   /* scratch */
    struct covey_list offering;         /* machines of several nodes in a survey */
    uint64_t restorations;
};

void sched_desk_init(struct sched_desk *desk, struct sched_cluster *cluster);
/* Makes room for so many nodes; before they come. ENOMEM. */
enum covey_status sched_desk_reserve(struct sched_desk *desk, uint32_t nodes);
void sched_desk_clear(struct sched_desk *desk);

#endif
