/*
 * Slabs: whose they are, and the holder bits of their blocks. Everything here is lock-free and may
 * be cut off anywhere by SIGKILL; slab_reap completes or undoes it. Internal to transport/core.
 */
#ifndef TRANSPORT_CORE_SLAB_H
#define TRANSPORT_CORE_SLAB_H

#include "transport/core/layout.h"

/* Claims count free slabs in a row, of no kind yet. False when there are none. */
bool slab_claim(const struct arena *arena, uint32_t endpoint, uint32_t count, uint32_t *slab);

/* Makes claimed slabs one block, held by the endpoint. It is freed with its last hold. */
void slab_make_extent(const struct arena *arena, uint32_t endpoint, uint32_t slab, uint32_t count);

/* Frees a slab of small blocks that the endpoint owns and that is empty. */
void slab_give_back(const struct arena *arena, uint32_t endpoint, uint32_t slab);

/* The endpoint that owns a slab, or UINT32_MAX. */
uint32_t slab_owner(const struct arena *arena, uint32_t slab);

/* Where a block lies: offset_bytes from its slab's start. */
struct slab_place {
    uint64_t offset_bytes;
    uint64_t size_bytes; /* 0: there is no such block */
};

/* By one look at the slab, which must be in range: what is said lies inside the arena, whatever is
 * stored there meanwhile. A slab in the middle of an extent counts as a block 0 of one slab. */
struct slab_place slab_place(const struct arena *arena, uint32_t slab, uint32_t block);

bool slab_block_free(const struct arena *arena, uint32_t slab, uint32_t block);
bool slab_empty(const struct arena *arena, uint32_t slab);

/* Sets the endpoint's bit; false where it was set. slab_hold_own: of a free block of a slab that
 * the endpoint owns. */
void slab_hold_own(const struct arena *arena, uint32_t endpoint, uint32_t slab, uint32_t block);
bool slab_hold(const struct arena *arena, uint32_t endpoint, uint32_t slab, uint32_t block);
bool slab_holds(const struct arena *arena, uint32_t endpoint, uint32_t slab, uint32_t block);
bool slab_alone(const struct arena *arena, uint32_t endpoint, uint32_t slab, uint32_t block);

/* Clears the endpoint's bit, and frees the slab where that was the last of an extent or of an
 * orphan. */
void slab_release(const struct arena *arena, uint32_t endpoint, uint32_t slab, uint32_t block);

/*
 * Takes back what dead endpoints held and owned, and finishes what they were in the middle of: dead
 * is a bit for each of them, reaper is what whoever does this calls itself (LAYOUT_REAPER + a
 * pack's first endpoint; one process at a time). Costs a look at every slab's owner, and at the
 * blocks of the slabs that they owned or had touched, once for all of them.
 */
void slab_reap(const struct arena *arena, const uint64_t *dead, uint32_t reaper);

#endif
