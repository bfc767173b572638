/*
 * Spreading a gang: at each level, from the top, the domains in rising order of room take an equal
 * part of what is left each, or all they can; then the nodes of each domain do the same.
 */
#include "scheduler/place/spread.h"

#include <assert.h>
#include <stdlib.h>

/* The equal part of what is left for one of so many, the others having no less room. */
static uint32_t equal_part(uint64_t room, uint32_t left, uint32_t among)
{
    uint32_t equal = left / among;
    return room < equal ? (uint32_t)room : equal;
}

static int nodes_by_rising_room(const void *left, const void *right)
{
    const struct sched_candidate *a = left;
    const struct sched_candidate *b = right;
    if (a->fit != b->fit)
        return a->fit < b->fit ? -1 : 1;
    return a->node > b->node ? -1 : a->node < b->node;
}

static int domains_by_rising_room(const void *left, const void *right)
{
    const struct sched_domain *a = *(const struct sched_domain *const *)left;
    const struct sched_domain *b = *(const struct sched_domain *const *)right;
    if (a->units != b->units)
        return a->units < b->units ? -1 : 1;
    return a > b ? -1 : a < b;
}

static void spread_on_nodes(const struct sched_placer *placer, const struct sched_domain *domain,
                            uint32_t units)
{
    struct sched_candidate *candidates = &placer->candidates[domain->candidates];
    uint32_t count = domain->candidates_end - domain->candidates;
    uint32_t unit = placer->shape->unit;
    qsort(candidates, count, sizeof(*candidates), nodes_by_rising_room);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t part = equal_part(candidates[i].fit / unit, units, count - i);
        candidates[i].taken = part * unit;
        units -= part;
    }
}

static void spread_units(const struct sched_placer *placer, uint32_t level,
                         const struct sched_domain *domain, uint32_t units)
{
    struct sched_topology *topology = placer->topology;
    if (level == topology->levels) {
        spread_on_nodes(placer, domain, units);
        return;
    }
    struct sched_domain **children = &topology->sorted[domain->first];
    uint32_t count = domain->end - domain->first;
    for (uint32_t i = 0; i < count; i++)
        children[i] = &topology->domains[domain->first + i];
    qsort(children, count, sizeof(struct sched_domain *), domains_by_rising_room);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t part = equal_part(children[i]->units, units, count - i);
        if (part)
            spread_units(placer, level + 1, children[i], part);
        units -= part;
    }
}

void sched_spread(const struct sched_placer *placer)
{
    const struct sched_shape *shape = placer->shape;
    uint32_t odd = shape->workers % shape->unit;
    spread_units(placer, 0, placer->topology->domains, shape->workers / shape->unit);
    if (odd == 0)
        return;
    struct sched_candidate *idlest = NULL;
    for (uint32_t i = 0; i < placer->count; i++) {
        struct sched_candidate *other = &placer->candidates[i];
        if (other->fit < other->taken + odd)
            continue;
        if (!idlest || other->taken < idlest->taken ||
            (other->taken == idlest->taken && other->fit > idlest->fit) ||
            (other->taken == idlest->taken && other->fit == idlest->fit &&
             other->position < idlest->position))
            idlest = other;
    }
    assert(idlest); /* the room was asked for first */
    idlest->taken += odd;
}
