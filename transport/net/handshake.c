/*
 * Who is at the other end. docs/wire.md has the frames, the proofs and the tie-break; in short:
 *
 *     initiator                                         acceptor
 *     CONNECTING  -- HELLO(flare, nodes, nonce, proof) -->  checks, ACCEPTING
 *     checks, UP  <-- HELLO_ACK(nodes, nonce, proof) ---
 *                 -- CONFIRM(proof over both nonces) -->    checks, UP
 *
 * Where both begin at once, the attempt of the lower node counts.
 */
#include "transport/net/internal.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum proof {
    PROOF_HELLO,
    PROOF_ACK,
    PROOF_CONFIRM,
    PROOF_SESSION_INITIATOR,
    PROOF_SESSION_ACCEPTOR
};

/* Every proof names what it is for, the flare, both nodes and the nonces known by then. */
static void prove(const struct net_connection *connection, enum proof what,
                  uint8_t digest[NET_DIGEST_BYTES])
{
    static const char *const labels[] = {
        [PROOF_HELLO] = "covey 1 hello",
        [PROOF_ACK] = "covey 1 hello ack",
        [PROOF_CONFIRM] = "covey 1 confirm",
        [PROOF_SESSION_INITIATOR] = "covey 1 session of the initiator",
        [PROOF_SESSION_ACCEPTOR] = "covey 1 session of the acceptor",
    };
    const struct net_greeting *hello = &connection->hello;
    uint8_t nodes[8];
    net_put_u32(nodes, hello->from);
    net_put_u32(nodes + 4, hello->to);
    const struct net_span spans[] = {
        {labels[what], strlen(labels[what]) + 1},
        {hello->flare, NET_DIGEST_BYTES},
        {nodes, sizeof nodes},
        {hello->nonce, NET_NONCE_BYTES},
        {connection->answer, NET_NONCE_BYTES},
    };
    size_t count = sizeof spans / sizeof *spans;
    net_mac(connection->net->secret, spans, what == PROOF_HELLO ? count - 1 : count, digest);
}

static bool proven(const struct net_connection *connection, enum proof what,
                   const uint8_t claimed[NET_DIGEST_BYTES])
{
    uint8_t digest[NET_DIGEST_BYTES];
    prove(connection, what, digest);
    bool equal = net_equal_constant_time(digest, claimed, sizeof digest);
    net_wipe(digest, sizeof digest);
    return equal;
}

static uint64_t session(const struct net_connection *connection, enum proof what)
{
    uint8_t digest[NET_DIGEST_BYTES];
    prove(connection, what, digest);
    uint64_t value = net_get_u64(digest);
    net_wipe(digest, sizeof digest);
    return value;
}

static enum covey_status fill_random(void *bytes, size_t length_bytes)
{
    uint8_t *next = bytes;
    while (length_bytes > 0) {
        ssize_t got = getrandom(next, length_bytes, 0);
        if (got < 0 && errno != EINTR)
            return COVEY_EIO;
        if (got > 0) {
            next += got;
            length_bytes -= (size_t)got;
        }
    }
    return COVEY_OK;
}

static struct net_connection *make_connection(struct net *net, struct net_link *link)
{
    struct net_connection *connection = covey_calloc(1, sizeof *connection);
    if (!connection)
        return NULL;
    connection->net = net;
    connection->link = link;
    connection->deadline_ns = COVEY_NEVER_NS;
    covey_list_init(&connection->node);
    link->owner_data = connection;
    return connection;
}

void net_on_accept(void *owner, struct net_link *link)
{
    struct net *net = owner;
    struct net_connection *connection = NULL;
    if (!net->closing && net->stranger_count < net->options.limits.strangers)
        connection = make_connection(net, link);
    if (!connection) {
        net->counters.strangers_refused++;
        net->ops->close(net->backend, link);
        return;
    }
    connection->deadline_ns = covey_deadline_ns(net->now_ns, net->options.limits.hello_timeout_ns);
    covey_list_push_back(&net->strangers, &connection->node);
    net->stranger_count++;
}

static enum covey_status send_hello(struct net_connection *connection)
{
    uint8_t bytes[NET_HELLO_BYTES];
    enum covey_status status = fill_random(connection->hello.nonce, sizeof connection->hello.nonce);
    if (status != COVEY_OK)
        return status;
    prove(connection, PROOF_HELLO, connection->hello.proof);
    net_hello_encode(&connection->hello, bytes);
    return net_frame_send(connection, NET_FRAME_HELLO, bytes, sizeof bytes);
}

enum covey_status net_peer_connect(struct net *net, struct peer *peer)
{
    struct net_link *link;
    if (covey_fault(COVEY_FAULT_HOST_CONNECT))
        return COVEY_EIO;
    enum covey_status status = net->ops->connect(net->backend, peer->address, &link);
    if (status != COVEY_OK)
        return status;
    struct net_connection *connection = make_connection(net, link);
    if (!connection) {
        net->ops->close(net->backend, link);
        return COVEY_ENOMEM;
    }
    memcpy(connection->hello.flare, net->flare, sizeof net->flare);
    connection->hello.from = net->options.node;
    connection->hello.to = peer_node(net, peer);
    status = send_hello(connection);
    if (status != COVEY_OK) {
        net_connection_close(connection);
        return status;
    }
    connection->peer = peer;
    peer->connection = connection;
    net_peer_move(net, peer, PEER_CONNECTING);
    /* net->now_ns may be old here: a send need not come from net_progress. */
    peer->deadline_ns = covey_deadline_ns(covey_now_ns(), net->options.limits.connect_timeout_ns);
    return COVEY_OK;
}

/* An attempt of ours that came to nothing, though the peer is not lost with it. */
static void give_up_attempt(struct net *net, struct peer *peer)
{
    if (peer->connection)
        net_connection_close(peer->connection);
    net_peer_move(net, peer, PEER_WAITING);
}

void net_reject(struct net_connection *connection, enum net_reject why)
{
    struct net *net = connection->net;
    uint8_t bytes[NET_REJECT_BYTES];
    net_put_u32(bytes, why);
    connection->refused = true;
    net->counters.strangers_refused += why != NET_REJECT_SUPERSEDED;
    /* The other side closes when it has read this; who does not is closed at the deadline. */
    if (net_frame_send(connection, NET_FRAME_REJECT, bytes, sizeof bytes) != COVEY_OK)
        net_connection_close(connection);
    else
        connection->deadline_ns = covey_deadline_ns(net->now_ns, COVEY_NS_PER_S);
}

static bool hello_is_good(struct net_connection *connection)
{
    const struct net *net = connection->net;
    const struct net_greeting *hello = &connection->hello;
    bool same_flare = net_equal_constant_time(hello->flare, net->flare, sizeof net->flare);
    return proven(connection, PROOF_HELLO, hello->proof) && same_flare &&
           hello->to == net->options.node && hello->from < net->options.node_count &&
           hello->from != net->options.node;
}

static enum covey_status send_ack(struct net_connection *connection)
{
    uint8_t bytes[NET_HELLO_ACK_BYTES];
    struct net_greeting ack = {.from = connection->hello.to, .to = connection->hello.from};
    enum covey_status status = fill_random(connection->answer, sizeof connection->answer);
    if (status != COVEY_OK)
        return status;
    memcpy(ack.nonce, connection->answer, sizeof ack.nonce);
    prove(connection, PROOF_ACK, ack.proof);
    net_hello_ack_encode(&ack, bytes);
    return net_frame_send(connection, NET_FRAME_HELLO_ACK, bytes, sizeof bytes);
}

static void adopt(struct net_connection *connection, struct peer *peer)
{
    struct net *net = connection->net;
    covey_list_remove(&connection->node);
    net->stranger_count--;
    connection->peer = peer;
    peer->connection = connection;
    if (peer->state == PEER_IDLE)
        peer->deadline_ns = covey_deadline_ns(net->now_ns, net->options.limits.connect_timeout_ns);
    net_peer_move(net, peer, PEER_ACCEPTING);
    if (send_ack(connection) != COVEY_OK)
        net_connection_fail(connection, COVEY_EPEER, "the connection broke during the greeting");
}

static void on_hello(struct net_connection *connection, const struct net_frame *frame)
{
    struct net *net = connection->net;
    if (connection->peer || connection->refused) {
        net_connection_fail(connection, COVEY_EPROTO, "it greeted twice");
        return;
    }
    net_hello_decode(frame->header, &connection->hello);
    if (!hello_is_good(connection)) {
        log_warn("connection refused claimed_node=%u reason=\"wrong secret, flare or node\"",
                 connection->hello.from);
        net_reject(connection, NET_REJECT_UNAUTHENTICATED);
        return;
    }
    struct peer *peer = &net->peers[connection->hello.from];
    bool theirs = peer->state == PEER_IDLE || peer->state == PEER_WAITING ||
                  (peer->state == PEER_CONNECTING && connection->hello.from < net->options.node);
    if (!theirs) {
        net_reject(connection, NET_REJECT_SUPERSEDED);
        return;
    }
    if (peer->state == PEER_CONNECTING)
        give_up_attempt(net, peer);
    adopt(connection, peer);
}

static void settle(struct net_connection *connection, bool initiator)
{
    struct net *net = connection->net;
    uint64_t of_initiator = session(connection, PROOF_SESSION_INITIATOR);
    uint64_t of_acceptor = session(connection, PROOF_SESSION_ACCEPTOR);
    connection->session_out = initiator ? of_initiator : of_acceptor;
    connection->session_in = initiator ? of_acceptor : of_initiator;
    net_peer_move(net, connection->peer, PEER_SETTLING);
    enum covey_status status =
        covey_map_set_u64(&net->sessions, connection->session_in, connection);
    if (status == COVEY_OK)
        status = net->ops->settle(net->backend, connection->link);
    if (status != COVEY_OK)
        net_connection_fail(connection, status, "the connection broke during the greeting");
}

void net_on_settled(void *owner, struct net_link *link, const char *lane)
{
    struct net *net = owner;
    struct net_connection *connection = link->owner_data;
    struct peer *peer = connection->peer;
    char carrier[NET_CARRIER_BYTES];
    net_peer_move(net, peer, PEER_UP);
    snprintf(carrier, sizeof carrier, "%s:%s", net->ops->name, lane);
    log_debug("peer up node=%u carrier=%s", peer_node(net, peer), carrier);
    net_peer_flush(net, peer);
    net->options.events->on_connected(net->options.data, peer_node(net, peer), carrier);
}

static void on_hello_ack(struct net_connection *connection, const struct net_frame *frame)
{
    struct net_greeting ack;
    struct peer *peer = connection->peer;
    net_hello_ack_decode(frame->header, &ack);
    if (!peer || peer->state != PEER_CONNECTING) {
        net_connection_fail(connection, COVEY_EPROTO, "an answer to no greeting");
        return;
    }
    memcpy(connection->answer, ack.nonce, sizeof ack.nonce);
    if (ack.from != connection->hello.to || ack.to != connection->hello.from ||
        !proven(connection, PROOF_ACK, ack.proof)) {
        net_connection_fail(connection, COVEY_EUNAUTHENTICATED,
                            "whoever answers at its address does not know the secret");
        return;
    }
    uint8_t proof[NET_CONFIRM_BYTES];
    prove(connection, PROOF_CONFIRM, proof);
    if (net_frame_send(connection, NET_FRAME_CONFIRM, proof, sizeof proof) != COVEY_OK)
        net_connection_fail(connection, COVEY_EPEER, "the connection broke during the greeting");
    else
        settle(connection, true);
}

static void on_confirm(struct net_connection *connection, const struct net_frame *frame)
{
    if (!connection->peer || connection->peer->state != PEER_ACCEPTING)
        net_connection_fail(connection, COVEY_EPROTO, "a confirmation of no greeting");
    else if (!proven(connection, PROOF_CONFIRM, frame->header))
        net_connection_fail(connection, COVEY_EUNAUTHENTICATED, "its confirmation is wrong");
    else
        settle(connection, false);
}

static void on_reject(struct net_connection *connection, const struct net_frame *frame)
{
    struct net *net = connection->net;
    struct peer *peer = connection->peer;
    uint32_t why = net_get_u32(frame->header);
    if (!peer || peer->state != PEER_CONNECTING)
        net_connection_fail(connection, COVEY_EPROTO, "a refusal of no greeting");
    else if (why == NET_REJECT_SUPERSEDED && peer_node(net, peer) < net->options.node)
        give_up_attempt(net, peer);
    else if (why == NET_REJECT_VERSION)
        net_peer_lose(net, peer, COVEY_EVERSION, "it speaks another version");
    else if (why == NET_REJECT_UNAUTHENTICATED)
        net_peer_lose(net, peer, COVEY_EUNAUTHENTICATED,
                      "it refused us: its secret, flare or node is another");
    else
        net_peer_lose(net, peer, COVEY_EPROTO, "it refused us");
}

void net_handshake(struct net_connection *connection, const struct net_frame *frame)
{
    switch (frame->kind) {
    case NET_FRAME_HELLO:
        on_hello(connection, frame);
        break;
    case NET_FRAME_HELLO_ACK:
        on_hello_ack(connection, frame);
        break;
    case NET_FRAME_CONFIRM:
        on_confirm(connection, frame);
        break;
    default:
        on_reject(connection, frame);
        break;
    }
}

/*
 * A peer that had proved a HELLO only may be a recording of it: then the peer itself is not lost,
 * and where we have something to send, we try ourselves.
 */
static void lose_unconfirmed(struct net *net, struct peer *peer)
{
    net_connection_close(peer->connection);
    net_peer_move(net, peer, PEER_IDLE);
    if (covey_list_empty(&peer->waiting))
        return;
    enum covey_status status = net_peer_connect(net, peer);
    if (status != COVEY_OK)
        net_peer_lose(net, peer, status, "cannot connect to it");
}

void net_connection_fail(struct net_connection *connection, enum covey_status status,
                         const char *reason)
{
    struct net *net = connection->net;
    struct peer *peer = connection->peer;
    if (!peer) {
        net->counters.strangers_refused += !connection->refused;
        net_connection_close(connection);
    } else if (peer->state == PEER_ACCEPTING) {
        lose_unconfirmed(net, peer);
    } else {
        net_peer_lose(net, peer, status, reason);
    }
}

void net_on_broken(void *owner, struct net_link *link, enum covey_status status, const char *reason)
{
    (void)owner;
    char text[NET_REASON_BYTES];
    struct net_connection *connection = link->owner_data;
    bool up = connection->peer && connection->peer->state >= PEER_SETTLING;
    (void)covey_text_print(text, sizeof text, "%s: %s",
                           up ? "the connection broke" : "cannot connect to it", reason);
    net_connection_fail(connection, up ? COVEY_EPEER : status, text);
}
