#include "bench/messages/outcome.h"
#include "tests/harness/harness.h"

static void read__series__each(void)
{
    struct outcome outcome = {0};
    TEST_REQUIRE(outcome_read(&outcome, "barrier 5\ncall 10\ncall 30\ncall 20\nread 40\nwrong 0\n",
                              "it") == 0);
    TEST_TRUE(bench_series_median(&outcome.call) == 20);
    TEST_TRUE(bench_series_median(&outcome.read) == 40);
    TEST_TRUE(bench_series_median(&outcome.barrier) == 5);
    outcome_free(&outcome);
}

/* Figures of messages that were not what was sent are worth nothing. */
static void read__wrong_data_or_none_told__refused(void)
{
    static const char *const texts[] = {"call 10\nwrong 1\n", "call 10\n", "wrong 0\n", "",
                                        "call 10\ncalls 10\nwrong 0\n"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct outcome outcome = {0};
        TEST_TRUE(outcome_read(&outcome, texts[i], "it") < 0);
        outcome_free(&outcome);
    }
}

static void add__two__together(void)
{
    struct outcome all = {0}, one = {0};
    TEST_REQUIRE(outcome_read(&one, "call 1\ncall 3\nwrong 0\n", "it") == 0);
    TEST_TRUE(outcome_add(&all, &one) == 0 && outcome_add(&all, &one) == 0);
    TEST_TRUE(all.call.count == 4 && all.read.count == 0);
    outcome_free(&one);
    outcome_free(&all);
}

static const struct test_case cases[] = {
    TEST_CASE(read__series__each),
    TEST_CASE(read__wrong_data_or_none_told__refused),
    TEST_CASE(add__two__together),
    {0},
};

const struct test_suite test_suites[] = {{"outcome", cases, NULL, NULL}, {0}};
