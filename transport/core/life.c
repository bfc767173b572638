/* Start, life and death of the ranks. */
#include "base/clock.h"
#include "base/text.h"
#include "transport/core/arena.h"
#include "transport/core/bell.h"
#include "transport/core/layout.h"

#include <string.h>

#define STATE_TRIES 8

enum { GATE_CLOSED, GATE_OPEN, GATE_SHUT };

static void move_gate(struct arena *arena, uint32_t to)
{
    _Atomic uint32_t *gate = &layout_header(arena)->gate;
    uint32_t closed = GATE_CLOSED;
    atomic_compare_exchange_strong(gate, &closed, to);
    bell_futex_wake(gate);
}

void arena_open_gate(struct arena *arena)
{
    move_gate(arena, GATE_OPEN);
}

void arena_shut_gate(struct arena *arena)
{
    move_gate(arena, GATE_SHUT);
}

enum covey_status arena_wait_gate(struct arena *arena, int64_t deadline_ns)
{
    _Atomic uint32_t *gate = &layout_header(arena)->gate;
    for (;;) {
        uint32_t now = atomic_load(gate);
        if (now != GATE_CLOSED)
            return now == GATE_OPEN ? COVEY_OK : COVEY_ECANCELLED;
        if (covey_now_ns() >= deadline_ns)
            return COVEY_ETIMEOUT;
        bell_futex_wait(gate, GATE_CLOSED, deadline_ns);
    }
}

void arena_mark_running(struct arena *arena, uint32_t rank)
{
    uint32_t starting = ARENA_STARTING;
    atomic_compare_exchange_strong(&layout_rank(arena, rank)->state, &starting, ARENA_RUNNING);
}

static bool has_ended(uint32_t state)
{
    return state == ARENA_DONE || state == ARENA_DIED;
}

/* The reason first, then the state: who sees the state can read the reason. */
static bool mark_ended(struct arena *arena, uint32_t rank, enum arena_rank_state state,
                       const char *reason)
{
    struct layout_rank *of = layout_rank(arena, rank);
    uint32_t now = atomic_load(&of->state);
    if (has_ended(now))
        return false;
    if (atomic_exchange(&of->claimed, 1) == 0) {
        atomic_store(&of->order, arena_epoch(arena));
        uint64_t words[ARENA_REASON_BYTES / 8] = {0};
        size_t length = (size_t)covey_text_fit(reason, ARENA_REASON_BYTES - 1);
        memcpy(words, reason, length);
        for (size_t i = 0; i < ARENA_REASON_BYTES / 8; i++)
            atomic_store_explicit(&of->reason[i], words[i], memory_order_relaxed);
    }
    /* Whoever claimed it may have been killed before it got here: the state is set all the same.
     * It moves twice at most before it ends; more often only where somebody scribbles in it. */
    for (int tries = 0; !atomic_compare_exchange_strong(&of->state, &now, (uint32_t)state);) {
        if (has_ended(now))
            return false;
        if (++tries < STATE_TRIES)
            continue;
        atomic_store(&of->state, (uint32_t)state);
        break;
    }
    atomic_fetch_add(&layout_header(arena)->epoch, 1);
    return true;
}

void arena_mark_ended(struct arena *arena, uint32_t rank, enum arena_rank_state state,
                      const char *reason)
{
    if (mark_ended(arena, rank, state, reason))
        arena_wake_all(arena);
}

void arena_mark_all_ended(struct arena *arena, const struct arena_end *ends, size_t count)
{
    bool news = false;
    for (size_t i = 0; i < count; i++)
        news |= mark_ended(arena, ends[i].rank, ends[i].state, ends[i].reason);
    if (news)
        arena_wake_all(arena);
}

void arena_mark_node_died(struct arena *arena, uint32_t node, const char *reason)
{
    bool news = false;
    for (uint32_t rank = 0; rank < arena->shape.worker_count; rank++) {
        if (arena_node_of(arena, rank) == node)
            news |= mark_ended(arena, rank, ARENA_DIED, reason);
    }
    if (news)
        arena_wake_all(arena);
}

enum arena_rank_state arena_rank_state(const struct arena *arena, uint32_t rank)
{
    uint32_t state = atomic_load(&layout_rank(arena, rank)->state);
    return state <= ARENA_DIED ? (enum arena_rank_state)state : ARENA_DIED;
}

uint32_t arena_rank_order(const struct arena *arena, uint32_t rank)
{
    return atomic_load(&layout_rank(arena, rank)->order);
}

void arena_rank_reason(const struct arena *arena, uint32_t rank, char reason[ARENA_REASON_BYTES])
{
    struct layout_rank *of = layout_rank(arena, rank);
    uint64_t words[ARENA_REASON_BYTES / 8];
    for (size_t i = 0; i < ARENA_REASON_BYTES / 8; i++)
        words[i] = atomic_load_explicit(&of->reason[i], memory_order_relaxed);
    if (!has_ended(atomic_load(&of->state)))
        words[0] = 0;
    memcpy(reason, words, ARENA_REASON_BYTES);
    reason[ARENA_REASON_BYTES - 1] = '\0';
    (void)covey_text_mend(reason, strlen(reason));
    covey_text_tame(reason);
}

uint32_t arena_epoch(const struct arena *arena)
{
    return atomic_load(&layout_header(arena)->epoch);
}

void arena_wake_all(struct arena *arena)
{
    for (uint32_t endpoint = 0; endpoint <= arena->shape.local_count; endpoint++)
        bell_force(arena, endpoint);
}
