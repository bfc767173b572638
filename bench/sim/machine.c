#include "bench/sim/machine.h"

#include "base/error.h"
#include "base/memory.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Of `count` things in `groups` groups of neighbours, the group of one. */
static uint32_t group_of(uint32_t thing, uint32_t count, uint32_t groups)
{
    return (uint32_t)((uint64_t)thing * groups / count);
}

uint32_t sim_machine_domain(const struct sim_shape *shape, enum sim_level level, uint32_t node)
{
    if (level == SIM_NODE)
        return node;
    uint32_t rack = group_of(node, shape->nodes, shape->racks);
    return level == SIM_RACK ? rack : group_of(rack, shape->racks, shape->zones);
}

static enum covey_status add_node(struct sim_machine *machine, uint32_t number,
                                  struct covey_error *error)
{
    char name[16], rack[16], zone[16];
    (void)snprintf(name, sizeof(name), "n%" PRIu32, number);
    (void)snprintf(rack, sizeof(rack), "r%" PRIu32,
                   sim_machine_domain(&machine->shape, SIM_RACK, number));
    (void)snprintf(zone, sizeof(zone), "z%" PRIu32,
                   sim_machine_domain(&machine->shape, SIM_ZONE, number));
    const struct sched_label labels[] = {{"zone", zone}, {"rack", rack}};
    const struct sched_node_facts facts = {
        .name = name,
        .epoch = 1,
        .capacity = {{machine->shape.cores}},
        .labels = labels,
        .label_count = 2,
    };
    uint32_t node;
    enum covey_status status = sched_node_set(machine->sched, &facts, &node, error);
    assert(status || node == number);
    return status;
}

enum covey_status sim_machine_create(const struct sim_shape *shape, struct sim_machine *machine,
                                     struct covey_error *error)
{
    *machine =
        (struct sim_machine){.shape = *shape, .slots = (uint64_t)shape->nodes * shape->cores};
    size_t domains = (size_t)shape->nodes + shape->racks + shape->zones;
    machine->used = covey_calloc(shape->nodes, sizeof(*machine->used));
    machine->domains = covey_calloc(domains, sizeof(*machine->domains));
    enum covey_status status = sched_create(&machine->sched);
    if (status || !machine->used || !machine->domains)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for %u nodes", shape->nodes);
    machine->level_at[SIM_NODE] = machine->domains;
    machine->level_at[SIM_RACK] = machine->domains + shape->nodes;
    machine->level_at[SIM_ZONE] = machine->level_at[SIM_RACK] + shape->racks;
    static const char *const levels[] = {"zone", "rack"};
    status = sched_set_topology(machine->sched, levels, 2);
    if (status)
        return covey_error_set(error, status, "no memory for a topology");
    for (uint32_t i = 0; i < shape->nodes && !status; i++)
        status = add_node(machine, i, error);
    return status;
}

void sim_machine_destroy(struct sim_machine *machine)
{
    sched_destroy(machine->sched);
    free(machine->domains);
    free(machine->used);
    *machine = (struct sim_machine){0};
}

/* The free slots of a node, if it is in use. */
static uint64_t open_of(const struct sim_machine *machine, uint32_t node)
{
    return machine->used[node] ? machine->shape.cores - machine->used[node] : 0;
}

void sim_machine_take(struct sim_machine *machine, struct sim_chunk chunk)
{
    assert(chunk.workers <= machine->shape.cores - machine->used[chunk.node]);
    machine->open -= open_of(machine, chunk.node);
    machine->used[chunk.node] += chunk.workers;
    machine->open += open_of(machine, chunk.node);
    machine->occupied += chunk.workers;
}

void sim_machine_give(struct sim_machine *machine, struct sim_chunk chunk)
{
    assert(chunk.workers <= machine->used[chunk.node]);
    machine->open -= open_of(machine, chunk.node);
    machine->used[chunk.node] -= chunk.workers;
    machine->open += open_of(machine, chunk.node);
    machine->occupied -= chunk.workers;
}

void sim_machine_pairs(struct sim_machine *machine, const struct sim_chunk *chunks, uint32_t count,
                       double inside[SIM_LEVELS])
{
    for (enum sim_level level = 0; level < SIM_LEVELS; level++) {
        uint64_t *workers = machine->level_at[level];
        uint64_t pairs = 0;
        for (uint32_t i = 0; i < count; i++) {
            uint64_t *there = &workers[sim_machine_domain(&machine->shape, level, chunks[i].node)];
            /* n more beside m: n(n - 1) among themselves, mn in each direction. */
            pairs += chunks[i].workers * (chunks[i].workers - 1 + 2 * *there);
            *there += chunks[i].workers;
        }
        for (uint32_t i = 0; i < count; i++)
            workers[sim_machine_domain(&machine->shape, level, chunks[i].node)] = 0;
        inside[level] = (double)pairs;
    }
}
