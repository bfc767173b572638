/* What this machine has. */
#ifndef SERVICE_NODE_CAPACITY_H
#define SERVICE_NODE_CAPACITY_H

#include "covey/status.h"

#include <stdint.h>

struct capacity {
    uint64_t memory_bytes;
    uint32_t cores;
    uint32_t processing_units;
    uint32_t numa_nodes;
};

/* As hwloc sees it, within this process's allowed cpus and memory. EIO. */
enum covey_status capacity_read(struct capacity *capacity,
                                struct covey_error *error) COVEY_MUST_USE;

#endif
