#include "service/node/capacity.h"

#include "base/error.h"

#include <hwloc.h>
#include <stdbool.h>

static uint32_t count(hwloc_topology_t topology, hwloc_obj_type_t type)
{
    int number = hwloc_get_nbobjs_by_type(topology, type);
    return number > 0 ? (uint32_t)number : 0;
}

/* Those that this process may use: its own binding may be narrower than the machine. */
static void read_cpus(hwloc_topology_t topology, struct capacity *capacity)
{
    hwloc_bitmap_t bound = hwloc_bitmap_alloc();
    bool known = bound && hwloc_get_cpubind(topology, bound, HWLOC_CPUBIND_PROCESS) == 0;
    for (hwloc_obj_t pu = NULL;
         (pu = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_PU, pu)) != NULL;) {
        if (pu->os_index >= CAPACITY_CPUS_MAX || capacity->cpu_count == CAPACITY_CPUS_MAX ||
            (known && !hwloc_bitmap_isset(bound, pu->os_index)))
            continue;
        int numa = hwloc_bitmap_first(pu->nodeset);
        capacity->cpus[capacity->cpu_count] = pu->os_index;
        capacity->numa_of_cpu[capacity->cpu_count++] = numa > 0 ? (uint32_t)numa : 0;
    }
    hwloc_bitmap_free(bound);
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
    read_cpus(topology, capacity);
    hwloc_topology_destroy(topology);
    return COVEY_OK;
}
