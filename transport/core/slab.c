#include "transport/core/slab.h"

/*
 * The owner word counts its claims in the upper half, so that a compare-and-swap by somebody who
 * looked long ago fails. kind is 0 whenever a slab is free: it is reset before, and set after.
 */
static uint64_t with_state(uint64_t word, uint32_t state)
{
    return (word & ~UINT64_C(0xffffffff)) | state;
}

static uint32_t state_of(uint64_t word)
{
    return (uint32_t)word;
}

static bool is_owned(uint32_t state)
{
    return state >= LAYOUT_SLAB_OWNED && state < LAYOUT_SLAB_FREEING;
}

/* For whoever has it exclusively: its owner, or who moved it to FREEING. */
static void make_free(const struct arena *arena, uint32_t slab)
{
    struct layout_slab *of = layout_slab(arena, slab);
    atomic_store(&of->kind, 0);
    atomic_store(&of->extent, 0);
    atomic_store(&of->owner, with_state(atomic_load(&of->owner), LAYOUT_SLAB_FREE));
}

/* Makes the endpoint the only one that may free the slab. */
static bool take_to_free(struct layout_slab *slab, uint64_t word, uint32_t endpoint)
{
    uint64_t mine = with_state(word, LAYOUT_SLAB_FREEING + endpoint);
    return atomic_compare_exchange_strong(&slab->owner, &word, mine);
}

static bool claim_one(const struct arena *arena, uint32_t endpoint, uint32_t slab)
{
    struct layout_slab *of = layout_slab(arena, slab);
    uint64_t word = atomic_load(&of->owner);
    if (state_of(word) != LAYOUT_SLAB_FREE)
        return false;
    uint64_t mine = with_state(word + (UINT64_C(1) << 32), LAYOUT_SLAB_OWNED + endpoint);
    return atomic_compare_exchange_strong(&of->owner, &word, mine);
}

bool slab_claim(const struct arena *arena, uint32_t endpoint, uint32_t count, uint32_t *slab)
{
    uint32_t run = 0;
    for (uint32_t i = 0; i < arena->shape.slab_count; i++) {
        if (claim_one(arena, endpoint, i)) {
            if (++run == count) {
                *slab = i + 1 - count;
                return true;
            }
            continue;
        }
        for (; run > 0; run--)
            make_free(arena, i - run);
    }
    for (; run > 0; run--)
        make_free(arena, arena->shape.slab_count - run);
    return false;
}

static bool set_bit(const struct arena *arena, uint32_t endpoint, uint32_t slab, uint32_t block)
{
    uint64_t bit = UINT64_C(1) << endpoint % 64;
    return !(atomic_fetch_or(&layout_holders(arena, slab, block)[endpoint / 64], bit) & bit);
}

/* kind of the first comes last: who sees it sees a whole extent, with its holder. */
void slab_make_extent(const struct arena *arena, uint32_t endpoint, uint32_t slab, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        atomic_store(&layout_slab(arena, slab + i)->extent, slab);
        atomic_store(&layout_slab(arena, slab + i)->kind, LAYOUT_KIND_REST);
    }
    set_bit(arena, endpoint, slab, 0);
    atomic_store(&layout_slab(arena, slab)->extent, count);
    atomic_store(&layout_slab(arena, slab)->kind, LAYOUT_KIND_FIRST);
}

void slab_give_back(const struct arena *arena, uint32_t endpoint, uint32_t slab)
{
    if (slab_owner(arena, slab) == endpoint)
        make_free(arena, slab);
}

uint32_t slab_owner(const struct arena *arena, uint32_t slab)
{
    uint32_t state = state_of(atomic_load(&layout_slab(arena, slab)->owner));
    return is_owned(state) ? state - LAYOUT_SLAB_OWNED : UINT32_MAX;
}

static uint32_t block_count(uint32_t kind)
{
    if (kind == LAYOUT_KIND_FIRST || kind == LAYOUT_KIND_REST)
        return 1;
    return kind >= 1 && kind <= LAYOUT_CLASSES ? LAYOUT_SLAB_BLOCKS >> (kind - 1) : 0;
}

struct slab_place slab_place(const struct arena *arena, uint32_t slab, uint32_t block)
{
    struct layout_slab *of = layout_slab(arena, slab);
    uint32_t kind = atomic_load(&of->kind);
    struct slab_place place = {0};
    if (block >= block_count(kind))
        return place;
    if (kind == LAYOUT_KIND_REST) {
        place.size_bytes = ARENA_SLAB_BYTES;
    } else if (kind == LAYOUT_KIND_FIRST) {
        uint32_t count = atomic_load(&of->extent);
        if (count <= arena->shape.slab_count - slab)
            place.size_bytes = (uint64_t)count * ARENA_SLAB_BYTES;
    } else {
        place.size_bytes = (uint64_t)LAYOUT_LEAST_BLOCK << (kind - 1);
        place.offset_bytes = block * place.size_bytes;
    }
    return place;
}

/* Blocks beyond were never held. Of a slab of no kind yet, the first may be: it was to become an
 * extent. */
static uint32_t used_blocks(const struct arena *arena, uint32_t slab)
{
    struct layout_slab *of = layout_slab(arena, slab);
    uint32_t kind = atomic_load(&of->kind);
    if (kind == 0)
        return 1;
    uint32_t count = block_count(kind);
    uint32_t used = atomic_load(&of->extent);
    return kind <= LAYOUT_CLASSES && used < count ? used : count;
}

bool slab_block_free(const struct arena *arena, uint32_t slab, uint32_t block)
{
    _Atomic uint64_t *holders = layout_holders(arena, slab, block);
    for (uint32_t i = 0; i < arena->layout.holder_words; i++) {
        if (atomic_load(&holders[i]))
            return false;
    }
    return true;
}

bool slab_empty(const struct arena *arena, uint32_t slab)
{
    uint32_t blocks = used_blocks(arena, slab);
    for (uint32_t i = 0; i < blocks; i++) {
        if (!slab_block_free(arena, slab, i))
            return false;
    }
    return true;
}

void slab_hold_own(const struct arena *arena, uint32_t endpoint, uint32_t slab, uint32_t block)
{
    struct layout_slab *of = layout_slab(arena, slab);
    if (block >= atomic_load_explicit(&of->extent, memory_order_relaxed))
        atomic_store(&of->extent, block + 1);
    set_bit(arena, endpoint, slab, block);
}

bool slab_hold(const struct arena *arena, uint32_t endpoint, uint32_t slab, uint32_t block)
{
    _Atomic uint64_t *touched = &layout_touched(arena, endpoint)[slab / 64];
    uint64_t bit = UINT64_C(1) << slab % 64;
    if (!(atomic_load_explicit(touched, memory_order_relaxed) & bit))
        atomic_fetch_or(touched, bit);
    return set_bit(arena, endpoint, slab, block);
}

bool slab_holds(const struct arena *arena, uint32_t endpoint, uint32_t slab, uint32_t block)
{
    uint64_t bit = UINT64_C(1) << endpoint % 64;
    return atomic_load(&layout_holders(arena, slab, block)[endpoint / 64]) & bit;
}

bool slab_alone(const struct arena *arena, uint32_t endpoint, uint32_t slab, uint32_t block)
{
    _Atomic uint64_t *holders = layout_holders(arena, slab, block);
    for (uint32_t i = 0; i < arena->layout.holder_words; i++) {
        uint64_t own = i == endpoint / 64 ? UINT64_C(1) << endpoint % 64 : 0;
        if (atomic_load(&holders[i]) & ~own)
            return false;
    }
    return true;
}

/* The slabs behind `first`, then itself: whoever finishes after a death finds the first still
 * FREEING. */
static void free_extent(const struct arena *arena, uint32_t endpoint, uint32_t first)
{
    uint32_t count = atomic_load(&layout_slab(arena, first)->extent);
    for (uint32_t i = first + 1; i < arena->shape.slab_count && i - first < count; i++) {
        struct layout_slab *rest = layout_slab(arena, i);
        uint64_t word = atomic_load(&rest->owner);
        if (is_owned(state_of(word)) && atomic_load(&rest->kind) == LAYOUT_KIND_REST &&
            atomic_load(&rest->extent) == first && take_to_free(rest, word, endpoint))
            make_free(arena, i);
    }
    make_free(arena, first);
}

/* Frees the extent at `first` when nobody holds any part of it. Safe to try on any slab. */
static void try_free_extent(const struct arena *arena, uint32_t endpoint, uint32_t first)
{
    struct layout_slab *of = layout_slab(arena, first);
    uint64_t word = atomic_load(&of->owner);
    if (!is_owned(state_of(word)) || atomic_load(&of->kind) != LAYOUT_KIND_FIRST)
        return;
    uint32_t count = atomic_load(&of->extent);
    if (count > arena->shape.slab_count - first)
        return;
    for (uint32_t i = 0; i < count; i++) {
        if (!slab_block_free(arena, first + i, 0))
            return;
    }
    if (take_to_free(of, word, endpoint))
        free_extent(arena, endpoint, first);
}

static void try_free_orphan(const struct arena *arena, uint32_t endpoint, uint32_t slab)
{
    struct layout_slab *of = layout_slab(arena, slab);
    uint64_t word = atomic_load(&of->owner);
    if (state_of(word) != LAYOUT_SLAB_ORPHAN || !slab_empty(arena, slab))
        return;
    if (take_to_free(of, word, endpoint))
        make_free(arena, slab);
}

static void try_free(const struct arena *arena, uint32_t endpoint, uint32_t slab)
{
    uint32_t kind = atomic_load(&layout_slab(arena, slab)->kind);
    uint32_t first = slab;
    if (kind == LAYOUT_KIND_REST)
        first = atomic_load(&layout_slab(arena, slab)->extent);
    if (kind != LAYOUT_KIND_REST && kind != LAYOUT_KIND_FIRST)
        try_free_orphan(arena, endpoint, slab);
    else if (first < arena->shape.slab_count)
        try_free_extent(arena, endpoint, first);
}

static bool clear_bit(const struct arena *arena, uint32_t endpoint, uint32_t slab, uint32_t block)
{
    uint64_t bit = UINT64_C(1) << endpoint % 64;
    return atomic_fetch_and(&layout_holders(arena, slab, block)[endpoint / 64], ~bit) & bit;
}

void slab_release(const struct arena *arena, uint32_t endpoint, uint32_t slab, uint32_t block)
{
    if (!clear_bit(arena, endpoint, slab, block))
        return;
    uint32_t kind = atomic_load(&layout_slab(arena, slab)->kind);
    uint32_t state = state_of(atomic_load(&layout_slab(arena, slab)->owner));
    if (kind > LAYOUT_CLASSES || state == LAYOUT_SLAB_ORPHAN)
        try_free(arena, endpoint, slab);
}

/* ---- after deaths ---- */

static bool is_dead(const uint64_t *dead, uint32_t endpoint)
{
    return endpoint <= ARENA_MAX_LOCAL && dead[endpoint / 64] >> endpoint % 64 & 1;
}

/* Whose claim on a slab is void: a dead owner, or one that was freeing it, as was whoever reaped
 * here before and was killed at that. */
static bool is_abandoned(const uint64_t *dead, uint32_t reaper, uint32_t state)
{
    if (is_owned(state))
        return is_dead(dead, state - LAYOUT_SLAB_OWNED);
    return state == LAYOUT_SLAB_FREEING + reaper ||
           (state >= LAYOUT_SLAB_FREEING && state < LAYOUT_SLAB_ORPHAN &&
            is_dead(dead, state - LAYOUT_SLAB_FREEING));
}

static void clear_dead_bits(const struct arena *arena, uint32_t slab, const uint64_t *dead)
{
    uint32_t blocks = used_blocks(arena, slab);
    for (uint32_t block = 0; block < blocks; block++) {
        _Atomic uint64_t *holders = layout_holders(arena, slab, block);
        for (uint32_t i = 0; i < arena->layout.holder_words; i++) {
            if (dead[i] && (atomic_load(&holders[i]) & dead[i]))
                atomic_fetch_and(&holders[i], ~dead[i]);
        }
    }
}

/* Clears the bits in what the dead owned, and in what they had touched of others. */
static void clear_all_dead_bits(const struct arena *arena, const uint64_t *dead, uint32_t reaper)
{
    for (uint32_t word = 0; word < arena->layout.touched_words; word++) {
        uint64_t touched = 0;
        for (uint32_t i = 0; i < arena->layout.holder_words; i++) {
            for (uint64_t left = dead[i]; left; left &= left - 1) {
                uint32_t endpoint = i * 64 + (uint32_t)__builtin_ctzll(left);
                touched |= atomic_load(&layout_touched(arena, endpoint)[word]);
            }
        }
        for (uint32_t k = 0; k < 64 && word * 64 + k < arena->shape.slab_count; k++) {
            uint32_t slab = word * 64 + k;
            uint32_t state = state_of(atomic_load(&layout_slab(arena, slab)->owner));
            if (state != LAYOUT_SLAB_FREE &&
                (touched >> k & 1 || is_abandoned(dead, reaper, state)))
                clear_dead_bits(arena, slab, dead);
        }
    }
}

/*
 * The dead had made somebody a holder who was dead already, and had not got to see that. Where the
 * other one is reaped only after this look, its own reap finds the bit.
 */
static void undo_grants_to_dead(const struct arena *arena, const uint64_t *dead)
{
    for (uint32_t from = 0; from < arena->shape.local_count; from++) {
        if (!is_dead(dead, from))
            continue;
        struct layout_endpoint *of = layout_endpoint(arena, from);
        uint32_t to = atomic_load(&of->intent_to) - 1;
        uint64_t word = atomic_load(&of->intent_block);
        uint32_t slab = (uint32_t)(word >> 32);
        uint32_t block = (uint32_t)word;
        if (to < arena->shape.local_count && atomic_load(&layout_endpoint(arena, to)->reaped) &&
            slab < arena->shape.slab_count && slab_place(arena, slab, block).size_bytes > 0)
            clear_bit(arena, to, slab, block);
    }
}

/* An endpoint's claim that it had not come to use, or the rest of an extent that it had not made.
 */
static bool is_stray(const struct arena *arena, uint32_t slab)
{
    struct layout_slab *of = layout_slab(arena, slab);
    uint32_t kind = atomic_load(&of->kind);
    if (kind == 0)
        return true;
    if (kind != LAYOUT_KIND_REST)
        return false;
    uint32_t first = atomic_load(&of->extent);
    return first >= slab || atomic_load(&layout_slab(arena, first)->kind) != LAYOUT_KIND_FIRST ||
           slab - first >= atomic_load(&layout_slab(arena, first)->extent);
}

/* What was being freed is freed; what was owned is freed, or orphaned while others hold it. */
static void settle_abandoned(const struct arena *arena, uint32_t reaper, uint32_t slab,
                             uint64_t word)
{
    struct layout_slab *of = layout_slab(arena, slab);
    bool stray = !is_owned(state_of(word)) || is_stray(arena, slab);
    if (!stray && atomic_load(&of->kind) > LAYOUT_CLASSES)
        return; /* an extent goes with its last holder */
    uint32_t to = stray ? LAYOUT_SLAB_FREEING + reaper : LAYOUT_SLAB_ORPHAN;
    if (!atomic_compare_exchange_strong(&of->owner, &word, with_state(word, to)) || !stray)
        return;
    if (atomic_load(&of->kind) == LAYOUT_KIND_FIRST)
        free_extent(arena, reaper, slab);
    else
        make_free(arena, slab);
}

/*
 * Also looks at what nobody holds and the living own: its last holder may have been one of the
 * dead, or may have died between letting go and freeing it.
 */
void slab_reap(const struct arena *arena, const uint64_t *dead, uint32_t reaper)
{
    undo_grants_to_dead(arena, dead);
    clear_all_dead_bits(arena, dead, reaper);
    for (uint32_t slab = 0; slab < arena->shape.slab_count; slab++) {
        uint64_t word = atomic_load(&layout_slab(arena, slab)->owner);
        if (state_of(word) == LAYOUT_SLAB_FREE)
            continue;
        if (is_abandoned(dead, reaper, state_of(word)))
            settle_abandoned(arena, reaper, slab, word);
        if (atomic_load(&layout_slab(arena, slab)->kind) != LAYOUT_KIND_REST)
            try_free(arena, reaper, slab);
    }
}
