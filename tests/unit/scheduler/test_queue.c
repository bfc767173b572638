/* The order of things: first come, first served, and what may pass. */
#include "tests/harness/harness.h"
#include "tests/unit/scheduler/cluster.h"

#include <stdio.h>
#include <string.h>

static void submit_at(struct sched *sched, const char *flare, uint32_t workers, int64_t submit_ns)
{
    struct sched_request request = cluster_request(flare, workers);
    request.submit_ns = submit_ns;
    TEST_EQUAL(sched_submit(sched, &request, NULL), COVEY_OK);
}

/* The flare that starts next, or "-". */
static const char *next(struct sched *sched)
{
    const struct sched_placement *placement = NULL;
    TEST_EQUAL(sched_next(sched, 7, &placement), COVEY_OK);
    return placement ? placement->flare : "-";
}

static void next__empty_queue__nothing(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 0});
    TEST_EQUAL_STRING(next(sched), "-");
    sched_destroy(sched);
    sched_destroy(NULL);
}

static void next__several_fit__in_order_of_submission(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 0});
    submit_at(sched, "b", 1, 20);
    submit_at(sched, "a", 1, 10);
    submit_at(sched, "c", 1, 20);
    submit_at(sched, "e", 1, 40);
    submit_at(sched, "d", 1, 30);
    TEST_EQUAL(sched_queue_length(sched), 5);
    const char *order[] = {"a", "b", "c", "d", "e", "-"};
    for (int i = 0; i < 6; i++)
        TEST_EQUAL_STRING(next(sched), order[i]);
    const struct sched_placement *placement = sched_placement_of(sched, "b");
    TEST_REQUIRE(placement != NULL);
    TEST_EQUAL(placement->submit_ns, 20);
    TEST_EQUAL(placement->placed_ns, 7);
    TEST_EQUAL(placement->node_count, 1);
    TEST_EQUAL(sched_queue_length(sched), 0);
    sched_destroy(sched);
}

static void next__head_waits__holds_back_the_rest(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 8, 0});
    submit_at(sched, "a", 9, 1);
    submit_at(sched, "b", 16, 2);
    submit_at(sched, "c", 1, 3);
    TEST_EQUAL_STRING(next(sched), "a");
    TEST_EQUAL_STRING(next(sched), "-");
    TEST_EQUAL(sched_release(sched, "a"), COVEY_OK);
    TEST_EQUAL_STRING(next(sched), "b");
    TEST_EQUAL_STRING(next(sched), "-");
    TEST_EQUAL(sched_release(sched, "b"), COVEY_OK);
    TEST_EQUAL_STRING(next(sched), "c");
    sched_destroy(sched);
}

static void next__nodes_of_the_head_are_gone__passed_over_until_they_return(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 8, 0});
    submit_at(sched, "big", 16, 1);
    submit_at(sched, "small", 4, 2);
    submit_at(sched, "last", 8, 3);
    TEST_EQUAL(sched_node_set_state(sched, 1, SCHED_NODE_DOWN), COVEY_OK);
    TEST_EQUAL_STRING(next(sched), "small");
    TEST_EQUAL_STRING(next(sched), "-");
    struct sched_reason reason;
    TEST_EQUAL(sched_explain(sched, "big", 0, &reason), COVEY_OK);
    TEST_TRUE(reason.absent && !reason.never && reason.waits);
    TEST_EQUAL(reason.kind, SCHED_REASON_CAPACITY);
    TEST_EQUAL(reason.fitting, 8);
    TEST_EQUAL(reason.nodes_down, 1);
    TEST_EQUAL(sched_explain(sched, "last", 0, &reason), COVEY_OK);
    TEST_EQUAL(reason.ahead, 0);
    TEST_EQUAL(sched_node_set_state(sched, 1, SCHED_NODE_UP), COVEY_OK);
    TEST_EQUAL_STRING(next(sched), "-");
    TEST_EQUAL(sched_explain(sched, "last", 0, &reason), COVEY_OK);
    TEST_EQUAL(reason.ahead, 1);
    TEST_EQUAL(sched_release(sched, "small"), COVEY_OK);
    TEST_EQUAL_STRING(next(sched), "big");
    sched_destroy(sched);
}

static void rollback__reserved__first_again(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 0});
    submit_at(sched, "a", 8, 1);
    submit_at(sched, "b", 8, 1);
    submit_at(sched, "c", 8, 1);
    TEST_EQUAL_STRING(next(sched), "a");
    TEST_EQUAL(sched_rollback(sched, "a"), COVEY_OK);
    TEST_TRUE(sched_placement_of(sched, "a") == NULL);
    TEST_EQUAL(sched_rollback(sched, "a"), COVEY_EPRECONDITION);
    TEST_EQUAL_STRING(next(sched), "a");
    TEST_EQUAL(sched_release(sched, "a"), COVEY_OK);
    TEST_EQUAL_STRING(next(sched), "b");
    TEST_EQUAL(sched_commit(sched, "b"), COVEY_OK);
    TEST_EQUAL(sched_rollback(sched, "b"), COVEY_EPRECONDITION);
    TEST_EQUAL(sched_rollback(sched, "a"), COVEY_ENOTFOUND);
    sched_destroy(sched);
}

static void cancel__queued__the_next_moves_up(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 8, 0});
    submit_at(sched, "a", 9, 1);
    submit_at(sched, "b", 16, 2);
    submit_at(sched, "c", 7, 3);
    TEST_EQUAL_STRING(next(sched), "a");
    TEST_EQUAL(sched_cancel(sched, "a"), COVEY_ENOTFOUND);
    TEST_EQUAL(sched_cancel(sched, "b"), COVEY_OK);
    TEST_EQUAL(sched_cancel(sched, "b"), COVEY_ENOTFOUND);
    TEST_EQUAL_STRING(next(sched), "c");
    sched_destroy(sched);
}

static void submit__known_flare__exists(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 0});
    submit_at(sched, "a", 8, 1);
    struct sched_request request = cluster_request("a", 8);
    struct covey_error error;
    TEST_EQUAL(sched_submit(sched, &request, &error), COVEY_EEXISTS);
    TEST_EQUAL_STRING(error.message, "flare a is known already");
    TEST_EQUAL_STRING(next(sched), "a");
    TEST_EQUAL(sched_submit(sched, &request, NULL), COVEY_EEXISTS);
    TEST_EQUAL(sched_release(sched, "a"), COVEY_OK);
    TEST_EQUAL(sched_submit(sched, &request, NULL), COVEY_OK);
    sched_destroy(sched);
}

static void resubmit__no_node_yet__kept_until_one_comes(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){0});
    struct sched_request request = cluster_request("a", 8);
    struct covey_error error;
    TEST_EQUAL(sched_submit(sched, &request, &error), COVEY_EUNPLACEABLE);
    TEST_EQUAL_STRING(error.message, "no node is known");
    TEST_EQUAL(sched_resubmit(sched, &request, &error), COVEY_OK);
    TEST_EQUAL_STRING(next(sched), "-");
    (void)cluster_node(sched, "n", 8, GIB);
    TEST_EQUAL_STRING(next(sched), "a");
    sched_destroy(sched);
}

/* What nodes that are known could hold is queued, whatever their state. */
static void submit__nodes_are_down__waits_for_their_return(void)
{
    static const enum sched_node_state states[] = {SCHED_NODE_DOWN, SCHED_NODE_DRAINING};
    for (size_t i = 0; i < 2; i++) {
        struct sched *sched = cluster_create((const uint32_t[]){8, 8, 0});
        TEST_EQUAL(sched_node_set_state(sched, 0, SCHED_NODE_DOWN), COVEY_OK);
        TEST_EQUAL(sched_node_set_state(sched, 1, states[i]), COVEY_OK);
        struct sched_request request = cluster_request("a", 16);
        TEST_EQUAL(sched_submit(sched, &request, NULL), COVEY_OK);
        request = cluster_request("b", 17);
        TEST_EQUAL(sched_submit(sched, &request, NULL), COVEY_EUNPLACEABLE);
        TEST_EQUAL(sched_submit(sched, &request, NULL), COVEY_EUNPLACEABLE); /* as is known now */
        TEST_EQUAL_STRING(next(sched), "-");
        TEST_EQUAL(sched_node_set_state(sched, 0, SCHED_NODE_UP), COVEY_OK);
        TEST_EQUAL_STRING(next(sched), "-");
        TEST_EQUAL(sched_node_set_state(sched, 1, SCHED_NODE_UP), COVEY_OK);
        TEST_EQUAL_STRING(next(sched), "a");
        sched_destroy(sched);
    }
}

static void submit__waits_for_nodes__queued_until_they_come(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 0});
    struct sched_request request = cluster_request("wide", 24);
    request.waits = true;
    TEST_EQUAL(sched_submit(sched, &request, NULL), COVEY_OK);
    submit_at(sched, "small", 8, 2);
    struct sched_reason reason;
    char text[SCHED_TEXT_BYTES];
    TEST_EQUAL(sched_explain(sched, "wide", 0, &reason), COVEY_OK);
    TEST_TRUE(reason.never && reason.waits);
    TEST_EQUAL_STRING(sched_reason_text(&reason, text),
                      "24 workers need 24 slots, the only known node has 8: at most 8 workers fit; "
                      "waits for nodes");
    TEST_EQUAL_STRING(next(sched), "small"); /* it is in nobody's way */
    (void)cluster_node(sched, "more", 16, GIB);
    TEST_EQUAL(sched_explain(sched, "wide", 0, &reason), COVEY_OK);
    TEST_TRUE(!reason.absent && !reason.waits);
    TEST_EQUAL(sched_release(sched, "small"), COVEY_OK);
    TEST_EQUAL_STRING(next(sched), "wide");
    sched_destroy(sched);
}

static void plan__does_not_change_anything(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 8, 0});
    struct sched_request request = cluster_request("a", 12);
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "0:8 1:4");
    TEST_EQUAL_STRING(cluster_plan(sched, &request), "0:8 1:4");
    TEST_EQUAL(sched_queue_length(sched), 0);
    struct sched_node_info info;
    TEST_EQUAL(sched_node_get(sched, 0, &info), COVEY_OK);
    TEST_EQUAL(info.claimed.amount[SCHED_SLOTS], 0);
    TEST_EQUAL(info.claims, 0);
    TEST_TRUE(sched_placement_of(sched, "a") == NULL);
    sched_destroy(sched);
}

static void plan__earlier_time__counts_only_those_ahead(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 0});
    submit_at(sched, "a", 8, 10);
    submit_at(sched, "b", 8, 20);
    submit_at(sched, "c", 8, 30);
    struct sched_request request = cluster_request("d", 1);
    request.submit_ns = 20;
    struct sched_plan plan;
    TEST_EQUAL(sched_plan(sched, &request, 0, &plan, NULL), COVEY_OK);
    TEST_EQUAL(plan.reason.ahead, 2);
    TEST_EQUAL(plan.reason.kind, SCHED_REASON_BEHIND);
    TEST_EQUAL_STRING(cluster_text(plan.placement), "0:1");
    TEST_EQUAL_STRING(plan.placement->flare, "d");
    sched_plan_clear(&plan);
    sched_plan_clear(&plan);
    sched_destroy(sched);
}

/* Two gangs that each need every node: neither may hold a part and wait for the other's. */
static void next__two_gangs_of_the_whole_cluster__one_then_the_other(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){0});
    for (int i = 0; i < 100; i++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "n%d", i);
        (void)cluster_node(sched, name, 1, GIB);
    }
    submit_at(sched, "a", 100, 1);
    submit_at(sched, "b", 100, 2);
    TEST_EQUAL_STRING(next(sched), "a");
    TEST_EQUAL_STRING(next(sched), "-");
    for (uint32_t i = 0; i < 99; i++)
        TEST_EQUAL(sched_release_node(sched, "a", i), COVEY_OK);
    TEST_EQUAL_STRING(next(sched), "-");
    TEST_EQUAL(sched_release_node(sched, "a", 99), COVEY_OK);
    TEST_EQUAL_STRING(next(sched), "b");
    sched_destroy(sched);
}

static const struct test_case cases[] = {
    TEST_CASE(next__empty_queue__nothing),
    TEST_CASE(next__several_fit__in_order_of_submission),
    TEST_CASE(next__head_waits__holds_back_the_rest),
    TEST_CASE(next__nodes_of_the_head_are_gone__passed_over_until_they_return),
    TEST_CASE(rollback__reserved__first_again),
    TEST_CASE(cancel__queued__the_next_moves_up),
    TEST_CASE(submit__known_flare__exists),
    TEST_CASE(resubmit__no_node_yet__kept_until_one_comes),
    TEST_CASE(submit__nodes_are_down__waits_for_their_return),
    TEST_CASE(submit__waits_for_nodes__queued_until_they_come),
    TEST_CASE(plan__does_not_change_anything),
    TEST_CASE(plan__earlier_time__counts_only_those_ahead),
    TEST_CASE(next__two_gangs_of_the_whole_cluster__one_then_the_other),
    {0},
};

const struct test_suite test_suites[] = {{"scheduler_queue", cases, NULL, NULL}, {0}};
