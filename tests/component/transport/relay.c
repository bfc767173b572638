#include "relay.h"

#include "base/list.h"
#include "tests/harness/harness.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NODES 4

struct carried {
    struct covey_list link;
    int from;
    struct host_outgoing message;
};

struct ended {
    struct covey_list link;
    uint32_t rank;
    enum arena_rank_state state;
    char reason[ARENA_REASON_BYTES];
};

struct relay {
    struct host_port *ports[MAX_NODES];
    struct arena *arenas[MAX_NODES];
    int nodes;
    pthread_t thread;
    pthread_mutex_t lock;
    struct covey_list ended; /* under the lock */
    struct covey_list stuck;
    _Atomic bool stop;
    _Atomic uint64_t bytes[MAX_NODES][MAX_NODES];
};

/* False where there is no room for it yet. */
static bool carry(struct relay *relay, int from, struct host_outgoing *message)
{
    int to = (int)arena_node_of(relay->arenas[from], message->header.destination);
    struct host_incoming *incoming;
    enum covey_status status = host_port_expect(relay->ports[to], (uint32_t)from, &message->header,
                                                message->length_bytes, &incoming);
    if (status == COVEY_OK) {
        status = host_port_make_room(relay->ports[to], incoming);
        if (status != COVEY_OK)
            host_port_discard(relay->ports[to], incoming);
    }
    if (status == COVEY_EAGAIN)
        return false;
    if (status == COVEY_OK) {
        memcpy(incoming->payload, message->payload, message->length_bytes);
        atomic_fetch_add(&relay->bytes[from][to], message->length_bytes);
        status = host_port_deliver(relay->ports[to], incoming);
    }
    if (status != COVEY_OK && status != COVEY_EPEER) {
        fprintf(stderr, "relay: status %d\n", status);
        abort();
    }
    host_port_release(relay->ports[from], message);
    return true;
}

static bool retry_stuck(struct relay *relay)
{
    covey_list_for_each_safe (node, after, &relay->stuck) {
        struct carried *stuck = (struct carried *)node;
        if (carry(relay, stuck->from, &stuck->message)) {
            covey_list_remove(node);
            free(stuck);
        }
    }
    return covey_list_empty(&relay->stuck);
}

static void take_all(struct relay *relay, int from)
{
    struct carried *next = malloc(sizeof(*next));
    while (host_port_poll(relay->ports[from], &next->message)) {
        if (carry(relay, from, &next->message))
            continue;
        next->from = from;
        covey_list_push_back(&relay->stuck, &next->link);
        next = malloc(sizeof(*next));
    }
    free(next);
}

static struct ended *next_ended(struct relay *relay)
{
    pthread_mutex_lock(&relay->lock);
    struct ended *ended = (struct ended *)covey_list_pop_front(&relay->ended);
    pthread_mutex_unlock(&relay->lock);
    return ended;
}

static void pass_on_ended(struct relay *relay)
{
    struct ended *ended = next_ended(relay);
    if (!ended)
        return;
    /* What it has sent is in the inbox by now: take it first. */
    for (int i = 0; i < relay->nodes; i++)
        take_all(relay, i);
    while (!retry_stuck(relay) && !atomic_load(&relay->stop)) {
        for (int i = 0; i < relay->nodes; i++)
            host_port_flush(relay->ports[i]);
    }
    for (int i = 0; i < relay->nodes; i++) {
        while (host_port_flush(relay->ports[i]) && !atomic_load(&relay->stop)) {
        }
        if (arena_node_of(relay->arenas[i], ended->rank) != (uint32_t)i)
            arena_mark_ended(relay->arenas[i], ended->rank, ended->state, ended->reason);
    }
    free(ended);
}

static void wait_for_news(struct relay *relay, bool idle)
{
    struct pollfd fds[MAX_NODES];
    bool sleep = true;
    for (int i = 0; i < relay->nodes; i++) {
        fds[i] = (struct pollfd){.fd = host_port_event_fd(relay->ports[i]), .events = POLLIN};
        sleep &= host_port_sleep(relay->ports[i]);
    }
    if (sleep)
        poll(fds, (nfds_t)relay->nodes, idle ? 20 : 1);
    for (int i = 0; i < relay->nodes; i++)
        host_port_wake(relay->ports[i]);
}

static void *run(void *data)
{
    struct relay *relay = data;
    while (!atomic_load(&relay->stop)) {
        bool idle = retry_stuck(relay);
        for (int i = 0; i < relay->nodes; i++)
            take_all(relay, i);
        for (int i = 0; i < relay->nodes; i++)
            idle &= !host_port_flush(relay->ports[i]);
        pass_on_ended(relay);
        wait_for_news(relay, idle);
    }
    return NULL;
}

struct relay *relay_start(struct host_port **ports, struct arena **arenas, int nodes)
{
    struct relay *relay = calloc(1, sizeof(*relay));
    TEST_REQUIRE(relay != NULL);
    relay->nodes = nodes;
    for (int i = 0; i < nodes; i++) {
        relay->ports[i] = ports[i];
        relay->arenas[i] = arenas[i];
    }
    covey_list_init(&relay->ended);
    covey_list_init(&relay->stuck);
    pthread_mutex_init(&relay->lock, NULL);
    TEST_REQUIRE(pthread_create(&relay->thread, NULL, run, relay) == 0);
    return relay;
}

void relay_mark_ended(struct relay *relay, uint32_t rank, enum arena_rank_state state,
                      const char *reason)
{
    struct ended *ended = calloc(1, sizeof(*ended));
    TEST_REQUIRE(ended != NULL);
    ended->rank = rank;
    ended->state = state;
    snprintf(ended->reason, sizeof(ended->reason), "%s", reason);
    pthread_mutex_lock(&relay->lock);
    covey_list_push_back(&relay->ended, &ended->link);
    pthread_mutex_unlock(&relay->lock);
    for (int i = 0; i < relay->nodes; i++)
        arena_wake_all(relay->arenas[i]);
}

uint64_t relay_carried(const struct relay *relay, int from, int to)
{
    return atomic_load(&relay->bytes[from][to]);
}

void relay_stop(struct relay *relay)
{
    atomic_store(&relay->stop, true);
    arena_wake_all(relay->arenas[0]);
    pthread_join(relay->thread, NULL);
    for (int i = 0; i < relay->nodes; i++)
        take_all(relay, i);
    struct covey_list *node;
    while ((node = covey_list_pop_front(&relay->stuck))) {
        struct carried *stuck = (struct carried *)node;
        host_port_release(relay->ports[stuck->from], &stuck->message);
        free(stuck);
    }
    struct ended *ended;
    while ((ended = next_ended(relay)))
        free(ended);
    pthread_mutex_destroy(&relay->lock);
    free(relay);
}
