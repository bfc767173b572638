#include "base/clock.h"

#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * COVEY_NS_PER_S + now.tv_nsec;
}

int64_t covey_now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t covey_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t covey_deadline_ns(int64_t start_ns, int64_t duration_ns)
{
    int64_t deadline_ns;
    if (duration_ns < 0 || __builtin_add_overflow(start_ns, duration_ns, &deadline_ns))
        return COVEY_NEVER_NS;
    return deadline_ns;
}
