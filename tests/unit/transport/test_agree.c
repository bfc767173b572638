/* Agreements on members of which nearly all have died, so that two threads are a large
 * communicator: a set of members goes in parts. */
#include "base/clock.h"
#include "one_node.h"
#include "transport/core/agree.h"

#include <pthread.h>
#include <stdlib.h>

#define WORKERS 700u

struct member {
    struct arena *arena;
    uint32_t rank;
    enum covey_status status;
    uint32_t count;
    uint32_t ranks[2];
    pthread_t thread;
};

static void *shrink(void *data)
{
    struct member *member = data;
    struct engine *engine = NULL;
    struct comm *comm = NULL;
    uint32_t all[WORKERS];
    for (uint32_t i = 0; i < WORKERS; i++)
        all[i] = i;
    member->status = engine_create(member->arena, member->rank, 60 * COVEY_NS_PER_S, &engine);
    if (!member->status)
        member->status = comm_create(engine, 4, all, WORKERS, &comm);
    uint32_t *ranks = NULL;
    uint32_t number = 0;
    if (!member->status)
        member->status = agree_on_members(comm, &ranks, &member->count, &number);
    for (uint32_t i = 0; ranks && i < member->count && i < 2; i++)
        member->ranks[i] = ranks[i];
    free(ranks);
    engine_destroy(engine);
    return NULL;
}

static void agree_on_members__more_than_a_part_names__all_hear_of_each(void)
{
    struct arena *arena = one_node(WORKERS, 0);
    struct member members[] = {{.arena = arena, .rank = 3}, {.arena = arena, .rank = WORKERS - 1}};
    for (uint32_t rank = 0; rank < WORKERS; rank++) {
        if (rank != members[0].rank && rank != members[1].rank)
            arena_mark_ended(arena, rank, ARENA_DIED, "killed");
    }
    for (int i = 0; i < 2; i++)
        TEST_REQUIRE(pthread_create(&members[i].thread, NULL, shrink, &members[i]) == 0);
    for (int i = 0; i < 2; i++) {
        pthread_join(members[i].thread, NULL);
        TEST_EQUAL(members[i].status, COVEY_OK);
        TEST_EQUAL(members[i].count, 2);
        TEST_EQUAL(members[i].ranks[0], members[0].rank);
        TEST_EQUAL(members[i].ranks[1], members[1].rank);
    }
    arena_destroy(arena);
}

static const struct test_case cases[] = {
    TEST_CASE(agree_on_members__more_than_a_part_names__all_hear_of_each),
    {0},
};

const struct test_suite test_suites[] = {{.name = "agree", .cases = cases}, {0}};
