/* From the network to the arena. */
#include "transport/net/router_internal.h"

#include "base/log.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static struct incoming *take_incoming(struct router *router)
{
    struct covey_list *node = covey_list_pop_front(&router->spare_incoming);
    struct incoming *incoming =
        node ? covey_container_of(node, struct incoming, node) : covey_malloc(sizeof *incoming);
    if (incoming) {
        incoming->router = router;
        covey_list_push_back(&router->incoming, &incoming->node);
    }
    return incoming;
}

static void put_incoming(struct incoming *incoming)
{
    covey_list_remove(&incoming->node);
    covey_list_push_front(&incoming->router->spare_incoming, &incoming->node);
}

/* The message is over, one way or the other. */
static void finish(struct incoming *incoming)
{
    struct router *router = incoming->router;
    uint32_t source = incoming->header.source;
    put_incoming(incoming);
    router_end_finished(router, source);
}

static void deliver(struct incoming *incoming)
{
    struct router *router = incoming->router;
    router->traffic[incoming->from].received_messages++;
    router->traffic[incoming->from].received_bytes += incoming->room.length_bytes;
    enum covey_status status = host_port_deliver(router->port, &incoming->header, &incoming->room);
    if (status != COVEY_OK)
        router->counters.dropped++;
    if (status != COVEY_OK && status != COVEY_EPEER) {
        log_error("cannot deliver a message node=%u status=%s", incoming->from,
                  covey_status_name(status));
        host_port_discard(router->port, &incoming->room);
        router_fail_node(router, incoming->from, "a message of it was lost here: out of memory");
    }
    finish(incoming);
}

/* EAGAIN: no room. Otherwise the message is decided on, and *verdict says how. */
static enum covey_status place(struct router *router, const struct net_message *message,
                               struct net_landing *landing, enum net_verdict *verdict)
{
    struct incoming *incoming = take_incoming(router);
    if (!incoming)
        return COVEY_EAGAIN;
    size_t inline_bytes = message->header_bytes - ROUTER_MESSAGE_BYTES;
    size_t length_bytes = message->payload_bytes + inline_bytes;
    incoming->from = message->node;
    router_message_decode(message->header, &incoming->header);
    enum covey_status status = host_port_allocate(router->port, message->node, &incoming->header,
                                                  length_bytes, &incoming->room);
    *verdict = NET_DROP;
    if (status == COVEY_EAGAIN) {
        put_incoming(incoming);
        return COVEY_EAGAIN;
    }
    if (status == COVEY_EPEER) {
        router->counters.dropped++;
        finish(incoming);
    } else if (status != COVEY_OK || incoming->room.in_arena != (message->payload_bytes > 0)) {
        if (status == COVEY_OK)
            host_port_discard(router->port, &incoming->room);
        put_incoming(incoming);
        router_fail_node(router, message->node, "it sent a malformed message");
    } else if (!incoming->room.in_arena) {
        if (inline_bytes > 0)
            memcpy(incoming->room.payload, message->header + ROUTER_MESSAGE_BYTES, inline_bytes);
        deliver(incoming);
    } else {
        *landing = (struct net_landing){.address = incoming->room.payload,
                                        .region = router_region(router, incoming->room.payload),
                                        .context = incoming};
        *verdict = NET_LAND;
        if (!landing->region) {
            *verdict = NET_DROP;
            host_port_discard(router->port, &incoming->room);
            put_incoming(incoming);
            router_fail_node(router, message->node, "memory for it cannot be registered here");
        }
    }
    return COVEY_OK;
}

static bool is_sound(const struct net_message *message)
{
    if (message->header_bytes < 1)
        return false;
    if (message->header[0] == ROUTER_ENDED)
        return message->header_bytes >= ROUTER_ENDED_BYTES && message->payload_bytes == 0;
    size_t inline_bytes = message->header_bytes - ROUTER_MESSAGE_BYTES;
    return message->header[0] == ROUTER_MESSAGE && message->header_bytes >= ROUTER_MESSAGE_BYTES &&
           inline_bytes <= DESCRIPTOR_INLINE_BYTES &&
           (inline_bytes == 0 || message->payload_bytes == 0);
}

static bool hold(struct router *router, struct net_message *message)
{
    struct waiting *waiting = covey_malloc(sizeof *waiting);
    if (!waiting)
        return false;
    waiting->message = message;
    covey_list_push_back(&router->waiting, &waiting->node);
    router->counters.held++;
    router->retry_ns = router->now_ns + ROUTER_RETRY_NS;
    return true;
}

enum net_verdict router_on_message(void *data, struct net_message *message,
                                   struct net_landing *landing)
{
    struct router *router = data;
    enum net_verdict verdict = NET_DROP;
    if (!is_sound(message)) {
        router_fail_node(router, message->node, "it sent a malformed message");
        return NET_DROP;
    }
    if (message->header[0] == ROUTER_ENDED) {
        router_end_received(router, message);
        return NET_DROP;
    }
    if (host_port_queued_messages(router->port) < ROUTER_QUEUED_MAX &&
        place(router, message, landing, &verdict) == COVEY_OK)
        return verdict;
    if (hold(router, message))
        return NET_HOLD;
    router_fail_node(router, message->node, "a message of it was lost here: out of memory");
    return NET_DROP;
}

void router_on_landed(void *data, unsigned node, void *context, enum covey_status status)
{
    struct router *router = data;
    struct incoming *incoming = context;
    (void)node;
    if (status == COVEY_OK) {
        deliver(incoming);
        return;
    }
    router->counters.dropped++;
    host_port_discard(router->port, &incoming->room);
    finish(incoming);
}

static bool retry_waiting(struct router *router)
{
    bool did = false;
    covey_list_for_each_safe (node, after, &router->waiting) {
        struct waiting *waiting = covey_container_of(node, struct waiting, node);
        struct net_message *message = waiting->message;
        struct net_landing landing;
        enum net_verdict verdict = NET_DROP;
        if (host_port_queued_messages(router->port) >= ROUTER_QUEUED_MAX)
            break;
        if (place(router, message, &landing, &verdict) == COVEY_EAGAIN)
            continue;
        if (verdict == NET_LAND)
            net_land(router->net, message, &landing);
        else
            net_drop(router->net, message);
        covey_list_remove(node);
        free(waiting);
        did = true;
    }
    return did;
}

bool router_in_progress(struct router *router)
{
    bool did = retry_waiting(router);
    bool queued = host_port_flush(router->port);
    if (queued || !covey_list_empty(&router->waiting))
        router->retry_ns = router->now_ns + ROUTER_RETRY_NS;
    return did;
}

void router_in_clear(struct router *router)
{
    for (struct covey_list *node; (node = covey_list_pop_front(&router->waiting));)
        free(covey_container_of(node, struct waiting, node));
    while (!covey_list_empty(&router->incoming)) {
        struct incoming *incoming =
            covey_container_of(router->incoming.next, struct incoming, node);
        host_port_discard(router->port, &incoming->room);
        put_incoming(incoming);
    }
    for (struct covey_list *node; (node = covey_list_pop_front(&router->spare_incoming));)
        free(covey_container_of(node, struct incoming, node));
}
