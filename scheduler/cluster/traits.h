/* What a node is, apart from its numbers: labels, taints, cpus. */
#ifndef SCHEDULER_CLUSTER_TRAITS_H
#define SCHEDULER_CLUSTER_TRAITS_H

#include "scheduler/cluster/cpus.h"
#include "scheduler/cluster/names.h"

struct sched_traits {
    uint32_t label_count;
    uint32_t taint_count;
    uint32_t cpu_count;
    struct sched_cpu *cpus;  /* by NUMA node, then id */
    struct sched_tag tags[]; /* labels, then taints */
};

/* EINVAL where facts contradict themselves. */
enum covey_status sched_traits_check(const struct sched_node_facts *facts,
                                     struct covey_error *error);
/* Of checked facts. NULL: no memory. */
struct sched_traits *sched_traits_create(struct sched_names *names,
                                         const struct sched_node_facts *facts);
void sched_traits_destroy(struct sched_names *names, struct sched_traits *traits);
/* The value of a label, or NULL. */
const struct sched_name *sched_label_of(const struct sched_traits *traits,
                                        const struct sched_name *key);

static inline const struct sched_tag *sched_taints(const struct sched_traits *traits)
{
    return traits->tags + traits->label_count;
}

#endif
