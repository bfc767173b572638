#include "rpc/rate.h"

#include "base/clock.h"

void rpc_rate_init(struct rpc_rate *rate, int64_t burst, int64_t per_second, int64_t now_ns)
{
    *rate = (struct rpc_rate){burst, burst, per_second, now_ns};
}

bool rpc_rate_take(struct rpc_rate *rate, int64_t now_ns)
{
    int64_t step_ns = COVEY_NS_PER_S / rate->per_second;
    int64_t earned = (now_ns - rate->filled_ns) / step_ns;
    if (earned > 0) {
        int64_t room = rate->burst - rate->tokens;
        rate->tokens += earned < room ? earned : room;
        rate->filled_ns += earned * step_ns;
    }
    if (rate->tokens == 0)
        return false;
    rate->tokens--;
    return true;
}
