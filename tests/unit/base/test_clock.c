#include "base/clock.h"
#include "tests/harness/harness.h"

#include <time.h>

static void now__read_twice__never_goes_back(void)
{
    int64_t last_ns = covey_now_ns();
    for (int i = 0; i < 1000; i++) {
        int64_t now_ns = covey_now_ns();
        TEST_TRUE(now_ns >= last_ns);
        last_ns = now_ns;
    }
}

static void wall__against_time__is_the_same_second(void)
{
    time_t before = time(NULL);
    int64_t wall_ns = covey_wall_ns();
    time_t after = time(NULL);
    TEST_TRUE(wall_ns / COVEY_NS_PER_S >= before - 1);
    TEST_TRUE(wall_ns / COVEY_NS_PER_S <= after + 1);
}

static void deadline__table__is_the_sum_or_never(void)
{
    static const struct {
        int64_t start_ns, duration_ns, expected_ns;
    } rows[] = {
        {0, 0, 0},
        {5, 7, 12},
        {5, -1, COVEY_NEVER_NS},
        {5, INT64_MIN, COVEY_NEVER_NS},
        {5, COVEY_NEVER_NS, COVEY_NEVER_NS},
        {0, COVEY_NEVER_NS, COVEY_NEVER_NS},
        {1, INT64_MAX - 1, INT64_MAX},
        {COVEY_NEVER_NS, 0, COVEY_NEVER_NS},
        {COVEY_NEVER_NS, 1, COVEY_NEVER_NS},
        {-10, 4, -6},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        TEST_EQUAL(covey_deadline_ns(rows[i].start_ns, rows[i].duration_ns), rows[i].expected_ns);
}

static const struct test_case cases[] = {
    TEST_CASE(now__read_twice__never_goes_back),
    TEST_CASE(wall__against_time__is_the_same_second),
    TEST_CASE(deadline__table__is_the_sum_or_never),
    {0},
};

const struct test_suite test_suites[] = {{"clock", cases, NULL, NULL}, {0}};
