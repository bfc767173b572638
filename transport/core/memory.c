#include "transport/core/memory.h"

#include "base/fault.h"
#include "base/memory.h"
#include "transport/core/bell.h"
#include "transport/core/slab.h"

#include <stdlib.h>

#define NO_SLAB UINT32_MAX

static void set_known(struct memory *memory, const struct descriptor_block *block);
static void clear_suspect(struct memory *memory, const struct descriptor_block *block);

static void free_lists(struct memory *memory)
{
    free(memory->next);
    free(memory->known);
    free(memory->suspects);
    memory->next = NULL;
    memory->known = NULL;
    memory->suspects = NULL;
}

enum covey_status memory_open(struct arena *arena, uint32_t endpoint, struct memory *memory)
{
    *memory = (struct memory){.arena = arena, .endpoint = endpoint};
    memory->pressure_seen = atomic_load(&layout_header(arena)->pressure);
    memory->next = covey_calloc(arena->shape.slab_count, sizeof(uint32_t));
    memory->known = covey_calloc(arena->shape.slab_count, LAYOUT_SLAB_BLOCKS / 8);
    memory->suspect_room = arena->shape.local_count;
    memory->suspects = covey_calloc(memory->suspect_room + 1ull, sizeof(*memory->suspects));
    if (!memory->next || !memory->known || !memory->suspects) {
        free_lists(memory);
        return COVEY_ENOMEM;
    }
    for (uint32_t i = 0; i <= LAYOUT_CLASSES; i++)
        memory->first[i] = NO_SLAB;
    uint32_t local = arena->shape.local_count;
    uint32_t reserve = endpoint == local ? layout_host_reserve(local) : 1;
    for (uint32_t i = 0; i < reserve; i++) {
        memory->next[endpoint + i] = memory->first[LAYOUT_CLASSES];
        memory->first[LAYOUT_CLASSES] = endpoint + i;
    }
    return COVEY_OK;
}

static uint32_t class_of(uint64_t length_bytes)
{
    uint32_t class = 0;
    while (class < LAYOUT_CLASSES && (uint64_t)LAYOUT_LEAST_BLOCK << class < length_bytes)
        class ++;
    return class;
}

/* First fit, so that the same few blocks are used again while they are in the cache. */
static bool allocate_in(struct memory *memory, uint32_t list, uint32_t class,
                        struct descriptor_block *block)
{
    uint32_t blocks = LAYOUT_SLAB_BLOCKS >> class;
    for (uint32_t slab = memory->first[list]; slab != NO_SLAB; slab = memory->next[slab]) {
        for (uint32_t i = 0; i < blocks; i++) {
            if (slab_block_free(memory->arena, slab, i)) {
                slab_hold_own(memory->arena, memory->endpoint, slab, i);
                block->slab = slab;
                block->block = i;
                return true;
            }
        }
    }
    return false;
}

/* What is nobody's reserve; it lies in a row. */
static uint32_t common_slabs(const struct arena *arena)
{
    uint32_t local = arena->shape.local_count;
    return arena->shape.slab_count - local - layout_host_reserve(local);
}

uint64_t memory_most_bytes(const struct memory *memory)
{
    return (uint64_t)common_slabs(memory->arena) * ARENA_SLAB_BYTES;
}

/* What one endpoint may fill unasked: half of an even share of what is common. */
static uint32_t share(const struct arena *arena)
{
    uint32_t part = common_slabs(arena) / (2 * (arena->shape.local_count + 1));
    return part ? part : 1;
}

static bool claim_slab(struct memory *memory, uint32_t class, enum memory_use use)
{
    struct arena *arena = memory->arena;
    if (use == MEMORY_UNASKED && memory->common_slabs >= share(arena))
        return false;
    uint32_t slab;
    if (!slab_claim(arena, memory->endpoint, 1, &slab))
        return false;
    if (covey_fault(COVEY_FAULT_WORKER_ALLOCATE)) {
        slab_give_back(arena, memory->endpoint, slab);
        return false;
    }
    atomic_store(&layout_slab(arena, slab)->kind, 1 + class);
    memory->next[slab] = memory->first[class];
    memory->first[class] = slab;
    memory->common_slabs++;
    return true;
}

static bool allocate_extent(struct memory *memory, uint64_t length_bytes,
                            struct descriptor_block *block)
{
    uint64_t slabs = (length_bytes + ARENA_SLAB_BYTES - 1) / ARENA_SLAB_BYTES;
    if (slabs > memory->arena->shape.slab_count)
        return false;
    uint32_t slab;
    if (!slab_claim(memory->arena, memory->endpoint, (uint32_t)slabs, &slab))
        return false;
    covey_fault(COVEY_FAULT_WORKER_ALLOCATE);
    slab_make_extent(memory->arena, memory->endpoint, slab, (uint32_t)slabs);
    block->slab = slab;
    block->block = 0;
    return true;
}

static bool allocate(struct memory *memory, uint64_t length_bytes, enum memory_use use,
                     struct descriptor_block *block)
{
    uint32_t class = class_of(length_bytes);
    block->start = 0;
    block->length = length_bytes;
    if (class == LAYOUT_CLASSES) {
        if (use == MEMORY_UNASKED)
            return false;
        if (allocate_extent(memory, length_bytes, block))
            return true;
    } else {
        if (use == MEMORY_AGREED && class <= LAYOUT_RESERVE_CLASS &&
            allocate_in(memory, LAYOUT_CLASSES, LAYOUT_RESERVE_CLASS, block))
            return true;
        if (allocate_in(memory, class, class, block))
            return true;
        if (claim_slab(memory, class, use) && allocate_in(memory, class, class, block))
            return true;
    }
    /* Full, then: others give back what they have to spare, and so do we. */
    if (use != MEMORY_UNASKED)
        atomic_fetch_add(&layout_header(memory->arena)->pressure, 1);
    return false;
}

bool memory_allocate(struct memory *memory, uint64_t length_bytes, enum memory_use use,
                     struct descriptor_block *block)
{
    if (!allocate(memory, length_bytes, use, block))
        return false;
    set_known(memory, block);
    return true;
}

bool memory_allocate_reserve(struct memory *memory, uint64_t length_bytes,
                             struct descriptor_block *block)
{
    block->start = 0;
    block->length = length_bytes;
    if (!allocate_in(memory, LAYOUT_CLASSES, LAYOUT_RESERVE_CLASS, block))
        return false;
    set_known(memory, block);
    return true;
}

static void trim_list(struct memory *memory, uint32_t class)
{
    uint32_t *link = &memory->first[class];
    while (*link != NO_SLAB) {
        uint32_t slab = *link;
        if (!slab_empty(memory->arena, slab)) {
            link = &memory->next[slab];
            continue;
        }
        *link = memory->next[slab];
        memory->common_slabs--;
        slab_give_back(memory->arena, memory->endpoint, slab);
    }
}

void memory_trim(struct memory *memory)
{
    uint32_t pressure =
        atomic_load_explicit(&layout_header(memory->arena)->pressure, memory_order_relaxed);
    if (pressure == memory->pressure_seen)
        return;
    memory->pressure_seen = pressure;
    for (uint32_t class = 0; class < LAYOUT_CLASSES; class ++)
        trim_list(memory, class);
}

void memory_close(struct memory *memory)
{
    if (!memory->next)
        return;
    for (uint32_t class = 0; class < LAYOUT_CLASSES; class ++)
        trim_list(memory, class);
    free_lists(memory);
}

void memory_want(struct memory *memory, bool wanted)
{
    atomic_store(&layout_endpoint(memory->arena, memory->endpoint)->memory_wanted, wanted);
}

static uint64_t *known_word(const struct memory *memory, const struct descriptor_block *block,
                            uint64_t *bit)
{
    uint64_t index = (uint64_t)block->slab * LAYOUT_SLAB_BLOCKS + block->block;
    *bit = UINT64_C(1) << index % 64;
    return &memory->known[index / 64];
}

static bool is_known(const struct memory *memory, const struct descriptor_block *block)
{
    uint64_t bit;
    return *known_word(memory, block, &bit) & bit;
}

static void set_known(struct memory *memory, const struct descriptor_block *block)
{
    uint64_t bit;
    uint64_t *word = known_word(memory, block, &bit);
    *word |= bit;
}

/* The slab's kind may have changed since the block was accepted, if a peer breaks the rules: then
 * what is read or written is rubbish, but it is inside the arena. */
void *memory_bytes(const struct memory *memory, const struct descriptor_block *block)
{
    const struct arena *arena = memory->arena;
    struct slab_place place = slab_place(arena, block->slab, block->block);
    uint64_t slabs_bytes = (uint64_t)(arena->shape.slab_count - block->slab) * ARENA_SLAB_BYTES;
    uint64_t at = place.offset_bytes + block->start;
    if (at + block->length > slabs_bytes)
        at = 0;
    return layout_slab_bytes(arena, block->slab) + at;
}

void *memory_accept(struct memory *memory, const struct descriptor_block *block)
{
    const struct arena *arena = memory->arena;
    if (block->slab >= arena->shape.slab_count)
        return NULL;
    struct slab_place place = slab_place(arena, block->slab, block->block);
    if (block->start > place.size_bytes || block->length > place.size_bytes - block->start)
        return NULL;
    if (place.size_bytes == 0 || !slab_holds(arena, memory->endpoint, block->slab, block->block) ||
        is_known(memory, block))
        return NULL;
    set_known(memory, block);
    if (memory->suspect_count > 0)
        clear_suspect(memory, block);
    return layout_slab_bytes(arena, block->slab) + place.offset_bytes + block->start;
}

static void release(const struct arena *arena, uint32_t endpoint,
                    const struct descriptor_block *block)
{
    uint32_t owner = slab_owner(arena, block->slab);
    slab_release(arena, endpoint, block->slab, block->block);
    if (owner <= arena->shape.local_count && owner != endpoint &&
        atomic_load(&layout_endpoint(arena, owner)->memory_wanted))
        bell_ring(arena, owner);
}

enum memory_grant memory_grant(struct memory *memory, uint32_t to,
                               const struct descriptor_block *block)
{
    const struct arena *arena = memory->arena;
    if (slab_holds(arena, to, block->slab, block->block))
        return MEMORY_HELD_ALREADY;
    struct layout_endpoint *self = layout_endpoint(arena, memory->endpoint);
    atomic_store(&self->intent_block, (uint64_t)block->slab << 32 | block->block);
    atomic_store(&self->intent_to, to + 1);
    if (!slab_hold(arena, to, block->slab, block->block)) {
        memory_granted(memory);
        return MEMORY_HELD_ALREADY;
    }
    /* arena_reap sets the flag before it looks at the bits: one of us clears it. */
    if (atomic_load(&layout_endpoint(arena, to)->reaped)) {
        memory_revoke(memory, to, block);
        return MEMORY_HOLDER_DEAD;
    }
    return MEMORY_GRANTED;
}

void memory_granted(struct memory *memory)
{
    atomic_store_explicit(&layout_endpoint(memory->arena, memory->endpoint)->intent_to, 0,
                          memory_order_release);
}

void memory_revoke(struct memory *memory, uint32_t to, const struct descriptor_block *block)
{
    slab_release(memory->arena, to, block->slab, block->block);
    memory_granted(memory);
}

void memory_release(struct memory *memory, const struct descriptor_block *block)
{
    uint64_t bit;
    *known_word(memory, block, &bit) &= ~bit;
    release(memory->arena, memory->endpoint, block);
}

bool memory_alone(const struct memory *memory, const struct descriptor_block *block)
{
    return slab_alone(memory->arena, memory->endpoint, block->slab, block->block);
}

/* Is a live endpoint about to make us a holder of the same block? */
static bool is_being_granted(const struct memory *memory, uint64_t intent_block)
{
    for (uint32_t other = 0; other <= memory->arena->shape.local_count; other++) {
        struct layout_endpoint *of = layout_endpoint(memory->arena, other);
        if (!atomic_load(&of->reaped) && atomic_load(&of->intent_to) == memory->endpoint + 1 &&
            atomic_load(&of->intent_block) == intent_block)
            return true;
    }
    return false;
}

static uint32_t suspect_at(const struct memory *memory, const struct descriptor_block *block)
{
    uint32_t i = 0;
    while (i < memory->suspect_count &&
           (memory->suspects[i].slab != block->slab || memory->suspects[i].block != block->block))
        i++;
    return i;
}

/* A message explains the hold. */
static void clear_suspect(struct memory *memory, const struct descriptor_block *block)
{
    uint32_t i = suspect_at(memory, block);
    if (i < memory->suspect_count)
        memory->suspects[i] = memory->suspects[--memory->suspect_count];
}

/*
 * The note of a dead endpoint is looked at once, and then struck out: later the same block may be
 * granted to us by somebody else.
 *
 * Why a suspect is one: the bit is set when we look first. Had a living endpoint set it, its note
 * would show until its message is in our inbox; that is emptied before the end, and a message that
 * explains the hold strikes it off the list, whatever becomes of the block afterwards. If none does
 * the bit is the dead one's, and nobody can set it again before we clear it.
 */
static void look_at_note(struct memory *memory, uint32_t dead)
{
    const struct arena *arena = memory->arena;
    struct layout_endpoint *of = layout_endpoint(arena, dead);
    uint32_t me = memory->endpoint + 1;
    if (!atomic_load(&of->reaped) || atomic_load(&of->intent_to) != me)
        return;
    uint64_t word = atomic_load(&of->intent_block);
    atomic_compare_exchange_strong(&of->intent_to, &me, 0);
    struct descriptor_block block = {.slab = (uint32_t)(word >> 32), .block = (uint32_t)word};
    if (block.slab < arena->shape.slab_count &&
        slab_place(arena, block.slab, block.block).size_bytes > 0 &&
        slab_holds(arena, memory->endpoint, block.slab, block.block) && !is_known(memory, &block) &&
        !is_being_granted(memory, word) && suspect_at(memory, &block) == memory->suspect_count &&
        memory->suspect_count < memory->suspect_room)
        memory->suspects[memory->suspect_count++] = block;
}

bool memory_audit(struct memory *memory)
{
    uint32_t reaps = atomic_load(&layout_header(memory->arena)->reaps);
    if (reaps == memory->reaps_seen)
        return memory->suspect_count > 0;
    memory->reaps_seen = reaps;
    for (uint32_t dead = 0; dead < memory->arena->shape.local_count; dead++)
        look_at_note(memory, dead);
    return memory->suspect_count > 0;
}

void memory_audit_end(struct memory *memory)
{
    while (memory->suspect_count > 0)
        release(memory->arena, memory->endpoint, &memory->suspects[--memory->suspect_count]);
}
