/* What dies, what disagrees, what is full: nobody hangs, and the memory comes back. */
#include "base/clock.h"
#include "tests/harness/harness.h"
#include "world.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static bool says(struct covey_ctx *ctx, const char *text)
{
    bool found = strstr(covey_error_text(ctx), text) != NULL;
    if (!found)
        fprintf(stderr, "rank %d: no \"%s\" in \"%s\"\n", covey_rank(ctx), text,
                covey_error_text(ctx));
    return found;
}

/* What came of a call, where it is not what had to come of it. */
static bool is(struct covey_ctx *ctx, enum covey_status status, enum covey_status wanted)
{
    if (status != wanted)
        fprintf(stderr, "rank %d: %s instead of %s, last said: %s\n", covey_rank(ctx),
                covey_status_name(status), covey_status_name(wanted), covey_error_text(ctx));
    return status == wanted;
}

static void wait_for_flag(const _Atomic int64_t *flag, int64_t value)
{
    while (atomic_load(flag) < value)
        sched_yield();
}

static void raise_flag(_Atomic int64_t *flag)
{
    atomic_fetch_add(flag, 1);
}

/* ---- death at each fault point ---- */

static enum covey_status work(struct covey_ctx *ctx, char *bytes)
{
    struct covey_comm *comm = covey_world(ctx);
    int64_t sum = 1;
    size_t block = 9000;
    enum covey_status status =
        covey_allreduce(comm, COVEY_IN_PLACE, &sum, 1, COVEY_INT64, COVEY_SUM);
    if (!status)
        status = covey_bcast(comm, bytes, 200000, covey_size(ctx) - 1);
    if (!status)
        status = covey_alltoall(comm, bytes, block, bytes + 200000);
    if (!status)
        status = covey_gather(comm, bytes, block, bytes + 200000, 0);
    return status ? status : covey_barrier(comm);
}

/* All that is left exchange messages, without communicators that are broken. */
static void survive(struct covey_ctx *ctx, char *bytes)
{
    int next[] = {2, -1, 3, 0};
    int previous[] = {3, -1, 0, 2};
    int rank = covey_rank(ctx);
    static const size_t sizes[] = {8, 4096, 300000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
        WORLD_OK(covey_sendrecv(covey_world(ctx), bytes, sizes[i], next[rank], 9, bytes + 500000,
                                sizes[i], previous[rank], 9, NULL));
}

static void until_death(struct covey_ctx *ctx, void *data)
{
    (void)data;
    char *bytes = calloc(1, 1 << 20);
    enum covey_status status = COVEY_OK;
    for (int i = 0; i < 100000 && !status; i++)
        status = work(ctx, bytes);
    WORLD_CHECK(is(ctx, status, COVEY_EPEER));
    WORLD_CHECK(says(ctx, "rank 1"));
    /* It stays so. */
    WORLD_CHECK(is(ctx, covey_barrier(covey_world(ctx)), COVEY_EPEER));
    survive(ctx, bytes);
    free(bytes);
}

static void collectives__a_member_is_killed_anywhere__fail_and_give_memory_back(void)
{
    static const char *const points[] = {"worker_claim", "worker_publish", "worker_allocate",
                                         "worker_collective"};
    static const int passes[] = {1, 2, 5, 23};
    for (size_t point = 0; point < sizeof(points) / sizeof(*points); point++) {
        for (size_t i = 0; i < sizeof(passes) / sizeof(*passes); i++) {
            for (int nodes = 1; nodes <= 2; nodes++) {
                char fault[64];
                /* It claims a slab only now and then. */
                int pass = strcmp(points[point], "worker_allocate") == 0 ? 1 : passes[i];
                snprintf(fault, sizeof(fault), "%s:%d:kill", points[point], pass);
                struct world world = world_default(4, nodes);
                world.pack_size = nodes == 1 ? 4 : 2;
                world.fault = fault;
                world.fault_rank = 1;
                world.killed = 1;
                world_run(&world, until_death, NULL);
            }
        }
    }
}

static void die(int signal_number)
{
    (void)signal_number;
    kill(getpid(), SIGKILL);
}

/* Rank 1 dies at a moment of the timer's choice. */
static void until_alarm(struct covey_ctx *ctx, void *data)
{
    const long *life_us = data;
    if (covey_rank(ctx) == 1) {
        struct itimerval life = {.it_value = {.tv_usec = *life_us}};
        signal(SIGALRM, die);
        setitimer(ITIMER_REAL, &life, NULL);
    }
    until_death(ctx, NULL);
}

static void collectives__a_member_is_killed_any_time__fail_and_give_memory_back(void)
{
    unsigned seed = 4711;
    for (int i = 0; i < 40; i++) {
        long life_us = 1 + rand_r(&seed) % 4000;
        struct world world = world_default(4, 1 + i % 2);
        world.pack_size = i % 4 < 2 ? 1 : 2;
        world.killed = 1;
        world_run(&world, until_alarm, &life_us);
    }
}

/* ---- death and point to point ---- */

static void die_after_sending(struct covey_ctx *ctx, void *data)
{
    (void)data;
    struct covey_comm *comm = covey_world(ctx);
    int value = 7;
    _Atomic int64_t *flag = world_shared();
    char *large = calloc(1, 1 << 20);
    if (covey_rank(ctx) == 1) {
        WORLD_OK(covey_send(comm, &value, sizeof(value), 0, 1));
        WORLD_OK(covey_send(comm, large, 10000, 0, 2));
        wait_for_flag(flag, 1);
        kill(getpid(), SIGKILL);
    }
    if (covey_rank(ctx) == 0) {
        struct covey_request *request = NULL;
        WORLD_OK(covey_irecv(comm, &value, sizeof(value), 1, 3, &request));
        raise_flag(flag);
        int64_t start = test_rested_ns();
        WORLD_CHECK(covey_wait(&request, NULL) == COVEY_EPEER);
        WORLD_CHECK(test_rested_ns() - start < 2 * COVEY_NS_PER_S);
        WORLD_CHECK(says(ctx, "rank 1") && says(ctx, "signal 9"));
        /* What was sent before comes all the same. */
        WORLD_OK(covey_recv(comm, &value, sizeof(value), COVEY_ANY_SOURCE, COVEY_ANY_TAG, NULL));
        WORLD_OK(covey_recv(comm, large, 1 << 20, 1, 2, NULL));
        WORLD_CHECK(covey_recv(comm, &value, sizeof(value), 1, 1, NULL) == COVEY_EPEER);
        WORLD_CHECK(covey_recv(comm, &value, sizeof(value), COVEY_ANY_SOURCE, 1, NULL) ==
                    COVEY_EPEER);
        WORLD_CHECK(covey_send(comm, large, 1 << 20, 1, 1) == COVEY_EPEER);
        WORLD_CHECK(covey_send(comm, &value, sizeof(value), 1, 1) == COVEY_EPEER);
        WORLD_CHECK(says(ctx, "signal 9"));
        WORLD_CHECK(covey_probe(comm, 1, COVEY_ANY_TAG, NULL) == COVEY_EPEER);
    }
    free(large);
}

static void recv__source_is_killed__delivers_what_was_sent_then_fails(void)
{
    for (int nodes = 1; nodes <= 2; nodes++) {
        struct world world = world_default(3, nodes);
        world.pack_size = 1;
        world.killed = 1;
        world_run(&world, die_after_sending, NULL);
    }
}

/* Killed in the middle of a large transfer, as sender and as receiver. */
static void die_in_transfer(struct covey_ctx *ctx, void *data)
{
    const int *sender = data;
    struct covey_comm *comm = covey_world(ctx);
    size_t length = 64 << 20;
    char *bytes = calloc(1, length);
    enum covey_status status = covey_rank(ctx) == *sender
                                   ? covey_send(comm, bytes, length, 1 - *sender, 0)
                                   : covey_recv(comm, bytes, length, *sender, 0, NULL);
    WORLD_CHECK(status == COVEY_EPEER);
    WORLD_CHECK(says(ctx, "rank 1"));
    free(bytes);
}

static void transfer__a_side_is_killed__the_other_fails(void)
{
    for (int sender = 0; sender <= 1; sender++) {
        for (int nodes = 1; nodes <= 2; nodes++) {
            struct world world = world_default(2, nodes);
            world.fault = sender == 1 ? "worker_claim:40:kill" : "worker_claim:1:kill";
            world.fault_rank = 1;
            world.killed = 1;
            world_run(&world, die_in_transfer, &sender);
        }
    }
}

static void leave_early(struct covey_ctx *ctx, void *data)
{
    (void)data;
    struct covey_comm *comm = covey_world(ctx);
    char byte = 1;
    if (covey_rank(ctx) != 0) {
        WORLD_OK(covey_send(comm, &byte, 1, 0, 0));
        return;
    }
    for (int i = 1; i < covey_size(ctx); i++)
        WORLD_OK(covey_recv(comm, &byte, 1, COVEY_ANY_SOURCE, 0, NULL));
    WORLD_CHECK(covey_recv(comm, &byte, 1, COVEY_ANY_SOURCE, 0, NULL) == COVEY_EPEER);
    WORLD_CHECK(says(ctx, "ended"));
    WORLD_CHECK(covey_recv(comm, &byte, 1, 1, 0, NULL) == COVEY_EPEER);
    WORLD_CHECK(says(ctx, "rank 1"));
    WORLD_CHECK(covey_send(comm, &byte, 1, 2, 0) == COVEY_EPEER);
    WORLD_CHECK(says(ctx, "has ended"));
    WORLD_CHECK(covey_barrier(comm) == COVEY_EPEER);
}

static void recv__sources_have_ended__fails_after_their_messages(void)
{
    for (int nodes = 1; nodes <= 2; nodes++) {
        struct world world = world_default(3, nodes);
        world_run(&world, leave_early, NULL);
    }
}

/* ---- disagreement ---- */

static void disagree(struct covey_ctx *ctx, void *data)
{
    const int *how = data;
    struct covey_comm *comm = covey_world(ctx);
    bool odd = covey_rank(ctx) == 1;
    int64_t value = 1;
    int64_t out[16] = {0};
    enum covey_status status = COVEY_OK;
    switch (*how) {
    case 0: /* the operation */
        status = odd ? covey_allreduce(comm, &value, out, 1, COVEY_INT64, COVEY_SUM)
                     : covey_barrier(comm);
        break;
    case 1: /* the root */
        status = covey_scatter(comm, out, &value, sizeof(value), odd ? 1 : 0);
        break;
    case 2: /* the operator */
        status = covey_allreduce(comm, &value, out, 1, COVEY_INT64, odd ? COVEY_MAX : COVEY_SUM);
        break;
    case 3: /* the type */
        status = covey_allreduce(comm, &value, out, 1, odd ? COVEY_DOUBLE : COVEY_INT64, COVEY_SUM);
        break;
    case 4: /* the length */
        status = covey_allgather(comm, &value, odd ? 4 : 8, out);
        break;
    default: { /* what one sends the other */
        size_t ones[] = {8, 8, 8};
        size_t offsets[] = {0, 8, 16};
        size_t wrong[] = {8, 8, odd ? 4 : 8};
        int64_t in[3] = {0};
        status = covey_alltoallv(comm, in, wrong, offsets, out, ones, offsets);
        break;
    }
    }
    /* Not everybody can see it at once, but all hear of it. */
    WORLD_CHECK(status == COVEY_OK || is(ctx, status, COVEY_EMISMATCH));
    WORLD_CHECK(is(ctx, covey_barrier(comm), COVEY_EMISMATCH));
}

static void collectives__members_disagree__are_told(void)
{
    for (int nodes = 1; nodes <= 2; nodes++) {
        for (int how = 0; how <= 5; how++) {
            struct world world = world_default(3, nodes);
            world.pack_size = nodes == 1 ? 3 : 2;
            world_run(&world, disagree, &how);
        }
    }
}

/* ---- patience ---- */

static void miss_one(struct covey_ctx *ctx, void *data)
{
    _Atomic int64_t *flag = world_shared();
    WORLD_OK(covey_barrier(covey_world(ctx)));
    if (covey_rank(ctx) == 2) {
        wait_for_flag(flag, 3);
        return;
    }
    covey_comm_set_timeout(covey_world(ctx), *(const int64_t *)data);
    WORLD_CHECK(covey_barrier(covey_world(ctx)) == COVEY_ETIMEOUT);
    if (!says(ctx, "not arrived: 2;") || !says(ctx, "arrived: 0 1 3"))
        world_too_slow();
    raise_flag(flag);
    /* Who leaves first must not be what the others report. */
    wait_for_flag(flag, 3);
}

static void barrier__a_member_does_not_come__names_it(void)
{
    struct world world = world_default(4, 1);
    world_run_patiently(&world, miss_one);
}

/* ---- full ---- */

enum { FLOOD = 2000 };

static void flood(struct covey_ctx *ctx, void *data)
{
    (void)data;
    struct covey_comm *comm = covey_world(ctx);
    _Atomic int64_t *flag = world_shared();
    int64_t value = 0;
    if (covey_rank(ctx) == 0) {
        struct covey_request **requests = calloc(FLOOD, sizeof(struct covey_request *));
        for (int64_t i = 0; i < FLOOD; i++)
            WORLD_OK(covey_isend(comm, &i, sizeof(i), 1, 0, &requests[i]));
        WORLD_CHECK(requests[FLOOD - 1] != NULL);
        WORLD_CHECK(covey_test(&requests[FLOOD - 1], NULL) == COVEY_EAGAIN);
        /* One full receiver does not stop the way to another. */
        WORLD_OK(covey_send(comm, &value, sizeof(value), 2, 0));
        WORLD_OK(covey_recv(comm, &value, sizeof(value), 2, 0, NULL));
        raise_flag(flag);
        WORLD_OK(covey_wait_all(requests, FLOOD));
        free(requests);
    } else if (covey_rank(ctx) == 1) {
        wait_for_flag(flag, 1);
        for (int64_t i = 0; i < FLOOD; i++) {
            WORLD_OK(covey_recv(comm, &value, sizeof(value), 0, 0, NULL));
            WORLD_CHECK(value == i);
        }
    } else {
        WORLD_OK(covey_recv(comm, &value, sizeof(value), 0, 0, NULL));
        WORLD_OK(covey_send(comm, &value, sizeof(value), 0, 0));
    }
}

static void isend__receiver_is_full__queues_and_keeps_order(void)
{
    struct world world = world_default(3, 1);
    world_run(&world, flood, NULL);
}

/* The context's patience, which is short, is that of allocations; transfers, which must not fail,
 * have the communicator's. */
static void fill_memory(struct covey_ctx *ctx, void *data)
{
    (void)data;
    struct covey_comm *comm = covey_world(ctx);
    enum { MOST = 64, LENGTH = 3 << 20 };
    struct covey_buf *bufs[MOST] = {0};
    char *bytes = malloc(LENGTH);
    covey_comm_set_timeout(comm, 60 * COVEY_NS_PER_S);
    WORLD_OK(covey_barrier(comm));
    if (covey_rank(ctx) == 0) {
        int count = 0;
        enum covey_status status = COVEY_OK;
        while (count < MOST && !(status = covey_buf_alloc(ctx, LENGTH, &bufs[count])))
            count++;
        WORLD_CHECK(status == COVEY_ETIMEOUT && count > 0);
        WORLD_CHECK(says(ctx, "no room"));
        while (count < MOST && !(status = covey_buf_alloc(ctx, 700000, &bufs[count])))
            count++;
        WORLD_CHECK(status == COVEY_ETIMEOUT);
        raise_flag(world_shared());
        /* Full, and yet what is agreed on goes on. */
        world_fill(bytes, LENGTH, 3);
        WORLD_OK(covey_send(comm, bytes, LENGTH, 1, 0));
        WORLD_OK(covey_recv(comm, bytes, LENGTH, 1, 0, NULL));
        WORLD_CHECK(world_filled(bytes, LENGTH, 4));
        covey_buf_release(bufs[--count]);
        WORLD_OK(covey_buf_alloc(ctx, 600000, &bufs[count]));
        for (int i = 0; i <= count; i++)
            covey_buf_release(bufs[i]);
    } else {
        wait_for_flag(world_shared(), 1);
        WORLD_OK(covey_recv(comm, bytes, LENGTH, 0, 0, NULL));
        WORLD_CHECK(world_filled(bytes, LENGTH, 3));
        world_fill(bytes, LENGTH, 4);
        WORLD_OK(covey_send(comm, bytes, LENGTH, 0, 0));
    }
    free(bytes);
}

static void buf_alloc__memory_is_full__waits_and_spares_transfers(void)
{
    struct world world = world_default(2, 1);
    world.arena_bytes = arena_least_bytes(2);
    world.timeout_ns = 300 * COVEY_NS_PER_MS;
    world_run(&world, fill_memory, NULL);
}

/* Unreceived messages of a sender do not fill the memory: it goes over to offers. */
static void unasked(struct covey_ctx *ctx, void *data)
{
    (void)data;
    struct covey_comm *comm = covey_world(ctx);
    enum { COUNT = 400, LENGTH = 60000 };
    char *bytes = malloc(LENGTH);
    if (covey_rank(ctx) == 0) {
        struct covey_request *requests[COUNT];
        world_fill(bytes, LENGTH, 1);
        for (int i = 0; i < COUNT; i++)
            WORLD_OK(covey_isend(comm, bytes, LENGTH, 1, i, &requests[i]));
        struct arena_usage usage;
        arena_count_usage(world_arena(0), &usage);
        WORLD_CHECK(usage.slabs_free > 0);
        raise_flag(world_shared());
        WORLD_OK(covey_wait_all(requests, COUNT));
    } else {
        wait_for_flag(world_shared(), 1);
        for (int i = COUNT - 1; i >= 0; i--) {
            memset(bytes, 0, LENGTH);
            WORLD_OK(covey_recv(comm, bytes, LENGTH, 0, i, NULL));
            WORLD_CHECK(world_filled(bytes, LENGTH, 1));
        }
    }
    free(bytes);
}

static void isend__nobody_receives__leaves_memory_to_others(void)
{
    for (int nodes = 1; nodes <= 2; nodes++) {
        struct world world = world_default(2, nodes);
        world.arena_bytes = arena_least_bytes(2);
        world_run(&world, unasked, NULL);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(collectives__a_member_is_killed_anywhere__fail_and_give_memory_back),
    TEST_CASE(collectives__a_member_is_killed_any_time__fail_and_give_memory_back),
    TEST_CASE(recv__source_is_killed__delivers_what_was_sent_then_fails),
    TEST_CASE(transfer__a_side_is_killed__the_other_fails),
    TEST_CASE(recv__sources_have_ended__fails_after_their_messages),
    TEST_CASE(collectives__members_disagree__are_told),
    TEST_CASE(barrier__a_member_does_not_come__names_it),
    TEST_CASE(isend__receiver_is_full__queues_and_keeps_order),
    TEST_CASE(buf_alloc__memory_is_full__waits_and_spares_transfers),
    TEST_CASE(isend__nobody_receives__leaves_memory_to_others),
    {0},
};

const struct test_suite test_suites[] = {{.name = "failures", .cases = cases}, {0}};
