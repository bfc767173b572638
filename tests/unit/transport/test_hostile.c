/* What a worker can do to others by a store into the arena: nothing that hangs or floods them, or
 * leads them outside it. */
#include "base/log.h"
#include "one_node.h"
#include "transport/core/host_port.h"
#include "transport/core/inbox.h"
#include "transport/core/memory.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void inbox_take__slots_claim_to_be_laps_ahead__ends(void)
{
    struct arena *arena = one_node(2, 0);
    for (uint32_t endpoint = 0; endpoint <= 2; endpoint++) {
        struct inbox inbox;
        struct descriptor descriptor;
        inbox_open(arena, endpoint, &inbox);
        for (uint32_t i = 0; i < inbox.slots; i++)
            atomic_store(&inbox.shared->slots[i].state, UINT64_C(1) << 62);
        TEST_TRUE(!inbox_take(arena, &inbox, &descriptor));
        TEST_TRUE(!inbox_ready(&inbox));
        TEST_TRUE(!inbox_post(arena, 0, endpoint, &descriptor));
        /* One that is put right is used again. */
        uint64_t lap = atomic_load(&inbox.shared->tail) / inbox.slots + 1;
        atomic_store(&inbox.shared->slots[1].state, lap << 18);
        descriptor = (struct descriptor){.header = {.sequence = 9}};
        TEST_TRUE(inbox_post(arena, 0, endpoint, &descriptor));
        bool taken = false;
        for (uint64_t i = 0; i <= lap && !taken; i++)
            taken = inbox_take(arena, &inbox, &descriptor);
        TEST_TRUE(taken && descriptor.header.sequence == 9);
    }
    arena_destroy(arena);
}

/* All of a lap was claimed by workers that died, and freed before anybody looked. */
static void inbox_take__a_whole_lap_was_reaped__finds_the_next(void)
{
    struct arena *arena = one_node(1, 0);
    struct inbox inbox;
    struct descriptor descriptor = {.header = {.sequence = 7}};
    inbox_open(arena, 0, &inbox);
    for (uint32_t i = 0; i < inbox.slots; i++)
        atomic_store(&inbox.shared->slots[i].state, UINT64_C(1) << 18);
    TEST_TRUE(inbox_post(arena, 0, 0, &descriptor));
    TEST_TRUE(inbox_ready(&inbox));
    TEST_TRUE(inbox_take(arena, &inbox, &descriptor));
    arena_destroy(arena);
}

static void tail__is_anywhere__claims_end(void)
{
    struct arena *arena = one_node(1, 0);
    struct inbox inbox;
    struct descriptor descriptor = {0};
    inbox_open(arena, 0, &inbox);
    static const uint64_t tails[] = {UINT64_MAX, UINT64_MAX - 3, UINT64_C(1) << 46, 12345678};
    for (size_t i = 0; i < sizeof(tails) / sizeof(*tails); i++) {
        atomic_store(&inbox.shared->tail, tails[i]);
        bool posted = inbox_post(arena, 0, 0, &descriptor);
        TEST_TRUE(!posted || inbox_take(arena, &inbox, &descriptor));
    }
    arena_destroy(arena);
}

struct scribbler {
    _Atomic uint32_t *word;
    _Atomic bool stop;
};

static void *scribble(void *data)
{
    struct scribbler *scribbler = data;
    for (uint32_t i = 0; !atomic_load(&scribbler->stop); i++)
        atomic_store(scribbler->word, i % 2);
    return NULL;
}

static void mark_ended__state_is_scribbled_over__ends(void)
{
    struct arena *arena = one_node(1000, 0);
    for (uint32_t rank = 0; rank < 1000; rank++) {
        struct scribbler scribbler = {.word = &layout_rank(arena, rank)->state};
        pthread_t thread;
        TEST_REQUIRE(pthread_create(&thread, NULL, scribble, &scribbler) == 0);
        arena_mark_ended(arena, rank, ARENA_DIED, "killed");
        atomic_store(&scribbler.stop, true);
        pthread_join(thread, NULL);
    }
    TEST_EQUAL(arena_epoch(arena), 1000);
    arena_destroy(arena);
}

/* The kind of a slab changes after a reference into it was checked. */
static void bytes__the_slab_changes_its_kind__stay_inside(void)
{
    struct arena *arena = one_node(2, 0);
    struct memory mine;
    TEST_REQUIRE(memory_open(arena, 0, &mine) == COVEY_OK);
    uint32_t count;
    uint8_t *start = arena_slabs(arena, &count);
    const uint8_t *end = start + (uint64_t)count * ARENA_SLAB_BYTES;
    /* Two slabs at the arena's very end. */
    struct descriptor_block block = {.slab = count - 2, .length = 2u << 20};
    struct layout_slab *slab = layout_slab(arena, block.slab);
    atomic_store(&slab->extent, 2);
    atomic_store(&slab->kind, LAYOUT_KIND_FIRST);
    atomic_fetch_or(layout_holders(arena, block.slab, 0), 1);
    TEST_TRUE(memory_accept(&mine, &block) == start + (uint64_t)(count - 2) * ARENA_SLAB_BYTES);
    static const uint32_t kinds[] = {0, 1, 10, 11, 63, LAYOUT_KIND_FIRST, LAYOUT_KIND_REST, 999};
    for (uint32_t number = 0; number <= LAYOUT_SLAB_BLOCKS; number += 512) {
        block.block = number;
        for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
            atomic_store(&slab->kind, kinds[i]);
            atomic_store(&slab->extent, UINT32_MAX);
            const uint8_t *bytes = memory_bytes(&mine, &block);
            TEST_TRUE(bytes >= start && bytes + block.length <= end);
        }
    }
    memory_close(&mine);
    arena_destroy(arena);
}

enum { FLOOD = 5000 };

/* Lines that are written to standard error while FLOOD malformed messages are taken. */
static int lines_of_a_flood(void)
{
    struct arena *arena = one_node(1, 0);
    struct host_port *port = NULL;
    struct covey_error error;
    int fds[2];
    int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    TEST_REQUIRE(pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0);
    TEST_REQUIRE(host_port_create(arena, &port, &error) == COVEY_OK);
    TEST_REQUIRE(dup2(fds[1], STDERR_FILENO) == STDERR_FILENO);
    bool posted = true;
    for (int i = 0; i < FLOOD; i++) {
        struct descriptor descriptor = {.header = {.kind = 999}};
        struct host_outgoing outgoing;
        posted &= inbox_post(arena, 0, 1, &descriptor);
        posted &= !host_port_poll(port, &outgoing);
    }
    host_port_destroy(port);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fds[1]);
    TEST_TRUE(posted);
    static char text[65536];
    ssize_t length = read(fds[0], text, sizeof(text) - 1);
    close(fds[0]);
    text[length > 0 ? length : 0] = '\0';
    arena_destroy(arena);
    int lines = 0;
    for (const char *at = text; (at = strchr(at, '\n')); at++)
        lines++;
    char last[64];
    (void)snprintf(last, sizeof(last), "count=%d\n", FLOOD - COVEY_LOG_BURST);
    TEST_TRUE(strstr(text, last) != NULL);
    return lines;
}

static void host_port_poll__worker_floods_it_with_rubbish__says_so_a_few_times(void)
{
    TEST_EQUAL(lines_of_a_flood(), COVEY_LOG_BURST + 1);
}

static const struct test_case cases[] = {
    TEST_CASE(inbox_take__slots_claim_to_be_laps_ahead__ends),
    TEST_CASE(inbox_take__a_whole_lap_was_reaped__finds_the_next),
    TEST_CASE(tail__is_anywhere__claims_end),
    TEST_CASE(mark_ended__state_is_scribbled_over__ends),
    TEST_CASE(bytes__the_slab_changes_its_kind__stay_inside),
    TEST_CASE(host_port_poll__worker_floods_it_with_rubbish__says_so_a_few_times),
    {0},
};

const struct test_suite test_suites[] = {{.name = "hostile", .cases = cases}, {0}};
