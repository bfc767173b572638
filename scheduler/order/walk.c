/*
 * The order in which flares may start: first those that have waited too long, by time; then by
 * priority; within one, the tenant whose dominant share is the smallest goes next, with what it
 * was met with so far counted as if it had started.
 */
#include "scheduler/order/walk.h"

/* A flare of a long queue is not in a cache, as lines are. */
#define FLARE_LOOKS 8

static struct sched_flare *of_queue(struct covey_list *link)
{
    return covey_container_of(link, struct sched_flare, link);
}

static struct sched_flare *of_line(struct covey_list *link)
{
    return covey_container_of(link, struct sched_flare, in_line);
}

static bool is_aged(const struct sched_walk *walk, const struct sched_flare *flare)
{
    int64_t age_ns = walk->sched->policy.age_ns;
    return age_ns > 0 && walk->now_ns - flare->submit_ns >= age_ns;
}

void sched_walk_start(struct sched_walk *walk, struct sched *sched, int64_t now_ns)
{
    sched->cluster.bookings.walk++;
    *walk = (struct sched_walk){.sched = sched, .now_ns = now_ns, .aged = sched->queue.next};
}

static struct sched_vector *virtual_of(const struct sched_walk *walk, struct sched_tenant *tenant)
{
    if (tenant->walk != walk->sched->cluster.bookings.walk) {
        tenant->walk = walk->sched->cluster.bookings.walk;
        tenant->virtual = tenant->claimed;
    }
    return &tenant->virtual;
}

void sched_walk_take(struct sched_walk *walk, const struct sched_flare *flare)
{
    struct sched_vector *virtual = virtual_of(walk, flare->line->tenant);
    for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++)
        virtual->amount[d] += flare->shape.workers * flare->shape.worker.amount[d];
}

/* The largest part that the tenant has of any dimension, by its weight. */
static double share_of(const struct sched_walk *walk, struct sched_tenant *tenant)
{
    const struct sched_vector *virtual = virtual_of(walk, tenant);
    double dominant = 0;
    for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
        sched_sum capacity = walk->sched->cluster.totals.capacity[d];
        double share = capacity ? (double)virtual->amount[d] / (double)capacity : 0;
        if (share > dominant)
            dominant = share;
    }
    return dominant / tenant->quota.weight;
}

/* Goes on to the lines of the next priority; the aged of them were met before. */
static bool enter_priority(struct sched_walk *walk)
{
    const struct sched_tenants *tenants = &walk->sched->tenants;
    walk->first_line = walk->end_line;
    if (walk->first_line == tenants->line_count)
        return false;
    int32_t priority = tenants->lines[walk->first_line]->priority;
    while (walk->end_line < tenants->line_count &&
           tenants->lines[walk->end_line]->priority == priority) {
        struct sched_line *line = tenants->lines[walk->end_line++];
        line->at = line->flares.next;
        while (line->at != &line->flares && is_aged(walk, of_line(line->at)))
            line->at = line->at->next;
    }
    return true;
}

/* True where the first of a goes before the first of b; *share is b's, and a's afterwards if so. A
 * negative one is not known yet. */
static bool goes_before(const struct sched_walk *walk, const struct sched_line *a,
                        const struct sched_line *b, double *share)
{
    bool first = sched_before(of_line(a->at), of_line(b->at));
    if (!walk->sched->policy.fair)
        return first;
    if (*share < 0)
        *share = share_of(walk, b->tenant);
    double other = share_of(walk, a->tenant);
    if (other > *share || (other == *share && !first))
        return false;
    *share = other;
    return true;
}

/* The line of the present priority whose first goes next, or NULL. Where one tenant waits alone,
 * its share is of no interest. */
static struct sched_line *choose_line(struct sched_walk *walk)
{
    const struct sched_tenants *tenants = &walk->sched->tenants;
    struct sched_line *chosen = NULL;
    double share = -1;
    walk->looks += (uint32_t)(walk->end_line - walk->first_line) + FLARE_LOOKS;
    for (size_t i = walk->first_line; i < walk->end_line; i++) {
        struct sched_line *line = tenants->lines[i];
        if (line->at != &line->flares && (!chosen || goes_before(walk, line, chosen, &share)))
            chosen = line;
    }
    return chosen;
}

struct sched_flare *sched_walk_next(struct sched_walk *walk)
{
    struct sched *sched = walk->sched;
    if (!walk->in_lines && walk->aged != &sched->queue && is_aged(walk, of_queue(walk->aged))) {
        struct sched_flare *flare = of_queue(walk->aged);
        walk->aged = walk->aged->next;
        walk->looks += FLARE_LOOKS;
        return flare;
    }
    walk->in_lines = true;
    struct sched_line *line;
    while (!(line = choose_line(walk))) {
        if (!enter_priority(walk))
            return NULL;
    }
    struct sched_flare *flare = of_line(line->at);
    line->at = line->at->next;
    return flare;
}
