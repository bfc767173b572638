/* What a server is inside. */
#ifndef RPC_SERVER_H
#define RPC_SERVER_H

#include "base/list.h"
#include "base/map.h"
#include "rpc/rpc.h"
#include "rpc/tls.h"
#include "rpc/turn.h"

#include <stdbool.h>
#include <sys/stat.h>

struct rpc_health;
struct rpc_reflection;

/* A method that can be called, by its full name. */
struct rpc_route {
    const struct rpc_method *method;
    void *service_data;
};

struct rpc_listener {
    struct covey_list link;
    struct rpc_server *server;
    union {
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } handle;
    union {
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } refused;     /* takes a connection that is not wanted, to close it */
    bool refusing; /* refused is in use */
    bool waiting;  /* a connection has come meanwhile; libuv holds it, and the listener, for us */
    bool closed;
    bool is_unix;
    struct rpc_tls_context *tls;
    char *path; /* unix: to unlink, while it is still the file we made */
    dev_t device;
    ino_t inode;
};

struct rpc_server {
    struct rpc_turn turn;
    struct rpc_server_options options;
    struct covey_map routes; /* "/package.Service/Method" -> struct rpc_route */
    const struct rpc_service **services;
    size_t service_count;
    struct covey_list listeners;
    struct covey_list connections; /* by owner_link */
    size_t connection_count;
    struct rpc_health *health;
    struct rpc_reflection *reflection;
    uv_timer_t grace;
    bool stopping;
    void (*done)(void *data);
    void *done_data;
};

/* A socket has come in on a listener. */
void rpc_server_accept(struct rpc_listener *listener);

#endif
