/* Listening sockets of a server. */
#ifndef RPC_LISTENER_H
#define RPC_LISTENER_H

#include "rpc/server.h"

/* Takes the connection that has come and closes it. Needs no memory: what is neither taken nor
 * refused would stop the listener for ever. */
void rpc_listener_refuse(struct rpc_listener *listener);

/* Closes; the listener frees itself from the loop. */
void rpc_listener_close(struct rpc_listener *listener);

#endif
