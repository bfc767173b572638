/* A flare stands in the whole queue, and in the line of its tenant and priority. */
#include "scheduler/order/queue.h"

static const struct sched_flare *in_queue(const struct covey_list *link)
{
    return covey_container_of(link, struct sched_flare, link);
}

static const struct sched_flare *in_line(const struct covey_list *link)
{
    return covey_container_of(link, struct sched_flare, in_line);
}

/* Where in a list a flare belongs: before what is returned. Mostly that is at its end or, after a
 * rollback, at its beginning. */
static struct covey_list *place_in(struct covey_list *list, const struct sched_flare *flare,
                                   const struct sched_flare *(*flare_of)(const struct covey_list *))
{
    if (!covey_list_empty(list) && sched_before(flare, flare_of(list->next)))
        return list->next;
    struct covey_list *next = list;
    while (next->previous != list && sched_before(flare, flare_of(next->previous)))
        next = next->previous;
    return next;
}

void sched_enqueue(struct sched *sched, struct sched_flare *flare)
{
    covey_list_push_back(place_in(&sched->queue, flare, in_queue), &flare->link);
    covey_list_push_back(place_in(&flare->line->flares, flare, in_line), &flare->in_line);
    sched->queued++;
    sched->tenants.changes++;
}

void sched_dequeue(struct sched *sched, struct sched_flare *flare)
{
    covey_list_remove(&flare->link);
    covey_list_remove(&flare->in_line);
    sched->queued--;
    sched->tenants.changes++;
}
