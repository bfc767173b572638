/* Room: what nodes and machines have in a view, and the workers that fit. */
#ifndef SCHEDULER_CLUSTER_ROOM_H
#define SCHEDULER_CLUSTER_ROOM_H

#include "scheduler/cluster/machine.h"

/* What a node has in a view, each dimension. Every question of room is answered from this. */
void sched_node_room(const struct sched_node *node, const struct sched_view *view,
                     struct sched_vector *room);
/* What a node has of one dimension. */
uint64_t sched_node_has(const struct sched_node *node, const struct sched_view *view,
                        enum sched_dimension dimension);
/* The workers that fit on a node, state and units aside; by what it has itself, and with what its
 * machine has. */
uint32_t sched_node_fit_alone(const struct sched_node *node, const struct sched_view *view,
                              const struct sched_vector *worker);
uint32_t sched_node_fit(const struct sched_node *node, const struct sched_view *view,
                        const struct sched_vector *worker);

/* What a machine has in a view of the dimensions that are shared. */
void sched_machine_room(const struct sched_machine *machine, const struct sched_view *view,
                        struct sched_vector *room);
/* The workers that a machine has room for. */
uint32_t sched_machine_fit(const struct sched_machine *machine, const struct sched_view *view,
                           const struct sched_vector *worker);

#endif
