/* What a channel is inside. */
#ifndef RPC_CHANNEL_H
#define RPC_CHANNEL_H

#include "base/list.h"
#include "rpc/address.h"
#include "rpc/rpc.h"
#include "rpc/tls.h"
#include "rpc/turn.h"

#include <stdbool.h>

enum rpc_channel_state {
    RPC_CHANNEL_IDLE,    /* not connected, nothing under way */
    RPC_CHANNEL_WAITING, /* for the back-off to pass */
    RPC_CHANNEL_RESOLVING,
    RPC_CHANNEL_CONNECTING, /* socket, TLS, the server's SETTINGS */
    RPC_CHANNEL_READY,
};

struct rpc_channel {
    struct rpc_turn turn;
    struct rpc_account *account; /* of all its calls */
    struct rpc_channel_options options;
    struct rpc_address address;
    char *authority;
    char *authorization; /* "Bearer TOKEN", or NULL */
    char *server_name;
    struct rpc_tls_context *tls;
    enum rpc_channel_state state;
    struct rpc_connection *current; /* CONNECTING or READY */
    struct covey_list connections;  /* current, and those that drain; by owner_link */
    struct covey_list waiting;      /* calls without a connection, by connection_link */
    uv_timer_t backoff;
    int64_t backoff_ns;    /* the next wait, before jitter */
    int64_t not_before_ns; /* no attempt before this */
    uv_getaddrinfo_t resolve;
    struct addrinfo *found; /* all addresses, and the next to try */
    struct addrinfo *next;
    char failure[256]; /* why the last attempt failed */
    bool destroyed;
    void (*done)(void *data);
    void *done_data;
};

/* A call wants a connection: starts one where there is none. */
void rpc_channel_need(struct rpc_channel *channel);

#endif
