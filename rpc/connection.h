/*
 * One HTTP/2 connection, either side: nghttp2 on a transport, with its timers, its limits and the
 * calls that run on it. Server and channel differ in the events they give it.
 */
#ifndef RPC_CONNECTION_H
#define RPC_CONNECTION_H

#include "base/buffer.h"
#include "base/list.h"
#include "rpc/account.h"
#include "rpc/rate.h"
#include "rpc/rpc.h"
#include "rpc/transport.h"
#include "rpc/turn.h"

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rpc_connection;

struct rpc_connection_events {
    /* The peer's first SETTINGS have come. */
    void (*on_ready)(struct rpc_connection *connection);
    /* Server: a request begins on a stream. NULL refuses it. */
    struct rpc_call *(*on_request)(struct rpc_connection *connection, int32_t stream_id);
    /* No new calls may start here: the peer said GOAWAY. */
    void (*on_goaway)(struct rpc_connection *connection);
    /* It is over; its calls have been told. Its socket may be there a little longer. */
    void (*on_lost)(struct rpc_connection *connection, const char *reason);
    /* After on_lost: the socket goes. The owner forgets it; references keep the memory. */
    void (*on_gone)(struct rpc_connection *connection);
};

struct rpc_connection {
    struct rpc_turn *turn;
    const struct rpc_connection_events *events;
    void *owner;
    const struct rpc_limits *limits;
    struct rpc_transport *transport;
    nghttp2_session *session;
    struct covey_list owner_link; /* in the owner's list of connections */
    struct covey_list due_link;
    struct covey_list calls; /* by connection_link */
    struct covey_buffer output;
    uv_timer_t timer; /* the handshake's end, then keepalive */
    struct rpc_peer peer;
    char *peer_address;
    char *peer_certificate; /* NULL: none */
    struct rpc_rate control_frames;
    struct rpc_purse strangers; /* of its calls that are of nobody known */
    struct rpc_account
        *account;          /* server: whose it is, referenced; NULL: nobody known has called */
    uint64_t number;       /* server: rises with each connection */
    int64_t idle_since_ns; /* no call has been open */
    int32_t newest_stream; /* server: the highest that has begun */
    size_t references;
    bool is_server;
    bool is_trusted; /* server: it does not give way */
    bool ready;
    bool draining;
    bool pinged;        /* a keepalive PING is out */
    bool heard;         /* bytes came since the timer last fired */
    bool shutting_down; /* server: the notice is out, the last GOAWAY is not */
    bool broken;        /* nghttp2 was out of memory: lost at the next flush */
    bool lost;
    bool parting; /* lost, and waits for the peer to end too */
};

/* Makes a connection around a transport still to be started. NULL: out of memory. */
struct rpc_connection *rpc_connection_create(struct rpc_turn *turn, bool is_server, bool is_unix,
                                             const struct rpc_limits *limits,
                                             const struct rpc_connection_events *events,
                                             void *owner);
void rpc_connection_ref(struct rpc_connection *connection);
void rpc_connection_unref(struct rpc_connection *connection);

/* Something is to be written. */
void rpc_connection_due(struct rpc_connection *connection);

/* Takes the result of a call of nghttp2 that can fail only by running out of memory: the connection
 * is then useless, and ends with the turn. */
void rpc_connection_check(struct rpc_connection *connection, int result);

/* Writes what nghttp2 has; from the turn only. */
void rpc_connection_flush(struct rpc_connection *connection);

/* Ends it: calls are told and on_lost comes now; on_gone when the peer has ended too, or at most
 * parting_timeout_ns later. */
void rpc_connection_lose(struct rpc_connection *connection, const char *reason);

/* As rpc_connection_lose, but on_gone comes now, for one that is lost already too: its place is
 * needed. */
void rpc_connection_drop(struct rpc_connection *connection, const char *reason);

/* Says GOAWAY; open calls go on, and the connection ends with the last of them. */
void rpc_connection_drain(struct rpc_connection *connection);

#endif
