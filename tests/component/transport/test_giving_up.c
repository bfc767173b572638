/* Who gives up tells the other side at once, in every state of a message, and the stream goes on.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "tests/harness/harness.h"
#include "world.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGE = 48 << 20 };

/* A short timeout, for what is given up; nothing that must succeed depends on it. Where something
 * does, the body is run patiently. */
#define IMPATIENT_NS (200 * COVEY_NS_PER_MS)
#define PATIENT_NS   (120 * COVEY_NS_PER_S)

static void raise_flag(int flag)
{
    atomic_store(&world_shared()[flag], 1);
}

/* Without a call that would answer anybody. */
static void wait_for_flag(int flag)
{
    while (!atomic_load(&world_shared()[flag]))
        sched_yield();
}

static bool says(struct covey_ctx *ctx, const char *text)
{
    bool found = strstr(covey_error_text(ctx), text) != NULL;
    if (!found)
        fprintf(stderr, "rank %d: no \"%s\" in \"%s\"\n", covey_rank(ctx), text,
                covey_error_text(ctx));
    return found;
}

static struct world near_or_far(int nodes)
{
    struct world world = world_default(2, nodes);
    world.pack_size = 1;
    world.timeout_ns = PATIENT_NS;
    /* A receiver that takes nothing stops the sender before all is in the memory. */
    world.arena_bytes = arena_least_bytes(2);
    return world;
}

static void for_near_and_far(world_body body)
{
    for (int nodes = 1; nodes <= 2; nodes++) {
        struct world world = near_or_far(nodes);
        world_run(&world, body, NULL);
    }
}

/* ---- offered ---- */

static void offer_and_leave(struct covey_ctx *ctx, void *data)
{
    (void)data;
    struct covey_comm *comm = covey_world(ctx);
    char *bytes = calloc(1, 1 << 20);
    int value = 5;
    if (covey_rank(ctx) == 0) {
        covey_comm_set_timeout(comm, IMPATIENT_NS);
        WORLD_CHECK(covey_send(comm, bytes, 1 << 20, 1, 1) == COVEY_ETIMEOUT);
        raise_flag(0);
        /* It answers nobody, and yet the receiver hears of it. */
        wait_for_flag(1);
        covey_comm_set_timeout(comm, PATIENT_NS);
        WORLD_OK(covey_send(comm, &value, sizeof(value), 1, 1));
    } else {
        wait_for_flag(0);
        WORLD_CHECK(covey_recv(comm, bytes, 1 << 20, 0, 1, NULL) == COVEY_ETIMEOUT);
        WORLD_CHECK(says(ctx, "rank 0: that rank gave up sending"));
        raise_flag(1);
        WORLD_OK(covey_recv(comm, &value, sizeof(value), 0, 1, NULL));
        WORLD_CHECK(value == 5);
    }
    free(bytes);
}

static void send__gives_up_an_offer__receiver_is_told(void)
{
    for_near_and_far(offer_and_leave);
}

static void head_to_head(struct covey_ctx *ctx, void *data)
{
    (void)data;
    struct covey_comm *comm = covey_world(ctx);
    int peer = 1 - covey_rank(ctx);
    int mine = covey_rank(ctx);
    int value = -1;
    char *bytes = calloc(1, 4 << 20);
    covey_comm_set_timeout(comm, IMPATIENT_NS);
    WORLD_CHECK(covey_send(comm, bytes, 4 << 20, peer, 1) == COVEY_ETIMEOUT);
    raise_flag(20 + mine);
    wait_for_flag(20 + peer);
    covey_comm_set_timeout(comm, PATIENT_NS);
    WORLD_CHECK(covey_recv(comm, bytes, 4 << 20, peer, COVEY_ANY_TAG, NULL) == COVEY_ETIMEOUT);
    WORLD_CHECK(says(ctx, "gave up sending"));
    WORLD_OK(
        covey_sendrecv(comm, &mine, sizeof(mine), peer, 2, &value, sizeof(value), peer, 2, NULL));
    WORLD_CHECK(value == peer);
    free(bytes);
}

static void send__both_give_up_against_each_other__both_are_told(void)
{
    for_near_and_far(head_to_head);
}

/* ---- under way ---- */

static void stop_sending(struct covey_ctx *ctx, void *data)
{
    const int64_t *patience_ns = data;
    struct covey_comm *comm = covey_world(ctx);
    char *bytes = calloc(1, LARGE);
    int value = 7;
    if (covey_rank(ctx) == 0) {
        memset(bytes, 1, LARGE);
        covey_comm_set_timeout(comm, *patience_ns);
        WORLD_CHECK(covey_send(comm, bytes, LARGE, 1, 1) == COVEY_ETIMEOUT);
        raise_flag(0);
        wait_for_flag(1);
        covey_comm_set_timeout(comm, PATIENT_NS);
        WORLD_OK(covey_send(comm, &value, sizeof(value), 1, 1));
    } else {
        struct covey_request *request = NULL;
        /* The offer is accepted, before it is taken back, and then nothing is taken. */
        if (covey_probe(comm, 0, 1, NULL) != COVEY_OK)
            world_too_slow();
        WORLD_OK(covey_irecv(comm, bytes, LARGE, 0, 1, &request));
        if (atomic_load(&world_shared()[0]))
            world_too_slow();
        wait_for_flag(0);
        WORLD_CHECK(covey_wait(&request, NULL) == COVEY_ETIMEOUT);
        WORLD_CHECK(request == NULL && says(ctx, "that rank gave up sending"));
        raise_flag(1);
        /* What was under way does not get into a buffer that is used again. */
        memset(bytes, 3, LARGE);
        WORLD_OK(covey_recv(comm, &value, sizeof(value), 0, 1, NULL));
        WORLD_CHECK(value == 7);
        bool untouched = true;
        for (size_t i = 0; i < LARGE; i++)
            untouched &= bytes[i] == 3;
        WORLD_CHECK(untouched);
    }
    free(bytes);
}

static void send__gives_up_in_the_middle__receiver_is_told(void)
{
    for (int nodes = 1; nodes <= 2; nodes++) {
        struct world world = near_or_far(nodes);
        world_run_patiently(&world, stop_sending);
    }
}

static void stop_receiving(struct covey_ctx *ctx, void *data)
{
    (void)data;
    struct covey_comm *comm = covey_world(ctx);
    char *bytes = calloc(1, LARGE);
    int value = 7;
    if (covey_rank(ctx) == 0) {
        struct covey_request *request = NULL;
        WORLD_OK(covey_isend(comm, bytes, LARGE, 1, 1, &request));
        WORLD_OK(covey_send(comm, &value, sizeof(value), 1, 2));
        wait_for_flag(0);
        WORLD_CHECK(covey_wait(&request, NULL) == COVEY_ETIMEOUT);
        WORLD_CHECK(request == NULL && says(ctx, "that rank gave up receiving"));
        WORLD_OK(covey_send(comm, &value, sizeof(value), 1, 1));
    } else {
        WORLD_OK(covey_recv(comm, &value, sizeof(value), 0, 2, NULL));
        covey_comm_set_timeout(comm, IMPATIENT_NS);
        WORLD_CHECK(covey_recv(comm, bytes, LARGE, 0, 1, NULL) == COVEY_ETIMEOUT);
        WORLD_CHECK(says(ctx, "not finished"));
        raise_flag(0);
        covey_comm_set_timeout(comm, PATIENT_NS);
        memset(bytes, 3, LARGE);
        value = 0;
        WORLD_OK(covey_recv(comm, &value, sizeof(value), 0, 1, NULL));
        WORLD_CHECK(value == 7);
        bool untouched = true;
        for (size_t i = 0; i < LARGE; i++)
            untouched &= bytes[i] == 3;
        WORLD_CHECK(untouched);
    }
    free(bytes);
}

static void recv__gives_up_in_the_middle__sender_is_told(void)
{
    for_near_and_far(stop_receiving);
}

/* ---- queued ---- */

static void give_up_queued(struct covey_ctx *ctx, void *data)
{
    (void)data;
    enum { MANY = 400 };
    struct covey_comm *comm = covey_world(ctx);
    int value = 0;
    if (covey_rank(ctx) == 0) {
        struct covey_request *requests[MANY];
        for (int i = 0; i < MANY; i++)
            WORLD_OK(covey_isend(comm, &i, sizeof(i), 1, 1, &requests[i]));
        covey_comm_set_timeout(comm, IMPATIENT_NS);
        WORLD_CHECK(covey_send(comm, &value, sizeof(value), 1, 1) == COVEY_ETIMEOUT);
        raise_flag(0);
        covey_comm_set_timeout(comm, PATIENT_NS);
        WORLD_OK(covey_wait_all(requests, MANY));
        value = 9;
        WORLD_OK(covey_send(comm, &value, sizeof(value), 1, 1));
    } else {
        wait_for_flag(0);
        for (int i = 0; i < MANY; i++) {
            WORLD_OK(covey_recv(comm, &value, sizeof(value), 0, 1, NULL));
            WORLD_CHECK(value == i);
        }
        WORLD_CHECK(covey_recv(comm, &value, sizeof(value), 0, 1, NULL) == COVEY_ETIMEOUT);
        WORLD_CHECK(says(ctx, "that rank gave up sending"));
        WORLD_OK(covey_recv(comm, &value, sizeof(value), 0, 1, NULL));
        WORLD_CHECK(value == 9);
    }
}

static void send__gives_up_what_is_queued__it_is_not_delivered(void)
{
    struct world world = world_default(2, 1);
    world.timeout_ns = PATIENT_NS;
    world_run(&world, give_up_queued, NULL);
}

/* ---- requests ---- */

static void free_first(struct covey_ctx *ctx, void *data)
{
    (void)data;
    struct covey_comm *comm = NULL;
    struct covey_request *request = NULL;
    int value = -1;
    int sent = 7;
    WORLD_OK(covey_comm_split(covey_world(ctx), 0, covey_rank(ctx), &comm));
    if (covey_rank(ctx) == 0) {
        WORLD_OK(covey_irecv(comm, &value, sizeof(value), 1, 5, &request));
        covey_comm_free(comm);
        WORLD_OK(covey_barrier(covey_world(ctx)));
        WORLD_OK(covey_wait(&request, NULL));
        WORLD_CHECK(value == 7);
    } else {
        WORLD_OK(covey_barrier(covey_world(ctx)));
        WORLD_OK(covey_isend(comm, &sent, sizeof(sent), 0, 5, &request));
        covey_comm_free(comm);
        WORLD_OK(covey_wait(&request, NULL));
    }
}

static void comm_free__requests_are_pending__they_complete(void)
{
    for_near_and_far(free_first);
}

static void one_deadline(struct covey_ctx *ctx, void *data)
{
    (void)data;
    enum { MANY = 6 };
    struct covey_comm *comm = covey_world(ctx);
    _Atomic int64_t *sent = &world_shared()[2];
    if (covey_rank(ctx) == 0) {
        struct covey_request *requests[MANY];
        int values[MANY];
        for (int i = 0; i < MANY; i++)
            WORLD_OK(covey_irecv(comm, &values[i], sizeof(values[i]), 1, i, &requests[i]));
        raise_flag(0);
        /* Each comes in time if counted from the one before; the last waits for the end of that. */
        covey_comm_set_timeout(comm, COVEY_NS_PER_S);
        WORLD_CHECK(covey_wait_all(requests, MANY) == COVEY_ETIMEOUT);
        WORLD_CHECK(requests[MANY - 1] != NULL);
        raise_flag(1);
        covey_comm_set_timeout(comm, PATIENT_NS);
        WORLD_OK(covey_wait_all(requests, MANY));
    } else {
        wait_for_flag(0);
        int64_t start_ns = covey_now_ns();
        for (int i = 0; i < MANY; i++) {
            while (covey_now_ns() < start_ns + (int64_t)(i + 1) * 600 * COVEY_NS_PER_MS)
                sched_yield();
            if (i == MANY - 1)
                wait_for_flag(1);
            WORLD_OK(covey_send(comm, &i, sizeof(i), 0, i));
            atomic_fetch_add(sent, 1);
        }
    }
}

static void wait_all__requests_complete_one_by_one__has_one_deadline(void)
{
    struct world world = world_default(2, 1);
    world.timeout_ns = PATIENT_NS;
    world_run(&world, one_deadline, NULL);
}

/* ---- what cannot be ---- */

static void too_large(struct covey_ctx *ctx, void *data)
{
    (void)data;
    struct covey_comm *comm = covey_world(ctx);
    struct covey_buf *buf = NULL;
    char *bytes = calloc(1, LARGE);
    if (covey_rank(ctx) == 0) {
        WORLD_CHECK(covey_buf_alloc(ctx, LARGE, &buf) == COVEY_ELIMIT);
        char size[32];
        (void)snprintf(size, sizeof(size), "%d bytes", LARGE);
        WORLD_CHECK(says(ctx, size));
        world_fill(bytes, LARGE, 2);
        WORLD_OK(covey_send(comm, bytes, LARGE, 1, 1));
    } else {
        WORLD_CHECK(covey_recv_buf(comm, &buf, 0, 1, NULL) == COVEY_ELIMIT);
        WORLD_CHECK(buf == NULL && says(ctx, "the node's memory has"));
        /* It is still there. */
        WORLD_OK(covey_recv(comm, bytes, LARGE, 0, 1, NULL));
        WORLD_CHECK(world_filled(bytes, LARGE, 2));
    }
    free(bytes);
}

static void buffers__larger_than_the_memory__are_refused_at_once(void)
{
    for_near_and_far(too_large);
}

static void fail_to_send(struct covey_ctx *ctx, void *data)
{
    (void)data;
    struct covey_comm *comm = covey_world(ctx);
    char *bytes = calloc(1, 1 << 20);
    int value = 4;
    if (covey_rank(ctx) == 0) {
        covey_memory_fail_after(0);
        enum covey_status status = covey_send(comm, bytes, 1 << 20, 1, 1);
        covey_memory_fail_after(-1);
        WORLD_CHECK(status == COVEY_ENOMEM);
        WORLD_OK(covey_send(comm, &value, sizeof(value), 1, 1));
        WORLD_OK(covey_send(comm, bytes, 1 << 20, 1, 1));
    } else {
        WORLD_OK(covey_recv(comm, &value, sizeof(value), 0, 1, NULL));
        WORLD_CHECK(value == 4);
        WORLD_OK(covey_recv(comm, bytes, 1 << 20, 0, 1, NULL));
    }
    free(bytes);
}

static void send__fails__the_stream_goes_on(void)
{
    for_near_and_far(fail_to_send);
}

/* ---- collectives ---- */

static void stay_away(struct covey_ctx *ctx, void *data)
{
    struct covey_comm *comm = covey_world(ctx);
    int64_t value = 1;
    WORLD_OK(covey_barrier(comm));
    if (covey_rank(ctx) == 3) {
        for (int i = 0; i < 3; i++)
            wait_for_flag(10 + i);
        covey_comm_set_timeout(comm, PATIENT_NS);
        WORLD_CHECK(covey_allreduce(comm, COVEY_IN_PLACE, &value, 1, COVEY_INT64, COVEY_SUM) ==
                    COVEY_ETIMEOUT);
        WORLD_CHECK(says(ctx, "others had given up"));
        return;
    }
    covey_comm_set_timeout(comm, *(const int64_t *)data);
    WORLD_CHECK(covey_allreduce(comm, COVEY_IN_PLACE, &value, 1, COVEY_INT64, COVEY_SUM) ==
                COVEY_ETIMEOUT);
    /* Its own node knows at once who has not come, the other one hears of it. */
    if (covey_node_of(ctx, covey_rank(ctx)) == covey_node_of(ctx, 3) && !says(ctx, "rank 3"))
        world_too_slow();
    int64_t deadline_ns = covey_now_ns() + PATIENT_NS;
    do {
        (void)!covey_iprobe(comm, COVEY_ANY_SOURCE, COVEY_ANY_TAG, NULL);
        WORLD_CHECK(covey_barrier(comm) == COVEY_EPEER);
        sched_yield();
    } while (!strstr(covey_error_text(ctx), "rank 3") && covey_now_ns() < deadline_ns);
    WORLD_CHECK(says(ctx, "rank 3"));
    raise_flag(10 + covey_rank(ctx));
    /* Who leaves must not be what the others report. */
    for (int i = 0; i < 3; i++)
        wait_for_flag(10 + i);
}

static void collectives__a_member_comes_too_late__is_named_and_told(void)
{
    for (int nodes = 1; nodes <= 2; nodes++) {
        struct world world = world_default(4, nodes);
        world.pack_size = 2;
        world.timeout_ns = PATIENT_NS;
        world.untraced = true; /* memory fails in a whole process */
        world_run_patiently(&world, stay_away);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(send__gives_up_an_offer__receiver_is_told),
    TEST_CASE(send__both_give_up_against_each_other__both_are_told),
    TEST_CASE(send__gives_up_in_the_middle__receiver_is_told),
    TEST_CASE(recv__gives_up_in_the_middle__sender_is_told),
    TEST_CASE(send__gives_up_what_is_queued__it_is_not_delivered),
    TEST_CASE(comm_free__requests_are_pending__they_complete),
    TEST_CASE(wait_all__requests_complete_one_by_one__has_one_deadline),
    TEST_CASE(buffers__larger_than_the_memory__are_refused_at_once),
    TEST_CASE(send__fails__the_stream_goes_on),
    TEST_CASE(collectives__a_member_comes_too_late__is_named_and_told),
    {0},
};

const struct test_suite test_suites[] = {{.name = "giving_up", .cases = cases}, {0}};
