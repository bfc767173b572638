/* The living members agree on who they are, whoever dies when. */
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

#define PATIENT_NS      (50 * COVEY_NS_PER_S)
#define VERY_PATIENT_NS (600 * COVEY_NS_PER_S)

enum { FLAGS = 8, MEMBERS = 100 };

static bool says(struct covey_ctx *ctx, const char *text)
{
    bool found = strstr(covey_error_text(ctx), text) != NULL;
    if (!found)
        fprintf(stderr, "rank %d: no \"%s\" in \"%s\"\n", covey_rank(ctx), text,
                covey_error_text(ctx));
    return found;
}

static void meet(int flag, int64_t count)
{
    atomic_fetch_add(&world_shared()[flag], 1);
    while (atomic_load(&world_shared()[flag]) < count)
        sched_yield();
}

/* The communicator works: its members are counted, and their ranks are in order. */
static enum covey_status use(struct covey_ctx *ctx, struct covey_comm *comm)
{
    int64_t sum = 1;
    int rank = covey_rank(ctx);
    int ranks[16] = {0};
    struct covey_comm *part = NULL;
    enum covey_status status =
        covey_allreduce(comm, COVEY_IN_PLACE, &sum, 1, COVEY_INT64, COVEY_SUM);
    if (!status)
        status = covey_allgather(comm, &rank, sizeof(rank), ranks);
    if (!status)
        status = covey_comm_split(comm, 0, 0, &part);
    if (!status)
        status = covey_barrier(part);
    covey_comm_free(part);
    if (status)
        return status;
    WORLD_CHECK(sum == covey_comm_size(comm) && ranks[covey_comm_rank(comm)] == rank);
    for (int i = 1; i < covey_comm_size(comm); i++)
        WORLD_CHECK(ranks[i] > ranks[i - 1]);
    return COVEY_OK;
}

/* ---- nobody dies ---- */

static void after_timeout(struct covey_ctx *ctx, void *data)
{
    struct covey_comm *world = covey_world(ctx);
    struct covey_comm *comm = NULL;
    int size = covey_size(ctx);
    bool late = covey_rank(ctx) == size - 1;
    int value = covey_rank(ctx);
    int got = -1;
    covey_comm_set_timeout(world, *(const int64_t *)data);
    if (!late) {
        char text[32];
        (void)snprintf(text, sizeof(text), "rank %d", size - 1);
        WORLD_CHECK(covey_barrier(world) == COVEY_ETIMEOUT);
        /* Not all come to this either, and then it is tried again. */
        WORLD_CHECK(covey_comm_shrink(world, &comm) == COVEY_ETIMEOUT);
        /* The speaker knows, if the others were in time; others hear of it, if in time. */
        WORLD_CHECK(comm == NULL);
        if (!says(ctx, covey_rank(ctx) == 0 ? text : "waited in vain for rank"))
            world_too_slow();
    }
    meet(0, size);
    covey_comm_set_timeout(world, PATIENT_NS);
    WORLD_OK(covey_comm_shrink(world, &comm));
    WORLD_CHECK(covey_comm_size(comm) == size);
    WORLD_OK(use(ctx, comm));
    /* Messages on the old one go on, collectives do not. */
    WORLD_OK(covey_sendrecv(world, &value, sizeof(value), (value + 1) % size, 1, &got, sizeof(got),
                            (value + size - 1) % size, 1, NULL));
    WORLD_CHECK(got == (value + size - 1) % size);
    WORLD_CHECK(late || covey_barrier(world) == COVEY_EPEER);
    meet(1, size);
    /* Again, from the old one and the new. */
    struct covey_comm *again = NULL;
    struct covey_comm *third = NULL;
    WORLD_OK(covey_comm_shrink(world, &again));
    WORLD_OK(use(ctx, again));
    WORLD_OK(covey_comm_shrink(comm, &third));
    covey_comm_free(comm);
    WORLD_OK(use(ctx, third));
    covey_comm_free(third);
    covey_comm_free(again);
}

static void shrink__after_a_timeout__has_everybody_again(void)
{
    for (int nodes = 1; nodes <= 2; nodes++) {
        for (int workers = 2; workers <= 6; workers += 2) {
            struct world world = world_default(workers, nodes);
            world_run_patiently(&world, after_timeout);
        }
    }
}

/* ---- death at a time ---- */

struct death {
    long life_us; /* of rank fault_rank; 0: it dies at its fault point */
    int rank;
};

static void die(int signal_number)
{
    (void)signal_number;
    kill(getpid(), SIGKILL);
}

/* Agrees until all live. What each agreed on first is left for the test to compare. */
static void shrink_until_all_live(struct covey_ctx *ctx, void *data)
{
    const struct death *death = data;
    struct covey_comm *comm = covey_world(ctx);
    enum covey_status status = COVEY_OK;
    if (covey_rank(ctx) == death->rank && death->life_us > 0) {
        struct itimerval life = {.it_value = {.tv_usec = death->life_us}};
        signal(SIGALRM, die);
        setitimer(ITIMER_REAL, &life, NULL);
    }
    bool first = true;
    for (int i = 0; i < 1000; i++) {
        struct covey_comm *next = NULL;
        status = covey_comm_shrink(comm, &next);
        if (status) {
            WORLD_OK(status);
            return;
        }
        if (first)
            atomic_store(&world_shared()[MEMBERS + covey_rank(ctx)], covey_comm_size(next));
        first = false;
        covey_comm_free(comm);
        comm = next;
        status = use(ctx, comm);
        if (!status && covey_comm_size(comm) < covey_size(ctx))
            break;
        WORLD_CHECK(status == COVEY_OK || status == COVEY_EPEER);
    }
    WORLD_CHECK(covey_comm_size(comm) == covey_size(ctx) - 1);
    meet(0, covey_size(ctx) - 1);
    covey_comm_free(comm);
}

static void check_agreed(int workers, int dead)
{
    int64_t size = 0;
    for (int rank = 0; rank < workers; rank++) {
        int64_t said = atomic_load(&world_shared()[MEMBERS + rank]);
        if (rank == dead)
            continue;
        if (size != 0 && said != size)
            fprintf(stderr, "rank %d has %lld members, others %lld\n", rank, (long long)said,
                    (long long)size);
        TEST_TRUE(size == 0 || said == size);
        size = said;
    }
}

static void shrink__the_speaker_dies_at_any_message__all_agree(void)
{
    static const char *const points[] = {"worker_claim", "worker_publish"};
    for (int rank = 0; rank <= 2; rank += 2) {
        for (int pass = 1; pass <= 26; pass++) {
            for (int nodes = 1; nodes <= 2; nodes++) {
                char fault[64];
                (void)snprintf(fault, sizeof(fault), "%s:%d:kill", points[pass % 2], pass);
                struct death death = {.rank = rank};
                struct world world = world_default(5, nodes);
                world.pack_size = nodes == 1 ? 5 : 1;
                world.timeout_ns = PATIENT_NS;
                world.fault = fault;
                world.fault_rank = rank;
                world.killed = rank;
                world_run(&world, shrink_until_all_live, &death);
                check_agreed(5, rank);
            }
        }
    }
}

static void shrink__a_member_dies_any_time__all_agree(void)
{
    unsigned seed = 99;
    for (int i = 0; i < 30; i++) {
        struct death death = {.life_us = 1 + rand_r(&seed) % 4000, .rank = i % 3};
        struct world world = world_default(5, 1 + i % 2);
        world.pack_size = i % 4 < 2 ? 1 : 2;
        world.timeout_ns = PATIENT_NS;
        world.killed = death.rank;
        world_run(&world, shrink_until_all_live, &death);
        check_agreed(5, death.rank);
    }
}

/* All but those who leave: counted, and the ranks added up. */
static void many(struct covey_ctx *ctx, void *data)
{
    const int *leaves = data;
    struct covey_comm *comm = NULL;
    int64_t size = covey_size(ctx);
    int64_t sums[2] = {1, covey_rank(ctx)};
    if (covey_rank(ctx) == *leaves)
        return;
    covey_comm_set_timeout(covey_world(ctx), VERY_PATIENT_NS);
    if (!WORLD_OK(covey_comm_shrink(covey_world(ctx), &comm)))
        return;
    WORLD_OK(covey_allreduce(comm, COVEY_IN_PLACE, sums, 2, COVEY_INT64, COVEY_SUM));
    WORLD_CHECK(sums[0] == (*leaves < 0 ? size : size - 1));
    WORLD_CHECK(sums[1] == size * (size - 1) / 2 - (*leaves < 0 ? 0 : *leaves));
    covey_comm_free(comm);
}

static void shrink__many_members__have_everybody(void)
{
    int nobody = -1;
    struct world world = world_default(100, 2);
    world_run(&world, many, &nobody);
}

/* So many that a set does not fit into one message; the speaker has ended before it began. */
static void shrink__more_members_than_a_message_names__all_agree(void)
{
    int speaker = 0;
    struct world world = world_default(600, 2);
    world.as_threads = true;
    world.untraced = true;
    world_run(&world, many, &speaker);
}

static const struct test_case cases[] = {
    TEST_CASE(shrink__after_a_timeout__has_everybody_again),
    TEST_CASE(shrink__the_speaker_dies_at_any_message__all_agree),
    TEST_CASE(shrink__a_member_dies_any_time__all_agree),
    TEST_CASE(shrink__many_members__have_everybody),
    TEST_CASE(shrink__more_members_than_a_message_names__all_agree),
    {0},
};

const struct test_suite test_suites[] = {{.name = "shrink", .cases = cases}, {0}};
