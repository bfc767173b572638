#include "base/map.h"
#include "base/memory.h"
#include "tests/harness/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int values[4096];

static void set__string_key__is_copied_and_replaced(void)
{
    struct covey_map map = COVEY_MAP_EMPTY;
    char key[] = "node-1";
    TEST_TRUE(covey_map_get(&map, key) == NULL);
    TEST_TRUE(covey_map_remove(&map, key) == NULL);
    TEST_REQUIRE(covey_map_set(&map, key, &values[0]) == COVEY_OK);
    key[5] = '2';
    TEST_TRUE(covey_map_get(&map, key) == NULL);
    TEST_TRUE(covey_map_get(&map, "node-1") == &values[0]);
    TEST_REQUIRE(covey_map_set(&map, "node-1", &values[1]) == COVEY_OK);
    TEST_EQUAL(map.count, 1);
    TEST_TRUE(covey_map_remove(&map, "node-1") == &values[1]);
    TEST_TRUE(covey_map_remove(&map, "node-1") == NULL);
    TEST_EQUAL(map.count, 0);
    covey_map_clear(&map);
}

static void set__empty_string_and_zero__are_keys_of_their_own(void)
{
    struct covey_map map = COVEY_MAP_EMPTY;
    TEST_REQUIRE(covey_map_set(&map, "", &values[0]) == COVEY_OK);
    TEST_REQUIRE(covey_map_set_u64(&map, 0, &values[1]) == COVEY_OK);
    TEST_REQUIRE(covey_map_set_u64(&map, UINT64_MAX, &values[2]) == COVEY_OK);
    TEST_REQUIRE(covey_map_set(&map, "0", &values[3]) == COVEY_OK);
    TEST_EQUAL(map.count, 4);
    TEST_TRUE(covey_map_get(&map, "") == &values[0]);
    TEST_TRUE(covey_map_get_u64(&map, 0) == &values[1]);
    TEST_TRUE(covey_map_get_u64(&map, UINT64_MAX) == &values[2]);
    TEST_TRUE(covey_map_get(&map, "0") == &values[3]);
    covey_map_clear(&map);
}

/* The map against a plain table, over a fixed pseudo-random sequence of sets and removals. */
static void set_and_remove__long_random_sequence__agrees_with_a_table(void)
{
    enum { keys = 1000, steps = 200000 };
    struct covey_map map = COVEY_MAP_EMPTY;
    void *table[keys] = {NULL};
    size_t count = 0;
    uint32_t random = 12345;
    for (int step = 0; step < steps; step++) {
        random = random * 1664525 + 1013904223;
        uint32_t number = (random >> 8) % keys;
        uint64_t key = (uint64_t)number << 32 | 0x10;
        if (random >> 31) {
            void *value = &values[step % 4096];
            TEST_REQUIRE(covey_map_set_u64(&map, key, value) == COVEY_OK);
            count += table[number] == NULL;
            table[number] = value;
        } else {
            TEST_REQUIRE(covey_map_remove_u64(&map, key) == table[number]);
            count -= table[number] != NULL;
            table[number] = NULL;
        }
        TEST_REQUIRE(map.count == count);
    }
    for (uint64_t number = 0; number < keys; number++)
        TEST_TRUE(covey_map_get_u64(&map, number << 32 | 0x10) == table[number]);
    covey_map_clear(&map);
}

static void next__all_entries__each_once_with_its_key(void)
{
    enum { keys = 100 };
    struct covey_map map = COVEY_MAP_EMPTY;
    for (int i = 0; i < keys; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "%d", i);
        TEST_REQUIRE(covey_map_set(&map, key, &values[i]) == COVEY_OK);
    }
    TEST_REQUIRE(covey_map_set_u64(&map, 7, &values[keys]) == COVEY_OK);
    bool seen[keys + 1] = {false};
    size_t cursor = 0;
    const char *key;
    void *value;
    size_t visited = 0;
    while (covey_map_next(&map, &cursor, &key, &value)) {
        int index = key ? (int)strtol(key, NULL, 10) : keys;
        TEST_TRUE(value == &values[index]);
        TEST_TRUE(!seen[index]);
        seen[index] = true;
        visited++;
    }
    TEST_EQUAL(visited, keys + 1);
    TEST_TRUE(!covey_map_next(&map, &cursor, NULL, &value));
    covey_map_clear(&map);
    cursor = 0;
    TEST_TRUE(!covey_map_next(&map, &cursor, &key, &value));
}

static void set__memory_runs_out_at_each_step__leaves_the_map_as_it_was(void)
{
    enum { keys = 40 };
    struct covey_map map = COVEY_MAP_EMPTY;
    int failures = 0;
    for (int i = 0; i < keys; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "key-%d", i);
        for (int64_t successes = 0;; successes++) {
            covey_memory_fail_after(successes);
            enum covey_status status = covey_map_set(&map, key, &values[i]);
            covey_memory_fail_after(-1);
            if (status == COVEY_OK)
                break;
            failures++;
            TEST_EQUAL(status, COVEY_ENOMEM);
            TEST_EQUAL(map.count, (size_t)i);
            TEST_TRUE(covey_map_get(&map, key) == NULL);
            TEST_REQUIRE(successes < 4);
        }
    }
    TEST_TRUE(failures > keys);
    for (int i = 0; i < keys; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "key-%d", i);
        TEST_TRUE(covey_map_get(&map, key) == &values[i]);
    }
    covey_map_clear(&map);
}

static const struct test_case cases[] = {
    TEST_CASE(set__string_key__is_copied_and_replaced),
    TEST_CASE(set__empty_string_and_zero__are_keys_of_their_own),
    TEST_CASE(set_and_remove__long_random_sequence__agrees_with_a_table),
    TEST_CASE(next__all_entries__each_once_with_its_key),
    TEST_CASE(set__memory_runs_out_at_each_step__leaves_the_map_as_it_was),
    {0},
};

const struct test_suite test_suites[] = {{"map", cases, NULL, NULL}, {0}};
