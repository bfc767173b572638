/* The scratch of placing grows with the cluster, so that placing needs none. */
#include "scheduler/place/desk.h"

#include "base/memory.h"

#include <stdlib.h>

void sched_desk_init(struct sched_desk *desk, struct sched_cluster *cluster)
{
    desk->cluster = cluster;
    covey_list_init(&desk->offering);
}

enum covey_status sched_desk_reserve(struct sched_desk *desk, uint32_t nodes)
{
    if (nodes <= desk->room)
        return COVEY_OK;
    uint32_t room = nodes <= 16 ? 16 : nodes;
    if (desk->room <= UINT32_MAX / 2 && room < 2 * desk->room)
        room = 2 * desk->room;
    struct sched_candidate *candidates =
        covey_reallocarray(desk->candidates, room, sizeof(*candidates));
    if (!candidates)
        return COVEY_ENOMEM;
    desk->candidates = candidates;
    uint32_t *numbers = covey_reallocarray(desk->numbers, room, sizeof(*numbers));
    if (!numbers)
        return COVEY_ENOMEM;
    desk->numbers = numbers;
    struct sched_candidate **sharers =
        covey_reallocarray(desk->sharers, room, sizeof(struct sched_candidate *));
    if (!sharers)
        return COVEY_ENOMEM;
    desk->sharers = sharers;
    desk->room = room;
    return COVEY_OK;
}

void sched_desk_clear(struct sched_desk *desk)
{
    free(desk->candidates);
    free(desk->numbers);
    free(desk->sharers);
}
