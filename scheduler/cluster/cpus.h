/* Cpus, and sets of them by id. */
#ifndef SCHEDULER_CLUSTER_CPUS_H
#define SCHEDULER_CLUSTER_CPUS_H

#include "scheduler/scheduler.h"

#define SCHED_CPU_WORDS (SCHED_CPUS_MAX / 64) /* of a set */

struct sched_cpu {
    uint16_t id;
    uint8_t numa;
};

static inline bool sched_cpu_test(const uint64_t *set, uint16_t cpu)
{
    return set[cpu / 64] >> (cpu % 64) & 1;
}

static inline void sched_cpu_set(uint64_t *set, uint16_t cpu)
{
    set[cpu / 64] |= UINT64_C(1) << (cpu % 64);
}

static inline void sched_cpu_clear(uint64_t *set, uint16_t cpu)
{
    set[cpu / 64] &= ~(UINT64_C(1) << (cpu % 64));
}

/* Puts cpus into a set, or takes them out; SCHED_CPU_NONE is passed over. Returns how many are
 * none of those. */
static inline uint32_t sched_cpus_mark(uint64_t *set, const uint16_t *cpus, uint32_t count,
                                       bool taken)
{
    uint32_t marked = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (cpus[i] == SCHED_CPU_NONE)
            continue;
        if (taken)
            sched_cpu_set(set, cpus[i]);
        else
            sched_cpu_clear(set, cpus[i]);
        marked++;
    }
    return marked;
}

#endif
