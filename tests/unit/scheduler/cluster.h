/* Small clusters and placements as text, for the tests of the scheduler. */
#ifndef TESTS_UNIT_SCHEDULER_CLUSTER_H
#define TESTS_UNIT_SCHEDULER_CLUSTER_H

#include "scheduler/scheduler.h"

#define GIB (UINT64_C(1) << 30)

/* sched_node_set of a node with nothing but a capacity. */
enum covey_status cluster_set(struct sched *sched, const char *name, uint64_t epoch,
                              const struct sched_vector *capacity, uint32_t *node,
                              struct covey_error *error) COVEY_MUST_USE;

/* A cluster of nodes n0, n1, ... with these slots (ended by 0) and 64 GiB each. */
struct sched *cluster_create(const uint32_t *slots);

/* Adds or updates a node, up at first; ends the test where that fails. Returns its id. */
uint32_t cluster_node(struct sched *sched, const char *name, uint64_t slots, uint64_t memory_bytes);

/* A request for workers of one slot, submitted at time 0. */
struct sched_request cluster_request(const char *flare, uint32_t workers);

/* "node:workers" of each pack, in order, parted by spaces; "-" for NULL. Static storage. */
const char *cluster_text(const struct sched_placement *placement);

/* Plans a request and gives its placement as text; a refusal's name ("EINVAL") where it has none.
 */
const char *cluster_plan(struct sched *sched, const struct sched_request *request);

/* Submits and takes the next, as text. */
const char *cluster_start(struct sched *sched, const struct sched_request *request);

/* A deterministic generator: the next of 0..below-1. */
uint32_t cluster_random(uint64_t *state, uint32_t below);

#endif
