/*
 * What will happen: time passes in a copy, in which what runs ends when it is likely to. Promises
 * there are made of limits, as here: what starts in the copy starts as it would then.
 */
#include "scheduler/foresight/clone.h"
#include "scheduler/order/flares.h"
#include "scheduler/order/hold.h"
#include "scheduler/order/numbering.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Gangs placed and moments passed in the copy before it gives up. */
#define STEPS_MAX 256

/* Of those that wait, so many are in the copy: no more can start in as many steps, but for those
 * that start in the place of others. */
#define QUEUE_MAX (2 * STEPS_MAX)

struct sched_outlook {
    struct sched *copy;
    char wanted[SCHED_ID_BYTES];
    int64_t now_ns; /* in the copy */
    uint32_t steps;
    bool done;
    struct sched_forecast forecast;
    uint32_t node_limit;
    uint32_t id_of[]; /* by id in the copy: a node's in the original */
};

static struct sched_flare *of_link(struct covey_list *link)
{
    return covey_container_of(link, struct sched_flare, link);
}

/* When a gang is likely to end; COVEY_NEVER_NS: nobody knows. */
static int64_t likely_end(const struct sched_flare *flare)
{
    if (flare->ending) /* it is being stopped */
        return flare->gang->stay.ends_ns;
    int64_t likely_ns =
        flare->expected_ns == COVEY_NEVER_NS
            ? COVEY_NEVER_NS
            : covey_deadline_ns(flare->gang->placement.placed_ns, flare->expected_ns);
    return likely_ns != COVEY_NEVER_NS && flare->gang->stay.ends_ns < likely_ns
               ? flare->gang->stay.ends_ns
               : likely_ns;
}

/* What has run longer than it was expected to may do so for ever; a limit stays one. */
static void forget_expectations(struct sched *sched, int64_t now_ns)
{
    covey_list_for_each (link, &sched->holders) {
        struct sched_flare *flare = of_link(link);
        int64_t likely_ns = likely_end(flare);
        if (likely_ns <= now_ns && likely_ns < flare->gang->stay.ends_ns)
            flare->expected_ns = COVEY_NEVER_NS;
    }
}

/* When the next gang ends or flare has waited too long. */
static int64_t next_event(const struct sched *sched, int64_t now_ns)
{
    int64_t next_ns = COVEY_NEVER_NS;
    covey_list_for_each (link, &sched->holders) {
        int64_t ends_ns = likely_end(of_link(link));
        if (ends_ns <= now_ns) /* it should have ended, and is ending */
            ends_ns = now_ns + 1;
        if (ends_ns < next_ns)
            next_ns = ends_ns;
    }
    covey_list_for_each (link, &sched->queue) {
        if (sched->policy.age_ns <= 0)
            break;
        int64_t aged_ns = covey_deadline_ns(of_link(link)->submit_ns, sched->policy.age_ns);
        if (aged_ns <= now_ns)
            continue;
        return aged_ns < next_ns ? aged_ns : next_ns;
    }
    return next_ns;
}

/* Releases what ends by now. */
static void end_gangs(struct sched *sched, int64_t now_ns, char after[SCHED_ID_BYTES])
{
    covey_list_for_each_safe (link, following, &sched->holders) {
        struct sched_flare *flare = of_link(link);
        if (likely_end(flare) > now_ns)
            continue;
        memcpy(after, flare->id, SCHED_ID_BYTES);
        sched_flare_destroy(sched, flare);
    }
}

/* Takes the placement of a flare out of the copy. */
static struct sched_placement *take_placement(const struct sched_outlook *outlook,
                                              struct sched_flare *flare)
{
    struct sched_gang *gang = sched_hold_leave(outlook->copy, flare);
    for (uint32_t i = 0; i < gang->placement.pack_count; i++)
        gang->packs[i].node = outlook->id_of[gang->packs[i].node];
    return &gang->placement;
}

/* Why nothing is left to happen. */
static enum sched_unknown why_never(const struct sched *sched)
{
    covey_list_for_each (link, &sched->holders) {
        if (likely_end(of_link(link)) == COVEY_NEVER_NS)
            return SCHED_UNKNOWN_ENDS;
    }
    return SCHED_UNKNOWN_NODES;
}

/* One gang starts in the copy, or time passes there until something ends. */
static enum covey_status step(struct sched_outlook *outlook)
{
    struct sched_forecast *forecast = &outlook->forecast;
    const struct sched_placement *placement;
    enum covey_status status = sched_next(outlook->copy, outlook->now_ns, &placement);
    if (status)
        return status;
    if (!placement) {
        int64_t next_ns = next_event(outlook->copy, outlook->now_ns);
        outlook->done = next_ns == COVEY_NEVER_NS;
        if (outlook->done)
            forecast->unknown = why_never(outlook->copy);
        else
            end_gangs(outlook->copy, next_ns, forecast->after);
        outlook->now_ns = next_ns;
        return COVEY_OK;
    }
    struct sched_flare *flare = sched_flare_of(outlook->copy, placement->flare);
    flare->state = SCHED_FLARE_COMMITTED;
    if (strcmp(flare->id, outlook->wanted) != 0)
        return COVEY_OK;
    forecast->start_ns = outlook->now_ns;
    forecast->placement = take_placement(outlook, flare);
    outlook->done = true;
    return COVEY_OK;
}

enum covey_status sched_outlook_step(struct sched_outlook *outlook, bool *done,
                                     struct covey_error *error)
{
    if (!outlook->done && outlook->steps++ == STEPS_MAX) {
        outlook->forecast.unknown = SCHED_UNKNOWN_FAR;
        outlook->done = true;
    }
    enum covey_status status = outlook->done ? COVEY_OK : step(outlook);
    *done = outlook->done;
    return status ? covey_error_set(error, status, "no memory for a forecast") : COVEY_OK;
}

/* Not even a look is worth it: what is before it could not have started in all steps. */
static bool is_far(struct sched *sched, const struct sched_flare *known, int64_t now_ns)
{
    uint32_t ahead = sched->queued; /* a request is queued behind all */
    if (sched->queued <= QUEUE_MAX)
        return false;
    if (known)
        (void)sched_ahead_of(sched, known, now_ns, &ahead);
    return ahead > QUEUE_MAX;
}

/* Makes the copy, with what is asked about in it. */
static enum covey_status look(struct sched *sched, const struct sched_request *request,
                              const struct sched_flare *known, struct sched_outlook *made,
                              struct covey_error *error)
{
    uint32_t *node_of;
    enum covey_status status =
        sched_clone(sched, made->now_ns, QUEUE_MAX, known, &made->copy, &node_of);
    if (status)
        return covey_error_set(error, status, "no memory for a forecast");
    for (uint32_t id = 0; id < made->node_limit; id++)
        if (sched->cluster.nodes[id])
            made->id_of[node_of[id]] = id;
    free(node_of);
    return request ? sched_submit(made->copy, request, error) : COVEY_OK;
}

enum covey_status sched_outlook_begin(struct sched *sched, const struct sched_request *request,
                                      const char *flare, int64_t now_ns,
                                      struct sched_outlook **outlook, struct covey_error *error)
{
    const struct sched_flare *known = request ? NULL : sched_flare_of(sched, flare);
    *outlook = NULL;
    if (!request && (!known || known->state != SCHED_FLARE_QUEUED))
        return covey_error_set(error, COVEY_ENOTFOUND, "flare %s is not queued", flare);
    struct sched_outlook *made = covey_calloc(
        1, sizeof *made + ((size_t)sched->cluster.node_limit + 1) * sizeof *made->id_of);
    if (!made)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for a forecast");
    made->now_ns = now_ns;
    made->node_limit = sched->cluster.node_limit;
    made->forecast.start_ns = COVEY_NEVER_NS;
    (void)snprintf(made->wanted, sizeof made->wanted, "%s", request ? request->flare : flare);
    enum covey_status status = COVEY_OK;
    if (is_far(sched, known, now_ns)) {
        made->forecast.unknown = SCHED_UNKNOWN_FAR;
        made->done = true;
    } else {
        status = look(sched, request, known, made, error);
    }
    if (status) {
        sched_outlook_end(made, NULL);
        return status;
    }
    if (!made->done &&
        !sched_possible(&made->copy->verdicts, &sched_flare_of(made->copy, made->wanted)->shape)) {
        made->forecast.unknown = SCHED_UNKNOWN_NODES;
        made->done = true;
    } else if (!made->done) {
        forget_expectations(made->copy, now_ns);
    }
    *outlook = made;
    return COVEY_OK;
}

void sched_outlook_end(struct sched_outlook *outlook, struct sched_forecast *forecast)
{
    if (!outlook)
        return;
    if (forecast)
        *forecast = outlook->forecast;
    else
        sched_forecast_clear(&outlook->forecast);
    sched_destroy(outlook->copy);
    free(outlook);
}

enum covey_status sched_forecast(struct sched *sched, const struct sched_request *request,
                                 const char *flare, int64_t now_ns, struct sched_forecast *forecast,
                                 struct covey_error *error)
{
    struct sched_outlook *outlook = NULL;
    bool done = false;
    *forecast = (struct sched_forecast){.start_ns = COVEY_NEVER_NS};
    enum covey_status status = sched_outlook_begin(sched, request, flare, now_ns, &outlook, error);
    while (!status && outlook && !done)
        status = sched_outlook_step(outlook, &done, error);
    sched_outlook_end(outlook, status ? NULL : forecast);
    if (!status && forecast->placement)
        forecast->placement->flare = request ? request->flare : flare;
    return status;
}

void sched_forecast_clear(struct sched_forecast *forecast)
{
    if (forecast->placement)
        free(covey_container_of(forecast->placement, struct sched_gang, placement));
    forecast->placement = NULL;
}
