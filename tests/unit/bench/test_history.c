#include "bench/messages/history.h"
#include "tests/harness/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[] = "/tmp/covey-history-XXXXXX", path[64];

static void begin(void)
{
    snprintf(folder, sizeof(folder), "/tmp/covey-history-XXXXXX");
    TEST_REQUIRE(mkdtemp(folder) != NULL);
    snprintf(path, sizeof(path), "%s/limits", folder);
}

static void end(void)
{
    unlink(path);
    TEST_TRUE(rmdir(folder) == 0);
}

static void read__no_file__none(void)
{
    double values[history_kept];
    begin();
    TEST_TRUE(history_read(path, "mailbox", values) == 0);
    end();
}

static void add__seven__last_five_by_name(void)
{
    double values[history_kept];
    begin();
    for (int i = 1; i <= 7; i++) {
        TEST_TRUE(history_add(path, "mailbox", i) == 0);
        TEST_TRUE(history_add(path, "mailbox-2", 10 * i) == 0);
    }
    TEST_REQUIRE(history_read(path, "mailbox", values) == history_kept);
    for (int i = 0; i < history_kept; i++)
        TEST_TRUE(values[i] == i + 3);
    TEST_REQUIRE(history_read(path, "mailbox-2", values) == history_kept);
    TEST_TRUE(values[0] == 30 && values[4] == 70);
    TEST_TRUE(history_read(path, "mail", values) == 0);
    end();
}

static void add__no_folder__refused(void)
{
    TEST_TRUE(history_add("/nonexistent/limits", "mailbox", 1) < 0);
}

static void agrees__within_a_factor_of_the_median__both_ways(void)
{
    const double values[] = {100, 1, 10, 11, 9};
    TEST_TRUE(history_agrees(values, 5, 15, 1.5));
    TEST_TRUE(!history_agrees(values, 5, 15.1, 1.5));
    TEST_TRUE(history_agrees(values, 5, 6.7, 1.5));
    TEST_TRUE(!history_agrees(values, 5, 6.6, 1.5));
    TEST_TRUE(history_agrees(values, 0, 1000, 1.5));
}

static const struct test_case cases[] = {
    TEST_CASE(read__no_file__none),
    TEST_CASE(add__seven__last_five_by_name),
    TEST_CASE(add__no_folder__refused),
    TEST_CASE(agrees__within_a_factor_of_the_median__both_ways),
    {0},
};

const struct test_suite test_suites[] = {{"history", cases, NULL, NULL}, {0}};
