/* Listening sockets of a server. */
#ifndef RPC_LISTENER_H
#define RPC_LISTENER_H

#include "rpc/server.h"

/* Closes; the listener frees itself from the loop. */
void rpc_listener_close(struct rpc_listener *listener);

#endif
