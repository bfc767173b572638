#include "base/list.h"
#include "tests/harness/harness.h"

struct item {
    int number;
    struct covey_list node;
};

static struct item *item_of(struct covey_list *node)
{
    return covey_container_of(node, struct item, node);
}

static void push__back_and_front__keeps_the_order(void)
{
    struct covey_list head;
    struct item items[4] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}};
    covey_list_init(&head);
    TEST_TRUE(covey_list_empty(&head));
    covey_list_push_back(&head, &items[1].node);
    covey_list_push_back(&head, &items[2].node);
    covey_list_push_front(&head, &items[0].node);
    covey_list_push_back(&head, &items[3].node);
    int expected = 0;
    covey_list_for_each (node, &head) {
        TEST_EQUAL(item_of(node)->number, expected);
        expected++;
    }
    TEST_EQUAL(expected, 4);
    int last = 3;
    for (struct covey_list *node = head.previous; node != &head; node = node->previous)
        TEST_EQUAL(item_of(node)->number, last--);
}

static void pop_front__until_empty__then_null(void)
{
    struct covey_list head;
    struct item items[2] = {{.number = 0}, {.number = 1}};
    covey_list_init(&head);
    TEST_TRUE(covey_list_pop_front(&head) == NULL);
    covey_list_push_back(&head, &items[0].node);
    covey_list_push_back(&head, &items[1].node);
    TEST_TRUE(covey_list_pop_front(&head) == &items[0].node);
    TEST_TRUE(covey_list_empty(&items[0].node));
    TEST_TRUE(covey_list_pop_front(&head) == &items[1].node);
    TEST_TRUE(covey_list_pop_front(&head) == NULL);
}

static void remove__twice__is_harmless(void)
{
    struct covey_list head;
    struct item items[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    covey_list_init(&head);
    for (int i = 0; i < 3; i++)
        covey_list_push_back(&head, &items[i].node);
    covey_list_remove(&items[1].node);
    covey_list_remove(&items[1].node);
    TEST_TRUE(head.next == &items[0].node && items[0].node.next == &items[2].node);
    TEST_TRUE(head.previous == &items[2].node && items[2].node.previous == &items[0].node);
}

static void for_each_safe__body_removes__visits_all(void)
{
    struct covey_list head;
    struct item items[5];
    covey_list_init(&head);
    for (int i = 0; i < 5; i++) {
        items[i].number = i;
        covey_list_push_back(&head, &items[i].node);
    }
    int visited = 0;
    covey_list_for_each_safe (node, after, &head) {
        visited++;
        if (item_of(node)->number % 2 == 0)
            covey_list_remove(node);
    }
    TEST_EQUAL(visited, 5);
    TEST_EQUAL(item_of(head.next)->number, 1);
    TEST_EQUAL(item_of(head.previous)->number, 3);
}

static const struct test_case cases[] = {
    TEST_CASE(push__back_and_front__keeps_the_order),
    TEST_CASE(pop_front__until_empty__then_null),
    TEST_CASE(remove__twice__is_harmless),
    TEST_CASE(for_each_safe__body_removes__visits_all),
    {0},
};

const struct test_suite test_suites[] = {{"list", cases, NULL, NULL}, {0}};
