/* The ends of gangs, with running sums, so that "from when on is there enough" is a search. */
#include "scheduler/order/ends.h"

#include "scheduler/order/flare.h"

#include "base/memory.h"

#include <stdlib.h>

static int by_time(const void *left, const void *right)
{
    int64_t a = ((const struct sched_end *)left)->at_ns;
    int64_t b = ((const struct sched_end *)right)->at_ns;
    return a < b ? -1 : a > b;
}

static enum covey_status grow(struct sched_ends *ends)
{
    size_t room = ends->room ? ends->room * 2 : 64;
    struct sched_end *list = covey_reallocarray(ends->list, room, sizeof(*list));
    if (!list)
        return COVEY_ENOMEM;
    ends->list = list;
    ends->room = room;
    return COVEY_OK;
}

enum covey_status sched_ends_list(struct sched_ends *ends, const struct covey_list *holders,
                                  uint64_t claims)
{
    if (ends->claims == claims && ends->list)
        return COVEY_OK;
    size_t count = 0;
    covey_list_for_each (link, holders) {
        const struct sched_flare *flare = covey_container_of(link, struct sched_flare, link);
        if (flare->gang->stay.ends_ns == COVEY_NEVER_NS)
            continue;
        if ((!ends->list || count == ends->room) && grow(ends) != COVEY_OK)
            return COVEY_ENOMEM;
        struct sched_end *end = &ends->list[count++];
        end->at_ns = flare->gang->stay.ends_ns;
        for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++)
            end->freed.amount[d] = flare->shape.workers * flare->shape.worker.amount[d];
    }
    if (count)
        qsort(ends->list, count, sizeof(*ends->list), by_time);
    for (size_t i = 1; i < count; i++) {
        for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++)
            ends->list[i].freed.amount[d] += ends->list[i - 1].freed.amount[d];
    }
    ends->count = count;
    ends->claims = claims;
    return COVEY_OK;
}

size_t sched_ends_after(const struct sched_ends *ends, int64_t after_ns)
{
    size_t low = 0;
    size_t high = ends->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ends->list[middle].at_ns > after_ns)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

void sched_ends_clear(struct sched_ends *ends)
{
    free(ends->list);
}
