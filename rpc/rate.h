/* A token bucket. Plain data; the time is passed in. */
#ifndef RPC_RATE_H
#define RPC_RATE_H

#include <stdbool.h>
#include <stdint.h>

struct rpc_rate {
    int64_t tokens;
    int64_t burst;
    int64_t per_second;
    int64_t filled_ns;
};

void rpc_rate_init(struct rpc_rate *rate, int64_t burst, int64_t per_second, int64_t now_ns);

/* Takes one; false where none is left. */
bool rpc_rate_take(struct rpc_rate *rate, int64_t now_ns);

#endif
