/*
 * The tree of domains above the nodes. Nodes stand in one order, in which those of a domain are
 * neighbours at every level; so a domain is a range of it, and its children are a range of the
 * domains one level below.
 */
#ifndef SCHEDULER_CLUSTER_TOPOLOGY_H
#define SCHEDULER_CLUSTER_TOPOLOGY_H

#include "scheduler/cluster/node.h"

/* How good a part of a placement is, compared in the order of the fields; parts add up. */
struct sched_score {
    uint64_t together[SCHED_LEVELS_MAX + 1]; /* level by level, then nodes: the sum of the squares
                                                of what each domain holds; more is better */
    uint64_t nodes;                          /* fewer is better */
    uint64_t leftover;                       /* workers they have room for still; less is better */
};

/* A domain of the topology; the root is one, too. */
struct sched_domain {
    uint32_t first; /* its children: domains of the level below, or positions of nodes */
    uint32_t end;
    /* What the last survey found in it. */
    uint32_t candidates;
    uint32_t candidates_end;
    uint64_t units;          /* it has room for */
    uint64_t workers;        /* scratch of sorting: it would take */
    uint32_t odd;            /* the largest room of a node that is no whole unit */
    uint32_t roomiest;       /* the largest room of a node */
    struct sched_score full; /* with all its units taken */
};

struct sched_topology {
    struct sched_name *keys[SCHED_LEVELS_MAX];
    uint32_t levels;
    uint32_t node_count;
    struct sched_node **order;    /* the nodes, those of each domain together; by id within */
    struct sched_domain *domains; /* level by level: the root, then those of keys[0], ... */
    struct sched_domain **sorted; /* scratch, one for each domain */
    size_t domain_room;
    uint32_t level_first[SCHED_LEVELS_MAX + 2]; /* index of each level's first; where all end */
    bool stale; /* the order has changed since the domains were made */
};

/* Makes room for so many nodes and levels. ENOMEM: as before. */
enum covey_status sched_topology_reserve(struct sched_topology *topology, uint32_t nodes,
                                         uint32_t levels);
/* As sched_set_topology, with room for so many nodes. */
enum covey_status sched_topology_set(struct sched_topology *topology, struct sched_names *names,
                                     const char *const *keys, uint32_t count, uint32_t nodes);
/* A node with traits comes, goes, or has got others (the old ones still exist). */
void sched_topology_enter(struct sched_topology *topology, struct sched_node *node);
void sched_topology_leave(struct sched_topology *topology, const struct sched_node *node);
void sched_topology_move(struct sched_topology *topology, struct sched_node *node);
/* Makes the domains and the positions of nodes anew where the order has changed. */
void sched_topology_refresh(struct sched_topology *topology);
/* True where two nodes are in one domain of a level; 0 is the root. */
bool sched_same_domain(const struct sched_node *a, const struct sched_node *b, uint32_t level);
void sched_topology_clear(struct sched_topology *topology, struct sched_names *names);

#endif
