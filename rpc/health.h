/* grpc.health.v1, built into every server. */
#ifndef RPC_HEALTH_H
#define RPC_HEALTH_H

#include "covey/status.h"

#include <stdbool.h>

struct rpc_health;
struct rpc_server;

/* Adds the service to the server; the server as a whole ("") is serving. */
enum covey_status rpc_health_create(struct rpc_server *server,
                                    struct rpc_health **health) COVEY_MUST_USE;
void rpc_health_destroy(struct rpc_health *health);

/* Sets what is answered, and tells the watchers. */
void rpc_health_set(struct rpc_health *health, const char *service, bool serving);

/* Ends the watches: the server stops. */
void rpc_health_shutdown(struct rpc_health *health);

#endif
