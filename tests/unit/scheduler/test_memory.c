/* Every allocation of every call fails once: the call says so, and nothing has changed. */
#include "tests/harness/harness.h"
#include "tests/unit/scheduler/cluster.h"

#include "base/memory.h"

#include <stdio.h>
#include <string.h>

typedef enum covey_status step(struct sched *sched, struct covey_error *error);

/* Repeats a step with one allocation more allowed each time, until it succeeds. After each failure
 * unchanged() must hold. Returns how often it failed. */
static int sweep(struct sched *sched, step *run, void (*unchanged)(struct sched *sched))
{
    for (int allowed = 0; allowed < 100; allowed++) {
        struct covey_error error = {0};
        covey_memory_fail_after(allowed);
        enum covey_status status = run(sched, &error);
        covey_memory_fail_after(-1);
        if (status == COVEY_OK)
            return allowed;
        TEST_REQUIRE(status == COVEY_ENOMEM);
        unchanged(sched);
    }
    TEST_REQUIRE(false);
    return 0;
}

static enum covey_status create(struct sched *unused, struct covey_error *error)
{
    (void)unused;
    (void)error;
    struct sched *sched;
    enum covey_status status = sched_create(&sched);
    TEST_EQUAL(status == COVEY_OK, sched != NULL);
    sched_destroy(sched);
    return status;
}

static void nothing(struct sched *sched)
{
    (void)sched;
}

static void create__no_memory__none(void)
{
    TEST_EQUAL(sweep(NULL, create, nothing), 1);
}

/* Enough nodes at once that every array and map has to grow. */
#define GROWN 40

static enum covey_status add_nodes(struct sched *sched, struct covey_error *error)
{
    for (uint32_t i = 0; i < GROWN; i++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "n%u", i);
        uint32_t node = 77;
        const struct sched_vector capacity = {{1, GIB}};
        enum covey_status status = cluster_set(sched, name, 1, &capacity, &node, error);
        if (status) {
            TEST_EQUAL(node, 77);
            TEST_EQUAL(error->status, COVEY_ENOMEM);
            TEST_EQUAL(sched_node_find(sched, name, &node), COVEY_ENOTFOUND);
            TEST_EQUAL(sched_node_limit(sched), i);
            return status;
        }
        TEST_EQUAL(node, i);
    }
    return COVEY_OK;
}

static void node_set__no_memory__not_added(void)
{
    for (int allowed = 0; allowed < 1000; allowed++) {
        struct sched *sched = cluster_create((const uint32_t[]){0});
        struct covey_error error = {0};
        covey_memory_fail_after(allowed);
        enum covey_status status = add_nodes(sched, &error);
        covey_memory_fail_after(-1);
        sched_destroy(sched);
        if (status == COVEY_OK) {
            TEST_TRUE(allowed > 3 * GROWN);
            return;
        }
        TEST_REQUIRE(status == COVEY_ENOMEM);
    }
    TEST_REQUIRE(false);
}

static enum covey_status submit(struct sched *sched, struct covey_error *error)
{
    struct sched_request request = cluster_request("a", 12);
    return sched_submit(sched, &request, error);
}

static void not_queued(struct sched *sched)
{
    TEST_EQUAL(sched_queue_length(sched), 0);
    TEST_EQUAL(sched_cancel(sched, "a"), COVEY_ENOTFOUND);
}

static enum covey_status plan(struct sched *sched, struct covey_error *error)
{
    struct sched_request request = cluster_request("p", 4);
    struct sched_plan planned;
    enum covey_status status = sched_plan(sched, &request, 0, &planned, error);
    TEST_EQUAL(status == COVEY_OK, planned.placement != NULL);
    sched_plan_clear(&planned);
    return status;
}

static enum covey_status next(struct sched *sched, struct covey_error *error)
{
    (void)error;
    const struct sched_placement *placement;
    enum covey_status status = sched_next(sched, 0, &placement);
    TEST_EQUAL(status == COVEY_OK, placement != NULL);
    return status;
}

static void nothing_claimed(struct sched *sched)
{
    for (uint32_t node = 0; node < 2; node++) {
        struct sched_node_info info;
        TEST_EQUAL(sched_node_get(sched, node, &info), COVEY_OK);
        TEST_EQUAL(info.claimed.amount[SCHED_SLOTS], 0);
        TEST_EQUAL(info.claims, 0);
    }
}

static void still_queued(struct sched *sched)
{
    TEST_EQUAL(sched_queue_length(sched), 1);
    nothing_claimed(sched);
}

static enum covey_status restore(struct sched *sched, struct covey_error *error)
{
    struct sched_request request = cluster_request("r", 12);
    const struct sched_pack packs[] = {{0, 0, 0, 8}, {1, 1, 8, 4}};
    return sched_restore(sched, &request, packs, 2, NULL, 0, error);
}

static void calls__no_memory__nothing_changed(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 8, 0});
    TEST_TRUE(sweep(sched, restore, nothing_claimed) >= 3);
    TEST_EQUAL(sched_release(sched, "r"), COVEY_OK);
    TEST_TRUE(sweep(sched, submit, not_queued) >= 2);
    TEST_TRUE(sweep(sched, plan, still_queued) >= 1);
    TEST_TRUE(sweep(sched, next, still_queued) >= 1);
    covey_memory_fail_after(0);
    TEST_EQUAL(sched_rollback(sched, "a"), COVEY_OK);
    covey_memory_fail_after(-1);
    still_queued(sched);
    TEST_TRUE(sweep(sched, next, still_queued) >= 1);
    covey_memory_fail_after(0);
    TEST_EQUAL(sched_release(sched, "a"), COVEY_OK);
    covey_memory_fail_after(-1);
    nothing_claimed(sched);
    sched_destroy(sched);
}

/* What waits is promised a time, or the caller is told that there was no memory to find one. */
static enum covey_status next_waits(struct sched *sched, struct covey_error *error)
{
    (void)error;
    const struct sched_placement *placement;
    struct sched_reason reason;
    enum covey_status status = sched_next(sched, 1, &placement);
    TEST_TRUE(placement == NULL);
    if (!status)
        status = sched_explain(sched, "waits", 1, &reason);
    if (!status)
        TEST_EQUAL(reason.promised_ns, 100);
    return status;
}

static void one_waits(struct sched *sched)
{
    TEST_EQUAL(sched_queue_length(sched), 1);
}

static void next__no_memory_for_a_promise__says_so(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 0});
    struct sched_request request = cluster_request("runs", 8);
    request.limit_ns = 100;
    TEST_EQUAL_STRING(cluster_start(sched, &request), "0:8");
    request.flare = "waits";
    TEST_EQUAL(sched_submit(sched, &request, NULL), COVEY_OK);
    TEST_TRUE(sweep(sched, next_waits, one_waits) >= 2);
    sched_destroy(sched);
}

/* ---- labels, selectors, cpus ---- */

static const struct sched_label labels[] = {{"zone", "a"}, {"rack", "1"}};
static const uint16_t cpus[] = {0, 1, 2, 3};

static enum covey_status set_labelled(struct sched *sched, struct covey_error *error)
{
    struct sched_node_facts facts = {
        .name = "n0",
        .epoch = 2,
        .capacity = {{8, GIB, 4000}},
        .labels = labels,
        .label_count = 2,
        .taints = labels,
        .taint_count = 1,
        .cpus = cpus,
        .cpu_count = 4,
        .machine = "m",
    };
    uint32_t node = 0;
    return sched_node_set(sched, &facts, &node, error);
}

static void first_epoch(struct sched *sched)
{
    struct sched_node_info info;
    TEST_EQUAL(sched_node_get(sched, 0, &info), COVEY_OK);
    TEST_EQUAL(info.epoch, 1);
    TEST_EQUAL(info.capacity.amount[SCHED_MILLI_CPUS], 0);
    TEST_EQUAL(info.machine.amount[SCHED_MILLI_CPUS], 0);
}

static enum covey_status set_topology(struct sched *sched, struct covey_error *error)
{
    static const char *const keys[] = {"zone", "rack"};
    (void)error;
    return sched_set_topology(sched, keys, 2);
}

static struct sched_request picky(const char *flare)
{
    static const struct sched_term selector[] = {{"rack", SCHED_EQUAL, "1"},
                                                 {"disk", SCHED_ABSENT, NULL}};
    struct sched_request request = cluster_request(flare, 3);
    request.worker.amount[SCHED_MILLI_CPUS] = 1000;
    request.selector = selector;
    request.selector_count = 2;
    request.tolerations = labels;
    request.toleration_count = 2;
    return request;
}

static enum covey_status submit_picky(struct sched *sched, struct covey_error *error)
{
    struct sched_request request = picky("a");
    return sched_submit(sched, &request, error);
}

static enum covey_status plan_picky(struct sched *sched, struct covey_error *error)
{
    struct sched_request request = picky("p");
    struct sched_plan planned;
    enum covey_status status = sched_plan(sched, &request, 0, &planned, error);
    sched_plan_clear(&planned);
    return status;
}

static enum covey_status restore_picky(struct sched *sched, struct covey_error *error)
{
    struct sched_request request = picky("r");
    const struct sched_pack pack = {0, 0, 0, 3};
    return sched_restore(sched, &request, &pack, 1, cpus, 0, error);
}

static enum covey_status name_resource(struct sched *sched, struct covey_error *error)
{
    (void)error;
    enum sched_dimension dimension;
    return sched_resource(sched, "fpga", &dimension);
}

static void unnamed(struct sched *sched)
{
    TEST_EQUAL_STRING(sched_dimension_name(sched, SCHED_NAMED), "");
}

static void calls__no_memory_for_names__nothing_changed(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 8, 0});
    TEST_TRUE(sweep(sched, set_labelled, first_epoch) >= 8);
    TEST_TRUE(sweep(sched, set_topology, nothing) >= 2);
    TEST_TRUE(sweep(sched, name_resource, unnamed) >= 2);
    TEST_TRUE(sweep(sched, submit_picky, not_queued) >= 3);
    TEST_EQUAL(sched_cancel(sched, "a"), COVEY_OK);
    TEST_TRUE(sweep(sched, plan_picky, nothing_claimed) >= 2);
    TEST_TRUE(sweep(sched, restore_picky, nothing_claimed) >= 4);
    TEST_EQUAL(sched_release(sched, "r"), COVEY_OK);
    sched_destroy(sched);
}

static const struct test_case cases[] = {
    TEST_CASE(create__no_memory__none),
    TEST_CASE(node_set__no_memory__not_added),
    TEST_CASE(calls__no_memory__nothing_changed),
    TEST_CASE(next__no_memory_for_a_promise__says_so),
    TEST_CASE(calls__no_memory_for_names__nothing_changed),
    {0},
};

const struct test_suite test_suites[] = {{"scheduler_memory", cases, NULL, NULL}, {0}};
