/* The pairs that do not cross are the squares of what each domain holds. */
#include "scheduler/place/cost.h"

/* The sum of the squares of what the domains of a level hold. */
static uint64_t together(const struct sched_topology *topology, uint32_t level,
                         const struct sched_candidate *used, uint32_t count)
{
    uint64_t sum = 0;
    uint64_t held = 0;
    for (uint32_t i = 0; i < count; i++) {
        held += used[i].taken;
        const struct sched_node *node = topology->order[used[i].position];
        if (i + 1 < count &&
            sched_same_domain(node, topology->order[used[i + 1].position], level + 1))
            continue;
        sum += held * held;
        held = 0;
    }
    return sum;
}

void sched_cost_of(const struct sched_topology *topology, const struct sched_candidate *used,
                   uint32_t count, uint32_t workers, struct sched_cost *cost)
{
    uint64_t pairs = (uint64_t)workers * workers;
    *cost = (struct sched_cost){.levels = topology->levels + 2, .nodes = count};
    for (uint32_t level = 0; level < topology->levels; level++)
        cost->crossing[level] = pairs - together(topology, level, used, count);
    uint64_t *of_nodes = &cost->crossing[topology->levels];
    *of_nodes = pairs;
    for (uint32_t i = 0; i < count; i++)
        *of_nodes -= (uint64_t)used[i].taken * used[i].taken;
    of_nodes[1] = *of_nodes; /* until cpus say otherwise, a node is one NUMA node */
}
