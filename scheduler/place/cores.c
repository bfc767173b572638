/*
 * Cpus, given out whole. The workers of a share fill the NUMA nodes of its node as a gang fills
 * nodes: the roomiest first, until one can take the rest, and of those the tightest. Workers for
 * which no NUMA node has cpus enough left take what is over, across NUMA nodes.
 *
 * There are always enough of them: a node has no more thousandths of a cpu than cpus, and who takes
 * whole cpus claims a thousand for each, of the node and of its machine.
 */
#include "scheduler/place/cores.h"

#include "base/error.h"

#include <assert.h>

uint32_t sched_cpus_each(const struct sched_vector *worker)
{
    uint64_t milli = worker->amount[SCHED_MILLI_CPUS];
    return milli % 1000 == 0 && milli / 1000 <= SCHED_CPUS_MAX ? (uint32_t)(milli / 1000) : 0;
}

/* How many workers find room within each NUMA node, and how many of them go there. */
struct sockets {
    uint32_t room[SCHED_NUMA_MAX];
    uint32_t given[SCHED_NUMA_MAX];
};

static void count_room(const struct sched_node *node, uint32_t each, struct sockets *sockets)
{
    *sockets = (struct sockets){0};
    for (uint32_t i = 0; i < node->traits->cpu_count; i++) {
        const struct sched_cpu *cpu = &node->traits->cpus[i];
        sockets->room[cpu->numa] += !sched_cpu_test(node->machine->cpus_taken, cpu->id);
    }
    for (uint32_t i = 0; i < SCHED_NUMA_MAX; i++)
        sockets->room[i] /= each;
}

/* The NUMA node to fill next: the tightest that holds so many, else the roomiest. */
static uint32_t next_socket(const struct sockets *sockets, uint32_t workers)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < SCHED_NUMA_MAX; i++) {
        uint32_t room = sockets->room[i];
        uint32_t best_room = sockets->room[best];
        bool better = best_room < workers ? room > best_room : room >= workers && room < best_room;
        if (better)
            best = i;
    }
    return best;
}

/* Takes as many free cpus of a NUMA node (any: SCHED_NUMA_MAX), marking them. */
static uint16_t *take(struct sched_node *node, uint32_t numa, uint32_t count, uint16_t *cpus)
{
    for (uint32_t i = 0; i < node->traits->cpu_count && count > 0; i++) {
        const struct sched_cpu *cpu = &node->traits->cpus[i];
        if ((numa != SCHED_NUMA_MAX && cpu->numa != numa) ||
            sched_cpu_test(node->machine->cpus_taken, cpu->id))
            continue;
        sched_cpu_set(node->machine->cpus_taken, cpu->id);
        *cpus++ = cpu->id;
        count--;
    }
    assert(count == 0);
    return cpus;
}

void sched_cores_hold(const struct sched_node *node, const uint16_t *cpus, uint32_t count,
                      bool hold)
{
    (void)sched_cpus_mark(node->machine->cpus_taken, cpus, count, hold);
}

void sched_cores_pick(struct sched_node *node, uint32_t workers, uint32_t each, uint16_t *cpus)
{
    if (node->traits->cpu_count == 0) {
        for (uint32_t i = 0; i < workers * each; i++)
            cpus[i] = SCHED_CPU_NONE;
        return;
    }
    struct sockets sockets;
    count_room(node, each, &sockets);
    uint32_t left = workers;
    while (left > 0) {
        uint32_t numa = next_socket(&sockets, left);
        uint32_t given = sockets.room[numa] < left ? sockets.room[numa] : left;
        if (given == 0)
            break;
        sockets.given[numa] = given;
        sockets.room[numa] = 0;
        left -= given;
    }
    uint16_t *end = cpus;
    for (uint32_t i = 0; i < SCHED_NUMA_MAX; i++) {
        if (sockets.given[i])
            end = take(node, i, sockets.given[i] * each, end);
    }
    (void)take(node, SCHED_NUMA_MAX, left * each, end);
}

enum covey_status sched_cores_check(const struct sched_node *node, const uint16_t *cpus,
                                    uint32_t count, struct covey_error *error)
{
    uint64_t open[SCHED_CPU_WORDS] = {0};
    for (uint32_t i = 0; i < node->traits->cpu_count; i++) {
        uint16_t cpu = node->traits->cpus[i].id;
        if (!sched_cpu_test(node->machine->cpus_taken, cpu))
            sched_cpu_set(open, cpu);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (node->traits->cpu_count == 0 && cpus[i] == SCHED_CPU_NONE)
            continue;
        if (cpus[i] >= SCHED_CPUS_MAX || !sched_cpu_test(open, cpus[i]))
            return covey_error_set(error, COVEY_EPRECONDITION, "cpu %u of node %s is not free",
                                   cpus[i], node->name);
        sched_cpu_clear(open, cpus[i]);
    }
    return COVEY_OK;
}

uint64_t sched_cores_together(const struct sched_node *node, const uint16_t *cpus, uint32_t workers,
                              uint32_t each)
{
    if (node->traits->cpu_count == 0)
        return (uint64_t)workers * workers;
    uint8_t numa_of[SCHED_CPUS_MAX];
    uint64_t held[SCHED_NUMA_MAX] = {0};
    for (uint32_t i = 0; i < node->traits->cpu_count; i++)
        numa_of[node->traits->cpus[i].id] = node->traits->cpus[i].numa;
    for (uint32_t i = 0; i < workers; i++)
        held[numa_of[cpus[(size_t)i * each]]]++;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < SCHED_NUMA_MAX; i++)
        sum += held[i] * held[i];
    return sum;
}
