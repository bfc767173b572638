/* Shares: claimed, freed, and what they hold beyond a time. */
#ifndef SCHEDULER_CLUSTER_SHARE_H
#define SCHEDULER_CLUSTER_SHARE_H

#include "scheduler/cluster/machine.h"

/* Counts what a share holds of its node and machine. */
void sched_share_claim(struct sched_share *share);
/* Counts it no more, and the share has no node then. */
void sched_share_free(struct sched_share *share);

/* What is claimed of a node, or of all nodes of a machine, by gangs that have not ended by then. */
void sched_claimed_beyond(const struct sched_node *node, int64_t then_ns,
                          struct sched_vector *claimed);
void sched_machine_claimed_beyond(const struct sched_machine *machine, int64_t then_ns,
                                  struct sched_vector *claimed);

#endif
