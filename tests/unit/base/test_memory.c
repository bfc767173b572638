#include "base/memory.h"
#include "tests/harness/harness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void every_call__size_zero__gives_memory_to_free(void)
{
    void *results[] = {covey_malloc(0), covey_calloc(0, 8), covey_calloc(8, 0),
                       covey_realloc(NULL, 0), covey_memdup("", 0)};
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        TEST_TRUE(results[i] != NULL);
        free(results[i]);
    }
}

static void calloc__memory__is_zero(void)
{
    static const unsigned char zeros[1000];
    unsigned char *memory = covey_calloc(10, 100);
    TEST_REQUIRE(memory != NULL);
    TEST_EQUAL(memcmp(memory, zeros, sizeof(zeros)), 0);
    free(memory);
}

static void products__that_overflow__fail_with_enomem(void)
{
    errno = 0;
    TEST_TRUE(covey_reallocarray(NULL, SIZE_MAX / 2, 3) == NULL);
    TEST_EQUAL(errno, ENOMEM);
    char *kept = covey_strdup("kept");
    TEST_REQUIRE(kept != NULL);
    TEST_TRUE(covey_reallocarray(kept, SIZE_MAX, SIZE_MAX) == NULL);
    TEST_EQUAL_STRING(kept, "kept");
    free(kept);
}

static void copies__text_and_bytes__are_equal_and_apart(void)
{
    const char text[] = "rank";
    char *copy = covey_strdup(text);
    char *bytes = covey_memdup("a\0b", 3);
    char *printed = covey_asprintf("%s-%03d", "node", 7);
    char *resized = covey_reallocarray(NULL, 4, 2);
    TEST_REQUIRE(copy && bytes && printed && resized);
    TEST_TRUE(copy != text);
    TEST_EQUAL_STRING(copy, "rank");
    TEST_EQUAL(memcmp(bytes, "a\0b", 3), 0);
    TEST_EQUAL_STRING(printed, "node-007");
    free(copy);
    free(bytes);
    free(printed);
    free(resized);
}

static void fail_after__two_successes__all_that_follow_fail(void)
{
    covey_memory_fail_after(2);
    void *first = covey_malloc(1);
    void *second = covey_calloc(1, 1);
    errno = 0;
    void *third = covey_malloc(1);
    int error_number = errno;
    void *rest[] = {covey_calloc(1, 1),   covey_realloc(NULL, 1), covey_strdup("a"),
                    covey_memdup("a", 1), covey_asprintf("a"),    covey_reallocarray(NULL, 1, 1)};
    covey_memory_fail_after(-1);
    TEST_TRUE(first && second && !third);
    TEST_EQUAL(error_number, ENOMEM);
    for (size_t i = 0; i < sizeof(rest) / sizeof(rest[0]); i++)
        TEST_TRUE(rest[i] == NULL);
    free(first);
    free(second);
    void *again = covey_malloc(1);
    TEST_TRUE(again != NULL);
    free(again);
}

static const struct test_case cases[] = {
    TEST_CASE(every_call__size_zero__gives_memory_to_free),
    TEST_CASE(calloc__memory__is_zero),
    TEST_CASE(products__that_overflow__fail_with_enomem),
    TEST_CASE(copies__text_and_bytes__are_equal_and_apart),
    TEST_CASE(fail_after__two_successes__all_that_follow_fail),
    {0},
};

const struct test_suite test_suites[] = {{"memory", cases, NULL, NULL}, {0}};
