/* Blocks that are sent by reference: each holder has one once, until it lets it go. */
#include "one_node.h"
#include "transport/core/comm.h"
#include "transport/core/transfer.h"

#include <string.h>

/* As a collective of the other one would take it and let it go. */
static void let_go(struct engine *engine)
{
    struct covey_list *link = covey_list_pop_front(&engine->strays);
    TEST_REQUIRE(link != NULL);
    engine_message_free(engine, covey_container_of(link, struct message, by_peer));
}

static void engine_send_lent__the_same_block_again__when_it_was_let_go(void)
{
    static const uint32_t ranks[] = {0, 1};
    struct arena *arena = one_node(2, 0);
    struct engine *from = NULL;
    struct engine *to = NULL;
    struct comm *comm = NULL;
    struct descriptor_block block;
    TEST_REQUIRE(engine_create(arena, 0, 0, &from) == COVEY_OK);
    TEST_REQUIRE(engine_create(arena, 1, 0, &to) == COVEY_OK);
    TEST_REQUIRE(comm_create(from, 4, ranks, 2, &comm) == COVEY_OK);
    TEST_REQUIRE(memory_allocate(&from->memory, 1000, MEMORY_OWNED, &block));
    TEST_EQUAL(engine_send_lent(&comm->user, 1, 7, 0, &block), COVEY_OK);
    TEST_EQUAL(engine_send_lent(&comm->user, 1, 7, 0, &block), COVEY_EAGAIN);
    engine_progress(to);
    TEST_EQUAL(engine_send_lent(&comm->user, 1, 7, 0, &block), COVEY_EAGAIN);
    let_go(to);
    TEST_EQUAL(engine_send_lent(&comm->user, 1, 7, 0, &block), COVEY_OK);
    /* Those that did not go took no place in the order. */
    TEST_EQUAL(engine_peer(&comm->user, 1)->send_sequence, 2);
    engine_progress(to);
    let_go(to);
    /* It dies, and its memory is cleaned up before all are told. */
    arena_reap(arena, &ranks[1], 1);
    TEST_EQUAL(engine_send_lent(&comm->user, 1, 7, 0, &block), COVEY_EPEER);
    TEST_TRUE(strstr(from->text, "rank 1") != NULL);
    arena_mark_ended(arena, 1, ARENA_DIED, "killed");
    TEST_EQUAL(engine_send_lent(&comm->user, 1, 7, 0, &block), COVEY_EPEER);
    TEST_TRUE(strstr(from->text, "killed") != NULL);
    engine_destroy(from);
    engine_destroy(to);
    arena_destroy(arena);
}

static const struct test_case cases[] = {
    TEST_CASE(engine_send_lent__the_same_block_again__when_it_was_let_go),
    {0},
};

const struct test_suite test_suites[] = {{.name = "lending", .cases = cases}, {0}};
