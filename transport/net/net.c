#include "transport/net/internal.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "transport/net/device.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* What each node of a flare adds to the time that a connection may take. */
#define NODE_ALLOWANCE_NS (50 * COVEY_NS_PER_MS)

void net_limits_init(struct net_limits *limits)
{
    *limits = (struct net_limits){.eager_bytes = 8192,
                                  .pending_sends = 4096,
                                  .strangers = 64,
                                  .connect_timeout_ns = 5 * COVEY_NS_PER_S,
                                  .hello_timeout_ns = 2 * COVEY_NS_PER_S};
}

static const struct net_backend_events backend_events = {.on_accept = net_on_accept,
                                                         .on_frame = net_on_frame,
                                                         .on_settled = net_on_settled,
                                                         .on_broken = net_on_broken};

/* By default what has RDMA here, and our own stream where nothing has. */
static const char *choose_backend(const char *ip)
{
    struct net_device device;
    return net_device_find(ip, &device) == COVEY_OK && *device.rdma ? "ucx" : "tcp";
}

static const struct net_backend_ops *find_backend(const char *name)
{
    static const struct net_backend_ops *const backends[] = {&net_ucx_ops, &net_tcp_ops};
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++)
        if (strcmp(backends[i]->name, name) == 0)
            return backends[i];
    return NULL;
}

static enum covey_status check_options(const struct net_options *options, struct covey_error *error)
{
    if (options->node_count == 0 || options->node_count > NET_NODES_MAX ||
        options->node >= options->node_count)
        return covey_error_set(error, COVEY_EINVAL, "node %u of %u is no node", options->node,
                               options->node_count);
    if (options->port_first > options->port_last ||
        (options->port_first == 0 && options->port_last != 0))
        return covey_error_set(error, COVEY_EINVAL, "%u to %u is no range of ports",
                               options->port_first, options->port_last);
    return COVEY_OK;
}

/* In a flare of many nodes all may greet one at once, and each is slower for the others. */
static void scale_limits(struct net_limits *limits, unsigned node_count)
{
    int64_t more_ns = node_count * NODE_ALLOWANCE_NS;
    limits->connect_timeout_ns = covey_deadline_ns(limits->connect_timeout_ns, more_ns);
    limits->hello_timeout_ns = covey_deadline_ns(limits->hello_timeout_ns, more_ns);
    if (limits->strangers < node_count)
        limits->strangers = node_count;
}

static struct net *make_net(const struct net_options *options)
{
    struct net *net = covey_calloc(1, sizeof *net);
    if (!net)
        return NULL;
    net->peers = covey_calloc(options->node_count, sizeof *net->peers);
    if (!net->peers) {
        free(net);
        return NULL;
    }
    for (unsigned i = 0; i < options->node_count; i++) {
        covey_list_init(&net->peers[i].waiting);
        covey_list_init(&net->peers[i].held);
    }
    net->options = *options;
    net->options.backend = net->options.flare_id = net->options.bind_address = NULL;
    net->options.secret = NULL;
    scale_limits(&net->options.limits, options->node_count);
    memcpy(net->secret, options->secret, NET_SECRET_BYTES);
    struct net_sha256 hash;
    net_sha256_begin(&hash);
    net_sha256_add(&hash, options->flare_id, strlen(options->flare_id));
    net_sha256_end(&hash, net->flare);
    covey_list_init(&net->strangers);
    covey_list_init(&net->spare_sends);
    covey_list_init(&net->spare_held);
    covey_list_init(&net->landings);
    net->now_ns = covey_now_ns();
    return net;
}

enum covey_status net_create(const struct net_options *options, struct net **out,
                             struct covey_error *error)
{
    enum covey_status status = check_options(options, error);
    if (status != COVEY_OK)
        return status;
    const char *name = strcmp(options->backend, "auto") == 0 ? choose_backend(options->bind_address)
                                                             : options->backend;
    const struct net_backend_ops *ops = find_backend(name);
    if (!ops)
        return covey_error_set(error, COVEY_EINVAL, "there is no network backend %s",
                               options->backend);
    if (covey_fault(COVEY_FAULT_HOST_NETWORK))
        return covey_error_set(error, COVEY_EIO, "the network fails (fault point)");
    struct net *net = make_net(options);
    if (!net)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for the network");
    net->ops = ops;
    const struct net_backend_options backend = {.bind_address = options->bind_address,
                                                .port_first = options->port_first,
                                                .port_last = options->port_last,
                                                .header_bytes_max =
                                                    NET_WIRE_HEAD_BYTES + NET_HEADER_BYTES_MAX,
                                                .events = &backend_events,
                                                .owner = net};
    status = ops->create(&backend, &net->backend, error);
    if (status != COVEY_OK) {
        net_destroy(net);
        return status;
    }
    *out = net;
    return COVEY_OK;
}

enum covey_status net_wake(struct net *net, struct covey_error *error)
{
    return net->ops->wake(net->backend, error);
}

static struct peer *find_peer(const struct net *net, unsigned node)
{
    return node < net->options.node_count && node != net->options.node ? &net->peers[node] : NULL;
}

static void complete(struct send *send, enum covey_status status)
{
    struct net *net = send->net;
    net_send_done done = send->done;
    void *done_data = send->done_data;
    send->peer->sends--;
    covey_list_push_front(&net->spare_sends, &send->node);
    if (done)
        done(done_data, status);
}

static void on_sent(void *data, enum covey_status status)
{
    struct send *send = data;
    if (send->net->closing && status != COVEY_OK)
        status = COVEY_ECANCELLED;
    complete(send, status);
}

static enum covey_status submit(struct send *send, const void *header)
{
    struct net *net = send->net;
    struct peer *peer = send->peer;
    const struct net_frame frame = {.kind = NET_FRAME_MESSAGE,
                                    .session = peer->connection->session_out,
                                    .header_bytes = send->header_bytes,
                                    .payload_bytes = send->payload.length_bytes};
    uint8_t head[NET_WIRE_HEAD_BYTES];
    net_frame_encode(&frame, head);
    const struct net_send_request request = {.head = head,
                                             .head_bytes = sizeof head,
                                             .header = header,
                                             .header_bytes = send->header_bytes,
                                             .payload = send->payload.address,
                                             .payload_bytes = send->payload.length_bytes,
                                             .region = send->payload.region,
                                             .fetched = send->payload.length_bytes >
                                                        net->options.limits.eager_bytes,
                                             .done = on_sent,
                                             .done_data = send};
    peer->traffic.sent_messages++;
    peer->traffic.sent_bytes += send->header_bytes + send->payload.length_bytes;
    return net->ops->send(net->backend, peer->connection->link, &request);
}

static struct send *take_send(struct net *net, struct peer *peer)
{
    struct covey_list *node = covey_list_pop_front(&net->spare_sends);
    struct send *send =
        node ? covey_container_of(node, struct send, node) : covey_malloc(sizeof *send);
    if (!send)
        return NULL;
    covey_list_init(&send->node);
    send->net = net;
    send->peer = peer;
    return send;
}

static enum covey_status check_send(const struct net *net, const struct peer *peer,
                                    size_t header_bytes, const struct net_payload *payload)
{
    if (!peer || !*peer->address || header_bytes > NET_HEADER_BYTES_MAX)
        return COVEY_EINVAL;
    if (payload->region &&
        !net->ops->region_covers(payload->region, payload->address, payload->length_bytes))
        return COVEY_EINVAL;
    if (!payload->region && payload->length_bytes > net->options.limits.eager_bytes)
        return COVEY_EINVAL;
    if (peer->state == PEER_DOWN)
        return COVEY_EPEER;
    return peer->sends < net->options.limits.pending_sends ? COVEY_OK : COVEY_EAGAIN;
}

enum covey_status net_send(struct net *net, unsigned node, const void *header, size_t header_bytes,
                           const struct net_payload *payload, net_send_done done, void *done_data)
{
    static const struct net_payload nothing;
    struct peer *peer = find_peer(net, node);
    if (!payload)
        payload = &nothing;
    enum covey_status status = check_send(net, peer, header_bytes, payload);
    if (status != COVEY_OK)
        return status;
    if (covey_fault(COVEY_FAULT_HOST_FORWARD))
        return COVEY_ENOMEM;
    if (peer->state == PEER_IDLE) {
        status = net_peer_connect(net, peer);
        if (status != COVEY_OK)
            return status;
    }
    struct send *send = take_send(net, peer);
    if (!send)
        return COVEY_ENOMEM;
    send->done = done;
    send->done_data = done_data;
    send->payload = *payload;
    send->header_bytes = header_bytes;
    peer->sends++;
    if (peer->state != PEER_UP) {
        if (header_bytes > 0)
            memcpy(send->header, header, header_bytes);
        covey_list_push_back(&peer->waiting, &send->node);
        return COVEY_OK;
    }
    status = submit(send, header);
    if (status != COVEY_OK) {
        send->done = NULL;
        complete(send, status);
    }
    return status;
}

void net_peer_flush(struct net *net, struct peer *peer)
{
    (void)net;
    while (peer->state == PEER_UP && !covey_list_empty(&peer->waiting)) {
        struct send *send =
            covey_container_of(covey_list_pop_front(&peer->waiting), struct send, node);
        enum covey_status status = submit(send, send->header);
        if (status != COVEY_OK)
            complete(send, status);
    }
}

enum covey_status net_frame_send(struct net_connection *connection, enum net_frame_kind kind,
                                 const void *header, size_t header_bytes)
{
    struct net *net = connection->net;
    const struct net_frame frame = {.kind = (uint8_t)kind,
                                    .session =
                                        kind == NET_FRAME_GOODBYE ? connection->session_out : 0,
                                    .header_bytes = header_bytes};
    uint8_t head[NET_WIRE_HEAD_BYTES];
    net_frame_encode(&frame, head);
    const struct net_send_request request = {.head = head,
                                             .head_bytes = sizeof head,
                                             .header = header,
                                             .header_bytes = header_bytes,
                                             .control = true};
    return net->ops->send(net->backend, connection->link, &request);
}

void net_connection_close(struct net_connection *connection)
{
    struct net *net = connection->net;
    if (!covey_list_empty(&connection->node)) {
        covey_list_remove(&connection->node);
        net->stranger_count--;
    }
    if (connection->peer)
        connection->peer->connection = NULL;
    if (connection->session_in)
        covey_map_remove_u64(&net->sessions, connection->session_in);
    net_held_orphan(net, connection);
    net->ops->close(net->backend, connection->link);
    net_wipe(connection, sizeof *connection);
    free(connection);
}

static bool is_connecting(enum peer_state state)
{
    return state == PEER_CONNECTING || state == PEER_WAITING || state == PEER_ACCEPTING ||
           state == PEER_SETTLING;
}

void net_peer_move(struct net *net, struct peer *peer, enum peer_state state)
{
    net->connecting += is_connecting(state);
    net->connecting -= is_connecting(peer->state);
    if (!is_connecting(state))
        peer->deadline_ns = COVEY_NEVER_NS;
    peer->state = state;
}

void net_peer_lose(struct net *net, struct peer *peer, enum covey_status status, const char *reason)
{
    if (peer->state == PEER_DOWN)
        return;
    char kept[NET_REASON_BYTES];
    (void)covey_text_print(kept, sizeof kept, "%s", reason);
    net_peer_move(net, peer, PEER_DOWN);
    if (peer->connection)
        net_connection_close(peer->connection);
    for (struct covey_list *node; (node = covey_list_pop_front(&peer->waiting));)
        complete(covey_container_of(node, struct send, node),
                 net->closing ? COVEY_ECANCELLED : COVEY_EPEER);
    if (net->closing)
        return;
    if (status == COVEY_OK)
        log_debug("peer left node=%u", peer_node(net, peer));
    else
        log_debug("peer lost node=%u status=%s reason=\"%s\"", peer_node(net, peer),
                  covey_status_name(status), kept);
    net->options.events->on_peer_down(net->options.data, peer_node(net, peer), status, kept);
}

void net_close_peer(struct net *net, unsigned node, const char *reason)
{
    struct peer *peer = find_peer(net, node);
    if (peer)
        net_peer_lose(net, peer, COVEY_EPEER, reason);
}

const char *net_address(const struct net *net)
{
    return net->ops->address(net->backend);
}

enum covey_status net_set_address(struct net *net, unsigned node, const char *address)
{
    struct sockaddr_storage parsed;
    unsigned parsed_bytes;
    struct peer *peer = find_peer(net, node);
    if (!peer || strlen(address) >= sizeof peer->address)
        return COVEY_EINVAL;
    enum covey_status status = net_address_parse(address, &parsed, &parsed_bytes);
    if (status == COVEY_OK)
        memcpy(peer->address, address, strlen(address) + 1);
    return status;
}

enum covey_status net_region_add(struct net *net, void *address, size_t length_bytes,
                                 struct net_region **region)
{
    if (length_bytes == 0)
        return COVEY_EINVAL;
    net->counters.registrations++;
    return net->ops->region_add(net->backend, address, length_bytes, region);
}

void net_region_remove(struct net *net, struct net_region *region)
{
    if (region)
        net->ops->region_remove(net->backend, region);
}

static void expire_strangers(struct net *net)
{
    covey_list_for_each_safe (node, after, &net->strangers) {
        struct net_connection *stranger = covey_container_of(node, struct net_connection, node);
        if (net->now_ns < stranger->deadline_ns)
            continue;
        net->counters.strangers_refused += !stranger->refused;
        net_connection_close(stranger);
    }
}

static void expire_peers(struct net *net)
{
    for (unsigned i = 0; net->connecting > 0 && i < net->options.node_count; i++)
        if (is_connecting(net->peers[i].state) && net->now_ns >= net->peers[i].deadline_ns)
            net_peer_lose(net, &net->peers[i], COVEY_ETIMEOUT, "no connection within the time");
}

bool net_progress(struct net *net, int64_t now_ns)
{
    net->now_ns = now_ns;
    bool did = net->ops->progress(net->backend);
    if (now_ns >= net_next_timeout_ns(net)) {
        expire_strangers(net);
        expire_peers(net);
    }
    return did;
}

int64_t net_next_timeout_ns(const struct net *net)
{
    int64_t next_ns = COVEY_NEVER_NS;
    covey_list_for_each (node, &net->strangers) {
        int64_t deadline_ns = covey_container_of(node, struct net_connection, node)->deadline_ns;
        if (deadline_ns < next_ns)
            next_ns = deadline_ns;
    }
    for (unsigned i = 0; net->connecting > 0 && i < net->options.node_count; i++)
        if (is_connecting(net->peers[i].state) && net->peers[i].deadline_ns < next_ns)
            next_ns = net->peers[i].deadline_ns;
    return next_ns;
}

int net_fd(const struct net *net)
{
    return net->ops->fd(net->backend);
}

bool net_arm(struct net *net)
{
    return net->ops->arm(net->backend);
}

struct net_traffic net_traffic(const struct net *net, unsigned node)
{
    const struct peer *peer = find_peer(net, node);
    return peer ? peer->traffic : (struct net_traffic){0};
}

struct net_counters net_counters(const struct net *net)
{
    return net->counters;
}

static void close_all(struct net *net)
{
    for (unsigned i = 0; i < net->options.node_count; i++) {
        struct peer *peer = &net->peers[i];
        /* A courtesy: where it does not get through, the peer sees the connection end. */
        if (peer->state == PEER_UP &&
            net_frame_send(peer->connection, NET_FRAME_GOODBYE, NULL, 0) != COVEY_OK)
            log_debug("no goodbye node=%u", i);
    }
    (void)net->ops->progress(net->backend);
    for (unsigned i = 0; i < net->options.node_count; i++)
        net_peer_lose(net, &net->peers[i], COVEY_ECANCELLED, "closed");
    for (struct covey_list *node; (node = covey_list_pop_front(&net->strangers));)
        net_connection_close(covey_container_of(node, struct net_connection, node));
}

void net_destroy(struct net *net)
{
    if (!net)
        return;
    net->closing = true;
    if (net->backend) {
        close_all(net);
        net_held_clear(net);
        net->ops->destroy(net->backend);
        net_held_clear(net);
    }
    for (struct covey_list *node; (node = covey_list_pop_front(&net->spare_sends));)
        free(covey_container_of(node, struct send, node));
    covey_map_clear(&net->sessions);
    net_wipe(net->secret, sizeof net->secret);
    free(net->peers);
    free(net);
}
