/* Cpus, given out whole. */
#ifndef SCHEDULER_PLACE_CORES_H
#define SCHEDULER_PLACE_CORES_H

#include "scheduler/cluster/machine.h"

/* The whole cpus a worker asks for; 0: none, or a share of one. */
uint32_t sched_cpus_each(const struct sched_vector *worker);
/* Picks free cpus of a node for workers for which it has room; SCHED_CPU_NONE where it gives none
 * out. They are held, so that no other share is given them, until sched_cores_hold says otherwise;
 * nothing is claimed. */
void sched_cores_pick(struct sched_node *node, uint32_t workers, uint32_t each, uint16_t *cpus);
/* EPRECONDITION where these are not free cpus of the node, or one is given twice. */
enum covey_status sched_cores_check(const struct sched_node *node, const uint16_t *cpus,
                                    uint32_t count, struct covey_error *error);
/* Holds cpus while a gang is made, or no more. */
void sched_cores_hold(const struct sched_node *node, const uint16_t *cpus, uint32_t count,
                      bool hold);
/* The sum of the squares of the workers on each NUMA node. */
uint64_t sched_cores_together(const struct sched_node *node, const uint16_t *cpus, uint32_t workers,
                              uint32_t each);

#endif
