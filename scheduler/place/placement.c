/* One way for each wish; all leave the candidates in the order of the topology. */
#include "scheduler/place/placement.h"

#include "scheduler/place/limit.h"
#include "scheduler/place/spread.h"

#include <stdlib.h>

int sched_by_position(const void *left, const void *right)
{
    uint32_t a = ((const struct sched_candidate *)left)->position;
    uint32_t b = ((const struct sched_candidate *)right)->position;
    return a < b ? -1 : a > b;
}

uint32_t sched_distribute(struct sched_desk *desk, const struct sched_shape *shape, uint32_t count)
{
    struct sched_topology *topology = &desk->cluster->topology;
    struct sched_placer placer = {shape, topology, desk->candidates, count, desk->numbers};
    struct sched_domain *root = topology->domains;
    sched_roll_up(&placer, 0, root);
    if (shape->spread) {
        if (shape->node_limit < count)
            sched_limit_spread(&placer);
        sched_spread(&placer);
    } else if (shape->node_limit < count) {
        sched_pack_limited(&placer);
    } else {
        struct sched_score score;
        struct sched_rest rest = {shape->workers / shape->unit, shape->workers % shape->unit};
        sched_pack(&placer, 0, root, rest, true, &score);
    }
    uint32_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (desk->candidates[i].taken)
            desk->candidates[used++] = desk->candidates[i];
    }
    qsort(desk->candidates, used, sizeof(*desk->candidates), sched_by_position);
    return used;
}
