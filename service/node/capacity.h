/* What this machine has. */
#ifndef SERVICE_NODE_CAPACITY_H
#define SERVICE_NODE_CAPACITY_H

#include "covey/status.h"

#include "service/node/confinement.h"

#include <stddef.h>
#include <stdint.h>

#define CAPACITY_CPUS_MAX   1024 /* those of higher numbers are not given out */

#define CAPACITY_TEXT_BYTES 512

struct capacity {
    uint64_t memory_bytes;
    uint32_t cores; /* that it may use a part of, as are the next two */
    uint32_t processing_units;
    uint32_t numa_nodes;
    uint32_t milli_cpus; /* that may be used at once: all of the cpus, or what a quota leaves */
    uint32_t slots;      /* for workers that use one whole cpu each */
    uint32_t cpus[CAPACITY_CPUS_MAX]; /* that a process may be bound to, by number */
    uint32_t numa_of_cpu[CAPACITY_CPUS_MAX];
    size_t cpu_count;               /* none where a quota leaves less: then no cpu is its own */
    struct confinement confinement; /* a limit that lowers nothing has no file */
    char less[CAPACITY_TEXT_BYTES]; /* why it is less than the machine has; "" */
};

/* As hwloc sees it, within what affinity and control groups leave this process. EIO. */
enum covey_status capacity_read(struct capacity *capacity,
                                struct covey_error *error) COVEY_MUST_USE;

#endif
