/* Waiting: promises and what may pass them, ageing, and what the forecast says of it. */
#include "base/clock.h"
#include "tests/harness/harness.h"
#include "tests/unit/scheduler/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void submit(struct sched *sched, const char *flare, uint32_t workers, int64_t submit_ns,
                   int64_t limit_ns)
{
    struct sched_request request = cluster_request(flare, workers);
    request.submit_ns = submit_ns;
    request.limit_ns = limit_ns;
    TEST_EQUAL(sched_submit(sched, &request, NULL), COVEY_OK);
}

static const char *next(struct sched *sched, int64_t now_ns)
{
    const struct sched_placement *placement = NULL;
    TEST_EQUAL(sched_next(sched, now_ns, &placement), COVEY_OK);
    return placement ? placement->flare : "-";
}

static void next__shorter_than_the_promise__passes(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 8, 0});
    submit(sched, "a", 10, 0, 100);
    TEST_EQUAL_STRING(next(sched, 0), "a");
    submit(sched, "b", 16, 1, 50);
    submit(sched, "long", 4, 2, 100); /* would end at 102, b is promised 100 */
    submit(sched, "short", 4, 3, 98);
    TEST_EQUAL_STRING(next(sched, 2), "short");
    TEST_EQUAL_STRING(next(sched, 2), "-");
    struct sched_reason reason;
    TEST_EQUAL(sched_explain(sched, "b", 2, &reason), COVEY_OK);
    TEST_EQUAL(reason.promised_ns, 100);
    TEST_EQUAL(sched_explain(sched, "long", 2, &reason), COVEY_OK);
    TEST_EQUAL(reason.kind, SCHED_REASON_CAPACITY);
    TEST_EQUAL(sched_release(sched, "a"), COVEY_OK);
    TEST_EQUAL_STRING(next(sched, 60), "-"); /* short still runs */
    TEST_EQUAL(sched_explain(sched, "long", 60, &reason), COVEY_OK);
    TEST_EQUAL(reason.kind, SCHED_REASON_PROMISED);
    TEST_EQUAL_STRING(reason.blocker, "b");
    TEST_EQUAL(sched_release(sched, "short"), COVEY_OK);
    TEST_EQUAL_STRING(next(sched, 100), "b");
    TEST_EQUAL_STRING(next(sched, 100), "-");
    TEST_EQUAL(sched_release(sched, "b"), COVEY_OK);
    TEST_EQUAL_STRING(next(sched, 150), "long");
    sched_destroy(sched);
}

static void next__beside_what_is_promised__passes_for_as_long_as_it_likes(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 4, 0});
    submit(sched, "a", 6, 0, 100);
    TEST_EQUAL_STRING(next(sched, 0), "a");
    submit(sched, "b", 8, 1, 50); /* promised node 0 at 100: the other is too small for it all */
    submit(sched, "c", 4, 2, 0);
    TEST_EQUAL_STRING(next(sched, 2), "c");
    TEST_EQUAL(sched_placement_of(sched, "c")->packs[0].node, 1);
    TEST_EQUAL_STRING(next(sched, 2), "-");
    sched_destroy(sched);
}

static void next__no_backfill__first_come_first_served(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 0});
    struct sched_policy policy = {0};
    sched_set_policy(sched, &policy);
    submit(sched, "a", 6, 0, 100);
    submit(sched, "b", 8, 1, 50);
    submit(sched, "c", 1, 2, 1);
    TEST_EQUAL_STRING(next(sched, 2), "a");
    TEST_EQUAL_STRING(next(sched, 2), "-");
    sched_destroy(sched);
}

static void next__limit_overrun__waits_and_goes_on(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 0});
    submit(sched, "a", 8, 0, 10);
    TEST_EQUAL_STRING(next(sched, 0), "a");
    submit(sched, "b", 8, 1, 10);
    TEST_EQUAL_STRING(next(sched, 50), "-");
    struct sched_forecast forecast;
    TEST_EQUAL(sched_forecast(sched, NULL, "b", 50, &forecast, NULL), COVEY_OK);
    TEST_EQUAL(forecast.start_ns, 51); /* as soon as what should have ended has */
    TEST_EQUAL_STRING(forecast.after, "a");
    sched_forecast_clear(&forecast);
    TEST_EQUAL(sched_release(sched, "a"), COVEY_OK);
    TEST_EQUAL_STRING(next(sched, 50), "b");
    sched_destroy(sched);
}

/* A gang of the whole node, while small ones of higher priority never cease to come: each ends
 * after 10, there are always two. */
static void next__waited_long_enough__goes_first(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 0});
    struct sched_policy policy = SCHED_POLICY_DEFAULT;
    policy.age_ns = 100;
    sched_set_policy(sched, &policy);
    submit(sched, "whole", 8, 1, 10);
    int64_t started_ns = 0;
    char running[2][16] = {"", ""};
    for (int64_t now = 2; now < 1000 && !started_ns; now++) {
        char *slot = running[now / 5 % 2];
        if (now % 5)
            continue;
        if (*slot)
            TEST_EQUAL(sched_release(sched, slot), COVEY_OK);
        *slot = 0;
        char id[16];
        (void)snprintf(id, sizeof(id), "f%d", (int)now);
        struct sched_request request = cluster_request(id, 4);
        request.priority = 10;
        request.submit_ns = now;
        request.limit_ns = 10;
        TEST_EQUAL(sched_submit(sched, &request, NULL), COVEY_OK);
        const char *started = next(sched, now);
        if (strcmp(started, "whole") == 0)
            started_ns = now;
        else if (strcmp(started, "-") != 0)
            (void)snprintf(slot, sizeof(running[0]), "%s", started);
    }
    TEST_TRUE(started_ns >= 101);
    TEST_TRUE(started_ns <= 101 + 2 * 10); /* the age, and what then runs */
    sched_destroy(sched);
}

/* Who has no limit can promise nothing, so the aged gang holds what becomes free. */
static void next__aged_and_nobody_knows_when__holds_what_gets_free(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 0});
    struct sched_policy policy = SCHED_POLICY_DEFAULT;
    policy.age_ns = 100;
    sched_set_policy(sched, &policy);
    submit(sched, "forever", 4, 0, 0);
    TEST_EQUAL_STRING(next(sched, 0), "forever");
    submit(sched, "whole", 8, 1, 10);
    submit(sched, "early", 4, 2, 10);
    TEST_EQUAL_STRING(next(sched, 2), "early");
    submit(sched, "late", 4, 3, 10);
    TEST_EQUAL(sched_release(sched, "early"), COVEY_OK);
    TEST_EQUAL_STRING(next(sched, 101), "-");
    TEST_EQUAL(sched_release(sched, "forever"), COVEY_OK);
    TEST_EQUAL_STRING(next(sched, 102), "whole");
    sched_destroy(sched);
}

static void next__impossible_at_the_head__passed_over(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 0});
    struct sched_request request = cluster_request("never", 100);
    request.priority = 100;
    TEST_EQUAL(sched_resubmit(sched, &request, NULL), COVEY_OK);
    submit(sched, "a", 8, 1, 10);
    TEST_EQUAL_STRING(next(sched, 1), "a");
    struct sched_forecast forecast;
    TEST_EQUAL(sched_forecast(sched, NULL, "never", 1, &forecast, NULL), COVEY_OK);
    TEST_EQUAL(forecast.start_ns, COVEY_NEVER_NS);
    TEST_TRUE(forecast.placement == NULL);
    sched_destroy(sched);
}

/* Each of two gangs runs where the other wants to be. */
static void next__each_wants_the_others_node__one_after_the_other(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){4, 4, 0});
    submit(sched, "left", 4, 0, 10);
    submit(sched, "right", 4, 0, 20);
    TEST_EQUAL_STRING(next(sched, 0), "left");
    TEST_EQUAL_STRING(next(sched, 0), "right");
    submit(sched, "a", 8, 1, 10);
    submit(sched, "b", 8, 2, 10);
    TEST_EQUAL_STRING(next(sched, 2), "-");
    TEST_EQUAL(sched_release(sched, "left"), COVEY_OK);
    TEST_EQUAL_STRING(next(sched, 10), "-");
    TEST_EQUAL(sched_release(sched, "right"), COVEY_OK);
    TEST_EQUAL_STRING(next(sched, 20), "a");
    TEST_EQUAL_STRING(next(sched, 20), "-");
    TEST_EQUAL(sched_release(sched, "a"), COVEY_OK);
    TEST_EQUAL_STRING(next(sched, 30), "b");
    sched_destroy(sched);
}

static void next__node_comes_back__the_gang_that_needs_it_starts(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 8, 0});
    submit(sched, "a", 16, 1, 10);
    TEST_EQUAL(sched_node_set_state(sched, 1, SCHED_NODE_DOWN), COVEY_OK);
    TEST_EQUAL_STRING(next(sched, 1), "-");
    TEST_EQUAL(sched_node_set_state(sched, 1, SCHED_NODE_DRAINING), COVEY_OK);
    TEST_EQUAL_STRING(next(sched, 2), "-");
    TEST_EQUAL(sched_node_set_state(sched, 1, SCHED_NODE_UP), COVEY_OK);
    TEST_EQUAL_STRING(next(sched, 3), "a");
    sched_destroy(sched);
}

/* Who comes later and goes before is promised what was promised to others, and they something else.
 */
static void promise__somebody_goes_before__is_a_later_one(void)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 0});
    struct sched_reason reason;
    submit(sched, "runs", 8, 0, 100);
    TEST_EQUAL_STRING(next(sched, 0), "runs");
    submit(sched, "low", 8, 1, 50);
    TEST_EQUAL_STRING(next(sched, 1), "-");
    TEST_EQUAL(sched_explain(sched, "low", 1, &reason), COVEY_OK);
    TEST_EQUAL(reason.promised_ns, 100);
    struct sched_request request = cluster_request("high", 8);
    request.priority = 5;
    request.submit_ns = 2;
    request.limit_ns = 30;
    TEST_EQUAL(sched_submit(sched, &request, NULL), COVEY_OK);
    TEST_EQUAL_STRING(next(sched, 2), "-");
    TEST_EQUAL(sched_explain(sched, "high", 2, &reason), COVEY_OK);
    TEST_EQUAL(reason.promised_ns, 100);
    TEST_EQUAL(sched_explain(sched, "low", 2, &reason), COVEY_OK);
    TEST_EQUAL(reason.promised_ns, 130);
    TEST_EQUAL(sched_cancel(sched, "high"), COVEY_OK);
    TEST_EQUAL_STRING(next(sched, 3), "-");
    TEST_EQUAL(sched_explain(sched, "low", 3, &reason), COVEY_OK);
    TEST_EQUAL(reason.promised_ns, 100);
    sched_destroy(sched);
}

/* ---- which of many ends ---- */

/* What is promised to a request that waits behind gangs of one worker each, which end at 1, 2, ...
 * and fill the nodes. */
static int64_t promised_to(struct sched *sched, const struct sched_request *request)
{
    struct sched_reason reason = {0};
    TEST_EQUAL(sched_submit(sched, request, NULL), COVEY_OK);
    TEST_EQUAL_STRING(next(sched, 0), "-");
    TEST_EQUAL(sched_explain(sched, request->flare, 0, &reason), COVEY_OK);
    TEST_EQUAL(sched_cancel(sched, request->flare), COVEY_OK);
    return reason.promised_ns;
}

static void promise__behind_many_ends__is_the_first_that_is_enough(void)
{
    const uint32_t count = 100;
    struct sched *sched = cluster_create((const uint32_t[]){count, 0});
    for (uint32_t i = 0; i < count; i++) {
        char id[8];
        (void)snprintf(id, sizeof(id), "g%u", i);
        submit(sched, id, 1, 0, 1 + i);
        TEST_EQUAL_STRING(next(sched, 0), id);
    }
    for (uint32_t workers = 1; workers <= count; workers++) {
        struct sched_request request = cluster_request("waits", workers);
        request.limit_ns = 10;
        TEST_EQUAL(promised_to(sched, &request), workers);
    }
    sched_destroy(sched);
}

/* Much is free long before it is free on one node: of each node's gangs one ends in each round. */
static void promise__behind_many_ends_on_many_nodes__is_the_first_that_has_the_place(void)
{
    enum { NODES = 16, SLOTS = 4 };
    uint32_t slots[NODES + 1] = {0};
    for (uint32_t n = 0; n < NODES; n++)
        slots[n] = SLOTS;
    struct sched *sched = cluster_create(slots);
    for (uint32_t i = 0; i < NODES * SLOTS; i++) {
        char id[8];
        (void)snprintf(id, sizeof(id), "g%u", i);
        submit(sched, id, 1, 0, 1 + i % SLOTS * NODES + i / SLOTS);
        TEST_EQUAL_STRING(next(sched, 0), id);
        TEST_EQUAL(sched_placement_of(sched, id)->packs[0].node, i / SLOTS);
    }
    for (uint32_t workers = 1; workers <= SLOTS; workers++) {
        struct sched_request request = cluster_request("waits", workers);
        request.placing = SCHED_PLACING_STRICT_PACK;
        request.limit_ns = 10;
        TEST_EQUAL(promised_to(sched, &request), 1 + (workers - 1) * NODES);
    }
    sched_destroy(sched);
}

/* ---- random ---- */

#define GANGS 60

struct gang {
    char id[8];
    int64_t limit_ns;
    int64_t ends_ns; /* 0: queued; COVEY_NEVER_NS: has ended */
    int64_t promised_ns;
};

static bool end_gangs(struct sched *sched, struct gang *gangs, int64_t now_ns)
{
    bool ended = false;
    for (int i = 0; i < GANGS; i++) {
        if (gangs[i].ends_ns != now_ns)
            continue;
        TEST_EQUAL(sched_release(sched, gangs[i].id), COVEY_OK);
        gangs[i].ends_ns = COVEY_NEVER_NS;
        ended = true;
    }
    return ended;
}

static uint32_t start_gangs(struct sched *sched, struct gang *gangs, int64_t now_ns, uint64_t *seed)
{
    uint32_t started = 0;
    for (const char *id; strcmp(id = next(sched, now_ns), "-") != 0; started++) {
        long i = strtol(id, NULL, 10);
        TEST_REQUIRE(i >= 0 && i < GANGS && gangs[i].ends_ns == 0);
        TEST_TRUE(now_ns <= gangs[i].promised_ns);
        gangs[i].ends_ns = now_ns + 1 + cluster_random(seed, (uint32_t)gangs[i].limit_ns);
        TEST_EQUAL(sched_commit(sched, gangs[i].id), COVEY_OK);
    }
    return started;
}

/* The first that waits was promised a time, and no later one than before. */
static void note_promise(struct sched *sched, struct gang *gangs, int64_t now_ns)
{
    int first = 0;
    while (first < GANGS && gangs[first].ends_ns != 0)
        first++;
    if (first == GANGS)
        return;
    struct sched_reason reason;
    TEST_EQUAL(sched_explain(sched, gangs[first].id, now_ns, &reason), COVEY_OK);
    TEST_EQUAL(reason.ahead, 0);
    TEST_TRUE(reason.promised_ns > now_ns);
    TEST_TRUE(reason.promised_ns <= gangs[first].promised_ns);
    gangs[first].promised_ns = reason.promised_ns;
}

/* What runs ends by its limit or before, and nothing else comes: the first in order starts no
 * later than promised, whatever passes it, and all start. */
static void run_to_the_end(uint64_t seed)
{
    struct sched *sched = cluster_create((const uint32_t[]){8, 4, 8, 2, 6, 0});
    struct gang gangs[GANGS];
    for (int i = 0; i < GANGS; i++) {
        gangs[i] =
            (struct gang){.limit_ns = 1 + cluster_random(&seed, 50), .promised_ns = COVEY_NEVER_NS};
        (void)snprintf(gangs[i].id, sizeof(gangs[i].id), "%d", i);
        submit(sched, gangs[i].id, 1 + cluster_random(&seed, 28), i, gangs[i].limit_ns);
    }
    uint32_t started = 0;
    for (int64_t now = GANGS; started < GANGS && now < 100000; now++) {
        if (!end_gangs(sched, gangs, now) && now > GANGS)
            continue;
        started += start_gangs(sched, gangs, now, &seed);
        note_promise(sched, gangs, now);
    }
    TEST_EQUAL(started, GANGS);
    sched_destroy(sched);
}

static void next__random_gangs__the_first_is_not_delayed(void)
{
    for (uint64_t seed = 1; seed <= 60; seed++)
        run_to_the_end(seed);
}

static const struct test_case cases[] = {
    TEST_CASE(next__shorter_than_the_promise__passes),
    TEST_CASE(next__beside_what_is_promised__passes_for_as_long_as_it_likes),
    TEST_CASE(next__no_backfill__first_come_first_served),
    TEST_CASE(next__limit_overrun__waits_and_goes_on),
    TEST_CASE(next__waited_long_enough__goes_first),
    TEST_CASE(next__aged_and_nobody_knows_when__holds_what_gets_free),
    TEST_CASE(next__impossible_at_the_head__passed_over),
    TEST_CASE(next__each_wants_the_others_node__one_after_the_other),
    TEST_CASE(next__node_comes_back__the_gang_that_needs_it_starts),
    TEST_CASE(promise__somebody_goes_before__is_a_later_one),
    TEST_CASE(promise__behind_many_ends__is_the_first_that_is_enough),
    TEST_CASE(promise__behind_many_ends_on_many_nodes__is_the_first_that_has_the_place),
    TEST_CASE(next__random_gangs__the_first_is_not_delayed),
    {0},
};

const struct test_suite test_suites[] = {{"scheduler_promise", cases, NULL, NULL}, {0}};
