#include "service/node/capacity.h"

#include "base/error.h"

#include <hwloc.h>

static uint32_t count(hwloc_topology_t topology, hwloc_obj_type_t type)
{
    int number = hwloc_get_nbobjs_by_type(topology, type);
    return number > 0 ? (uint32_t)number : 0;
}

enum covey_status capacity_read(struct capacity *capacity, struct covey_error *error)
{
    hwloc_topology_t topology;
    if (hwloc_topology_init(&topology) < 0)
        return covey_error_set(error, COVEY_ENOMEM, "hwloc cannot be initialised");
    if (hwloc_topology_load(topology) < 0) {
        hwloc_topology_destroy(topology);
        return covey_error_set(error, COVEY_EIO, "hwloc cannot read the machine's topology");
    }
    capacity->processing_units = count(topology, HWLOC_OBJ_PU);
    capacity->cores = count(topology, HWLOC_OBJ_CORE);
    /* Some virtual machines show no cores. */
    if (capacity->cores == 0)
        capacity->cores = capacity->processing_units;
    capacity->numa_nodes = count(topology, HWLOC_OBJ_NUMANODE);
    capacity->memory_bytes = hwloc_get_root_obj(topology)->total_memory;
    hwloc_topology_destroy(topology);
    return COVEY_OK;
}
