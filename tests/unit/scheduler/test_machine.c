/* Nodes of one machine: its memory and cpus are there once, whoever gives them out. */
#include "base/clock.h"
#include "scheduler/scheduler.h"
#include "tests/harness/harness.h"
#include "tests/unit/scheduler/cluster.h"

#include <stdio.h>
#include <string.h>

#define S COVEY_NS_PER_S

static struct sched *sched;

/* Forgets what the case before has left. */
static void fresh(void)
{
    sched_destroy(sched);
    TEST_REQUIRE(sched_create(&sched) == COVEY_OK);
}

static int teardown(void)
{
    sched_destroy(sched);
    return 0;
}

/* A node with so many slots, and memory and cpus [first, first + count) of a machine. */
static uint32_t add(const char *name, const char *machine, uint64_t slots, uint64_t memory_bytes,
                    uint16_t first, uint32_t count)
{
    uint16_t cpus[16];
    uint32_t node = 0;
    for (uint32_t i = 0; i < count; i++)
        cpus[i] = (uint16_t)(first + i);
    struct sched_node_facts facts = {.name = name,
                                     .epoch = 1,
                                     .capacity = {{slots, memory_bytes, UINT64_C(1000) * count}},
                                     .cpus = cpus,
                                     .cpu_count = count,
                                     .machine = machine};
    TEST_REQUIRE(sched_node_set(sched, &facts, &node, NULL) == COVEY_OK);
    return node;
}

static struct sched_request request_of(const char *flare, uint32_t workers, uint64_t memory_bytes,
                                       uint64_t milli)
{
    struct sched_request request = cluster_request(flare, workers);
    request.worker = (struct sched_vector){{1, memory_bytes, milli}};
    return request;
}

static const struct sched_placement *start(const struct sched_request *request, int64_t now_ns)
{
    const struct sched_placement *placement = NULL;
    TEST_REQUIRE(sched_submit(sched, request, NULL) == COVEY_OK);
    TEST_REQUIRE(sched_next(sched, now_ns, &placement) == COVEY_OK);
    return placement;
}

static const char *why(const char *flare)
{
    static char text[SCHED_TEXT_BYTES];
    struct sched_reason reason;
    TEST_REQUIRE(sched_explain(sched, flare, 0, &reason) == COVEY_OK);
    return sched_reason_text(&reason, text);
}

static void next__whole_cpus_on_two_nodes__each_cpu_once(void)
{
    fresh();
    (void)add("n0", "m", 8, GIB, 0, 2);
    (void)add("n1", "m", 8, GIB, 0, 2);
    struct sched_request spread = request_of("A", 2, 0, 1000);
    spread.placing = SCHED_PLACING_STRICT_SPREAD;
    spread.packing = SCHED_PACKING_HOMOGENEOUS;
    spread.granularity = 1;
    const struct sched_placement *placement = start(&spread, 0);
    TEST_REQUIRE(placement != NULL);
    TEST_EQUAL(placement->node_count, 2);
    TEST_EQUAL(placement->cpus[0] + placement->cpus[1], 1);
    TEST_TRUE(placement->cpus[0] != placement->cpus[1]);
    struct sched_request more = request_of("B", 1, 0, 1000);
    TEST_TRUE(start(&more, 0) == NULL);
    TEST_EQUAL_STRING(why("B"), "1 worker needs 1 cpu, 0 are free now: not one worker fits");
    /* Half a cpu is not there either; slots alone are. */
    struct sched_request half = request_of("C", 1, 0, 500);
    TEST_TRUE(start(&half, 0) == NULL);
    struct sched_request slots = request_of("D", 12, 0, 0);
    TEST_TRUE(start(&slots, 0) != NULL);
    TEST_EQUAL(sched_release(sched, "A"), COVEY_OK);
    TEST_REQUIRE(sched_next(sched, 0, &placement) == COVEY_OK && placement);
    TEST_EQUAL_STRING(placement->flare, "B");
}

static void submit__more_than_the_machine_has__is_refused_with_what_there_is(void)
{
    fresh();
    struct covey_error error = {0};
    for (int i = 0; i < 4; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "n%d", i);
        (void)add(name, "m", 8, 4 * GIB, 0, 2);
    }
    struct sched_request cpus = request_of("A", 4, 0, 1000);
    TEST_EQUAL(sched_submit(sched, &cpus, &error), COVEY_EUNPLACEABLE);
    TEST_TRUE(strstr(error.message, "4 workers need 4 cpus, all known nodes have 2 together") !=
              NULL);
    struct sched_request memory = request_of("B", 5, GIB, 0);
    TEST_EQUAL(sched_submit(sched, &memory, &error), COVEY_EUNPLACEABLE);
    TEST_TRUE(strstr(error.message, "have 4 GiB together: at most 4 workers fit") != NULL);
    memory.workers = 4;
    TEST_TRUE(start(&memory, 0) != NULL);
}

static void node_set__memory_of_the_machine__is_more_than_any_node_has(void)
{
    fresh();
    uint32_t node;
    struct sched_node_facts facts = {
        .name = "n0", .capacity = {{8, 2 * GIB}}, .machine = "m", .machine_memory_bytes = 3 * GIB};
    TEST_REQUIRE(sched_node_set(sched, &facts, &node, NULL) == COVEY_OK);
    facts.name = "n1";
    TEST_REQUIRE(sched_node_set(sched, &facts, &node, NULL) == COVEY_OK);
    struct sched_request three = request_of("A", 3, GIB, 0);
    TEST_EQUAL_STRING(cluster_plan(sched, &three), "0:2 1:1");
    three.workers = 4;
    TEST_EQUAL_STRING(cluster_plan(sched, &three), "EUNPLACEABLE");
    facts.machine = "";
    TEST_EQUAL(sched_node_set(sched, &facts, &node, NULL), COVEY_EINVAL);
}

/* A gang larger than what a machine has left takes the rest elsewhere. */
static void plan__machine_beside_others__takes_what_it_has_and_no_more(void)
{
    fresh();
    (void)add("a0", "a", 8, 4 * GIB, 0, 4);
    (void)add("a1", "a", 8, 4 * GIB, 0, 4);
    (void)add("b0", NULL, 8, 4 * GIB, 0, 4);
    struct sched_request request = request_of("A", 8, 0, 1000);
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "0:4 2:4");
    request.workers = 9;
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "EUNPLACEABLE");
    request.workers = 6;
    request.placing = SCHED_PLACING_SPREAD;
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "0:2 1:2 2:2");
    request = request_of("A", 6, 0, 1000);
    request.packing = SCHED_PACKING_HOMOGENEOUS;
    request.granularity = 3;
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "0:3 2:3");
    request.workers = 9;
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "EUNPLACEABLE");
}

static void node_set__another_machine__claims_go_along(void)
{
    fresh();
    uint32_t node = add("n0", "a", 8, 4 * GIB, 0, 4);
    (void)add("n1", "b", 8, 4 * GIB, 0, 4);
    struct sched_request first = request_of("A", 4, GIB, 1000);
    first.selector = NULL;
    const struct sched_placement *placement = start(&first, 0);
    TEST_REQUIRE(placement && placement->node_count == 1);
    TEST_EQUAL(placement->packs[0].node, node);
    struct sched_request second = request_of("B", 1, GIB, 0);
    TEST_EQUAL_STRING(cluster_plan(sched, &second), "1:1");
    /* Both are one machine now, and that is full. */
    (void)add("n0", "b", 8, 4 * GIB, 0, 4);
    TEST_EQUAL_STRING(cluster_plan(sched, &second), "-");
    TEST_EQUAL(sched_release(sched, "A"), COVEY_OK);
    second.workers = 4;
    TEST_EQUAL_STRING(cluster_plan(sched, &second), "0:4");
    second.workers = 5;
    TEST_EQUAL_STRING(cluster_plan(sched, &second), "EUNPLACEABLE");
    /* And two again. */
    (void)add("n0", NULL, 8, 4 * GIB, 0, 4);
    TEST_EQUAL_STRING(cluster_plan(sched, &second), "0:4 1:1");
    TEST_EQUAL(sched_node_remove(sched, node), COVEY_OK);
    second.workers = 4;
    TEST_EQUAL_STRING(cluster_plan(sched, &second), "1:4");
}

static void restore__shares_of_one_machine__fit_together_or_not_at_all(void)
{
    fresh();
    uint32_t n0 = add("n0", "m", 8, 4 * GIB, 0, 4);
    uint32_t n1 = add("n1", "m", 8, 4 * GIB, 0, 4);
    struct sched_request request = request_of("A", 4, 0, 1000);
    const struct sched_pack packs[] = {{0, n0, 0, 2}, {1, n1, 2, 2}};
    const uint16_t twice[] = {0, 1, 1, 2};
    const uint16_t once[] = {0, 1, 2, 3};
    TEST_EQUAL(sched_restore(sched, &request, packs, 2, twice, 0, NULL), COVEY_EPRECONDITION);
    TEST_EQUAL(sched_restore(sched, &request, packs, 2, once, 0, NULL), COVEY_OK);
    TEST_EQUAL(sched_release(sched, "A"), COVEY_OK);
    TEST_EQUAL(sched_restore(sched, &request, packs, 2, NULL, 0, NULL), COVEY_OK);
    const uint16_t *cpus = sched_placement_of(sched, "A")->cpus;
    TEST_EQUAL((1 << cpus[0]) + (1 << cpus[1]) + (1 << cpus[2]) + (1 << cpus[3]), 15);
    TEST_EQUAL(sched_release(sched, "A"), COVEY_OK);
    request.workers = 6;
    const struct sched_pack many[] = {{0, n0, 0, 3}, {1, n1, 3, 3}};
    TEST_EQUAL(sched_restore(sched, &request, many, 2, NULL, 0, NULL), COVEY_EPRECONDITION);
    /* Nothing of it was kept. */
    request.workers = 4;
    TEST_TRUE(start(&request, 0) != NULL);
}

static void promise__on_one_node__keeps_the_machine_for_it(void)
{
    fresh();
    (void)add("n0", "m", 8, 4 * GIB, 0, 4);
    (void)add("n1", "m", 8, 4 * GIB, 0, 4);
    struct sched_request running = request_of("RUNNING", 3, 0, 1000);
    running.limit_ns = 10 * S;
    TEST_REQUIRE(start(&running, 0) != NULL);
    struct sched_request wide = request_of("WIDE", 4, 0, 1000);
    wide.submit_ns = 1;
    wide.limit_ns = 10 * S;
    TEST_TRUE(start(&wide, 0) == NULL);
    struct sched_reason reason;
    TEST_REQUIRE(sched_explain(sched, "WIDE", 0, &reason) == COVEY_OK);
    TEST_EQUAL(reason.promised_ns, 10 * S);
    /* It would be in the way of that, on whichever node. */
    struct sched_request slow = request_of("SLOW", 1, 0, 1000);
    slow.submit_ns = 2;
    slow.limit_ns = 20 * S;
    TEST_TRUE(start(&slow, 0) == NULL);
    TEST_REQUIRE(sched_explain(sched, "SLOW", 0, &reason) == COVEY_OK);
    TEST_EQUAL(reason.kind, SCHED_REASON_PROMISED);
    struct sched_request quick = request_of("QUICK", 1, 0, 1000);
    quick.submit_ns = 3;
    quick.limit_ns = 5 * S;
    const struct sched_placement *placement = start(&quick, 0);
    TEST_TRUE(placement && strcmp(placement->flare, "QUICK") == 0);
    /* The copy in which time passes knows of the machine. */
    struct sched_forecast forecast;
    TEST_REQUIRE(sched_forecast(sched, NULL, "WIDE", 0, &forecast, NULL) == COVEY_OK);
    TEST_EQUAL(forecast.start_ns, 10 * S);
    sched_forecast_clear(&forecast);
}

/* ---- brute force ---- */

enum { NODES = 5, MACHINES = 3 };

struct world {
    uint32_t nodes;
    uint32_t slots[NODES];
    uint32_t memory[NODES]; /* GiB */
    uint32_t machine[NODES];
    uint32_t left[MACHINES]; /* GiB of each machine that are free */
    uint32_t free_slots[NODES];
    uint32_t free_memory[NODES];
};

/* What is asked for: workers of one slot and so many GiB. */
struct wish {
    uint32_t workers, unit, each, most_nodes;
    bool whole, alone;
};

/* Whether the rest can be shared out among the nodes from this one on. */
static bool can_place(const struct world *world, const struct wish *wish, uint32_t node,
                      uint32_t units, uint32_t odd, uint32_t used, const uint32_t left[MACHINES])
{
    if (units == 0 && odd == 0)
        return true;
    if (node == world->nodes)
        return false;
    uint32_t machine = world->machine[node];
    uint32_t fit = world->free_slots[node];
    if (wish->each && world->free_memory[node] / wish->each < fit)
        fit = world->free_memory[node] / wish->each;
    if (wish->each && left[machine] / wish->each < fit)
        fit = left[machine] / wish->each;
    for (uint32_t take = 0; take <= units; take++) {
        for (uint32_t last = 0; last <= (odd ? 1U : 0U); last++) {
            uint32_t workers = take * wish->unit + (last ? odd : 0);
            uint32_t here = used + (workers > 0);
            if (workers > fit || here > wish->most_nodes || (wish->alone && take + last > 1))
                continue;
            uint32_t rest[MACHINES];
            memcpy(rest, left, sizeof(rest));
            rest[machine] -= workers * wish->each;
            if (can_place(world, wish, node + 1, units - take, last ? 0 : odd, here, rest))
                return true;
        }
    }
    return false;
}

static void make_world(struct world *world, uint64_t *seed)
{
    uint32_t machines = 1 + cluster_random(seed, MACHINES);
    *world = (struct world){.nodes = 1 + cluster_random(seed, NODES)};
    for (uint32_t i = 0; i < world->nodes; i++) {
        world->slots[i] = world->free_slots[i] = 1 + cluster_random(seed, 5);
        world->memory[i] = world->free_memory[i] = 1 + cluster_random(seed, 8);
        world->machine[i] = cluster_random(seed, machines);
        if (world->memory[i] > world->left[world->machine[i]])
            world->left[world->machine[i]] = world->memory[i];
    }
    for (uint32_t i = 0; i < world->nodes; i++) {
        char name[16];
        char machine[16];
        (void)snprintf(name, sizeof(name), "n%u", i);
        (void)snprintf(machine, sizeof(machine), "m%u", world->machine[i]);
        (void)add(name, machine, world->slots[i], world->memory[i] * GIB, 0, 0);
    }
}

/* Takes a placement off what is free; false where there was not so much. */
static bool take(struct world *world, const struct sched_placement *placement, uint32_t each)
{
    for (uint32_t i = 0; i < placement->pack_count; i++) {
        uint32_t node = placement->packs[i].node;
        uint32_t workers = placement->packs[i].workers;
        uint32_t memory = workers * each;
        if (world->free_slots[node] < workers || world->free_memory[node] < memory ||
            world->left[world->machine[node]] < memory)
            return false;
        world->free_slots[node] -= workers;
        world->free_memory[node] -= memory;
        world->left[world->machine[node]] -= memory;
    }
    return true;
}

static void make_wish(struct wish *wish, struct sched_request *request, uint64_t *seed)
{
    static const enum sched_placing words[] = {SCHED_PLACING_PACK, SCHED_PLACING_SPREAD,
                                               SCHED_PLACING_STRICT_PACK,
                                               SCHED_PLACING_STRICT_SPREAD};
    wish->each = cluster_random(seed, 3);
    wish->unit = 1 + cluster_random(seed, 3);
    wish->whole = cluster_random(seed, 3) == 0;
    wish->workers = 1 + cluster_random(seed, 12);
    if (wish->whole)
        wish->workers = wish->unit * (1 + cluster_random(seed, 5));
    request->placing = words[cluster_random(seed, 4)];
    request->packing = wish->whole ? SCHED_PACKING_HOMOGENEOUS : SCHED_PACKING_MIXED;
    request->granularity = wish->unit;
    request->max_nodes = cluster_random(seed, 2) ? 0 : 1 + cluster_random(seed, NODES);
    request->workers = wish->workers;
    request->worker = (struct sched_vector){{1, wish->each * GIB}};
    wish->alone = request->placing == SCHED_PLACING_STRICT_SPREAD;
    wish->most_nodes = request->max_nodes ? request->max_nodes : NODES;
    if (request->placing == SCHED_PLACING_STRICT_PACK)
        wish->most_nodes = 1;
}

/* A gang starts exactly where some way of sharing it out exists, one after the other. */
static void next__random_machines__as_by_brute_force(void)
{
    uint64_t seed = 71;
    for (int round = 0; round < 4000; round++) {
        struct world world;
        fresh();
        make_world(&world, &seed);
        for (int i = 0; i < 3; i++) {
            char name[16];
            struct wish wish;
            const struct sched_placement *placement = NULL;
            (void)snprintf(name, sizeof(name), "F%d", i);
            struct sched_request request = cluster_request(name, 1);
            make_wish(&wish, &request, &seed);
            enum covey_status status = sched_submit(sched, &request, NULL);
            if (status == COVEY_OK) {
                TEST_REQUIRE(sched_next(sched, 0, &placement) == COVEY_OK);
            }
            bool possible = can_place(&world, &wish, 0, wish.workers / wish.unit,
                                      wish.workers % wish.unit, 0, world.left);
            TEST_EQUAL(placement != NULL, possible);
            if (placement) {
                TEST_TRUE(take(&world, placement, wish.each));
            } else if (status == COVEY_OK) {
                TEST_EQUAL(sched_cancel(sched, name), COVEY_OK);
            }
        }
    }
}

/* ---- events ---- */

enum { FLARES = 12, CPUS = 8 };

struct held {
    bool runs;
    uint32_t count;
    uint16_t cpus[64];
    uint32_t milli;
};

/* Whole cpus and parts of cpus come and go on nodes whose cpus overlap in every way. */
static void events__random_cpus__none_twice_and_all_come_back(void)
{
    fresh();
    static struct held held[FLARES];
    uint64_t seed = 5;
    memset(held, 0, sizeof(held));
    (void)add("n0", "m", 64, GIB, 0, 4);
    (void)add("n1", "m", 64, GIB, 2, 4);
    (void)add("n2", "m", 64, GIB, 0, 8);
    (void)add("n3", "m", 64, GIB, 6, 2);
    for (int event = 0; event < 20000; event++) {
        char name[16];
        uint32_t i = cluster_random(&seed, FLARES);
        (void)snprintf(name, sizeof(name), "F%u", i);
        if (held[i].runs) {
            TEST_EQUAL(sched_release(sched, name), COVEY_OK);
            held[i] = (struct held){0};
            continue;
        }
        uint32_t each = cluster_random(&seed, 3);
        struct sched_request request =
            request_of(name, 1 + cluster_random(&seed, 4), 0,
                       each ? 1000 * each : 100 * cluster_random(&seed, 10));
        request.placing = cluster_random(&seed, 2) ? SCHED_PLACING_SPREAD : SCHED_PLACING_PACK;
        const struct sched_placement *placement = NULL;
        enum covey_status status = sched_submit(sched, &request, NULL);
        if (status == COVEY_OK)
            TEST_REQUIRE(sched_next(sched, 0, &placement) == COVEY_OK);
        if (status == COVEY_OK && !placement)
            TEST_EQUAL(sched_cancel(sched, name), COVEY_OK);
        if (!placement)
            continue;
        held[i] = (struct held){.runs = true,
                                .count = placement->workers * placement->cpus_each,
                                .milli = request.workers * (uint32_t)request.worker.amount[2]};
        for (uint32_t k = 0; k < held[i].count; k++)
            held[i].cpus[k] = placement->cpus[k];
        uint32_t taken = 0;
        uint64_t milli = 0;
        for (uint32_t k = 0; k < FLARES; k++) {
            milli += held[k].milli;
            for (uint32_t c = 0; c < held[k].count; c++) {
                TEST_TRUE(held[k].cpus[c] < CPUS && !(taken >> held[k].cpus[c] & 1));
                taken |= 1U << held[k].cpus[c];
            }
        }
        TEST_TRUE(milli <= UINT64_C(1000) * CPUS);
    }
    for (uint32_t i = 0; i < FLARES; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "F%u", i);
        if (held[i].runs)
            TEST_EQUAL(sched_release(sched, name), COVEY_OK);
    }
    struct sched_request all = request_of("ALL", CPUS, 0, 1000);
    TEST_TRUE(start(&all, 0) != NULL);
}

static const struct test_case cases[] = {
    TEST_CASE(next__whole_cpus_on_two_nodes__each_cpu_once),
    TEST_CASE(submit__more_than_the_machine_has__is_refused_with_what_there_is),
    TEST_CASE(node_set__memory_of_the_machine__is_more_than_any_node_has),
    TEST_CASE(plan__machine_beside_others__takes_what_it_has_and_no_more),
    TEST_CASE(node_set__another_machine__claims_go_along),
    TEST_CASE(restore__shares_of_one_machine__fit_together_or_not_at_all),
    TEST_CASE(promise__on_one_node__keeps_the_machine_for_it),
    TEST_CASE(next__random_machines__as_by_brute_force),
    TEST_CASE(events__random_cpus__none_twice_and_all_come_back),
    {0},
};

const struct test_suite test_suites[] = {{"machine", cases, NULL, teardown}, {0}};
