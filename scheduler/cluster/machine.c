/*
 * Machines that run several nodes. Each node counts what it gives out, and the machine what all of
 * its nodes give out of the memory and the cpus that they share: a node has no more room than
 * either says. A machine of one node says nothing of its own.
 */
#include "scheduler/cluster/machine.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static struct sched_machine *create(struct sched_machines *machines, const char *name)
{
    struct sched_machine *machine = covey_calloc(1, sizeof(*machine));
    if (!machine)
        return NULL;
    machine->machines = machines;
    covey_list_init(&machine->nodes);
    covey_list_init(&machine->offering);
    if (!name)
        return machine;
    machine->name = covey_strdup(name);
    if (machine->name && covey_map_set(&machines->by_name, name, machine) == COVEY_OK)
        return machine;
    free(machine->name);
    free(machine);
    return NULL;
}

struct sched_machine *sched_machine_take(struct sched_machines *machines, const char *name,
                                         const struct sched_node *node)
{
    if (!name && node && node->machine && !node->machine->name)
        return node->machine;
    struct sched_machine *known = name ? covey_map_get(&machines->by_name, name) : NULL;
    return known ? known : create(machines, name);
}

void sched_machine_drop(struct sched_machine *machine)
{
    if (!machine || machine->pool.node_count)
        return;
    if (machine->name)
        (void)covey_map_remove(&machine->machines->by_name, machine->name);
    free(machine->name);
    free(machine);
}

/* What the nodes have together: the memory that the largest of them knows of, every cpu once. */
static void add_up(struct sched_machine *machine)
{
    uint64_t cpus[SCHED_CPU_WORDS] = {0};
    uint64_t memory_bytes = 0;
    uint64_t milli = 0;
    covey_list_for_each (link, &machine->nodes) {
        const struct sched_node *node = covey_container_of(link, struct sched_node, on_machine);
        const uint64_t amounts[] = {node->machine_memory_bytes,
                                    node->capacity.amount[SCHED_MEMORY_BYTES]};
        for (size_t i = 0; i < 2; i++)
            memory_bytes = amounts[i] > memory_bytes ? amounts[i] : memory_bytes;
        if (node->capacity.amount[SCHED_MILLI_CPUS] > milli)
            milli = node->capacity.amount[SCHED_MILLI_CPUS];
        for (uint32_t i = 0; i < node->traits->cpu_count; i++)
            sched_cpu_set(cpus, node->traits->cpus[i].id);
    }
    uint64_t ids = 0;
    for (size_t i = 0; i < SCHED_CPU_WORDS; i++)
        ids += (uint64_t)__builtin_popcountll(cpus[i]);
    machine->pool.capacity.amount[SCHED_MEMORY_BYTES] = memory_bytes;
    machine->pool.capacity.amount[SCHED_MILLI_CPUS] = 1000 * ids > milli ? 1000 * ids : milli;
}

/* Counts what a node's gangs hold on its machine, or no more. */
static void count_claims(struct sched_node *node, bool claim)
{
    struct sched_vector *claimed = &node->machine->pool.claimed;
    for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
        if (sched_is_pooled(d))
            claimed->amount[d] += claim ? node->claimed.amount[d] : -node->claimed.amount[d];
    }
    covey_list_for_each (link, &node->shares)
        sched_share_mark(covey_container_of(link, struct sched_share, link), claim);
}

void sched_machine_leave(struct sched_node *node)
{
    struct sched_machine *machine = node->machine;
    if (!machine)
        return;
    count_claims(node, false);
    covey_list_remove(&node->on_machine);
    machine->pool.node_count--;
    node->machine = NULL;
    add_up(machine);
    sched_totals_refresh(machine->machines->totals, &machine->pool);
    sched_machine_drop(machine);
}

void sched_machine_enter(struct sched_node *node, struct sched_machine *machine)
{
    if (node->machine != machine) {
        sched_machine_leave(node);
        node->machine = machine;
        covey_list_push_back(&machine->nodes, &node->on_machine);
        machine->pool.node_count++;
        count_claims(node, true);
    }
    add_up(machine);
}
