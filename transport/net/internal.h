/* Inside net: what net.c, handshake.c and receive.c share. */
#ifndef TRANSPORT_NET_INTERNAL_H
#define TRANSPORT_NET_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "transport/net/backend.h"
#include "transport/net/net.h"

#define NET_REASON_BYTES 192

enum peer_state {
    PEER_IDLE,       /* nothing was sent to it or came from it */
    PEER_CONNECTING, /* our attempt is under way */
    PEER_WAITING,    /* our attempt was superseded, the peer's has not come yet */
    PEER_ACCEPTING,  /* its HELLO was good, its CONFIRM has not come yet */
    PEER_SETTLING,   /* both have proved themselves; the way for messages is being made */
    PEER_UP,
    PEER_DOWN, /* for good */
};

struct peer {
    enum peer_state state;
    struct net_connection *connection; /* while CONNECTING, ACCEPTING, SETTLING or UP */
    char address[NET_ADDRESS_BYTES];
    int64_t deadline_ns;       /* until UP */
    struct covey_list waiting; /* sends until UP; struct send */
    struct covey_list held;    /* struct held */
    uint32_t sends;            /* accepted and not complete */
    struct net_traffic traffic;
};

/* What hangs on a link. A connection that is no peer's is a stranger's, or is to be closed. */
struct net_connection {
    struct net *net;
    struct net_link *link;
    struct covey_list node;    /* on net->strangers, or on nothing */
    struct peer *peer;         /* whose current connection it is, or NULL */
    int64_t deadline_ns;       /* of a stranger */
    bool refused;              /* REJECT was sent: the other side closes, or the deadline does */
    struct net_greeting hello; /* the one that was sent or came */
    uint8_t answer[NET_NONCE_BYTES]; /* the nonce of the HELLO_ACK */
    uint64_t session_out;
    uint64_t session_in;
};

struct send {
    struct covey_list node;
    struct net *net;
    struct peer *peer;
    net_send_done done;
    void *done_data;
    struct net_payload payload;
    size_t header_bytes;
    uint8_t header[NET_HEADER_BYTES_MAX];
};

/* A message that the owner holds, or a landing that is under way. */
struct held {
    struct net_message message; /* first: the owner's pointer */
    struct covey_list node;     /* on peer->held while held, else on net->landings */
    struct net *net;
    struct net_connection *connection; /* NULL once it is closed */
    void *handle;                      /* of the backend; NULL where bytes are the payload */
    void *context;                     /* of a landing */
    uint8_t *bytes;                    /* a payload that came along */
    uint8_t header[NET_HEADER_BYTES_MAX];
};

struct net {
    const struct net_backend_ops *ops;
    struct net_backend *backend;
    struct net_options options; /* its pointers are not kept, events and data excepted */
    uint8_t secret[NET_SECRET_BYTES];
    uint8_t flare[NET_DIGEST_BYTES];
    struct peer *peers;        /* by node */
    struct covey_map sessions; /* session_in -> connection, of settling and up peers */
    struct covey_list strangers;
    uint32_t stranger_count;
    uint32_t connecting; /* peers that are neither idle, up nor down */
    struct covey_list spare_sends;
    struct covey_list spare_held;
    struct covey_list landings;
    struct net_counters counters;
    int64_t now_ns;
    bool closing;
};

static inline unsigned peer_node(const struct net *net, const struct peer *peer)
{
    return (unsigned)(peer - net->peers);
}

/* net.c: a peer is lost, for good. Closes its connection, completes its sends, tells the owner. */
void net_peer_lose(struct net *net, struct peer *peer, enum covey_status status,
                   const char *reason);
/* Moves a peer to another state, and counts. */
void net_peer_move(struct net *net, struct peer *peer, enum peer_state state);
/* Sends what waited for the connection. */
void net_peer_flush(struct net *net, struct peer *peer);
/* Sends one frame of net's own on a connection. */
enum covey_status net_frame_send(struct net_connection *connection, enum net_frame_kind kind,
                                 const void *header, size_t header_bytes) COVEY_MUST_USE;
/* Closes a connection, whoever's it is, and frees it. Its peer keeps its state. */
void net_connection_close(struct net_connection *connection);

/* handshake.c */
void net_on_accept(void *owner, struct net_link *link);
/* Begins an attempt to reach a peer that is idle. */
enum covey_status net_peer_connect(struct net *net, struct peer *peer) COVEY_MUST_USE;
/* Says that a stranger's connection will not be used, and leaves the closing to the other side. */
void net_reject(struct net_connection *connection, enum net_reject why);
/* A frame of the handshake. The connection may be closed by it. */
void net_handshake(struct net_connection *connection, const struct net_frame *frame);
/* Closes a connection that broke the rules; a peer of it is lost. */
void net_connection_fail(struct net_connection *connection, enum covey_status status,
                         const char *reason);
void net_on_settled(void *owner, struct net_link *link, const char *carrier);
void net_on_broken(void *owner, struct net_link *link, enum covey_status status,
                   const char *reason);

/* receive.c */
bool net_on_frame(void *owner, struct net_link *link, const uint8_t *bytes, size_t length_bytes,
                  const struct net_body *body);
/* Forgets a connection in what is held from it. */
void net_held_orphan(struct net *net, struct net_connection *connection);
/* Throws away all that is held, and frees what is spare. */
void net_held_clear(struct net *net);

#endif
