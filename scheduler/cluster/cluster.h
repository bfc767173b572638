/* All nodes, with what they share: names, machines, topology, sums. */
#ifndef SCHEDULER_CLUSTER_CLUSTER_H
#define SCHEDULER_CLUSTER_CLUSTER_H

#include "scheduler/cluster/booking.h"
#include "scheduler/cluster/topology.h"

/* Stays where it is: nodes and machines point into it. */
struct sched_cluster {
    struct sched_node **nodes; /* by id; NULL: not in use */
    uint32_t node_limit;
    uint32_t node_room;
    uint32_t first_hole;      /* no id below it is free */
    uint64_t version;         /* grows when what the cluster could hold changes; never 0 */
    struct covey_map by_name; /* name -> sched_node */
    struct sched_names names;
    struct sched_machines machines;
    struct sched_bookings bookings;
    struct sched_topology topology;
    struct sched_totals totals;
};

void sched_cluster_init(struct sched_cluster *cluster);
/* When nothing refers to its nodes and names any more, but itself. */
void sched_cluster_clear(struct sched_cluster *cluster);

/* As sched_set_topology. */
enum covey_status sched_cluster_set_topology(struct sched_cluster *cluster, const char *const *keys,
                                             uint32_t count);

/* The node of an id, or NULL. */
struct sched_node *sched_cluster_node(const struct sched_cluster *cluster, uint32_t node);
/* As sched_node_set. */
enum covey_status sched_cluster_set(struct sched_cluster *cluster,
                                    const struct sched_node_facts *facts, uint32_t *node,
                                    struct covey_error *error);
void sched_cluster_set_state(struct sched_cluster *cluster, struct sched_node *node,
                             enum sched_node_state state);
/* Forgets a node of which nothing is claimed or booked. */
void sched_cluster_remove(struct sched_cluster *cluster, struct sched_node *node);

#endif
