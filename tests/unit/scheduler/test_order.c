/* Where flares are in the order, and what is told of long queues. */
#include "base/clock.h"
#include "tests/harness/harness.h"
#include "tests/unit/scheduler/cluster.h"

#include <stdio.h>
#include <string.h>

static struct sched *sched;

static void submit(const char *flare, const char *tenant, int32_t priority, int64_t submit_ns)
{
    struct sched_request request = cluster_request(flare, 8);
    request.tenant = tenant;
    request.limit_ns = 100;
    request.priority = priority;
    request.submit_ns = submit_ns;
    TEST_EQUAL(sched_submit(sched, &request, NULL), COVEY_OK);
}

static void start(const char *flare)
{
    const struct sched_placement *placement;
    TEST_EQUAL(sched_next(sched, 0, &placement), COVEY_OK);
    TEST_REQUIRE(placement != NULL);
    TEST_EQUAL_STRING(placement->flare, flare);
    TEST_EQUAL(sched_commit(sched, flare), COVEY_OK);
}

static struct sched_reason explain(const char *flare, int64_t now_ns)
{
    struct sched_reason reason;
    TEST_REQUIRE(sched_explain(sched, flare, now_ns, &reason) == COVEY_OK);
    return reason;
}

/* A cluster of one node that is full, and so many that wait, t0 to t(n-1), of different tenants. */
static void fill(uint32_t tenants, uint32_t flares)
{
    sched = cluster_create((const uint32_t[]){8, 0});
    submit("running", "r", 0, 0);
    start("running");
    for (uint32_t i = 0; i < flares; i++) {
        char flare[16];
        char tenant[16];
        (void)snprintf(flare, sizeof flare, "t%u", i);
        (void)snprintf(tenant, sizeof tenant, "%u", i % tenants);
        submit(flare, tenant, 0, i + 1);
    }
}

static void explain__after_every_change__knows_the_place(void)
{
    fill(1, 4);
    TEST_EQUAL(explain("t3", 10).ahead, 3);
    TEST_EQUAL_STRING(explain("t3", 10).blocker, "t0");
    TEST_EQUAL(explain("t0", 10).ahead, 0);
    TEST_EQUAL(sched_cancel(sched, "t0"), COVEY_OK);
    TEST_EQUAL(explain("t3", 10).ahead, 2);
    TEST_EQUAL_STRING(explain("t3", 10).blocker, "t1");
    submit("high", "0", 5, 9);
    TEST_EQUAL(explain("t3", 10).ahead, 3);
    TEST_EQUAL_STRING(explain("t3", 10).blocker, "high");
    /* Time alone changes it: who has waited too long goes first. */
    struct sched_policy policy = SCHED_POLICY_DEFAULT;
    policy.age_ns = 50;
    sched_set_policy(sched, &policy);
    TEST_EQUAL(explain("t1", 50).ahead, 1);
    TEST_EQUAL(explain("t1", 52).ahead, 0);
    TEST_EQUAL(explain("high", 52).ahead, 1);
    TEST_EQUAL(explain("high", 53).ahead, 2);
    TEST_EQUAL(sched_release(sched, "running"), COVEY_OK);
    const struct sched_placement *placement;
    TEST_EQUAL(sched_next(sched, 52, &placement), COVEY_OK);
    TEST_EQUAL_STRING(placement->flare, "t1");
    TEST_EQUAL(explain("t3", 52).ahead, 2);
    sched_destroy(sched);
}

static void explain__behind_more_than_is_looked_at__says_at_least(void)
{
    fill(300, 600);
    struct sched_reason reason = explain("t0", 700);
    TEST_EQUAL(reason.ahead, 0);
    TEST_TRUE(!reason.ahead_at_least);
    reason = explain("t599", 700);
    TEST_TRUE(reason.ahead_at_least);
    TEST_TRUE(reason.ahead > 50 && reason.ahead < 599);
    char text[SCHED_TEXT_BYTES];
    TEST_TRUE(strstr(sched_reason_text(&reason, text), "at least ") != NULL);
    sched_destroy(sched);
}

static void forecast__in_a_long_queue__only_of_the_first(void)
{
    struct sched_forecast forecast;
    fill(1, 700);
    TEST_EQUAL(sched_forecast(sched, NULL, "t3", 800, &forecast, NULL), COVEY_OK);
    TEST_EQUAL(forecast.start_ns, 801 + 3 * 100);
    TEST_REQUIRE(forecast.placement != NULL);
    TEST_EQUAL(forecast.placement->packs[0].node, 0);
    sched_forecast_clear(&forecast);
    TEST_EQUAL(sched_forecast(sched, NULL, "t699", 800, &forecast, NULL), COVEY_OK);
    TEST_EQUAL(forecast.unknown, SCHED_UNKNOWN_FAR);
    struct sched_request request = cluster_request("new", 8);
    TEST_EQUAL(sched_forecast(sched, &request, NULL, 800, &forecast, NULL), COVEY_OK);
    TEST_EQUAL(forecast.unknown, SCHED_UNKNOWN_FAR);
    TEST_TRUE(sched_placement_of(sched, "running") != NULL);
    sched_destroy(sched);
}

static void outlook__bit_by_bit__does_not_see_what_happens_meanwhile(void)
{
    struct sched_outlook *outlook;
    struct sched_forecast forecast;
    bool done = false;
    fill(1, 3);
    TEST_REQUIRE(sched_outlook_begin(sched, NULL, "t2", 10, &outlook, NULL) == COVEY_OK);
    TEST_EQUAL(sched_outlook_step(outlook, &done, NULL), COVEY_OK);
    TEST_TRUE(!done);
    TEST_EQUAL(sched_cancel(sched, "t0"), COVEY_OK);
    TEST_EQUAL(sched_cancel(sched, "t2"), COVEY_OK);
    while (!done)
        TEST_REQUIRE(sched_outlook_step(outlook, &done, NULL) == COVEY_OK);
    sched_outlook_end(outlook, &forecast);
    TEST_EQUAL(forecast.start_ns, 300);
    sched_forecast_clear(&forecast);
    /* One that is given up. */
    TEST_REQUIRE(sched_outlook_begin(sched, NULL, "t1", 10, &outlook, NULL) == COVEY_OK);
    sched_outlook_end(outlook, NULL);
    sched_destroy(sched);
}

static const struct test_case cases[] = {
    TEST_CASE(explain__after_every_change__knows_the_place),
    TEST_CASE(explain__behind_more_than_is_looked_at__says_at_least),
    TEST_CASE(forecast__in_a_long_queue__only_of_the_first),
    TEST_CASE(outlook__bit_by_bit__does_not_see_what_happens_meanwhile),
    {0},
};

const struct test_suite test_suites[] = {{"order", cases, NULL, NULL}, {0}};
