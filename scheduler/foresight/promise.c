/*
 * Promises: the earliest start of a flare that has to wait, if what runs ends by its limits, and
 * the nodes it is kept for. Room only grows as gangs end, so between promises the first time that
 * fits is found by bisecting; where promises are in the way, by trying one time after the other.
 */
#include "scheduler/foresight/promise.h"

#include "scheduler/place/survey.h"

#include "base/clock.h"
#include "base/memory.h"

#include <stdlib.h>

/* Times tried one by one; then what was promised is waited for. */
#define TRIES 32

static struct sched_view view_at(const struct sched_flare *flare, int64_t at_ns, bool promised)
{
    return (struct sched_view){SCHED_BASIS_THEN, at_ns, sched_flare_until(flare, at_ns), promised};
}

static bool fits_at(struct sched *sched, const struct sched_flare *flare, int64_t at_ns,
                    bool promised)
{
    struct sched_view view = view_at(flare, at_ns, promised);
    return sched_fits_in(&sched->desk, &flare->shape, &view);
}

/* False where not even all that is free then, anywhere, is enough. */
static bool is_enough(const struct sched *sched, const struct sched_flare *flare,
                      const struct sched_end *end)
{
    for (enum sched_dimension d = 0; d < SCHED_DIMENSIONS; d++) {
        sched_sum wanted = (sched_sum)flare->shape.worker.amount[d] * flare->shape.workers;
        if (wanted > sched->cluster.totals.free[d] + end->freed.amount[d])
            return false;
    }
    return true;
}

/*
 * The first end at which there is room, were nothing promised; end_count: none. It is mostly not
 * far behind the first at which the sums are enough: steps that double find its surroundings.
 */
static size_t first_end(struct sched *sched, const struct sched_flare *flare)
{
    size_t low = 0;
    size_t high = sched->ends.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (is_enough(sched, flare, &sched->ends.list[middle]))
            high = middle;
        else
            low = middle + 1;
    }
    high = low;
    for (size_t step = 1; high < sched->ends.count; step *= 2) {
        if (fits_at(sched, flare, sched->ends.list[high].at_ns, false))
            break;
        low = high + 1;
        high = step < sched->ends.count - low ? low + step - 1 : sched->ends.count;
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (fits_at(sched, flare, sched->ends.list[middle].at_ns, false))
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* The next time after which something has ended, gang or promise. */
static int64_t next_end(const struct sched *sched, int64_t after_ns)
{
    int64_t next_ns = COVEY_NEVER_NS;
    size_t first = sched_ends_after(&sched->ends, after_ns);
    if (first < sched->ends.count)
        next_ns = sched->ends.list[first].at_ns;
    covey_list_for_each (link, &sched->cluster.bookings.all) {
        const struct sched_booking *booking = covey_container_of(link, struct sched_booking, link);
        if (booking->walk == sched->cluster.bookings.walk && booking->until_ns > after_ns &&
            booking->until_ns < next_ns)
            next_ns = booking->until_ns;
    }
    return next_ns;
}

/* The last time at which something that is known to end does. */
static int64_t last_end(const struct sched *sched)
{
    int64_t last_ns = sched->ends.count ? sched->ends.list[sched->ends.count - 1].at_ns : 0;
    covey_list_for_each (link, &sched->cluster.bookings.all) {
        const struct sched_booking *booking = covey_container_of(link, struct sched_booking, link);
        if (booking->walk == sched->cluster.bookings.walk && booking->until_ns != COVEY_NEVER_NS &&
            booking->until_ns > last_ns)
            last_ns = booking->until_ns;
    }
    return last_ns;
}

static int64_t earliest(struct sched *sched, const struct sched_flare *flare, int64_t now_ns)
{
    size_t first = first_end(sched, flare);
    if (first == sched->ends.count && !fits_at(sched, flare, last_end(sched), false))
        return COVEY_NEVER_NS;
    int64_t at_ns = first < sched->ends.count ? sched->ends.list[first].at_ns : now_ns;
    if (at_ns <= now_ns) /* it should have ended, and is ending */
        at_ns = now_ns + 1;
    for (int i = 0; i < TRIES && at_ns != COVEY_NEVER_NS; i++) {
        if (fits_at(sched, flare, at_ns, true))
            return at_ns;
        at_ns = next_end(sched, at_ns);
    }
    at_ns = last_end(sched);
    return at_ns > now_ns && fits_at(sched, flare, at_ns, true) ? at_ns : COVEY_NEVER_NS;
}

/* Enters it among what is booked, on these nodes. */
static void book(struct sched_promise *promise, struct sched_cluster *cluster,
                 struct sched_flare *flare)
{
    promise->flare = flare;
    flare->promise = promise;
    covey_list_push_back(&cluster->bookings.all, &promise->booking.link);
    for (uint32_t i = 0; i < promise->count; i++) {
        promise->shares[i].booking = &promise->booking;
        covey_list_push_back(&promise->shares[i].node->bookings, &promise->shares[i].link);
    }
}

static struct sched_promise *create(struct sched *sched, struct sched_flare *flare,
                                    const struct sched_gang *gang)
{
    uint32_t count = gang->placement.node_count;
    struct sched_promise *promise =
        covey_malloc(sizeof(*promise) + count * sizeof(*promise->shares));
    if (!promise)
        return NULL;
    *promise = (struct sched_promise){.booking.worker = flare->shape.worker, .count = count};
    for (uint32_t i = 0; i < count; i++)
        promise->shares[i] =
            (struct sched_booked){.node = gang->shares[i].node, .workers = gang->shares[i].workers};
    book(promise, &sched->cluster, flare);
    return promise;
}

enum covey_status sched_promise_copy(const struct sched_promise *promise, struct sched *to,
                                     struct sched_flare *flare, const uint32_t *node_of)
{
    struct sched_promise *copy =
        covey_malloc(sizeof(*copy) + promise->count * sizeof(*copy->shares));
    if (!copy)
        return COVEY_ENOMEM;
    *copy = *promise;
    for (uint32_t i = 0; i < promise->count; i++) {
        const struct sched_booked *original = &promise->shares[i];
        copy->shares[i] = (struct sched_booked){
            .node = to->cluster.nodes[node_of[original->node->id]], .workers = original->workers};
    }
    book(copy, &to->cluster, flare);
    return COVEY_OK;
}

enum covey_status sched_promise(struct sched *sched, struct sched_flare *flare, int64_t now_ns,
                                uint64_t signature)
{
    struct sched_promise *promise = flare->promise;
    if (promise && promise->freed == sched->cluster.totals.freed &&
        promise->signature == signature && promise->booking.start_ns > now_ns) {
        promise->booking.walk = sched->cluster.bookings.walk;
        return COVEY_OK;
    }
    sched_promise_drop(promise);
    enum covey_status status =
        sched_ends_list(&sched->ends, &sched->holders, sched->cluster.totals.claims);
    if (status)
        return status;
    int64_t start_ns = earliest(sched, flare, now_ns);
    struct sched_view view = view_at(flare, start_ns, start_ns != COVEY_NEVER_NS);
    struct sched_gang *gang;
    status = sched_gang_place(&sched->desk, &flare->shape, &view, &gang);
    if (status || !gang)
        return status;
    promise = create(sched, flare, gang);
    free(gang);
    if (!promise)
        return COVEY_ENOMEM;
    struct sched_booking *booking = &promise->booking;
    booking->start_ns = start_ns;
    booking->until_ns = sched_flare_until(flare, start_ns);
    int64_t age_ns = sched->policy.age_ns;
    booking->holds =
        start_ns == COVEY_NEVER_NS && age_ns > 0 && now_ns - flare->submit_ns >= age_ns;
    booking->walk = sched->cluster.bookings.walk;
    promise->freed = sched->cluster.totals.freed;
    promise->signature = signature;
    return COVEY_OK;
}

/* What a flare may run is what it is expected to. */
static bool is_limit_expected(const struct sched_flare *flare)
{
    return flare->ending ||
           (flare->expected_ns != COVEY_NEVER_NS && flare->expected_ns >= flare->limit_ns);
}

/* Starts lie before ends, so this comes to an end. NOLINTNEXTLINE(misc-no-recursion) */
bool sched_promise_is_expected(const struct sched *sched, const struct sched_promise *promise)
{
    int64_t start_ns = promise->booking.start_ns;
    covey_list_for_each (link, &sched->holders) {
        const struct sched_flare *flare = covey_container_of(link, struct sched_flare, link);
        if (flare->gang->stay.ends_ns == start_ns && !is_limit_expected(flare))
            return false;
    }
    covey_list_for_each (link, &sched->cluster.bookings.all) {
        const struct sched_promise *other = sched_promise_of(link);
        if (other->booking.until_ns == start_ns && other->booking.start_ns < start_ns &&
            (!is_limit_expected(other->flare) || !sched_promise_is_expected(sched, other)))
            return false;
    }
    return true;
}

void sched_promise_drop(struct sched_promise *promise)
{
    if (!promise)
        return;
    for (uint32_t i = 0; i < promise->count; i++)
        covey_list_remove(&promise->shares[i].link);
    covey_list_remove(&promise->booking.link);
    promise->flare->promise = NULL;
    free(promise);
}

void sched_promises_drop(struct sched *sched, bool all)
{
    covey_list_for_each_safe (link, after, &sched->cluster.bookings.all) {
        struct sched_promise *promise = sched_promise_of(link);
        if (all || promise->booking.walk != sched->cluster.bookings.walk)
            sched_promise_drop(promise);
    }
}
