#include "service/node/capacity.h"

#include "base/error.h"
#include "base/text.h"

#include <hwloc.h>
#include <inttypes.h>
#include <stdbool.h>
#include <unistd.h>

/* What a process may use, and what there is. */
struct view {
    hwloc_topology_t topology;
    hwloc_bitmap_t cpus;
    hwloc_const_bitmap_t memories;
    uint32_t cpus_of_machine;
    uint64_t memory_of_machine_bytes;
};

/* Its binding may be narrower than its control group, and that than the machine. */
static void find_cpus(struct view *view)
{
    hwloc_const_bitmap_t allowed = hwloc_topology_get_allowed_cpuset(view->topology);
    if (hwloc_get_cpubind(view->topology, view->cpus, HWLOC_CPUBIND_PROCESS) < 0 ||
        !hwloc_bitmap_intersects(view->cpus, allowed))
        (void)hwloc_bitmap_copy(view->cpus, allowed);
    else
        (void)hwloc_bitmap_and(view->cpus, view->cpus, allowed);
}

static void read_cpus(struct view *view, struct capacity *capacity)
{
    for (hwloc_obj_t pu = NULL;
         (pu = hwloc_get_next_obj_by_type(view->topology, HWLOC_OBJ_PU, pu)) != NULL;) {
        view->cpus_of_machine++;
        if (!hwloc_bitmap_isset(view->cpus, pu->os_index))
            continue;
        capacity->processing_units++;
        if (pu->os_index >= CAPACITY_CPUS_MAX || capacity->cpu_count == CAPACITY_CPUS_MAX)
            continue;
        int numa = hwloc_bitmap_first(pu->nodeset);
        capacity->cpus[capacity->cpu_count] = pu->os_index;
        capacity->numa_of_cpu[capacity->cpu_count++] = numa > 0 ? (uint32_t)numa : 0;
    }
    for (hwloc_obj_t core = NULL;
         (core = hwloc_get_next_obj_by_type(view->topology, HWLOC_OBJ_CORE, core)) != NULL;)
        capacity->cores += hwloc_bitmap_intersects(core->cpuset, view->cpus) ? 1 : 0;
    /* Some virtual machines show no cores. */
    if (capacity->cores == 0)
        capacity->cores = capacity->processing_units;
    capacity->slots = capacity->cores;
    capacity->milli_cpus = 1000 * capacity->processing_units;
}

static void read_memory(struct view *view, struct capacity *capacity)
{
    for (hwloc_obj_t numa = NULL;
         (numa = hwloc_get_next_obj_by_type(view->topology, HWLOC_OBJ_NUMANODE, numa)) != NULL;) {
        uint64_t bytes = numa->attr->numanode.local_memory;
        view->memory_of_machine_bytes += bytes;
        if (!hwloc_bitmap_isset(view->memories, numa->os_index))
            continue;
        capacity->memory_bytes += bytes;
        capacity->numa_nodes++;
    }
    /* Where /sys does not say. */
    if (view->memory_of_machine_bytes == 0) {
        view->memory_of_machine_bytes =
            (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
        capacity->memory_bytes = view->memory_of_machine_bytes;
    }
}

static void say_less(struct capacity *capacity, const char *what, const char *by)
{
    char before[CAPACITY_TEXT_BYTES];
    (void)covey_text_print(before, sizeof before, "%s", capacity->less);
    (void)covey_text_print(capacity->less, sizeof capacity->less, "%s%s%s by %s", before,
                           *before ? ", " : "", what, by);
}

static void confine_memory(const struct view *view, struct capacity *capacity)
{
    struct confinement_limit *limit = &capacity->confinement.memory;
    char what[96];
    if (limit->amount < capacity->memory_bytes)
        capacity->memory_bytes = limit->amount;
    else
        limit->file[0] = '\0';
    if (capacity->memory_bytes >= view->memory_of_machine_bytes)
        return;
    (void)covey_text_print(what, sizeof what, "memory %" PRIu64 " of %" PRIu64 " MiB",
                           capacity->memory_bytes >> 20, view->memory_of_machine_bytes >> 20);
    say_less(capacity, what, *limit->file ? limit->file : "its cpuset");
}

static void confine_cpus(const struct view *view, struct capacity *capacity)
{
    struct confinement_limit *limit = &capacity->confinement.cpus;
    char what[96];
    if (capacity->processing_units < view->cpus_of_machine) {
        (void)covey_text_print(what, sizeof what, "cpus %u of %u", capacity->processing_units,
                               view->cpus_of_machine);
        say_less(capacity, what, "its affinity or cpuset");
    }
    if (limit->amount >= capacity->milli_cpus) {
        limit->file[0] = '\0';
        return;
    }
    (void)covey_text_print(what, sizeof what, "cpus %g of %u", (double)limit->amount / 1000,
                           view->cpus_of_machine);
    say_less(capacity, what, limit->file);
    capacity->milli_cpus = (uint32_t)limit->amount;
    capacity->cpu_count = 0;
    uint32_t whole = capacity->milli_cpus / 1000;
    if (whole < capacity->slots)
        capacity->slots = whole ? whole : 1;
}

enum covey_status capacity_read(struct capacity *capacity, struct covey_error *error)
{
    struct view view = {0};
    *capacity = (struct capacity){0};
    if (hwloc_topology_init(&view.topology) < 0)
        return covey_error_set(error, COVEY_ENOMEM, "hwloc cannot be initialised");
    view.cpus = hwloc_bitmap_alloc();
    if (!view.cpus ||
        hwloc_topology_set_flags(view.topology, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED) < 0 ||
        hwloc_topology_load(view.topology) < 0) {
        hwloc_bitmap_free(view.cpus);
        hwloc_topology_destroy(view.topology);
        return covey_error_set(error, COVEY_EIO, "hwloc cannot read the machine's topology");
    }
    view.memories = hwloc_topology_get_allowed_nodeset(view.topology);
    find_cpus(&view);
    read_cpus(&view, capacity);
    read_memory(&view, capacity);
    confinement_read("", &capacity->confinement);
    confine_memory(&view, capacity);
    confine_cpus(&view, capacity);
    hwloc_bitmap_free(view.cpus);
    hwloc_topology_destroy(view.topology);
    return COVEY_OK;
}
