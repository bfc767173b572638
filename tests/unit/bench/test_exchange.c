/* The measurement of messages on a library of one member, which can spoil what it is given. */
#include "bench/exchange/measure.h"
#include "bench/exchange/pattern.h"
#include "tests/harness/harness.h"

#include <stdlib.h>
#include <string.h>

struct talk {
    bool spoils; /* the last byte of whatever comes */
    int barriers;
    int fails_after; /* barriers; 0: never */
};

int talk_rank(const struct talk *talk)
{
    (void)talk;
    return 0;
}

int talk_size(const struct talk *talk)
{
    (void)talk;
    return 1;
}

int talk_own(struct talk *talk, size_t length_bytes, struct block *block)
{
    (void)talk;
    void *bytes = malloc(length_bytes);
    *block = (struct block){bytes, length_bytes, bytes};
    return bytes ? 0 : -1;
}

void talk_disown(struct talk *talk, struct block *block)
{
    (void)talk;
    free(block->handle);
    block->handle = block->bytes = NULL;
}

int talk_send(struct talk *talk, const struct block *block, int to)
{
    (void)talk;
    (void)block;
    (void)to;
    return -1;
}

int talk_receive(struct talk *talk, struct block *block, int from)
{
    return talk_send(talk, block, from);
}

int talk_send_all(struct talk *talk, const struct block *blocks, size_t count, int to)
{
    (void)count;
    return talk_send(talk, blocks, to);
}

int talk_receive_all(struct talk *talk, struct block *blocks, size_t count, int from)
{
    (void)count;
    return talk_send(talk, blocks, from);
}

int talk_barrier(struct talk *talk)
{
    talk->barriers++;
    return talk->barriers == talk->fails_after ? -1 : 0;
}

int talk_bcast(struct talk *talk, struct block *block)
{
    (void)talk;
    return block->bytes ? 0 : -1;
}

static int move(struct talk *talk, const void *input, void *output, size_t length_bytes)
{
    memcpy(output, input, length_bytes);
    if (talk->spoils)
        ((char *)output)[length_bytes - 1] ^= 1;
    return 0;
}

int talk_reduce(struct talk *talk, const double *input, double *output, size_t count)
{
    /* One number is what the measurement itself adds up. */
    struct talk honest = {0};
    return move(count > 1 ? talk : &honest, input, output, count * sizeof(double));
}

int talk_allreduce(struct talk *talk, const double *input, double *output, size_t count)
{
    return move(talk, input, output, count * sizeof(double));
}

int talk_gather(struct talk *talk, const void *input, size_t length_bytes, void *output)
{
    return move(talk, input, output, length_bytes);
}

int talk_scatter(struct talk *talk, const void *input, size_t length_bytes, void *output)
{
    return move(talk, input, output, length_bytes);
}

int talk_allgather(struct talk *talk, const void *input, size_t length_bytes, void *output)
{
    return move(talk, input, output, length_bytes);
}

int talk_alltoall(struct talk *talk, const void *input, size_t length_bytes, void *output)
{
    return move(talk, input, output, length_bytes);
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the other talks change them. */
int talk_extremes(struct talk *talk, double *values, size_t count, bool largest)
{
    (void)talk;
    (void)values;
    (void)count;
    (void)largest;
    return 0;
}

static char *measure(struct talk *talk, const struct order *order, int *failed)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    TEST_REQUIRE(out != NULL);
    *failed = measure_order(talk, order, out);
    TEST_REQUIRE(fclose(out) == 0);
    return text;
}

static size_t lines(const char *text, const char *word)
{
    size_t count = 0;
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
        count += strncmp(line, word, strlen(word)) == 0;
    return count;
}

static struct order order_of(enum operation operation)
{
    return (struct order){.operation = operation,
                          .bytes = 48,
                          .samples = 4,
                          .warm_ups = 2,
                          .window = 3,
                          .rounds = 1,
                          .seed = 5};
}

static const enum operation moving[] = {OPERATION_REDUCE,  OPERATION_ALLREDUCE, OPERATION_GATHER,
                                        OPERATION_SCATTER, OPERATION_ALLGATHER, OPERATION_ALLTOALL};
enum { moving_count = sizeof(moving) / sizeof(moving[0]) };

static void measure__right_data__times_and_no_wrong(void)
{
    for (size_t i = 0; i < moving_count; i++) {
        struct talk talk = {0};
        struct order order = order_of(moving[i]);
        int failed;
        char *text = measure(&talk, &order, &failed);
        TEST_TRUE(failed == 0);
        TEST_TRUE(lines(text, "call ") == 4 && lines(text, "read ") == 0);
        TEST_TRUE(lines(text, "wrong 0\n") == 1);
        free(text);
    }
}

static void measure__one_bit_is_wrong__told_for_each_sample(void)
{
    for (size_t i = 0; i < moving_count; i++) {
        struct talk talk = {.spoils = true};
        struct order order = order_of(moving[i]);
        int failed;
        char *text = measure(&talk, &order, &failed);
        TEST_TRUE(failed == 0 && lines(text, "wrong 6\n") == 1);
        free(text);
    }
}

static void measure__once__one_sample_without_more(void)
{
    struct talk talk = {0};
    struct order order = order_of(OPERATION_ALLTOALL);
    order.once = true;
    order.samples = 1;
    order.warm_ups = 0;
    int failed;
    char *text = measure(&talk, &order, &failed);
    TEST_TRUE(failed == 0 && talk.barriers == 1);
    TEST_TRUE(lines(text, "call ") == 1 && lines(text, "barrier ") == 0);
    free(text);
}

static void measure__owned__also_read(void)
{
    struct talk talk = {0};
    struct order order = order_of(OPERATION_BCAST);
    order.owned = true;
    int failed;
    char *text = measure(&talk, &order, &failed);
    TEST_TRUE(failed == 0 && lines(text, "read ") == 4 && lines(text, "wrong 0\n") == 1);
    free(text);
}

static void measure__library_fails__said(void)
{
    struct talk talk = {.fails_after = 103};
    struct order order = order_of(OPERATION_GATHER);
    int failed;
    char *text = measure(&talk, &order, &failed);
    TEST_TRUE(failed < 0 && lines(text, "wrong") == 0);
    free(text);
}

static void order__written__read_again(void)
{
    char text[order_text_bytes];
    struct order order = order_of(OPERATION_RATE), read;
    order.bytes = UINT64_MAX;
    order.seed = UINT64_MAX;
    order.once = true;
    order_write(&order, text);
    TEST_REQUIRE(order_read(text, &read) == 0);
    TEST_TRUE(read.operation == OPERATION_RATE && read.bytes == UINT64_MAX);
    TEST_TRUE(read.samples == 4 && read.warm_ups == 2 && read.window == 3 && read.rounds == 1);
    TEST_TRUE(!read.owned && read.once && read.seed == UINT64_MAX);
    static const char *const none[] = {"", "rate", "rate 1 2 3", "walk 1 2 3 4 5 0 0 1",
                                       "rate 1 2 3 4 5 0 0 1 9"};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        TEST_TRUE(order_read(none[i], &read) < 0);
}

static void pattern__any_length__sum_of_what_is_written(void)
{
    char bytes[64];
    for (size_t length = 0; length < 40; length++) {
        memset(bytes, 0x55, sizeof(bytes));
        pattern_fill(bytes + 1, length, 99);
        TEST_TRUE(pattern_read(bytes + 1, length) == pattern_sum(length, 99));
        TEST_TRUE(bytes[0] == 0x55 && bytes[length + 1] == 0x55);
    }
    TEST_TRUE(pattern_sum(32, 1) != pattern_sum(32, 2));
    TEST_TRUE(pattern_seed(1, 2, 3, 4, 5) != pattern_seed(1, 2, 4, 3, 5));
}

static const struct test_case cases[] = {
    TEST_CASE(measure__right_data__times_and_no_wrong),
    TEST_CASE(measure__one_bit_is_wrong__told_for_each_sample),
    TEST_CASE(measure__once__one_sample_without_more),
    TEST_CASE(measure__owned__also_read),
    TEST_CASE(measure__library_fails__said),
    TEST_CASE(order__written__read_again),
    TEST_CASE(pattern__any_length__sum_of_what_is_written),
    {0},
};

const struct test_suite test_suites[] = {{"exchange", cases, NULL, NULL}, {0}};
