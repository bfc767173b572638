/* What this machine has. */
#ifndef SERVICE_NODE_CAPACITY_H
#define SERVICE_NODE_CAPACITY_H

#include "covey/status.h"

#include <stddef.h>
#include <stdint.h>

#define CAPACITY_CPUS_MAX 1024 /* those of higher numbers are not given out */

struct capacity {
    uint64_t memory_bytes;
    uint32_t cores;
    uint32_t processing_units;
    uint32_t numa_nodes;
    uint32_t cpus[CAPACITY_CPUS_MAX]; /* that a process may be bound to, by number */
    uint32_t numa_of_cpu[CAPACITY_CPUS_MAX];
    size_t cpu_count;
};

/* As hwloc sees it, within this process's allowed cpus and memory. EIO. */
enum covey_status capacity_read(struct capacity *capacity,
                                struct covey_error *error) COVEY_MUST_USE;

#endif
