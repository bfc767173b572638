/* Messages between nodes: the router on the host's loop. */
#include "base/error.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "service/host/host.h"
#include "transport/net/router.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the router may take of a processor before the loop looks at the agent again; on a busy
 * machine that is a multiple of it by the clock. */
#define TURN_NS COVEY_NS_PER_MS

/* What it looks for more after the last message, before it sleeps: some wakes of a process. Who
 * shares the core comes first at each look. */
#define LOOK_NS (200 * COVEY_NS_PER_US)

struct host_network {
    struct host *host;
    struct router *router;
    uv_poll_t port;
    uv_poll_t net;
    uv_prepare_t prepare;
    uv_idle_t busy; /* active: the loop must not sleep */
    uv_timer_t timer;
    int64_t busy_ns; /* when there was something to do */
};

static void on_transport(void *data, const char *carrier)
{
    struct host_network *network = data;
    (void)snprintf(network->host->transport, sizeof(network->host->transport), "%s", carrier);
    host_tell_transport(network->host);
}

/* Whether a rank of the node has not ended yet. */
static bool is_missed(const struct host *host, unsigned node)
{
    for (size_t i = 0; i < host->flare->n_packs; i++) {
        const Covey__V1__LocalPack *pack = host->flare->packs[i];
        for (uint32_t k = 0; pack->node_index == node && k < pack->workers; k++) {
            if (arena_rank_state(host->arena, pack->first_rank + k) < ARENA_DONE)
                return true;
        }
    }
    return false;
}

static void on_node_lost(void *data, unsigned node, enum covey_status status, const char *reason)
{
    const struct host_network *network = data;
    /* Hosts go one by one when their flare has ended: that is no news. */
    if (!is_missed(network->host, node))
        return;
    log_warn("a node cannot be reached flare=%s node=%s status=%s reason=\"%s\"",
             network->host->flare->flare_id,
             node < network->host->flare->n_nodes ? network->host->flare->nodes[node] : "?",
             covey_status_name(status), reason);
}

static const struct router_events events = {on_transport, on_node_lost};

static void on_readable(uv_poll_t *poll, int status, int seen)
{
    /* What there is to do is done before the loop sleeps again. */
    (void)poll;
    (void)status;
    (void)seen;
}

static void on_busy(uv_idle_t *idle)
{
    (void)idle;
}

static void on_timer(uv_timer_t *timer)
{
    (void)timer;
}

/* Does what there is to do, and waits a little for more. False: the loop may sleep. */
static bool take_turn(struct host_network *network, int64_t *now_ns)
{
    const int64_t turn_ends_ns = *now_ns + TURN_NS;
    while (*now_ns < turn_ends_ns) {
        if (router_progress(network->router, *now_ns))
            network->busy_ns = *now_ns;
        else if (*now_ns - network->busy_ns >= LOOK_NS)
            return false;
        else
            (void)sched_yield();
        *now_ns = covey_now_ns();
    }
    return true;
}

/* Just before the loop may sleep. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct host_network *network = prepare->data;
    int64_t now_ns = covey_now_ns();
    bool more = take_turn(network, &now_ns);
    if (!network->host->done && router_is_done(network->router))
        host_tell_done(network->host);
    if (more || !router_prepare_sleep(network->router)) {
        (void)uv_idle_start(&network->busy, on_busy);
        return;
    }
    (void)uv_idle_stop(&network->busy);
    int64_t next_ns = router_next_timeout_ns(network->router);
    if (next_ns == COVEY_NEVER_NS) {
        (void)uv_timer_stop(&network->timer);
        return;
    }
    int64_t wait_ns = next_ns > now_ns ? next_ns - now_ns : 0;
    uv_update_time(&network->host->loop);
    (void)uv_timer_start(&network->timer, on_timer,
                         (uint64_t)((wait_ns + COVEY_NS_PER_MS - 1) / COVEY_NS_PER_MS), 0);
}

static enum covey_status watch(struct host_network *network, struct covey_error *error)
{
    uv_loop_t *loop = &network->host->loop;
    (void)uv_prepare_init(loop, &network->prepare);
    (void)uv_idle_init(loop, &network->busy);
    (void)uv_timer_init(loop, &network->timer);
    network->prepare.data = network;
    if (uv_poll_init(loop, &network->port, router_port_fd(network->router)) < 0 ||
        uv_poll_init(loop, &network->net, router_net_fd(network->router)) < 0 ||
        uv_poll_start(&network->port, UV_READABLE, on_readable) < 0 ||
        uv_poll_start(&network->net, UV_READABLE, on_readable) < 0 ||
        uv_prepare_start(&network->prepare, on_prepare) < 0)
        return covey_error_set(error, COVEY_EIO, "cannot wait for the network");
    return COVEY_OK;
}

enum covey_status host_network_open(struct host *host, const Covey__V1__HostPrepare *prepare,
                                    struct covey_error *error)
{
    struct router_options options;
    if (prepare->secret.len != NET_SECRET_BYTES || prepare->port_first > UINT16_MAX ||
        prepare->port_last > UINT16_MAX)
        return covey_error_set(error, COVEY_EPROTO, "the secret or the ports are not sound");
    struct host_network *network = covey_calloc(1, sizeof(*network));
    if (!network)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for the network");
    network->host = host;
    router_options_init(&options);
    options.arena = host->arena;
    options.port = host->port;
    options.backend = *prepare->network ? prepare->network : "auto";
    options.secret = prepare->secret.data;
    options.bind_address = prepare->bind_address;
    options.port_first = (uint16_t)prepare->port_first;
    options.port_last = (uint16_t)prepare->port_last;
    options.events = &events;
    options.data = network;
    enum covey_status status = router_create(&options, &network->router, error);
    if (!status)
        status = watch(network, error);
    if (status)
        return status; /* the host ends with its failure */
    host->network = network;
    (void)snprintf(host->address, sizeof(host->address), "%s", router_address(network->router));
    return COVEY_OK;
}

enum covey_status host_network_start(struct host *host, const Covey__V1__HostStart *start,
                                     struct covey_error *error)
{
    if (start->n_addresses != host->flare->n_nodes)
        return covey_error_set(error, COVEY_EPROTO, "%zu addresses for %zu nodes",
                               start->n_addresses, host->flare->n_nodes);
    for (size_t i = 0; i < start->n_addresses; i++) {
        if (i == host->flare->node_index)
            continue;
        enum covey_status status =
            router_set_address(host->network->router, (unsigned)i, start->addresses[i]);
        if (status)
            return covey_error_set(error, status, "the address '%s' of node %s is not sound",
                                   start->addresses[i], host->flare->nodes[i]);
    }
    return COVEY_OK;
}

void host_network_mark_ended(struct host *host, uint32_t rank, bool succeeded, const char *reason)
{
    enum arena_rank_state state = succeeded ? ARENA_DONE : ARENA_DIED;
    if (host->network)
        router_mark_ended(host->network->router, rank, state, reason);
    else
        arena_mark_ended(host->arena, rank, state, reason);
}

enum covey_status host_network_warm(struct covey_error *error)
{
    static const uint8_t secret[NET_SECRET_BYTES];
    static const struct net_events nothing;
    struct net_options options = {.backend = "ucx",
                                  .node_count = 1,
                                  .flare_id = "warm",
                                  .secret = secret,
                                  .bind_address = "127.0.0.1",
                                  .events = &nothing};
    struct net *net;
    net_limits_init(&options.limits);
    enum covey_status status = net_create(&options, &net, error);
    if (status)
        return status;
    status = net_wake(net, error);
    net_destroy(net);
    return status;
}
