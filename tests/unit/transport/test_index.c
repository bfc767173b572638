#include "tests/harness/harness.h"
#include "transport/core/index.h"

#include "base/memory.h"

#include <stdlib.h>

enum { MANY = 100000 };

struct item {
    struct index_node node;
    int number;
};

static struct item *items;

static int make(void)
{
    items = calloc(MANY, sizeof(*items));
    for (int i = 0; items && i < MANY; i++)
        items[i].number = i;
    return items ? 0 : 1;
}

static int drop(void)
{
    free(items);
    return 0;
}

static int number_of(struct index_node *node)
{
    return node ? covey_container_of(node, struct item, node)->number : -1;
}

/* A few steps for each, however many there are and in whatever order they are looked for. */
static void find__very_many_keys__takes_a_few_steps_each(void)
{
    struct index index;
    index_open(&index);
    for (int i = 0; i < MANY; i++)
        index_add(&index, &items[i].node, (uint64_t)i << 32 | 7);
    bool right = true;
    for (int i = MANY - 1; i >= 0; i--) {
        right &= number_of(index_find(&index, (uint64_t)i << 32 | 7)) == i;
        index_remove(&index, &items[i].node);
        right &= index_find(&index, (uint64_t)i << 32 | 7) == NULL;
    }
    TEST_TRUE(right);
    TEST_EQUAL(index.keys, 0);
    TEST_TRUE(index.steps < UINT64_C(8) * MANY);
    index_close(&index);
}

/* What queues behind one key is in nobody else's way. */
static void find__very_many_of_one_key__others_are_found_at_once(void)
{
    struct index index;
    index_open(&index);
    for (int i = 0; i < MANY; i++)
        index_add(&index, &items[i].node, i < MANY - 100 ? 1 : (uint64_t)i);
    index.steps = 0;
    bool right = true;
    for (int i = MANY - 100; i < MANY; i++)
        right &= number_of(index_find(&index, (uint64_t)i)) == i;
    TEST_TRUE(index.steps < 1000);
    for (int i = 0; i < MANY - 100; i++) {
        right &= number_of(index_find(&index, 1)) == i;
        index_remove(&index, &items[i].node);
    }
    TEST_TRUE(right);
    TEST_TRUE(index_find(&index, 1) == NULL);
    TEST_EQUAL(index.keys, 100);
    index_close(&index);
}

static void remove__from_any_place__keeps_the_order_of_the_rest(void)
{
    struct index index;
    index_open(&index);
    for (int i = 0; i < 5; i++)
        index_add(&index, &items[i].node, 9);
    index_remove(&index, &items[2].node);
    index_remove(&index, &items[0].node);
    index_remove(&index, &items[4].node);
    index_add_first(&index, &items[0].node, 9);
    index_add(&index, &items[5].node, 9);
    index_add_first(&index, &items[6].node, 10);
    static const int wanted[] = {0, 1, 3, 5};
    struct index_node *first = index_find(&index, 9);
    struct index_node *node = first;
    for (int i = 0; i < 4; i++) {
        TEST_EQUAL(number_of(node), wanted[i]);
        node = index_next(first, node);
    }
    TEST_TRUE(node == NULL);
    TEST_EQUAL(number_of(index_find(&index, 10)), 6);
    index_close(&index);
}

static void add__memory_is_out__still_finds(void)
{
    struct index index;
    index_open(&index);
    covey_memory_fail_after(0);
    for (int i = 0; i < 1000; i++)
        index_add(&index, &items[i].node, (uint64_t)i);
    covey_memory_fail_after(-1);
    bool right = true;
    for (int i = 0; i < 1000; i++)
        right &= number_of(index_find(&index, (uint64_t)i)) == i;
    TEST_TRUE(right);
    index_close(&index);
}

static const struct test_case cases[] = {
    TEST_CASE(find__very_many_keys__takes_a_few_steps_each),
    TEST_CASE(find__very_many_of_one_key__others_are_found_at_once),
    TEST_CASE(remove__from_any_place__keeps_the_order_of_the_rest),
    TEST_CASE(add__memory_is_out__still_finds),
    {0},
};

const struct test_suite test_suites[] = {
    {.name = "index", .cases = cases, .setup = make, .teardown = drop}, {0}};
