/* Priorities, shares between tenants, quotas, and who gives way to whom. */
#include "base/clock.h"
#include "tests/harness/harness.h"
#include "tests/unit/scheduler/cluster.h"

#include <stdio.h>
#include <string.h>

static struct sched_request request_of(const char *flare, const char *tenant, uint32_t workers)
{
    struct sched_request request = cluster_request(flare, workers);
    request.tenant = tenant;
    request.limit_ns = 100;
    return request;
}

static void submit(struct sched *sched, const char *flare, const char *tenant, uint32_t workers,
                   int32_t priority)
{
    struct sched_request request = request_of(flare, tenant, workers);
    request.priority = priority;
    request.preemptible = priority < 5;
    TEST_EQUAL(sched_submit(sched, &request, NULL), COVEY_OK);
}

static const char *next(struct sched *sched, int64_t now_ns)
{
    const struct sched_placement *placement = NULL;
    TEST_EQUAL(sched_next(sched, now_ns, &placement), COVEY_OK);
    return placement ? placement->flare : "-";
}

static void run(struct sched *sched, const char *flare, int64_t now_ns)
{
    TEST_EQUAL_STRING(next(sched, now_ns), flare);
    TEST_EQUAL(sched_commit(sched, flare), COVEY_OK);
}

static void next__priorities__the_highest_first(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 0});
    submit(sched, "low", "t", 8, -5);
    submit(sched, "high", "t", 8, 5);
    submit(sched, "middle", "t", 8, 0);
    const char *order[] = {"high", "middle", "low"};
    for (int i = 0; i < 3; i++) {
        TEST_EQUAL_STRING(next(sched, i), order[i]);
        TEST_EQUAL_STRING(next(sched, i), "-");
        TEST_EQUAL(sched_release(sched, order[i]), COVEY_OK);
    }
    sched_destroy(sched);
}

/* One tenant has queued much, another comes later: they take turns, by weight. */
static void next__tenants__share_by_weight(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){12, 0});
    struct sched_quota heavy = {.weight = 2};
    TEST_EQUAL(sched_set_tenant(sched, "b", &heavy), COVEY_OK);
    for (int i = 0; i < 12; i++) {
        char id[8];
        (void)snprintf(id, sizeof(id), "a%d", i);
        submit(sched, id, "a", 1, 0);
    }
    for (int i = 0; i < 12; i++) {
        char id[8];
        (void)snprintf(id, sizeof(id), "b%d", i);
        submit(sched, id, "b", 1, 0);
    }
    int count[2] = {0};
    for (const char *id; strcmp(id = next(sched, 0), "-") != 0;)
        count[*id - 'a']++;
    TEST_EQUAL(count[0], 4);
    TEST_EQUAL(count[1], 8);
    sched_destroy(sched);
}

static void next__tenants_by_their_dominant_dimension(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){16, 0}); /* and 64 GiB */
    for (int i = 0; i < 8; i++) {
        char id[8];
        struct sched_request request = request_of(id, "slots", 2);
        (void)snprintf(id, sizeof(id), "s%d", i);
        TEST_EQUAL(sched_submit(sched, &request, NULL), COVEY_OK);
        (void)snprintf(id, sizeof(id), "m%d", i);
        request = request_of(id, "memory", 1);
        request.worker.amount[SCHED_MEMORY_BYTES] = 16 * GIB; /* a quarter of all there is */
        TEST_EQUAL(sched_submit(sched, &request, NULL), COVEY_OK);
    }
    /* Each of slots is an eighth of the slots, each of memory a quarter of the memory. */
    char order[64] = "";
    for (const char *id; strcmp(id = next(sched, 0), "-") != 0;)
        (void)snprintf(order + strlen(order), sizeof(order) - strlen(order), "%s ", id);
    TEST_EQUAL_STRING(order, "s0 m0 s1 m1 s2 s3 m2 s4 s5 m3 ");
    sched_destroy(sched);
}

static void next__over_quota__passed_over_until_it_holds_less(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){16, 0});
    struct sched_quota quota = {.most = {{6}}, .gangs = 2};
    TEST_EQUAL(sched_set_tenant(sched, "t", &quota), COVEY_OK);
    submit(sched, "a", "t", 4, 0);
    submit(sched, "b", "t", 4, 0);
    submit(sched, "c", "other", 4, 0);
    TEST_EQUAL_STRING(next(sched, 0), "a");
    TEST_EQUAL_STRING(next(sched, 0), "c");
    TEST_EQUAL_STRING(next(sched, 0), "-");
    struct sched_reason reason;
    char text[SCHED_TEXT_BYTES];
    TEST_EQUAL(sched_explain(sched, "b", 0, &reason), COVEY_OK);
    TEST_EQUAL(reason.kind, SCHED_REASON_QUOTA);
    TEST_EQUAL(reason.available, 2);
    TEST_EQUAL_STRING(sched_reason_text(&reason, text),
                      "4 workers need 4 slots, the quota of the tenant leaves 2");
    TEST_EQUAL(sched_release(sched, "a"), COVEY_OK);
    TEST_EQUAL_STRING(next(sched, 1), "b");
    sched_destroy(sched);
}

static void next__as_many_gangs_as_the_quota_allows__passed_over(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){16, 0});
    struct sched_quota quota = {.gangs = 1};
    TEST_EQUAL(sched_set_tenant(sched, "t", &quota), COVEY_OK);
    submit(sched, "a", "t", 1, 0);
    submit(sched, "b", "t", 1, 0);
    TEST_EQUAL_STRING(next(sched, 0), "a");
    TEST_EQUAL_STRING(next(sched, 0), "-");
    struct sched_reason reason;
    char text[SCHED_TEXT_BYTES];
    TEST_EQUAL(sched_explain(sched, "b", 0, &reason), COVEY_OK);
    TEST_EQUAL(reason.kind, SCHED_REASON_QUOTA);
    TEST_EQUAL(reason.dimension, SCHED_DIMENSIONS);
    TEST_EQUAL_STRING(sched_reason_text(&reason, text),
                      "the tenant runs as many flares as its quota allows");
    TEST_EQUAL(sched_rollback(sched, "a"), COVEY_OK);
    TEST_EQUAL_STRING(next(sched, 0), "a");
    sched_destroy(sched);
}

static void submit__more_than_the_quota__refused_with_what_fits(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){16, 0});
    struct sched_quota quota = {.most = {{6}}};
    TEST_EQUAL(sched_set_tenant(sched, "t", &quota), COVEY_OK);
    struct sched_request request = request_of("a", "t", 4);
    request.worker.amount[SCHED_SLOTS] = 2;
    struct covey_error error;
    struct sched_plan plan;
    TEST_EQUAL(sched_submit(sched, &request, &error), COVEY_EUNPLACEABLE);
    TEST_EQUAL_STRING(error.message,
                      "4 workers of 2 slots each are more than the quota of tenant t,"
                      " which is 6: at most 3 of them fit in it");
    TEST_EQUAL(sched_plan(sched, &request, 0, &plan, NULL), COVEY_EUNPLACEABLE);
    TEST_EQUAL(sched_resubmit(sched, &request, &error), COVEY_OK);
    char name[SCHED_NAME_BYTES + 1];
    memset(name, 'x', SCHED_NAME_BYTES);
    name[SCHED_NAME_BYTES] = 0;
    TEST_EQUAL(sched_set_tenant(sched, name, &quota), COVEY_EINVAL);
    sched_destroy(sched);
}

/* ---- preemption ---- */

static uint32_t preempt(struct sched *sched, int64_t now_ns, char (*victims)[SCHED_ID_BYTES])
{
    uint32_t count = 9;
    TEST_EQUAL(sched_preempt(sched, now_ns, 5, victims, 4, &count), COVEY_OK);
    return count;
}

static void preempt__needed__lowest_and_youngest_and_no_more(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 4, 4, 0});
    char victims[4][SCHED_ID_BYTES];
    TEST_EQUAL(preempt(sched, 0, victims), 0);
    submit(sched, "kept", "t", 8, 9);
    run(sched, "kept", 0);
    submit(sched, "old", "t", 4, 1);
    run(sched, "old", 1);
    submit(sched, "young", "t", 4, 1);
    run(sched, "young", 2);
    TEST_EQUAL(preempt(sched, 3, victims), 0); /* nobody waits */
    submit(sched, "urgent", "t", 4, 7);
    TEST_EQUAL_STRING(next(sched, 3), "-");
    TEST_EQUAL(preempt(sched, 3, victims), 1);
    TEST_EQUAL_STRING(victims[0], "young");
    TEST_EQUAL(preempt(sched, 4, victims), 0); /* it is on its way */
    struct sched_forecast forecast;
    TEST_EQUAL(sched_forecast(sched, NULL, "urgent", 4, &forecast, NULL), COVEY_OK);
    TEST_EQUAL(forecast.start_ns, 8);
    TEST_EQUAL_STRING(forecast.after, "young");
    sched_forecast_clear(&forecast);
    TEST_EQUAL_STRING(next(sched, 4), "-");
    TEST_EQUAL(sched_release(sched, "young"), COVEY_OK);
    TEST_EQUAL_STRING(next(sched, 5), "urgent");
    sched_destroy(sched);
}

static void preempt__of_several_priorities__the_lowest_whenever_they_came(void)
{
    static const int32_t orders[][4] = {{3, 2, 1, 0}, {0, 1, 2, 3}, {2, 0, 3, 1}, {1, 3, 0, 2}};
    for (size_t i = 0; i < sizeof(orders) / sizeof(*orders); i++) {
        struct sched *sched = cluster_create((const uint32_t[]){8, 0});
        char victims[4][SCHED_ID_BYTES];
        for (int k = 0; k < 4; k++) {
            char id[8];
            (void)snprintf(id, sizeof(id), "p%d", (int)orders[i][k]);
            submit(sched, id, "t", 2, orders[i][k]);
            run(sched, id, 1 + k);
        }
        submit(sched, "urgent", "t", 4, 7);
        TEST_EQUAL_STRING(next(sched, 9), "-");
        TEST_EQUAL(preempt(sched, 9, victims), 2);
        TEST_EQUAL_STRING(victims[0], "p0");
        TEST_EQUAL_STRING(victims[1], "p1");
        sched_destroy(sched);
    }
}

static void preempt__would_not_help__nobody(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 4, 0});
    char victims[4][SCHED_ID_BYTES];
    submit(sched, "kept", "t", 8, 9);
    run(sched, "kept", 0);
    submit(sched, "small", "t", 4, 1);
    run(sched, "small", 1);
    submit(sched, "urgent", "t", 12, 7);
    TEST_EQUAL_STRING(next(sched, 2), "-");
    TEST_EQUAL(preempt(sched, 2, victims), 0);
    TEST_EQUAL_STRING(next(sched, 2), "-");
    sched_destroy(sched);
}

static void preempt__one_that_is_not_needed__is_spared(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){4, 8, 0});
    char victims[4][SCHED_ID_BYTES];
    submit(sched, "eight", "t", 8, 2);
    run(sched, "eight", 0);
    submit(sched, "four", "t", 4, 1);
    run(sched, "four", 1);
    struct sched_request request = request_of("urgent", "t", 8);
    request.priority = 7;
    request.placing = SCHED_PLACING_STRICT_PACK; /* only where eight runs */
    TEST_EQUAL(sched_submit(sched, &request, NULL), COVEY_OK);
    TEST_EQUAL_STRING(next(sched, 2), "-");
    TEST_EQUAL(preempt(sched, 2, victims), 1);
    TEST_EQUAL_STRING(victims[0], "eight");
    sched_destroy(sched);
}

static void preempt__more_than_there_is_room_for__nobody(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 0});
    char victims[8][SCHED_ID_BYTES];
    for (int i = 0; i < 8; i++) {
        char id[8];
        (void)snprintf(id, sizeof(id), "v%d", i);
        submit(sched, id, "t", 1, 0);
        run(sched, id, i);
    }
    submit(sched, "urgent", "t", 8, 7);
    TEST_EQUAL_STRING(next(sched, 9), "-");
    TEST_EQUAL(preempt(sched, 9, victims), 0);
    uint32_t count;
    TEST_EQUAL(sched_preempt(sched, 9, 5, victims, 8, &count), COVEY_OK);
    TEST_EQUAL(count, 8);
    TEST_EQUAL_STRING(victims[0], "v7");
    sched_destroy(sched);
}

/* ---- plan ---- */

static void plan__alternatives__other_words_that_fit(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 8, 0});
    struct sched_request request = request_of("a", "t", 12);
    struct sched_plan plan;
    TEST_EQUAL(sched_plan(sched, &request, 0, &plan, NULL), COVEY_OK);
    TEST_REQUIRE(plan.placement != NULL);
    TEST_EQUAL(plan.placement->cost.nodes, 2);
    TEST_EQUAL(plan.placement->cost.crossing[0], 2UL * 8 * 4);
    bool spread = false;
    for (uint32_t i = 0; i < plan.alternative_count; i++) {
        const struct sched_alternative *other = &plan.alternatives[i];
        TEST_TRUE(other->placing != SCHED_PLACING_PACK || other->packing != SCHED_PACKING_MIXED);
        TEST_TRUE(other->placing != SCHED_PLACING_STRICT_PACK); /* no node has 12 slots */
        if (other->placing != SCHED_PLACING_SPREAD)
            continue;
        spread = true;
        TEST_EQUAL(other->cost.crossing[0], 2UL * 6 * 6);
        TEST_EQUAL(other->packs, 2);
    }
    TEST_TRUE(spread);
    sched_plan_clear(&plan);
    sched_destroy(sched);
}

static void forecast__request__starts_when_what_is_ahead_has_ended(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){0});
    (void)cluster_node(sched, "gone", 1, GIB);
    (void)cluster_node(sched, "n", 8, 64 * GIB);
    TEST_EQUAL(sched_node_remove(sched, 0), COVEY_OK);
    submit(sched, "a", "t", 8, 0);
    run(sched, "a", 10);
    submit(sched, "b", "t", 8, 0);
    struct sched_request request = request_of("c", "t", 8);
    request.submit_ns = 20;
    struct sched_forecast forecast;
    TEST_EQUAL(sched_forecast(sched, &request, NULL, 20, &forecast, NULL), COVEY_OK);
    TEST_EQUAL(forecast.start_ns, 210); /* a ends at 110, b 100 later */
    TEST_EQUAL_STRING(forecast.after, "b");
    TEST_EQUAL_STRING(cluster_text(forecast.placement), "1:8");
    TEST_EQUAL_STRING(forecast.placement->flare, "c");
    sched_forecast_clear(&forecast);
    sched_forecast_clear(&forecast);
    TEST_EQUAL(sched_queue_length(sched), 1);
    request.workers = 9;
    TEST_EQUAL(sched_forecast(sched, &request, NULL, 20, &forecast, NULL), COVEY_EUNPLACEABLE);
    TEST_EQUAL(sched_forecast(sched, NULL, "a", 20, &forecast, NULL), COVEY_ENOTFOUND);
    sched_destroy(sched);
}

/* A gang that fills the node for most of an hour at the worst, and is expected to end soon. */
static void forecast__expected_end__not_the_limit(void)
{
    const int64_t hour_ns = 3600;
    struct sched *sched = cluster_create((const uint32_t[]){8, 0});
    struct sched_request request = request_of("a", "t", 8);
    request.limit_ns = hour_ns;
    request.expected_ns = 5;
    TEST_EQUAL_STRING(cluster_start(sched, &request), "0:8");
    request = request_of("b", "t", 8);
    const struct sched_placement *placement;
    TEST_EQUAL(sched_submit(sched, &request, NULL), COVEY_OK);
    TEST_EQUAL(sched_next(sched, 1, &placement), COVEY_OK);
    struct sched_forecast forecast;
    TEST_EQUAL(sched_forecast(sched, NULL, "b", 1, &forecast, NULL), COVEY_OK);
    TEST_EQUAL(forecast.start_ns, 5);
    TEST_EQUAL(forecast.unknown, SCHED_UNKNOWN_NOTHING);
    sched_forecast_clear(&forecast);
    struct sched_reason reason;
    TEST_EQUAL(sched_explain(sched, "b", 1, &reason), COVEY_OK);
    TEST_EQUAL(reason.promised_ns, hour_ns); /* promises are made of limits */
    TEST_TRUE(!reason.promise_is_expected);
    /* It runs for longer than expected: nobody knows. */
    TEST_EQUAL(sched_forecast(sched, NULL, "b", 6, &forecast, NULL), COVEY_OK);
    TEST_EQUAL(forecast.start_ns, COVEY_NEVER_NS);
    TEST_EQUAL(forecast.unknown, SCHED_UNKNOWN_ENDS);
    sched_destroy(sched);
}

/* A forecast is made in a copy of the cluster, whatever the size of that. */
static void forecast__clusters_of_many_sizes__use_all_nodes(void)
{
    for (uint32_t nodes = 1; nodes <= 40; nodes++) {
        struct sched *sched = cluster_create((const uint32_t[]){0});
        for (uint32_t n = 0; n < nodes; n++) {
            char name[16];
            (void)snprintf(name, sizeof(name), "n%u", n);
            TEST_EQUAL(cluster_node(sched, name, 1, GIB), n);
        }
        submit(sched, "a", "t", nodes, 0);
        run(sched, "a", 10);
        struct sched_request request = request_of("b", "t", nodes);
        struct sched_forecast forecast;
        TEST_EQUAL(sched_forecast(sched, &request, NULL, 20, &forecast, NULL), COVEY_OK);
        TEST_EQUAL(forecast.start_ns, 110);
        TEST_REQUIRE(forecast.placement != NULL);
        TEST_EQUAL(forecast.placement->node_count, nodes);
        sched_forecast_clear(&forecast);
        sched_destroy(sched);
    }
}

static void forecast__unknown__says_why(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 8, 0});
    struct sched_request request = request_of("a", "t", 16);
    request.expected_ns = COVEY_NEVER_NS;
    TEST_EQUAL_STRING(cluster_start(sched, &request), "0:8 1:8");
    request = request_of("b", "t", 16);
    struct sched_forecast forecast;
    TEST_EQUAL(sched_forecast(sched, &request, NULL, 1, &forecast, NULL), COVEY_OK);
    TEST_EQUAL(forecast.start_ns, COVEY_NEVER_NS);
    TEST_EQUAL(forecast.unknown, SCHED_UNKNOWN_ENDS);
    TEST_EQUAL(sched_node_set_state(sched, 1, SCHED_NODE_DOWN), COVEY_OK);
    TEST_EQUAL(sched_forecast(sched, &request, NULL, 1, &forecast, NULL), COVEY_OK);
    TEST_EQUAL(forecast.unknown, SCHED_UNKNOWN_NODES);
    sched_destroy(sched);
}

static const struct test_case cases[] = {
    TEST_CASE(next__priorities__the_highest_first),
    TEST_CASE(next__tenants__share_by_weight),
    TEST_CASE(next__tenants_by_their_dominant_dimension),
    TEST_CASE(next__over_quota__passed_over_until_it_holds_less),
    TEST_CASE(next__as_many_gangs_as_the_quota_allows__passed_over),
    TEST_CASE(submit__more_than_the_quota__refused_with_what_fits),
    TEST_CASE(preempt__needed__lowest_and_youngest_and_no_more),
    TEST_CASE(preempt__of_several_priorities__the_lowest_whenever_they_came),
    TEST_CASE(preempt__would_not_help__nobody),
    TEST_CASE(preempt__one_that_is_not_needed__is_spared),
    TEST_CASE(preempt__more_than_there_is_room_for__nobody),
    TEST_CASE(plan__alternatives__other_words_that_fit),
    TEST_CASE(forecast__request__starts_when_what_is_ahead_has_ended),
    TEST_CASE(forecast__expected_end__not_the_limit),
    TEST_CASE(forecast__clusters_of_many_sizes__use_all_nodes),
    TEST_CASE(forecast__unknown__says_why),
    {0},
};

const struct test_suite test_suites[] = {{"scheduler_tenants", cases, NULL, NULL}, {0}};
