/* Why a request has no place: kinds, counts and sentences. */
#include "tests/harness/harness.h"
#include "tests/unit/scheduler/cluster.h"

#include <stdio.h>
#include <string.h>

/* Plans a request that is refused for ever or does not fit now; the sentence of either. */
static const char *why(struct sched *sched, const struct sched_request *request)
{
    static char text[SCHED_TEXT_BYTES];
    struct sched_plan plan;
    struct covey_error error = {0};
    enum covey_status status = sched_plan(sched, request, 0, &plan, &error);
    if (status) {
        TEST_EQUAL(status, COVEY_EUNPLACEABLE);
        (void)snprintf(text, sizeof(text), "%s", error.message);
        return text;
    }
    TEST_TRUE(!plan.reason.never);
    (void)sched_reason_text(&plan.reason, text);
    sched_plan_clear(&plan);
    return text;
}

static void plan__more_than_the_cluster__names_dimension_and_nearest(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 8, 0});
    struct sched_request request = cluster_request("f", 20);
    TEST_EQUAL_STRING(
        why(sched, &request),
        "20 workers need 20 slots, all known nodes have 16 together: at most 16 workers fit");
    request.workers = 4;
    request.worker.amount[SCHED_MEMORY_BYTES] = 40 * GIB;
    TEST_EQUAL_STRING(why(sched, &request), "4 workers need 160 GiB of memory, all known nodes "
                                            "have 128 GiB together: at most 2 workers fit");
    request.workers = 1;
    request.worker.amount[SCHED_MEMORY_BYTES] = 129 * GIB;
    TEST_EQUAL_STRING(why(sched, &request), "1 worker needs 129 GiB of memory, all known nodes "
                                            "have 128 GiB together: not one worker fits");
    request.workers = SCHED_WORKERS_MAX;
    request.worker.amount[SCHED_MEMORY_BYTES] = UINT64_MAX;
    TEST_EQUAL_STRING(why(sched, &request), "1048576 workers need 16 EiB of memory, all known "
                                            "nodes have 128 GiB together: not one worker fits");
    sched_destroy(sched);
}

static void plan__amounts_close_to_each_other__told_apart(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){0});
    (void)cluster_node(sched, "n", 4, 2 * GIB - 1);
    struct sched_request request = cluster_request("f", 1);
    request.worker.amount[SCHED_MEMORY_BYTES] = 2 * GIB;
    TEST_EQUAL_STRING(why(sched, &request), "1 worker needs 2 GiB of memory, the only known node "
                                            "has 1.9 GiB: not one worker fits");
    (void)cluster_node(sched, "n", 4, 1000);
    request.worker.amount[SCHED_MEMORY_BYTES] = 1025;
    TEST_EQUAL_STRING(why(sched, &request), "1 worker needs 1.1 KiB of memory, the only known "
                                            "node has 1000 bytes: not one worker fits");
    request.worker.amount[SCHED_MEMORY_BYTES] = 2 * GIB - 1;
    TEST_EQUAL_STRING(why(sched, &request), "1 worker needs 2 GiB of memory, the only known node "
                                            "has 1000 bytes: not one worker fits");
    sched_destroy(sched);
}

static void plan__enough_in_pieces__says_fragmented(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){7, 7, 7, 0});
    struct sched_request request = cluster_request("f", 7);
    request.worker.amount[SCHED_SLOTS] = 3;
    TEST_EQUAL_STRING(why(sched, &request),
                      "7 workers need 21 slots, all known nodes have 21 "
                      "together, but in pieces smaller than a worker: at most 6 workers fit");
    request = cluster_request("f", 16);
    request.packing = SCHED_PACKING_HOMOGENEOUS;
    request.granularity = 8;
    TEST_EQUAL_STRING(
        why(sched, &request),
        "16 workers need 16 slots, all known nodes have 21 together, but no node "
        "has room for 8 workers, as many as stay together: the roomiest has room for 7");
    request.granularity = 4;
    TEST_EQUAL_STRING(why(sched, &request),
                      "16 workers need 16 slots, all known nodes have 21 together, but in pieces "
                      "smaller than 4 workers, as many as stay together: at most 12 workers fit");
    sched_destroy(sched);
}

static void plan__node_rules__named(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 8, 2, 0});
    struct sched_request request = cluster_request("f", 4);
    request.placing = SCHED_PLACING_STRICT_SPREAD;
    TEST_EQUAL_STRING(why(sched, &request), "strict spread needs 4 nodes for 4 workers, 3 have "
                                            "room: at most 3 workers fit");
    request.workers = 9;
    request.granularity = 3;
    TEST_EQUAL_STRING(why(sched, &request),
                      "strict spread needs 3 nodes for 9 workers in units of 3, 2 have room: at "
                      "most 8 workers fit");
    request = cluster_request("f", 9);
    request.placing = SCHED_PLACING_STRICT_PACK;
    TEST_EQUAL_STRING(why(sched, &request), "9 workers may use only 1 node: at most 8 workers fit");
    request.placing = SCHED_PLACING_PACK;
    request.workers = 17;
    request.max_nodes = 2;
    TEST_EQUAL_STRING(why(sched, &request),
                      "17 workers may use only 2 nodes: at most 16 workers fit");
    sched_destroy(sched);
}

static void plan__each_dimension__has_its_word(void)
{
    static const struct {
        enum sched_dimension dimension;
        uint64_t each;
        const char *need;
    } rows[] = {
        {SCHED_SLOTS, 2, "1 worker needs 2 slots, "},
        {SCHED_GPUS, 1, "1 worker needs 1 gpu, "},
        {SCHED_GPUS, 3, "1 worker needs 3 gpus, "},
        {SCHED_MILLI_CPUS, 1000, "1 worker needs 1 cpu, "},
        {SCHED_MILLI_CPUS, 1500, "1 worker needs 1.500 cpus, "},
        {SCHED_MEMORY_BYTES, GIB, "1 worker needs 1 GiB of memory, "},
    };
    struct sched *sched = cluster_create((const uint32_t[]){0});
    const struct sched_vector one = {{1}};
    uint32_t node;
    TEST_EQUAL(cluster_set(sched, "n", 1, &one, &node, NULL), COVEY_OK);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct sched_request request = cluster_request("f", 1);
        request.worker = one;
        request.worker.amount[rows[i].dimension] = rows[i].each;
        const char *text = why(sched, &request);
        if (strncmp(text, rows[i].need, strlen(rows[i].need)) != 0)
            fprintf(stderr, "%s\n", text);
        TEST_TRUE(strncmp(text, rows[i].need, strlen(rows[i].need)) == 0);
    }
    sched_destroy(sched);
}

static void plan__busy_cluster__says_what_is_free(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 8, 8, 0});
    struct sched_request request = cluster_request("a", 13);
    TEST_EQUAL_STRING(cluster_start(sched, &request), "0:8 1:5");
    request = cluster_request("b", 16);
    TEST_EQUAL_STRING(why(sched, &request),
                      "16 workers need 16 slots, 11 are free now: at most 11 workers fit");
    request.workers = 11;
    request.placing = SCHED_PLACING_STRICT_PACK;
    request.workers = 8;
    TEST_EQUAL_STRING(why(sched, &request), "");
    struct sched_request fill = cluster_request("c", 7);
    TEST_EQUAL_STRING(cluster_start(sched, &fill), "2:7");
    request.workers = 4;
    TEST_EQUAL_STRING(why(sched, &request),
                      "4 workers may use only 1 node, and none has the room now: at most 3 workers "
                      "fit");
    request.placing = SCHED_PLACING_PACK;
    request.max_nodes = 2;
    request.workers = 4;
    TEST_EQUAL_STRING(why(sched, &request), "");
    request = cluster_request("f", 3);
    request.placing = SCHED_PLACING_STRICT_SPREAD;
    TEST_EQUAL_STRING(why(sched, &request), "strict spread needs 3 nodes for 3 workers, 2 have "
                                            "room now: at most 2 workers fit");
    request.placing = SCHED_PLACING_PACK;
    request.workers = 1;
    request.worker.amount[SCHED_MEMORY_BYTES] = GIB;
    TEST_EQUAL_STRING(why(sched, &request), "");
    sched_destroy(sched);
}

static void plan__node_limit_on_a_busy_cluster__says_how_many(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){4, 4, 4, 0});
    struct sched_request request = cluster_request("a", 6);
    request.placing = SCHED_PLACING_SPREAD;
    TEST_EQUAL_STRING(cluster_start(sched, &request), "0:2 1:2 2:2");
    request = cluster_request("b", 5);
    request.max_nodes = 2;
    TEST_EQUAL_STRING(why(sched, &request),
                      "5 workers may use only 2 nodes, and no 2 have the room "
                      "now: at most 4 workers fit");
    sched_destroy(sched);
}

static void plan__amounts_beyond_64_bits__saturate(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){0});
    (void)cluster_node(sched, "a", 1, UINT64_MAX);
    (void)cluster_node(sched, "b", 1, UINT64_MAX);
    struct sched_request request = cluster_request("f", 3);
    request.worker.amount[SCHED_MEMORY_BYTES] = UINT64_MAX;
    request.worker.amount[SCHED_SLOTS] = UINT64_MAX;
    TEST_EQUAL_STRING(why(sched, &request), "3 workers need 18446744073709551615 slots, all known "
                                            "nodes have 2 together: not one worker "
                                            "fits");
    request.worker.amount[SCHED_SLOTS] = 1;
    request.workers = 2;
    TEST_EQUAL_STRING(why(sched, &request), "");
    sched_destroy(sched);
}

static void plan__nodes_draining_or_down__counted(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 8, 8, 0});
    TEST_EQUAL(sched_node_set_state(sched, 0, SCHED_NODE_DRAINING), COVEY_OK);
    struct sched_request request = cluster_request("f", 20);
    TEST_EQUAL_STRING(
        why(sched, &request),
        "20 workers need 20 slots, the nodes that are up have 16 together: at most 16 "
        "workers fit (left out: 1 draining node); waits for nodes");
    TEST_EQUAL(sched_node_set_state(sched, 1, SCHED_NODE_DOWN), COVEY_OK);
    TEST_EQUAL(sched_node_set_state(sched, 2, SCHED_NODE_DOWN), COVEY_OK);
    TEST_EQUAL_STRING(why(sched, &request),
                      "no node is up (left out: 1 draining node, 2 nodes down); waits for nodes");
    TEST_EQUAL(sched_node_set_state(sched, 0, SCHED_NODE_UP), COVEY_OK);
    TEST_EQUAL_STRING(why(sched, &request),
                      "20 workers need 20 slots, the only node that is up has 8: at most 8 "
                      "workers fit (left out: 2 nodes down); waits for nodes");
    request.workers = 25;
    TEST_EQUAL_STRING(why(sched, &request), "25 workers need 25 slots, all known nodes have 24 "
                                            "together: at most 24 workers fit");
    sched_destroy(sched);
}

static void explain__queued__ranked_counts(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 8, 0});
    struct sched_request request = cluster_request("a", 10);
    TEST_EQUAL_STRING(cluster_start(sched, &request), "0:8 1:2");
    request = cluster_request("b", 16);
    TEST_EQUAL_STRING(cluster_start(sched, &request), "-");
    request = cluster_request("c", 4);
    TEST_EQUAL_STRING(cluster_start(sched, &request), "-");

    char text[SCHED_TEXT_BYTES];
    struct sched_reason reason;
    TEST_EQUAL(sched_explain(sched, "b", 0, &reason), COVEY_OK);
    TEST_EQUAL(reason.kind, SCHED_REASON_CAPACITY);
    TEST_TRUE(!reason.never);
    TEST_EQUAL(reason.dimension, SCHED_SLOTS);
    TEST_EQUAL(reason.asked, 16);
    TEST_EQUAL(reason.available, 6);
    TEST_EQUAL(reason.fitting, 6);
    TEST_EQUAL(reason.largest, 6);
    TEST_EQUAL(reason.nodes_up, 2);
    TEST_EQUAL(reason.nodes_too_small, 1);
    TEST_EQUAL(reason.ahead, 0);

    TEST_EQUAL(sched_explain(sched, "c", 0, &reason), COVEY_OK);
    TEST_EQUAL(reason.kind, SCHED_REASON_PROMISED);
    TEST_EQUAL(reason.fitting, 4);
    TEST_EQUAL_STRING(reason.blocker, "b");
    TEST_EQUAL_STRING(sched_reason_text(&reason, text),
                      "4 workers would fit now, but the room is promised to another flare; 1 "
                      "flare is ahead in the queue");

    request = cluster_request("d", 7);
    TEST_EQUAL_STRING(why(sched, &request), "7 workers need 7 slots, 6 are free now: at most 6 "
                                            "workers fit; 2 flares are ahead in the queue");
    TEST_EQUAL(sched_explain(sched, "a", 0, &reason), COVEY_ENOTFOUND);
    TEST_EQUAL(sched_explain(sched, "d", 0, &reason), COVEY_ENOTFOUND);
    sched_destroy(sched);
}

static const struct test_case cases[] = {
    TEST_CASE(plan__more_than_the_cluster__names_dimension_and_nearest),
    TEST_CASE(plan__amounts_close_to_each_other__told_apart),
    TEST_CASE(plan__enough_in_pieces__says_fragmented),
    TEST_CASE(plan__node_rules__named),
    TEST_CASE(plan__each_dimension__has_its_word),
    TEST_CASE(plan__busy_cluster__says_what_is_free),
    TEST_CASE(plan__node_limit_on_a_busy_cluster__says_how_many),
    TEST_CASE(plan__amounts_beyond_64_bits__saturate),
    TEST_CASE(plan__nodes_draining_or_down__counted),
    TEST_CASE(explain__queued__ranked_counts),
    {0},
};

const struct test_suite test_suites[] = {{"scheduler_reason", cases, NULL, NULL}, {0}};
