/* Cpus: which are given out, that none is given twice, and that all come back. */
#include "tests/harness/harness.h"
#include "tests/unit/scheduler/cluster.h"

#include <stdio.h>
#include <string.h>

#define NODES  3
#define CPUS   8 /* of a node, in two NUMA nodes: even ids in the first, odd ones in the second */
#define FLARES 10

static uint32_t add(struct sched *sched, const char *name, uint32_t cpu_count)
{
    uint16_t cpus[CPUS];
    uint8_t numa[CPUS];
    for (uint16_t i = 0; i < CPUS; i++) {
        cpus[i] = i;
        numa[i] = i % 2;
    }
    struct sched_node_facts facts = {
        .name = name,
        .epoch = 1,
        .capacity = {{16, GIB, UINT64_C(1000) * CPUS}},
        .cpus = cpus,
        .numa_of_cpu = numa,
        .cpu_count = cpu_count,
    };
    uint32_t node = 77;
    TEST_REQUIRE(sched_node_set(sched, &facts, &node, NULL) == COVEY_OK);
    return node;
}

static struct sched *create(uint32_t nodes)
{
    struct sched *sched = cluster_create((const uint32_t[]){0});
    for (uint32_t n = 0; n < nodes; n++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "n%u", n);
        TEST_EQUAL(add(sched, name, CPUS), n);
    }
    return sched;
}

static struct sched_request wanting(const char *flare, uint32_t workers, uint64_t milli_cpus)
{
    struct sched_request request = cluster_request(flare, workers);
    request.worker.amount[SCHED_MILLI_CPUS] = milli_cpus;
    return request;
}

/* Starts a flare; its cpus as text, those of a worker joined by +. */
static const char *start(struct sched *sched, const char *flare, uint32_t workers,
                         uint64_t milli_cpus)
{
    static char text[512];
    struct sched_request request = wanting(flare, workers, milli_cpus);
    TEST_REQUIRE(strcmp(cluster_start(sched, &request), "-") != 0);
    const struct sched_placement *placement = sched_placement_of(sched, flare);
    TEST_REQUIRE(placement != NULL);
    if (!placement->cpus)
        return "-";
    size_t length = 0;
    for (uint32_t i = 0; i < workers * placement->cpus_each; i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%d",
                                   i == 0                          ? ""
                                   : i % placement->cpus_each == 0 ? " "
                                                                   : "+",
                                   (int)(int16_t)placement->cpus[i]);
    return text;
}

static uint64_t numa_crossing(struct sched *sched, const char *flare)
{
    const struct sched_cost *cost = &sched_placement_of(sched, flare)->cost;
    return cost->crossing[cost->levels - 1];
}

static void next__whole_cpus__within_numa_nodes(void)
{
    struct sched *sched = create(1);
    TEST_EQUAL_STRING(start(sched, "a", 3, 1000), "0 2 4");
    TEST_EQUAL(numa_crossing(sched, "a"), 0);
    TEST_EQUAL_STRING(start(sched, "b", 1, 1000), "6"); /* the tightest */
    TEST_EQUAL(sched_release(sched, "a"), COVEY_OK);
    TEST_EQUAL_STRING(start(sched, "c", 5, 1000), "0 1 3 5 7"); /* the roomiest is filled */
    TEST_EQUAL(numa_crossing(sched, "c"), 25 - 16 - 1);
    TEST_EQUAL_STRING(start(sched, "d", 2, 500), "-");
    struct sched_request request = wanting("e", 2, 1000);
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "-");
    request.workers = 1;
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "0:1");
    sched_destroy(sched);
}

static void next__worker_wider_than_a_numa_node__spans_them(void)
{
    struct sched *sched = create(1);
    TEST_EQUAL_STRING(start(sched, "a", 2, 3000), "0+2+4 1+3+5");
    TEST_EQUAL_STRING(start(sched, "b", 1, 2000), "6+7");
    TEST_EQUAL(sched_release(sched, "a"), COVEY_OK);
    TEST_EQUAL(sched_release(sched, "b"), COVEY_OK);
    TEST_EQUAL_STRING(start(sched, "c", 1, 5000), "0+2+4+6+1");
    sched_destroy(sched);
}

static void next__nodes_without_ids__have_none(void)
{
    struct sched *sched = create(1);
    TEST_EQUAL(add(sched, "plain", 0), 1);
    TEST_EQUAL_STRING(start(sched, "a", 10, 1000), "0 2 4 6 1 3 5 7 -1 -1");
    TEST_EQUAL_STRING(start(sched, "b", 2, 1000), "-");
    TEST_EQUAL(sched_release(sched, "a"), COVEY_OK);
    sched_destroy(sched);
}

static enum covey_status restore(struct sched *sched, const char *flare, const uint16_t *cpus)
{
    const struct sched_request request = wanting(flare, 2, 1000);
    const struct sched_pack pack = {0, 0, 0, 2};
    return sched_restore(sched, &request, &pack, 1, cpus, 0, NULL);
}

static void restore__given_cpus__those_or_none(void)
{
    struct sched *sched = create(1);
    TEST_EQUAL(restore(sched, "a", (const uint16_t[]){5, 2}), COVEY_OK);
    TEST_EQUAL(sched_placement_of(sched, "a")->cpus[0], 5);
    TEST_EQUAL(numa_crossing(sched, "a"), 2);
    TEST_EQUAL(restore(sched, "b", (const uint16_t[]){1, 5}), COVEY_EPRECONDITION);
    TEST_EQUAL(restore(sched, "b", (const uint16_t[]){1, 1}), COVEY_EPRECONDITION);
    TEST_EQUAL(restore(sched, "b", (const uint16_t[]){1, CPUS}), COVEY_EPRECONDITION);
    TEST_EQUAL(restore(sched, "b", (const uint16_t[]){1, SCHED_CPU_NONE}), COVEY_EPRECONDITION);
    TEST_EQUAL(restore(sched, "b", NULL), COVEY_OK);
    TEST_EQUAL_STRING(start(sched, "c", 4, 1000), "6 1 3 7");
    TEST_EQUAL(sched_release(sched, "a"), COVEY_OK);
    TEST_EQUAL_STRING(start(sched, "d", 2, 1000), "2 5");
    sched_destroy(sched);
}

static void restore__on_a_node_without_ids__says_none_there(void)
{
    struct sched *sched = create(1);
    TEST_EQUAL(add(sched, "plain", 0), 1);
    const struct sched_request request = wanting("a", 3, 1000);
    const struct sched_pack packs[] = {{0, 0, 0, 1}, {1, 1, 1, 2}};
    static const struct {
        uint16_t cpus[3];
        enum covey_status status;
    } rows[] = {
        {{3, 4, SCHED_CPU_NONE}, COVEY_EPRECONDITION},
        {{SCHED_CPU_NONE, SCHED_CPU_NONE, SCHED_CPU_NONE}, COVEY_EPRECONDITION},
        {{3, SCHED_CPU_NONE, SCHED_CPU_NONE}, COVEY_OK},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        TEST_EQUAL(sched_restore(sched, &request, packs, 2, rows[i].cpus, 0, NULL), rows[i].status);
    TEST_EQUAL(restore(sched, "b", (const uint16_t[]){3, 4}), COVEY_EPRECONDITION); /* is taken */
    sched_destroy(sched);
}

static void node_set__other_cpus__claims_keep_theirs(void)
{
    struct sched *sched = create(1);
    TEST_EQUAL_STRING(start(sched, "a", 2, 1000), "0 2");
    const uint16_t cpus[] = {2, 3, 4, 5};
    struct sched_node_facts facts = {
        .name = "n0", .epoch = 2, .capacity = {{16, GIB, 4000}}, .cpus = cpus, .cpu_count = 4};
    uint32_t node;
    TEST_EQUAL(sched_node_set(sched, &facts, &node, NULL), COVEY_OK);
    TEST_EQUAL_STRING(start(sched, "b", 2, 1000), "3 4");
    TEST_EQUAL(sched_release(sched, "a"), COVEY_OK);
    TEST_EQUAL_STRING(start(sched, "c", 2, 1000), "2 5");
    sched_destroy(sched);
}

/* ---- conservation ---- */

struct holder {
    char id[16];
    bool reserved;
    bool live;
    bool freed[NODES];
};

struct model {
    struct sched *sched;
    uint64_t seed;
    struct holder holders[FLARES];
    uint32_t started;
    uint32_t next_id;
};

/* No cpu is with two workers, and none with a worker of another node. */
static void check(struct model *model)
{
    bool taken[NODES][CPUS] = {{false}};
    for (uint32_t f = 0; f < FLARES; f++) {
        const struct holder *holder = &model->holders[f];
        if (!holder->live)
            continue;
        const struct sched_placement *placement = sched_placement_of(model->sched, holder->id);
        TEST_REQUIRE(placement && placement->cpus);
        for (uint32_t p = 0; p < placement->pack_count; p++) {
            const struct sched_pack *pack = &placement->packs[p];
            const uint16_t *cpus =
                placement->cpus + (size_t)pack->first_rank * placement->cpus_each;
            for (uint32_t i = 0; i < pack->workers * placement->cpus_each; i++) {
                TEST_REQUIRE(cpus[i] < CPUS);
                TEST_REQUIRE(holder->freed[pack->node] || !taken[pack->node][cpus[i]]);
                taken[pack->node][cpus[i]] |= !holder->freed[pack->node];
            }
        }
    }
}

static void begin(struct model *model, struct holder *holder)
{
    *holder = (struct holder){0};
    (void)snprintf(holder->id, sizeof(holder->id), "f%u", model->next_id++);
    struct sched_request request = wanting(holder->id, 1 + cluster_random(&model->seed, 6),
                                           UINT64_C(1000) * (1 + cluster_random(&model->seed, 3)));
    enum covey_status status = sched_submit(model->sched, &request, NULL);
    if (status == COVEY_EUNPLACEABLE) /* too many nodes are down */
        return;
    const struct sched_placement *placement;
    TEST_EQUAL(sched_next(model->sched, 0, &placement), COVEY_OK);
    if (!placement) {
        TEST_EQUAL(sched_cancel(model->sched, holder->id), COVEY_OK);
        return;
    }
    holder->live = true;
    holder->reserved = true;
    model->started++;
}

static void lose(struct model *model, uint32_t node)
{
    char id[SCHED_ID_BYTES];
    while (sched_node_lose(model->sched, node, id)) {
        for (uint32_t f = 0; f < FLARES; f++) {
            if (strcmp(model->holders[f].id, id) == 0)
                model->holders[f].freed[node] = true;
        }
    }
    TEST_EQUAL(sched_node_set_state(model->sched, node, SCHED_NODE_UP), COVEY_OK);
}

static void act(struct model *model)
{
    struct holder *holder = &model->holders[cluster_random(&model->seed, FLARES)];
    uint32_t node = cluster_random(&model->seed, NODES);
    if (!holder->live) {
        begin(model, holder);
        return;
    }
    switch (cluster_random(&model->seed, 6)) {
    case 0:
        if (sched_release_node(model->sched, holder->id, node) == COVEY_OK)
            holder->freed[node] = true;
        break;
    case 1:
        lose(model, node);
        break;
    case 2:
        if (!holder->reserved)
            break;
        TEST_EQUAL(sched_rollback(model->sched, holder->id), COVEY_OK);
        TEST_EQUAL(sched_cancel(model->sched, holder->id), COVEY_OK);
        holder->live = false;
        break;
    case 3:
        TEST_EQUAL(sched_commit(model->sched, holder->id),
                   holder->reserved ? COVEY_OK : COVEY_EPRECONDITION);
        holder->reserved = false;
        break;
    default:
        TEST_EQUAL(sched_release(model->sched, holder->id), COVEY_OK);
        holder->live = false;
    }
}

static void events__random__no_cpu_twice_and_all_come_back(void)
{
    struct model model = {.seed = 7};
    model.sched = create(NODES);
    for (uint32_t i = 0; i < 20000; i++) {
        act(&model);
        check(&model);
    }
    TEST_TRUE(model.started > 3000);
    for (uint32_t f = 0; f < FLARES; f++) {
        if (model.holders[f].live)
            TEST_EQUAL(sched_release(model.sched, model.holders[f].id), COVEY_OK);
    }
    TEST_EQUAL_STRING(start(model.sched, "all", NODES * CPUS, 1000),
                      "0 2 4 6 1 3 5 7 0 2 4 6 1 3 5 7 0 2 4 6 1 3 5 7");
    sched_destroy(model.sched);
}

static const struct test_case cases[] = {
    TEST_CASE(next__whole_cpus__within_numa_nodes),
    TEST_CASE(next__worker_wider_than_a_numa_node__spans_them),
    TEST_CASE(next__nodes_without_ids__have_none),
    TEST_CASE(restore__given_cpus__those_or_none),
    TEST_CASE(restore__on_a_node_without_ids__says_none_there),
    TEST_CASE(node_set__other_cpus__claims_keep_theirs),
    TEST_CASE(events__random__no_cpu_twice_and_all_come_back),
    {0},
};

const struct test_suite test_suites[] = {{"scheduler_cores", cases, NULL, NULL}, {0}};
