#include "base/clock.h"
#include "base/memory.h"
#include "rpc/deadlines.h"
#include "rpc/rate.h"
#include "tests/harness/harness.h"

#include <stdlib.h>

#define COUNT 500

static struct rpc_deadline all[COUNT];

/* A small generator of our own: the same order on every machine. */
static uint32_t next_random(void)
{
    static uint32_t state = 12345;
    state = state * 1664525 + 1013904223;
    return state >> 8;
}

static void rpc_deadlines__added_and_removed_at_random__come_in_order(void)
{
    struct rpc_deadlines deadlines = {0};
    for (size_t i = 0; i < COUNT; i++) {
        all[i] = (struct rpc_deadline){.at_ns = next_random() % 1000};
        TEST_EQUAL(rpc_deadlines_add(&deadlines, &all[i]), COVEY_OK);
    }
    for (size_t i = 0; i < COUNT / 2; i++)
        rpc_deadlines_remove(&deadlines, &all[next_random() % COUNT]);
    size_t left = deadlines.count;
    TEST_TRUE(left > 0 && left < COUNT);
    int64_t last_ns = -1;
    struct rpc_deadline *first;
    while ((first = rpc_deadlines_first(&deadlines))) {
        TEST_TRUE(first->at_ns >= last_ns);
        last_ns = first->at_ns;
        rpc_deadlines_remove(&deadlines, first);
        TEST_EQUAL(first->index, 0);
        left--;
    }
    TEST_EQUAL(left, 0);
    rpc_deadlines_free(&deadlines);
}

static void rpc_deadlines_add__out_of_memory__leaves_it_out(void)
{
    struct rpc_deadlines deadlines = {0};
    struct rpc_deadline one = {.at_ns = 1};
    covey_memory_fail_after(0);
    enum covey_status status = rpc_deadlines_add(&deadlines, &one);
    covey_memory_fail_after(-1);
    TEST_EQUAL(status, COVEY_ENOMEM);
    TEST_TRUE(!rpc_deadlines_first(&deadlines));
    rpc_deadlines_remove(&deadlines, &one);
    rpc_deadlines_free(&deadlines);
}

static size_t take_all(struct rpc_rate *rate, int64_t now_ns)
{
    size_t taken = 0;
    while (rpc_rate_take(rate, now_ns))
        taken++;
    return taken;
}

static void rpc_rate_take__beyond_burst_and_rate__is_refused(void)
{
    struct rpc_rate rate;
    rpc_rate_init(&rate, 10, 5, 0);
    TEST_EQUAL(take_all(&rate, 0), 10);
    TEST_EQUAL(take_all(&rate, COVEY_NS_PER_S / 5 - 1), 0);
    TEST_EQUAL(take_all(&rate, COVEY_NS_PER_S / 5), 1);
    TEST_EQUAL(take_all(&rate, COVEY_NS_PER_S), 4);
    TEST_EQUAL(take_all(&rate, 1000 * COVEY_NS_PER_S), 10);
}

static const struct test_case cases[] = {
    TEST_CASE(rpc_deadlines__added_and_removed_at_random__come_in_order),
    TEST_CASE(rpc_deadlines_add__out_of_memory__leaves_it_out),
    TEST_CASE(rpc_rate_take__beyond_burst_and_rate__is_refused),
    {0},
};

const struct test_suite test_suites[] = {{"rpc deadlines", cases, NULL, NULL}, {0}};
