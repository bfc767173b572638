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
    struct covey_list connections; /* by owner_link, the oldest first */
    struct covey_list parting; /* by owner_link: lost, their sockets still there; oldest first */
    size_t connection_count;   /* of both */
    uint64_t last_number;      /* of a connection */
    struct covey_map accounts; /* of struct rpc_account, by name */
    struct rpc_account *strangers; /* calls of nobody known have one place in the round */
    struct rpc_health *health;
    struct rpc_reflection *reflection;
    uv_timer_t grace;
    bool stopping;
    void (*done)(void *data);
    void *done_data;
};

/* A socket has come in on a listener. */
void rpc_server_accept(struct rpc_listener *listener);

/* ---- admission.c: who may come in, and have another call ---- */

struct rpc_call;
struct rpc_connection;

/* True where another connection may be accepted; what it is, is found out then. */
bool rpc_server_has_room(const struct rpc_server *server);

/* Finds a place for a connection that was accepted and is in the list, at another's cost where that
 * has less of a right to it; false where none has. */
bool rpc_server_make_room(struct rpc_server *server, struct rpc_connection *connection);

/* Puts a call on the account of an identity; false, and the call is finished, where that one holds
 * as much as it may. */
bool rpc_server_admit(struct rpc_call *call, const struct rpc_identity *identity);

#endif
