/* grpc.reflection.v1 and v1alpha, from the server's descriptor set and our own. */
#ifndef RPC_REFLECTION_H
#define RPC_REFLECTION_H

#include "covey/status.h"

struct rpc_reflection;
struct rpc_server;

/* Adds both services to the server. EINVAL: the server's descriptor set is malformed. */
enum covey_status rpc_reflection_create(struct rpc_server *server,
                                        struct rpc_reflection **reflection,
                                        struct covey_error *error) COVEY_MUST_USE;
void rpc_reflection_destroy(struct rpc_reflection *reflection);

#endif
