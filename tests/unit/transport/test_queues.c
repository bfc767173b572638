/* Inboxes and memory under threads, and under SIGKILL anywhere. */
#include "base/clock.h"
#include "one_node.h"
#include "transport/core/inbox.h"
#include "transport/core/memory.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PRODUCERS = 3, EACH = 20000 };

struct producer {
    struct arena *arena;
    uint32_t endpoint;
    bool blocks;
};

/* A message whose payload, inline or in a block, is its number. */
static void produce(const struct producer *producer, struct memory *memory, uint64_t number)
{
    struct arena *arena = producer->arena;
    struct descriptor descriptor = {.header = {.kind = DESCRIPTOR_MESSAGE,
                                               .payload = DESCRIPTOR_INLINE,
                                               .source = producer->endpoint,
                                               .sequence = number,
                                               .length = sizeof(number)}};
    if (!producer->blocks) {
        memcpy(descriptor.inline_bytes, &number, sizeof(number));
        while (!inbox_post(arena, producer->endpoint, 0, &descriptor))
            sched_yield();
        return;
    }
    descriptor.header.payload = DESCRIPTOR_BLOCK;
    while (!memory_allocate(memory, 1000, MEMORY_UNASKED, &descriptor.block)) {
        memory_trim(memory);
        sched_yield();
    }
    uint64_t *words = memory_bytes(memory, &descriptor.block);
    for (int i = 0; i < 125; i++)
        words[i] = number;
    TEST_TRUE(memory_grant(memory, 0, &descriptor.block) == MEMORY_GRANTED);
    while (!inbox_post(arena, producer->endpoint, 0, &descriptor))
        sched_yield();
    memory_granted(memory);
    memory_release(memory, &descriptor.block);
}

static void *produce_all(void *data)
{
    const struct producer *producer = data;
    struct memory memory;
    if (memory_open(producer->arena, producer->endpoint, &memory) != COVEY_OK)
        return NULL;
    for (uint64_t i = 0; i < EACH; i++)
        produce(producer, &memory, i);
    memory_close(&memory);
    return NULL;
}

static bool is_whole(struct memory *memory, struct descriptor *descriptor)
{
    if (descriptor->header.payload != DESCRIPTOR_BLOCK)
        return memcmp(descriptor->inline_bytes, &descriptor->header.sequence, 8) == 0;
    const uint64_t *words = memory_accept(memory, &descriptor->block);
    bool whole = words != NULL;
    for (int i = 0; whole && i < 125; i++)
        whole = words[i] == descriptor->header.sequence;
    if (words)
        memory_release(memory, &descriptor->block);
    return whole;
}

static void run_threads(bool blocks)
{
    struct arena *arena = one_node(PRODUCERS + 1, 0);
    struct memory memory;
    struct inbox inbox;
    TEST_REQUIRE(memory_open(arena, 0, &memory) == COVEY_OK);
    inbox_open(arena, 0, &inbox);
    pthread_t threads[PRODUCERS];
    struct producer producers[PRODUCERS];
    uint64_t seen[PRODUCERS + 1] = {0};
    uint64_t sum[PRODUCERS + 1] = {0};
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){arena, i + 1, blocks};
        TEST_REQUIRE(pthread_create(&threads[i], NULL, produce_all, &producers[i]) == 0);
    }
    bool whole = true;
    for (uint64_t taken = 0; taken < PRODUCERS * (uint64_t)EACH;) {
        struct descriptor descriptor;
        if (!inbox_take(arena, &inbox, &descriptor)) {
            sched_yield();
            continue;
        }
        taken++;
        whole &= is_whole(&memory, &descriptor);
        seen[descriptor.header.source]++;
        sum[descriptor.header.source] += descriptor.header.sequence;
    }
    for (int i = 0; i < PRODUCERS; i++)
        pthread_join(threads[i], NULL);
    TEST_TRUE(whole);
    for (int i = 1; i <= PRODUCERS; i++)
        TEST_TRUE(seen[i] == EACH && sum[i] == (uint64_t)EACH * (EACH - 1) / 2);
    TEST_TRUE(!inbox_ready(&inbox));
    struct arena_usage usage;
    memory_close(&memory);
    arena_count_usage(arena, &usage);
    TEST_EQUAL(usage.blocks_held, 0);
    arena_destroy(arena);
}

static void inbox__many_producers__loses_and_doubles_nothing(void)
{
    run_threads(false);
}

static void memory__blocks_by_reference__arrive_whole(void)
{
    run_threads(true);
}

static void inbox__owner_died_between__is_stepped_over_and_freed(void)
{
    struct arena *arena = one_node(2, 0);
    struct inbox inbox;
    struct descriptor descriptor = {.header = {.sequence = 5}};
    inbox_open(arena, 0, &inbox);
    /* Endpoint 1 has claimed the first slot, and goes no further. */
    struct layout_slot *slot = &layout_inbox(arena, 0)->slots[0];
    atomic_store(&layout_endpoint(arena, 1)->posting_to, 1);
    atomic_store(&slot->state, UINT64_C(1) << 16 | 1);
    TEST_TRUE(!inbox_take(arena, &inbox, &descriptor));
    TEST_TRUE(inbox_post(arena, 0, 0, &descriptor));
    TEST_TRUE(inbox_take(arena, &inbox, &descriptor) && descriptor.header.sequence == 5);
    for (int i = 0; i < (int)LAYOUT_WORKER_SLOTS - 1; i++)
        TEST_TRUE(inbox_post(arena, 0, 0, &descriptor) == (i < (int)LAYOUT_WORKER_SLOTS - 2));
    while (inbox_take(arena, &inbox, &descriptor)) {
    }
    TEST_TRUE(!inbox_post(arena, 0, 0, &descriptor));
    arena_mark_ended(arena, 1, ARENA_DIED, "");
    arena_reap(arena, &(uint32_t){1}, 1);
    for (int i = 0; i < 3 * (int)LAYOUT_WORKER_SLOTS; i++) {
        TEST_TRUE(inbox_post(arena, 0, 0, &descriptor));
        TEST_TRUE(inbox_take(arena, &inbox, &descriptor));
    }
    arena_destroy(arena);
}

static void allocate__all_sizes__does_not_overlap(void)
{
    struct arena *arena = one_node(1, 64u << 20);
    struct memory memory;
    TEST_REQUIRE(memory_open(arena, 0, &memory) == COVEY_OK);
    enum { MANY = 200 };
    struct descriptor_block blocks[MANY];
    int count = 0;
    for (int i = 0; i < MANY; i++) {
        uint64_t length = 1 + (uint64_t)(i * i) * 97 % 2500000;
        if (!memory_allocate(&memory, length, MEMORY_OWNED, &blocks[count]))
            continue;
        memset(memory_bytes(&memory, &blocks[count]), count, length);
        count++;
    }
    TEST_TRUE(count > 20 && count < MANY);
    for (int i = 0; i < count; i++) {
        const uint8_t *bytes = memory_bytes(&memory, &blocks[i]);
        bool own = true;
        for (uint64_t k = 0; k < blocks[i].length; k++)
            own &= bytes[k] == (uint8_t)i;
        TEST_TRUE(own);
        memory_release(&memory, &blocks[i]);
    }
    struct descriptor_block whole;
    TEST_TRUE(!memory_allocate(&memory, 64u << 20, MEMORY_OWNED, &whole));
    memory_trim(&memory);
    TEST_TRUE(memory_allocate(&memory, 40u << 20, MEMORY_OWNED, &whole));
    memory_release(&memory, &whole);
    memory_close(&memory);
    arena_destroy(arena);
}

static void accept__references_that_lie__are_refused(void)
{
    struct arena *arena = one_node(2, 0);
    struct memory mine;
    struct memory theirs;
    TEST_REQUIRE(memory_open(arena, 0, &mine) == COVEY_OK);
    TEST_REQUIRE(memory_open(arena, 1, &theirs) == COVEY_OK);
    struct descriptor_block block;
    TEST_REQUIRE(memory_allocate(&mine, 5000, MEMORY_OWNED, &block));
    TEST_TRUE(memory_accept(&theirs, &block) == NULL);
    TEST_EQUAL(memory_grant(&mine, 1, &block), MEMORY_GRANTED);
    TEST_EQUAL(memory_grant(&mine, 1, &block), MEMORY_HELD_ALREADY);
    memory_granted(&mine);
    struct descriptor_block bad = block;
    bad.slab = UINT32_MAX;
    TEST_TRUE(memory_accept(&theirs, &bad) == NULL);
    bad = block;
    bad.block = 1024;
    TEST_TRUE(memory_accept(&theirs, &bad) == NULL);
    bad = block;
    bad.start = UINT64_MAX;
    TEST_TRUE(memory_accept(&theirs, &bad) == NULL);
    bad = block;
    bad.length = 8193;
    TEST_TRUE(memory_accept(&theirs, &bad) == NULL);
    TEST_TRUE(memory_accept(&theirs, &block) != NULL);
    TEST_TRUE(memory_accept(&theirs, &block) == NULL);
    memory_release(&mine, &block);
    TEST_TRUE(!memory_alone(&mine, &block));
    memory_release(&theirs, &block);
    memory_close(&theirs);
    memory_close(&mine);
    arena_destroy(arena);
}

/* ---- SIGKILL anywhere ---- */

enum { VICTIMS = 40 };

static void victim(struct arena *arena, uint32_t endpoint)
{
    struct memory memory;
    struct producer producer = {arena, endpoint, true};
    if (memory_open(arena, endpoint, &memory) != COVEY_OK)
        _exit(1);
    for (uint64_t i = 0;; i++) {
        struct descriptor_block block;
        produce(&producer, &memory, i);
        if (i % 7 == 0 && memory_allocate(&memory, 3u << 20, MEMORY_OWNED, &block))
            memory_release(&memory, &block);
    }
}

/* Takes what comes while the victim lives; true if all was whole. */
static bool consume_until(struct arena *arena, struct inbox *inbox, struct memory *memory,
                          int64_t until_ns)
{
    bool whole = true;
    while (covey_now_ns() < until_ns) {
        struct descriptor descriptor;
        while (inbox_take(arena, inbox, &descriptor))
            whole &= is_whole(memory, &descriptor);
        sched_yield();
    }
    return whole;
}

static void reap__killed_at_random__everything_comes_back(void)
{
    struct arena *arena = one_node(VICTIMS + 1, arena_least_bytes(VICTIMS + 1));
    struct memory memory;
    struct inbox inbox;
    TEST_REQUIRE(memory_open(arena, 0, &memory) == COVEY_OK);
    inbox_open(arena, 0, &inbox);
    unsigned seed = 12345;
    for (uint32_t i = 1; i <= VICTIMS; i++) {
        pid_t pid = fork();
        TEST_REQUIRE(pid >= 0);
        if (pid == 0)
            victim(arena, i);
        int64_t life_ns = rand_r(&seed) % 3000 * COVEY_NS_PER_US;
        TEST_TRUE(consume_until(arena, &inbox, &memory, covey_now_ns() + life_ns));
        kill(pid, SIGKILL);
        TEST_EQUAL(waitpid(pid, NULL, 0), pid);
        arena_mark_ended(arena, i, ARENA_DIED, "killed");
        arena_reap(arena, &i, 1);
        memory_audit(&memory);
        TEST_TRUE(consume_until(arena, &inbox, &memory, covey_now_ns() + 1));
        struct descriptor descriptor;
        while (inbox_take(arena, &inbox, &descriptor))
            TEST_TRUE(is_whole(&memory, &descriptor));
        memory_audit_end(&memory);
        struct arena_usage usage;
        arena_count_usage(arena, &usage);
        TEST_EQUAL(usage.blocks_held, 0);
        TEST_EQUAL(usage.slabs_orphaned, 0);
        /* Its reserve, and all it had, is free. */
        TEST_EQUAL(usage.slabs_owned, VICTIMS + 1 - i + layout_host_reserve(VICTIMS + 1));
    }
    memory_close(&memory);
    arena_destroy(arena);
}

/* A flare's node dies: one after another, and all at once. Where the cost of a death grew with
 * those before it this would not end before the test's time is up. */
static void reap__a_thousand_that_held_something__ends(void)
{
    enum { MANY = ARENA_MAX_LOCAL };
    for (uint32_t at_once = 1; at_once <= MANY; at_once += MANY - 1) {
        struct arena *arena = one_node(MANY, 0);
        static uint32_t ranks[MANY];
        for (uint32_t i = 0; i < MANY; i++) {
            struct memory memory;
            struct descriptor_block block;
            ranks[i] = i;
            TEST_REQUIRE(memory_open(arena, i, &memory) == COVEY_OK);
            TEST_REQUIRE(memory_allocate(&memory, 100, MEMORY_OWNED, &block));
            TEST_EQUAL(memory_grant(&memory, (i + 1) % MANY, &block), MEMORY_GRANTED);
            free(memory.next);
            free(memory.known);
            free(memory.suspects);
        }
        for (uint32_t i = 0; i < MANY; i += at_once) {
            struct arena_end end = {.rank = i, .state = ARENA_DIED, .reason = "killed"};
            arena_mark_all_ended(arena, &end, 1);
            arena_reap(arena, ranks + i, at_once);
        }
        struct arena_usage usage;
        arena_count_usage(arena, &usage);
        TEST_EQUAL(usage.blocks_held, 0);
        TEST_EQUAL(usage.slabs_orphaned, 0);
        TEST_EQUAL(usage.slabs_owned, layout_host_reserve(MANY));
        arena_destroy(arena);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(reap__a_thousand_that_held_something__ends),
    TEST_CASE(inbox__many_producers__loses_and_doubles_nothing),
    TEST_CASE(memory__blocks_by_reference__arrive_whole),
    TEST_CASE(inbox__owner_died_between__is_stepped_over_and_freed),
    TEST_CASE(allocate__all_sizes__does_not_overlap),
    TEST_CASE(accept__references_that_lie__are_refused),
    TEST_CASE(reap__killed_at_random__everything_comes_back),
    {0},
};

const struct test_suite test_suites[] = {{.name = "queues", .cases = cases}, {0}};
