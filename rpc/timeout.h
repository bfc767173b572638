/* The grpc-timeout header. */
#ifndef RPC_TIMEOUT_H
#define RPC_TIMEOUT_H

#include <stdbool.h>
#include <stdint.h>

#define RPC_TIMEOUT_BYTES 24

/* At most eight digits and a unit, in the finest unit that holds it, rounded up. */
void rpc_timeout_format(int64_t timeout_ns, char text[RPC_TIMEOUT_BYTES]);

/* False where text is none. A value beyond 63 bits of nanoseconds is INT64_MAX. */
bool rpc_timeout_parse(const char *text, int64_t *timeout_ns);

#endif
