/* How long definitions have run. */
#include "base/clock.h"
#include "service/controller/history.h"
#include "tests/harness/harness.h"

#include <stdio.h>

static void expected__some_flares__median_of_the_last(void)
{
    struct history history = {0};
    TEST_EQUAL(history_expected_ns(&history, "t", "d"), COVEY_NEVER_NS);
    history_add(&history, "t", "d", 7);
    TEST_EQUAL(history_expected_ns(&history, "t", "d"), 7);
    history_add(&history, "t", "d", 1000);
    history_add(&history, "t", "d", 8);
    TEST_EQUAL(history_expected_ns(&history, "t", "d"), 8);
    for (int i = 0; i < HISTORY_FLARES; i++)
        history_add(&history, "t", "d", 20 + i);
    TEST_EQUAL(history_expected_ns(&history, "t", "d"), 20 + HISTORY_FLARES / 2);
    history_clear(&history);
}

static void expected__tenants_and_names__apart(void)
{
    struct history history = {0};
    history_add(&history, "t", "d", 7);
    history_add(&history, "t/d", "e", 8);
    TEST_EQUAL(history_expected_ns(&history, "u", "d"), COVEY_NEVER_NS);
    TEST_EQUAL(history_expected_ns(&history, "t", "d/e"), COVEY_NEVER_NS);
    history_clear(&history);
}

static void add__too_many_definitions__the_least_used_gives_way(void)
{
    struct history history = {0};
    char name[16];
    for (int i = 0; i < HISTORY_DEFINITIONS_MAX; i++) {
        (void)snprintf(name, sizeof name, "d%d", i);
        history_add(&history, "t", name, 5);
    }
    TEST_EQUAL(history_expected_ns(&history, "t", "d0"), 5);
    history_add(&history, "t", "more", 6);
    TEST_EQUAL(history.definitions.count, HISTORY_DEFINITIONS_MAX);
    TEST_EQUAL(history_expected_ns(&history, "t", "d0"), 5);
    TEST_EQUAL(history_expected_ns(&history, "t", "d1"), COVEY_NEVER_NS);
    TEST_EQUAL(history_expected_ns(&history, "t", "more"), 6);
    history_clear(&history);
}

static const struct test_case cases[] = {
    TEST_CASE(expected__some_flares__median_of_the_last),
    TEST_CASE(expected__tenants_and_names__apart),
    TEST_CASE(add__too_many_definitions__the_least_used_gives_way),
    {0},
};

const struct test_suite test_suites[] = {{"controller_history", cases, NULL, NULL}, {0}};
