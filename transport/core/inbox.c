#include "transport/core/inbox.h"

#include "base/fault.h"
#include "transport/core/bell.h"

enum slot_state { SLOT_FREE, SLOT_OWNED, SLOT_READY };

static uint64_t pack_state(uint64_t lap, enum slot_state state, uint32_t owner)
{
    return lap << 18 | (uint64_t)state << 16 | owner;
}

static uint64_t lap_of(uint64_t word)
{
    return word >> 18;
}

static enum slot_state state_of(uint64_t word)
{
    return (enum slot_state)(word >> 16 & 3);
}

static uint32_t slot_count(const struct arena *arena, uint32_t endpoint)
{
    return endpoint == arena->shape.local_count ? LAYOUT_HOST_SLOTS : LAYOUT_WORKER_SLOTS;
}

void inbox_open(const struct arena *arena, uint32_t endpoint, struct inbox *inbox)
{
    inbox->shared = layout_inbox(arena, endpoint);
    inbox->slots = slot_count(arena, endpoint);
    inbox->head = 0;
}

/*
 * The first ready slot at or after head; *position is it. Moves head over what is done with.
 *
 * One look goes over two laps at most, counted from where head was: head moves with what the slots
 * say, so it is no bound. No honest ring needs more: beyond a lap there are only slots of the dead
 * that were freed unseen. What says that it is many laps ahead is stepped over like those.
 */
static struct layout_slot *find_ready(struct inbox *inbox, uint64_t *position)
{
    const uint64_t end = inbox->head + 2ull * inbox->slots;
    for (uint64_t at = inbox->head; at < end; at++) {
        struct layout_slot *slot = &inbox->shared->slots[at % inbox->slots];
        uint64_t word = atomic_load(&slot->state);
        uint64_t lap = at / inbox->slots;
        if (lap_of(word) > lap) { /* taken out of turn, or reaped */
            if (at == inbox->head)
                inbox->head++;
            continue;
        }
        if (lap_of(word) < lap || state_of(word) == SLOT_FREE)
            return NULL;
        if (state_of(word) == SLOT_READY) {
            *position = at;
            return slot;
        }
    }
    return NULL;
}

static void tell_space(const struct arena *arena, struct layout_inbox *shared)
{
    if (!atomic_load_explicit(&shared->space_wanted, memory_order_relaxed))
        return;
    atomic_store(&shared->space_wanted, 0);
    for (uint32_t endpoint = 0; endpoint <= arena->shape.local_count; endpoint++)
        bell_ring(arena, endpoint);
}

bool inbox_take(const struct arena *arena, struct inbox *inbox, struct descriptor *descriptor)
{
    uint64_t position;
    struct layout_slot *slot = find_ready(inbox, &position);
    if (!slot)
        return false;
    *descriptor = slot->descriptor;
    atomic_store_explicit(&slot->state, pack_state(position / inbox->slots + 1, SLOT_FREE, 0),
                          memory_order_release);
    if (position == inbox->head)
        inbox->head++;
    tell_space(arena, inbox->shared);
    return true;
}

bool inbox_ready(const struct inbox *inbox)
{
    struct inbox copy = *inbox;
    uint64_t position;
    return find_ready(&copy, &position) != NULL;
}

/* Claims a slot, or NULL when the ring is full. */
static struct layout_slot *claim(struct layout_inbox *shared, uint32_t slots, uint32_t from,
                                 uint64_t *lap)
{
    uint64_t at = atomic_load_explicit(&shared->tail, memory_order_relaxed);
    for (uint32_t tries = 0; tries < 4 * slots; tries++) {
        struct layout_slot *slot = &shared->slots[at % slots];
        uint64_t word = atomic_load_explicit(&slot->state, memory_order_acquire);
        *lap = at / slots;
        if (word == pack_state(*lap, SLOT_FREE, 0)) {
            uint64_t mine = pack_state(*lap, SLOT_OWNED, from);
            if (!atomic_compare_exchange_strong(&slot->state, &word, mine))
                continue;
            atomic_compare_exchange_strong(&shared->tail, &at, at + 1);
            return slot;
        }
        if (lap_of(word) < *lap)
            return NULL;
        /* Taken: whoever took it may be dead, so the hint is anybody's to move. */
        uint64_t next = at + 1;
        if (atomic_compare_exchange_strong(&shared->tail, &at, next) || at < next)
            at = next;
    }
    return NULL;
}

bool inbox_post(const struct arena *arena, uint32_t from, uint32_t to,
                const struct descriptor *descriptor)
{
    struct layout_inbox *shared = layout_inbox(arena, to);
    uint32_t slots = slot_count(arena, to);
    uint64_t lap;
    /* Before the claim, which is a release: inbox_reap looks nowhere else. */
    _Atomic uint32_t *note = &layout_endpoint(arena, from)->posting_to;
    if (atomic_load_explicit(note, memory_order_relaxed) != to + 1)
        atomic_store_explicit(note, to + 1, memory_order_relaxed);
    struct layout_slot *slot = claim(shared, slots, from, &lap);
    if (!slot) {
        atomic_store(&shared->space_wanted, 1);
        slot = claim(shared, slots, from, &lap);
        if (!slot)
            return false;
    }
    covey_fault(COVEY_FAULT_WORKER_CLAIM);
    slot->descriptor = *descriptor;
    atomic_store(&slot->state, pack_state(lap, SLOT_READY, from));
    covey_fault(COVEY_FAULT_WORKER_PUBLISH);
    bell_ring(arena, to);
    return true;
}

void inbox_reap(const struct arena *arena, uint32_t dead)
{
    uint32_t to = atomic_load(&layout_endpoint(arena, dead)->posting_to) - 1;
    if (to > arena->shape.local_count)
        return;
    struct layout_inbox *shared = layout_inbox(arena, to);
    uint32_t slots = slot_count(arena, to);
    for (uint32_t i = 0; i < slots; i++) {
        uint64_t word = atomic_load(&shared->slots[i].state);
        if (state_of(word) == SLOT_OWNED && (word & 0xffff) == dead)
            atomic_compare_exchange_strong(&shared->slots[i].state, &word,
                                           pack_state(lap_of(word) + 1, SLOT_FREE, 0));
    }
}
