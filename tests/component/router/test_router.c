/* Two and three hosts in processes of their own: death, pressure, accounts. */
#include "hosts.h"
#include "tests/harness/harness.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static void fill(uint8_t *bytes, size_t length, unsigned seed)
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(seed + i * 7);
}

static bool is_filled(const uint8_t *bytes, size_t length, unsigned seed)
{
    for (size_t i = 0; i < length; i++)
        if (bytes[i] != (uint8_t)(seed + i * 7))
            return false;
    return true;
}

#define LAST_WORDS 40

static size_t word_length(unsigned i)
{
    return i % 4 == 3 ? 12000 : 1 + i * 3;
}

/* Rank 1 (on the other node) says its last words, large and small, and kills itself. */
static void hear_last_words(struct covey_ctx *ctx, struct shared *shared)
{
    static uint8_t bytes[16384];
    struct covey_comm *comm = covey_world(ctx);
    if (covey_rank(ctx) == 1) {
        for (unsigned i = 0; i < LAST_WORDS; i++) {
            /* Large ones need credit, which comes back as rank 0 receives. */
            fill(bytes, word_length(i), i);
            EXPECT_OK(covey_send(comm, bytes, word_length(i), 0, (int)i));
        }
        atomic_store(&shared->times_ns[0], test_rested_ns());
        kill(getpid(), SIGKILL);
    }
    if (covey_rank(ctx) != 0)
        return;
    for (unsigned i = 0; i < LAST_WORDS; i++) {
        struct covey_message message;
        EXPECT_OK(covey_recv(comm, bytes, sizeof bytes, 1, COVEY_ANY_TAG, &message));
        EXPECT(message.tag == (int)i && message.length_bytes == word_length(i));
        EXPECT(is_filled(bytes, word_length(i), i));
    }
    EXPECT(covey_recv(comm, bytes, sizeof bytes, 1, 5, NULL) == COVEY_EPEER);
    EXPECT(test_rested_ns() - atomic_load(&shared->times_ns[0]) < 2 * COVEY_NS_PER_S);
    EXPECT(strstr(covey_error_text(ctx), "killed by signal 9"));
    EXPECT(covey_send(comm, bytes, 1, 1, 5) == COVEY_EPEER);
}

static void worker__killed_on_another_node__its_last_words_come_then_epeer(void)
{
    const struct hosts hosts = {
        .hosts = 2, .workers = 3, .killed_host = -1, .killed_worker = 1, .work = hear_last_words};
    for (unsigned round = 0; round < 5; round++)
        TEST_TRUE(hosts_run(&hosts, NULL));
}

/*
 * Workers of the other node (the odd ranks) send together more than an inbox holds, and end well
 * before rank 0 looks at any of it. Rank 2, beside rank 0, is told of their ends meanwhile.
 */
#define CHATTERERS 7
#define CHATTER    100

static void chatter(struct covey_ctx *ctx, struct shared *shared)
{
    struct covey_comm *comm = covey_world(ctx);
    int rank = covey_rank(ctx);
    for (uint32_t i = 0; rank % 2 == 1 && i < CHATTER; i++)
        EXPECT_OK(covey_send(comm, &i, sizeof i, 0, 7));
    if (rank == 2) {
        for (int from = 1; from < covey_size(ctx); from += 2)
            EXPECT(covey_recv(comm, NULL, 0, from, 7, NULL) == COVEY_EPEER);
        atomic_store(&shared->marks[0], 1);
    }
    if (rank != 0)
        return;
    hosts_wait_mark(shared, 0, 1);
    /* Longer than any wait of a host for the network's sake. */
    usleep(2500000);
    for (int from = 1; from < covey_size(ctx); from += 2) {
        for (uint32_t i = 0; i < CHATTER; i++) {
            uint32_t got;
            EXPECT_OK(covey_recv(comm, &got, sizeof got, from, 7, NULL));
            EXPECT(got == i);
        }
        EXPECT(covey_recv(comm, NULL, 0, from, 7, NULL) == COVEY_EPEER);
        EXPECT(strstr(covey_error_text(ctx), "has ended"));
    }
}

static void workers__ended_with_a_full_inbox_elsewhere__all_of_it_comes_then_epeer(void)
{
    const struct hosts hosts = {.hosts = 2,
                                .workers = 2 * CHATTERERS,
                                .killed_host = -1,
                                .killed_worker = -1,
                                .work = chatter};
    TEST_TRUE(hosts_run(&hosts, NULL));
}

/* Ranks 0, 2 on host 0; 1, 3 on host 1, which is killed while all wait in vain. */
static void lose_host(struct covey_ctx *ctx, struct shared *shared)
{
    uint8_t bytes[64] = {0};
    struct covey_comm *comm = covey_world(ctx);
    int rank = covey_rank(ctx), other = rank ^ 1;
    EXPECT_OK(
        covey_sendrecv(comm, bytes, sizeof bytes, other, 1, bytes, sizeof bytes, other, 1, NULL));
    atomic_fetch_add(&shared->marks[0], 1);
    if (rank % 2 == 1) {
        EXPECT(covey_recv(comm, bytes, sizeof bytes, other, 2, NULL) != COVEY_OK);
        return;
    }
    /* All of them: what the host had not yet sent would be lost with it. */
    hosts_wait_mark(shared, 0, 4);
    if (rank == 0) {
        atomic_store(&shared->times_ns[0], test_rested_ns());
        EXPECT(kill(atomic_load(&shared->host_pids[1]), SIGKILL) == 0);
    }
    EXPECT(covey_recv(comm, bytes, sizeof bytes, other, 2, NULL) == COVEY_EPEER);
    EXPECT(test_rested_ns() - atomic_load(&shared->times_ns[0]) < 2 * COVEY_NS_PER_S);
    EXPECT(strstr(covey_error_text(ctx), "node 1 is lost"));
}

static void host__killed__workers_of_others_have_epeer_within_2_s(void)
{
    const struct hosts hosts = {
        .hosts = 2, .workers = 4, .killed_host = 1, .killed_worker = -1, .work = lose_host};
    TEST_TRUE(hosts_run(&hosts, NULL));
}

#define PINGS   300
#define STALLED 64

/*
 * Rank 0 does not receive; rank 1 sends it more than its node has memory for. Ranks 2 and 3, on
 * the same two nodes, play on.
 */
static void play_past_stalled(struct covey_ctx *ctx, struct shared *shared)
{
    static uint8_t bytes[1 << 20], answer[1 << 20];
    struct covey_comm *comm = covey_world(ctx);
    struct covey_request *requests[STALLED] = {0};
    int rank = covey_rank(ctx);
    if (rank == 1) {
        fill(bytes, sizeof bytes, 9);
        for (unsigned i = 0; i < STALLED; i++)
            EXPECT_OK(covey_isend(comm, bytes, i % 2 == 0 ? sizeof bytes : 16000, 0, (int)i,
                                  &requests[i]));
        atomic_store(&shared->marks[0], 1);
        EXPECT_OK(covey_wait_all(requests, STALLED));
    } else if (rank == 0) {
        hosts_wait_mark(shared, 1, 2);
        for (unsigned i = 0; i < STALLED; i++) {
            struct covey_message message;
            EXPECT_OK(covey_recv(comm, answer, sizeof answer, 1, (int)i, &message));
            EXPECT(message.length_bytes == (i % 2 == 0 ? sizeof bytes : 16000));
            EXPECT(is_filled(answer, message.length_bytes, 9));
        }
    } else {
        hosts_wait_mark(shared, 0, 1);
        for (unsigned i = 0; i < PINGS; i++) {
            size_t length = i % 10 == 0 ? sizeof bytes : (size_t)100 * (i % 100);
            fill(bytes, length, i);
            EXPECT_OK(covey_sendrecv(comm, bytes, length, rank ^ 1, (int)i, answer, sizeof answer,
                                     rank ^ 1, (int)i, NULL));
            EXPECT(is_filled(answer, length, i));
        }
        atomic_fetch_add(&shared->marks[1], 1);
    }
}

static void receiver__stalled_with_memory_full__others_play_on_and_nothing_is_lost(void)
{
    static struct shared seen;
    const struct hosts hosts = {.hosts = 2,
                                .workers = 4,
                                .arena_bytes = 2 * arena_least_bytes(2),
                                .killed_host = -1,
                                .killed_worker = -1,
                                .work = play_past_stalled};
    TEST_TRUE(hosts_run(&hosts, &seen));
}

/*
 * Rank 0 fills the memory of its node with buffers of its own, has matched large transfers from
 * rank 1, and goes away; ranks 2 and 3, on the same two nodes, exchange every length.
 */
#define HOGGED   32
#define BUFFERS  4096
#define EXCHANGE 40

static void hog(struct covey_ctx *ctx, struct shared *shared, uint8_t *bytes, size_t length)
{
    static struct covey_buf *buffers[BUFFERS];
    struct covey_comm *comm = covey_world(ctx);
    struct covey_request *requests[HOGGED] = {0};
    unsigned count = 0;
    while (count < BUFFERS && covey_buf_alloc(ctx, 1 << 20, &buffers[count]) == COVEY_OK)
        count++;
    atomic_store(&shared->marks[0], 1);
    EXPECT_OK(covey_probe(comm, 1, HOGGED - 1, NULL));
    for (unsigned i = 0; i < HOGGED; i++)
        EXPECT_OK(covey_irecv(comm, bytes, length, 1, (int)i, &requests[i]));
    for (unsigned i = 0; i < 3; i++) {
        enum covey_status status = covey_test(&requests[HOGGED - 1], NULL);
        EXPECT(status == COVEY_EAGAIN || status == COVEY_OK);
        usleep(1000);
    }
    atomic_store(&shared->marks[1], 1);
    hosts_wait_mark(shared, 2, 2);
    EXPECT_OK(covey_wait_all(requests, HOGGED));
    EXPECT(is_filled(bytes, length, 9));
    for (unsigned i = 0; i < count; i++)
        covey_buf_release(buffers[i]);
}

static void play_past_hog(struct covey_ctx *ctx, struct shared *shared)
{
    static uint8_t bytes[1 << 20], answer[1 << 20];
    struct covey_comm *comm = covey_world(ctx);
    struct covey_request *requests[HOGGED] = {0};
    int rank = covey_rank(ctx);
    covey_comm_set_timeout(comm, 60 * COVEY_NS_PER_S);
    if (rank == 0) {
        hog(ctx, shared, bytes, sizeof bytes);
        return;
    }
    hosts_wait_mark(shared, 0, 1);
    if (rank == 1) {
        fill(bytes, sizeof bytes, 9);
        for (unsigned i = 0; i < HOGGED; i++)
            EXPECT_OK(covey_isend(comm, bytes, sizeof bytes, 0, (int)i, &requests[i]));
        EXPECT_OK(covey_wait_all(requests, HOGGED));
        return;
    }
    hosts_wait_mark(shared, 1, 1);
    for (unsigned i = 0; i < EXCHANGE; i++) {
        size_t length = i % 4 == 0 ? sizeof bytes : (size_t)400 * i;
        fill(bytes, sizeof bytes, i);
        if (rank == 3) {
            /* Not received in the order they are sent: some are kept meanwhile. */
            EXPECT_OK(covey_send(comm, bytes, 1000 + i, 2, 1000));
            EXPECT_OK(covey_send(comm, bytes, length, 2, (int)i));
            continue;
        }
        EXPECT_OK(covey_recv(comm, answer, sizeof answer, 3, (int)i, NULL));
        EXPECT(is_filled(answer, length, i));
    }
    for (unsigned i = 0; rank == 2 && i < EXCHANGE; i++) {
        struct covey_message message;
        EXPECT_OK(covey_recv(comm, answer, sizeof answer, 3, 1000, &message));
        EXPECT(message.length_bytes == 1000 + i && is_filled(answer, 1000 + i, i));
    }
    atomic_fetch_add(&shared->marks[2], 1);
}

static void receiver__stalled_in_memory_it_has_filled__others_play_on(void)
{
    const struct hosts hosts = {.hosts = 2,
                                .workers = 4,
                                .arena_bytes = 4 * arena_least_bytes(2),
                                .timeout_ns = COVEY_NS_PER_S,
                                .killed_host = -1,
                                .killed_worker = -1,
                                .work = play_past_hog};
    TEST_TRUE(hosts_run(&hosts, NULL));
}

#define REPEATS 60

/* All send to all, the same again and again. */
static void repeat(struct covey_ctx *ctx, struct shared *shared)
{
    static uint8_t bytes[200000], got[200000];
    struct covey_comm *comm = covey_world(ctx);
    int rank = covey_rank(ctx), size = covey_size(ctx);
    (void)shared;
    for (unsigned i = 0; i < REPEATS; i++) {
        for (int step = 1; step < size; step++) {
            int to = (rank + step) % size, from = (rank + size - step) % size;
            size_t length = i % 2 == 0 ? sizeof bytes : 40;
            fill(bytes, length, (unsigned)rank);
            EXPECT_OK(covey_sendrecv(comm, bytes, length, to, 1, got, sizeof got, from, 1, NULL));
            EXPECT(is_filled(got, length, (unsigned)from));
        }
    }
}

static void accounts__many_messages__bytes_add_up_and_slabs_are_registered_once(void)
{
    static struct shared seen;
    const struct hosts hosts = {
        .hosts = 3, .workers = 6, .killed_host = -1, .killed_worker = -1, .work = repeat};
    TEST_TRUE(hosts_run(&hosts, &seen));
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned j = 0; j < 3; j++) {
            /* Two ranks to two ranks, and nothing that does not have to cross. */
            uint64_t payload = i == j ? 0 : 4ull * (REPEATS / 2) * (200000 + 40);
            TEST_EQUAL(seen.traffic[i][j].sent_bytes, payload);
            TEST_EQUAL(seen.traffic[i][j].received_bytes, payload);
            TEST_EQUAL(seen.traffic[i][j].sent_messages, seen.traffic[j][i].received_messages);
        }
        TEST_TRUE(seen.counters[i].registrations > 0);
        TEST_TRUE(seen.counters[i].registrations < 64);
        TEST_EQUAL(seen.counters[i].dropped, 0);
    }
}

static const struct test_case cases[] = {
    TEST_CASE(worker__killed_on_another_node__its_last_words_come_then_epeer),
    TEST_CASE(workers__ended_with_a_full_inbox_elsewhere__all_of_it_comes_then_epeer),
    TEST_CASE(host__killed__workers_of_others_have_epeer_within_2_s),
    TEST_CASE(receiver__stalled_with_memory_full__others_play_on_and_nothing_is_lost),
    TEST_CASE(receiver__stalled_in_memory_it_has_filled__others_play_on),
    TEST_CASE(accounts__many_messages__bytes_add_up_and_slabs_are_registered_once),
    {0},
};

const struct test_suite test_suites[] = {{"router", cases, NULL, NULL}, {0}};
