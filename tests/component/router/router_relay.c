/*
 * The relay of a world, made of what carries messages in earnest: a router for each node, each in a
 * thread of its own, over UCX on the loopback, or over what COVEY_TEST_NETWORK names. The suites
 * that run over the relay in memory run over this one as well.
 */
#include "relay.h"

#include "base/clock.h"
#include "base/list.h"
#include "tests/harness/harness.h"
#include "transport/net/router.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NODES 4

struct ended {
    struct covey_list link;
    uint32_t rank;
    enum arena_rank_state state;
    char reason[ARENA_REASON_BYTES];
};

struct host {
    struct relay *relay;
    struct router *router;
    struct arena *arena;
    pthread_t thread;
    struct covey_list news; /* from the "control plane", under the relay's lock */
    _Atomic uint64_t sent_bytes[MAX_NODES];
};

struct relay {
    struct host hosts[MAX_NODES];
    int nodes;
    pthread_mutex_t lock;
    _Atomic bool stop;
};

static const char *network(void)
{
    const char *name = getenv("COVEY_TEST_NETWORK");
    return name ? name : "ucx";
}

static void on_transport(void *data, const char *carrier)
{
    (void)data;
    if (strncmp(carrier, network(), 3) != 0)
        abort();
}

static void on_node_lost(void *data, unsigned node, enum covey_status status, const char *reason)
{
    struct host *host = data;
    if (atomic_load(&host->relay->stop))
        return;
    fprintf(stderr, "node %u lost: %s: %s\n", node, covey_status_name(status), reason);
    abort();
}

static const struct router_events events = {.on_transport = on_transport,
                                            .on_node_lost = on_node_lost};

static struct ended *next_news(struct host *host)
{
    pthread_mutex_lock(&host->relay->lock);
    struct covey_list *node = covey_list_pop_front(&host->news);
    pthread_mutex_unlock(&host->relay->lock);
    return node ? covey_container_of(node, struct ended, link) : NULL;
}

static void hear_news(struct host *host)
{
    for (struct ended *ended; (ended = next_news(host));) {
        router_mark_ended(host->router, ended->rank, ended->state, ended->reason);
        free(ended);
    }
}

static void *drive(void *data)
{
    struct host *host = data;
    while (!atomic_load(&host->relay->stop)) {
        int64_t now_ns = covey_now_ns();
        hear_news(host);
        if (router_progress(host->router, now_ns))
            continue;
        for (int i = 0; i < host->relay->nodes; i++)
            atomic_store(&host->sent_bytes[i],
                         router_traffic(host->router, (unsigned)i).sent_bytes);
        if (!router_prepare_sleep(host->router))
            continue;
        int64_t next_ns = router_next_timeout_ns(host->router);
        int64_t wait_ms =
            next_ns == COVEY_NEVER_NS ? 1000 : (next_ns - now_ns) / COVEY_NS_PER_MS + 1;
        struct pollfd fds[2] = {{.fd = router_port_fd(host->router), .events = POLLIN},
                                {.fd = router_net_fd(host->router), .events = POLLIN}};
        poll(fds, 2, wait_ms < 0 ? 0 : wait_ms > 1000 ? 1000 : (int)wait_ms);
    }
    return NULL;
}

static void make_host(struct relay *relay, int node, struct host_port *port, struct arena *arena)
{
    static const uint8_t secret[NET_SECRET_BYTES] = "thirty-two bytes that are secret";
    struct host *host = &relay->hosts[node];
    struct router_options options;
    struct covey_error error = {0};
    router_options_init(&options);
    options.arena = arena;
    options.port = port;
    options.backend = relay->nodes > 1 ? network() : NULL;
    options.secret = secret;
    options.bind_address = "127.0.0.1";
    options.events = &events;
    options.data = host;
    host->relay = relay;
    host->arena = arena;
    covey_list_init(&host->news);
    enum covey_status status = router_create(&options, &host->router, &error);
    if (status != COVEY_OK)
        fprintf(stderr, "router: %s\n", error.message);
    TEST_REQUIRE(status == COVEY_OK);
}

struct relay *relay_start(struct host_port **ports, struct arena **arenas, int nodes)
{
    struct relay *relay = calloc(1, sizeof(*relay));
    TEST_REQUIRE(relay != NULL);
    relay->nodes = nodes;
    pthread_mutex_init(&relay->lock, NULL);
    for (int i = 0; i < nodes; i++)
        make_host(relay, i, ports[i], arenas[i]);
    for (int i = 0; i < nodes; i++)
        for (int j = 0; j < nodes; j++)
            if (i != j)
                TEST_REQUIRE(router_set_address(relay->hosts[i].router, (unsigned)j,
                                                router_address(relay->hosts[j].router)) ==
                             COVEY_OK);
    for (int i = 0; i < nodes; i++)
        TEST_REQUIRE(pthread_create(&relay->hosts[i].thread, NULL, drive, &relay->hosts[i]) == 0);
    return relay;
}

void relay_mark_ended(struct relay *relay, uint32_t rank, enum arena_rank_state state,
                      const char *reason)
{
    for (int i = 0; i < relay->nodes; i++) {
        struct host *host = &relay->hosts[i];
        uint32_t local;
        if (arena_local_of(host->arena, rank, &local))
            continue;
        struct ended *ended = calloc(1, sizeof(*ended));
        TEST_REQUIRE(ended != NULL);
        ended->rank = rank;
        ended->state = state;
        snprintf(ended->reason, sizeof(ended->reason), "%s", reason);
        pthread_mutex_lock(&relay->lock);
        covey_list_push_back(&host->news, &ended->link);
        pthread_mutex_unlock(&relay->lock);
        arena_wake_all(host->arena);
    }
}

uint64_t relay_carried(const struct relay *relay, int from, int to)
{
    return atomic_load(&relay->hosts[from].sent_bytes[to]);
}

void relay_stop(struct relay *relay)
{
    atomic_store(&relay->stop, true);
    for (int i = 0; i < relay->nodes; i++)
        arena_wake_all(relay->hosts[i].arena);
    for (int i = 0; i < relay->nodes; i++)
        pthread_join(relay->hosts[i].thread, NULL);
    /* What the last to die had granted a host and not sent is found when the host next looks. */
    for (int i = 0; i < relay->nodes; i++) {
        for (int turn = 0; turn < 1000 && router_progress(relay->hosts[i].router, covey_now_ns());)
            turn++;
    }
    for (int i = 0; i < relay->nodes; i++) {
        for (struct ended *ended; (ended = next_news(&relay->hosts[i]));)
            free(ended);
        router_destroy(relay->hosts[i].router);
    }
    pthread_mutex_destroy(&relay->lock);
    free(relay);
}
