#include "transport/net/router_internal.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

static void on_connected(void *data, unsigned node, const char *carrier)
{
    struct router *router = data;
    router->node_known[node] = true;
    router_end_connected(router, node);
    if (!router->transport_told && router->options.events)
        router->options.events->on_transport(router->options.data, carrier);
    router->transport_told = true;
}

static void on_peer_down(void *data, unsigned node, enum covey_status status, const char *reason)
{
    struct router *router = data;
    char text[ARENA_REASON_BYTES];
    if (router->node_lost[node])
        return;
    router->node_lost[node] = true;
    (void)covey_text_print(text, sizeof text, "node %u is lost: %s", node, reason);
    router_end_lost(router, node, text);
    arena_mark_node_died(router->arena, node, text);
    if (router->options.events)
        router->options.events->on_node_lost(router->options.data, node, status, reason);
}

static const struct net_events net_events = {.on_message = router_on_message,
                                             .on_landed = router_on_landed,
                                             .on_peer_down = on_peer_down,
                                             .on_connected = on_connected};

void router_options_init(struct router_options *options)
{
    *options = (struct router_options){0};
    net_limits_init(&options->limits);
    options->limits.pending_sends = ROUTER_UNDER_WAY;
}

static struct covey_list *make_lists(size_t count)
{
    struct covey_list *lists = covey_calloc(count + 1, sizeof *lists);
    for (size_t i = 0; lists && i < count; i++)
        covey_list_init(&lists[i]);
    return lists;
}

static struct router *make_router(const struct router_options *options)
{
    struct router *router = covey_calloc(1, sizeof *router);
    if (!router)
        return NULL;
    router->options = *options;
    router->options.secret = NULL;
    router->options.bind_address = router->options.backend = NULL;
    router->arena = options->arena;
    router->port = options->port;
    router->slabs = arena_slabs(options->arena, &router->slab_count);
    router->retry_ns = COVEY_NEVER_NS;
    covey_list_init(&router->outgoing);
    covey_list_init(&router->spare_outgoing);
    covey_list_init(&router->landing);
    covey_list_init(&router->spare_arrivals);
    covey_list_init(&router->endings);
    size_t nodes = router->node_count = arena_node_count(options->arena);
    size_t locals = arena_local_count(options->arena);
    router->regions = covey_calloc(router->slab_count, sizeof(struct net_region *));
    router->sent = covey_calloc(nodes * locals + 1, sizeof *router->sent);
    router->finished = covey_calloc(arena_worker_count(options->arena), sizeof *router->finished);
    router->ending_of = covey_calloc(arena_worker_count(options->arena), sizeof(struct ending *));
    router->end_seen = covey_calloc(locals + 1, sizeof *router->end_seen);
    router->taken = covey_calloc(arena_worker_count(options->arena), sizeof *router->taken);
    router->end_told = covey_calloc(nodes * locals + 1, sizeof *router->end_told);
    router->end_taken = covey_calloc(nodes * locals + 1, sizeof *router->end_taken);
    router->heard_ns = covey_calloc(nodes, sizeof *router->heard_ns);
    router->queued = make_lists(nodes);
    router->held = make_lists(locals);
    router->node_lost = covey_calloc(nodes, sizeof *router->node_lost);
    router->traffic = covey_calloc(nodes, sizeof *router->traffic);
    router->node_known = covey_calloc(nodes, sizeof *router->node_known);
    if (!router->regions || !router->sent || !router->finished || !router->end_seen ||
        !router->ending_of || !router->end_told || !router->end_taken || !router->taken ||
        !router->heard_ns || !router->queued || !router->held || !router->node_lost ||
        !router->node_known || !router->traffic) {
        router_destroy(router);
        return NULL;
    }
    return router;
}

enum covey_status router_create(const struct router_options *options, struct router **out,
                                struct covey_error *error)
{
    if (!options->backend && arena_node_count(options->arena) > 1)
        return covey_error_set(error, COVEY_EINVAL, "several nodes need a network");
    struct router *router = make_router(options);
    if (!router)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for the router");
    if (options->backend) {
        const struct net_options net = {.backend = options->backend,
                                        .node = arena_node(options->arena),
                                        .node_count = arena_node_count(options->arena),
                                        .flare_id = arena_flare_id(options->arena),
                                        .secret = options->secret,
                                        .bind_address = options->bind_address,
                                        .port_first = options->port_first,
                                        .port_last = options->port_last,
                                        .limits = options->limits,
                                        .events = &net_events,
                                        .data = router};
        enum covey_status status = net_create(&net, &router->net, error);
        if (status != COVEY_OK) {
            router_destroy(router);
            return status;
        }
    }
    *out = router;
    return COVEY_OK;
}

void router_destroy(struct router *router)
{
    if (!router)
        return;
    router_end_clear(router);
    net_destroy(router->net); /* its callbacks give back the memory of what was under way */
    router_out_clear(router);
    router_in_clear(router);
    free(router->regions);
    free(router->sent);
    free(router->finished);
    free(router->ending_of);
    free(router->end_seen);
    free(router->end_told);
    free(router->end_taken);
    free(router->taken);
    free(router->heard_ns);
    free(router->queued);
    free(router->held);
    free(router->node_lost);
    free(router->node_known);
    free(router->traffic);
    free(router);
}

struct net_region *router_region(struct router *router, const void *address)
{
    size_t slab = (size_t)((const uint8_t *)address - router->slabs) / ARENA_SLAB_BYTES;
    struct net_region **region = &router->regions[slab];
    if (!*region && net_region_add(router->net, router->slabs + slab * ARENA_SLAB_BYTES,
                                   ARENA_SLAB_BYTES, region) != COVEY_OK)
        return NULL;
    return *region;
}

void router_fail_node(struct router *router, unsigned node, const char *reason)
{
    net_close_peer(router->net, node, reason);
}

const char *router_address(const struct router *router)
{
    return router->net ? net_address(router->net) : "";
}

enum covey_status router_set_address(struct router *router, unsigned node, const char *address)
{
    return router->net ? net_set_address(router->net, node, address) : COVEY_EINVAL;
}

void router_mark_node_lost(struct router *router, unsigned node, const char *reason)
{
    if (node >= arena_node_count(router->arena) || node == arena_node(router->arena))
        return;
    if (router->net)
        net_close_peer(router->net, node, reason);
    else
        on_peer_down(router, node, COVEY_EPEER, reason);
}

bool router_progress(struct router *router, int64_t now_ns)
{
    router_end_pass_time(router, now_ns);
    if (router->asleep)
        host_port_wake(router->port);
    router->asleep = false;
    if (now_ns >= router->retry_ns)
        router->retry_ns = COVEY_NEVER_NS;
    router_end_look(router);
    bool did = router->net && net_progress(router->net, now_ns);
    did |= router_out_progress(router);
    did |= router_in_progress(router);
    did |= router_end_progress(router);
    return did;
}

bool router_prepare_sleep(struct router *router)
{
    router->asleep = host_port_sleep(router->port);
    bool quiet = router->asleep;
    if (quiet && router->retry_ns == COVEY_NEVER_NS)
        quiet = arena_epoch(router->arena) == router->epoch_seen || !router->net;
    if (quiet && router->net)
        quiet = net_arm(router->net);
    if (!quiet && router->asleep) {
        host_port_stay(router->port);
        router->asleep = false;
    }
    return quiet;
}

int64_t router_next_timeout_ns(const struct router *router)
{
    int64_t next_ns = router->retry_ns;
    int64_t end_ns = router_end_next_ns(router);
    int64_t net_ns = router->net ? net_next_timeout_ns(router->net) : COVEY_NEVER_NS;
    if (end_ns < next_ns)
        next_ns = end_ns;
    return net_ns < next_ns ? net_ns : next_ns;
}

int router_port_fd(const struct router *router)
{
    return host_port_event_fd(router->port);
}

int router_net_fd(const struct router *router)
{
    return router->net ? net_fd(router->net) : -1;
}

struct net_traffic router_traffic(const struct router *router, unsigned node)
{
    return node < arena_node_count(router->arena) ? router->traffic[node] : (struct net_traffic){0};
}

struct router_counters router_counters(const struct router *router)
{
    struct router_counters counters = router->counters;
    if (router->net)
        counters.registrations = net_counters(router->net).registrations;
    return counters;
}
