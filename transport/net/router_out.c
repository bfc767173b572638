/* From the arena to the network. */
#include "transport/net/router_internal.h"

#include "base/log.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* Messages taken from the inbox in one call, so that what comes in gets its turn. */
#define BATCH 256

void router_message_encode(const struct descriptor_header *header,
                           uint8_t bytes[ROUTER_MESSAGE_BYTES])
{
    memset(bytes, 0, ROUTER_MESSAGE_BYTES);
    bytes[0] = ROUTER_MESSAGE;
    net_put_u16(bytes + 2, header->kind);
    net_put_u32(bytes + 4, header->source);
    net_put_u32(bytes + 8, header->destination);
    net_put_u32(bytes + 12, (uint32_t)header->tag);
    net_put_u64(bytes + 16, header->communicator);
    net_put_u64(bytes + 24, header->sequence);
    net_put_u64(bytes + 32, header->length);
    net_put_u64(bytes + 40, header->cookie);
    net_put_u64(bytes + 48, header->argument);
}

void router_message_decode(const uint8_t bytes[ROUTER_MESSAGE_BYTES],
                           struct descriptor_header *header)
{
    *header = (struct descriptor_header){.kind = net_get_u16(bytes + 2),
                                         .source = net_get_u32(bytes + 4),
                                         .destination = net_get_u32(bytes + 8),
                                         .tag = (int32_t)net_get_u32(bytes + 12),
                                         .communicator = net_get_u64(bytes + 16),
                                         .sequence = net_get_u64(bytes + 24),
                                         .length = net_get_u64(bytes + 32),
                                         .cookie = net_get_u64(bytes + 40),
                                         .argument = net_get_u64(bytes + 48)};
}

static struct outgoing *take_outgoing(struct router *router)
{
    struct covey_list *node = covey_list_pop_front(&router->spare_outgoing);
    struct outgoing *outgoing =
        node ? covey_container_of(node, struct outgoing, node) : covey_malloc(sizeof *outgoing);
    if (outgoing) {
        outgoing->router = router;
        covey_list_push_back(&router->outgoing, &outgoing->node);
    }
    return outgoing;
}

/* It holds no message any more. */
static void spare(struct outgoing *outgoing)
{
    covey_list_remove(&outgoing->node);
    covey_list_push_front(&outgoing->router->spare_outgoing, &outgoing->node);
}

static void put_outgoing(struct outgoing *outgoing)
{
    host_port_release(outgoing->router->port, &outgoing->message);
    spare(outgoing);
}

static void drop(struct outgoing *outgoing)
{
    outgoing->router->counters.dropped++;
    put_outgoing(outgoing);
}

static void on_sent(void *data, enum covey_status status)
{
    struct outgoing *outgoing = data;
    if (status == COVEY_OK)
        put_outgoing(outgoing);
    else
        drop(outgoing);
}

static void count_sent(struct router *router, unsigned node, uint32_t source)
{
    uint32_t local;
    if (arena_local_of(router->arena, source, &local))
        router->sent[(size_t)node * arena_local_count(router->arena) + local]++;
}

static enum covey_status send_on(struct router *router, unsigned node, struct outgoing *outgoing)
{
    struct host_outgoing *message = &outgoing->message;
    uint8_t header[ROUTER_MESSAGE_BYTES + DESCRIPTOR_INLINE_BYTES];
    router_message_encode(&message->header, header);
    if (message->length_bytes <= DESCRIPTOR_INLINE_BYTES) {
        memcpy(header + ROUTER_MESSAGE_BYTES, message->payload, message->length_bytes);
        return net_send(router->net, node, header, ROUTER_MESSAGE_BYTES + message->length_bytes,
                        NULL, on_sent, outgoing);
    }
    const struct net_payload payload = {.address = message->payload,
                                        .length_bytes = message->length_bytes,
                                        .region = router_region(router, message->payload)};
    if (!payload.region)
        return COVEY_EIO;
    return net_send(router->net, node, header, ROUTER_MESSAGE_BYTES, &payload, on_sent, outgoing);
}

/* False: the network takes no more for that node now. */
static bool forward(struct router *router, unsigned node, struct outgoing *outgoing)
{
    uint32_t length_bytes = outgoing->message.length_bytes;
    enum covey_status status = COVEY_EPEER;
    /* Also to a rank that has ended meanwhile: the message is counted. */
    if (!router->node_lost[node])
        status = send_on(router, node, outgoing);
    if (status == COVEY_EAGAIN)
        return false;
    if (status == COVEY_OK) {
        router->traffic[node].sent_messages++;
        router->traffic[node].sent_bytes += length_bytes;
        return true;
    }
    drop(outgoing);
    if (status != COVEY_EPEER) {
        log_error("cannot send to a node node=%u status=%s", node, covey_status_name(status));
        router_fail_node(router, node, covey_status_text(status));
    }
    return true;
}

/* What waits for a node goes before what comes later for it; other nodes' goes past it. */
static void forward_or_queue(struct router *router, struct outgoing *outgoing)
{
    uint32_t destination = outgoing->message.header.destination;
    unsigned node = arena_node_of(router->arena, destination);
    struct covey_list *queue = &router->queued[node];
    bool lost =
        router->node_lost[node] || arena_rank_state(router->arena, destination) >= ARENA_DONE;
    if (lost) {
        drop(outgoing);
        return;
    }
    router->node_known[node] = true;
    count_sent(router, node, outgoing->message.header.source);
    if (covey_list_empty(queue) && forward(router, node, outgoing))
        return;
    covey_list_remove(&outgoing->node);
    covey_list_push_back(queue, &outgoing->node);
    router->queued_count++;
}

static bool forward_queued(struct router *router)
{
    bool did = false;
    for (unsigned node = 0; router->queued_count > 0 && node < router->node_count; node++) {
        while (!covey_list_empty(&router->queued[node])) {
            struct covey_list *first = covey_list_pop_front(&router->queued[node]);
            struct outgoing *outgoing = covey_container_of(first, struct outgoing, node);
            covey_list_push_back(&router->outgoing, first);
            if (!forward(router, node, outgoing)) {
                covey_list_remove(first);
                covey_list_push_front(&router->queued[node], first);
                break;
            }
            router->queued_count--;
            did = true;
        }
    }
    return did;
}

bool router_out_progress(struct router *router)
{
    bool did = forward_queued(router);
    router->drained = false;
    for (unsigned i = 0; i < BATCH; i++) {
        struct outgoing *outgoing = take_outgoing(router);
        if (!outgoing) {
            router->retry_ns = router->now_ns + ROUTER_RETRY_NS;
            return false;
        }
        if (!host_port_poll(router->port, &outgoing->message)) {
            spare(outgoing);
            router->drained = true;
            return did || i > 0;
        }
        forward_or_queue(router, outgoing);
    }
    return true;
}

static void clear(struct covey_list *list)
{
    while (!covey_list_empty(list))
        put_outgoing(covey_container_of(list->next, struct outgoing, node));
}

void router_out_clear(struct router *router)
{
    clear(&router->outgoing);
    for (unsigned node = 0; router->queued && node < router->node_count; node++)
        clear(&router->queued[node]);
    for (struct covey_list *node; (node = covey_list_pop_front(&router->spare_outgoing));)
        free(covey_container_of(node, struct outgoing, node));
}
