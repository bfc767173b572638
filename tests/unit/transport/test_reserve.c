#include "transport/core/reserve.h"

#include "one_node.h"
#include "transport/core/memory.h"

#include <stdlib.h>

/* The host's memory on a node of so many workers, and what each user holds of its reserve. */
struct model {
    struct arena *arena;
    struct memory memory;
    struct reserve reserve;
    uint32_t users;
    struct descriptor_block *blocks; /* held, in any order */
    uint32_t *user_of;               /* of each of them */
    uint32_t count;
};

static void open_model(struct model *model, uint32_t workers)
{
    *model = (struct model){.users = 2 * workers};
    model->arena = one_node(workers, 0);
    TEST_REQUIRE(memory_open(model->arena, workers, &model->memory) == COVEY_OK);
    TEST_REQUIRE(reserve_open(&model->reserve, model->arena, workers, layout_host_reserve(workers),
                              model->users));
    TEST_TRUE(model->reserve.blocks >= model->users);
    model->blocks = calloc(model->reserve.blocks, sizeof(*model->blocks));
    model->user_of = calloc(model->reserve.blocks, sizeof(*model->user_of));
    TEST_REQUIRE(model->blocks && model->user_of);
}

static void close_model(struct model *model)
{
    for (uint32_t i = 0; i < model->count; i++)
        memory_release(&model->memory, &model->blocks[i]);
    free(model->blocks);
    free(model->user_of);
    reserve_close(&model->reserve);
    memory_close(&model->memory);
    arena_destroy(model->arena);
}

static uint32_t count_held(const struct model *model, uint32_t user)
{
    uint32_t held = 0;
    for (uint32_t i = 0; i < model->count; i++)
        held += model->user_of[i] == user;
    return held;
}

static bool take(struct model *model, uint32_t user)
{
    if (!reserve_may_have(&model->reserve, user))
        return false;
    struct descriptor_block *block = &model->blocks[model->count];
    TEST_REQUIRE(memory_allocate_reserve(&model->memory, MEMORY_RESERVE_BYTES, block));
    reserve_give(&model->reserve, user, block);
    model->user_of[model->count++] = user;
    return true;
}

static void give_back(struct model *model, uint32_t i)
{
    memory_release(&model->memory, &model->blocks[i]);
    model->count--;
    model->blocks[i] = model->blocks[model->count];
    model->user_of[i] = model->user_of[model->count];
}

static void reserve__one_takes_all_it_can__each_other_still_has_one(void)
{
    static const uint32_t sizes[] = {1, 2, 48, 63, 64, 200};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        struct model model;
        open_model(&model, sizes[i]);
        while (take(&model, 0)) {
        }
        TEST_EQUAL(model.count, model.reserve.blocks - (model.users - 1));
        for (uint32_t user = 1; user < model.users; user++) {
            TEST_TRUE(take(&model, user));
            TEST_TRUE(!take(&model, user));
        }
        /* What comes back goes to whoever comes. */
        give_back(&model, 0);
        TEST_TRUE(take(&model, model.users - 1));
        TEST_TRUE(!take(&model, 0));
        close_model(&model);
    }
}

static void reserve__used_at_random__who_has_none_can_have_one(void)
{
    struct model model;
    srand(7);
    open_model(&model, 40);
    for (int step = 0; step < 20000; step++) {
        uint32_t user = (uint32_t)(rand() % 100 < 60 ? rand() % 3 : rand()) % model.users;
        if (rand() % 2 && model.count > 0) {
            give_back(&model, (uint32_t)rand() % model.count);
            continue;
        }
        bool had_none = count_held(&model, user) == 0;
        TEST_REQUIRE(take(&model, user) || !had_none);
    }
    close_model(&model);
}

/* Who sends what nobody asked for leaves memory to the others, and to what is asked for. */
static void memory_allocate__unasked__fills_a_share_and_no_more(void)
{
    const uint32_t workers = 2;
    struct arena *arena = one_node(workers, 0);
    struct memory memory;
    TEST_REQUIRE(memory_open(arena, 0, &memory) == COVEY_OK);
    const uint32_t share = (uint32_t)(memory_most_bytes(&memory) / ARENA_SLAB_BYTES) /
                           (2 * (workers + 1)); /* in slabs; the host has one, too */
    const uint32_t most = share * (ARENA_SLAB_BYTES / MEMORY_RESERVE_BYTES);
    TEST_REQUIRE(share > 1);
    struct descriptor_block *blocks = calloc(most + 1ull, sizeof(*blocks));
    TEST_REQUIRE(blocks != NULL);
    for (uint32_t i = 0; i < most; i++)
        TEST_REQUIRE(memory_allocate(&memory, MEMORY_RESERVE_BYTES, MEMORY_UNASKED, &blocks[i]));
    struct descriptor_block *more = &blocks[most];
    TEST_TRUE(!memory_allocate(&memory, MEMORY_RESERVE_BYTES, MEMORY_UNASKED, more));
    TEST_REQUIRE(memory_allocate(&memory, MEMORY_RESERVE_BYTES, MEMORY_OWNED, more));
    for (uint32_t i = 0; i <= most; i++)
        memory_release(&memory, &blocks[i]);
    free(blocks);
    memory_close(&memory);
    arena_destroy(arena);
}

static const struct test_case cases[] = {
    TEST_CASE(reserve__one_takes_all_it_can__each_other_still_has_one),
    TEST_CASE(reserve__used_at_random__who_has_none_can_have_one),
    TEST_CASE(memory_allocate__unasked__fills_a_share_and_no_more),
    {0},
};

const struct test_suite test_suites[] = {{"reserve", cases, NULL, NULL}, {0}};
