/* Where gangs go: a table of cases, and the optimum by brute force on small clusters. */
#include "tests/harness/harness.h"
#include "tests/unit/scheduler/cluster.h"

#include <stdio.h>
#include <string.h>

struct placed_case {
    uint32_t slots[8]; /* of the nodes, ended by 0 */
    uint32_t workers;
    enum sched_packing packing;
    uint32_t granularity;
    enum sched_placing placing;
    uint32_t max_packs;
    uint32_t max_nodes;
    const char *expected;
};

#define MIX  SCHED_PACKING_MIXED
#define HET  SCHED_PACKING_HETEROGENEOUS
#define HOM  SCHED_PACKING_HOMOGENEOUS
#define PACK SCHED_PLACING_PACK
#define SPRD SCHED_PLACING_SPREAD
#define ONE  SCHED_PLACING_STRICT_PACK
#define EACH SCHED_PLACING_STRICT_SPREAD

static const struct placed_case placed_cases[] = {
    {{8, 8}, 16, MIX, 0, PACK, 0, 0, "0:8 1:8"},
    {{8, 8}, 16, HET, 0, PACK, 0, 0, "0:8 1:8"},
    {{8, 8}, 16, HOM, 4, PACK, 0, 0, "0:4 0:4 1:4 1:4"},
    {{8, 8}, 8, MIX, 1, PACK, 0, 0, "0:8"},
    {{8, 8}, 9, MIX, 1, PACK, 0, 0, "0:8 1:1"},
    {{4, 8, 2}, 1, MIX, 1, PACK, 0, 0, "2:1"},
    {{4, 8, 2}, 3, MIX, 1, PACK, 0, 0, "0:3"},
    {{4, 8, 2}, 10, MIX, 1, PACK, 0, 0, "1:8 2:2"},
    {{4, 8, 2}, 11, MIX, 1, PACK, 0, 0, "0:3 1:8"},
    {{4, 8, 2}, 14, HET, 1, PACK, 0, 0, "0:4 1:8 2:2"},
    {{8, 8}, 12, HOM, 6, PACK, 0, 0, "0:6 1:6"},
    {{8, 8}, 18, HOM, 6, PACK, 0, 0, "EUNPLACEABLE"},
    {{8, 8}, 16, MIX, 6, PACK, 0, 0, "EUNPLACEABLE"},
    {{8, 8}, 14, MIX, 6, PACK, 0, 0, "0:8 1:6"},
    {{7, 9, 3}, 10, MIX, 4, PACK, 0, 0, "1:8 2:2"},
    {{7, 6}, 10, MIX, 4, PACK, 0, 0, "0:6 1:4"},
    {{8, 8}, 4, MIX, 9, PACK, 0, 0, "0:4"},
    {{8, 8, 8}, 6, MIX, 0, SPRD, 0, 0, "0:2 1:2 2:2"},
    {{8, 8, 8}, 7, MIX, 0, SPRD, 0, 0, "0:3 1:2 2:2"},
    {{8, 1, 8}, 11, MIX, 0, SPRD, 0, 0, "0:5 1:1 2:5"},
    {{8, 8, 8}, 2, MIX, 0, SPRD, 0, 0, "0:1 1:1"},
    {{8, 8, 8}, 8, HOM, 2, SPRD, 0, 0, "0:2 0:2 1:2 2:2"},
    {{8, 8, 8}, 10, MIX, 4, SPRD, 0, 0, "0:4 1:4 2:2"},
    {{8, 4, 8}, 6, HET, 0, SPRD, 0, 2, "0:3 2:3"},
    {{8, 8, 8}, 6, HET, 0, SPRD, 2, 0, "0:3 1:3"},
    {{4, 8}, 4, MIX, 0, ONE, 0, 0, "0:4"},
    {{4, 8}, 5, MIX, 0, ONE, 0, 0, "1:5"},
    {{4, 8}, 9, MIX, 0, ONE, 0, 0, "EUNPLACEABLE"},
    {{4, 8}, 8, HOM, 2, ONE, 0, 0, "1:2 1:2 1:2 1:2"},
    {{8, 8, 8}, 3, MIX, 0, EACH, 0, 0, "0:1 1:1 2:1"},
    {{8, 8, 8}, 12, HOM, 4, EACH, 0, 0, "0:4 1:4 2:4"},
    {{8, 8, 8}, 10, MIX, 4, EACH, 0, 0, "0:4 1:4 2:2"},
    {{8, 2, 8}, 10, MIX, 4, EACH, 0, 0, "0:4 1:2 2:4"},
    {{8, 8, 8}, 4, MIX, 0, EACH, 0, 0, "EUNPLACEABLE"},
    {{8, 8, 8}, 3, MIX, 0, EACH, 0, 2, "EUNPLACEABLE"},
    {{4, 4, 4}, 12, MIX, 0, PACK, 0, 2, "EUNPLACEABLE"},
    {{4, 4, 4}, 12, MIX, 0, PACK, 2, 0, "EUNPLACEABLE"},
    {{4, 4, 4}, 12, HOM, 2, PACK, 5, 0, "EINVAL"},
    {{4, 4, 4}, 12, HOM, 2, PACK, 6, 3, "0:2 0:2 1:2 1:2 2:2 2:2"},
};

static void plan__table__as_documented(void)
{
    for (size_t i = 0; i < sizeof(placed_cases) / sizeof(*placed_cases); i++) {
        const struct placed_case *row = &placed_cases[i];
        struct sched *sched = cluster_create(row->slots);
        struct sched_request request = cluster_request("f", row->workers);
        request.packing = row->packing;
        request.granularity = row->granularity;
        request.placing = row->placing;
        request.max_packs = row->max_packs;
        request.max_nodes = row->max_nodes;
        const char *placed = cluster_plan(sched, &request);
        if (strcmp(placed, row->expected) != 0)
            printf("row %zu: got %s, expected %s\n", i, placed, row->expected);
        TEST_EQUAL_STRING(placed, row->expected);
        TEST_EQUAL_STRING(cluster_start(sched, &request), row->expected);
        sched_destroy(sched);
    }
}

static void plan__memory_is_scarce__memory_decides(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){0});
    (void)cluster_node(sched, "wide", 16, 4 * GIB);
    (void)cluster_node(sched, "deep", 4, 64 * GIB);
    struct sched_request request = cluster_request("f", 5);
    request.worker = (struct sched_vector){{1, 2 * GIB}};
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "0:1 1:4");
    request.worker.amount[SCHED_SLOTS] = 2;
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "EUNPLACEABLE");
    request.workers = 4;
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "0:2 1:2");
    sched_destroy(sched);
}

/* ---- brute force ---- */

#define BRUTE_NODES 5

struct optimum {
    bool possible;
    uint32_t nodes;   /* fewest */
    uint32_t squares; /* of the shares: most, of all ways (workers * workers less it cross) */
    uint32_t busiest; /* for spread: least largest share */
    uint32_t widest;  /* for spread: most nodes */
};

struct search {
    const uint32_t *slots;
    const struct sched_request *request;
    uint32_t unit;
    uint32_t limit;
    bool alone;
    struct optimum best;
};

static void consider(struct search *search, const uint32_t *shares)
{
    uint32_t nodes = 0;
    uint32_t squares = 0;
    uint32_t busiest = 0;
    for (uint32_t i = 0; i < BRUTE_NODES; i++) {
        nodes += shares[i] > 0;
        squares += shares[i] * shares[i];
        busiest = shares[i] > busiest ? shares[i] : busiest;
    }
    if (nodes > search->limit)
        return;
    struct optimum *best = &search->best;
    if (!best->possible)
        *best = (struct optimum){true, nodes, squares, busiest, nodes};
    best->nodes = nodes < best->nodes ? nodes : best->nodes;
    best->squares = squares > best->squares ? squares : best->squares;
    best->busiest = busiest < best->busiest ? busiest : best->busiest;
    best->widest = nodes > best->widest ? nodes : best->widest;
}

/* Tries every number of whole units on each node, and the odd unit on each. */
static void descend(struct search *search, uint32_t *shares, uint32_t node, uint32_t left, bool odd)
{
    uint32_t rest = search->request->workers % search->unit;
    if (node == BRUTE_NODES) {
        if (left == 0)
            consider(search, shares);
        return;
    }
    for (uint32_t units = 0; units * search->unit <= search->slots[node]; units++) {
        for (uint32_t with_odd = 0; with_odd <= odd; with_odd++) {
            uint32_t share = units * search->unit + with_odd * rest;
            if (share > search->slots[node] || share > left ||
                (search->alone && units + with_odd > 1))
                continue;
            shares[node] = share;
            descend(search, shares, node + 1, left - share, odd && !with_odd);
        }
    }
    shares[node] = 0;
}

static struct optimum brute_force(const uint32_t *slots, const struct sched_request *request)
{
    struct search search = {.slots = slots, .request = request};
    search.unit = request->granularity ? request->granularity : 1;
    search.limit = request->max_nodes ? request->max_nodes : BRUTE_NODES;
    if (request->placing == SCHED_PLACING_STRICT_PACK)
        search.limit = 1;
    search.alone = request->placing == SCHED_PLACING_STRICT_SPREAD;
    uint32_t shares[BRUTE_NODES] = {0};
    descend(&search, shares, 0, request->workers, request->workers % search.unit != 0);
    return search.best;
}

static struct optimum measure(const struct sched_placement *placement)
{
    uint32_t shares[BRUTE_NODES] = {0};
    for (uint32_t i = 0; i < placement->pack_count; i++)
        shares[placement->packs[i].node] += placement->packs[i].workers;
    struct search search = {.limit = BRUTE_NODES};
    consider(&search, shares);
    return search.best;
}

static bool optimal(const struct sched_request *request, const struct sched_placement *placement,
                    const struct optimum *best)
{
    struct optimum got = measure(placement);
    if (request->placing == SCHED_PLACING_PACK || request->placing == SCHED_PLACING_STRICT_PACK)
        return got.nodes == best->nodes && got.squares == best->squares;
    return got.widest == best->widest && got.busiest == best->busiest;
}

static struct sched_request random_request(uint64_t *seed)
{
    struct sched_request request = cluster_request("f", 1 + cluster_random(seed, 30));
    request.packing = (enum sched_packing)cluster_random(seed, 3);
    request.placing = (enum sched_placing)cluster_random(seed, 4);
    if (request.packing != SCHED_PACKING_HETEROGENEOUS)
        request.granularity = 1 + cluster_random(seed, 6);
    if (request.packing == SCHED_PACKING_HOMOGENEOUS)
        request.workers = request.granularity * (1 + cluster_random(seed, 8));
    if (cluster_random(seed, 3) == 0)
        request.max_nodes = 1 + cluster_random(seed, BRUTE_NODES);
    return request;
}

static void plan__random_small_clusters__optimal(void)
{
    uint64_t seed = 20;
    uint32_t placed = 0;
    uint32_t refused = 0;
    for (uint32_t round = 0; round < 20000; round++) {
        uint32_t slots[BRUTE_NODES + 1] = {0};
        for (uint32_t i = 0; i < BRUTE_NODES; i++)
            slots[i] = 1 + cluster_random(&seed, 9);
        struct sched_request request = random_request(&seed);
        struct optimum best = brute_force(slots, &request);
        struct sched *sched = cluster_create(slots);
        struct sched_plan plan;
        enum covey_status status = sched_plan(sched, &request, 0, &plan, NULL);
        TEST_EQUAL(status, best.possible ? COVEY_OK : COVEY_EUNPLACEABLE);
        bool good = plan.placement ? best.possible && optimal(&request, plan.placement, &best)
                                   : !best.possible;
        if (!good)
            printf("round %u: %u workers, unit %u, placing %d, limit %u on %u %u %u %u %u: %s\n",
                   round, request.workers, request.granularity, (int)request.placing,
                   request.max_nodes, slots[0], slots[1], slots[2], slots[3], slots[4],
                   cluster_text(plan.placement));
        TEST_REQUIRE(good);
        placed += plan.placement != NULL;
        refused += plan.placement == NULL;
        sched_plan_clear(&plan);
        sched_destroy(sched);
    }
    TEST_TRUE(placed > 5000);
    TEST_TRUE(refused > 2000);
}

static const struct test_case cases[] = {
    TEST_CASE(plan__table__as_documented),
    TEST_CASE(plan__memory_is_scarce__memory_decides),
    TEST_CASE(plan__random_small_clusters__optimal),
    {0},
};

const struct test_suite test_suites[] = {{"scheduler_placement", cases, NULL, NULL}, {0}};
