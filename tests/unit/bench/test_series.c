#include "bench/series.h"
#include "tests/harness/harness.h"

static void fill(struct bench_series *series, const double *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        TEST_REQUIRE(bench_series_add(series, values[i]) == 0);
}

static void series__empty__zero(void)
{
    struct bench_series series = {0};
    TEST_TRUE(bench_series_median(&series) == 0);
    TEST_TRUE(bench_series_percentile(&series, 0.99) == 0);
    bench_series_free(&series);
}

static void median__odd_and_even__middle(void)
{
    struct bench_series series = {0};
    fill(&series, (const double[]){5, 1, 9}, 3);
    TEST_TRUE(bench_series_median(&series) == 5);
    fill(&series, (const double[]){6}, 1);
    TEST_TRUE(bench_series_median(&series) == 5.5);
    bench_series_free(&series);
}

static void percentile__few__largest(void)
{
    struct bench_series series = {0};
    for (int i = 20; i > 0; i--)
        TEST_REQUIRE(bench_series_add(&series, i) == 0);
    TEST_TRUE(bench_series_percentile(&series, 0.99) == 20);
    TEST_TRUE(bench_series_percentile(&series, 0.5) == 10);
    TEST_TRUE(bench_series_percentile(&series, 0) == 1);
    TEST_TRUE(bench_series_percentile(&series, 1) == 20);
    bench_series_free(&series);
}

static void percentile__thousand__leaves_a_hundredth_above(void)
{
    struct bench_series series = {0};
    for (int i = 0; i < 1000; i++)
        TEST_REQUIRE(bench_series_add(&series, i * 7 % 1000) == 0);
    TEST_TRUE(bench_series_percentile(&series, 0.99) == 989);
    bench_series_free(&series);
}

static const struct test_case cases[] = {
    TEST_CASE(series__empty__zero),
    TEST_CASE(median__odd_and_even__middle),
    TEST_CASE(percentile__few__largest),
    TEST_CASE(percentile__thousand__leaves_a_hundredth_above),
    {0},
};

const struct test_suite test_suites[] = {{"series", cases, NULL, NULL}, {0}};
