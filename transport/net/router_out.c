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

static void put_outgoing(struct outgoing *outgoing)
{
    struct router *router = outgoing->router;
    host_port_release(router->port, &outgoing->message);
    covey_list_remove(&outgoing->node);
    covey_list_push_front(&router->spare_outgoing, &outgoing->node);
}

static void on_sent(void *data, enum covey_status status)
{
    struct outgoing *outgoing = data;
    outgoing->router->counters.dropped += status != COVEY_OK;
    put_outgoing(outgoing);
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

/* False: it stays, and nothing else is taken before it has gone. */
static bool forward(struct router *router, struct outgoing *outgoing)
{
    uint32_t destination = outgoing->message.header.destination;
    uint32_t source = outgoing->message.header.source;
    unsigned node = arena_node_of(router->arena, destination);
    if (router->node_lost[node] || arena_rank_state(router->arena, destination) >= ARENA_DONE) {
        router->counters.dropped++;
        put_outgoing(outgoing);
        return true;
    }
    router->node_known[node] = true;
    /* Counted before, since the send may be complete, and the message gone, when it returns. */
    count_sent(router, node, source);
    uint32_t length_bytes = outgoing->message.length_bytes;
    enum covey_status status = send_on(router, node, outgoing);
    if (status == COVEY_OK) {
        router->traffic[node].sent_messages++;
        router->traffic[node].sent_bytes += length_bytes;
        return true;
    }
    if (status == COVEY_EAGAIN) {
        uint32_t local;
        if (arena_local_of(router->arena, source, &local))
            router->sent[(size_t)node * arena_local_count(router->arena) + local]--;
        return false;
    }
    router->counters.dropped++;
    put_outgoing(outgoing);
    if (status != COVEY_EPEER) {
        log_error("cannot send to a node node=%u status=%s", node, covey_status_name(status));
        router_fail_node(router, node, covey_status_text(status));
    }
    return true;
}

bool router_out_progress(struct router *router)
{
    router->drained = false;
    if (router->stalled) {
        if (!forward(router, router->stalled))
            return false;
        router->stalled = NULL;
    }
    for (unsigned i = 0; i < BATCH; i++) {
        struct outgoing *outgoing = take_outgoing(router);
        if (!outgoing) {
            router->retry_ns = router->now_ns + ROUTER_RETRY_NS;
            return false;
        }
        outgoing->message.in_arena = false;
        if (!host_port_poll(router->port, &outgoing->message)) {
            put_outgoing(outgoing);
            router->drained = true;
            return i > 0;
        }
        if (!forward(router, outgoing)) {
            router->stalled = outgoing;
            return true;
        }
    }
    return true;
}

void router_out_clear(struct router *router)
{
    while (!covey_list_empty(&router->outgoing))
        put_outgoing(covey_container_of(router->outgoing.next, struct outgoing, node));
    for (struct covey_list *node; (node = covey_list_pop_front(&router->spare_outgoing));)
        free(covey_container_of(node, struct outgoing, node));
}
