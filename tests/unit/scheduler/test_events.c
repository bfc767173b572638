/*
 * Random sequences of events, seeded, beside a model that knows only what each flare holds of each
 * node. After every event the claims must be the model's, never more than a node has, and each
 * sched_next must be what the forecast said of the flare just before.
 */
#include "tests/harness/harness.h"
#include "tests/unit/scheduler/cluster.h"

#include <stdio.h>
#include <string.h>

#define NODES  6
#define FLARES 12

enum life { FREE, QUEUED, RESERVED, COMMITTED };

struct model_flare {
    enum life life;
    char id[16];
    struct sched_request request;
    uint64_t sequence;
    uint32_t holds[NODES]; /* workers on each node */
};

struct model {
    struct sched *sched;
    uint64_t seed;
    uint64_t sequence;
    int64_t now_ns;
    uint64_t digest; /* of everything decided */
    uint32_t node_ids[NODES];
    bool present[NODES];
    struct sched_vector claimed[NODES]; /* after the last event */
    struct model_flare flares[FLARES];
    uint32_t placed;
    uint32_t waited;
    uint32_t lost;
};

static uint32_t pick(struct model *model, uint32_t below)
{
    return cluster_random(&model->seed, below);
}

static void note(struct model *model, const char *text)
{
    for (; *text; text++)
        model->digest = (model->digest ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
}

static struct model_flare *pick_flare(struct model *model, enum life life)
{
    uint32_t start = pick(model, FLARES);
    for (uint32_t i = 0; i < FLARES; i++) {
        struct model_flare *flare = &model->flares[(start + i) % FLARES];
        if (flare->life == life)
            return flare;
    }
    return NULL;
}

static uint32_t index_of(const struct model *model, uint32_t node)
{
    for (uint32_t i = 0; i < NODES; i++) {
        if (model->present[i] && model->node_ids[i] == node)
            return i;
    }
    TEST_REQUIRE(false);
    return 0;
}

/* ---- what must hold ---- */

static void check_claims(struct model *model)
{
    for (uint32_t n = 0; n < NODES; n++) {
        if (!model->present[n])
            continue;
        struct sched_vector held = {0};
        uint32_t claims = 0;
        for (uint32_t f = 0; f < FLARES; f++) {
            const struct model_flare *flare = &model->flares[f];
            claims += flare->holds[n] > 0;
            for (int d = 0; d < SCHED_DIMENSIONS; d++)
                held.amount[d] += flare->holds[n] * flare->request.worker.amount[d];
        }
        struct sched_node_info info;
        TEST_REQUIRE(sched_node_get(model->sched, model->node_ids[n], &info) == COVEY_OK);
        TEST_EQUAL(info.claims, claims);
        for (int d = 0; d < SCHED_DIMENSIONS; d++) {
            TEST_REQUIRE(info.claimed.amount[d] == held.amount[d]);
            TEST_TRUE(held.amount[d] <= info.capacity.amount[d] ||
                      held.amount[d] <= model->claimed[n].amount[d]);
        }
        model->claimed[n] = held;
    }
}

/* Records a placement, which must be a whole gang on nodes that are up. */
static void hold(struct model *model, struct model_flare *flare,
                 const struct sched_placement *placement)
{
    uint32_t workers = 0;
    TEST_EQUAL_STRING(placement->flare, flare->id);
    for (uint32_t i = 0; i < placement->pack_count; i++) {
        const struct sched_pack *pack = &placement->packs[i];
        struct sched_node_info info = {0};
        TEST_EQUAL(sched_node_get(model->sched, pack->node, &info), COVEY_OK);
        TEST_EQUAL(info.state, SCHED_NODE_UP);
        flare->holds[index_of(model, pack->node)] += pack->workers;
        workers += pack->workers;
    }
    TEST_EQUAL(workers, flare->request.workers);
}

/* ---- events ---- */

static void set_node(struct model *model)
{
    uint32_t n = pick(model, NODES);
    char name[8];
    (void)snprintf(name, sizeof(name), "n%u", n);
    model->node_ids[n] =
        cluster_node(model->sched, name, 1 + pick(model, 12), (1 + pick(model, 16)) * GIB);
    model->present[n] = true;
}

static void change_state(struct model *model)
{
    uint32_t n = pick(model, NODES);
    enum sched_node_state state = (enum sched_node_state)pick(model, 3);
    if (pick(model, 4))
        state = SCHED_NODE_UP;
    if (model->present[n])
        TEST_EQUAL(sched_node_set_state(model->sched, model->node_ids[n], state), COVEY_OK);
}

static void lose_node(struct model *model)
{
    uint32_t n = pick(model, NODES);
    char id[SCHED_ID_BYTES];
    while (model->present[n] && sched_node_lose(model->sched, model->node_ids[n], id)) {
        struct model_flare *named = NULL;
        for (uint32_t f = 0; f < FLARES; f++) {
            if (strcmp(model->flares[f].id, id) == 0)
                named = &model->flares[f];
        }
        TEST_REQUIRE(named && named->holds[n] > 0);
        named->holds[n] = 0;
        model->lost++;
        check_claims(model);
    }
    for (uint32_t f = 0; f < FLARES; f++)
        TEST_TRUE(!model->present[n] || model->flares[f].holds[n] == 0);
}

static void remove_node(struct model *model)
{
    uint32_t n = pick(model, NODES);
    if (!model->present[n])
        return;
    bool used = false;
    for (uint32_t f = 0; f < FLARES; f++)
        used |= model->flares[f].holds[n] > 0;
    TEST_EQUAL(sched_node_remove(model->sched, model->node_ids[n]),
               used ? COVEY_EPRECONDITION : COVEY_OK);
    model->present[n] = used;
}

static struct sched_request random_request(struct model *model)
{
    struct sched_request request = cluster_request("", 1 + pick(model, 24));
    request.worker = (struct sched_vector){{1 + pick(model, 2), pick(model, 3) * GIB}};
    request.packing = (enum sched_packing)pick(model, 3);
    request.placing = (enum sched_placing)pick(model, 4);
    if (request.packing != SCHED_PACKING_HETEROGENEOUS)
        request.granularity = 1 + pick(model, 4);
    if (request.packing == SCHED_PACKING_HOMOGENEOUS)
        request.workers = request.granularity * (1 + pick(model, 6));
    if (pick(model, 4) == 0)
        request.max_nodes = 1 + pick(model, NODES);
    request.submit_ns = model->now_ns - pick(model, 3);
    request.priority = (int32_t)pick(model, 3);
    request.tenant = pick(model, 2) ? "a" : "b";
    request.limit_ns = pick(model, 4) ? 1 + pick(model, 40) : 0;
    request.preemptible = pick(model, 2);
    return request;
}

static void forget(struct model_flare *flare)
{
    memset(flare->holds, 0, sizeof(flare->holds));
    flare->life = FREE;
    *flare->id = 0;
}

static void submit(struct model *model)
{
    struct model_flare *flare = pick_flare(model, FREE);
    if (!flare)
        return;
    flare->request = random_request(model);
    flare->sequence = model->sequence;
    (void)snprintf(flare->id, sizeof(flare->id), "f%u", (uint32_t)model->sequence);
    flare->request.flare = flare->id;
    struct sched_plan plan;
    struct covey_error planned = {0};
    struct covey_error submitted = {0};
    enum covey_status status = sched_plan(model->sched, &flare->request, 0, &plan, &planned);
    sched_plan_clear(&plan);
    TEST_EQUAL(sched_submit(model->sched, &flare->request, &submitted), status);
    TEST_EQUAL_STRING(submitted.message, planned.message);
    note(model, submitted.message);
    if (status) {
        forget(flare);
        return;
    }
    model->sequence++;
    flare->life = QUEUED;
}

/* What the forecast says of a queued flare: where it goes if it starts now, or "-". */
static void foresee(struct model *model, const struct model_flare *flare, char *text,
                    size_t size_bytes)
{
    struct sched_forecast forecast;
    TEST_EQUAL(sched_forecast(model->sched, NULL, flare->id, model->now_ns, &forecast, NULL),
               COVEY_OK);
    bool now = forecast.placement && forecast.start_ns == model->now_ns;
    (void)snprintf(text, size_bytes, "%s", cluster_text(now ? forecast.placement : NULL));
    sched_forecast_clear(&forecast);
}

static void take_next(struct model *model)
{
    char expected[FLARES][256];
    bool some = false;
    for (uint32_t f = 0; f < FLARES; f++) {
        if (model->flares[f].life != QUEUED)
            continue;
        foresee(model, &model->flares[f], expected[f], sizeof(expected[f]));
        some |= strcmp(expected[f], "-") != 0;
    }
    const struct sched_placement *placement;
    TEST_EQUAL(sched_next(model->sched, model->now_ns, &placement), COVEY_OK);
    note(model, cluster_text(placement));
    TEST_EQUAL(placement != NULL, some);
    if (!placement) {
        model->waited++;
        return;
    }
    struct model_flare *flare = NULL;
    for (uint32_t f = 0; f < FLARES; f++) {
        if (strcmp(model->flares[f].id, placement->flare) != 0)
            continue;
        flare = &model->flares[f];
        TEST_EQUAL_STRING(cluster_text(placement), expected[f]);
    }
    TEST_REQUIRE(flare != NULL);
    hold(model, flare, placement);
    flare->life = RESERVED;
    model->placed++;
}

static void commit(struct model *model)
{
    struct model_flare *flare = pick_flare(model, RESERVED);
    if (!flare)
        return;
    TEST_EQUAL(sched_commit(model->sched, flare->id), COVEY_OK);
    flare->life = COMMITTED;
}

static void roll_back(struct model *model)
{
    struct model_flare *flare = pick_flare(model, RESERVED);
    if (!flare)
        return;
    TEST_EQUAL(sched_rollback(model->sched, flare->id), COVEY_OK);
    memset(flare->holds, 0, sizeof(flare->holds));
    flare->life = QUEUED;
}

static void cancel(struct model *model)
{
    struct model_flare *flare = pick_flare(model, QUEUED);
    if (!flare)
        return;
    TEST_EQUAL(sched_cancel(model->sched, flare->id), COVEY_OK);
    forget(flare);
}

static void release(struct model *model)
{
    struct model_flare *flare = pick_flare(model, pick(model, 3) ? COMMITTED : RESERVED);
    if (!flare)
        return;
    TEST_EQUAL(sched_release(model->sched, flare->id), COVEY_OK);
    forget(flare);
}

static void release_node(struct model *model)
{
    struct model_flare *flare = pick_flare(model, COMMITTED);
    uint32_t n = pick(model, NODES);
    if (!flare || !model->present[n])
        return;
    TEST_EQUAL(sched_release_node(model->sched, flare->id, model->node_ids[n]),
               flare->holds[n] ? COVEY_OK : COVEY_ENOTFOUND);
    flare->holds[n] = 0;
}

/* Forgets a committed flare and restores it from its packs, as a restarted controller does. */
static void restore(struct model *model)
{
    struct model_flare *flare = pick_flare(model, COMMITTED);
    if (!flare)
        return;
    const struct sched_placement *placement = sched_placement_of(model->sched, flare->id);
    TEST_REQUIRE(placement != NULL);
    uint32_t held = 0;
    for (uint32_t n = 0; n < NODES; n++)
        held += flare->holds[n];
    if (held != flare->request.workers)
        return;
    struct sched_pack packs[64];
    uint32_t count = placement->pack_count;
    memcpy(packs, placement->packs, count * sizeof(*packs));
    TEST_EQUAL(sched_release(model->sched, flare->id), COVEY_OK);
    enum covey_status status =
        sched_restore(model->sched, &flare->request, packs, count, NULL, model->now_ns, NULL);
    if (status) { /* a node has shrunk since */
        TEST_EQUAL(status, COVEY_EPRECONDITION);
        forget(flare);
    }
    note(model, covey_status_name(status));
}

typedef void event(struct model *model);

static event *const events[] = {
    submit,  submit,   submit,   submit,       take_next,    take_next,    take_next, take_next,
    commit,  commit,   release,  release,      release,      cancel,       roll_back, release_node,
    restore, set_node, set_node, change_state, change_state, change_state, lose_node, remove_node,
};

static struct model run(uint64_t seed, uint32_t count)
{
    struct model model = {.seed = seed, .digest = UINT64_C(0xcbf29ce484222325)};
    TEST_REQUIRE(sched_create(&model.sched) == COVEY_OK);
    struct sched_policy policy = {.backfill = seed % 4 > 0,
                                  .reservations = 1 + (uint32_t)seed % 3,
                                  .window = 16,
                                  .fair = seed % 2,
                                  .age_ns = seed % 3 ? 60 : 0};
    sched_set_policy(model.sched, &policy);
    for (uint32_t i = 0; i < count; i++) {
        model.now_ns++;
        events[pick(&model, sizeof(events) / sizeof(*events))](&model);
        check_claims(&model);
        uint32_t queued = 0;
        for (uint32_t f = 0; f < FLARES; f++)
            queued += model.flares[f].life == QUEUED;
        TEST_EQUAL(sched_queue_length(model.sched), queued);
    }
    sched_destroy(model.sched);
    return model;
}

static void events__random__claims_conserved_and_plans_kept(void)
{
    struct model sum = {0};
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct model model = run(seed, 500);
        sum.placed += model.placed;
        sum.waited += model.waited;
        sum.lost += model.lost;
    }
    printf("placed %u, waited %u, lost %u: ", sum.placed, sum.waited, sum.lost);
    TEST_TRUE(sum.placed > 2000);
    TEST_TRUE(sum.waited > 1000);
    TEST_TRUE(sum.lost > 300);
}

static void events__same_seed__same_decisions(void)
{
    uint64_t other = 0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct model first = run(seed, 300);
        struct model second = run(seed, 300);
        TEST_TRUE(first.digest == second.digest);
        TEST_TRUE(first.digest != other);
        other = first.digest;
    }
}

static const struct test_case cases[] = {
    TEST_CASE(events__random__claims_conserved_and_plans_kept),
    TEST_CASE(events__same_seed__same_decisions),
    {0},
};

const struct test_suite test_suites[] = {{"scheduler_events", cases, NULL, NULL}, {0}};
