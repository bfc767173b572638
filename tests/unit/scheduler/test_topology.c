/* Placing in a topology of several levels, against the optimum by brute force. */
#include "tests/harness/harness.h"
#include "tests/unit/scheduler/cluster.h"

#include <stdio.h>
#include <string.h>

#define NODES  7
#define LEVELS 2 /* of domains, at most */

struct cluster {
    uint32_t slots[NODES];
    uint32_t domain[LEVELS][NODES]; /* unique over the level */
    bool special[NODES];            /* labelled or tainted, as the round says */
    uint32_t levels;
    uint32_t unit;
    uint32_t limit;
    bool alone;
    uint32_t workers;
    bool allowed[NODES];
};

/* Ordered pairs that cross each level, then nodes used. */
struct vector {
    uint32_t cost[LEVELS + 2];
};

struct search {
    const struct cluster *cluster;
    uint32_t shares[NODES];
    bool possible;
    struct vector best;
    uint32_t busiest; /* the least that the busiest domain of the top level can hold */
};

static uint32_t busiest_of(const struct cluster *cluster, const uint32_t *shares)
{
    uint32_t held[NODES] = {0};
    uint32_t most = 0;
    for (uint32_t n = 0; n < NODES; n++)
        held[cluster->domain[0][n]] += shares[n];
    for (uint32_t n = 0; n < NODES; n++)
        most = held[n] > most ? held[n] : most;
    return most;
}

static struct vector measure(const struct cluster *cluster, const uint32_t *shares)
{
    struct vector vector = {{0}};
    for (uint32_t level = 0; level < cluster->levels; level++) {
        uint32_t held[NODES] = {0};
        for (uint32_t n = 0; n < NODES; n++)
            held[cluster->domain[level][n]] += shares[n];
        vector.cost[level] = cluster->workers * cluster->workers;
        for (uint32_t n = 0; n < NODES; n++)
            vector.cost[level] -= held[n] * held[n];
    }
    vector.cost[cluster->levels] = cluster->workers * cluster->workers;
    for (uint32_t n = 0; n < NODES; n++) {
        vector.cost[cluster->levels] -= shares[n] * shares[n];
        vector.cost[cluster->levels + 1] += shares[n] > 0;
    }
    return vector;
}

static int compare(const struct vector *a, const struct vector *b)
{
    for (uint32_t i = 0; i < LEVELS + 2; i++) {
        if (a->cost[i] != b->cost[i])
            return a->cost[i] < b->cost[i] ? -1 : 1;
    }
    return 0;
}

/* Tries every number of whole units on each node, and the odd unit on each. */
static void descend(struct search *search, uint32_t node, uint32_t left, bool odd)
{
    const struct cluster *cluster = search->cluster;
    uint32_t rest = cluster->workers % cluster->unit;
    if (node == NODES) {
        uint32_t used = 0;
        for (uint32_t n = 0; n < NODES; n++)
            used += search->shares[n] > 0;
        if (left || used > cluster->limit)
            return;
        struct vector vector = measure(cluster, search->shares);
        uint32_t busiest = busiest_of(cluster, search->shares);
        if (!search->possible || compare(&vector, &search->best) < 0)
            search->best = vector;
        if (!search->possible || busiest < search->busiest)
            search->busiest = busiest;
        search->possible = true;
        return;
    }
    uint32_t slots = cluster->allowed[node] ? cluster->slots[node] : 0;
    for (uint32_t units = 0; units * cluster->unit <= slots; units++) {
        for (uint32_t with_odd = 0; with_odd <= odd; with_odd++) {
            uint32_t share = units * cluster->unit + with_odd * rest;
            if (share > slots || share > left || (cluster->alone && units + with_odd > 1))
                continue;
            search->shares[node] = share;
            descend(search, node + 1, left - share, odd && !with_odd);
        }
    }
    search->shares[node] = 0;
}

static void random_cluster(struct cluster *cluster, uint64_t *seed)
{
    *cluster = (struct cluster){.levels = 1 + cluster_random(seed, LEVELS)};
    for (uint32_t n = 0; n < NODES; n++) {
        cluster->slots[n] = 1 + cluster_random(seed, 5);
        cluster->domain[0][n] = cluster_random(seed, 3);
        cluster->domain[1][n] = cluster->domain[0][n] * 2 + cluster_random(seed, 2);
        cluster->special[n] = cluster_random(seed, 4) == 0;
        cluster->allowed[n] = true;
    }
}

static void add_node(struct sched *sched, const struct cluster *cluster, uint32_t n, bool tainted)
{
    char name[8];
    char zone[8];
    char rack[8];
    (void)snprintf(name, sizeof(name), "n%u", n);
    (void)snprintf(zone, sizeof(zone), "z%u", cluster->domain[0][n]);
    (void)snprintf(rack, sizeof(rack), "r%u", cluster->domain[1][n]);
    const struct sched_label labels[] = {{"zone", zone}, {"rack", rack}, {"kind", "special"}};
    const struct sched_label taint = {"dedicated", "others"};
    struct sched_node_facts facts = {
        .name = name,
        .epoch = 1,
        .capacity = {{cluster->slots[n], GIB}},
        .labels = labels,
        .label_count = cluster->special[n] && !tainted ? 3 : 2,
        .taints = &taint,
        .taint_count = cluster->special[n] && tainted,
    };
    uint32_t node;
    TEST_REQUIRE(sched_node_set(sched, &facts, &node, NULL) == COVEY_OK);
    TEST_REQUIRE(node == n);
}

static struct sched *create(const struct cluster *cluster, bool tainted)
{
    static const char *const keys[] = {"zone", "rack"};
    struct sched *sched;
    TEST_REQUIRE(sched_create(&sched) == COVEY_OK);
    for (uint32_t n = 0; n < NODES / 2; n++)
        add_node(sched, cluster, n, tainted);
    TEST_EQUAL(sched_set_topology(sched, keys, cluster->levels), COVEY_OK);
    for (uint32_t n = NODES / 2; n < NODES; n++)
        add_node(sched, cluster, n, tainted);
    return sched;
}

/* What a round looks for; the selector is borrowed from it. */
struct round {
    struct cluster cluster;
    struct sched_request request;
    bool tainted;
    struct sched_term term;
};

static void random_round(struct round *round, uint64_t *seed)
{
    struct cluster *cluster = &round->cluster;
    random_cluster(cluster, seed);
    round->tainted = cluster_random(seed, 2) == 0;
    round->request = cluster_request("f", 1 + cluster_random(seed, 9));
    struct sched_request *request = &round->request;
    if (cluster_random(seed, 2) == 0)
        request->granularity = 1 + cluster_random(seed, 3);
    if (request->granularity && request->workers % request->granularity == 0 &&
        cluster_random(seed, 2))
        request->packing = SCHED_PACKING_HOMOGENEOUS;
    if (cluster_random(seed, 3) == 0)
        request->max_nodes = 1 + cluster_random(seed, 4);
    round->term = (struct sched_term){"kind", SCHED_ABSENT, NULL};
    if (!round->tainted) {
        request->selector = &round->term;
        request->selector_count = 1;
    }
    for (uint32_t n = 0; n < NODES; n++)
        cluster->allowed[n] = !cluster->special[n];
    cluster->workers = request->workers;
    cluster->unit = request->granularity ? request->granularity : 1;
    if (cluster->unit > request->workers)
        cluster->unit = request->workers;
    cluster->limit = request->max_nodes ? request->max_nodes : NODES;
}

struct tally {
    uint32_t placed;
    uint32_t refused;
    uint32_t optimal;
    uint64_t cost; /* of all placements, levels together */
    uint64_t least;
};

static void check_cost(const struct cluster *cluster, const struct sched_placement *placement,
                       const struct vector *got)
{
    TEST_EQUAL(placement->cost.levels, cluster->levels + 2);
    for (uint32_t level = 0; level <= cluster->levels; level++)
        TEST_EQUAL(placement->cost.crossing[level], got->cost[level]);
    TEST_EQUAL(placement->cost.nodes, got->cost[cluster->levels + 1]);
}

/* Plans a round that is possible, and measures what came out. */
static struct vector plan(const struct round *round, struct sched *sched, uint32_t shares[NODES])
{
    const struct cluster *cluster = &round->cluster;
    struct sched_plan planned;
    TEST_REQUIRE(sched_plan(sched, &round->request, 0, &planned, NULL) == COVEY_OK);
    TEST_REQUIRE(planned.placement != NULL);
    memset(shares, 0, NODES * sizeof(*shares));
    for (uint32_t i = 0; i < planned.placement->pack_count; i++)
        shares[planned.placement->packs[i].node] += planned.placement->packs[i].workers;
    for (uint32_t n = 0; n < NODES; n++) {
        TEST_TRUE(shares[n] <= (cluster->allowed[n] ? cluster->slots[n] : 0));
        TEST_TRUE(!cluster->alone || shares[n] <= cluster->unit);
    }
    struct vector got = measure(cluster, shares);
    check_cost(cluster, planned.placement, &got);
    TEST_TRUE(got.cost[cluster->levels + 1] <= cluster->limit);
    sched_plan_clear(&planned);
    return got;
}

/* False where the round is impossible, and is refused for that. */
static bool play(const struct round *round, struct search *search, struct sched *sched)
{
    const struct cluster *cluster = &round->cluster;
    *search = (struct search){.cluster = cluster};
    descend(search, 0, cluster->workers, cluster->workers % cluster->unit != 0);
    if (!search->possible)
        TEST_REQUIRE(sched_submit(sched, &round->request, NULL) == COVEY_EUNPLACEABLE);
    return search->possible;
}

static void play_pack(const struct round *round, struct tally *tally)
{
    struct sched *sched = create(&round->cluster, round->tainted);
    struct search search;
    if (play(round, &search, sched)) {
        uint32_t shares[NODES];
        struct vector got = plan(round, sched, shares);
        TEST_TRUE(compare(&got, &search.best) >= 0);
        tally->placed++;
        tally->optimal += compare(&got, &search.best) == 0;
        for (uint32_t level = 0; level <= round->cluster.levels; level++) {
            tally->cost += got.cost[level];
            tally->least += search.best.cost[level];
        }
    } else {
        tally->refused++;
    }
    sched_destroy(sched);
}

/* Spread: always placed where it can be, and over the topmost domains as evenly as can be where
 * neither a limit nor a smaller last unit is in the way. */
static void play_spread(struct round *round, struct tally *tally, uint64_t *seed)
{
    bool strict = cluster_random(seed, 2) == 0;
    round->request.placing = strict ? SCHED_PLACING_STRICT_SPREAD : SCHED_PLACING_SPREAD;
    round->cluster.alone = strict;
    struct sched *sched = create(&round->cluster, round->tainted);
    struct search search;
    if (play(round, &search, sched)) {
        uint32_t shares[NODES];
        (void)plan(round, sched, shares);
        bool free = !round->request.max_nodes && round->cluster.workers % round->cluster.unit == 0;
        uint32_t busiest = busiest_of(&round->cluster, shares);
        if (free)
            TEST_EQUAL(busiest, search.busiest);
        tally->placed++;
        tally->optimal += busiest == search.busiest;
    } else {
        tally->refused++;
    }
    sched_destroy(sched);
}

static void plan__random_topologies__near_the_optimum(void)
{
    uint64_t seed = 41;
    struct tally tally = {0};
    for (uint32_t i = 0; i < 6000; i++) {
        struct round round;
        random_round(&round, &seed);
        play_pack(&round, &tally);
    }
    printf("placed %u, refused %u, optimal %u, cost %llu of at least %llu: ", tally.placed,
           tally.refused, tally.optimal, (unsigned long long)tally.cost,
           (unsigned long long)tally.least);
    TEST_TRUE(tally.placed > 4000);
    TEST_TRUE(tally.refused > 300);
    TEST_TRUE(tally.optimal * 100 >= tally.placed * 99);
    TEST_TRUE(tally.cost * 100 <= tally.least * 105);
}

static void plan__random_topologies_spread__even_over_domains(void)
{
    uint64_t seed = 43;
    struct tally tally = {0};
    for (uint32_t i = 0; i < 4000; i++) {
        struct round round;
        random_round(&round, &seed);
        play_spread(&round, &tally, &seed);
    }
    printf("placed %u, refused %u, as even as can be %u: ", tally.placed, tally.refused,
           tally.optimal);
    TEST_TRUE(tally.placed > 2000);
    TEST_TRUE(tally.refused > 300);
    TEST_TRUE(tally.optimal * 100 >= tally.placed * 90);
}

/* What 500 rounds decide, in one number. */
static uint64_t digest(uint64_t seed)
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    for (uint32_t i = 0; i < 500; i++) {
        struct round round;
        random_round(&round, &seed);
        round.request.placing = (enum sched_placing)cluster_random(&seed, 4);
        struct sched *sched = create(&round.cluster, round.tainted);
        for (const char *text = cluster_plan(sched, &round.request); *text; text++)
            sum = (sum ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
        sched_destroy(sched);
    }
    return sum;
}

static void plan__same_seed__same_placements(void)
{
    TEST_TRUE(digest(5) == digest(5));
    TEST_TRUE(digest(5) != digest(6));
}

/* ---- by hand ---- */

static uint32_t set_in(struct sched *sched, const char *name, uint64_t slots, const char *zone,
                       const char *rack)
{
    const struct sched_label labels[] = {{"zone", zone}, {"rack", rack}};
    struct sched_node_facts facts = {
        .name = name,
        .epoch = 1,
        .capacity = {{slots, GIB}},
        .labels = labels,
        .label_count = rack ? 2 : 1,
    };
    uint32_t node = 0;
    TEST_REQUIRE(sched_node_set(sched, &facts, &node, NULL) == COVEY_OK);
    return node;
}

/* Nodes 0..7 of 4 slots, in turn in zones a and b, and in each in racks of two. */
static struct sched *two_zones(void)
{
    static const char *const keys[] = {"zone", "rack"};
    struct sched *sched = cluster_create((const uint32_t[]){0});
    TEST_EQUAL(sched_set_topology(sched, keys, 2), COVEY_OK);
    for (uint32_t n = 0; n < 8; n++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "n%u", n);
        TEST_EQUAL(set_in(sched, name, 4, n % 2 ? "b" : "a", n < 4 ? "1" : "2"), n);
    }
    return sched;
}

static void plan__zones__nodes_of_a_domain_are_neighbours(void)
{
    struct sched *sched = two_zones();
    struct sched_request request = cluster_request("f", 8);
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "0:4 2:4");
    request.workers = 9;
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "0:4 2:4 4:1");
    request.workers = 18;
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "0:4 2:4 4:4 6:4 1:2");
    request.placing = SCHED_PLACING_SPREAD;
    request.workers = 4;
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "0:1 4:1 1:1 5:1");
    request.workers = 5;
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "0:1 2:1 4:1 1:1 5:1");
    request.max_nodes = 2;
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "0:3 1:2");
    sched_destroy(sched);
}

/* Small gangs must not break up the places that only a large one can use. */
static void plan__any_rack_would_do__leaves_the_larger_room(void)
{
    static const char *const keys[] = {"rack"};
    struct sched *sched = cluster_create((const uint32_t[]){0});
    TEST_EQUAL(sched_set_topology(sched, keys, 1), COVEY_OK);
    TEST_EQUAL(set_in(sched, "n0", 8, "", "1"), 0);
    TEST_EQUAL(set_in(sched, "n1", 6, "", "2"), 1);
    TEST_EQUAL(set_in(sched, "n2", 7, "", "3"), 2);
    struct sched_request request = cluster_request("f", 5);
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "1:5");
    request.workers = 7;
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "2:7");
    request.workers = 13; /* 8 and 5, which leave 1 and not 2 */
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "0:8 1:5");
    sched_destroy(sched);
}

static void node_set__moved_under_claims__tree_follows_and_claims_stay(void)
{
    static const char *const keys[] = {"rack"};
    struct sched *sched = two_zones();
    struct sched_request request = cluster_request("a", 6);
    TEST_EQUAL_STRING(cluster_start(sched, &request), "0:4 2:2");
    TEST_EQUAL(set_in(sched, "n2", 4, "b", "2"), 2);
    request = cluster_request("b", 10);
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "2:2 5:4 7:4");
    TEST_EQUAL(sched_set_topology(sched, keys, 1), COVEY_OK);
    request.workers = 18; /* rack 2 has n2 with two slots and n4 to n7, rack 1 n1 and n3 */
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "2:2 4:4 5:4 6:4 7:4");
    struct sched_node_info info;
    TEST_EQUAL(sched_node_get(sched, 2, &info), COVEY_OK);
    TEST_EQUAL(info.claimed.amount[SCHED_SLOTS], 2);
    TEST_EQUAL(set_in(sched, "n4", 4, "", NULL), 4); /* with no rack: one of its own */
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "1:4 2:2 5:4 6:4 7:4");
    TEST_EQUAL(sched_release(sched, "a"), COVEY_OK);
    TEST_EQUAL(sched_node_remove(sched, 5), COVEY_OK);
    TEST_EQUAL(sched_set_topology(sched, NULL, 0), COVEY_OK);
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "0:4 1:4 2:4 3:4 4:2");
    sched_destroy(sched);
}

static void set_topology__bad_keys__refused(void)
{
    static const char *const same[] = {"zone", "zone"};
    static const char *const empty[] = {"zone", ""};
    static const char *const many[] = {"a", "b", "c", "d", "e", "f", "g"};
    struct sched *sched = two_zones();
    TEST_EQUAL(sched_set_topology(sched, same, 2), COVEY_EINVAL);
    TEST_EQUAL(sched_set_topology(sched, empty, 2), COVEY_EINVAL);
    TEST_EQUAL(sched_set_topology(sched, many, SCHED_LEVELS_MAX + 1), COVEY_EINVAL);
    struct sched_request request = cluster_request("f", 8);
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "0:4 2:4"); /* as it was */
    TEST_EQUAL(sched_set_topology(sched, many, SCHED_LEVELS_MAX), COVEY_OK);
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "0:4 1:4");
    sched_destroy(sched);
}

static void restore__nodes_in_any_order__cost_by_domain(void)
{
    struct sched *sched = two_zones();
    const struct sched_request request = cluster_request("f", 6);
    const struct sched_pack packs[] = {{0, 0, 0, 2}, {1, 1, 2, 1}, {2, 2, 3, 3}};
    TEST_EQUAL(sched_restore(sched, &request, packs, 3, NULL, 0, NULL), COVEY_OK);
    const struct sched_placement *placement = sched_placement_of(sched, "f");
    TEST_EQUAL(placement->cost.levels, 4);
    TEST_EQUAL(placement->cost.crossing[0], 36 - 25 - 1);
    TEST_EQUAL(placement->cost.crossing[1], 36 - 25 - 1);
    TEST_EQUAL(placement->cost.crossing[2], 36 - 4 - 1 - 9);
    TEST_EQUAL(placement->cost.crossing[3], placement->cost.crossing[2]);
    TEST_EQUAL(placement->cost.nodes, 3);
    sched_destroy(sched);
}

static const struct test_case cases[] = {
    TEST_CASE(plan__random_topologies__near_the_optimum),
    TEST_CASE(plan__random_topologies_spread__even_over_domains),
    TEST_CASE(plan__same_seed__same_placements),
    TEST_CASE(plan__zones__nodes_of_a_domain_are_neighbours),
    TEST_CASE(plan__any_rack_would_do__leaves_the_larger_room),
    TEST_CASE(node_set__moved_under_claims__tree_follows_and_claims_stay),
    TEST_CASE(set_topology__bad_keys__refused),
    TEST_CASE(restore__nodes_in_any_order__cost_by_domain),
    {0},
};

const struct test_suite test_suites[] = {{"scheduler_topology", cases, NULL, NULL}, {0}};
