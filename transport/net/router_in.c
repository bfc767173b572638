/* From the network to the arena. */
#include "transport/net/router_internal.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

static struct arrival *take_arrival(struct router *router)
{
    struct covey_list *node = covey_list_pop_front(&router->spare_arrivals);
    struct arrival *arrival =
        node ? covey_container_of(node, struct arrival, node) : covey_malloc(sizeof *arrival);
    if (arrival) {
        *arrival = (struct arrival){.router = router};
        covey_list_init(&arrival->node);
    }
    return arrival;
}

static void put_arrival(struct arrival *arrival)
{
    covey_list_remove(&arrival->node);
    covey_list_push_front(&arrival->router->spare_arrivals, &arrival->node);
}

static const struct descriptor_header *header_of(const struct arrival *arrival)
{
    return &arrival->room->descriptor.header;
}

/* The message is over: here, or of no use to anybody. */
static void finish(struct arrival *arrival, uint32_t source)
{
    struct router *router = arrival->router;
    bool counted = arrival->counted;
    put_arrival(arrival);
    if (!counted)
        router_end_finished(router, source);
    router_end_taken(router, source);
}

/* Its receiver has ended. */
static void drop(struct arrival *arrival)
{
    struct router *router = arrival->router;
    uint32_t source = header_of(arrival)->source;
    router->counters.dropped++;
    host_port_discard(router->port, arrival->room);
    finish(arrival, source);
}

/* Its payload will not come: that is not counted, so that its source's end is not told as if
 * nothing were missing. Its node is lost, or will be. */
static void lose(struct arrival *arrival)
{
    struct router *router = arrival->router;
    router->counters.dropped++;
    host_port_discard(router->port, arrival->room);
    put_arrival(arrival);
}

static void deliver(struct arrival *arrival)
{
    struct router *router = arrival->router;
    uint32_t source = header_of(arrival)->source;
    router->traffic[arrival->from].received_messages++;
    router->traffic[arrival->from].received_bytes += arrival->room->length_bytes;
    if (host_port_deliver(router->port, arrival->room) != COVEY_OK)
        router->counters.dropped++;
    finish(arrival, source);
}

/* EAGAIN: no room. Otherwise the message is decided on, and *verdict says how. */
static enum covey_status place(struct arrival *arrival, const struct net_message *message,
                               struct net_landing *landing, enum net_verdict *verdict)
{
    struct router *router = arrival->router;
    enum covey_status status = host_port_make_room(router->port, arrival->room);
    *verdict = NET_DROP;
    if (status == COVEY_EAGAIN)
        return status;
    if (status != COVEY_OK) {
        drop(arrival);
    } else if (!host_incoming_in_arena(arrival->room)) {
        if (arrival->room->length_bytes > 0)
            memcpy(arrival->room->payload, message->header + ROUTER_MESSAGE_BYTES,
                   arrival->room->length_bytes);
        deliver(arrival);
    } else {
        *landing = (struct net_landing){.address = arrival->room->payload,
                                        .region = router_region(router, arrival->room->payload),
                                        .context = arrival};
        *verdict = NET_LAND;
        covey_list_push_back(&router->landing, &arrival->node);
        if (!landing->region) {
            *verdict = NET_DROP;
            lose(arrival);
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
    if (message->header[0] == ROUTER_TAKEN)
        return message->header_bytes > ROUTER_TAKEN_BYTES && message->header_bytes % 4 == 0 &&
               message->payload_bytes == 0;
    size_t inline_bytes = message->header_bytes - ROUTER_MESSAGE_BYTES;
    return message->header[0] == ROUTER_MESSAGE && message->header_bytes >= ROUTER_MESSAGE_BYTES &&
           inline_bytes <= DESCRIPTOR_INLINE_BYTES &&
           (inline_bytes == 0 || message->payload_bytes == 0) &&
           (message->payload_bytes == 0 || message->payload_bytes > DESCRIPTOR_INLINE_BYTES);
}

/*
 * It waits here, for memory. From now on it is its receiver that keeps it waiting and no longer the
 * network: its sender's end may be told, and the receiver believes it when this has come.
 */
static enum net_verdict hold(struct arrival *arrival, struct net_message *message)
{
    struct router *router = arrival->router;
    uint32_t to;
    arrival->message = message;
    arrival->counted = true;
    (void)arena_local_of(router->arena, header_of(arrival)->destination, &to);
    covey_list_push_back(&router->held[to], &arrival->node);
    router->held_count++;
    router->counters.held++;
    router->retry_ns = router->now_ns + ROUTER_RETRY_NS;
    router_end_finished(router, header_of(arrival)->source);
    return NET_HOLD;
}

/* What was not expected: NULL, and the node is lost where it is to blame. */
static struct arrival *expect(struct router *router, const struct net_message *message)
{
    struct descriptor_header header;
    struct arrival *arrival = take_arrival(router);
    router_message_decode(message->header, &header);
    if (!arrival) {
        router_fail_node(router, message->node, "a message of it was lost here: out of memory");
        return NULL;
    }
    size_t length_bytes = message->payload_bytes + message->header_bytes - ROUTER_MESSAGE_BYTES;
    arrival->from = message->node;
    enum covey_status status =
        host_port_expect(router->port, message->node, &header, length_bytes, &arrival->room);
    if (status == COVEY_OK)
        return arrival;
    put_arrival(arrival);
    if (status == COVEY_EPEER) {
        router->counters.dropped++;
        router_end_finished(router, header.source);
        router_end_taken(router, header.source);
    } else if (status == COVEY_ELIMIT) {
        char reason[96];
        (void)covey_text_print(reason, sizeof reason,
                               "it sent more than it has leave for, from rank %u to %u",
                               header.source, header.destination);
        router_fail_node(router, message->node, reason);
    } else {
        router_fail_node(router, message->node,
                         status == COVEY_EPROTO ? "it sent a malformed message"
                                                : "a message of it was lost here: out of memory");
    }
    return NULL;
}

enum net_verdict router_on_message(void *data, struct net_message *message,
                                   struct net_landing *landing)
{
    struct router *router = data;
    enum net_verdict verdict = NET_DROP;
    router_end_heard(router, message->node);
    if (!is_sound(message)) {
        router_fail_node(router, message->node, "it sent a malformed message");
        return NET_DROP;
    }
    if (message->header[0] == ROUTER_ENDED) {
        router_end_received(router, message);
        return NET_DROP;
    }
    if (message->header[0] == ROUTER_TAKEN) {
        router_end_taken_received(router, message);
        return NET_DROP;
    }
    struct arrival *arrival = expect(router, message);
    if (!arrival || place(arrival, message, landing, &verdict) == COVEY_OK)
        return verdict;
    return hold(arrival, message);
}

void router_on_landed(void *data, unsigned node, void *context, enum covey_status status)
{
    struct router *router = data;
    struct arrival *arrival = context;
    router_end_heard(router, node);
    if (status == COVEY_OK)
        deliver(arrival);
    else
        lose(arrival);
}

/* Those of one destination, each kind in its order: other kinds may have other memory. */
static bool retry_held(struct router *router, struct covey_list *held)
{
    bool did = false;
    uint32_t full_kinds = 0;
    covey_list_for_each_safe (node, after, held) {
        struct arrival *arrival = covey_container_of(node, struct arrival, node);
        struct net_message *message = arrival->message;
        uint32_t kind = 1u << header_of(arrival)->kind;
        struct net_landing landing;
        enum net_verdict verdict = NET_DROP;
        if (full_kinds & kind)
            continue;
        covey_list_remove(node);
        if (place(arrival, message, &landing, &verdict) == COVEY_EAGAIN) {
            covey_list_push_back(after, node);
            full_kinds |= kind;
            continue;
        }
        router->held_count--;
        if (verdict == NET_LAND)
            net_land(router->net, message, &landing);
        else
            net_drop(router->net, message);
        did = true;
    }
    return did;
}

bool router_in_progress(struct router *router)
{
    bool did = false;
    for (uint32_t i = 0; router->held_count > 0 && i < arena_local_count(router->arena); i++)
        did |= retry_held(router, &router->held[i]);
    bool queued = host_port_flush(router->port);
    if (queued || router->held_count > 0)
        router->retry_ns = router->now_ns + ROUTER_RETRY_NS;
    return did;
}

static void clear(struct router *router, struct covey_list *list)
{
    while (!covey_list_empty(list)) {
        struct arrival *arrival = covey_container_of(list->next, struct arrival, node);
        host_port_discard(router->port, arrival->room);
        put_arrival(arrival);
    }
}

void router_in_clear(struct router *router)
{
    for (uint32_t i = 0; router->held && i < arena_local_count(router->arena); i++)
        clear(router, &router->held[i]);
    clear(router, &router->landing);
    for (struct covey_list *node; (node = covey_list_pop_front(&router->spare_arrivals));)
        free(covey_container_of(node, struct arrival, node));
}
