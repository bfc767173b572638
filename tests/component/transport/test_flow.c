/* Messages to a worker of another node that lags behind, looks for others first, or ends. */
#include "base/clock.h"
#include "tests/harness/harness.h"
#include "world.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of two workers on two nodes 0 floods 1 with COUNT messages. */
#define COUNT  2000
#define OTHER  7
#define WINDOW 1024 /* what may be under way in a flare of so few workers */

/* Words of world_shared. */
enum { GO_ON, MOST_DONE };

static void wait_for(int word, int64_t value)
{
    int64_t deadline_ns = covey_now_ns() + 60 * COVEY_NS_PER_S;
    while (atomic_load(&world_shared()[word]) < value && covey_now_ns() < deadline_ns)
        usleep(100);
    WORLD_CHECK(atomic_load(&world_shared()[word]) >= value);
}

static int count_done(struct covey_ctx *ctx, struct covey_request **requests)
{
    int done = 0;
    for (int i = 0; i < COUNT; i++) {
        if (requests[i] && covey_test(&requests[i], NULL) == COVEY_EAGAIN)
            continue;
        WORLD_CHECK(!requests[i]);
        done++;
    }
    (void)ctx;
    return done;
}

static void start_flood(struct covey_ctx *ctx, struct covey_request **requests)
{
    for (int i = 0; i < COUNT; i++)
        WORLD_OK(covey_isend(covey_world(ctx), &i, sizeof i, 1, i % OTHER, &requests[i]));
}

static void take_flood(struct covey_ctx *ctx, int source, int tag, int first)
{
    for (int i = first; i < COUNT; i++) {
        int got = -1;
        WORLD_OK(covey_recv(covey_world(ctx), &got, sizeof got, source, tag, NULL));
        WORLD_CHECK(got == i);
    }
}

/* While the receiver is away, and while it receives something else, a window of messages goes. */
static void flood(struct covey_ctx *ctx, void *data)
{
    struct covey_comm *comm = covey_world(ctx);
    struct covey_request *requests[COUNT] = {0};
    const bool *looks = data;
    int word = 0;
    if (covey_rank(ctx) == 1) {
        wait_for(GO_ON, 1);
        for (int i = 0; *looks && i < 100; i++)
            WORLD_CHECK(covey_iprobe(comm, 2, 1, NULL) == COVEY_EAGAIN);
        atomic_store(&world_shared()[GO_ON], 2);
        wait_for(GO_ON, 3);
        take_flood(ctx, 0, COVEY_ANY_TAG, 0);
        WORLD_OK(covey_recv(comm, &word, sizeof word, 2, 1, NULL));
        return;
    }
    if (covey_rank(ctx) == 2) {
        wait_for(GO_ON, 3);
        WORLD_OK(covey_send(comm, &word, sizeof word, 1, 1));
        return;
    }
    start_flood(ctx, requests);
    int before = count_done(ctx, requests);
    WORLD_CHECK(before >= 8 && before <= WINDOW);
    atomic_store(&world_shared()[GO_ON], 1);
    wait_for(GO_ON, 2);
    /* What the other gives leave for would come while this one turns. */
    for (int i = 0; i < 100; i++) {
        int done = count_done(ctx, requests);
        WORLD_CHECK(done <= WINDOW);
        usleep(1000);
    }
    atomic_store(&world_shared()[GO_ON], 3);
    WORLD_OK(covey_wait_all(requests, COUNT));
}

static void send__receiver_is_away_or_wants_another_source__a_window_goes(void)
{
    for (int looks = 0; looks <= 1; looks++) {
        bool data = looks;
        struct world world = world_default(3, 3);
        world_run(&world, flood, &data);
    }
}

/* The receiver looks for the last message first. */
static void find_last(struct covey_ctx *ctx, void *data)
{
    struct covey_comm *comm = covey_world(ctx);
    struct covey_request *requests[COUNT] = {0};
    const int *how = data;
    int source = *how % 2 ? COVEY_ANY_SOURCE : 0;
    int got = -1;
    if (covey_rank(ctx) == 0) {
        start_flood(ctx, requests);
        WORLD_OK(covey_send(comm, &got, sizeof got, 1, OTHER));
        WORLD_OK(covey_wait_all(requests, COUNT));
        return;
    }
    struct covey_request *request = NULL;
    if (*how / 2 == 0) {
        WORLD_OK(covey_recv(comm, &got, sizeof got, source, OTHER, NULL));
    } else if (*how / 2 == 1) {
        struct covey_message message = {0};
        WORLD_OK(covey_probe(comm, source, OTHER, &message));
        WORLD_CHECK(message.tag == OTHER && message.source == 0);
        WORLD_OK(covey_recv(comm, &got, sizeof got, source, OTHER, NULL));
    } else {
        /* Posted first, then others are received that come before it. */
        WORLD_OK(covey_irecv(comm, &got, sizeof got, source, OTHER, &request));
    }
    for (int i = 0; i < COUNT; i++) {
        int word = -1;
        WORLD_OK(covey_recv(comm, &word, sizeof word, source, i % OTHER, NULL));
        WORLD_CHECK(word == i);
    }
    WORLD_OK(covey_wait(&request, NULL));
    WORLD_CHECK(got == -1);
}

static void recv__its_message_is_behind_many_windows__comes(void)
{
    for (int how = 0; how < 6; how++) {
        struct world world = world_default(2, 2);
        world_run(&world, find_last, &how);
    }
}

/* Messages of one communicator fill the window; another's, and collectives, go on. */
static void two_communicators(struct covey_ctx *ctx, void *data)
{
    (void)data;
    struct covey_comm *comm = covey_world(ctx), *other = NULL;
    struct covey_request *requests[COUNT] = {0};
    int word = 5;
    WORLD_OK(covey_comm_split(comm, 0, covey_rank(ctx), &other));
    if (covey_rank(ctx) == 0)
        start_flood(ctx, requests);
    for (int i = 0; i < 300; i++) {
        WORLD_OK(covey_barrier(comm));
        WORLD_OK(covey_bcast(other, &word, sizeof word, i % 2));
    }
    if (covey_rank(ctx) == 0)
        WORLD_OK(covey_send(other, &word, sizeof word, 1, 0));
    else
        WORLD_OK(covey_recv(other, &word, sizeof word, 0, 0, NULL));
    WORLD_CHECK(word == 5);
    if (covey_rank(ctx) == 1)
        take_flood(ctx, COVEY_ANY_SOURCE, COVEY_ANY_TAG, 0);
    WORLD_OK(covey_wait_all(requests, COUNT));
    covey_comm_free(other);
}

static void flood__in_one_communicator__others_and_collectives_go_on(void)
{
    struct world world = world_default(2, 2);
    world_run(&world, two_communicators, NULL);
}

/* More transfers matched than may be accepted at once, and the receiver goes away meanwhile. */
#define TRANSFERS 120

static void many_transfers(struct covey_ctx *ctx, void *data)
{
    static char bytes[TRANSFERS][100000];
    struct covey_comm *comm = covey_world(ctx);
    struct covey_request *requests[TRANSFERS] = {0};
    (void)data;
    for (int i = 0; i < TRANSFERS; i++) {
        size_t length = (size_t)(100000 - 800 * i);
        if (covey_rank(ctx) == 0) {
            world_fill(bytes[i], length, (uint64_t)i);
            WORLD_OK(covey_isend(comm, bytes[i], length, 1, i, &requests[i]));
        } else {
            WORLD_OK(covey_irecv(comm, bytes[i], length, 0, i, &requests[i]));
        }
    }
    if (covey_rank(ctx) == 1) {
        for (int i = 0; i < 5; i++) {
            WORLD_CHECK(covey_test(&requests[TRANSFERS - 1], NULL) != COVEY_EPEER);
            usleep(20000);
        }
        /* One that waits for its turn is given up. */
        struct covey_request *last = NULL;
        WORLD_OK(covey_irecv(comm, bytes[0], 1, 0, 1000, &last));
        WORLD_OK(covey_wait_all(requests, TRANSFERS));
        WORLD_OK(covey_wait(&last, NULL));
        for (int i = 0; i < TRANSFERS; i++)
            WORLD_CHECK(i == 0 || world_filled(bytes[i], (size_t)(100000 - 800 * i), (uint64_t)i));
        return;
    }
    WORLD_OK(covey_wait_all(requests, TRANSFERS));
    WORLD_OK(covey_send(comm, bytes[0], 1, 1, 1000));
}

static void transfers__more_than_may_be_accepted_at_once__all_complete(void)
{
    struct world world = world_default(2, 2);
    world_run(&world, many_transfers, NULL);
}

/* The receiver is killed while messages wait for its leave: they fail, and say why. */
static void flood_the_dead(struct covey_ctx *ctx, void *data)
{
    struct covey_comm *comm = covey_world(ctx);
    (void)data;
    if (covey_rank(ctx) == 1) {
        wait_for(GO_ON, 1);
        kill(getpid(), SIGKILL);
    }
    struct covey_request *requests[COUNT] = {0};
    start_flood(ctx, requests);
    atomic_store(&world_shared()[GO_ON], 1);
    enum covey_status status;
    int word = 1;
    while ((status = covey_send(comm, &word, sizeof word, 1, 1)) == COVEY_OK) {
    }
    WORLD_CHECK(status == COVEY_EPEER);
    WORLD_CHECK(covey_wait_all(requests, COUNT) == COVEY_EPEER);
    for (int i = 0; i < COUNT; i++)
        WORLD_CHECK(!requests[i]);
    WORLD_CHECK(strstr(covey_error_text(ctx), "killed by signal 9") != NULL);
}

static void send__receiver_dies_while_it_waits_for_leave__fails_with_epeer(void)
{
    struct world world = world_default(2, 2);
    world.killed = 1;
    world_run(&world, flood_the_dead, NULL);
}

/* The sender's program ends with messages that wait: they go before it does. */
static void leave_early(struct covey_ctx *ctx, void *data)
{
    (void)data;
    static struct covey_request *requests[COUNT]; /* never waited for */
    if (covey_rank(ctx) == 0) {
        start_flood(ctx, requests);
        return;
    }
    int got;
    take_flood(ctx, 0, COVEY_ANY_TAG, 0);
    WORLD_CHECK(covey_recv(covey_world(ctx), &got, sizeof got, 0, 1, NULL) == COVEY_EPEER);
}

static void sender__ends_with_messages_that_wait__they_go_first(void)
{
    struct world world = world_default(2, 2);
    world_run(&world, leave_early, NULL);
}

/* ---- giving up by the thousand ---- */

/* More than a host keeps of a pair: each end of an offer is a message, too. */
#define OFFERS       8000
#define OFFER_BYTES  20000
#define IMPATIENT_NS 1
#define PATIENT_NS   (50 * COVEY_NS_PER_S)

/* The receiver is in no call meanwhile. */
static void withdraw_thousands(struct covey_ctx *ctx, void *data)
{
    struct covey_comm *comm = covey_world(ctx);
    char *bytes = calloc(1, OFFER_BYTES);
    (void)data;
    if (covey_rank(ctx) == 0) {
        covey_comm_set_timeout(comm, IMPATIENT_NS);
        for (int i = 0; i < OFFERS; i++)
            WORLD_CHECK(covey_send(comm, bytes, OFFER_BYTES, 1, 1) == COVEY_ETIMEOUT);
        covey_comm_set_timeout(comm, PATIENT_NS);
        atomic_store(&world_shared()[GO_ON], 1);
        WORLD_OK(covey_send(comm, bytes, 1, 1, OTHER));
    } else {
        wait_for(GO_ON, 1);
        for (int i = 0; i < OFFERS; i++)
            WORLD_CHECK(covey_recv(comm, bytes, OFFER_BYTES, 0, 1, NULL) == COVEY_ETIMEOUT);
        WORLD_OK(covey_recv(comm, bytes, 1, 0, OTHER, NULL));
    }
    free(bytes);
}

static void send__thousands_are_given_up_at_once__receiver_is_told_of_each(void)
{
    struct world world = world_default(2, 2);
    world_run(&world, withdraw_thousands, NULL);
}

/* It completes where all of it went before the news came. */
static void wait_for_refusals(struct covey_request **requests)
{
    for (int i = 0; i < OFFERS; i++) {
        enum covey_status status = covey_wait(&requests[i], NULL);
        WORLD_CHECK(status == COVEY_OK || status == COVEY_ETIMEOUT);
    }
}

/*
 * The receiver has taken in all offers, since it looked for what came behind them. It accepts and
 * refuses one after another, while the sender is in no call.
 */
static void refuse_thousands(struct covey_ctx *ctx, void *data)
{
    struct covey_comm *comm = covey_world(ctx);
    char *bytes = calloc(1, OFFER_BYTES);
    struct covey_request **requests = calloc(OFFERS, sizeof(struct covey_request *));
    (void)data;
    if (covey_rank(ctx) == 0) {
        for (int i = 0; i < OFFERS; i++)
            WORLD_OK(covey_isend(comm, bytes, OFFER_BYTES, 1, 1, &requests[i]));
        WORLD_OK(covey_send(comm, bytes, 1, 1, OTHER));
        wait_for(GO_ON, 1);
        wait_for_refusals(requests);
        WORLD_OK(covey_send(comm, bytes, 1, 1, OTHER));
    } else {
        WORLD_OK(covey_recv(comm, bytes, 1, 0, OTHER, NULL));
        covey_comm_set_timeout(comm, IMPATIENT_NS);
        for (int i = 0; i < OFFERS; i++)
            WORLD_CHECK(covey_recv(comm, bytes, OFFER_BYTES, 0, 1, NULL) == COVEY_ETIMEOUT);
        covey_comm_set_timeout(comm, PATIENT_NS);
        atomic_store(&world_shared()[GO_ON], 1);
        WORLD_OK(covey_recv(comm, bytes, 1, 0, OTHER, NULL));
    }
    free(requests);
    free(bytes);
}

static void recv__thousands_are_given_up_at_once__sender_is_told_of_each(void)
{
    struct world world = world_default(2, 2);
    world_run(&world, refuse_thousands, NULL);
}

static const struct test_case cases[] = {
    TEST_CASE(send__receiver_is_away_or_wants_another_source__a_window_goes),
    TEST_CASE(recv__its_message_is_behind_many_windows__comes),
    TEST_CASE(flood__in_one_communicator__others_and_collectives_go_on),
    TEST_CASE(transfers__more_than_may_be_accepted_at_once__all_complete),
    TEST_CASE(send__receiver_dies_while_it_waits_for_leave__fails_with_epeer),
    TEST_CASE(sender__ends_with_messages_that_wait__they_go_first),
    TEST_CASE(send__thousands_are_given_up_at_once__receiver_is_told_of_each),
    TEST_CASE(recv__thousands_are_given_up_at_once__sender_is_told_of_each),
    {0},
};

const struct test_suite test_suites[] = {{"flow", cases, NULL, NULL}, {0}};
