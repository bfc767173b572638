/* Point to point, as workers see it: on one node and across two. */
#include "base/clock.h"
#include "tests/harness/harness.h"
#include "worker/context.h"
#include "world.h"

#include <stdlib.h>
#include <string.h>

static const size_t sizes[] = {0, 1, 64, 65, 4096, 16385, 65536, 65537, (1 << 20) + 3};
#define SIZES (sizeof(sizes) / sizeof(*sizes))

static const int world_sizes[] = {1, 2, 3, 5, 8, 16};
#define WORLD_SIZES (sizeof(world_sizes) / sizeof(*world_sizes))

static void for_each_world(world_body body)
{
    for (int nodes = 1; nodes <= 2; nodes++) {
        for (size_t i = 0; i < WORLD_SIZES; i++) {
            struct world world = world_default(world_sizes[i], nodes);
            world_run(&world, body, NULL);
        }
    }
}

/* Each sends to the next, every size. */
static void ring(struct covey_ctx *ctx, void *data)
{
    (void)data;
    struct covey_comm *comm = covey_world(ctx);
    int rank = covey_rank(ctx);
    int size = covey_size(ctx);
    int to = (rank + 1) % size;
    int from = (rank + size - 1) % size;
    for (size_t i = 0; i < SIZES; i++) {
        char *out = malloc(sizes[i] + 1);
        char *in = malloc(sizes[i] + 1);
        world_fill(out, sizes[i], (uint64_t)rank);
        struct covey_message message = {0};
        WORLD_OK(
            covey_sendrecv(comm, out, sizes[i], to, (int)i, in, sizes[i], from, (int)i, &message));
        WORLD_CHECK(message.source == from && message.tag == (int)i);
        WORLD_CHECK(message.length_bytes == sizes[i]);
        WORLD_CHECK(world_filled(in, sizes[i], (uint64_t)from));
        free(out);
        free(in);
    }
}

static void sendrecv__ring_of_any_size__delivers_every_length(void)
{
    for_each_world(ring);
}

/* Each ends when its neighbour may still have to take its last piece, and meanwhile moves pieces
 * itself. */
static void parting_words(struct covey_ctx *ctx, void *data)
{
    (void)data;
    enum { LENGTH = 3 << 20 };
    struct covey_comm *comm = covey_world(ctx);
    int rank = covey_rank(ctx), size = covey_size(ctx);
    char *words = calloc(2, LENGTH);
    WORLD_OK(covey_sendrecv(comm, words, LENGTH, (rank + 1) % size, 1, words + LENGTH, LENGTH,
                            (rank + size - 1) % size, 1, NULL));
    free(words);
}

static void recv__senders_end_after_sending__every_message_comes(void)
{
    for (int i = 0; i < 10; i++)
        for_each_world(parting_words);
}

/* Everyone to rank 0, which takes them from any source. */
static void to_root(struct covey_ctx *ctx, void *data)
{
    (void)data;
    struct covey_comm *comm = covey_world(ctx);
    int size = covey_size(ctx);
    enum { EACH = 200 };
    if (covey_rank(ctx) != 0) {
        for (int i = 0; i < EACH; i++) {
            char bytes[300];
            size_t length = (size_t)(i % 300);
            world_fill(bytes, length, (uint64_t)i);
            WORLD_OK(covey_send(comm, bytes, length, 0, i));
        }
        return;
    }
    int next[128] = {0};
    for (int i = 0; i < EACH * (size - 1); i++) {
        char bytes[300];
        struct covey_message message = {0};
        WORLD_OK(covey_recv(comm, bytes, sizeof(bytes), COVEY_ANY_SOURCE, COVEY_ANY_TAG, &message));
        WORLD_CHECK(message.source > 0 && message.source < size);
        WORLD_CHECK(message.tag == next[message.source]);
        next[message.source]++;
        WORLD_CHECK(world_filled(bytes, message.length_bytes, (uint64_t)message.tag));
    }
}

static void recv__any_source__keeps_each_senders_order(void)
{
    for_each_world(to_root);
}

static void tags(struct covey_ctx *ctx, void *data)
{
    (void)data;
    struct covey_comm *comm = covey_world(ctx);
    if (covey_rank(ctx) == 0) {
        for (int i = 0; i < 10; i++)
            WORLD_OK(covey_send(comm, &i, sizeof(i), 1, i));
        return;
    }
    for (int i = 9; i >= 0; i--) {
        int got = -1;
        struct covey_message message;
        WORLD_OK(covey_probe(comm, 0, i, &message));
        WORLD_CHECK(message.length_bytes == sizeof(got));
        WORLD_OK(covey_recv(comm, &got, sizeof(got), 0, i, NULL));
        WORLD_CHECK(got == i);
    }
    WORLD_CHECK(covey_iprobe(comm, 0, COVEY_ANY_TAG, NULL) != COVEY_OK);
}

static void recv__by_tag__takes_the_matching_one(void)
{
    for (int nodes = 1; nodes <= 2; nodes++) {
        struct world world = world_default(2, nodes);
        world_run(&world, tags, NULL);
    }
}

/* What matching costs: messages and receives looked at. */
static uint64_t steps(const struct covey_comm *comm)
{
    return comm->core->user.waiting.steps + comm->core->user.posted.steps;
}

enum { VERY_MANY = 20000 };

/* As many messages as that wait unmatched, and are taken in reverse; then as many receives. */
static void reverse(struct covey_ctx *ctx, void *data)
{
    (void)data;
    struct covey_comm *comm = covey_world(ctx);
    int value = 0;
    if (covey_rank(ctx) == 0) {
        for (int i = 0; i < VERY_MANY; i++)
            WORLD_OK(covey_send(comm, &i, sizeof(i), 1, i));
        WORLD_OK(covey_recv(comm, &value, sizeof(value), 1, VERY_MANY, NULL));
        for (int i = VERY_MANY - 1; i >= 0; i--)
            WORLD_OK(covey_send(comm, &i, sizeof(i), 1, i));
        return;
    }
    bool right = true;
    for (int i = VERY_MANY - 1; i >= 0; i--) {
        /* Every other one from anybody, which finds the same. */
        WORLD_OK(covey_recv(comm, &value, sizeof(value), i % 2 ? 0 : COVEY_ANY_SOURCE, i, NULL));
        right &= value == i;
    }
    WORLD_CHECK(right);
    WORLD_CHECK(steps(comm) < (uint64_t)20 * VERY_MANY);
    static struct covey_request *requests[VERY_MANY];
    static int values[VERY_MANY];
    for (int i = 0; i < VERY_MANY; i++)
        WORLD_OK(covey_irecv(comm, &values[i], sizeof(int), i % 2 ? 0 : COVEY_ANY_SOURCE, i,
                             &requests[i]));
    WORLD_OK(covey_send(comm, &value, sizeof(value), 0, VERY_MANY));
    WORLD_OK(covey_wait_all(requests, VERY_MANY));
    for (int i = 0; i < VERY_MANY; i++)
        right &= values[i] == i;
    WORLD_CHECK(right);
    WORLD_CHECK(steps(comm) < (uint64_t)40 * VERY_MANY);
}

static void recv__very_many_in_reverse__costs_a_few_steps_each(void)
{
    struct world world = world_default(2, 1);
    world_run(&world, reverse, NULL);
}

/* The one that was posted first, whatever it asks for; the message that came first. */
static void wildcards(struct covey_ctx *ctx, void *data)
{
    (void)data;
    struct covey_comm *comm = covey_world(ctx);
    static const int sources[] = {COVEY_ANY_SOURCE, 0, COVEY_ANY_SOURCE, 0};
    static const int tags[] = {5, COVEY_ANY_TAG, COVEY_ANY_TAG, 5};
    enum { KINDS = 4, ROUNDS = 24 };
    for (int round = 0; round < ROUNDS; round++) {
        if (covey_rank(ctx) == 0) {
            WORLD_OK(covey_barrier(comm));
            for (int i = 0; i < KINDS; i++)
                WORLD_OK(covey_send(comm, &i, sizeof(i), 1, 5));
            WORLD_OK(covey_barrier(comm));
            continue;
        }
        struct covey_request *requests[KINDS];
        int values[KINDS];
        int order[KINDS] = {0, 1, 2, 3};
        for (int i = KINDS - 1, left = round; i > 0; left /= i + 1, i--) {
            int other = left % (i + 1), kept = order[i];
            order[i] = order[other];
            order[other] = kept;
        }
        for (int i = 0; i < KINDS; i++)
            WORLD_OK(covey_irecv(comm, &values[i], sizeof(int), sources[order[i]], tags[order[i]],
                                 &requests[i]));
        WORLD_OK(covey_barrier(comm));
        WORLD_OK(covey_wait_all(requests, KINDS));
        for (int i = 0; i < KINDS; i++)
            WORLD_CHECK(values[i] == i);
        WORLD_OK(covey_barrier(comm));
    }
}

static void irecv__any_source_and_any_tag__match_in_the_order_of_posting(void)
{
    for (int nodes = 1; nodes <= 2; nodes++) {
        struct world world = world_default(2, nodes);
        world_run(&world, wildcards, NULL);
    }
}

static void truncation(struct covey_ctx *ctx, void *data)
{
    (void)data;
    struct covey_comm *comm = covey_world(ctx);
    for (size_t i = 2; i < SIZES; i++) {
        char *bytes = malloc(sizes[i]);
        struct covey_message message = {0};
        if (covey_rank(ctx) == 0) {
            world_fill(bytes, sizes[i], i);
            WORLD_OK(covey_send(comm, bytes, sizes[i], 1, 0));
        } else {
            size_t some = i % 2 ? sizes[i] - 1 : 0;
            WORLD_CHECK(covey_recv(comm, some ? bytes : NULL, some, 0, 0, &message) ==
                        COVEY_ETRUNCATED);
            WORLD_CHECK(message.length_bytes == sizes[i]);
            WORLD_CHECK(world_filled(bytes, some, i));
        }
        free(bytes);
    }
}

static void recv__buffer_too_short__gives_what_fits(void)
{
    for (int nodes = 1; nodes <= 2; nodes++) {
        struct world world = world_default(2, nodes);
        world_run(&world, truncation, NULL);
    }
}

/* All to all with requests, several sizes at once. */
static void exchange(struct covey_ctx *ctx, void *data)
{
    (void)data;
    struct covey_comm *comm = covey_world(ctx);
    int rank = covey_rank(ctx);
    int size = covey_size(ctx);
    struct covey_request *requests[64] = {0};
    char *in[32];
    char *out[32];
    for (int i = 0; i < size; i++) {
        size_t length = sizes[(size_t)(rank + i) % SIZES];
        in[i] = malloc(length + 1);
        out[i] = malloc(length + 1);
        world_fill(out[i], length, (uint64_t)rank * (uint64_t)size + (uint64_t)i);
        WORLD_OK(covey_irecv(comm, in[i], length, i, 7, &requests[i]));
    }
    for (int i = 0; i < size; i++)
        WORLD_OK(covey_isend(comm, out[i], sizes[(size_t)(rank + i) % SIZES], i, 7,
                             &requests[size + i]));
    WORLD_OK(covey_wait_all(requests, (size_t)(2 * size)));
    for (int i = 0; i < size; i++) {
        WORLD_CHECK(requests[i] == NULL);
        WORLD_CHECK(
            world_filled(in[i], sizes[(size_t)(rank + i) % SIZES], (uint64_t)(i * size + rank)));
        free(in[i]);
        free(out[i]);
    }
}

static void isend_irecv__all_pairs__complete(void)
{
    for_each_world(exchange);
}

static void buffers(struct covey_ctx *ctx, void *data)
{
    (void)data;
    struct covey_comm *comm = covey_world(ctx);
    int rank = covey_rank(ctx);
    int size = covey_size(ctx);
    for (size_t i = 1; i < SIZES; i++) {
        struct covey_buf *mine = NULL;
        if (rank == 0) {
            WORLD_OK(covey_buf_alloc(ctx, sizes[i], &mine));
            WORLD_CHECK((uintptr_t)covey_buf_data(mine) % 64 == 0);
            world_fill(covey_buf_data(mine), sizes[i], i);
            for (int to = 0; to < size; to++) {
                struct covey_request *request = NULL;
                char *self = malloc(sizes[i]);
                if (to == 0)
                    WORLD_OK(covey_irecv(comm, self, sizes[i], 0, 1, &request));
                WORLD_OK(covey_send_buf(comm, mine, sizes[i], to, 1));
                WORLD_OK(covey_wait(&request, NULL));
                WORLD_CHECK(to != 0 || world_filled(self, sizes[i], i));
                free(self);
            }
            /* Twice to the same: it may hold the buffer still. */
            if (size > 1)
                WORLD_OK(covey_send_buf(comm, mine, sizes[i], 1, 2));
            covey_buf_release(mine);
            continue;
        }
        struct covey_message message = {0};
        struct covey_buf *got = NULL;
        WORLD_OK(covey_recv_buf(comm, &got, 0, 1, &message));
        WORLD_CHECK(message.length_bytes == sizes[i] && covey_buf_length(got) == sizes[i]);
        WORLD_CHECK(world_filled(covey_buf_data(got), sizes[i], i));
        if (rank == 1) {
            struct covey_buf *again = NULL;
            WORLD_OK(covey_recv_buf(comm, &again, 0, 2, NULL));
            WORLD_CHECK(world_filled(covey_buf_data(again), sizes[i], i));
            covey_buf_release(again);
        }
        covey_buf_release(got);
    }
}

static void send_buf__to_all__is_read_in_place(void)
{
    for_each_world(buffers);
}

static void patience(struct covey_ctx *ctx, void *data)
{
    (void)data;
    struct covey_comm *comm = covey_world(ctx);
    char byte;
    char *large = calloc(1, 1 << 20);
    covey_comm_set_timeout(comm, 50 * COVEY_NS_PER_MS);
    if (covey_rank(ctx) == 0) {
        WORLD_CHECK(covey_recv(comm, &byte, 1, 1, 0, NULL) == COVEY_ETIMEOUT);
        WORLD_CHECK(strstr(covey_error_text(ctx), "rank 1") != NULL);
        WORLD_CHECK(covey_send(comm, large, 1 << 20, 1, 5) == COVEY_ETIMEOUT);
        struct covey_request *request = NULL;
        WORLD_OK(covey_irecv(comm, &byte, 1, 1, 1, &request));
        WORLD_CHECK(covey_wait(&request, NULL) == COVEY_ETIMEOUT);
        WORLD_CHECK(request != NULL);
        covey_comm_set_timeout(comm, -1);
        WORLD_OK(covey_send(comm, &byte, 0, 1, 2));
        WORLD_OK(covey_wait(&request, NULL));
        /* What was given up is told to who wants it. */
        WORLD_OK(covey_recv(comm, &byte, 1, 1, 3, NULL));
    } else {
        covey_comm_set_timeout(comm, -1);
        WORLD_OK(covey_recv(comm, NULL, 0, 0, 2, NULL));
        WORLD_OK(covey_send(comm, &byte, 1, 0, 1));
        WORLD_CHECK(covey_recv(comm, large, 1 << 20, 0, 5, NULL) == COVEY_ETIMEOUT);
        WORLD_CHECK(strstr(covey_error_text(ctx), "rank 0") != NULL);
        WORLD_OK(covey_send(comm, &byte, 1, 0, 3));
    }
    free(large);
}

static void recv__nothing_comes__times_out_and_names_the_rank(void)
{
    for (int nodes = 1; nodes <= 2; nodes++) {
        struct world world = world_default(2, nodes);
        world_run(&world, patience, NULL);
    }
}

static void bad_arguments(struct covey_ctx *ctx, void *data)
{
    (void)data;
    struct covey_comm *comm = covey_world(ctx);
    char byte = 0;
    struct covey_buf *buf;
    WORLD_CHECK(covey_send(comm, &byte, 1, 1, 0) == COVEY_EINVAL);
    WORLD_CHECK(covey_send(comm, &byte, 1, -1, 0) == COVEY_EINVAL);
    WORLD_CHECK(covey_send(comm, &byte, 1, 0, -1) == COVEY_EINVAL);
    WORLD_CHECK(covey_send(comm, NULL, 1, 0, 0) == COVEY_EINVAL);
    WORLD_CHECK(covey_recv(comm, &byte, 1, 5, 0, NULL) == COVEY_EINVAL);
    WORLD_CHECK(covey_recv(comm, &byte, 1, 0, -2, NULL) == COVEY_EINVAL);
    WORLD_CHECK(covey_buf_alloc(ctx, 0, &buf) == COVEY_EINVAL);
    WORLD_CHECK(covey_recv_buf(comm, &buf, 3, 0, NULL) == COVEY_EINVAL);
    WORLD_CHECK(covey_pack_of(ctx, 1) == -1 && covey_node_of(ctx, -1) == -1);
    WORLD_CHECK(covey_set_result(ctx, NULL, 1) == COVEY_EINVAL);
    char *large = calloc(1, (1 << 20) + 1);
    WORLD_CHECK(covey_set_result(ctx, large, (1 << 20) + 1) == COVEY_ELIMIT);
    free(large);
    WORLD_OK(covey_set_result(ctx, "result", 6));
    WORLD_CHECK(strcmp(covey_flare_id(ctx), "test-flare") == 0);
}

static void calls__bad_arguments__are_refused(void)
{
    struct world world = world_default(1, 1);
    world_run(&world, bad_arguments, NULL);
}

static void threads__ring__delivers(void)
{
    struct world world = world_default(4, 2);
    world.as_threads = true;
    world_run(&world, ring, NULL);
    world_run(&world, exchange, NULL);
}

static const struct test_case cases[] = {
    TEST_CASE(sendrecv__ring_of_any_size__delivers_every_length),
    TEST_CASE(recv__senders_end_after_sending__every_message_comes),
    TEST_CASE(recv__any_source__keeps_each_senders_order),
    TEST_CASE(recv__by_tag__takes_the_matching_one),
    TEST_CASE(recv__very_many_in_reverse__costs_a_few_steps_each),
    TEST_CASE(irecv__any_source_and_any_tag__match_in_the_order_of_posting),
    TEST_CASE(recv__buffer_too_short__gives_what_fits),
    TEST_CASE(isend_irecv__all_pairs__complete),
    TEST_CASE(send_buf__to_all__is_read_in_place),
    TEST_CASE(recv__nothing_comes__times_out_and_names_the_rank),
    TEST_CASE(calls__bad_arguments__are_refused),
    TEST_CASE(threads__ring__delivers),
    {0},
};

const struct test_suite test_suites[] = {{.name = "messages", .cases = cases}, {0}};
