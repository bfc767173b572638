#include "base/clock.h"
#include "transport/core/bell.h"
#include "transport/core/comm.h"
#include "transport/core/engine.h"
#include "transport/core/transfer.h"

#include <sched.h>

#define SPIN_ROUNDS     32u
#define SPIN_LOOKS      64u /* in a round */
#define STALL_NAP_NS    (1 * COVEY_NS_PER_MS)

#define LONGEST_WORD_NS (100 * COVEY_NS_PER_MS)

/*
 * A futex wake costs 26 to 31 us where the core has halted; a yield to a peer that has the answer
 * costs one switch, and the peers that share the core come first. So: spin where there are cores to
 * spare, then yield for the price of a few wakes and of a round of all peers, then sleep.
 */
#define YIELD_NS        (200 * COVEY_NS_PER_US)
#define YIELD_A_PEER_NS (40 * COVEY_NS_PER_US)

int64_t engine_yield_ns(uint32_t workers, uint32_t cpus)
{
    return YIELD_NS + YIELD_A_PEER_NS * workers / (cpus ? cpus : 1);
}

void engine_wait_start(struct engine_wait *wait, struct engine *engine, int64_t timeout_ns)
{
    *wait = (struct engine_wait){.engine = engine, .timeout_ns = timeout_ns};
}

void engine_wait_limit(struct engine_wait *wait, int64_t timeout_ns)
{
    wait->timeout_ns = timeout_ns;
    if (wait->start_ns != 0)
        wait->deadline_ns = covey_deadline_ns(wait->start_ns, timeout_ns);
}

void engine_wait_word(struct engine_wait *wait, struct engine *engine, int64_t timeout_ns)
{
    int64_t patience_ns = timeout_ns / 10;
    engine_wait_start(wait, engine, patience_ns < LONGEST_WORD_NS ? patience_ns : LONGEST_WORD_NS);
}

static void pause_cpu(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* True where something happened since the engine last looked. */
static bool has_news(const struct engine *engine)
{
    return boxes_ready(engine->arena, &engine->boxes) || inbox_ready(&engine->inbox) ||
           arena_epoch(engine->arena) != engine->epoch_looked ||
           atomic_load(&layout_header(engine->arena)->reaps) != engine->memory.reaps_seen;
}

static void sleep_a_while(struct engine_wait *wait, int64_t now_ns)
{
    struct engine *engine = wait->engine;
    bool stalled = engine->stalled || engine->pending_count > 0;
    memory_want(&engine->memory, stalled);
    uint32_t seen = bell_prepare(engine->arena, engine->endpoint);
    if (has_news(engine)) {
        bell_cancel(engine->arena, engine->endpoint);
    } else {
        int64_t until = wait->deadline_ns;
        if (stalled && until > now_ns + STALL_NAP_NS)
            until = now_ns + STALL_NAP_NS;
        bell_sleep(engine->arena, engine->endpoint, seen, until);
    }
    if (stalled)
        memory_want(&engine->memory, false);
}

static void spin(const struct engine *engine)
{
    for (uint32_t looks = 0; looks < SPIN_LOOKS && !has_news(engine); looks++)
        pause_cpu();
}

/* One of: spin, yield, sleep. ETIMEOUT once the time is over. */
static enum covey_status pass_time(struct engine_wait *wait)
{
    const struct engine *engine = wait->engine;
    if (engine->may_spin && wait->rounds < SPIN_ROUNDS && wait->timeout_ns != 0) {
        spin(engine);
        return COVEY_OK;
    }
    int64_t now_ns = covey_now_ns();
    if (wait->start_ns == 0) {
        wait->start_ns = now_ns;
        wait->deadline_ns = covey_deadline_ns(now_ns, wait->timeout_ns);
        wait->asleep_after_ns = now_ns + engine->yield_ns;
    }
    if (now_ns >= wait->deadline_ns)
        return COVEY_ETIMEOUT;
    if (now_ns < wait->asleep_after_ns)
        sched_yield();
    else
        sleep_a_while(wait, now_ns);
    return COVEY_OK;
}

/* Progress comes last, so that the caller looks at what it has brought before any time passes. */
enum covey_status engine_wait_more(struct engine_wait *wait)
{
    struct engine *engine = wait->engine;
    enum covey_status status = wait->rounds++ > 0 ? pass_time(wait) : COVEY_OK;
    engine_progress(engine);
    if (!status && engine->no_memory)
        status = engine_fail(engine, COVEY_ENOMEM, "out of memory");
    engine->no_memory = false;
    return status;
}

enum covey_status engine_wait_request(struct request *request, struct engine_wait *wait)
{
    struct comm *comm = request->channel->comm;
    struct engine *engine = comm->engine;
    while (!request->done) {
        enum covey_status status = engine_wait_more(wait);
        if (!request->done && status)
            return status;
        if (request->done || request->channel != &comm->collective)
            continue;
        if (comm->broken)
            return comm_broken(comm);
        if (comm_first_death(comm) != UINT32_MAX)
            return engine_check_rank(engine, comm->ranks[comm->first_death]);
    }
    return request->status;
}
