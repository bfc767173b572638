#include "transport/core/arena.h"

#include "base/clock.h"
#include "base/memory.h"
#include "one_node.h"
#include "transport/core/host_port.h"
#include "transport/core/layout.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

static enum covey_status create(const struct arena_config *config)
{
    struct arena *arena = NULL;
    struct covey_error error;
    enum covey_status status = arena_create(config, &arena, &error);
    TEST_TRUE(status == COVEY_OK || error.message[0] != '\0');
    arena_destroy(arena);
    return status;
}

static void create__bad_configurations__are_refused(void)
{
    struct arena_pack packs[] = {{0, 2, 0}, {2, 2, 1}};
    struct arena_config good = {
        .worker_count = 4, .node_count = 2, .pack_count = 2, .packs = packs};
    TEST_EQUAL(create(&good), COVEY_OK);
    struct arena_config bad = good;
    bad.worker_count = 5;
    TEST_EQUAL(create(&bad), COVEY_EINVAL);
    bad = good;
    bad.worker_count = 0;
    TEST_EQUAL(create(&bad), COVEY_ELIMIT);
    bad = good;
    bad.node = 2;
    TEST_EQUAL(create(&bad), COVEY_EINVAL);
    bad = good;
    bad.size_bytes = arena_least_bytes(2) - 1;
    TEST_EQUAL(create(&bad), COVEY_EINVAL);
    bad = good;
    bad.flare_id = "0123456789012345678901234567890123456789012345678901234567890123456789";
    TEST_EQUAL(create(&bad), COVEY_EINVAL);
    struct arena_pack gap[] = {{0, 2, 0}, {3, 1, 1}};
    bad = good;
    bad.packs = gap;
    TEST_EQUAL(create(&bad), COVEY_EINVAL);
    struct arena_pack crowd = {0, ARENA_MAX_LOCAL + 1, 0};
    struct arena_config crowded = {
        .worker_count = ARENA_MAX_LOCAL + 1, .node_count = 1, .pack_count = 1, .packs = &crowd};
    TEST_EQUAL(create(&crowded), COVEY_ELIMIT);
}

static void map__shape__is_what_was_created(void)
{
    struct arena_pack packs[] = {{0, 1, 1}, {1, 2, 0}, {3, 1, 1}};
    struct arena_config config = {.flare_id = "flare",
                                  .worker_count = 4,
                                  .node_count = 2,
                                  .node = 1,
                                  .pack_count = 3,
                                  .packs = packs};
    struct arena *made = NULL;
    struct arena *arena = NULL;
    struct covey_error error;
    TEST_REQUIRE(arena_create(&config, &made, &error) == COVEY_OK);
    TEST_REQUIRE(arena_map(arena_fd(made), &arena, &error) == COVEY_OK);
    TEST_EQUAL_STRING(arena_flare_id(arena), "flare");
    TEST_EQUAL(arena_worker_count(arena), 4);
    TEST_EQUAL(arena_node_count(arena), 2);
    TEST_EQUAL(arena_node(arena), 1);
    TEST_EQUAL(arena_pack_count(arena), 3);
    TEST_EQUAL(arena_local_count(arena), 2);
    TEST_EQUAL(arena_node_of(arena, 2), 0);
    TEST_EQUAL(arena_pack_of(arena, 3), 2);
    TEST_EQUAL(arena_rank_of(arena, 1), 3);
    uint32_t local;
    TEST_TRUE(arena_local_of(arena, 3, &local) && local == 1);
    TEST_TRUE(!arena_local_of(arena, 1, &local));
    uint32_t slabs;
    TEST_EQUAL((uintptr_t)arena_slabs(arena, &slabs) % 4096, 0);
    TEST_TRUE(slabs >= arena_least_bytes(2) / ARENA_SLAB_BYTES);
    arena_destroy(arena);
    arena_destroy(made);
}

/* Whatever a worker writes into the header, who maps it later is not misled. */
static void map__header_is_scribbled_over__is_refused(void)
{
    struct arena *made = one_node(2, 0);
    struct covey_error error;
    struct arena *arena = NULL;
    struct layout_shape good = layout_header(made)->shape;
    for (size_t at = 0; at < offsetof(struct layout_shape, flare_id); at += 4) {
        uint32_t value = 0xfffffff0;
        memcpy((char *)&layout_header(made)->shape + at, &value, sizeof(value));
        enum covey_status status = arena_map(arena_fd(made), &arena, &error);
        /* The reserved word says nothing. */
        TEST_TRUE(status != COVEY_OK || at == offsetof(struct layout_shape, reserved));
        if (status == COVEY_OK)
            arena_destroy(arena);
        layout_header(made)->shape = good;
    }
    layout_header(made)->shape.slab_count++;
    TEST_EQUAL(arena_map(arena_fd(made), &arena, &error), COVEY_EPROTO);
    layout_header(made)->shape = good;
    struct layout_pack *pack = (struct layout_pack *)(made->base + made->layout.packs);
    pack->worker_count = 3;
    TEST_EQUAL(arena_map(arena_fd(made), &arena, &error), COVEY_EPROTO);
    arena_destroy(made);
    int fd = memfd_create("no-arena", MFD_CLOEXEC);
    TEST_EQUAL(arena_map(fd, &arena, &error), COVEY_EPROTO);
    TEST_EQUAL(ftruncate(fd, 1 << 20), 0);
    TEST_EQUAL(arena_map(fd, &arena, &error), COVEY_EPROTO);
    close(fd);
    TEST_TRUE(arena_map(-1, &arena, &error) != COVEY_OK);
}

static void memory__is_sealed__cannot_be_resized(void)
{
    struct arena *arena = one_node(1, 0);
    TEST_EQUAL(ftruncate(arena_fd(arena), 0), -1);
    TEST_EQUAL(errno, EPERM);
    arena_destroy(arena);
}

static void gate__opened_or_shut__ends_the_wait(void)
{
    struct arena *arena = one_node(1, 0);
    TEST_EQUAL(arena_wait_gate(arena, covey_now_ns() + COVEY_NS_PER_MS), COVEY_ETIMEOUT);
    arena_open_gate(arena);
    arena_shut_gate(arena);
    TEST_EQUAL(arena_wait_gate(arena, COVEY_NEVER_NS), COVEY_OK);
    arena_destroy(arena);
    arena = one_node(1, 0);
    arena_shut_gate(arena);
    arena_open_gate(arena);
    TEST_EQUAL(arena_wait_gate(arena, COVEY_NEVER_NS), COVEY_ECANCELLED);
    arena_destroy(arena);
}

static void mark_ended__the_first_word__counts(void)
{
    struct arena *arena = one_node(3, 0);
    char reason[ARENA_REASON_BYTES];
    TEST_EQUAL(arena_rank_state(arena, 1), ARENA_STARTING);
    arena_mark_running(arena, 1);
    TEST_EQUAL(arena_rank_state(arena, 1), ARENA_RUNNING);
    arena_rank_reason(arena, 1, reason);
    TEST_EQUAL_STRING(reason, "");
    uint32_t epoch = arena_epoch(arena);
    arena_mark_ended(arena, 1, ARENA_DIED, "killed\nby signal 9");
    TEST_TRUE(arena_epoch(arena) != epoch);
    epoch = arena_epoch(arena);
    arena_mark_ended(arena, 1, ARENA_DONE, "later");
    arena_mark_running(arena, 1);
    TEST_EQUAL(arena_epoch(arena), epoch);
    TEST_EQUAL(arena_rank_state(arena, 1), ARENA_DIED);
    arena_rank_reason(arena, 1, reason);
    TEST_EQUAL_STRING(reason, "killed?by signal 9");
    arena_mark_node_died(arena, 0, "node lost");
    TEST_EQUAL(arena_rank_state(arena, 2), ARENA_DIED);
    arena_rank_reason(arena, 1, reason);
    TEST_EQUAL_STRING(reason, "killed?by signal 9");
    arena_rank_reason(arena, 2, reason);
    TEST_EQUAL_STRING(reason, "node lost");
    arena_destroy(arena);
}

static void wake_all__host_sleeps__writes_its_event(void)
{
    struct arena *arena = one_node(1, 0);
    int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    TEST_EQUAL(arena_set_host_event(arena, event), COVEY_OK);
    arena_wake_all(arena);
    uint64_t count = 0;
    TEST_EQUAL(read(event, &count, sizeof(count)), sizeof(count));
    TEST_TRUE(count > 0);
    close(event);
    arena_destroy(arena);
}

static void create__memory_runs_out_anywhere__fails_cleanly(void)
{
    struct arena_pack pack = {.worker_count = 2};
    struct arena_config config = {
        .worker_count = 2, .node_count = 1, .pack_count = 1, .packs = &pack};
    enum covey_status status = COVEY_ENOMEM;
    int64_t limit = 0;
    for (; status != COVEY_OK && limit < 1000; limit++) {
        struct arena *arena = NULL;
        struct arena *again = NULL;
        struct host_port *port = NULL;
        struct covey_error error;
        covey_memory_fail_after(limit);
        status = arena_create(&config, &arena, &error);
        if (!status)
            status = arena_map(arena_fd(arena), &again, &error);
        if (!status)
            status = host_port_create(arena, &port, &error);
        covey_memory_fail_after(-1);
        host_port_destroy(port);
        arena_destroy(again);
        arena_destroy(arena);
    }
    TEST_EQUAL(status, COVEY_OK);
    TEST_TRUE(limit > 10);
}

static const struct test_case cases[] = {
    TEST_CASE(create__memory_runs_out_anywhere__fails_cleanly),
    TEST_CASE(create__bad_configurations__are_refused),
    TEST_CASE(map__shape__is_what_was_created),
    TEST_CASE(map__header_is_scribbled_over__is_refused),
    TEST_CASE(memory__is_sealed__cannot_be_resized),
    TEST_CASE(gate__opened_or_shut__ends_the_wait),
    TEST_CASE(mark_ended__the_first_word__counts),
    TEST_CASE(wake_all__host_sleeps__writes_its_event),
    {0},
};

const struct test_suite test_suites[] = {{.name = "arena", .cases = cases}, {0}};
