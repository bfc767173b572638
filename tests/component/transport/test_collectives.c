/* Every collective against a plain model, over world sizes, placements, lengths and roots. */
#include "base/clock.h"
#include "tests/harness/harness.h"
#include "world.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const size_t lengths[] = {0, 1, 64, 4096, (1 << 20) + 3};
#define LENGTHS (sizeof(lengths) / sizeof(*lengths))

static const int world_sizes[] = {1, 2, 3, 5, 8, 16};
#define WORLD_SIZES (sizeof(world_sizes) / sizeof(*world_sizes))

/* Large blocks only in small worlds: an all-to-all of 16 by 1 MiB is half a gigabyte. */
static bool too_big(int size, size_t length)
{
    return length > 65536 && size > 5;
}

static void for_each_world(world_body body)
{
    for (int nodes = 1; nodes <= 3; nodes++) {
        for (size_t i = 0; i < WORLD_SIZES; i++) {
            struct world world = world_default(world_sizes[i], nodes);
            world_run(&world, body, NULL);
        }
    }
}

/* The bytes that one member gives another. */
static uint64_t seed(int from, int to)
{
    return (uint64_t)from * 100 + (uint64_t)to;
}

static void *space(size_t length)
{
    void *bytes = malloc(length + 1);
    memset(bytes, 0xee, length + 1);
    return bytes;
}

static void barriers(struct covey_ctx *ctx, void *data)
{
    (void)data;
    _Atomic int64_t *arrived = world_shared();
    for (int round = 1; round <= 20; round++) {
        atomic_fetch_add(arrived, 1);
        WORLD_OK(covey_barrier(covey_world(ctx)));
        WORLD_CHECK(atomic_load(arrived) >= (int64_t)round * covey_size(ctx));
    }
}

static void barrier__any_world__nobody_leaves_before_all_came(void)
{
    for_each_world(barriers);
}

static void bcasts(struct covey_ctx *ctx, void *data)
{
    (void)data;
    for (int root = 0; root < covey_size(ctx); root += root < 3 ? 1 : 4) {
        for (size_t i = 0; i < LENGTHS; i++) {
            char *bytes = space(lengths[i]);
            if (covey_rank(ctx) == root)
                world_fill(bytes, lengths[i], seed(root, (int)i));
            WORLD_OK(covey_bcast(covey_world(ctx), bytes, lengths[i], root));
            WORLD_CHECK(world_filled(bytes, lengths[i], seed(root, (int)i)));
            free(bytes);
        }
    }
}

static void bcast__any_root_and_length__all_have_it(void)
{
    for_each_world(bcasts);
}

static void bcast_bufs(struct covey_ctx *ctx, void *data)
{
    (void)data;
    for (int root = 0; root < covey_size(ctx); root += 3) {
        for (size_t i = 1; i < LENGTHS; i++) {
            struct covey_buf *buf = NULL;
            if (covey_rank(ctx) == root) {
                WORLD_OK(covey_buf_alloc(ctx, lengths[i], &buf));
                world_fill(covey_buf_data(buf), lengths[i], seed(root, (int)i));
            }
            if (WORLD_OK(covey_bcast_buf(covey_world(ctx), &buf, root))) {
                WORLD_CHECK(covey_buf_length(buf) == lengths[i]);
                WORLD_CHECK(world_filled(covey_buf_data(buf), lengths[i], seed(root, (int)i)));
            }
            covey_buf_release(buf);
        }
    }
}

static void bcast_buf__any_root__all_hold_it(void)
{
    for_each_world(bcast_bufs);
}

#define COUNTS 4
static const size_t counts[COUNTS] = {0, 1, 1000, 70001};

static void reductions(struct covey_ctx *ctx, void *data)
{
    (void)data;
    struct covey_comm *comm = covey_world(ctx);
    int rank = covey_rank(ctx);
    int size = covey_size(ctx);
    for (int c = 0; c < COUNTS; c++) {
        size_t count = counts[c];
        int64_t *in = space(count * 8);
        int64_t *out = space(count * 8);
        for (size_t i = 0; i < count; i++)
            in[i] = rank * INT64_C(1000) + (int64_t)i;
        int root = c % size;
        WORLD_OK(
            covey_reduce(comm, in, rank == root ? out : NULL, count, COVEY_INT64, COVEY_SUM, root));
        for (size_t i = 0; rank == root && i < count; i++) {
            if (!WORLD_CHECK(out[i] == size * (size - 1) / 2 * INT64_C(1000) + size * (int64_t)i))
                break;
        }
        WORLD_OK(covey_allreduce(comm, in, out, count, COVEY_INT64, COVEY_MAX));
        for (size_t i = 0; i < count; i++) {
            if (!WORLD_CHECK(out[i] == (size - 1) * INT64_C(1000) + (int64_t)i))
                break;
        }
        WORLD_OK(covey_allreduce(comm, COVEY_IN_PLACE, in, count, COVEY_INT64, COVEY_MIN));
        for (size_t i = 0; i < count; i++) {
            if (!WORLD_CHECK(in[i] == (int64_t)i))
                break;
        }
        free(in);
        free(out);
    }
    int root = size - 1;
    float value = (float)(rank + 1);
    WORLD_OK(covey_reduce(comm, rank == root ? COVEY_IN_PLACE : &value,
                          rank == root ? &value : NULL, 1, COVEY_FLOAT, COVEY_SUM, root));
    int expected = size * (size + 1) / 2;
    WORLD_CHECK(rank != root || value == (float)expected);
}

static void reduce__any_count_and_root__matches_the_model(void)
{
    for_each_world(reductions);
}

/* Sums that depend on the order of additions come out the same every time. */
static void same_bits_of(struct covey_ctx *ctx, size_t count)
{
    double *mine = space(count * sizeof *mine);
    double *sum = space(count * sizeof *sum);
    double *first = space(count * sizeof *first);
    for (size_t i = 0; i < count; i++)
        mine[i] = 1.0 / (covey_rank(ctx) * 3 + 1 + (double)i) * (covey_rank(ctx) % 2 ? 1e16 : 1e-3);
    for (int i = 0; i < 10; i++) {
        WORLD_OK(covey_allreduce(covey_world(ctx), mine, sum, count, COVEY_DOUBLE, COVEY_SUM));
        if (i == 0)
            memcpy(first, sum, count * sizeof *sum);
        WORLD_CHECK(memcmp(first, sum, count * sizeof *sum) == 0);
    }
    /* And they are those of a reduce, whose root adds all up in the order of ranks. */
    WORLD_OK(covey_reduce(covey_world(ctx), mine, sum, count, COVEY_DOUBLE, COVEY_SUM, 0));
    WORLD_CHECK(covey_rank(ctx) != 0 || memcmp(first, sum, count * sizeof *sum) == 0);
    free(mine);
    free(sum);
    free(first);
}

static void same_bits(struct covey_ctx *ctx, void *data)
{
    (void)data;
    same_bits_of(ctx, 1);
    same_bits_of(ctx, 40000);
}

static void allreduce__floating_point__is_deterministic(void)
{
    for_each_world(same_bits);
}

static void gathers(struct covey_ctx *ctx, void *data)
{
    (void)data;
    struct covey_comm *comm = covey_world(ctx);
    int rank = covey_rank(ctx);
    int size = covey_size(ctx);
    for (size_t i = 0; i < LENGTHS; i++) {
        if (too_big(size, lengths[i]))
            continue;
        int root = (int)i % size;
        char *one = space(lengths[i]);
        char *all = rank == root ? space(lengths[i] * (size_t)size) : NULL;
        world_fill(one, lengths[i], seed(rank, 0));
        WORLD_OK(covey_gather(comm, one, lengths[i], all, root));
        for (int r = 0; rank == root && r < size; r++)
            WORLD_CHECK(world_filled(all + (size_t)r * lengths[i], lengths[i], seed(r, 0)));
        memset(one, 0, lengths[i]);
        WORLD_OK(covey_scatter(comm, all, one, lengths[i], root));
        WORLD_CHECK(world_filled(one, lengths[i], seed(rank, 0)));
        free(all);
        all = space(lengths[i] * (size_t)size);
        WORLD_OK(covey_allgather(comm, one, lengths[i], all));
        for (int r = 0; r < size; r++)
            WORLD_CHECK(world_filled(all + (size_t)r * lengths[i], lengths[i], seed(r, 0)));
        memset(all, 0, lengths[i] * (size_t)size);
        world_fill(all + (size_t)rank * lengths[i], lengths[i], seed(rank, 1));
        WORLD_OK(covey_allgather(comm, COVEY_IN_PLACE, lengths[i], all));
        for (int r = 0; r < size; r++)
            WORLD_CHECK(world_filled(all + (size_t)r * lengths[i], lengths[i], seed(r, 1)));
        free(one);
        free(all);
    }
}

static void gather_scatter_allgather__any_length__match_the_model(void)
{
    for_each_world(gathers);
}

/* Lengths by rank, some of them zero, in places that are apart and in falling order. */
struct layout_of {
    size_t lengths[32];
    size_t offsets[32];
    size_t total;
};

static struct layout_of apart(int size, size_t unit)
{
    struct layout_of layout = {.total = 3};
    for (int r = size - 1; r >= 0; r--) {
        layout.lengths[r] = (size_t)(r % 3) * unit + (size_t)(r % 2);
        layout.offsets[r] = layout.total;
        layout.total += layout.lengths[r] + 5;
    }
    return layout;
}

static void vectors(struct covey_ctx *ctx, void *data)
{
    (void)data;
    struct covey_comm *comm = covey_world(ctx);
    int rank = covey_rank(ctx);
    int size = covey_size(ctx);
    static const size_t units[] = {0, 7, 50000, 400000};
    for (size_t u = 0; u < sizeof(units) / sizeof(*units); u++) {
        struct layout_of at = apart(size, units[u]);
        int root = (int)(u + 1) % size;
        size_t length = at.lengths[rank];
        char *one = space(length);
        char *all = space(at.total);
        world_fill(one, length, seed(rank, 2));
        WORLD_OK(covey_gatherv(comm, one, length, all, rank == root ? at.lengths : NULL,
                               rank == root ? at.offsets : NULL, root));
        for (int r = 0; rank == root && r < size; r++)
            WORLD_CHECK(world_filled(all + at.offsets[r], at.lengths[r], seed(r, 2)));
        memset(one, 0, length);
        WORLD_OK(covey_scatterv(comm, all, rank == root ? at.lengths : NULL,
                                rank == root ? at.offsets : NULL, one, length, root));
        WORLD_CHECK(world_filled(one, length, seed(rank, 2)));
        memset(all, 0xee, at.total);
        WORLD_OK(covey_allgatherv(comm, one, length, all, at.lengths, at.offsets));
        for (int r = 0; r < size; r++) {
            WORLD_CHECK(world_filled(all + at.offsets[r], at.lengths[r], seed(r, 2)));
            for (int pad = 0; pad < 5; pad++)
                WORLD_CHECK((unsigned char)all[at.offsets[r] + at.lengths[r] + (size_t)pad] ==
                            0xee);
        }
        free(one);
        free(all);
    }
}

static void gatherv_scatterv_allgatherv__blocks_apart__match_the_model(void)
{
    for_each_world(vectors);
}

static void alltoalls(struct covey_ctx *ctx, void *data)
{
    (void)data;
    int rank = covey_rank(ctx);
    int size = covey_size(ctx);
    for (size_t i = 0; i < LENGTHS; i++) {
        if (too_big(size, lengths[i]))
            continue;
        char *in = space(lengths[i] * (size_t)size);
        char *out = space(lengths[i] * (size_t)size);
        for (int r = 0; r < size; r++)
            world_fill(in + (size_t)r * lengths[i], lengths[i], seed(rank, r));
        WORLD_OK(covey_alltoall(covey_world(ctx), in, lengths[i], out));
        for (int r = 0; r < size; r++)
            WORLD_CHECK(world_filled(out + (size_t)r * lengths[i], lengths[i], seed(r, rank)));
        free(in);
        free(out);
    }
}

static void alltoall__any_length__matches_the_model(void)
{
    for_each_world(alltoalls);
}

static size_t sent(int from, int to, size_t unit)
{
    return (size_t)((from * 7 + to * 3) % 5) * unit + (size_t)((from + to) % 2);
}

static void alltoallvs(struct covey_ctx *ctx, void *data)
{
    (void)data;
    int rank = covey_rank(ctx);
    int size = covey_size(ctx);
    static const size_t units[] = {0, 13, 3000, 90000};
    for (size_t u = 0; u < sizeof(units) / sizeof(*units); u++) {
        struct layout_of out = {.total = 1};
        struct layout_of in = {.total = 2};
        for (int r = 0; r < size; r++) {
            out.lengths[r] = sent(rank, r, units[u]);
            out.offsets[r] = out.total;
            out.total += out.lengths[r] + (size_t)(r % 3);
        }
        for (int r = size - 1; r >= 0; r--) {
            in.lengths[r] = sent(r, rank, units[u]);
            in.offsets[r] = in.total;
            in.total += in.lengths[r] + (size_t)(r % 2);
        }
        char *from = space(out.total);
        char *to = space(in.total);
        for (int r = 0; r < size; r++)
            world_fill(from + out.offsets[r], out.lengths[r], seed(rank, r));
        WORLD_OK(covey_alltoallv(covey_world(ctx), from, out.lengths, out.offsets, to, in.lengths,
                                 in.offsets));
        for (int r = 0; r < size; r++)
            WORLD_CHECK(world_filled(to + in.offsets[r], in.lengths[r], seed(r, rank)));
        free(from);
        free(to);
    }
}

static void alltoallv__uneven__matches_the_model(void)
{
    for_each_world(alltoallvs);
}

/* Communicators by parity in reverse order, and of one node's own; all of it at once with world. */
static void splits(struct covey_ctx *ctx, void *data)
{
    (void)data;
    int rank = covey_rank(ctx);
    int size = covey_size(ctx);
    struct covey_comm *half = NULL;
    WORLD_OK(covey_comm_split(covey_world(ctx), rank % 2, -rank, &half));
    int members = covey_comm_size(half);
    WORLD_CHECK(members == (size + (rank % 2 ? 0 : 1)) / 2);
    int64_t mine = rank;
    int64_t ranks[32] = {0};
    WORLD_OK(covey_allgather(half, &mine, sizeof(mine), ranks));
    for (int i = 1; i < members; i++)
        WORLD_CHECK(ranks[i] == ranks[i - 1] - 2);
    WORLD_CHECK(ranks[covey_comm_rank(half)] == rank);
    struct covey_comm *none = half;
    WORLD_OK(covey_comm_split(half, covey_comm_rank(half) == 0 ? 5 : -1, 0, &none));
    WORLD_CHECK((none != NULL) == (covey_comm_rank(half) == 0));
    if (none) {
        WORLD_CHECK(covey_comm_size(none) == 1);
        WORLD_OK(covey_barrier(none));
    }
    covey_comm_free(none);
    WORLD_OK(covey_barrier(covey_pack_comm(ctx)));
    WORLD_CHECK(covey_comm_size(covey_pack_comm(ctx)) == covey_pack_size(ctx));
    /* A message in one communicator is not seen in the other. */
    if (members > 1) {
        int to = (covey_comm_rank(half) + 1) % members;
        int from = (covey_comm_rank(half) + members - 1) % members;
        int64_t got = -1;
        WORLD_OK(
            covey_sendrecv(half, &mine, sizeof(mine), to, 0, &got, sizeof(got), from, 0, NULL));
        WORLD_CHECK(got == ranks[from]);
    }
    WORLD_CHECK(covey_iprobe(covey_world(ctx), COVEY_ANY_SOURCE, COVEY_ANY_TAG, NULL) ==
                COVEY_EAGAIN);
    WORLD_OK(covey_barrier(covey_world(ctx)));
    covey_comm_free(half);
}

static void comm_split__by_parity__orders_by_key(void)
{
    for_each_world(splits);
}

static const struct test_case cases[] = {
    TEST_CASE(barrier__any_world__nobody_leaves_before_all_came),
    TEST_CASE(bcast__any_root_and_length__all_have_it),
    TEST_CASE(bcast_buf__any_root__all_hold_it),
    TEST_CASE(reduce__any_count_and_root__matches_the_model),
    TEST_CASE(allreduce__floating_point__is_deterministic),
    TEST_CASE(gather_scatter_allgather__any_length__match_the_model),
    TEST_CASE(gatherv_scatterv_allgatherv__blocks_apart__match_the_model),
    TEST_CASE(alltoall__any_length__matches_the_model),
    TEST_CASE(alltoallv__uneven__matches_the_model),
    TEST_CASE(comm_split__by_parity__orders_by_key),
    {0},
};

const struct test_suite test_suites[] = {{.name = "collectives", .cases = cases}, {0}};
