#include "bench/exchange/activity.h"

#include "bench/exchange/pattern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { everyone = -1, line_bytes = 64 };

static bool with_numbers(const struct activity *activity)
{
    enum operation operation = activity->order->operation;
    return operation == OPERATION_REDUCE || operation == OPERATION_ALLREDUCE;
}

bool activity_counts(const struct activity *activity)
{
    return activity->partner < 0 || activity->rank < activity->partner;
}

static size_t count_out(const struct activity *activity)
{
    const struct order *order = activity->order;
    switch (order->operation) {
    case OPERATION_LATENCY:
        return order->window;
    case OPERATION_RATE:
    case OPERATION_BANDWIDTH:
        return activity_counts(activity) ? order->window * order->rounds : 0;
    case OPERATION_BARRIER:
        return 0;
    case OPERATION_BCAST:
        return activity->rank == 0;
    case OPERATION_SCATTER:
        return activity->rank == 0 ? (size_t)activity->size : 0;
    case OPERATION_ALLTOALL:
        return (size_t)activity->size;
    default:
        return 1;
    }
}

static size_t count_in(const struct activity *activity)
{
    const struct order *order = activity->order;
    switch (order->operation) {
    case OPERATION_LATENCY:
        return order->window;
    case OPERATION_RATE:
    case OPERATION_BANDWIDTH:
        return activity_counts(activity) ? 0 : order->window * order->rounds;
    case OPERATION_BARRIER:
        return 0;
    case OPERATION_BCAST:
        return activity->rank != 0;
    case OPERATION_REDUCE:
        return activity->rank == 0;
    case OPERATION_GATHER:
        return activity->rank == 0 ? (size_t)activity->size : 0;
    case OPERATION_ALLGATHER:
    case OPERATION_ALLTOALL:
        return (size_t)activity->size;
    default:
        return 1;
    }
}

/* Who gets block i of out, as far as its seed goes. */
static int receiver(const struct activity *activity, size_t i)
{
    switch (activity->order->operation) {
    case OPERATION_BCAST:
    case OPERATION_ALLGATHER:
        return everyone;
    case OPERATION_SCATTER:
    case OPERATION_ALLTOALL:
        return (int)i;
    default:
        return activity->partner < 0 ? 0 : activity->partner;
    }
}

/* Who has sent block i of in. */
static int sender(const struct activity *activity, size_t i)
{
    switch (activity->order->operation) {
    case OPERATION_BCAST:
    case OPERATION_SCATTER:
        return 0;
    default:
        return activity->partner < 0 ? (int)i : activity->partner;
    }
}

static uint64_t seed(const struct activity *activity, uint64_t call, int from, int to, size_t i)
{
    /* Blocks between two are told apart by their number, others by who has them. */
    return pattern_seed(activity->order->seed, call, from, to, activity->partner < 0 ? 0 : i);
}

static int make_blocks(const struct order *order, bool pairs, size_t count, struct blocks *blocks)
{
    /* Collectives take their blocks without gaps; messages of a line or more begin on one. */
    bool apart = pairs && order->bytes >= line_bytes;
    size_t stride =
        apart ? (order->bytes + line_bytes - 1) / line_bytes * line_bytes : order->bytes;
    blocks->blocks = calloc(count ? count : 1, sizeof(*blocks->blocks));
    if (!blocks->blocks)
        return -1;
    blocks->count = count;
    for (size_t i = 0; i < count; i++)
        blocks->blocks[i].length_bytes = order->bytes;
    if (order->owned)
        return 0;
    size_t bytes = (stride * count / line_bytes + 1) * line_bytes;
    blocks->memory = aligned_alloc(line_bytes, bytes);
    if (!blocks->memory)
        return -1;
    memset(blocks->memory, 1, bytes);
    for (size_t i = 0; i < count; i++)
        blocks->blocks[i].bytes = blocks->memory + i * stride;
    return 0;
}

int activity_create(struct talk *talk, const struct order *order, struct activity *activity)
{
    bool pairs = operation_pairs(order->operation);
    *activity = (struct activity){
        .talk = talk,
        .order = order,
        .rank = talk_rank(talk),
        .size = talk_size(talk),
        .partner = -1,
    };
    int half = activity->size / 2;
    if (pairs)
        activity->partner = activity->rank < half ? activity->rank + half : activity->rank - half;
    size_t in = count_in(activity);
    activity->sums = calloc(in ? in : 1, sizeof(*activity->sums));
    if (activity->sums && make_blocks(order, pairs, count_out(activity), &activity->out) == 0 &&
        make_blocks(order, pairs, in, &activity->in) == 0)
        return 0;
    fprintf(stderr, "covey-bench: no memory for messages of %llu bytes\n",
            (unsigned long long)order->bytes);
    return -1;
}

static void let_go(struct activity *activity, struct blocks *blocks)
{
    for (size_t i = 0; i < blocks->count; i++) {
        if (blocks->blocks[i].handle)
            talk_disown(activity->talk, &blocks->blocks[i]);
    }
}

static void free_blocks(struct activity *activity, struct blocks *blocks)
{
    let_go(activity, blocks);
    free(blocks->memory);
    free(blocks->blocks);
}

void activity_destroy(struct activity *activity)
{
    free_blocks(activity, &activity->out);
    free_blocks(activity, &activity->in);
    free(activity->sums);
}

int activity_rewrite(struct activity *activity, uint64_t call)
{
    const struct order *order = activity->order;
    for (size_t i = 0; i < activity->out.count; i++) {
        struct block *block = &activity->out.blocks[i];
        uint64_t fresh = seed(activity, call, activity->rank, receiver(activity, i), i);
        if (order->owned && talk_own(activity->talk, order->bytes, block))
            return -1;
        if (with_numbers(activity))
            pattern_fill_numbers(block->bytes, block->length_bytes / sizeof(double), fresh);
        else
            pattern_fill(block->bytes, block->length_bytes, fresh);
    }
    return 0;
}

void activity_read(struct activity *activity)
{
    for (size_t i = 0; i < activity->in.count; i++) {
        const struct block *block = &activity->in.blocks[i];
        if (with_numbers(activity))
            activity->sum =
                pattern_read_numbers(block->bytes, block->length_bytes / sizeof(double));
        else
            activity->sums[i] = pattern_read(block->bytes, block->length_bytes);
    }
}

/* What the sum of all elements of all members' numbers must be: every step is exact. */
static double expected_numbers(const struct activity *activity, uint64_t call)
{
    double sum = 0;
    for (int member = 0; member < activity->size; member++)
        sum += pattern_sum_numbers(activity->order->bytes / sizeof(double),
                                   seed(activity, call, member, 0, 0));
    return sum;
}

static bool is_right(const struct activity *activity, uint64_t call, size_t i)
{
    if (with_numbers(activity))
        return activity->sum == expected_numbers(activity, call);
    enum operation operation = activity->order->operation;
    bool alike = operation == OPERATION_BCAST || operation == OPERATION_ALLGATHER;
    uint64_t sent = seed(activity, call, sender(activity, i), alike ? everyone : activity->rank, i);
    return activity->in.blocks[i].length_bytes == activity->order->bytes &&
           activity->sums[i] == pattern_sum(activity->order->bytes, sent);
}

void activity_check(struct activity *activity, uint64_t call)
{
    for (size_t i = 0; i < activity->in.count; i++) {
        if (!is_right(activity, call, i))
            activity->wrong++;
    }
    let_go(activity, &activity->in);
    let_go(activity, &activity->out);
}
