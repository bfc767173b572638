/* A survey asks every node once, domain by domain. */
#include "scheduler/place/survey.h"

#include "scheduler/cluster/room.h"
#include "scheduler/place/divide.h"
#include "scheduler/place/heap.h"

uint32_t sched_survey(struct sched_desk *desk, const struct sched_shape *shape,
                      const struct sched_view *view)
{
    struct sched_topology *topology = &desk->cluster->topology;
    if (topology->node_count == 0)
        return 0;
    sched_topology_refresh(topology);
    uint32_t count = 0;
    bool pooled = sched_asks_pooled(&shape->worker);
    struct sched_domain *last = &topology->domains[topology->level_first[topology->levels + 1]];
    for (struct sched_domain *domain = &topology->domains[topology->level_first[topology->levels]];
         domain < last; domain++) {
        domain->candidates = count;
        for (uint32_t i = domain->first; i < domain->end; i++) {
            const struct sched_node *node = topology->order[i];
            if (!sched_node_open(node, view, shape->filter))
                continue;
            uint32_t fit = sched_node_fit_alone(node, view, &shape->worker);
            if (shape->unit_is_alone && fit > shape->unit)
                fit = shape->unit;
            struct sched_machine *shared = pooled && sched_is_shared(node) ? node->machine : NULL;
            if (fit && shared)
                fit = sched_machine_offer(desk, shared, shape, view, fit);
            if (fit == 0)
                continue;
            desk->candidates[count] =
                (struct sched_candidate){.node = node->id, .position = i, .room = fit, .fit = fit};
            if (shared) {
                desk->candidates[count].next = shared->first;
                shared->first = count;
            }
            count++;
        }
        domain->candidates_end = count;
    }
    sched_machines_divide(desk, shape);
    return count;
}

uint64_t sched_survey_room(struct sched_desk *desk, const struct sched_shape *shape, uint32_t count)
{
    struct sched_candidate *candidates = desk->candidates;
    uint32_t limit = shape->node_limit < count ? shape->node_limit : count;
    uint32_t first = 0;
    if (limit < count) {
        sched_heap_make(candidates, count);
        uint32_t heap = count;
        while (heap > count - limit)
            sched_heap_pop(candidates, &heap);
        first = heap;
    }
    uint64_t units = 0;
    uint32_t odd = 0;
    for (uint32_t i = first; i < count; i++) {
        units += candidates[i].fit / shape->unit;
        uint32_t leftover = candidates[i].fit % shape->unit;
        if (leftover > odd)
            odd = leftover;
    }
    return units * shape->unit + (shape->unit_is_pack ? 0 : odd);
}

uint64_t sched_room_in(struct sched_desk *desk, const struct sched_shape *shape,
                       const struct sched_view *view)
{
    return sched_survey_room(desk, shape, sched_survey(desk, shape, view));
}

bool sched_fits_in(struct sched_desk *desk, const struct sched_shape *shape,
                   const struct sched_view *view)
{
    return sched_room_in(desk, shape, view) >= shape->workers;
}
