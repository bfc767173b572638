/* What comes from peers: checked, offered to the owner, landed, held or thrown away. */
#include "transport/net/internal.h"

#include "base/log.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static struct held *take_held(struct net *net)
{
    struct covey_list *node = covey_list_pop_front(&net->spare_held);
    struct held *held =
        node ? covey_container_of(node, struct held, node) : covey_malloc(sizeof *held);
    if (held)
        covey_list_init(&held->node);
    return held;
}

static void put_held(struct net *net, struct held *held)
{
    free(held->bytes);
    held->bytes = NULL;
    covey_list_remove(&held->node);
    covey_list_push_front(&net->spare_held, &held->node);
}

static void landed(void *data, enum covey_status status)
{
    struct held *held = data;
    struct net *net = held->net;
    unsigned node = held->message.node;
    void *context = held->context;
    if (net->closing && status != COVEY_OK)
        status = COVEY_ECANCELLED;
    put_held(net, held);
    net->options.events->on_landed(net->options.data, node, context, status);
}

/* Begins a landing; held is on no list of its peer any more. */
static void land(struct held *held, const void *bytes, const struct net_landing *landing)
{
    struct net *net = held->net;
    size_t length_bytes = held->message.payload_bytes;
    held->context = landing->context;
    covey_list_push_back(&net->landings, &held->node);
    if (!net->ops->region_covers(landing->region, landing->address, length_bytes)) {
        if (held->handle)
            net->ops->release(net->backend, held->handle);
        landed(held, COVEY_EINVAL);
    } else if (!held->handle) {
        if (length_bytes > 0)
            memcpy(landing->address, bytes, length_bytes);
        landed(held, COVEY_OK);
    } else {
        net->ops->fetch(net->backend, held->connection ? held->connection->link : NULL,
                        held->handle, landing->address, length_bytes, landing->region, landed,
                        held);
    }
}

static bool hold(struct held *held, const struct net_body *body)
{
    struct net *net = held->net;
    struct peer *peer = &net->peers[held->message.node];
    if (!held->handle && body->length_bytes > 0) {
        held->bytes = covey_memdup(body->bytes, body->length_bytes);
        if (!held->bytes)
            return false;
    }
    covey_list_push_back(&peer->held, &held->node);
    return true;
}

/* Returns whether the backend keeps the payload's handle. */
static bool on_message(struct net_connection *connection, const struct net_frame *frame,
                       const struct net_body *body)
{
    struct net *net = connection->net;
    struct peer *peer = connection->peer;
    struct held *held = take_held(net);
    if (!held) {
        net_connection_fail(connection, COVEY_ENOMEM, "no memory for its message");
        return false;
    }
    peer->traffic.received_messages++;
    peer->traffic.received_bytes += frame->header_bytes + frame->payload_bytes;
    held->net = net;
    held->connection = connection;
    held->handle = body->handle;
    held->bytes = NULL;
    if (frame->header_bytes > 0)
        memcpy(held->header, frame->header, frame->header_bytes);
    held->message = (struct net_message){.node = peer_node(net, peer),
                                         .header = held->header,
                                         .header_bytes = frame->header_bytes,
                                         .payload_bytes = frame->payload_bytes};
    struct net_landing landing;
    switch (net->options.events->on_message(net->options.data, &held->message, &landing)) {
    case NET_LAND:
        land(held, body->bytes, &landing);
        return false;
    case NET_HOLD:
        if (hold(held, body))
            return true;
        put_held(net, held);
        net_connection_fail(connection, COVEY_ENOMEM, "no memory for its message");
        return false;
    default:
        put_held(net, held);
        return false;
    }
}

static bool is_handshake(uint8_t kind)
{
    return kind >= NET_FRAME_HELLO && kind <= NET_FRAME_REJECT;
}

static void on_control(struct net_connection *connection, const uint8_t *bytes, size_t length_bytes)
{
    struct net_frame frame;
    const bool proved = connection->peer && connection->peer->state >= PEER_SETTLING;
    enum covey_status status = net_frame_decode(bytes, length_bytes, 0, &frame);
    if (status == COVEY_EVERSION && !connection->peer && !connection->refused)
        net_reject(connection, NET_REJECT_VERSION);
    else if (status != COVEY_OK)
        net_connection_fail(connection, status, "it sent a malformed frame");
    else if (proved && frame.kind == NET_FRAME_GOODBYE)
        net_peer_lose(connection->net, connection->peer, COVEY_OK, "it left");
    else if (proved || !is_handshake(frame.kind))
        net_connection_fail(connection, COVEY_EPROTO,
                            proved ? "it greeted again" : "it sent no greeting");
    else
        net_handshake(connection, &frame);
}

bool net_on_frame(void *owner, struct net_link *link, const uint8_t *bytes, size_t length_bytes,
                  const struct net_body *body)
{
    struct net *net = owner;
    struct net_frame frame;
    if (net->closing)
        return false;
    if (link) {
        on_control(link->owner_data, bytes, length_bytes);
        return false;
    }
    /* Only the session tells whose message it is: without one nobody is to blame. */
    struct net_connection *connection =
        covey_map_get_u64(&net->sessions, net_frame_session(bytes, length_bytes));
    if (!connection) {
        net->counters.frames_dropped++;
        return false;
    }
    enum covey_status status = net_frame_decode(bytes, length_bytes, body->length_bytes, &frame);
    if (status == COVEY_OK && frame.kind == NET_FRAME_MESSAGE)
        return on_message(connection, &frame, body);
    net_connection_fail(connection, status == COVEY_OK ? COVEY_EPROTO : status,
                        "it sent a malformed message");
    return false;
}

void net_land(struct net *net, struct net_message *message, const struct net_landing *landing)
{
    struct held *held = (struct held *)(void *)message;
    (void)net;
    covey_list_remove(&held->node);
    land(held, held->bytes, landing);
}

void net_drop(struct net *net, struct net_message *message)
{
    struct held *held = (struct held *)(void *)message;
    covey_list_remove(&held->node);
    if (held->handle)
        net->ops->release(net->backend, held->handle);
    put_held(net, held);
}

void net_held_orphan(struct net *net, struct net_connection *connection)
{
    if (!connection->peer)
        return;
    covey_list_for_each (node, &connection->peer->held) {
        struct held *held = covey_container_of(node, struct held, node);
        if (held->connection == connection)
            held->connection = NULL;
    }
    covey_list_for_each (node, &net->landings) {
        struct held *held = covey_container_of(node, struct held, node);
        if (held->connection == connection)
            held->connection = NULL;
    }
}

void net_held_clear(struct net *net)
{
    for (unsigned i = 0; i < net->options.node_count; i++)
        while (!covey_list_empty(&net->peers[i].held))
            net_drop(net, &covey_container_of(net->peers[i].held.next, struct held, node)->message);
    for (struct covey_list *node; (node = covey_list_pop_front(&net->spare_held));)
        free(covey_container_of(node, struct held, node));
}
