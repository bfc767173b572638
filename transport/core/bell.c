#include "transport/core/bell.h"

#include "base/clock.h"

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* However a wake-up is lost, nobody sleeps longer than this without looking again. */
#define LONGEST_SLEEP_NS (50 * COVEY_NS_PER_MS)

void bell_futex_wait(_Atomic uint32_t *word, uint32_t value, int64_t deadline_ns)
{
    int64_t now = covey_now_ns();
    int64_t wait_ns = deadline_ns - now;
    if (deadline_ns <= now)
        return;
    if (wait_ns > LONGEST_SLEEP_NS)
        wait_ns = LONGEST_SLEEP_NS;
    struct timespec timeout = {.tv_sec = 0, .tv_nsec = wait_ns};
    syscall(SYS_futex, word, FUTEX_WAIT, value, &timeout, NULL, 0);
}

void bell_futex_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

static void wake(const struct arena *arena, uint32_t endpoint)
{
    struct layout_endpoint *of = layout_endpoint(arena, endpoint);
    atomic_fetch_add(&of->bell, 1);
    if (endpoint != arena->shape.local_count) {
        bell_futex_wake(&of->bell);
    } else if (arena->host_event_fd >= 0) {
        uint64_t one = 1;
        /* Can only fail where the counter is full, and then the host is awake anyway. */
        ssize_t put = write(arena->host_event_fd, &one, sizeof(one));
        (void)put;
    }
}

void bell_ring(const struct arena *arena, uint32_t endpoint)
{
    struct layout_endpoint *of = layout_endpoint(arena, endpoint);
    if (atomic_load(&of->sleeping) && atomic_exchange(&of->sleeping, 0))
        wake(arena, endpoint);
}

void bell_force(const struct arena *arena, uint32_t endpoint)
{
    atomic_store(&layout_endpoint(arena, endpoint)->sleeping, 0);
    wake(arena, endpoint);
}

uint32_t bell_prepare(const struct arena *arena, uint32_t endpoint)
{
    struct layout_endpoint *of = layout_endpoint(arena, endpoint);
    uint32_t seen = atomic_load(&of->bell);
    atomic_store(&of->sleeping, 1);
    return seen;
}

void bell_sleep(const struct arena *arena, uint32_t endpoint, uint32_t seen, int64_t deadline_ns)
{
    struct layout_endpoint *of = layout_endpoint(arena, endpoint);
    bell_futex_wait(&of->bell, seen, deadline_ns);
    bell_cancel(arena, endpoint);
}

void bell_cancel(const struct arena *arena, uint32_t endpoint)
{
    atomic_store(&layout_endpoint(arena, endpoint)->sleeping, 0);
}
